//! The MCP service, its guards, and the listener.

use std::{error::Error, io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use rmcp::transport::streamable_http_server::{StreamableHttpService, session::never::NeverSessionManager};
use tokio::net::TcpListener;
use tower_clerk::{ClerkAuthLayer, ClerkConfig, ProtectedResource, TokenKind, authenticate::ResourceMetadataService};
use url::Url;

use crate::{
    audience::{self, Audience},
    browsers::Origins,
    issuer::{self, Issuer},
    scope_challenge::{self, MAX_BODY},
    settings::Settings,
    shutdown::Signals,
    tools::{self, Tools},
};

/// The server on its socket.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    app: Router,
    issuer: Option<Arc<Issuer>>,
    listener: TcpListener,
    signals: Signals,
    trusted: Vec<String>,
    url: String,
}

impl Server {
    /// Listens and gets everything ready.
    ///
    /// # Errors
    ///
    /// What is wrong, with the name of the variable to change.
    pub async fn bind(settings: Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let listener = TcpListener::bind(("127.0.0.1", settings.port))
            .await
            .map_err(|error| format!("PORT: 127.0.0.1:{} cannot be listened on: {error}", settings.port))?;
        let address = listener.local_addr()?;
        let origin = settings.public_url.unwrap_or_else(|| format!("http://{address}"));
        let url = format!("{origin}{PATH}");
        let resource = ProtectedResource::new(&url)?.name("Things").scopes([tools::BASIC])?;
        let (config, resource, issuer) = match settings.clerk {
            // Clerk's tokens have no `aud` unless it is set up, so an instance's audience is opted into with
            // CLERK_OAUTH_AUDIENCE. Without it, a token that names no service is accepted, whatever it was issued for.
            Some(config) => (config, resource, None),
            None => {
                let issuer = Issuer::new(&origin, &url);
                (issuer.config()?, resource.require_audience(), Some(Arc::new(issuer)))
            }
        };
        let trusted = config.issuers().into_iter().map(str::to_owned).collect();
        let origins = Origins::new(&origin, &settings.allowed_origins);
        let metadata = format!("{origin}{}", resource.metadata_path());
        // Clerk may write another text than the URL, which then only the setting knows.
        let audience = if settings.is_audience_set { None } else { Some(Audience::new(&url, &metadata)?) };
        let mut app = guarded(config, resource, audience, &origins, &origin)?;
        if let Some(issuer) = &issuer {
            app = app.merge(issuer::routes(Arc::clone(issuer)));
        }
        // From here on: who reads that the server is there may end it at once.
        let signals = Signals::new();
        Ok(Self { address, app, issuer, listener, signals, trusted, url })
    }

    /// The URL of the MCP endpoint, which is also the resource that clients ask tokens for.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The issuers whose tokens are accepted.
    #[must_use]
    pub fn trusted(&self) -> &[String] {
        &self.trusted
    }

    /// The embedded issuer; `None` if a Clerk instance is trusted.
    #[must_use]
    pub fn issuer(&self) -> Option<&Arc<Issuer>> {
        self.issuer.as_ref()
    }

    /// Serves until Ctrl-C or SIGTERM.
    ///
    /// # Errors
    ///
    /// [`io::Error`] if the socket fails.
    pub async fn run(self) -> io::Result<()> {
        let server = axum::serve(self.listener, self.app);
        self.signals.serve(|ended| server.with_graceful_shutdown(async { drop(ended.await) })).await
    }
}

/// The MCP service behind its layers. The one added last sees a request first.
fn guarded(
    config: ClerkConfig,
    resource: ProtectedResource,
    audience: Option<Audience>,
    origins: &Origins,
    origin: &str,
) -> Result<Router, Box<dyn Error + Send + Sync>> {
    let config = config.accept([TokenKind::OAuth])?;
    let clerk = ClerkAuthLayer::from_config(config)?;
    let metadata_path = resource.metadata_path();
    // For everyone, and for pages of any origin: it stands outside of all guards.
    let metadata = ResourceMetadataService::new(resource.clone(), clerk.verifier());
    let clerk = clerk.protected_resource(resource)?;
    let public_host = Url::parse(origin)?.host_str().unwrap_or_default().to_owned();
    // Without sessions there is nothing that a second client could take over, and no memory that a client could fill.
    // Each request is authenticated by itself, and has one answer.
    let settings = origins
        .checks(&public_host)
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY);
    let mcp = StreamableHttpService::new(|| Ok(Tools), Arc::new(NeverSessionManager::default()), settings);
    let mut mcp = Router::new().route_service(PATH, mcp).route_layer(from_fn(scope_challenge::challenge));
    if let Some(audience) = audience {
        mcp = mcp.route_layer(from_fn_with_state(audience, audience::check));
    }
    let mcp = mcp.route_layer(clerk).route_layer(origins.cors());
    // Clients that do not read the challenge look at the path of the MCP endpoint, some only at the root.
    Ok(mcp.route_service(&metadata_path, metadata.clone()).route_service(WELL_KNOWN, metadata))
}

/// The path of the MCP endpoint.
pub const PATH: &str = "/mcp";
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
