//! An authorization server as it is easily written: it takes an HTTP 200 for a yes, reads the map of merged headers,
//! and sets the one identity header that it has a value for.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use envoy_types::ext_authz::v3::{
    CheckRequestExt, CheckResponseExt, OkHttpResponseBuilder,
    pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse, HeaderAppendAction},
};
use http::{Request, Response};
use http_body_util::Empty;
use tonic::{Status, transport::server::TcpIncoming};
use tower::{Layer, ServiceExt};
use tower_clerk::{ClerkAuth, ClerkAuthLayer, testing::TestIssuer};

#[derive(Clone)]
struct Naive(ClerkAuthLayer);

/// Starts one that also lets anonymous requests pass, if it is to.
pub(crate) async fn start(issuer: &TestIssuer, allows_anonymous: bool) -> SocketAddr {
    let clerk = ClerkAuthLayer::from_config(issuer.config()).unwrap();
    let naive = Naive(if allows_anonymous { clerk.allow_missing_token() } else { clerk });
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(AuthorizationServer::new(naive));
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

#[tonic::async_trait]
impl Authorization for Naive {
    async fn check(&self, request: tonic::Request<CheckRequest>) -> Result<tonic::Response<CheckResponse>, Status> {
        let check = request.into_inner();
        let http = check.attributes.as_ref().unwrap().request.as_ref().unwrap().http.as_ref().unwrap();
        let mut builder = Request::builder().method(http.method.as_str());
        for (name, value) in check.get_client_headers().unwrap().iter().filter(|(name, _)| !name.starts_with(':')) {
            // The first of a list.
            builder = builder.header(name, value.split(',').next().unwrap());
        }
        let service = self.0.layer(tower::service_fn(async |request: Request<()>| {
            let mut response = Response::new(Empty::<Bytes>::new());
            let user = request.extensions().get::<ClerkAuth>().map(|user| user.user_id().to_owned());
            response.extensions_mut().insert(user);
            Ok::<_, Infallible>(response)
        }));
        let response = service.oneshot(builder.body(()).unwrap()).await.unwrap();
        if response.status() != 200 {
            let denied = Status::unauthenticated("");
            return Ok(tonic::Response::new(CheckResponse::with_status(denied)));
        }
        let mut allowed = OkHttpResponseBuilder::new();
        match response.extensions().get::<Option<String>>() {
            Some(Some(user)) => {
                allowed.add_header("x-clerk-user-id", user, Some(HeaderAppendAction::OverwriteIfExistsOrAdd), false)
            }
            _ => &mut allowed,
        };
        let mut check = CheckResponse::with_status(Status::ok(""));
        check.set_http_response(allowed);
        Ok(tonic::Response::new(check))
    }
}
