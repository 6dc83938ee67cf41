use std::{collections::HashMap, time::Duration};

use tokio::runtime::Builder;
use tower_clerk::jwks::FetchErrorKind;

use crate::support::{Harness, Reply, at_once, key, millis, runtime, secs, settle};

#[test]
fn waiters_on_another_runtime_restart_a_fetch_whose_runtime_ended() {
    let (harness, token) = (Harness::cold(), key(0).token());
    let (first, second) = (runtime(), runtime());
    first.block_on(async {
        assert!(harness.try_verify(&token).is_err());
        harness.source.started(1).await;
    });
    second.block_on(async {
        let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(harness.verify(&token))).collect();
        for waiting in &mut waiting {
            assert_eq!(at_once(waiting.as_mut()), None);
        }
        // A runtime must not be dropped within another.
        std::thread::spawn(move || drop(first)).join().expect("no panic");
        assert_eq!(harness.source.ended(), 1);
        harness.source.once(Reply::keys(&[key(0)]));
        for waiting in waiting {
            assert_eq!(waiting.await, Ok(()));
        }
    });
    assert_eq!((harness.source.fetches(), harness.verifier.keys_status().last_error), (2, None));
}

#[test]
fn every_waiter_gets_keys_whenever_the_fetchs_runtime_ends() {
    let token = key(0).token();
    for _ in 0..50 {
        let harness = Harness::cold();
        let [first, second] = [1, 2].map(|threads| {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads).enable_all().build().expect("a runtime")
        });
        first.block_on(async {
            assert!(harness.try_verify(&token).is_err());
            harness.source.started(1).await;
        });
        let end = async || {
            std::thread::spawn(move || drop(first)).join().expect("no panic");
            harness.publish(&[key(0)]);
        };
        let verdicts = second.block_on(harness.herd(vec![token.clone(); 20], end));
        assert_eq!(verdicts, HashMap::from([(Ok(()), 20)]));
        assert_eq!(harness.source.fetches(), 2);
    }
}

#[test]
fn the_next_use_restarts_a_refresh_whose_runtime_ended() {
    let (harness, token) = (runtime().block_on(Harness::warm()), key(0).token());
    harness.source.hold();
    harness.clock.advance(secs(270));
    runtime().block_on(async {
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.started(2).await;
    });
    assert_eq!(harness.source.ended(), 2);
    harness.publish(&[key(1)]);
    runtime().block_on(async {
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.over(3).await;
        assert_eq!(harness.try_verify(&key(1).token()), Ok(()));
    });
}

#[test]
fn a_fetch_on_an_idle_runtime_is_abandoned() {
    let timeout = millis(100);
    let (harness, token) = (Harness::cold_with(|config| config.jwks_timeout(timeout)), key(0).token());
    let undriven = runtime();
    undriven.block_on(async { assert!(harness.try_verify(&token).is_err()) });
    runtime().block_on(async {
        let start = std::time::Instant::now();
        let error = harness.verifier.verify(&token).await.expect_err("no keys");
        assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Timeout));
        assert!(start.elapsed() >= timeout && start.elapsed() < timeout + secs(1), "{:?}", start.elapsed());
        harness.publish(&[key(0)]);
        harness.clock.advance(millis(250));
        assert_eq!(harness.verify(&token).await, Ok(()));
    });
    undriven.block_on(settle());
    assert_eq!((harness.source.fetches(), harness.verifier.keys_status().last_error), (1, None));
}

#[test]
fn a_refresh_on_an_idle_runtime_does_not_block_other_refreshes() {
    let token = key(0).token();
    let harness = runtime().block_on(Harness::warm_with(|config| config.jwks_timeout(secs(3))));
    let undriven = runtime();
    harness.clock.advance(secs(270));
    undriven.block_on(async { assert_eq!(harness.try_verify(&token), Ok(())) });
    runtime().block_on(async {
        for _ in 0..10 {
            harness.pass(secs(1)).await;
            assert_eq!(harness.try_verify(&token), Ok(()));
            settle().await;
        }
        assert_eq!(harness.source.ended(), 2);
    });
}

#[test]
fn the_fetch_of_an_idle_runtime_is_stopped_by_the_next() {
    let token = key(0).token();
    let harness = runtime().block_on(Harness::warm_with(|config| config.jwks_timeout(secs(3))));
    let undriven = runtime();
    harness.clock.advance(secs(270));
    undriven.block_on(async { assert_eq!(harness.try_verify(&token), Ok(())) });
    harness.clock.advance(secs(4));
    runtime().block_on(async {
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.over(2).await;
    });
    undriven.block_on(settle());
    assert_eq!(harness.source.fetches(), 2);
}

#[test]
fn a_request_that_gives_up_leaves_a_newer_fetch_alone() {
    let (harness, token) = (Harness::cold_with(|config| config.jwks_timeout(millis(10))), key(0).token());
    let undriven = runtime();
    let entered = undriven.enter();
    let mut waiting = Box::pin(harness.verifier.verify(&token));
    assert!(at_once(waiting.as_mut()).is_none());
    harness.clock.advance(secs(1));
    assert!(harness.try_verify(&token).is_err());
    drop(entered);
    let error = runtime().block_on(waiting).expect_err("no keys");
    assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Timeout));
    assert_eq!((error.retry_after(), harness.verifier.keys_status().last_error), (Some(Duration::ZERO), None));
}
