use std::convert::Infallible;

use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tower_clerk::{ClerkAuthLayer, Verifier, verify::VerifyErrorKind};
use tower_layer::Layer;

use super::{
    source::Answer,
    support::{Rig, at_once, key, secs, settle, stranger},
};

#[tokio::test]
async fn a_client_that_hangs_up_takes_nobodys_answer_away() {
    let (rig, token) = (Rig::cold(), key(0).token());
    let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(rig.verify(&token))).collect();
    for waiting in &mut waiting {
        assert_eq!(at_once(waiting.as_mut()), None);
    }
    rig.source.started(1).await;
    // The first of them started the fetch.
    let staying = waiting.split_off(5);
    drop(waiting);
    settle().await;
    assert_eq!(rig.source.ended(), 0);
    rig.source.once(Answer::keys(&[key(0)]));
    for staying in staying {
        assert_eq!(staying.await, Ok(()));
    }
    assert_eq!(rig.source.fetches(), 1);
}

#[tokio::test]
async fn when_all_hang_up_the_fetch_goes_on_for_those_to_come() {
    let (rig, token) = (Rig::cold(), key(0).token());
    for _ in 0..100 {
        assert_eq!(at_once(rig.verify(&token)), None);
    }
    rig.source.started(1).await;
    rig.source.once(Answer::keys(&[key(0)]));
    rig.source.over(1).await;
    assert_eq!(rig.try_verify(&token), Ok(()));
    assert_eq!(rig.source.fetches(), 1);
}

#[tokio::test]
async fn when_all_hang_up_a_failure_poisons_nothing() {
    let (rig, token) = (Rig::cold(), key(0).token());
    for answer in [Answer::Failure, Answer::Panic, Answer::Failure] {
        for _ in 0..10 {
            assert_eq!(at_once(rig.verify(&token)), None);
        }
        rig.source.once(answer);
        rig.pass(secs(0)).await;
        assert_eq!(at_once(rig.verify(&token)), Some(Err(VerifyErrorKind::KeysUnavailable)));
        rig.pass(secs(1)).await;
    }
    rig.publish(&[key(0)]);
    assert_eq!(rig.verify(&token).await, Ok(()));
    assert_eq!(rig.source.fetches(), 4);
}

#[tokio::test]
async fn hanging_up_on_a_rotated_key_costs_one_fetch() {
    let (rig, rotated) = (Rig::warm().await, key(1).token());
    rig.source.hold();
    for _ in 0..100 {
        assert_eq!(at_once(rig.verify(&rotated)), None);
        settle().await;
    }
    rig.source.once(Answer::keys(&[key(1)]));
    rig.source.over(2).await;
    assert_eq!(rig.try_verify(&rotated), Ok(()));
    assert_eq!(rig.source.fetches(), 2);
}

#[tokio::test]
async fn hanging_up_before_the_fetch_has_begun_does_not_keep_it_from_beginning() {
    let (rig, token) = (Rig::cold(), key(0).token());
    rig.publish(&[key(0)]);
    assert_eq!(at_once(rig.verify(&token)), None);
    assert_eq!(rig.source.fetches(), 0);
    rig.source.over(1).await;
    assert_eq!(rig.try_verify(&token), Ok(()));
}

#[tokio::test]
async fn the_fetch_in_flight_stops_with_the_last_handle() {
    let Rig { source, verifier, .. } = Rig::cold();
    let token = key(0).token();
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let layer = ClerkAuthLayer::from(verifier.clone());
    let service = layer.layer(inner);
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).expect("a request");
    let mut response = Box::pin(service.clone().oneshot(request));
    assert!(at_once(response.as_mut()).is_none());
    source.started(1).await;

    let handles: [Box<dyn FnOnce()>; 4] = [
        Box::new(move || drop(verifier)),
        Box::new(move || drop(layer)),
        Box::new(move || drop(service)),
        Box::new(move || drop(response)),
    ];
    for drop_handle in handles {
        settle().await;
        assert_eq!((source.fetches(), source.ended()), (1, 0));
        drop_handle();
    }
    settle().await;
    assert_eq!(source.ended(), 1);
    source.once(Answer::keys(&[key(0)]));
    settle().await;
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_background_refresh_stops_with_the_last_handle() {
    let Rig { clock, source, verifier } = Rig::warm().await;
    source.hold();
    clock.advance(secs(270));
    verifier.try_verify(&key(0).token()).expect("a good token");
    source.started(2).await;
    assert_eq!(source.ended(), 1);
    drop(verifier);
    settle().await;
    assert_eq!(source.ended(), 2);
}

/// The task of a fetch holds no handle itself, else it would keep its verifier alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verifiers_dropped_while_their_fetch_is_answered_hurt_nobody() {
    for _ in 0..200 {
        let rig = Rig::cold();
        let token = stranger(0);
        assert_eq!(at_once(rig.verify(&token)), None);
        rig.source.started(1).await;
        let Rig { source, verifier, .. } = rig;
        let dropping = tokio::spawn(async move { drop::<Verifier>(verifier) });
        source.once(Answer::keys(&[key(0)]));
        dropping.await.expect("no panic");
        source.over(1).await;
    }
}
