use super::{
    pasted::cleaned,
    url::{Host, authority_text, split_authority},
};

/// The URL of a protected resource: its identifier (RFC 9728, section 1.2).
///
/// Clients compare it with the URL that they connect to, after a URL parser has normalized both. It therefore has the
/// form that such parsers leave as it is: lower-case scheme and host, no default port, addresses in their short form,
/// and no dot segments. A path of a slash alone is empty, as the MCP specification prefers it. Any other path is kept
/// byte by byte, because a path with a slash at its end is another resource than one without.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ResourceUrl {
    text: String,
    /// In bytes: the length of `scheme://host[:port]`.
    origin: usize,
}

impl ResourceUrl {
    /// Parses and normalizes a URL. The error completes the sentence "protected_resource …".
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = absolute(text)?;
        if text.matches("://").count() > 1 {
            return Err("has two schemes; give one URL");
        }
        if text.contains(['?', '#']) {
            return Err("must have no query and no fragment; clients compare scheme, host, port and path");
        }
        let (scheme, rest) = text.split_once("://").ok_or(NOT_ABSOLUTE)?;
        let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).ok_or(NOT_ABSOLUTE)?;
        let (scheme, authority) = normalized(scheme, authority)?;
        let path = if path == "/" { "" } else { path };
        if path.split('/').any(|segment| segment == ".well-known") {
            return Err("must be the URL of the service, without /.well-known/ and the name after it");
        }
        if !is_plain_path(path) {
            return Err("must have a path without empty or dot segments, percent-encoding, \" and \\");
        }
        if path.split('/').any(|segment| segment.starts_with([':', '*'])) {
            return Err("must have a path whose segments do not start with : or *, which routers take for patterns");
        }
        let origin = format!("{scheme}://{authority}");
        Ok(Self { origin: origin.len(), text: origin + path })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a text, such as an audience, is this URL. Where the path is empty, a slash at the end makes no
    /// difference: URL parsers add it, and so do clients that name the resource to the authorization server.
    pub(crate) fn is_named_by(&self, text: &str) -> bool {
        text == self.text || (self.path().is_empty() && text.strip_suffix('/') == Some(self.as_str()))
    }

    /// Returns `scheme://host[:port]`.
    pub(crate) fn origin(&self) -> &str {
        self.text.get(..self.origin).unwrap_or_default()
    }

    /// Returns the path: empty, or a slash and what follows it.
    pub(crate) fn path(&self) -> &str {
        self.text.get(self.origin..).unwrap_or_default()
    }
}

/// Checks the URL of a page that clients may link to. The error completes the sentence "`<setting>` …".
pub(crate) fn page_url(text: &str) -> Result<String, &'static str> {
    let text = absolute(text)?;
    let (scheme, rest) = text.split_once("://").ok_or(NOT_ABSOLUTE)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Plain http is fine: a person reads the page, and nothing secret is sent to it.
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err("must be an https or http URL");
    }
    if authority.contains('@') {
        return Err("must have no user name or password");
    }
    split_authority(authority).ok_or("does not name a valid host and port")?;
    Ok(text.to_owned())
}

/// Cleans a text that must have a scheme and be visible ASCII.
fn absolute(text: &str) -> Result<&str, &'static str> {
    let text = cleaned(text)?;
    if !text.is_ascii() {
        return Err("is not a URL, which is ASCII; give the form of the host that starts with xn--");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must have no spaces and no control characters");
    }
    if text.contains("://") { Ok(text) } else { Err(NOT_ABSOLUTE) }
}

/// Scheme and authority as URL parsers write them.
fn normalized(scheme: &str, authority: &str) -> Result<(String, String), &'static str> {
    if authority.contains('@') {
        return Err("must have no user name or password");
    }
    let (host, port) = split_authority(authority).ok_or("does not name a valid host and port")?;
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_text());
    match scheme.as_str() {
        "https" => {}
        "http" if Host::of_authority(&host).is_some_and(Host::is_loopback) => {}
        "http" => return Err("must use https (plain http is for loopback addresses only)"),
        _ => return Err("must use https"),
    }
    let authority = authority_text(&scheme, host, port);
    Ok((scheme, authority))
}

/// Whether URL parsers leave a path as it is, and a quoted string needs no escapes for it (RFC 3986, section 3.3).
fn is_plain_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = path.split('/').skip(1);
    segments.all(|segment| !["", ".", ".."].contains(&segment) && segment.bytes().all(is_plain))
}

const NOT_ABSOLUTE: &str = "must be a whole URL, such as https://api.example.com/mcp";
