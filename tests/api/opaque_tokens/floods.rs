//! Made-up keys beside callers whose keys are good: what the flood costs is bounded, and the callers do not notice it.

use super::{Api, Fixture, GOOD, IN_PROGRESS, INACTIVE, Reply, SPENT, key};
use crate::support::{millis, secs, settle};

/// Made-up keys in a minute, of which no two are the same.
const FLOOD: usize = 10_000;
/// Callers of a service, of whom the last 2 000 find no place for their answers.
const CALLERS: usize = 12_000;
/// The time between two of them.
const STEP: u64 = 6;
/// What the budget allows in a minute: 100 at once and 20 more a second.
const ALLOWED: usize = 100 + 20 * 60;

fn made_up(number: usize) -> String {
    key(format_args!("made_up_{number}"))
}

/// Callers whose keys are good. The time at which each answer ends is another.
async fn callers(fixture: &Fixture) -> Vec<String> {
    let callers: Vec<_> = (0..50).map(|number| key(format_args!("caller_{number}"))).collect();
    for caller in &callers {
        fixture.api.about(caller, Reply::Valid);
        assert_eq!(fixture.verify(caller).await, GOOD);
        fixture.clock.advance(millis(1100));
    }
    callers
}

fn calls_for_made_up(api: &Api) -> usize {
    api.state.borrow().asked.iter().filter(|asked| asked.starts_with("ak_made_up_")).count()
}

#[tokio::test]
async fn ten_thousand_made_up_keys_in_a_minute_cost_what_the_budget_allows() {
    let fixture = Fixture::new(Api::new());
    let mut refused = 0;
    for number in 0..FLOOD {
        match fixture.verify(&made_up(number)).await {
            INACTIVE => {}
            SPENT => refused += 1,
            other => panic!("{other:?}"),
        }
        fixture.clock.advance(millis(STEP));
    }
    let calls = fixture.api.calls();
    assert!((ALLOWED - 5..=ALLOWED).contains(&calls), "{calls} calls");
    let status = fixture.verifier.opaque_tokens_status();
    assert_eq!((status.calls, status.refused_by_budget), (10_000 - refused, refused));
    assert_eq!(status.calls, u64::try_from(calls).expect("a number"));
}

#[tokio::test]
async fn known_callers_pass_in_a_flood_also_when_their_answers_end() {
    let fixture = Fixture::new(Api::new());
    let callers = callers(&fixture).await;
    let before = fixture.api.calls();
    for number in 0..FLOOD {
        let _ = fixture.verify(&made_up(number)).await;
        let caller = &callers[number % callers.len()];
        assert_eq!(fixture.verify(caller).await, GOOD, "{caller} after {number}");
        fixture.clock.advance(millis(STEP));
    }
    assert!(calls_for_made_up(&fixture.api) <= ALLOWED);
    // Each answer has ended once or twice in this minute.
    let again = fixture.api.calls() - before - calls_for_made_up(&fixture.api);
    assert!((50..=100).contains(&again), "{again}");
}

#[tokio::test]
async fn more_callers_than_answers_fit_stay_known_in_a_flood() {
    let fixture = Fixture::new(Api::valid());
    for number in 0..CALLERS {
        assert_eq!(fixture.verify(&key(number)).await, GOOD);
    }
    let calls = fixture.api.calls();
    fixture.api.always(Reply::Unknown);
    for number in 0..100 {
        assert_eq!(fixture.verify(&made_up(number)).await, INACTIVE);
    }
    assert_eq!(fixture.verify(&made_up(100)).await, SPENT);
    fixture.api.always(Reply::Valid);
    for number in 0..CALLERS {
        assert_eq!(fixture.verify(&key(number)).await, GOOD, "{number}");
    }
    // Some answers were kept, and the rest were asked for again.
    let again = fixture.api.calls() - calls - calls_for_made_up(&fixture.api);
    assert!((CALLERS - 10_000..CALLERS).contains(&again), "{again}");
}

#[tokio::test]
async fn a_flood_that_the_api_answers_slowly_does_not_hold_up_known_callers() {
    let fixture = Fixture::new(Api::new());
    let callers = callers(&fixture).await;
    fixture.pass(secs(60)).await;
    fixture.api.always(Reply::Hold);
    for number in 0..100 {
        assert_eq!(fixture.try_verify(&made_up(number)), IN_PROGRESS);
    }
    settle().await;
    for caller in &callers {
        assert_eq!(fixture.verify(caller).await, GOOD);
    }
    assert_eq!(calls_for_made_up(&fixture.api), 48);
}

/// After a restart nothing is known, so callers share the budget with the flood. They get 503, never 401, until one of
/// their requests comes before the flood when the budget allows a call, or until the flood ends. Then they are known.
#[tokio::test]
async fn callers_share_the_budget_after_a_restart_in_a_flood() {
    let fixture = Fixture::new(Api::new());
    let callers = callers(&fixture).await;
    for number in 0..1000 {
        let _ = fixture.verify(&made_up(number)).await;
        fixture.clock.advance(millis(STEP));
    }
    let restarted = fixture.restarted();
    let before = calls_for_made_up(&fixture.api);
    let mut known = vec![false; callers.len()];
    let mut refused = 0;
    for number in 0..FLOOD {
        let _ = restarted.verify(&made_up(100_000 + number)).await;
        restarted.clock.advance(millis(STEP));
        // Each makes about three requests a second.
        if number % 7 == 0 {
            let index = (number / 7) % callers.len();
            match restarted.verify(&callers[index]).await {
                GOOD => known[index] = true,
                SPENT if !known[index] => refused += 1,
                other => panic!("{other:?} for caller {index} after {number}"),
            }
        }
    }
    let in_time = known.iter().filter(|known| **known).count();
    assert!(refused > 0 && in_time >= 10, "{in_time} of {} callers, {refused} times refused", callers.len());
    assert!(calls_for_made_up(&fixture.api) - before <= ALLOWED);
    // When the flood ends, the others get in at once.
    restarted.clock.advance(secs(5));
    for caller in &callers {
        assert_eq!(restarted.verify(caller).await, GOOD);
    }
}

#[tokio::test]
async fn a_flood_of_one_made_up_key_is_one_call_a_minute() {
    let fixture = Fixture::new(Api::new());
    for _ in 0..FLOOD {
        assert_eq!(fixture.verify("ak_made_up_0").await, INACTIVE);
    }
    assert_eq!(fixture.api.calls(), 1);
}
