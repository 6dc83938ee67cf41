//! One call for all that wait for it.

use futures_util::future::join_all;

use super::{Api, Fixture, GOOD, IN_PROGRESS, Reply, key, verdict};
use crate::support::{at_once, secs, settle, within};

#[tokio::test]
async fn a_herd_of_ten_thousand_is_one_call() {
    let fixture = Fixture::new(Api::valid());
    fixture.api.always(Reply::Hold);
    let herd = tokio::spawn(join_all((0..10_000).map(|_| {
        let verifier = fixture.verifier.clone();
        async move { verdict(verifier.verify_principal("ak_a").await) }
    })));
    fixture.api.started(1).await;
    settle().await;
    fixture.api.always(Reply::Valid);
    let verdicts = within(herd).await.expect("no panic");
    assert_eq!(verdicts.len(), 10_000);
    assert!(verdicts.iter().all(|verdict| *verdict == GOOD));
    assert_eq!(fixture.api.calls(), 1);
}

#[tokio::test]
async fn a_herd_waits_for_the_call_when_the_ttl_has_ended() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(secs(60));
    fixture.api.always(Reply::Hold);
    let mut herd: Vec<_> = (0..1000).map(|_| Box::pin(fixture.verify("ak_a"))).collect();
    for waiting in &mut herd {
        // The key may have been revoked, so the old answer is not served meanwhile.
        assert_eq!(at_once(waiting.as_mut()), None);
    }
    fixture.api.started(2).await;
    fixture.api.always(Reply::Unknown);
    for verdict in join_all(herd).await {
        assert_eq!(verdict, super::INACTIVE);
    }
    assert_eq!(fixture.api.calls(), 2);
}

#[tokio::test]
async fn a_client_that_hangs_up_first_hurts_nobody() {
    let fixture = Fixture::new(Api::valid());
    fixture.api.always(Reply::Hold);
    let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(fixture.verify("ak_a"))).collect();
    for waiting in &mut waiting {
        assert_eq!(at_once(waiting.as_mut()), None);
    }
    fixture.api.started(1).await;
    // The first of them started the call.
    let staying = waiting.split_off(5);
    drop(waiting);
    settle().await;
    assert_eq!(fixture.api.running(), 1);
    fixture.api.always(Reply::Valid);
    for staying in staying {
        assert_eq!(staying.await, GOOD);
    }
    assert_eq!(fixture.api.calls(), 1);
}

#[tokio::test]
async fn the_answer_is_kept_although_all_clients_have_hung_up() {
    let fixture = Fixture::new(Api::valid());
    fixture.api.always(Reply::Hold);
    for _ in 0..100 {
        assert_eq!(at_once(fixture.verify("ak_a")), None);
    }
    fixture.api.started(1).await;
    fixture.api.always(Reply::Valid);
    fixture.api.over(1).await;
    settle().await;
    assert_eq!((fixture.try_verify("ak_a"), fixture.api.calls()), (GOOD, 1));
}

#[tokio::test]
async fn synchronous_code_starts_a_call_and_finds_its_answer_later() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.try_verify("ak_a"), IN_PROGRESS);
    assert_eq!(fixture.try_verify("ak_a"), IN_PROGRESS);
    fixture.api.over(1).await;
    settle().await;
    assert_eq!((fixture.try_verify("ak_a"), fixture.api.calls()), (GOOD, 1));
}

#[tokio::test]
async fn at_most_64_calls_run_at_once_of_which_a_quarter_is_for_known_keys() {
    let fixture = Fixture::new(Api::valid());
    let known: Vec<_> = (0..64).map(|number| key(format_args!("known_{number}"))).collect();
    for token in &known {
        assert_eq!(fixture.verify(token).await, GOOD);
    }
    fixture.pass(secs(60)).await;
    fixture.api.always(Reply::Hold);
    for number in 0..100 {
        assert_eq!(fixture.try_verify(&key(number)), IN_PROGRESS);
    }
    settle().await;
    assert_eq!(fixture.api.running(), 48);
    for token in &known {
        assert_eq!(fixture.try_verify(token), IN_PROGRESS);
    }
    settle().await;
    assert_eq!(fixture.api.running(), 64);

    // Those that wait get the places that become free.
    fixture.api.always(Reply::Valid);
    fixture.api.over(64 + 100 + 64).await;
    settle().await;
    assert!(known.iter().all(|token| fixture.try_verify(token) == GOOD));
}
