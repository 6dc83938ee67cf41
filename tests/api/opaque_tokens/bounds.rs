//! How many answers are kept. More than that are asked about more often, and take no more memory.

use tower_clerk::backend_api::OpaqueTokenLimits;

use super::{Api, Fixture, GOOD, INACTIVE, Reply, Verdict, key};

/// Asks about so many tokens, and returns about how many of them the answer is kept.
async fn kept(reply: Reply, verdict: Verdict, tokens: usize) -> usize {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(100_000).unknown_tokens_per_second(100_000);
    let fixture = Fixture::with(Api::new(), Ok, limits);
    fixture.api.always(reply);
    for number in 0..tokens {
        assert_eq!(fixture.verify(&key(number)).await, verdict);
    }
    assert_eq!(fixture.api.calls(), tokens);
    // From here on, an answer can only come from those that are kept.
    fixture.api.always(Reply::Hold);
    (0..tokens).filter(|number| fixture.try_verify(&key(number)) == verdict).count()
}

#[tokio::test]
async fn ten_thousand_good_answers_are_kept() {
    let kept = kept(Reply::Valid, GOOD, 12_000).await;
    assert!((9_000..=10_000).contains(&kept), "{kept}");
}

#[tokio::test]
async fn good_answers_of_32_mib_are_kept() {
    let bytes = 60_000;
    let kept = kept(Reply::ValidWith(bytes), GOOD, 700).await;
    assert!((400..=32 * 1024 * 1024 / bytes).contains(&kept), "{kept}");
}

#[tokio::test]
async fn ten_thousand_bad_answers_are_kept() {
    let kept = kept(Reply::Unknown, INACTIVE, 12_000).await;
    assert!((9_000..=10_000).contains(&kept), "{kept}");
}
