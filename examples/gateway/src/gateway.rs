//! What a gateway is made of.

use std::{collections::BTreeMap, convert::Infallible, io};

use axum::{body::Body, response::IntoResponse};
use http::{HeaderName, Request};
use tower::{Layer, Service};

use crate::{
    documents::{self, Context, Documents},
    error::GatewayError,
    policies::{CustomLayer, RouteService},
    proxy::{Proxy, ProxySettings},
    source::Source,
    terminal::print_line,
};

/// The gateway, and the policies that only your code knows.
///
/// ```no_run
/// use axum::{extract::Request, middleware::{Next, from_fn}, response::Response};
/// use gateway::Gateway;
/// use http::HeaderName;
/// use tower_clerk::ClerkAuth;
///
/// async fn forward_user_id(mut request: Request, next: Next) -> Response {
///     let id = request.extensions().get::<ClerkAuth>().and_then(|user| user.user_id().parse().ok());
///     if let Some(id) = id {
///         request.headers_mut().insert("user-id", id);
///     }
///     next.run(request).await
/// }
///
/// fn main() -> std::process::ExitCode {
///     let gateway = Gateway::new().identity_header(HeaderName::from_static("user-id"));
///     gateway.policy("forward-user-id", from_fn(forward_user_id)).run()
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Gateway {
    identity_headers: Vec<HeaderName>,
    pub(crate) policies: BTreeMap<String, CustomLayer>,
}

impl Gateway {
    /// Makes a gateway without policies of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a Tower layer under the name by which routes refer to it, in place of whatever `policies.json` says.
    ///
    /// It wraps the policies that a route names after it, and the handler. Policies before it have run: the verified
    /// user is in the extensions, as [`ClerkAuth`](tower_clerk::ClerkAuth).
    pub fn policy<L>(mut self, name: impl Into<String>, layer: L) -> Self
    where
        L: Layer<RouteService> + Send + Sync + 'static,
        L::Service:
            Service<Request<Body>, Error: Into<Infallible>, Response: IntoResponse> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    {
        self.policies.insert(name.into(), CustomLayer::new(layer));
        self
    }

    /// Names a header that only the gateway and its policies may set: a client's own is removed, in every spelling.
    pub fn identity_header(mut self, name: HeaderName) -> Self {
        self.identity_headers.push(name);
        self
    }

    /// Reads the files, and prints what the hosted gateway would ignore.
    pub(crate) fn read(&self, source: &Source) -> Result<Documents, GatewayError> {
        let variable = |name: &str| source.variable(name);
        let context = Context { variable: &variable, is_registered: &|name| self.policies.contains_key(name) };
        let documents = documents::read_folder(source.folder(), &context)?;
        documents.warnings.iter().for_each(|warning| print_line(io::stderr(), &format!("warning: {warning}")));
        Ok(documents)
    }

    pub(crate) fn proxy(&self, mut settings: ProxySettings) -> Result<Proxy, GatewayError> {
        settings.identity_headers.extend(self.identity_headers.iter().cloned());
        Proxy::new(settings).map_err(GatewayError::from)
    }
}
