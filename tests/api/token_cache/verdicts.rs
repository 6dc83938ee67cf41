use std::time::Duration;

use tower_clerk::{ClerkAuthLayer, ClerkConfig, ConfigError, Verifier, testing::ManualClock, verify::VerifyErrorKind};

use super::{Fixture, entries, verify};
use crate::support::other_issuer;

#[tokio::test]
async fn a_cached_token_gives_the_same_claims() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let token = fixture.issuer.token("user_ada").organization("org_acme", "admin").permission("a", "read").sign();
    let first = verifier.verify(&token).await.expect("accepted");
    assert_eq!(entries(&verifier), 1);
    let second = verifier.try_verify(&token).expect("accepted");
    assert_eq!(entries(&verifier), 1);
    assert_eq!(first.as_json(), second.as_json());
    let permissions = second.organization().expect("an organization").permissions();
    assert_eq!(permissions.collect::<Vec<_>>(), ["org:a:read"]);
    let clone = verifier.clone();
    assert_eq!(entries(&clone), 1, "clones share the cache");
    assert_eq!(entries(&fixture.verifier()), 0, "other verifiers do not");
}

#[tokio::test]
async fn a_hit_that_finds_its_token_expired_drops_the_entry() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let (short, long) = (fixture.issuer.token("u"), fixture.issuer.token("u").lifetime(Duration::from_secs(3600)));
    let (short, long) = (short.sign(), long.sign());
    for token in [&short, &long] {
        assert_eq!(verify(&verifier, token).await, Ok(()));
    }
    fixture.clock.advance(Duration::from_secs(60) - Duration::from_nanos(1));
    assert_eq!(verify(&verifier, &short).await, Ok(()));
    assert_eq!(entries(&verifier), 2);
    // Within the clock skew it is still accepted, but not cached again.
    for passed in [0, 4] {
        fixture.clock.advance(Duration::from_secs(passed) + Duration::from_nanos(1));
        assert_eq!(verify(&verifier, &short).await, Ok(()));
        assert_eq!(entries(&verifier), 1, "the other token stays");
    }
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(verify(&verifier, &short).await, Err(VerifyErrorKind::Expired));
    assert_eq!(entries(&verifier), 1);
}

#[tokio::test]
async fn a_token_that_is_valid_only_within_the_clock_skew_is_not_cached() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    for (claim, seconds) in [("exp", -1), ("nbf", 4), ("iat", 4)] {
        let time = 1_800_000_000 + seconds;
        assert_eq!(verify(&verifier, &fixture.issuer.token("u").claim(claim, time).sign()).await, Ok(()), "{claim}");
        assert_eq!(entries(&verifier), 0, "{claim}");
    }
}

#[tokio::test]
async fn rejected_tokens_are_not_cached() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    for token in [
        "a.b.c".to_owned(),
        fixture.issuer.token("u").expired().sign(),
        fixture.issuer.token("u").claim("iss", "https://evil.example").sign(),
        fixture.issuer.token("u").header("kid", "ins_other").sign(),
        fixture.issuer.token("u").claim("sts", "pending").sign(),
    ] {
        for _ in 0..2 {
            assert!(verify(&verifier, &token).await.is_err());
        }
    }
    assert_eq!(entries(&verifier), 0);
}

#[tokio::test]
async fn tokens_that_differ_in_one_bit_are_different_tokens() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let token = fixture.issuer.token("user_ada").sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    for (at, byte) in token.bytes().enumerate() {
        let mut changed = token.clone().into_bytes();
        changed[at] = byte ^ 1;
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(verify(&verifier, &changed).await.is_err(), "{at}");
    }
    for changed in [format!("{token}A"), token[1..].to_owned(), format!("{token}=")] {
        assert!(verify(&verifier, &changed).await.is_err());
    }
    assert_eq!(verify(&verifier, &token).await, Ok(()));
}

#[tokio::test]
async fn cached_tokens_expire_when_the_clock_advances() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let token = fixture.issuer.token("u").sign();
    for (advance, expected) in [
        (0, Ok(())),
        (59_999, Ok(())),
        (1, Ok(())),
        (4_999, Ok(())),
        (1, Err(VerifyErrorKind::Expired)),
        (3_600_000, Err(VerifyErrorKind::Expired)),
    ] {
        fixture.clock.advance(Duration::from_millis(advance));
        assert_eq!(verify(&verifier, &token).await, expected);
        assert_eq!(verify(&verifier, &token).await, expected);
    }
}

