//! Tokens that are longer than the headers that tonic takes by default.

use tonic::{Code, Request, transport::Server};
use tower_clerk::ClerkAuthLayer;

use crate::{
    echo::echo_client::EchoClient,
    harness::{Probe, connect, echo, issuer, listen, text, token},
    support::bearer,
};

/// A call with headers of 20 KB to a server with this limit.
async fn call_with_20_kb(limit: Option<u32>) -> Result<String, Code> {
    let config = issuer().config().max_token_length(32 * 1024).expect("a length");
    let clerk = ClerkAuthLayer::from_config(config).expect("a layer");
    let (incoming, address) = listen().await;
    let router = Server::builder().http2_max_header_list_size(limit).layer(clerk).add_service(echo(&Probe::default()));
    tokio::spawn(router.serve_with_incoming(incoming));

    let long = bearer(&token().claim("notes", "x".repeat(15 * 1024)));
    assert!(long.len() > 20_000);
    let mut request = Request::new(text("a"));
    request.metadata_mut().insert("authorization", long.parse().expect("ASCII"));
    let reply = EchoClient::new(connect(address).await).unary(request).await;
    reply.map(|reply| reply.into_inner().text).map_err(|status| status.code())
}

#[tokio::test]
async fn a_call_with_20_kb_of_headers_needs_a_raised_limit() {
    assert_eq!(call_with_20_kb(Some(64 * 1024)).await, Ok("user_ada: a".to_owned()));
    assert!(call_with_20_kb(None).await.is_err());
}
