//! Warnings about mistakes of the operator: what rejects every token is seen, with its cause.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use axum::{Router, routing::get};
use serde::Deserialize;
use tower::ServiceExt;
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, ConfigError, CustomClaims, Rejection, Verifier,
    testing::{ManualClock, TokenBuilder},
    verify::{Clock, Instance, VerifyErrorKind},
};
use tracing::Level;

use crate::{
    support::{GatedSource, Reply, bearer, get_path, issuer, other_issuer, secs, send_through, token},
    telemetry::Log,
};

const DRIFT: &str = "WARN tokens with a valid signature are not valid yet; check the clock of this machine, or raise \
                     CLERK_CLOCK_SKEW_SECONDS (clock_skew)";
const SETTING: &str = "WARN a setting rejects tokens with a valid signature";
const CUSTOM: &str = "WARN valid tokens do not match the type of the custom claims";
const KEYS: &str = "WARN the configured keys have verified no token yet; they may belong to another instance, or the \
                    tokens may be forged";

/// The instance that every warning names: the issuer of the configuration.
const INSTANCE: &str = r#"instance="https://clerk.test.example""#;

fn verifier_with(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> (Verifier, ManualClock) {
    verifier_of(change(issuer().config()).expect("a configuration"))
}

fn verifier_of(config: ClerkConfig) -> (Verifier, ManualClock) {
    let clock = ManualClock::new();
    (Verifier::builder(config).clock(clock.clone()).build().expect("a verifier"), clock)
}

/// A token that is issued so many seconds after the time of the clock.
fn issued_ahead(clock: &ManualClock, seconds: f64) -> TokenBuilder {
    let now = clock.now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    token().without_claim("nbf").claim("iat", now + seconds).claim("exp", now + seconds + 60.0)
}

fn kind(verifier: &Verifier, token: &TokenBuilder) -> VerifyErrorKind {
    verifier.try_verify(&token.sign()).expect_err("it is rejected").kind()
}

#[test]
fn tokens_that_are_good_or_at_fault_themselves_are_no_warning() {
    let (verifier, _) = verifier_with(|config| config.authorized_parties(["https://app.test.example"]));
    let (log, _guard) = Log::start();
    for _ in 0..2 {
        assert!(verifier.try_verify(&token().sign()).is_ok());
    }
    for (token, expected) in [
        (token().expired(), VerifyErrorKind::Expired),
        (token().claim("sub", "mch_a"), VerifyErrorKind::TokenKindNotAccepted),
        (token().claim("sub", ""), VerifyErrorKind::InvalidSubject),
        (token().claim("sts", "pending"), VerifyErrorKind::PendingSession),
        (token().header("kid", "ins_stranger"), VerifyErrorKind::UnknownKey),
        (other_issuer().token("user_ada"), VerifyErrorKind::InvalidSignature),
    ] {
        assert_eq!(kind(&verifier, &token), expected);
    }
    assert_eq!(log.lines(), Vec::<String>::new());
}

#[test]
fn a_slow_clock_is_a_warning_once_a_minute_with_the_count_and_the_drift() {
    let (verifier, clock) = verifier_with(Ok);
    let (log, _guard) = Log::start();
    let reject =
        |seconds: f64| assert_eq!(kind(&verifier, &issued_ahead(&clock, seconds)), VerifyErrorKind::IssuedInFuture);
    reject(30.0);
    assert_eq!(log.lines(), [format!("{DRIFT} {INSTANCE} count=1 drift=30")]);
    for seconds in [20.0, 29.5, 10.0] {
        reject(seconds);
    }
    clock.advance(Duration::from_millis(59_999));
    reject(11.0);
    assert_eq!(log.lines(), Vec::<String>::new());
    clock.advance(Duration::from_millis(1));
    reject(12.0);
    assert_eq!(log.lines(), [format!("{DRIFT} {INSTANCE} count=5 drift=30")], "the largest drift, rounded up");
    clock.advance(secs(60));
    reject(7.0);
    assert_eq!(log.lines(), [format!("{DRIFT} {INSTANCE} count=1 drift=7")]);
}

#[test]
fn the_drift_is_that_of_the_later_of_nbf_and_iat() {
    for (nbf, iat, drift) in [(20.0, 30.0, 30), (30.0, 20.0, 30), (30.0, -60.0, 30), (-10.0, 30.0, 30)] {
        let (verifier, clock) = verifier_with(Ok);
        let (log, _guard) = Log::start();
        let now = clock.now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        kind(&verifier, &token().claim("nbf", now + nbf).claim("iat", now + iat));
        assert_eq!(log.lines(), [format!("{DRIFT} {INSTANCE} count=1 drift={drift}")], "{nbf} {iat}");
    }
}

#[test]
fn drift_begins_beyond_the_skew_and_ends_before_five_minutes() {
    for (skew, ahead, drift) in [
        (5, 5.0, None),
        (5, 5.001, Some(6)),
        (0, 0.0, None),
        (0, 0.001, Some(1)),
        (5, 299.999, Some(300)),
        (5, 300.0, None),
        (5, 3600.0, None),
        (299, 299.0, None),
        (299, 299.5, Some(300)),
    ] {
        let (verifier, clock) = verifier_with(|config| config.clock_skew(secs(skew)));
        let (log, _guard) = Log::start();
        let is_accepted = verifier.try_verify(&issued_ahead(&clock, ahead).sign()).is_ok();
        assert_eq!(is_accepted, ahead <= Duration::from_secs(skew).as_secs_f64(), "{skew} {ahead}");
        let expected: Vec<_> = drift.iter().map(|drift| format!("{DRIFT} {INSTANCE} count=1 drift={drift}")).collect();
        assert_eq!(log.lines(), expected, "{skew} {ahead}");
    }
}

#[test]
fn a_setting_that_rejects_validly_signed_tokens_is_named() {
    type Change = fn(ClerkConfig) -> Result<ClerkConfig, ConfigError>;
    let rows: [(Change, TokenBuilder, &str, &str); 6] = [
        (
            |config| config.authorized_parties(["https://other.test.example"]),
            token(),
            "authorized_parties",
            "invalid_authorized_party",
        ),
        (
            |config| config.authorized_parties(["https://app.test.example"]),
            token().without_claim("azp"),
            "authorized_parties",
            "invalid_authorized_party",
        ),
        (|config| config.audience(["api"]), token(), "audience", "invalid_audience"),
        (|config| config.audience(["api"]), token().claim("aud", "hunter2"), "audience", "invalid_audience"),
        (Ok, token().claim("iss", "https://hunter2.example"), "issuer", "invalid_issuer"),
        (|config| config.max_token_lifetime(secs(59)), token(), "max_token_lifetime", "lifetime_too_long"),
    ];
    for (change, token, setting, reason) in rows {
        let (verifier, clock) = verifier_with(change);
        let (log, _guard) = Log::start();
        let line = |count: u64| format!(r#"{SETTING} {INSTANCE} setting="{setting}" reason="{reason}" count={count}"#);
        assert_eq!(kind(&verifier, &token).as_str(), reason);
        assert_eq!(log.lines(), [line(1)]);
        // Only the monotonic clock decides, so the token stays valid otherwise.
        let wall = clock.now();
        for (passed, expected) in [(59, vec![]), (1, vec![line(2)]), (60, vec![line(1)])] {
            clock.advance(secs(passed));
            clock.set(wall);
            assert_eq!(kind(&verifier, &token).as_str(), reason);
            assert_eq!(log.lines(), expected, "{setting}");
        }
    }
}

#[test]
fn each_reason_has_its_own_minute_and_clones_share_it() {
    let change = |config: ClerkConfig| config.authorized_parties(["https://app.test.example"])?.audience(["api"]);
    let ((verifier, _), (other, _)) = (verifier_with(change), verifier_with(change));
    let clone = verifier.clone();
    let (log, _guard) = Log::start();
    let party = token().claim("azp", "https://other.test.example");
    kind(&verifier, &party);
    kind(&verifier, &token());
    kind(&clone, &party);
    kind(&other, &party);
    let settings: Vec<_> = log.lines().iter().map(|line| line.contains("authorized_parties")).collect();
    assert_eq!(settings, [true, false, true]);
}

#[derive(Deserialize)]
struct Custom {
    #[serde(rename = "profile")]
    _profile: Profile,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(rename = "age")]
    _age: u32,
}

/// The text of the innermost source.
fn cause(rejection: &Rejection) -> String {
    let mut error: &dyn Error = rejection;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[tokio::test]
async fn custom_claims_that_do_not_fit_are_a_warning_with_their_path() {
    let (verifier, clock) = verifier_with(Ok);
    let layer = ClerkAuthLayer::from(verifier).with_custom_claims::<Custom>();
    let (log, _guard) = Log::start();
    let with_age = |age: serde_json::Value| bearer(&token().claim("profile", serde_json::json!({ "age": age })));
    let (fitting, misfit) = (with_age(7.into()), with_age("hunter2".into()));
    assert_eq!(send_through(&layer, get_path("/", Some(&fitting))).await.status(), 200);
    assert!(log.take().is_empty());

    let source = "source=profile.age: expected u32";
    let debug = format!(r#"DEBUG request rejected reason="invalid_custom_claims" passed=false {source}"#);
    let warning = |count: u64| format!("{CUSTOM} {INSTANCE} count={count} {source}");
    let wall = clock.now();
    for (passed, warnings) in [(0, vec![warning(1)]), (59, vec![]), (1, vec![warning(2)])] {
        clock.advance(secs(passed));
        clock.set(wall);
        let response = send_through(&layer, get_path("/", Some(&misfit))).await;
        assert_eq!(response.status(), 401);
        assert!(!response.text.contains("age"), "the client learns nothing of it");
        assert_eq!(cause(response.rejection()), "profile.age: expected u32");
        assert_eq!(log.lines(), [warnings, vec![debug.clone()]].concat());
    }

    // An extractor responds with the rejection that a lenient layer has stored.
    let app =
        Router::new().route("/", get(async |_: CustomClaims<Custom>| ())).layer(layer.allow_unauthenticated_requests());
    let response = app.oneshot(get_path("/", Some(&misfit))).await.expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!(cause(response.extensions().get().expect("a rejection")), "profile.age: expected u32");
    assert_eq!(log.lines(), [debug.replace("passed=false", "passed=true")]);
}

#[test]
fn keys_of_another_instance_are_a_warning_until_they_verify_a_token() {
    let pem = |config: ClerkConfig| config.add_issuer(issuer().url());
    let configs = [
        (ClerkConfig::from_jwt_key(other_issuer().public_key_pem()).and_then(pem), "jwt_key"),
        (ClerkConfig::from_jwks(other_issuer().jwks()).and_then(pem), "jwks"),
    ];
    for (config, setting) in configs {
        let (verifier, clock) = verifier_of(config.expect("a configuration"));
        let (log, _guard) = Log::start();
        let line = |count: u64| format!(r#"{KEYS} {INSTANCE} setting="{setting}" count={count}"#);
        assert_eq!(kind(&verifier, &token()), VerifyErrorKind::InvalidSignature);
        assert_eq!(log.lines(), [line(1)]);
        clock.advance(secs(59));
        kind(&verifier, &token());
        assert_eq!(log.lines(), Vec::<String>::new());
        clock.advance(secs(1));
        kind(&verifier, &token());
        assert_eq!(log.lines(), [line(2)]);

        // The key is right after all, so what fails is more likely forged, even if that token is rejected.
        clock.advance(secs(60));
        assert_eq!(kind(&verifier, &other_issuer().token("").lifetime(secs(600))), VerifyErrorKind::InvalidSubject);
        kind(&verifier, &token());
        assert_eq!(log.lines(), Vec::<String>::new());
    }
}

#[test]
fn tokens_of_another_issuer_say_nothing_about_the_keys() {
    let config = ClerkConfig::from_jwt_key(other_issuer().public_key_pem()).expect("a key");
    let of_another = config.clone().add_issuer("https://clerk.example.com").expect("an issuer");
    for (config, warns) in [(of_another, false), (config, true)] {
        let (verifier, _) = verifier_of(config);
        let (log, _guard) = Log::start();
        assert_eq!(kind(&verifier, &token()), VerifyErrorKind::InvalidSignature);
        assert_eq!(log.lines().len(), usize::from(warns), "without an issuer, every token may be of this instance");
    }
}

#[test]
fn a_document_without_the_kid_of_the_tokens_is_a_warning() {
    let (verifier, _) = verifier_with(Ok);
    let (log, _guard) = Log::start();
    let renamed = token().header("kid", "ins_hunter2");
    assert_eq!(kind(&verifier, &renamed), VerifyErrorKind::UnknownKey);
    assert_eq!(log.lines(), [format!(r#"{KEYS} {INSTANCE} setting="jwks" count=1"#)]);
}

#[tokio::test]
async fn fetched_keys_that_do_not_fit_are_no_warning() {
    let source = GatedSource::new();
    source.always(Reply::document(other_issuer().jwks()));
    let config = ClerkConfig::from_frontend_api_url(issuer().url()).expect("a configuration");
    let verifier = Verifier::builder(Instance::new(config).key_source(source)).clock(ManualClock::new()).build();
    let verifier = verifier.expect("a verifier");
    verifier.warm_up().await.expect("keys");
    let (log, _guard) = Log::start();
    for token in [token(), token().header("kid", "ins_stranger")] {
        assert!(verifier.verify(&token.sign()).await.is_err());
    }
    assert!(log.take().iter().all(|event| event.level > Level::INFO));
}

#[test]
fn an_url_that_is_not_asked_for_keys_is_logged_at_start() {
    let info = |setting: &str| {
        format!(
            r#"INFO keys are configured: none are fetched from the Frontend API URL {INSTANCE} setting="{setting}""#
        )
    };
    let parties = |config: ClerkConfig| config.authorized_parties(["https://app.test.example"]);
    let by_url = || ClerkConfig::from_frontend_api_url(issuer().url()).and_then(parties).expect("a configuration");
    let (pem, jwks) = (issuer().public_key_pem(), issuer().jwks());
    let (log, _guard) = Log::start();
    for (config, lines) in [
        (by_url(), vec![]),
        (by_url().jwt_key(&pem).expect("a key"), vec![info("jwt_key")]),
        (by_url().jwks(&jwks).expect("a document"), vec![info("jwks")]),
        (by_url().jwks(&jwks).and_then(|config| config.jwt_key(&pem)).expect("a key"), vec![info("jwt_key")]),
        (parties(issuer().config()).expect("a configuration"), vec![]),
    ] {
        Verifier::new(config).expect("a verifier");
        assert_eq!(log.lines(), lines);
    }
    let instance = Instance::new(by_url().jwt_key(&pem).expect("a key")).key_source(GatedSource::new());
    Verifier::builder(instance).build().expect("a verifier");
    assert!(log.take().is_empty(), "a key source replaces both");

    let key = "pk_test_Y2xlcmsuY2xlcmsuZGV2JA";
    let config = ClerkConfig::from_publishable_key(key).and_then(parties).and_then(|config| config.jwt_key(&pem));
    Verifier::new(config.expect("a configuration")).expect("a verifier");
    assert_eq!(log.lines(), [info("jwt_key").replace("clerk.test.example", "clerk.clerk.dev")]);
}

#[tokio::test]
async fn no_event_holds_text_of_a_token() {
    let every_claim = || {
        let claims = ["aud", "azp", "email", "fea", "jti", "org_id", "pla", "sid", "sts", "sub"];
        claims.into_iter().fold(token().header("hunter2", "hunter2"), |token, name| token.claim(name, "hunter2"))
    };
    let now = ManualClock::new().now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let layer =
        |change: fn(ClerkConfig) -> Result<ClerkConfig, ConfigError>| ClerkAuthLayer::from(verifier_with(change).0);
    let foreign = ClerkConfig::from_jwt_key(other_issuer().public_key_pem()).expect("a key");
    let (log, _guard) = Log::start();
    for (layer, token) in [
        (layer(|config| config.authorized_parties(["https://app.test.example"])), every_claim()),
        (layer(|config| config.audience(["api"])), every_claim()),
        (layer(|config| config.max_token_lifetime(secs(1))), every_claim()),
        (layer(Ok), every_claim().claim("iss", "hunter2")),
        (layer(Ok), every_claim().claim("iat", now + 30)),
        (layer(Ok), every_claim().header("kid", "hunter2")),
        (layer(Ok).with_custom_claims::<Custom>(), every_claim().claim("profile", "hunter2")),
        (ClerkAuthLayer::from(verifier_of(foreign).0), every_claim()),
    ] {
        log.take();
        assert_eq!(send_through(&layer, get_path("/", Some(&bearer(&token)))).await.status(), 401);
        let events = log.take();
        assert_eq!(events.iter().map(|event| event.level).collect::<Vec<_>>(), [Level::WARN, Level::DEBUG]);
        assert!(events.iter().all(|event| !event.text.contains("hunter2")), "{events:?}");
    }
}
