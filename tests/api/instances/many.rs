//! Limits that all instances of a verifier share.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::{sync::Semaphore, task::JoinSet};
use tower_clerk::{
    ClerkConfig, Verifier,
    jwks::{FetchError, FetchErrorKind},
    testing::ManualClock,
    verify::{Instance, UnavailableReason, VerifierBuilder, VerifyErrorKind},
};

use crate::support::{GatedSource, Reply, millis, numbered_issuer, secs, settle, within};

/// The key servers of many tenants. All have one key, and each fetch takes a permit of its gate.
#[derive(Clone)]
struct Servers {
    gate: Arc<Semaphore>,
    now: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    started: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Servers {
    /// All answer at once.
    fn open() -> Self {
        Self::with(Semaphore::MAX_PERMITS)
    }

    /// All hang.
    fn closed() -> Self {
        Self::with(0)
    }

    fn with(permits: usize) -> Self {
        Self {
            gate: Arc::new(Semaphore::new(permits)),
            now: Arc::default(),
            most_at_once: Arc::default(),
            started: Arc::default(),
            ended: Arc::default(),
        }
    }

    async fn fetch(self) -> Result<Bytes, FetchError> {
        struct End(Servers);
        impl Drop for End {
            fn drop(&mut self) {
                self.0.now.fetch_sub(1, Ordering::SeqCst);
                self.0.ended.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.started.fetch_add(1, Ordering::SeqCst);
        self.most_at_once.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let end = End(self);
        end.0.gate.acquire().await.expect("an open semaphore").forget();
        Ok(Bytes::from(numbered_issuer(0).jwks()))
    }

    fn instance(&self, number: usize, change: fn(ClerkConfig) -> ClerkConfig) -> Instance {
        let servers = self.clone();
        let config = ClerkConfig::from_frontend_api_url(url(number)).expect("a configuration");
        Instance::new(change(config)).key_source(move || servers.clone().fetch())
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        within(async {
            while !is_so(self) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

fn url(number: usize) -> String {
    format!("https://t{number}.example")
}

/// A good token of this tenant.
fn good(number: usize) -> String {
    numbered_issuer(0).token("u").claim("iss", url(number)).lifetime(secs(24 * 60 * 60)).sign()
}

/// A token of this tenant with a made-up `kid`.
fn forged(number: usize) -> String {
    numbered_issuer(0).token("u").claim("iss", url(number)).header("kid", "ins_made_up").sign()
}

fn patient(config: ClerkConfig) -> ClerkConfig {
    config.jwks_timeout(secs(60)).expect("a timeout")
}

fn impatient(config: ClerkConfig) -> ClerkConfig {
    config.jwks_timeout(millis(100)).expect("a timeout")
}

fn hurried(config: ClerkConfig) -> ClerkConfig {
    config.jwks_timeout(secs(1)).expect("a timeout")
}

fn verifier(instances: impl IntoIterator<Item = Instance>) -> (Verifier, ManualClock) {
    let clock = ManualClock::new();
    let builder = VerifierBuilder::new().clock(clock.clone());
    let verifier = instances.into_iter().fold(builder, VerifierBuilder::instance).build().expect("a verifier");
    (verifier, clock)
}

/// Verifies these tokens together and counts the verdicts.
async fn all(verifier: &Verifier, tokens: impl IntoIterator<Item = String>) -> HashMap<Option<VerifyErrorKind>, usize> {
    let mut tasks = JoinSet::new();
    for token in tokens {
        let verifier = verifier.clone();
        tasks.spawn(async move { verifier.verify(&token).await.err().map(|error| error.kind()) });
    }
    let mut verdicts = HashMap::new();
    while let Some(verdict) = within(tasks.join_next()).await {
        *verdicts.entry(verdict.expect("no panic")).or_default() += 1;
    }
    verdicts
}

#[tokio::test]
async fn forged_tokens_for_a_thousand_instances_cause_few_fetches_at_once() {
    let servers = Servers::with(0);
    let (verifier, _) = verifier((0..1000).map(|number| servers.instance(number, patient)));
    let flood = tokio::spawn({
        let verifier = verifier.clone();
        async move { all(&verifier, (0..1000).map(forged)).await }
    });
    servers.until(|servers| servers.started() == 24).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(servers.started(), 24, "the other places are kept for instances with keys");
    servers.gate.add_permits(10_000);
    let verdicts = within(flood).await.expect("no panic");
    assert_eq!(verdicts.values().sum::<usize>(), 1000);
    assert!(servers.most_at_once() <= 32, "{}", servers.most_at_once());
}

#[tokio::test]
async fn an_instance_with_keys_is_refreshed_while_other_servers_hang() {
    let (open, closed) = (Servers::open(), Servers::closed());
    let others = (1..500).map(|number| closed.instance(number, patient));
    let (verifier, clock) = verifier([open.instance(0, patient)].into_iter().chain(others));
    assert!(verifier.verify(&good(0)).await.is_ok());
    let flood: Vec<_> = (1..500)
        .map(|number| {
            let verifier = verifier.clone();
            tokio::spawn(async move { verifier.verify(&forged(number)).await })
        })
        .collect();
    closed.until(|servers| servers.started() == 24).await;
    clock.advance(secs(270));
    assert!(verifier.try_verify(&good(0)).is_ok());
    open.until(|servers| servers.started() == 2).await;
    // A late set, for which requests wait, finds a place too.
    clock.advance(secs(24 * 60 * 60 - 600));
    assert!(within(verifier.verify(&good(0))).await.is_ok());
    assert_eq!(open.started(), 3);
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn servers_of_instances_with_keys_that_hang_leave_places_to_the_others() {
    let source = GatedSource::serving(numbered_issuer(0).jwks());
    let instances = (0..30).map(|number| {
        let config = ClerkConfig::from_frontend_api_url(url(number)).expect("a configuration");
        Instance::new(patient(config)).key_source(source.clone())
    });
    let (verifier, clock) = verifier(instances);
    verifier.warm_up().await.expect("keys");
    let tokens: Vec<_> = (0..30).map(good).collect();
    let refresh = || tokens.iter().for_each(|token| assert!(verifier.try_verify(token).is_ok()));
    source.always(Reply::Failure);
    clock.advance(secs(270));
    refresh();
    source.over(30 + 30).await;
    settle().await;
    source.hold();
    clock.advance(secs(60));
    refresh();
    source.started(60 + 16).await;
    settle().await;
    assert_eq!(source.fetches(), 60 + 16, "half of the places are left");
}

#[tokio::test]
async fn servers_that_failed_leave_places_to_those_that_were_not_tried() {
    let (failed, slow, open) = (GatedSource::new(), Servers::closed(), Servers::open());
    let of_failed = (0..30).map(|number| {
        let config = ClerkConfig::from_frontend_api_url(url(number)).expect("a configuration");
        Instance::new(patient(config)).key_source(failed.clone())
    });
    let of_slow = (30..38).map(|number| slow.instance(number, patient));
    let (verifier, clock) = verifier(of_failed.chain(of_slow).chain([open.instance(38, hurried)]));
    let spawn = |number| {
        let verifier = verifier.clone();
        tokio::spawn(async move { verifier.verify(&good(number)).await })
    };
    failed.always(Reply::Failure);
    let verdicts = all(&verifier, (0..30).map(good)).await;
    assert_eq!(verdicts, HashMap::from([(Some(VerifyErrorKind::KeysUnavailable), 30)]));
    // All are tried again, and hang.
    failed.hold();
    clock.advance(secs(10));
    let hanging: Vec<_> = (0..30).map(spawn).collect();
    failed.started(30 + 16).await;
    settle().await;
    assert_eq!(failed.fetches(), 30 + 16);
    let first: Vec<_> = (30..38).map(spawn).collect();
    slow.until(|servers| servers.started() == 8).await;
    let error = within(verifier.verify(&good(38))).await.expect_err("no place");
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::Fetch(FetchErrorKind::TooManyFetches)));
    slow.gate.add_permits(8);
    for task in first {
        assert!(within(task).await.expect("no panic").is_ok());
    }
    // A lack of places says nothing about a server: this one still counts as not tried.
    clock.advance(secs(10));
    assert!(within(verifier.verify(&good(38))).await.is_ok());
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_fetch_that_finds_no_place_in_time_says_so() {
    let servers = Servers::closed();
    let (verifier, _) =
        verifier((0..30).map(|number| servers.instance(number, if number < 24 { patient } else { impatient })));
    let first: Vec<_> = (0..24)
        .map(|number| {
            let verifier = verifier.clone();
            tokio::spawn(async move { verifier.verify(&good(number)).await })
        })
        .collect();
    servers.until(|servers| servers.started() == 24).await;
    let error = within(verifier.verify(&good(24))).await.expect_err("no place");
    assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::Fetch(FetchErrorKind::TooManyFetches)));
    assert!(error.retry_after().is_some());
    servers.gate.add_permits(100);
    for task in first {
        assert!(within(task).await.expect("no panic").is_ok());
    }
}

#[tokio::test]
async fn forged_tokens_for_many_instances_share_a_budget() {
    let servers = Servers::open();
    let (verifier, clock) = verifier((0..1000).map(|number| servers.instance(number, patient)));
    verifier.warm_up().await.expect("keys");
    assert_eq!(servers.started(), 1000);
    let verdicts = all(&verifier, (0..1000).chain(0..1000).map(forged)).await;
    assert_eq!(verdicts, HashMap::from([(Some(VerifyErrorKind::UnknownKey), 2000)]));
    assert_eq!(servers.started(), 1000 + 64);
    clock.advance(secs(1));
    let _ = all(&verifier, (0..1000).map(forged)).await;
    assert_eq!(servers.started(), 1000 + 64 + 10);
    assert_eq!(all(&verifier, (0..1000).map(good)).await, HashMap::from([(None, 1000)]));
}

#[tokio::test]
async fn a_flood_over_many_tenants_leaves_those_with_keys_alone() {
    let servers = Servers::open();
    let (verifier, clock) = verifier((0..600).map(|number| servers.instance(number, patient)));
    verifier.warm_up().await.expect("keys");
    let (cached, forged): (_, Vec<_>) = (good(0), (0..600).map(forged).collect());
    for second in 0..60 {
        clock.advance(secs(1));
        for token in &forged {
            assert!(verifier.try_verify(token).is_err());
        }
        for token in [&cached, &good(second)] {
            assert!(verifier.try_verify(token).is_ok());
        }
        tokio::task::yield_now().await;
    }
    servers.until(|servers| servers.now.load(Ordering::SeqCst) == 0).await;
    // 64 at once and 10 a second, from which the first tokens of the flood take.
    assert!(servers.started() <= 600 + 64 + 10 * 60, "{}", servers.started());
}

#[tokio::test]
async fn two_thousand_tenants_get_their_keys_in_a_cold_start() {
    let servers = Servers::closed();
    let (verifier, _) = verifier((0..2000).map(|number| servers.instance(number, patient)));
    let traffic = tokio::spawn({
        let verifier = verifier.clone();
        async move { all(&verifier, (0..2000).map(good)).await }
    });
    // Each round of answers is as long as one fetch. All places are used in each, so 2 000 tenants need 84 rounds.
    let mut rounds = 0;
    while servers.ended.load(Ordering::SeqCst) < 2000 {
        let waiting = servers.started() - servers.ended.load(Ordering::SeqCst);
        let expected = 24.min(2000 - servers.ended.load(Ordering::SeqCst));
        if waiting < expected {
            tokio::task::yield_now().await;
            continue;
        }
        let ended = servers.ended.load(Ordering::SeqCst);
        servers.gate.add_permits(waiting);
        servers.until(|servers| servers.ended.load(Ordering::SeqCst) == ended + waiting).await;
        rounds += 1;
    }
    assert_eq!(within(traffic).await.expect("no panic"), HashMap::from([(None, 2000)]));
    assert_eq!((rounds, servers.started()), (84, 2000));
}

#[tokio::test]
async fn warm_up_and_refresh_fetch_for_many_instances_at_once() {
    let servers = Servers::closed();
    let (verifier, _) = verifier((0..100).map(|number| servers.instance(number, patient)));
    let warming = tokio::spawn({
        let verifier = verifier.clone();
        async move { verifier.warm_up().await }
    });
    servers.until(|servers| servers.started() == 24).await;
    servers.gate.add_permits(100);
    assert!(within(warming).await.expect("no panic").is_ok());
    let refreshing = tokio::spawn({
        let verifier = verifier.clone();
        async move { verifier.refresh().await }
    });
    servers.until(|servers| servers.started() == 100 + 24).await;
    servers.gate.add_permits(100);
    assert!(within(refreshing).await.expect("no panic").is_ok());
    assert_eq!((servers.started(), servers.most_at_once()), (200, 24));
}

#[tokio::test]
async fn warm_up_reports_an_error_and_fetches_for_the_others() {
    let (open, closed) = (Servers::open(), Servers::closed());
    let instances = (0..40)
        .map(|number| if number == 7 { closed.instance(number, impatient) } else { open.instance(number, patient) });
    let (verifier, _) = verifier(instances);
    let error = within(verifier.warm_up()).await.expect_err("one hangs");
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::Fetch(FetchErrorKind::Timeout)));
    assert_eq!((open.started(), closed.started()), (39, 1));
}
