use std::sync::Arc;

use http::{HeaderMap, Uri, header::HOST, uri::Authority};

use crate::config::Host;

/// What a challenge says beside its error (RFC 6750, section 3). The values need no escapes in a quoted string.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChallengeParameters {
    /// The URL of the metadata (RFC 9728, section 5.1).
    pub(crate) resource_metadata: Option<Arc<str>>,
    /// Scopes, separated by spaces.
    pub(crate) scope: Option<Arc<str>>,
}

/// Returns the path of the metadata of a resource with this path: the well-known path stands between host and path (RFC
/// 9728, section 3.1).
pub(super) fn metadata_path(path: &str) -> String {
    format!("{WELL_KNOWN}{}", if path == "/" { "" } else { path })
}

/// Returns the URL of the metadata of the resource that a request is for; `None` if the request does not name its host,
/// or if the URL would need escapes in a quoted string.
pub(super) fn derived_metadata_url(uri: &Uri, headers: &HeaderMap) -> Option<Arc<str>> {
    // The path of `OPTIONS *` is no path of a URL.
    let path = Some(uri.path()).filter(|path| path.starts_with('/'))?;
    let url = origin(uri, headers)? + &metadata_path(path);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
    url.bytes().all(is_plain).then(|| url.into())
}

/// Returns the origin of the resource as the client sees it; `None` if the request names no host, or several.
///
/// The scheme is `https` except on loopback: RFC 9728, section 1.2, requires it, and behind a proxy that terminates TLS
/// the request itself does not show it.
pub(super) fn origin(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let authority = match uri.authority() {
        Some(authority) => authority.clone(),
        None => {
            let mut hosts = headers.get_all(HOST).iter();
            match (hosts.next(), hosts.next()) {
                (Some(host), None) => Authority::try_from(host.as_bytes()).ok()?,
                _ => return None,
            }
        }
    };
    // A port that is no number, or too large, is left over in the text.
    let has_odd_port = authority.port_u16().is_none() && authority.as_str() != authority.host();
    if has_odd_port || authority.as_str().contains(['@', '"', '\\', ',', ';']) {
        return None;
    }
    let is_loopback = Host::of_authority(authority.host()).is_some_and(Host::is_loopback);
    let scheme = if is_loopback && uri.scheme_str() != Some("https") { "http" } else { "https" };
    Some(format!("{scheme}://{authority}"))
}

/// The path that RFC 9728, section 3, defines.
pub(super) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
