//! Which web pages may call the MCP server: those on this machine, such as the MCP Inspector, those of the server's own
//! origin, and those that `ALLOWED_ORIGINS` names.

use http::{HeaderName, HeaderValue, Method, header::WWW_AUTHENTICATE};
use rmcp::transport::streamable_http_server::StreamableHttpServerConfig;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use url::{Host, Url};

/// The origins of the pages that may call.
#[derive(Clone, Debug)]
pub(crate) struct Origins(Vec<String>);

impl Origins {
    /// `public` and `others` are serialized origins, such as `https://app.example.com`.
    pub(crate) fn new(public: &str, others: &[String]) -> Self {
        Self(std::iter::once(public).chain(others.iter().map(String::as_str)).map(str::to_owned).collect())
    }

    /// What a page needs to read the responses. A request without `Origin` passes: it is from no page.
    pub(crate) fn cors(&self) -> CorsLayer {
        let origins = self.clone();
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(move |origin, _| origins.allow(origin)))
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            // Clients have headers of their own, as have later revisions of MCP.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([WWW_AUTHENTICATE, SESSION_ID, PROTOCOL_VERSION])
            .max_age(MAX_AGE)
    }

    /// The checks of `Host` and `Origin`, which keep a page from reaching this server under a name of its own (DNS
    /// rebinding). The lists are those of CORS.
    pub(crate) fn checks(&self, public_host: &str) -> StreamableHttpServerConfig {
        let loopback = LOOPBACK.iter().map(|host| format!("http://{host}:*"));
        let hosts = LOOPBACK.iter().copied().chain([public_host]);
        StreamableHttpServerConfig::default()
            .with_allowed_hosts(hosts)
            .with_allowed_origins(self.0.iter().map(|origin| with_port(origin)).chain(loopback))
            .enforce_origin_validation()
    }

    fn allow(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        self.0.iter().any(|allowed| allowed == origin)
            || Url::parse(origin).is_ok_and(|url| {
                let is_local = url.scheme() == "http" && url.host_str().is_some_and(|host| LOOPBACK.contains(&host));
                is_local && url.origin().ascii_serialization() == origin
            })
    }
}

/// Whether the host is this machine, by its name alone.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The origin with its port, also where that is the default: rmcp takes an entry without one for any port.
fn with_port(origin: &str) -> String {
    let port = Url::parse(origin).ok().filter(|url| url.port().is_none()).and_then(|url| url.port_or_known_default());
    port.map_or_else(|| origin.to_owned(), |port| format!("{origin}:{port}"))
}

/// The names that a page on this machine is opened under. rmcp compares them as text, so CORS does too: rmcp refuses
/// other loopback addresses, such as 127.0.0.2.
pub(crate) const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Chromium keeps the answer of a preflight for no longer.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);
