//! Handlers that take other kinds of tokens than sessions.

use std::pin::Pin;

use futures_util::Stream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    service::{LayerExt, Routes},
};
use tower::ServiceBuilder;
use tower_clerk::{
    ApiKey, ClerkAuth, ClerkAuthLayer, M2mToken, OAuthToken, Principal, RequireLayer, Requirement, TokenKind, Verifier,
    authorize::RequireAuthenticatedLayer,
    testing::{TestBackendApi, TokenBuilder},
    verify::Instance,
};

use crate::{
    echo::{Text, echo_client::EchoClient, echo_server},
    harness::{connect, echo_behind, issuer, serve, text, token},
    support::{
        bearer,
        grpc::{call, codes},
    },
};

const OTHER_KIND: (Code, Option<&str>) = (Code::Unauthenticated, Some("invalid_token"));
const DENIED: (Code, Option<&str>) = (Code::PermissionDenied, Some("insufficient_scope"));

fn oauth() -> TokenBuilder {
    issuer().oauth_token("user_ada").claim("scope", "things:read")
}

fn m2m() -> TokenBuilder {
    issuer().m2m_token("mch_orders")
}

/// Accepts every kind of JWT.
fn verifier() -> Verifier {
    let config = issuer().config().accept([TokenKind::Session, TokenKind::OAuth, TokenKind::M2m]);
    Verifier::new(config.expect("kinds")).expect("a verifier")
}

fn layer() -> ClerkAuthLayer {
    verifier().into()
}

/// Replies with the caller. The text of the message names the kind that the handler takes.
#[derive(Clone)]
struct Whoami;

type Texts = Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;

#[tonic::async_trait]
impl echo_server::Echo for Whoami {
    type ServerStreamingStream = Texts;
    type BidirectionalStream = Texts;

    async fn unary(&self, request: Request<Text>) -> Result<Response<Text>, Status> {
        let caller = match request.get_ref().text.as_str() {
            "session" => ClerkAuth::from_tonic(&request)?.user_id().to_owned(),
            // The types of one kind are borrowed.
            "oauth" => {
                let token: &OAuthToken = OAuthToken::from_tonic(&request)?;
                token.user_id().to_owned()
            }
            "m2m" => M2mToken::from_tonic(&request)?.machine_id().to_owned(),
            "api key" => ApiKey::from_tonic(&request)?.id().to_owned(),
            "scoped" => {
                let token = OAuthToken::from_tonic(&request)?;
                token.require(&Requirement::scope("things:write"))?;
                token.user_id().to_owned()
            }
            _ => Principal::from_tonic(&request)?.kind().to_string(),
        };
        Ok(Response::new(text(&caller)))
    }

    async fn client_streaming(&self, _: Request<Streaming<Text>>) -> Result<Response<Text>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn server_streaming(&self, _: Request<Text>) -> Result<Response<Texts>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn bidirectional(&self, _: Request<Streaming<Text>>) -> Result<Response<Texts>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tokio::test]
async fn a_handler_gets_the_kind_that_it_takes_and_no_other() {
    let service = ServiceBuilder::new().layer(layer()).named_layer(echo_server::EchoServer::new(Whoami));
    let mut client = EchoClient::new(connect(serve(Routes::new(service)).await).await);
    for (index, token) in [token(), oauth(), m2m()].iter().enumerate() {
        for (other, kind) in ["session", "oauth", "m2m", "api key"].into_iter().enumerate() {
            let reply = client.unary(call(text(kind), &[&bearer(token)])).await;
            match reply {
                Ok(reply) => {
                    assert_eq!(index, other, "{kind}");
                    assert_eq!(reply.into_inner(), text(["user_ada", "user_ada", "mch_orders"][index]));
                }
                Err(status) => {
                    assert_ne!(index, other, "{kind}");
                    assert_eq!((codes(&status), status.message()), (OTHER_KIND, "invalid token"));
                }
            }
        }
        let reply = client.unary(call(text("any"), &[&bearer(token)])).await.expect("a reply").into_inner();
        assert_eq!(reply, text(["session_token", "oauth_token", "m2m_token"][index]));
    }
    let status = client.unary(call(text("scoped"), &[&bearer(&oauth())])).await.expect_err("no scope");
    assert_eq!(codes(&status), DENIED);
    let writer = oauth().claim("scope", "things:write");
    assert!(client.unary(call(text("scoped"), &[&bearer(&writer)])).await.is_ok());
}

