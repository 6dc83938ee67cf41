//! Origins, as browsers write them.

use super::{
    pasted::{cleaned, trimmed},
    url::{Host, authority_text, split_authority},
};

/// Parses an origin, `scheme://host[:port]`, and returns it as browsers send it in `Origin` and Clerk copies it into
/// `azp`: what is accepted can be the `azp` of a token.
///
/// For `http` and `https` that is the serialization of the URL standard: scheme and host in lower case, no default
/// port, addresses in their short form. Other schemes are those of browser extensions and native apps
/// (`chrome-extension://…`). Their hosts stay as they are, because browsers do not agree on their case.
///
/// The error completes the sentence "authorized_parties …".
pub(super) fn parse_origin(text: &str) -> Result<String, &'static str> {
    if trimmed(text).is_empty() {
        return Err("must not contain an empty entry; remove the extra comma");
    }
    let text = cleaned(text)?;
    if text.contains('*') {
        return Err("must not contain *; list each origin in full");
    }
    if text == "null" {
        return Err("must not contain null, the origin of pages without one");
    }
    if text.contains([' ', '\t', '\n', '\r', ';', '|']) || text.matches("://").count() > 1 {
        return Err("must contain one origin an entry; separate entries with commas");
    }
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return Err("must be origins with a scheme, such as https://app.example.com");
    };
    if rest.contains(['/', '?', '#', '\\']) {
        return Err("must be bare origins, scheme://host[:port]; remove the slash and all after it");
    }
    if rest.contains('@') {
        return Err("must have no user name or password");
    }
    if !rest.is_ascii() {
        return Err("must have hosts in ASCII; give the form that starts with xn--");
    }
    let scheme = scheme.to_ascii_lowercase();
    if scheme == "ws" || scheme == "wss" {
        return Err("must be origins of pages; give https:// (or http://) in place of wss:// (or ws://)");
    }
    let (host, port) = split_authority(rest)
        .ok_or("must have a valid host and port: a name without a dot at its end, or a whole IP address")?;
    let host = match host {
        Host::Name(name) if !["http", "https"].contains(&scheme.as_str()) => name.to_owned(),
        host => host.to_text(),
    };
    let authority = authority_text(&scheme, host, port);
    Ok(format!("{scheme}://{authority}"))
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, prop_assert_eq, prop_assume, proptest};
    use url::Url;

    use super::*;

    fn browser(text: &str) -> String {
        Url::parse(text).unwrap().origin().ascii_serialization()
    }

    #[test]
    fn an_origin_is_written_as_a_browser_writes_it() {
        for (text, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://App.Example.com", "https://app.example.com"),
            ("HTTPS://app.example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("https://app.example.com:0443", "https://app.example.com"),
            ("https://app.example.com:80", "https://app.example.com:80"),
            ("http://app.example.com:80", "http://app.example.com"),
            ("http://app.example.com:0080", "http://app.example.com"),
            ("http://localhost:03000", "http://localhost:3000"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("https://my_app.example", "https://my_app.example"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
            ("http://[2001:DB8:0:0:1:0:0:1]", "http://[2001:db8::1:0:0:1]"),
            ("http://[2001:db8:0:1:1:1:1:1]", "http://[2001:db8:0:1:1:1:1:1]"),
            ("http://[::ffff:192.0.2.1]", "http://[::ffff:c000:201]"),
            ("http://[::192.0.2.1]", "http://[::c000:201]"),
            (" https://app.example.com\n", "https://app.example.com"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(origin), "{text}");
            assert_eq!(browser(text), origin, "{text}");
        }
    }

    #[test]
    fn origins_of_extensions_and_apps_keep_their_hosts() {
        for (text, origin) in [
            ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
            ("Moz-Extension://0f9a-1b", "moz-extension://0f9a-1b"),
            ("safari-web-extension://E3449EA7-EC25", "safari-web-extension://E3449EA7-EC25"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("tauri://localhost:80", "tauri://localhost:80"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(origin), "{text}");
        }
    }

    #[test]
    fn what_no_browser_sends_says_what_to_give_instead() {
        for (text, reason) in [
            ("", "empty entry"),
            (" ", "empty entry"),
            ("*", "each origin in full"),
            ("https://*.a.example", "each origin in full"),
            ("null", "null"),
            ("a.example", "with a scheme"),
            ("//a.example", "with a scheme"),
            ("://a.example", "with a scheme"),
            ("localhost:3000", "with a scheme"),
            ("https://a.example/", "remove the slash"),
            ("https://a.example/b", "remove the slash"),
            ("https://a.example?b", "remove the slash"),
            ("https://a.example#b", "remove the slash"),
            ("https://u@a.example", "user name"),
            ("https://", "host and port"),
            ("https://a.example:", "host and port"),
            ("https://a.example:0", "host and port"),
            ("https://a.example:65536", "host and port"),
            ("https://a.example:x", "host and port"),
            ("https://a.example.", "without a dot"),
            ("https://127.1", "whole IP address"),
            ("https://2130706433", "whole IP address"),
            ("https://0x7f.0.0.1", "whole IP address"),
            ("https://0177.0.0.1", "whole IP address"),
            ("https://127.0.0.1.", "whole IP address"),
            ("https://[::1", "host and port"),
            ("https://[::1%25lo]", "host and port"),
            ("https://a%2eexample", "host and port"),
            ("https://b\u{fc}cher.example", "xn--"),
            ("wss://a.example", "origins of pages"),
            ("https://a.example https://b.example", "commas"),
            ("https://a.example;https://b.example", "commas"),
            ("'https://a.example'", "quotation mark"),
        ] {
            let error = parse_origin(text).unwrap_err();
            assert!(error.contains(reason), "{error} for {text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_accepted_origin_is_its_own_browser_serialization(
            text in "([hH][tT]{2}[pP][sS]?://)(([a-zA-Z0-9_-]{1,5}\\.){0,3}[a-zA-Z0-9]{1,4}|[0-9]{1,3}(\\.[0-9]{1,3}){0,3}|0x[0-9a-f]{1,8}|\\[([0-9a-fA-F]{0,4}:){1,7}[0-9a-fA-F]{0,4}\\])(:0{0,3}(443|80|[0-9]{1,5}))?/?"
        ) {
            // Browsers decode these names and refuse the malformed ones.
            prop_assume!(!text.to_ascii_lowercase().contains("xn--"));
            if let Ok(origin) = parse_origin(&text) {
                prop_assert_eq!(&origin, &browser(&text));
                prop_assert_eq!(&origin, &browser(&origin));
                prop_assert_eq!(parse_origin(&origin), Ok(origin));
            }
        }
    }
}
