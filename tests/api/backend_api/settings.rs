use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use tower_clerk::{
    ClerkConfig, ConfigError, TokenKind, Verifier,
    jwks::FetchError,
    verify::{Instance, VerifyErrorKind},
};

use super::asked::{KINDS, config, response, sound, token, verifier};
use crate::support::{issuer, within};

/// The `Authorization` of the one request about a token of this kind.
async fn authorization(kind: TokenKind, secret: Option<&str>, machine: Option<&str>) -> Option<String> {
    let mut config = config();
    if let Some(key) = secret {
        config = config.secret_key(key).expect("a key");
    }
    if let Some(key) = machine {
        config = config.machine_secret_key(key).expect("a key");
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::clone(&seen);
    let api = move |request: Request<Bytes>| {
        let value = request.headers().get(AUTHORIZATION).cloned();
        sent.lock().expect("no panic").push(value);
        async move { Ok::<_, FetchError>(response(200, sound(kind).to_string())) }
    };
    within(verifier(config, api).verify_principal(token(kind))).await.expect("valid");
    let [value] = &seen.lock().expect("no panic")[..] else { panic!("not one request") };
    assert!(value.as_ref().is_none_or(http::HeaderValue::is_sensitive));
    value.as_ref().map(|value| value.to_str().expect("ASCII").to_owned())
}

#[tokio::test]
async fn the_secret_key_of_a_machine_is_for_m2m_tokens_alone() {
    let (secret, machine) = (Some("sk_test_abc"), Some("ak_machine"));
    for (kind, secret, machine, key) in [
        (TokenKind::M2m, secret, machine, machine),
        (TokenKind::M2m, None, machine, machine),
        (TokenKind::M2m, secret, None, secret),
        (TokenKind::M2m, None, None, None),
        (TokenKind::OAuth, secret, machine, secret),
        (TokenKind::OAuth, None, machine, None),
        (TokenKind::ApiKey, secret, machine, secret),
        (TokenKind::ApiKey, None, machine, None),
    ] {
        let expected = key.map(|key| format!("Bearer {key}"));
        assert_eq!(authorization(kind, secret, machine).await, expected, "{kind} {secret:?} {machine:?}");
    }
}

#[test]
fn api_keys_need_a_secret_key_or_a_client_of_the_application() {
    let keys = |config: ClerkConfig| config.accept([TokenKind::ApiKey]).expect("kinds");
    let is_missing = |config| {
        let error = Verifier::new(config).expect_err("no verifier");
        matches!(error, ConfigError::Missing { ref setting, .. } if setting.name() == "secret_key")
    };
    assert!(is_missing(keys(issuer().config())));
    assert!(is_missing(keys(issuer().config().machine_secret_key("ak_machine").expect("a key"))));
    assert!(Verifier::new(keys(issuer().config().secret_key("sk_test_abc").expect("a key"))).is_ok());
    let api = |_: Request<Bytes>| async { Err(FetchError::new("not asked")) };
    assert!(Verifier::builder(Instance::new(keys(issuer().config())).backend_api(api)).build().is_ok());
    let all_but_keys = [TokenKind::Session, TokenKind::OAuth, TokenKind::M2m];
    assert!(Verifier::new(issuer().config().accept(all_but_keys).expect("kinds")).is_ok());
}

#[tokio::test]
async fn without_a_key_the_opaque_form_is_rejected_at_once() {
    let config = || issuer().config().accept([TokenKind::OAuth, TokenKind::M2m]).expect("kinds");
    let without = Verifier::new(config()).expect("a verifier");
    let machine = config().machine_secret_key("ak_machine").and_then(|config| config.api_url("http://127.0.0.1:9"));
    let machine = Verifier::new(machine.expect("a configuration")).expect("a verifier");
    for (verifier, kind, expected) in [
        (&without, TokenKind::OAuth, VerifyErrorKind::TokenKindNotAccepted),
        (&without, TokenKind::M2m, VerifyErrorKind::TokenKindNotAccepted),
        (&without, TokenKind::ApiKey, VerifyErrorKind::TokenKindNotAccepted),
        (&machine, TokenKind::OAuth, VerifyErrorKind::TokenKindNotAccepted),
        // Asked about, of a server that is not there.
        (&machine, TokenKind::M2m, VerifyErrorKind::KeysUnavailable),
    ] {
        let error = within(verifier.verify_principal(token(kind))).await.expect_err("no verdict");
        assert_eq!(error.kind(), expected, "{kind}");
    }
    assert_eq!((without.opaque_tokens_status().calls, machine.opaque_tokens_status().calls), (0, 1));
}

#[tokio::test]
async fn a_kind_that_is_not_accepted_is_not_asked_about() {
    for accepted in TokenKind::all() {
        for kind in KINDS.into_iter().filter(|kind| *kind != accepted) {
            let config = issuer().config().accept([accepted]).expect("a kind");
            let api = |_: Request<Bytes>| async { panic!("asked") };
            let verifier = verifier(config, move |request| {
                let answer = api(request);
                async { Ok::<_, FetchError>(answer.await) }
            });
            let error = within(verifier.verify_principal(token(kind))).await.expect_err("not accepted");
            assert_eq!(error.kind(), VerifyErrorKind::TokenKindNotAccepted, "{accepted} {kind}");
            assert_eq!(verifier.opaque_tokens_status().calls, 0);
        }
    }
}

#[test]
fn a_key_or_url_of_another_kind_is_an_error() {
    for (set, reason) in [
        (issuer().config().secret_key("pk_test_Y2xlcmsuY2xlcmsuZGV2JA"), "is a publishable key"),
        (issuer().config().secret_key("ak_machine"), "is the key of a machine"),
        (issuer().config().machine_secret_key("pk_test_Y2xlcmsuY2xlcmsuZGV2JA"), "is a publishable key"),
        (issuer().config().machine_secret_key("sk_test_abc"), "is the secret key of the instance"),
        (issuer().config().api_url("http://api.example.com"), "must use https"),
        (issuer().config().api_url("http://192.0.2.1"), "must use https"),
        (issuer().config().api_url("http://localhost.example.com"), "must use https"),
        (issuer().config().api_url("https://sk_test_abc@api.example.com"), "must have no user name"),
        (issuer().config().machine_id("ak_machine"), "starts with mch_"),
    ] {
        let error = set.expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
    for url in ["http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9", "https://api.example.com"] {
        assert!(issuer().config().api_url(url).is_ok(), "{url}");
    }
}
