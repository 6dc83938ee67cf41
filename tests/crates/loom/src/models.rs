use std::{sync::Arc, time::Duration};

use loom::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
};

use crate::{
    freshness::{Freshness, FreshnessTime},
    gate::{Entry, FetchGate, FetchRequest, InFlight},
    schedule::FetchReason,
};

/// A gate, the set behind it and a count of fetches.
#[derive(Clone)]
struct Store {
    gate: Arc<FetchGate<Flight>>,
    set: Arc<AtomicU64>,
    starts: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Flight {
    is_live: Arc<AtomicBool>,
    number: u64,
}

impl InFlight for Flight {
    fn stop(&self) {
        self.is_live.store(false, SeqCst);
    }

    fn is_live(&self, _: Duration) -> bool {
        self.is_live.load(SeqCst)
    }
}

impl Store {
    fn new() -> Self {
        Self { gate: Arc::new(FetchGate::new()), set: Arc::new(AtomicU64::new(0)), starts: Arc::new(AtomicU64::new(0)) }
    }

    fn set(&self) -> Option<u64> {
        Some(self.set.load(SeqCst)).filter(|set| *set > 0)
    }

    fn start(&self, number: u64) -> Flight {
        self.starts.fetch_add(1, SeqCst);
        Flight { is_live: Arc::new(AtomicBool::new(true)), number }
    }

    fn ask(&self, reason: FetchReason, seen: Option<u64>) -> Entry<Flight> {
        self.ask_as(FetchRequest { reason, seen, now: NOW, join_takes: false })
    }

    fn ask_as(&self, request: FetchRequest) -> Entry<Flight> {
        self.gate.request(request, || self.set(), || true, |number| Some(self.start(number)))
    }

    fn land(&self, flight: &Flight) -> bool {
        let landed = self.gate.succeed(flight.number, |set| self.set.store(set, SeqCst));
        flight.is_live.store(false, SeqCst);
        landed
    }

    /// A request that fetches if the gate lets it.
    fn request(&self, reason: FetchReason, seen: Option<u64>) {
        match self.ask(reason, seen) {
            Entry::Started(flight) => assert!(self.land(&flight)),
            Entry::Joined(_) => {}
            Entry::SetChanged => assert_ne!(self.set(), seen),
            Entry::Backoff(_) | Entry::BudgetExhausted | Entry::NoRuntime => panic!("nothing has failed and nothing is spent"),
        }
    }

