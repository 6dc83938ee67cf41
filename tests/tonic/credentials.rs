use tonic::{
    Code, Request, Status,
    metadata::{AsciiMetadataValue, BinaryMetadataValue},
    service::Interceptor,
    transport::Channel,
};

use crate::{
    echo::{Text, echo_client::EchoClient},
    harness::{echo_behind, good, issuer, layer, text, token, watched_echo_behind},
    support::{
        BAD, bearer,
        grpc::{call, codes},
    },
};

const BASIC: &str = "Basic eDp5";

async fn ask(client: &mut EchoClient<Channel>, request: Request<Text>) -> (Code, Option<String>) {
    match client.unary(request).await {
        Ok(reply) => (Code::Ok, Some(reply.into_inner().text)),
        Err(status) => (status.code(), codes(&status).1.map(str::to_owned)),
    }
}

fn ok() -> (Code, Option<String>) {
    (Code::Ok, Some("user_ada: a".to_owned()))
}

fn rejected(code: Code, clerk_code: &str) -> (Code, Option<String>) {
    (code, Some(clerk_code.to_owned()))
}

#[tokio::test]
async fn more_than_one_authorization_entry_is_malformed() {
    let (mut client, probe) = echo_behind(layer()).await;
    let (one, other) = (good(), bearer(&issuer().token("user_bob")));
    let (one, other) = (one.as_str(), other.as_str());
    for entries in [
        &[one, one][..],
        &[one, other],
        &[one, BAD],
        &[BAD, one],
        &[one, BASIC],
        &[BASIC, one],
        &[BASIC, BASIC],
        &[one, ""],
        &["", one],
        &[one, one, one],
    ] {
        let seen = ask(&mut client, call(text("a"), entries)).await;
        assert_eq!(seen, rejected(Code::InvalidArgument, "malformed_request"), "{} entries", entries.len());
    }
    assert_eq!(probe.calls(), 0);
    assert_eq!(ask(&mut client, call(text("a"), &[one])).await, ok());
}

#[tokio::test]
async fn two_tokens_in_one_entry_are_malformed() {
    let (mut client, probe) = echo_behind(layer()).await;
    let one = good();
    for entry in [format!("{one}, {one}"), format!("{one},"), format!("{one} {one}")] {
        let seen = ask(&mut client, call(text("a"), &[&entry])).await;
        assert_eq!(seen, rejected(Code::InvalidArgument, "malformed_request"));
    }
    assert_eq!(probe.calls(), 0);
}

#[tokio::test]
async fn binary_metadata_is_ignored() {
    let (mut client, _probe) = echo_behind(layer()).await;
    for bytes in [good().as_bytes(), token().sign().as_bytes(), b"\x00\xff", b""] {
        let binary = BinaryMetadataValue::from_bytes(bytes);
        let mut request = call(text("a"), &[]);
        request.metadata_mut().insert_bin("authorization-bin", binary.clone());
        assert_eq!(ask(&mut client, request).await, rejected(Code::Unauthenticated, "missing_token"));
        let mut request = call(text("a"), &[&good()]);
        request.metadata_mut().insert_bin("authorization-bin", binary);
        assert_eq!(ask(&mut client, request).await, ok());
    }
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case() {
    let (mut client, _probe) = echo_behind(layer()).await;
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        let entry = format!("{scheme} {}", token().sign());
        assert_eq!(ask(&mut client, call(text("a"), &[&entry])).await, ok(), "{scheme}");
    }
    let bare = token().sign();
    assert_eq!(ask(&mut client, call(text("a"), &[&bare])).await, rejected(Code::Unauthenticated, "missing_token"));
}

/// Adds a token to every call, as clients do.
#[derive(Clone)]
struct WithToken(AsciiMetadataValue);

impl Interceptor for WithToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().append("authorization", self.0.clone());
        Ok(request)
    }
}

#[tokio::test]
async fn a_client_interceptor_can_add_the_token() {
    let (channel, probe, _) = watched_echo_behind(layer()).await;
    let mut with_token = EchoClient::with_interceptor(channel.clone(), WithToken(good().parse().expect("a value")));
    for _ in 0..2 {
        assert_eq!(with_token.unary(text("a")).await.expect("a reply").into_inner(), text("user_ada: a"));
    }
    let mut with_bad = EchoClient::with_interceptor(channel, WithToken(BAD.parse().expect("a value")));
    let status = with_bad.unary(text("a")).await.expect_err("a rejection");
    assert_eq!(codes(&status), (Code::Unauthenticated, Some("invalid_token")));
    // A call that already has a token then has two.
    let status = with_token.unary(call(text("a"), &[&good()])).await.expect_err("a rejection");
    assert_eq!(codes(&status), (Code::InvalidArgument, Some("malformed_request")));
    assert_eq!(probe.calls(), 2);
}
