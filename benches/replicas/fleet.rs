//! A fleet of replicas over simulated time: real verifiers with one clock and one issuer in common.
//!
//! Nothing waits for real time. The simulation goes from event to event (a start, a request), sets the clock to the time
//! of the event, and lets the runtime run until no task is left. The issuer answers or fails at once, so a fetch takes
//! no simulated time: that is the hardest case for it, since a fetch that hangs delays the next one.
//!
//! One thread and one seed for everything that is drawn, so the same scenario has the same outcome each time.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle, RuntimeMetrics};
use tower_clerk::{
    ClerkConfig, Verifier,
    jwks::FetchError,
    testing::TestIssuer,
    verify::{Clock, Instance, VerifyErrorKind},
};

/// What happens to a fleet. All times are seconds after the first start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Whether a replica fetches keys at its start, and not only for its first request.
    pub(crate) warms_up: bool,
    pub(crate) arrivals: Arrivals,
    pub(crate) endpoint: Endpoint,
    pub(crate) rotation: Option<Rotation>,
}

/// When requests come to one replica, the first after its start.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrivals {
    /// At equal intervals.
    Every(Duration),
    /// At random, with this mean interval: a Poisson process.
    Random(Duration),
}

/// How the issuer responds to fetches of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Endpoint {
    Up,
    /// It fails every fetch in these seconds.
    Down {
        from: u64,
        until: u64,
    },
    /// In each second it answers one fetch from this share of the replicas, and all others with 429 and this
    /// `Retry-After`.
    Limited {
        share: f64,
        retry_after: Duration,
    },
}

/// A new signing key. The session tokens of the old one, of which each lives for a minute, are replaced one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    pub(crate) published_at: u64,
    pub(crate) used_at: u64,
}

/// What the fleet asked of the issuer, and what its users saw.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Load {
    /// Fetches in each second.
    pub(crate) fetches: Vec<u32>,
    pub(crate) requests: u64,
    /// Requests whose token could not be judged for want of keys: 503.
    pub(crate) unavailable: u64,
    /// Requests whose valid token was rejected: 401.
    pub(crate) rejected: u64,
}

impl Scenario {
    /// Runs `replicas` of them, which start at random within the first second, for so many seconds.
    pub(crate) fn run(&self, replicas: u32, seconds: u64, seed: u64) -> Load {
        // The library draws its jitter from the generator of this thread.
        fastrand::seed(seed);
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let mut fleet = Fleet::new(self, replicas, seconds, fastrand::Rng::with_seed(!seed));
        runtime.block_on(fleet.run());
        let mut load = fleet.load;
        load.fetches = fleet.issuer.counted(seconds);
        load
    }
}

impl Load {
    /// The most fetches in one of these seconds.
    pub(crate) fn peak(&self, from: usize, until: usize) -> u32 {
        self.fetches.get(from..until.min(self.fetches.len())).into_iter().flatten().copied().max().unwrap_or_default()
    }

    pub(crate) fn total(&self) -> u64 {
        self.fetches.iter().copied().map(u64::from).sum()
    }
}

struct Fleet {
    replicas: Vec<Verifier>,
    clock: SimulatedClock,
    issuer: Arc<Issuer>,
    arrivals: Arrivals,
    warms_up: bool,
    until: Duration,
    /// The next event of each replica. The number decides between two at the same time.
    events: BinaryHeap<Reverse<(Duration, usize, Event)>>,
    random: fastrand::Rng,
    load: Load,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    Start,
    Request,
}

impl Fleet {
    fn new(scenario: &Scenario, replicas: u32, seconds: u64, mut random: fastrand::Rng) -> Self {
        let clock = SimulatedClock::default();
        let issuer = Arc::new(Issuer::new(clock.clone(), scenario, replicas));
        let replicas: Vec<_> = (0..replicas).map(|_| issuer.replica()).collect();
        let starts = (0..replicas.len()).map(|number| Reverse((within_a_second(&mut random), number, Event::Start)));
        Self {
            events: starts.collect(),
            replicas,
            clock,
            issuer,
            arrivals: scenario.arrivals,
            warms_up: scenario.warms_up,
            until: Duration::from_secs(seconds),
            random,
            load: Load::default(),
        }
    }

    async fn run(&mut self) {
        let metrics = Handle::current().metrics();
        while let Some(Reverse((at, number, event))) = self.events.pop() {
            if at >= self.until {
                break;
            }
            self.clock.set(at);
            let replica = &self.replicas[number];
            let next = match event {
                Event::Start => {
                    if self.warms_up {
                        // A replica starts even if it fails.
                        let _ = replica.warm_up().await;
                    }
                    self.arrivals.first(&mut self.random)
                }
                Event::Request => {
                    let outcome = replica.verify(self.issuer.token(at, &mut self.random)).await;
                    self.load.requests += 1;
                    match outcome.map_err(|error| error.kind()) {
                        Ok(_) => {}
                        Err(VerifyErrorKind::KeysUnavailable) => self.load.unavailable += 1,
                        Err(_) => self.load.rejected += 1,
                    }
                    self.arrivals.next(&mut self.random)
                }
            };
            finish_tasks(&metrics).await;
            self.events.push(Reverse((at + next, number, Event::Request)));
        }
    }
}

