//! Decides about requests.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Once, PoisonError, RwLock},
};

use axum::body::HttpBody;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};
use tower_clerk::{ClerkAuth, ClerkAuthLayer, Principal, RequireLayer, Requirement, rejection::RejectionFormat};

use crate::request::Asked;

/// The layer in front of nothing: what it lets through is allowed.
#[derive(Clone)]
pub(crate) struct Guard {
    authenticated: Service,
    clerk: ClerkAuthLayer,
    /// Reports once that there are too many requirements.
    overflow: Arc<Once>,
    /// What routes require, by its text. `None`: the text is no requirement.
    required: Arc<RwLock<HashMap<String, Option<Service>>>>,
}

/// What was decided.
#[derive(Debug)]
pub(crate) enum Decision {
    Allowed(Caller),
    Rejected(Response<Bytes>),
    /// The configuration of the route has something that is no requirement.
    Unreadable,
}

/// Whose request it is.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    Anonymous,
    Known(Principal),
}

type Service = BoxCloneSyncService<Request<()>, Response<Bytes>, Infallible>;

impl Guard {
    /// Guards with a layer, whose rejections then are HTTP responses for every request: a gRPC `Content-Type` would
    /// otherwise make a 200 of a 401.
    pub(crate) fn new(clerk: ClerkAuthLayer) -> Self {
        let clerk = clerk.rejection_format(RejectionFormat::Http);
        let authenticated = service(clerk.layer(tower::service_fn(allow)));
        Self { authenticated, clerk, overflow: Arc::new(Once::new()), required: Arc::default() }
    }

    pub(crate) async fn decide(&self, asked: Asked) -> Decision {
        let service = match &asked.requirement {
            None => self.authenticated.clone(),
            Some(text) => match self.requiring(text) {
                Some(service) => service,
                None => return Decision::Unreadable,
            },
        };
        let Ok(mut response) = service.oneshot(asked.head).await;
        match response.extensions_mut().remove() {
            Some(caller) => Decision::Allowed(caller),
            None => Decision::Rejected(response),
        }
    }

    /// The service for a requirement, which is read once; `None` if it is none.
    fn requiring(&self, text: &str) -> Option<Service> {
        if let Some(known) = self.required.read().unwrap_or_else(PoisonError::into_inner).get(text) {
            return known.clone();
        }
        let mut unreadable = None;
        let service = match text.parse::<Requirement>() {
            Ok(requirement) => {
                let required = RequireLayer::new(requirement).layer(tower::service_fn(allow));
                Some(service(self.clerk.layer(required)))
            }
            Err(error) => {
                unreadable = Some(error);
                None
            }
        };
        let mut required = self.required.write().unwrap_or_else(PoisonError::into_inner);
        // The texts are those of Envoy's configuration. Whoever else reaches the port must fill neither memory nor log.
        if required.len() < MOST_REQUIREMENTS {
            let is_new = required.insert(text.to_owned(), service.clone()).is_none();
            if let Some(error) = unreadable.filter(|_| is_new) {
                tracing::error!(
                    require = text,
                    "every request to a route is refused, as context_extensions.require is no requirement: {error}"
                );
            }
        } else {
            let report = || tracing::error!("more than {MOST_REQUIREMENTS} requirements: who reaches this port?");
            self.overflow.call_once(report);
        }
        service
    }
}

/// A service that collects the body of a rejection, which the layer has whole.
fn service<S, B>(inner: S) -> Service
where
    S: tower::Service<Request<()>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: HttpBody<Data = Bytes, Error = Infallible> + Send + 'static,
{
    BoxCloneSyncService::new(inner.and_then(async |response: Response<B>| {
        let (parts, body) = response.into_parts();
        let Ok(body) = body.collect().await;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }))
}

fn allow(request: Request<()>) -> Ready<Result<Response<Empty<Bytes>>, Infallible>> {
    let mut extensions = request.into_parts().0.extensions;
    // With sessions alone, there is no `Principal`.
    let principal = extensions.remove::<Principal>().or_else(|| extensions.remove::<ClerkAuth>().map(Into::into));
    let mut response = Response::new(Empty::new());
    response.extensions_mut().insert(principal.map_or(Caller::Anonymous, Caller::Known));
    ready(Ok(response))
}

const MOST_REQUIREMENTS: usize = 1000;