#[tokio::test]
async fn an_api_key_is_a_caller_and_an_outage_of_the_api_is_unavailable() {
    let api = TestBackendApi::new();
    let config = issuer().config().accept([TokenKind::Session, TokenKind::ApiKey]).expect("kinds");
    let verifier = Verifier::builder(Instance::new(config).backend_api(api.clone())).build().expect("a verifier");
    let layers = ServiceBuilder::new().layer(ClerkAuthLayer::from(verifier));
    let address = serve(Routes::new(layers.named_layer(echo_server::EchoServer::new(Whoami)))).await;
    let mut client = EchoClient::new(connect(address).await);
    let [good, other] = ["ak_good", "ak_other"].map(|id| api.api_key("user_ada").id(id).issue());
    for (kind, reply) in [("api key", "ak_good"), ("any", "api_key")] {
        let replied = client.unary(call(text(kind), &[&format!("Bearer {good}")])).await.expect("a reply");
        assert_eq!(replied.into_inner(), text(reply));
    }
    let status = client.unary(call(text("session"), &[&format!("Bearer {good}")])).await.expect_err("no user");
    assert_eq!(codes(&status), OTHER_KIND);
    let status = client.unary(call(text("api key"), &["Bearer ak_unknown"])).await.expect_err("nobody's key");
    assert_eq!(codes(&status), OTHER_KIND);

    api.serve_status(500);
    let status = client.unary(call(text("api key"), &[&format!("Bearer {other}")])).await.expect_err("an outage");
    assert_eq!(codes(&status), (Code::Unavailable, Some("keys_unavailable")));
    assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
    let replied = client.unary(call(text("api key"), &[&format!("Bearer {good}")])).await.expect("a kept answer");
    assert_eq!(replied.into_inner(), text("ak_good"));
}

#[tokio::test]
async fn a_service_for_users_is_called_by_no_machine() {
    // By default the layer rejects it, and behind a wider layer the handler does.
    for clerk in [crate::harness::layer(), layer()] {
        let (mut client, _) = echo_behind(clerk).await;
        assert!(client.unary(call(text("a"), &[&bearer(&token())])).await.is_ok());
        for machine in [oauth(), m2m()] {
            let status = client.unary(call(text("a"), &[&bearer(&machine)])).await.expect_err("no user");
            assert_eq!(codes(&status), OTHER_KIND);
            let status = client.server_streaming(call(text("a"), &[&bearer(&machine)])).await.expect_err("no user");
            assert_eq!(codes(&status), OTHER_KIND);
        }
    }
}

#[tokio::test]
async fn a_requirement_of_a_scope_guards_a_service() {
    let scoped = RequireLayer::new(Requirement::scope("things:read"));
    let layers = ServiceBuilder::new().layer(layer()).layer(scoped);
    let address = serve(Routes::new(layers.named_layer(echo_server::EchoServer::new(Whoami)))).await;
    let mut client = EchoClient::new(connect(address).await);
    assert!(client.unary(call(text("oauth"), &[&bearer(&oauth())])).await.is_ok());
    for other in [token(), m2m(), oauth().claim("scope", "things:write")] {
        let status = client.unary(call(text("any"), &[&bearer(&other)])).await.expect_err("no scope");
        assert_eq!((codes(&status), status.message()), (DENIED, "insufficient scope"));
    }
}

#[tokio::test]
async fn an_authenticated_user_is_no_machine() {
    let layers = ServiceBuilder::new().layer(layer()).layer(RequireAuthenticatedLayer::new());
    let address = serve(Routes::new(layers.named_layer(echo_server::EchoServer::new(Whoami)))).await;
    let mut client = EchoClient::new(connect(address).await);
    assert!(client.unary(call(text("any"), &[&bearer(&token())])).await.is_ok());
    for machine in [oauth(), m2m()] {
        let status = client.unary(call(text("any"), &[&bearer(&machine)])).await.expect_err("no user");
        assert_eq!(codes(&status), OTHER_KIND);
    }
}

#[test]
fn a_request_without_a_layer_is_an_internal_error() {
    let request = Request::new(());
    for status in [
        OAuthToken::from_tonic(&request).expect_err("no layer"),
        M2mToken::from_tonic(&request).expect_err("no layer"),
        ApiKey::from_tonic(&request).expect_err("no layer"),
        Principal::from_tonic(&request).expect_err("no layer"),
    ] {
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    }
}

#[test]
fn what_a_test_inserts_is_found() {
    let mut request = Request::new(());
    request.extensions_mut().insert(ClerkAuth::builder().user_id("user_bob").build());
    assert_eq!(Principal::from_tonic(&request).expect("a principal").subject(), "user_bob");
    assert_eq!(codes(&OAuthToken::from_tonic(&request).expect_err("a session")), OTHER_KIND);

    let mut request = Request::new(());
    let Ok(Principal::OAuth(token)) = verifier().try_verify_principal(&oauth().sign()) else {
        panic!("an OAuth token")
    };
    request.extensions_mut().insert(token);
    assert_eq!(OAuthToken::from_tonic(&request).expect("a token").user_id(), "user_ada");
    assert_eq!(Principal::from_tonic(&request).expect("a principal").kind(), TokenKind::OAuth);
    assert_eq!(codes(&ClerkAuth::from_tonic(&request).expect_err("no session")), OTHER_KIND);
}
