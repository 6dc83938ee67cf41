use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::json;
use tower_clerk::{
    ClerkConfig, TokenKind, Verifier,
    jwks::FetchError,
    testing::ManualClock,
    verify::{Instance, VerifyErrorKind},
};
use tracing::Level;

use super::asked::{config, response};
use crate::{
    support::{
        issuer,
        server::{Script, Server, Step},
        within,
    },
    telemetry::Log,
};

async fn verify(verifier: &Verifier, token: &str) -> VerifyErrorKind {
    within(verifier.verify_principal(token)).await.expect_err("not good").kind()
}

#[tokio::test]
async fn a_key_that_is_refused_is_an_error_event_once_a_minute_with_its_setting() {
    let clock = ManualClock::new();
    let config = config().secret_key("sk_test_hunter2").and_then(|config| config.machine_secret_key("ak_hunter2"));
    let body = json!({ "errors": [{ "message": "sk_test_hunter2 token2" }] }).to_string();
    let api = move |_: Request<Bytes>| {
        let response = response(401, body.clone());
        async move { Ok::<_, FetchError>(response) }
    };
    let instance = Instance::new(config.expect("a configuration")).backend_api(api);
    let verifier = Verifier::builder(instance).clock(clock.clone()).build().expect("a verifier");
    for (token, setting) in
        [("ak_token2", "secret_key"), ("oat_token2", "secret_key"), ("mt_token2", "machine_secret_key")]
    {
        let (log, _guard) = Log::start();
        for number in 0..3 {
            assert_eq!(verify(&verifier, &format!("{token}{number}")).await, VerifyErrorKind::KeysUnavailable);
            clock.advance(Duration::from_secs(10));
        }
        let errors: Vec<_> = log.take().into_iter().filter(|event| event.level == Level::ERROR).collect();
        let [event] = &errors[..] else { panic!("{errors:?}") };
        assert!(event.text.contains(setting), "{event:?}");
        clock.advance(Duration::from_secs(60));
    }
}

async fn lines_for(script: Script) -> String {
    let server = Server::start(script).await;
    let config = ClerkConfig::from_jwt_key(issuer().public_key_pem())
        .and_then(|config| config.secret_key("sk_test_hunter2")?.api_url(server.url())?.accept([TokenKind::ApiKey]))
        .expect("a configuration");
    let verifier = Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier");
    let (log, _guard) = Log::start();
    verify(&verifier, "ak_token2").await;
    log.lines().concat()
}

fn write(text: &str) -> Step {
    Step::Write(text.as_bytes().to_vec())
}

#[tokio::test]
async fn a_failure_names_the_request_and_the_cause_and_no_secret() {
    for (script, expected) in [
        (vec![write("HTTP/1.1 500 hunter2\r\nContent-Length: 0\r\n\r\n")], "500 Internal Server Error"),
        (vec![write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<token2>")], "no JSON object"),
        (vec![write("hunter2 token2\r\n\r\n"), Step::Close], "/api_keys/verify"),
        (vec![Step::Reset], "/api_keys/verify"),
        (
            vec![write("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n"), Step::Repeat([b' '; 70_000].into(), 1)],
            "64 KiB",
        ),
        (vec![write("HTTP/1.1 401 hunter2\r\nContent-Length: 6\r\n\r\ntoken2")], "secret_key"),
    ] {
        let lines = lines_for(script).await;
        assert!(lines.contains(expected), "{lines}");
        assert!(!lines.contains("hunter2") && !lines.contains("token2"), "{lines}");
    }
}
