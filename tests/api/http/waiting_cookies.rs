//! Cookies whose keys have to be fetched first.

use std::pin::pin;

use tower_clerk::{ClerkAuthLayer, TokenSource, Verifier, testing::ManualClock, verify::Instance};

use crate::support::{
    GatedSource, Reply, get, issuer, other_issuer, patient, poll_once, send_through, settle, token, within,
};

const PARTY: &str = "https://app.test.example";

/// A layer that reads session cookies, and its keys from this source.
fn layer(source: &GatedSource) -> ClerkAuthLayer {
    let config = patient(issuer().config().authorized_parties([PARTY]).expect("parties"));
    let instance = Instance::new(config).key_source(source.clone());
    let verifier = Verifier::builder(instance).clock(ManualClock::new()).build().expect("a verifier");
    ClerkAuthLayer::from(verifier).token_sources([TokenSource::session_cookie()]).expect("parties are set")
}

/// A layer that has the issuer's key. Further fetches wait for their reply.
async fn warm_layer() -> (ClerkAuthLayer, GatedSource) {
    let source = GatedSource::new();
    source.once(Reply::document(issuer().jwks()));
    let layer = layer(&source);
    layer.verifier().warm_up().await.expect("keys");
    (layer, source)
}

/// A token of this user under a key that is not known.
fn unknown(user: &str, kid: &str) -> String {
    other_issuer().token(user).header("kid", kid).sign()
}

async fn outcome(layer: &ClerkAuthLayer, cookies: &[String]) -> String {
    let cookies: Vec<String> = cookies.iter().map(|token| format!("__session={token}")).collect();
    let answer = send_through(layer, get(&[("cookie", &cookies.join("; "))])).await;
    answer.user().map_or_else(|| answer.code(), str::to_owned)
}

#[tokio::test]
async fn a_request_waits_for_keys_and_then_all_its_cookies_are_tried() {
    for tokens in [
        vec![token().sign()],
        vec![token().sign(), token().expired().sign()],
        vec![token().expired().sign(), token().sign()],
        vec![other_issuer().token("user_bob").sign(), token().sign()],
    ] {
        let source = GatedSource::new();
        let layer = layer(&source);
        let mut waiting = pin!(outcome(&layer, &tokens));
        assert!(poll_once(waiting.as_mut()).is_pending());
        source.started(1).await;
        source.once(Reply::document(issuer().jwks()));
        assert_eq!(within(waiting).await, "user_ada");
        assert_eq!(source.fetches(), 1);
    }
}

#[tokio::test]
async fn four_forged_cookies_cause_as_many_fetches_as_one() {
    let (layer, source) = warm_layer().await;
    source.always(Reply::document(issuer().jwks()));
    let forged: Vec<String> = (0..4).map(|number| unknown("user_ada", &format!("ins_{number}"))).collect();
    assert_eq!(within(outcome(&layer, &forged)).await, "invalid_token");
    settle().await;
    assert_eq!(source.fetches(), 2, "the first load, and one for the unknown keys");
    // The budget is not used up: a rotation is noticed.
    assert_eq!(within(outcome(&layer, &[unknown("user_ada", "ins_new")])).await, "invalid_token");
    assert_eq!(source.fetches(), 3);
}

#[tokio::test]
async fn a_cookie_without_its_key_does_not_become_another_user() {
    for (other, expected) in [("user_bob", "keys_unavailable"), ("user_ada", "user_ada")] {
        let good = token().sign();
        for tokens in [[unknown(other, "ins_new"), good.clone()], [good.clone(), unknown(other, "ins_new")]] {
            let (layer, source) = warm_layer().await;
            source.always(Reply::Failure);
            assert_eq!(within(outcome(&layer, &tokens)).await, expected, "{other}");
        }
    }
}

#[tokio::test]
async fn a_cookie_whose_key_arrives_counts_against_one_of_another_user() {
    let (layer, source) = warm_layer().await;
    let bob = unknown("user_bob", "ins_new");
    let keys = [issuer().jwks(), other_issuer().jwks().replace(&other_issuer().kid(), "ins_new")];
    let both = keys.join("").replace(r#"]}{"keys":["#, ",");
    let tokens = [token().sign(), bob.clone()];
    let mut waiting = pin!(outcome(&layer, &tokens));
    assert!(poll_once(waiting.as_mut()).is_pending());
    source.started(2).await;
    source.once(Reply::document(both));
    assert_eq!(within(waiting).await, "invalid_token", "two valid users");
    assert_eq!(outcome(&layer, &[bob]).await, "user_bob");
}

#[tokio::test]
async fn a_forged_cookie_of_the_same_user_does_not_make_a_request_wait() {
    let (layer, source) = warm_layer().await;
    let tokens = [token().sign(), unknown("user_ada", "ins_new")];
    let mut decided = pin!(outcome(&layer, &tokens));
    assert!(poll_once(decided.as_mut()).is_ready());
    settle().await;
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_foreign_cookie_causes_no_fetch() {
    let source = GatedSource::new();
    let layer = layer(&source);
    for foreign in [token().claim("iss", "https://clerk.other.example").sign(), "a.b.c".to_owned()] {
        assert_eq!(outcome(&layer, &[foreign]).await, "missing_token");
    }
    settle().await;
    assert_eq!(source.fetches(), 0);
}

#[tokio::test]
async fn a_later_source_is_asked_after_a_wait_only_if_the_earlier_has_none() {
    let source = GatedSource::new();
    let layer = layer(&source)
        .token_sources([TokenSource::cookie("mine"), TokenSource::authorization()])
        .expect("parties are set");
    let (stale, bearer) = (format!("mine={}", token().expired().sign()), format!("Bearer {}", token().sign()));
    for (cookie, expected) in [(stale.as_str(), 401), ("mine=a.b.c", 200)] {
        let headers = [("cookie", cookie), ("authorization", &bearer)];
        let mut waiting = pin!(send_through(&layer, get(&headers)));
        assert!(poll_once(waiting.as_mut()).is_pending());
        source.once(Reply::document(issuer().jwks()));
        assert_eq!(within(waiting).await.status(), expected);
        layer.verifier().forget_keys();
    }
}
