//! Origins, as browsers write them.

use super::{
    pasted::{cleaned, trimmed},
    url::{Host, authority_text, split_authority},
};

/// Parses an origin, `scheme://host[:port]`, and returns it as browsers send it in `Origin` and Clerk copies it into
/// `azp`: what is accepted can be the `azp` of a token.
///
/// For `http` and `https` that is the serialization of the URL standard: scheme and host in lower case, no default port,
/// addresses in their short form. Other schemes are those of browser extensions and native apps
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
