//! Where a browser may be sent with a code.

use url::{Host, Url};

use crate::browsers::{LOOPBACK, is_loopback};

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

/// Reads the URI that a client asks to be answered at, if it is one of those that the client has registered.
///
/// All of it is compared as text (RFC 9700, section 2.1), but for the port of a program on this machine, which listens
/// on whichever is free when it asks (RFC 8252, section 7.3).
pub(super) fn requested(text: &str, registered: &[String]) -> Option<Url> {
    let rest = without_port(text);
    let is_registered = |uri: &String| uri == text || rest.is_some_and(|rest| without_port(uri) == Some(rest));
    registered.iter().any(is_registered).then(|| read(text)).flatten()
}

/// The host of a program on this machine, and what follows its port. RFC 8252 has the addresses alone, RFC 9700 also
/// `localhost`, which some clients register.
fn without_port(text: &str) -> Option<(&str, &str)> {
    let authority = text.strip_prefix("http://")?;
    let (host, after) = LOOPBACK.iter().find_map(|host| Some((*host, authority.strip_prefix(host)?)))?;
    let after = match after.strip_prefix(':') {
        Some(port) => port.trim_start_matches(|character: char| character.is_ascii_digit()),
        None => after,
    };
    // Anything else is still of the authority: what looked like the host may be the name of a user.
    (after.is_empty() || after.starts_with(['/', '?'])).then_some((host, after))
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
    fn a_program_on_this_machine_may_take_another_port() {
        for (registered, uri) in [
            ("http://127.0.0.1:33418/callback?a=b", "http://127.0.0.1:33418/callback?a=b"),
            ("http://127.0.0.1:33418/callback?a=b", "http://127.0.0.1:1/callback?a=b"),
            ("http://127.0.0.1:33418/callback?a=b", "http://127.0.0.1:65535/callback?a=b"),
            ("http://127.0.0.1:33418/", "http://127.0.0.1/"),
            ("http://127.0.0.1/", "http://127.0.0.1:33418/"),
            ("http://127.0.0.1:33418", "http://127.0.0.1:1"),
            ("http://127.0.0.1?a=b", "http://127.0.0.1:1?a=b"),
            ("http://localhost:1/callback", "http://localhost:2/callback"),
            ("http://localhost/callback", "http://localhost:2/callback"),
            ("http://[::1]:1/callback", "http://[::1]:2/callback"),
            ("http://[::1]/callback", "http://[::1]:2/callback"),
            ("https://a.example:1/", "https://a.example:1/"),
            ("cursor://a/b", "cursor://a/b"),
        ] {
            let others = [registered, "https://b.example/"].map(str::to_owned);
            assert_eq!(requested(uri, &others), Some(Url::parse(uri).unwrap()), "{registered} {uri}");
        }
    }

    #[test]
    fn nothing_but_a_port_on_this_machine_may_differ() {
        let callback = "http://127.0.0.1:33418/callback?a=b";
        for (registered, uri) in [
            (callback, "http://127.0.0.1:1/callback"),
            (callback, "http://127.0.0.1:1/callback?a=c"),
            (callback, "http://127.0.0.1:1/callback?a=b&c=d"),
            (callback, "http://127.0.0.1:1/other?a=b"),
            (callback, "http://127.0.0.1:1/callback/?a=b"),
            (callback, "http://127.0.0.1:1/%63allback?a=b"),
            (callback, "http://127.0.0.1:1/a/../callback?a=b"),
            (callback, "http://127.0.0.1:1//callback?a=b"),
            (callback, "http://127.0.0.1:1\\callback?a=b"),
            (callback, "http://127.0.0.1:1/callback?a=b#part"),
            (callback, "http://127.0.0.1:1?a=b"),
            (callback, "http://127.0.0.1:65536/callback?a=b"),
            (callback, "http://127.0.0.1:-1/callback?a=b"),
            (callback, "http://127.0.0.1:1\t2/callback?a=b"),
            (callback, "http://127.0.0.1:a/callback?a=b"),
            (callback, "http://127.0.0.1:1:2/callback?a=b"),
            (callback, "http://localhost:33418/callback?a=b"),
            (callback, "http://[::1]:33418/callback?a=b"),
            (callback, "http://127.0.0.2:33418/callback?a=b"),
            (callback, "http://127.1:33418/callback?a=b"),
            (callback, "http://127.0.0.11/callback?a=b"),
            (callback, "http://127.0.0.1.evil.example:1/callback?a=b"),
            (callback, "http://127.0.0.1:1@evil.example/callback?a=b"),
            (callback, "http://127.0.0.1@evil.example/callback?a=b"),
            (callback, "http://127.0.0.1:1\\@evil.example/callback?a=b"),
            (callback, "http://user@127.0.0.1:1/callback?a=b"),
            (callback, "http://@127.0.0.1:1/callback?a=b"),
            (callback, "https://127.0.0.1:1/callback?a=b"),
            (callback, "HTTP://127.0.0.1:1/callback?a=b"),
            (callback, "http:/127.0.0.1:1/callback?a=b"),
            (callback, " http://127.0.0.1:1/callback?a=b"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1@evil.example/"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:2"),
            ("http://localhost:1/", "http://127.0.0.1:1/"),
            ("http://localhost:1/", "http://LOCALHOST:2/"),
            ("http://localhost:1/", "http://localhost.:2/"),
            ("http://127.0.0.2:1/", "http://127.0.0.2:2/"),
            ("https://127.0.0.1:1/", "https://127.0.0.1:2/"),
            ("https://127.0.0.1:1/", "http://127.0.0.1:1/"),
            ("https://localhost:1/", "https://localhost:2/"),
            ("https://a.example/", "https://a.example:2/"),
            ("https://a.example:1/", "https://a.example:2/"),
            // Registration refuses these, too.
            ("http://a.example:1/", "http://a.example:2/"),
            ("http://a.example:1/", "http://a.example:1/"),
            ("http://127.0.0.1:1/#part", "http://127.0.0.1:2/#part"),
            ("http://127.0.0.1:1/?code=a", "http://127.0.0.1:2/?code=a"),
            ("cursor://a:1/b", "cursor://a:2/b"),
            ("cursor://127.0.0.1:1/b", "cursor://127.0.0.1:2/b"),
        ] {
            assert_eq!(requested(uri, &[registered.to_owned()]), None, "{registered} {uri}");
        }
        for uri in ["http://127.0.0.1:1@a.example/", "http://127.0.0.1.a.example/", "http://localhostage:1/"] {
            assert_eq!(without_port(uri), None, "{uri}");
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
