//! Policies as Tower layers.

mod headers;

use std::{convert::Infallible, fmt, sync::Arc};

use axum::{body::Body, response::IntoResponse};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};
use tower_clerk::{ClerkAuthLayer, ConfigError, gateway::GatewayPolicy, rejection::RejectionFormat};

pub(crate) use self::headers::EditHeaders;

/// What a policy wraps: the policies after it, and the handler of the route.
pub type RouteService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A layer that was registered in code, with its types hidden.
#[derive(Clone)]
pub(crate) struct CustomLayer(Arc<dyn Fn(RouteService) -> RouteService + Send + Sync>);

impl CustomLayer {
    pub(crate) fn new<L>(layer: L) -> Self
    where
        L: Layer<RouteService> + Send + Sync + 'static,
        L::Service:
            Service<Request<Body>, Error: Into<Infallible>, Response: IntoResponse> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    {
        Self(Arc::new(move |inner| {
            let service = layer.layer(inner);
            BoxCloneSyncService::new(service.map_response(IntoResponse::into_response).map_err(Into::into))
        }))
    }
}

impl fmt::Debug for CustomLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CustomLayer")
    }
}

/// Makes the layer of an authentication policy.
///
/// Rejections are HTTP also for gRPC, as the hosted gateway has it: a client of HTTP must not be able to turn a 401
/// into a 200 by its content type.
pub(crate) fn authentication_layer(policy: &GatewayPolicy) -> Result<ClerkAuthLayer, ConfigError> {
    Ok(ClerkAuthLayer::from_gateway_policy(policy)?.rejection_format(RejectionFormat::Http))
}

/// A policy that is ready for requests. Routes that name it share its keys and its cache.
#[derive(Clone, Debug)]
pub(crate) enum PolicyLayer {
    Authenticate(ClerkAuthLayer),
    Custom(CustomLayer),
    EditHeaders(EditHeaders),
}

impl PolicyLayer {
    pub(crate) fn wrap(&self, inner: RouteService) -> RouteService {
        match self {
            Self::Authenticate(layer) => {
                BoxCloneSyncService::new(layer.layer(inner).map_response(|response| response.map(Body::new)))
            }
            Self::Custom(layer) => (layer.0)(inner),
            Self::EditHeaders(layer) => BoxCloneSyncService::new(layer.layer(inner)),
        }
    }
}
