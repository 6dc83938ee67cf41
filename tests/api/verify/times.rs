use std::time::{Duration, SystemTime};

use serde_json::json;
use tower_clerk::{
    ClerkConfig, Verifier,
    testing::{ManualClock, TokenBuilder},
    verify::{Clock, VerifyErrorKind},
};

use super::{signed, verify};
use crate::support::{header, issuer, token};

/// Verifies `token` at `millis` after the second in which it was issued.
fn at(millis: i64, token: &str, skew: u64) -> Result<(), VerifyErrorKind> {
    let config = issuer().config().clock_skew(Duration::from_secs(skew)).expect("a skew");
    verify_at(millis, token, config)
}

fn verify_at(millis: i64, token: &str, config: ClerkConfig) -> Result<(), VerifyErrorKind> {
    let clock = ManualClock::new();
    let distance = Duration::from_millis(millis.unsigned_abs());
    clock.set(if millis < 0 { clock.now() - distance } else { clock.now() + distance });
    let verifier = Verifier::builder(config).clock(clock).build().expect("a verifier");
    verifier.try_verify(token).map(|_| ()).map_err(|error| error.kind())
}

fn issued() -> u64 {
    ManualClock::new().now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

fn only_exp() -> TokenBuilder {
    token().without_claim("nbf").without_claim("iat")
}

#[test]
fn a_token_expires_one_skew_after_exp() {
    let token = only_exp().claim("exp", issued() + 60).sign();
    for (skew, last_good) in [(0, 59_999), (5, 64_999), (300, 359_999)] {
        assert_eq!(at(last_good, &token, skew), Ok(()), "{skew}");
        assert_eq!(at(last_good + 1, &token, skew), Err(VerifyErrorKind::Expired), "{skew}");
    }
}

#[test]
fn a_token_is_valid_from_one_skew_before_nbf() {
    let token = only_exp().claim("nbf", issued() + 20).sign();
    for (skew, first_good) in [(0, 20_000), (5, 15_000)] {
        assert_eq!(at(first_good, &token, skew), Ok(()), "{skew}");
        assert_eq!(at(first_good - 1, &token, skew), Err(VerifyErrorKind::NotYetValid), "{skew}");
    }
}

#[test]
fn a_token_issued_in_the_future_is_rejected_beyond_the_skew() {
    let token = only_exp().claim("iat", issued() + 20).sign();
    for (skew, first_good) in [(0, 20_000), (5, 15_000)] {
        assert_eq!(at(first_good, &token, skew), Ok(()), "{skew}");
        assert_eq!(at(first_good - 1, &token, skew), Err(VerifyErrorKind::IssuedInFuture), "{skew}");
    }
}

#[test]
fn exp_is_required_and_times_must_be_numbers_in_range() {
    assert_eq!(verify(&only_exp().without_claim("exp").sign()).err(), Some(VerifyErrorKind::InvalidExpiry));
    for (name, kind) in [
        ("exp", VerifyErrorKind::InvalidExpiry),
        ("nbf", VerifyErrorKind::InvalidNotBefore),
        ("iat", VerifyErrorKind::InvalidIssuedAt),
    ] {
        for value in [
            "null",
            "\"4102444800\"",
            "true",
            "[4102444800]",
            "{}",
            "1e400",
            "-1e400",
            "18446744073709551615",
            "8640000000001",
            "-8640000000001",
        ] {
            let payload = only_exp().without_claim(name).payload();
            let payload = format!("{},\"{name}\":{value}}}", payload.strip_suffix('}').expect("an object"));
            assert_eq!(verify(&signed(&header(), &payload)).err(), Some(kind), "{name} {value}");
        }
    }
}

#[test]
fn a_time_is_a_json_number_in_any_spelling() {
    let with_exp = |exp: &str| {
        let payload = only_exp().without_claim("exp").payload();
        signed(&header(), &format!("{},\"exp\":{exp}}}", payload.strip_suffix('}').expect("an object")))
    };
    for exp in ["1800000060", "1800000060.0", "1.80000006e9", "180000006E1", "1800000060000e-3", "8.64e12"] {
        assert_eq!(at(59_999, &with_exp(exp), 0), Ok(()), "{exp}");
    }
    assert_eq!(at(60_499, &with_exp("1800000060.5"), 0), Ok(()));
    assert_eq!(at(60_500, &with_exp("1800000060.5"), 0), Err(VerifyErrorKind::Expired));
    for exp in ["0", "-0", "-1", "-8640000000000", "1e-400", "1800000000"] {
        assert_eq!(at(0, &with_exp(exp), 0), Err(VerifyErrorKind::Expired), "{exp}");
    }
}

#[test]
fn zero_and_negative_nbf_and_iat_are_valid() {
    for value in ["0", "-1", "-0.5", "-8.64e12"] {
        for name in ["nbf", "iat"] {
            let payload = only_exp().payload();
            let payload = format!("{},\"{name}\":{value}}}", payload.strip_suffix('}').expect("an object"));
            assert!(verify(&signed(&header(), &payload)).is_ok(), "{name} {value}");
        }
    }
}

#[test]
fn a_clock_before_1970_works() {
    let clock = ManualClock::new();
    clock.set(SystemTime::UNIX_EPOCH - Duration::from_secs(100));
    let verifier = Verifier::builder(issuer().config()).clock(clock).build().expect("a verifier");
    let token = only_exp().claim("exp", -50);
    assert!(verifier.try_verify(&token.sign()).is_ok());
    let expired = only_exp().claim("exp", -105).sign();
    assert_eq!(verifier.try_verify(&expired).map_err(|error| error.kind()).err(), Some(VerifyErrorKind::Expired));
}

#[test]
fn the_lifetime_limit_is_inclusive_and_needs_iat() {
    let limited = |token: &TokenBuilder| {
        let config = issuer().config().max_token_lifetime(Duration::from_secs(60)).expect("a lifetime");
        verify_at(0, &token.sign(), config)
    };
    assert_eq!(limited(&token().lifetime(Duration::from_secs(60))), Ok(()));
    assert_eq!(limited(&token().lifetime(Duration::from_secs(61))), Err(VerifyErrorKind::LifetimeTooLong));
    assert_eq!(limited(&token().without_claim("iat")), Err(VerifyErrorKind::LifetimeTooLong));
    let widest = token().claim("iat", -8_640_000_000_000_i64).claim("exp", 8_640_000_000_000_i64);
    assert_eq!(limited(&widest), Err(VerifyErrorKind::LifetimeTooLong));
}

#[test]
fn expired_is_reported_only_for_otherwise_valid_tokens() {
    for bad in [
        token().expired().without_claim("sub"),
        token().expired().claim("iss", "https://evil.example"),
        token().expired().claim("azp", 7),
        token().expired().claim("act", 7),
    ] {
        assert_ne!(verify(&bad.sign()).err(), Some(VerifyErrorKind::Expired));
    }
    let expired = token().expired().sign();
    assert_eq!(verify(&expired).err(), Some(VerifyErrorKind::Expired));
    let forged = expired.replace('.', ".e30.").replacen(".e30.", ".", 1);
    assert_ne!(verify(&forged).err(), Some(VerifyErrorKind::Expired));
}

#[test]
fn the_claims_are_checked_in_the_documented_order() {
    let now = issued();
    let party = "https://app.test.example";
    let steps = [
        ("sub", json!(""), json!("user_ada"), VerifyErrorKind::InvalidSubject),
        ("sid", json!(""), json!("sess_test"), VerifyErrorKind::InvalidSessionId),
        ("iss", json!("https://evil.example"), json!(issuer().url()), VerifyErrorKind::InvalidIssuer),
        ("azp", json!("https://evil.example"), json!(party), VerifyErrorKind::InvalidAuthorizedParty),
        ("aud", json!("other"), json!("api"), VerifyErrorKind::InvalidAudience),
        ("act", json!({}), json!({ "sub": "user_admin" }), VerifyErrorKind::InvalidActor),
        ("exp", json!(now - 60), json!(now + 60), VerifyErrorKind::Expired),
        ("nbf", json!(now + 60), json!(now), VerifyErrorKind::NotYetValid),
        ("iat", json!(now + 60), json!(now - 60), VerifyErrorKind::IssuedInFuture),
        ("iat", json!(now + 60), json!(now), VerifyErrorKind::LifetimeTooLong),
        ("sts", json!("pending"), json!("active"), VerifyErrorKind::PendingSession),
    ];
    let mut token = steps.iter().fold(token(), |token, (name, wrong, ..)| token.claim(name, wrong));
    let config = issuer().config().authorized_parties([party]).and_then(|config| config.audience(["api"]));
    let config = config.and_then(|config| config.max_token_lifetime(Duration::from_secs(60))).expect("a configuration");
    for (name, _, right, kind) in steps {
        assert_eq!(verify_at(0, &token.sign(), config.clone()), Err(kind), "{name}");
        token = token.claim(name, right);
    }
    assert_eq!(verify_at(0, &token.sign(), config), Ok(()));
}
