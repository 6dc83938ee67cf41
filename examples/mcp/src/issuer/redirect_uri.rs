//! Where a browser may be sent with a code.

use url::{Host, Url};

use crate::browsers::is_loopback;

/// Reads the URI of a client: a page over https, a program that listens on this machine (RFC 8252, section 7.3), or one
/// that has registered a scheme.
pub(super) fn read(text: &str) -> Option<Url> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let is_allowed = match url.scheme() {
        "https" => true,
        "http" => is_loopback(&url),
        scheme => APPLICATIONS.contains(&scheme),
    };
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let has_answer = url.query_pairs().any(|(name, _)| ANSWER.contains(&name.as_ref()));
    let is_bare = url.fragment().is_none() && !has_credentials && !has_answer;
    (is_allowed && has_sound_host(&url) && is_bare).then_some(url)
}

/// Whether the host is an IP address or a domain name (RFC 1123, section 2.1). The URL standard allows more, such as
/// `;` and `,`, which would end a directive of the consent page's policy.
fn has_sound_host(url: &Url) -> bool {
    let is_label = |label: &str| {
        let is_plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && is_plain && !label.starts_with('-') && !label.ends_with('-')
    };
    match url.host() {
        Some(Host::Domain(name)) => name.len() <= 253 && name.split('.').all(is_label),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

/// What a browser compares with when it follows a redirect (CSP, `form-action`).
pub(super) fn source(url: &Url) -> String {
    if url.origin().is_tuple() { url.origin().ascii_serialization() } else { format!("{}:", url.scheme()) }
}

/// The schemes of MCP clients. A browser would run some others, such as `javascript`.
const APPLICATIONS: [&str; 4] = ["claude", "cursor", "vscode", "vscode-insiders"];
/// The parameters of an answer. With two of one name, client and issuer could mean different ones.
const ANSWER: [&str; 4] = ["code", "error", "iss", "state"];
/// In bytes. Those of known clients are far shorter.
const MAX_LENGTH: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_a_client_and_runs_nothing() {
        for uri in [
            "https://app.example.com/callback?a=b",
            "https://app.example.com/code?codes=b&Code=c",
            "http://127.0.0.1:33418/",
            "http://localhost/callback",
            "http://[::1]:1/",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://xn--bcher-kva.example/",
            "https://b\u{fc}cher.example/",
            &format!("https://{}.example/", "a".repeat(63)),
            &format!("https://{}a/", "a.".repeat(126)),
        ] {
            assert!(read(uri).is_some(), "{uri}");
        }
        for uri in [
            "",
            "/callback",
            "http://app.example.com/callback",
            "http://localhost.example.com/",
            "https://app.example.com/#part",
            "https://user@app.example.com/",
            "javascript:alert(1)",
            "javascript://localhost/%0aalert(1)",
            "data:text/html,a",
            "file:///etc/passwd",
            "cursor:callback",
            "cursor:///callback",
            "https://a.example/?code=a",
            "https://a.example/?a=b&state=",
            "https://a.example/?iss",
            "https://a.example/?err%6fr=a",
            "https://a.example;script-src/",
            "https://a.example,b.example/",
            "https://*.example.com/",
            "https://a_b.example/",
            "https://a.example'/",
            "https://a.example./",
            "https://a..example/",
            "https://-a.example/",
            &format!("https://{}.example/", "a".repeat(64)),
            &format!("https://{}a/", "a.".repeat(127)),
            "cursor://a;b/callback",
            &format!("https://app.example.com/{}", "a".repeat(MAX_LENGTH)),
        ] {
            assert!(read(uri).is_none(), "{uri}");
        }
    }

    #[test]
    fn the_policy_names_an_origin_or_a_scheme() {
        let of = |uri| source(&read(uri).unwrap());
        assert_eq!(of("https://app.example.com/callback"), "https://app.example.com");
        assert_eq!(of("http://127.0.0.1:33418/"), "http://127.0.0.1:33418");
        assert_eq!(of("cursor://a/b"), "cursor:");
    }
}