/// Lets all tasks run to their end. Each ends, because the issuer makes none wait.
async fn finish_tasks(metrics: &RuntimeMetrics) {
    while metrics.num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

impl Arrivals {
    fn first(self, random: &mut fastrand::Rng) -> Duration {
        match self {
            // The replicas must not be in step.
            Self::Every(interval) => interval.mul_f64(random.f64()),
            Self::Random(_) => self.next(random),
        }
    }

    fn next(self, random: &mut fastrand::Rng) -> Duration {
        match self {
            Self::Every(interval) => interval,
            Self::Random(mean) => mean.mul_f64(-(1.0 - random.f64()).ln()),
        }
    }
}

/// The issuer: two keys, its JWKS endpoint and its tokens.
struct Issuer {
    clock: SimulatedClock,
    config: ClerkConfig,
    replicas: f64,
    endpoint: Endpoint,
    rotation: Option<Rotation>,
    /// The documents before and after the new key is published.
    documents: [Bytes; 2],
    /// A token of the old key and one of the new key, which do not expire during the simulation.
    tokens: [String; 2],
    counted: Mutex<Vec<u32>>,
}

impl Issuer {
    fn new(clock: SimulatedClock, scenario: &Scenario, replicas: u32) -> Self {
        let issuer = TestIssuer::new().clock(clock.clone());
        let token = |issuer: &TestIssuer| issuer.token("user_ada").lifetime(Duration::from_secs(24 * 60 * 60)).sign();
        let config = ClerkConfig::from_frontend_api_url(issuer.url())
            // Deadlines run in real time, and none may pass on a slow machine.
            .and_then(|config| config.jwks_timeout(Duration::from_secs(60)))
            .expect("a configuration");
        let (old, of_old) = (keys(&issuer), token(&issuer));
        issuer.rotate();
        let (new, of_new) = (keys(&issuer), token(&issuer));
        let document = |keys: Vec<Value>| Bytes::from(json!({ "keys": keys }).to_string());
        Self {
            clock,
            config,
            replicas: replicas.into(),
            endpoint: scenario.endpoint,
            rotation: scenario.rotation,
            documents: [document(old.clone()), document([old, new].concat())],
            tokens: [of_old, of_new],
            counted: Mutex::default(),
        }
    }

    /// A process with a verifier of its own. Its token cache holds the two tokens.
    fn replica(self: &Arc<Self>) -> Verifier {
        let issuer = Arc::clone(self);
        let source = move || std::future::ready(issuer.respond());
        Verifier::builder(Instance::new(self.config.clone()).key_source(source))
            .clock(self.clock.clone())
            .token_cache_entries(2)
            .build()
            .expect("a verifier")
    }

    /// Counts a fetch and responds to it.
    fn respond(&self) -> Result<Bytes, FetchError> {
        let second = self.clock.monotonic().as_secs();
        let in_this_second = self.count(usize::try_from(second).expect("a number of seconds"));
        match self.endpoint {
            Endpoint::Down { from, until } if (from..until).contains(&second) => Err(FetchError::new("out of order")),
            Endpoint::Limited { share, retry_after } if f64::from(in_this_second) > share * self.replicas => {
                Err(FetchError::new("too many requests").retry_after(retry_after))
            }
            _ => {
                let [old, new] = &self.documents;
                let is_published = self.rotation.is_some_and(|rotation| second >= rotation.published_at);
                Ok(if is_published { new } else { old }.clone())
            }
        }
    }

    fn count(&self, second: usize) -> u32 {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() <= second {
            counted.resize(second + 1, 0);
        }
        counted[second] += 1;
        counted[second]
    }

    /// The token of a user who comes now. Session tokens are at most a minute old, so a minute after the new key is
    /// first used all are signed with it.
    fn token(&self, now: Duration, random: &mut fastrand::Rng) -> &str {
        let [old, new] = &self.tokens;
        let used_at = self.rotation.map_or(Duration::MAX, |rotation| Duration::from_secs(rotation.used_at));
        let is_new = now.saturating_sub(used_at).as_secs_f64() > 60.0 * random.f64();
        if is_new { new } else { old }
    }

    /// The fetches in each of so many seconds.
    fn counted(&self, seconds: u64) -> Vec<u32> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        counted.resize(usize::try_from(seconds).expect("a number of seconds"), 0);
        counted
    }
}

fn keys(issuer: &TestIssuer) -> Vec<Value> {
    let document: Value = serde_json::from_str(&issuer.jwks()).expect("JSON");
    document["keys"].as_array().expect("an array").clone()
}

/// Both clocks of all replicas, in nanoseconds.
#[derive(Clone, Default)]
struct SimulatedClock(Arc<AtomicU64>);

impl SimulatedClock {
    fn set(&self, time: Duration) {
        self.0.store(u64::try_from(time.as_nanos()).expect("few seconds"), Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.monotonic()
    }
}

fn within_a_second(random: &mut fastrand::Rng) -> Duration {
    Duration::from_secs(1).mul_f64(random.f64())
}