#[tokio::test]
async fn without_clock_skew_a_cached_token_expires_at_exp_itself() {
    let fixture = Fixture::new();
    let verifier = fixture.builder_with(|config| config.clock_skew(Duration::ZERO)).build().expect("a verifier");
    let token = fixture.issuer.token("u").sign();
    for (advance, expected) in [(0, Ok(())), (59_999, Ok(())), (1, Err(VerifyErrorKind::Expired))] {
        fixture.clock.advance(Duration::from_millis(advance));
        assert_eq!(verify(&verifier, &token).await, expected);
    }
}

#[tokio::test]
async fn cached_tokens_are_checked_when_the_wall_clock_is_set_back() {
    use tower_clerk::verify::Clock;

    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let start = fixture.clock.now();
    let token = fixture.issuer.token("u").without_claim("nbf").sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    for (back, expected) in [(5_000, Ok(())), (5_001, Err(VerifyErrorKind::IssuedInFuture))] {
        fixture.clock.set(start - Duration::from_millis(back));
        assert_eq!(verify(&verifier, &token).await, expected, "{back}");
    }
    let nbf = fixture.issuer.token("u").without_claim("iat").claim("nbf", 1_800_000_000).sign();
    fixture.clock.set(start);
    assert_eq!(verify(&verifier, &nbf).await, Ok(()));
    fixture.clock.set(start - Duration::from_millis(5_001));
    assert_eq!(verify(&verifier, &nbf).await, Err(VerifyErrorKind::NotYetValid));
}

type Change = fn(ClerkConfig) -> Result<ClerkConfig, ConfigError>;

#[tokio::test]
async fn verifiers_with_different_options_do_not_share_verdicts() {
    let fixture = Fixture::new();
    let base = || fixture.issuer.token("u");
    let strict: [(Change, String, Change); 4] = [
        (|config| config.authorized_parties(["https://other.example"]), base().sign(), Ok),
        (|config| config.audience(["api"]), base().sign(), Ok),
        (Ok, base().claim("sts", "pending").sign(), |config| Ok(config.allow_pending_sessions())),
        (Ok, base().without_claim("sid").sign(), |config| Ok(config.allow_template_tokens())),
    ];
    for (rejecting, token, accepting) in strict {
        let verifier = |change: Change| fixture.builder_with(change).build().expect("a verifier");
        let (rejects, accepts) = (verifier(rejecting), verifier(accepting));
        for _ in 0..2 {
            assert!(verify(&rejects, &token).await.is_err());
            assert_eq!(verify(&accepts, &token).await, Ok(()));
        }
        let (rejects, accepts) = (verifier(rejecting), verifier(accepting));
        for _ in 0..2 {
            assert_eq!(verify(&accepts, &token).await, Ok(()));
            assert!(verify(&rejects, &token).await.is_err());
        }
    }
}

#[tokio::test]
async fn instances_with_the_same_kid_do_not_share_entries() {
    let (a, b) = (Fixture::new(), Fixture::of(other_issuer()));
    let other = b.issuer.config().add_issuer("https://clerk.b.example").expect("an issuer");
    let of_b = ClerkConfig::from_jwks(b.issuer.jwks()).and_then(|config| config.add_issuer("https://clerk.b.example"));
    let clock = ManualClock::new();
    let both = Verifier::builder(a.issuer.config()).instance(of_b.expect("a configuration")).clock(clock.clone());
    let both = both.build().expect("a verifier");
    let (token_of_a, token_of_b) =
        (a.issuer.token("u").sign(), b.issuer.token("u").claim("iss", "https://clerk.b.example").sign());
    for _ in 0..2 {
        assert_eq!(verify(&both, &token_of_a).await, Ok(()));
        assert_eq!(verify(&both, &token_of_b).await, Ok(()));
    }
    let only_b = Verifier::builder(other).clock(clock).build().expect("a verifier");
    assert!(verify(&only_b, &token_of_a).await.is_err());
}

#[tokio::test]
async fn layers_with_different_modes_share_the_cache() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let plain = ClerkAuthLayer::from(verifier.clone());
    assert_eq!(verify(plain.verifier(), &fixture.issuer.token("u").sign()).await, Ok(()));
    let custom = ClerkAuthLayer::from(verifier).with_custom_claims::<std::collections::HashMap<String, String>>();
    assert_eq!(entries(custom.verifier()), 1);
}

#[tokio::test]
async fn the_cache_can_be_disabled() {
    let fixture = Fixture::new();
    for builder in [
        fixture.builder().without_token_cache(),
        fixture.builder().token_cache_entries(0).token_cache_bytes(1),
        fixture.builder().token_cache_entries(1).token_cache_bytes(0),
    ] {
        let verifier = builder.build().expect("a verifier");
        let token = fixture.issuer.token("u").sign();
        for _ in 0..2 {
            assert_eq!(verify(&verifier, &token).await, Ok(()));
        }
        assert_eq!(entries(&verifier), 0);
    }
}