    fn starts(&self) -> u64 {
        self.starts.load(SeqCst)
    }
}

/// Runs these concurrently.
fn together<const N: usize>(store: &Store, work: [fn(&Store); N]) {
    let threads = work.map(|work| {
        let store = store.clone();
        thread::spawn(move || work(&store))
    });
    for thread in threads {
        thread.join().expect("no assertion fails");
    }
}

#[test]
fn concurrent_cold_requests_fetch_once() {
    loom::model(|| {
        let store = Store::new();
        let request = |store: &Store| store.request(FetchReason::NoKeys, None);
        together(&store, [request, request]);
        request(&store);
        assert_eq!((store.starts(), store.set()), (1, Some(1)));
    });
}

#[test]
fn concurrent_requests_for_a_rotated_kid_fetch_once() {
    loom::model(|| {
        let store = Store::new();
        store.request(FetchReason::NoKeys, None);
        let request = |store: &Store| store.request(FetchReason::UnknownKid, Some(1));
        together(&store, [request, request]);
        assert_eq!((store.starts(), store.set()), (2, Some(2)));
    });
}

#[test]
fn a_due_refresh_and_a_request_fetch_once() {
    loom::model(|| {
        let store = Store::new();
        store.request(FetchReason::NoKeys, None);
        together(
            &store,
            [
                |store| store.gate.refresh_if_idle(NOW, |number| Some(store.start(number))),
                |store| match store.ask(FetchReason::UnknownKid, Some(1)) {
                    Entry::Started(_) | Entry::Joined(_) => {}
                    _ => panic!("nothing has landed"),
                },
            ],
        );
        assert_eq!(store.starts(), 2);
    });
}

#[test]
fn a_fetch_ends_exactly_once() {
    loom::model(|| {
        let store = Store::new();
        let Entry::Started(flight) = store.ask(FetchReason::NoKeys, None) else { panic!("it is the first") };
        let other = (store.clone(), flight.clone());
        let giving_up = thread::spawn(move || other.0.gate.fail(other.1.number, Some((NOW, None)), || ()));
        let landed = store.land(&flight);
        let given_up = giving_up.join().expect("no assertion fails");
        assert!(landed != given_up, "one of the two ends it");
        assert_eq!(store.set().is_some(), landed);
        assert_eq!(store.gate.delay(NOW, false).is_zero(), landed);
    });
}

/// A set whose refresh has failed makes no token wait, so the failure must be that of its own refresh.
#[test]
fn the_failure_of_a_fetch_that_has_ended_is_not_noted() {
    loom::model(|| {
        let store = Store::new();
        let Entry::Started(flight) = store.ask(FetchReason::NoKeys, None) else { panic!("it is the first") };
        let has_failed = Arc::new(AtomicBool::new(false));
        let giving_up = {
            let (store, has_failed, number) = (store.clone(), Arc::clone(&has_failed), flight.number);
            thread::spawn(move || store.gate.fail(number, Some((NOW, None)), || has_failed.store(true, SeqCst)))
        };
        let landed = store.gate.succeed(flight.number, |_| has_failed.store(false, SeqCst));
        giving_up.join().expect("no assertion fails");
        assert_eq!(has_failed.load(SeqCst), !landed);
    });
}

#[test]
fn a_forgotten_set_is_not_restored_by_an_earlier_fetch() {
    loom::model(|| {
        let store = Store::new();
        let Entry::Started(flight) = store.ask(FetchReason::NoKeys, None) else { panic!("it is the first") };
        let forgetting = {
            let store = store.clone();
            thread::spawn(move || store.gate.reset(|| store.set.store(0, SeqCst)))
        };
        store.land(&flight);
        forgetting.join().expect("no assertion fails");
        assert_eq!(store.set(), None);
    });
}

#[test]
fn the_budget_is_spent_once_per_fetch() {
    loom::model(|| {
        let store = Store::new();
        store.request(FetchReason::NoKeys, None);
        let once = |store: &Store| match store.ask(FetchReason::BadSignature, Some(1)) {
            Entry::Started(flight) => flight.stop(),
            Entry::Joined(_) | Entry::BudgetExhausted => {}
            _ => panic!("nothing has landed or failed"),
        };
        together(&store, [once, once]);
        assert_eq!(store.starts(), 2);
    });
}

#[test]
fn a_join_that_takes_from_the_budget_takes_once() {
    loom::model(|| {
        let store = Store::new();
        store.request(FetchReason::NoKeys, None);
        let Entry::Started(flight) = store.ask(FetchReason::LateSet, Some(1)) else { panic!("nothing is in flight") };
        let joined = Arc::new(AtomicU64::new(0));
        let join = |store: &Store, joined: &AtomicU64| {
            match store.ask_as(FetchRequest {
                reason: FetchReason::BadSignature,
                seen: Some(1),
                now: NOW,
                join_takes: true,
            }) {
                Entry::Joined(_) => _ = joined.fetch_add(1, SeqCst),
                Entry::BudgetExhausted => {}
                _ => panic!("the fetch is in flight"),
            }
        };
        let other = (store.clone(), joined.clone());
        let joining = thread::spawn(move || join(&other.0, &other.1));
        join(&store, &joined);
        joining.join().expect("no assertion fails");
        assert_eq!((joined.load(SeqCst), store.starts()), (1, 2));
        assert!(store.land(&flight));
    });
}

/// The same number on both clocks.
fn at(time: u64) -> FreshnessTime {
    FreshnessTime { monotonic: time, wall: time }
}

#[test]
fn a_generation_is_fresh_only_by_its_own_times() {
    loom::model(|| {
        let freshness = Arc::new(Freshness::new());
        freshness.publish(1, at(10));
        let writing = {
            let freshness = freshness.clone();
            thread::spawn(move || {
                freshness.publish(2, at(100));
                freshness.clear();
                freshness.publish(3, at(60));
            })
        };
        assert!(!freshness.is_fresh(1, at(50)), "generation 1 with the time of another");
        assert!(!freshness.is_fresh(3, at(70)), "generation 3 with the time of another");
        writing.join().expect("no assertion fails");
        assert!(freshness.is_fresh(3, at(50)) && !freshness.is_fresh(2, at(50)));
    });
}

#[test]
fn a_generation_is_fresh_only_while_neither_clock_has_reached_its_end() {
    loom::model(|| {
        let freshness = Freshness::new();
        assert!(!freshness.is_fresh(1, at(0)));
        freshness.publish(1, FreshnessTime { monotonic: 10, wall: 20 });
        for (monotonic, wall, is_fresh) in [(9, 19, true), (10, 19, false), (9, 20, false), (0, 0, true)] {
            assert_eq!(freshness.is_fresh(1, FreshnessTime { monotonic, wall }), is_fresh, "{monotonic} {wall}");
        }
    });
}

const NOW: Duration = Duration::from_secs(100);

#[test]
fn no_kid_is_rejected_while_a_newer_set_is_being_fetched() {
    loom::model(|| {
        let store = Store::new();
        store.request(FetchReason::NoKeys, None);
        store.request(FetchReason::UnknownKid, Some(1));
        store.request(FetchReason::UnknownKid, Some(2));
        let is_spent = |store: &Store, seen| store.gate.is_exhausted(FetchReason::UnknownKid, seen, NOW, || store.set());
        assert!(is_spent(&store, Some(3)));
        let Entry::Started(flight) = store.gate.force(NOW, |number| Some(store.start(number))) else {
            panic!("nothing else is in flight")
        };
        let other = store.clone();
        let landing = thread::spawn(move || assert!(other.land(&flight)));
        assert!(!is_spent(&store, Some(3)));
        landing.join().expect("it lands");
        assert!(!is_spent(&store, Some(3)));
        assert!(is_spent(&store, Some(4)));
    });
}
