//! Neither the secret key nor a token shows in an error or in `Debug`.

use std::{error::Error, fmt::Write};

use tower_clerk::{TokenKind, Verifier, testing::ManualClock, verify::VerifyError};

use super::api::{Api, TOKEN, config, good, good_body};
use crate::{
    faults::instance::response,
    support::server::{Server, Step},
};

fn shown(error: &VerifyError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, " {error} {error:?}").expect("a string");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn no_error_shows_a_secret() {
    let echo = format!(r#"{{"errors":[{{"message":"sk_test_hunter2 {TOKEN}"}}]}}"#);
    for script in [
        response("401 Unauthorized", &[], echo.clone()),
        response("500 hunter2", &[("X-Echo", "sk_test_hunter2")], echo.clone()),
        response("200 OK", &[], format!("{echo}x")),
        response("404 Not Found", &[], echo),
        vec![Step::Write(b"HTTP/1.1 200 OK\r\nsk_test_hunter2 token2\r\n\r\n".to_vec()), Step::Close],
        vec![Step::Reset],
    ] {
        let api = Api::start(script).await;
        let error = api.verify(TOKEN).await.expect_err("not good");
        let shown = shown(&error);
        assert!(!shown.contains("hunter2") && !shown.contains("token2"), "{shown}");
    }
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let server = Server::start(good()).await;
    let config = config(&server.url()).machine_secret_key("ak_hunter2").expect("a key");
    let builder = Verifier::builder(config.clone()).clock(ManualClock::new());
    let before = format!("{config:?} {builder:?}");
    let api = Api { verifier: builder.build().expect("a verifier"), server };
    let principal = api.verify(TOKEN).await.expect("a good key");
    assert_eq!(principal.kind(), TokenKind::ApiKey);
    let shown = format!("{before} {:?} {principal:?} {:?}", api.verifier, api.verifier.opaque_tokens_status());
    assert!(!shown.contains("hunter2") && !shown.contains("token2") && !shown.contains("user_ada"), "{shown}");
    assert!(good_body().contains("user_ada"));
}

#[tokio::test]
async fn the_secret_of_one_instance_is_never_sent_for_another() {
    let server = Server::start(response("404 Not Found", &[], "{}")).await;
    let other = Server::start(good()).await;
    let named = |url: &str, name: &str, secret: &str| {
        let config = config(url).add_issuer(format!("https://{name}.example.com")).expect("an issuer");
        config.secret_key(secret).expect("a key")
    };
    let verifier = Verifier::builder(named(&server.url(), "one", "sk_test_one"))
        .instance(named(&other.url(), "two", "sk_test_two"))
        .clock(ManualClock::new())
        .build()
        .expect("a verifier");
    let api = Api { server, verifier };
    api.verify(TOKEN).await.expect("a good key");
    let (first, second) = (api.server.seen().heads.concat(), other.seen().heads.concat());
    assert!(first.contains("sk_test_one") && !first.contains("sk_test_two"), "{first}");
    assert!(second.contains("sk_test_two") && !second.contains("sk_test_one"), "{second}");
}
