//! The scenarios, each with the bounds that its load must keep.
//!
//! Bounds are for each replica, so they hold for a fleet of any size.

use std::time::Duration;

use super::fleet::{Arrivals, Endpoint, Load, Rotation, Scenario};

/// How long each scenario runs.
pub(crate) const SECONDS: u64 = 600;

pub(crate) const SCENARIOS: [(Scenario, Bounds); 7] = [
    (
        Scenario { name: "no warm-up", warms_up: false, arrivals: Arrivals::Every(Duration::from_secs(2)), ..USUAL },
        STEADY,
    ),
    (Scenario { name: "warm-up", ..USUAL }, STEADY),
    (
        Scenario { name: "outage of 3 minutes", endpoint: Endpoint::Down { from: 200, until: 380 }, ..USUAL },
        Bounds { total: 14.0, later: 0.28, ..STEADY },
    ),
    (
        Scenario {
            name: "start in an outage",
            arrivals: Arrivals::Random(Duration::from_secs(1)),
            endpoint: Endpoint::Down { from: 0, until: 60 },
            ..USUAL
        },
        Bounds { total: 45.0, later: 0.65, unavailable: 65.0 },
    ),
    (
        // Often enough that each replica asks again as soon as it may.
        Scenario {
            name: "429 at the start",
            arrivals: Arrivals::Every(Duration::from_millis(500)),
            endpoint: Endpoint::Limited { share: 0.1, retry_after: Duration::from_secs(3) },
            ..USUAL
        },
        Bounds { total: 5.0, later: 0.56, unavailable: 23.0 },
    ),
    (
        Scenario { name: "key used at once", rotation: Some(Rotation { published_at: 150, used_at: 150 }), ..USUAL },
        Bounds { later: 0.07, ..STEADY },
    ),
    (
        Scenario { name: "key published first", rotation: Some(Rotation { published_at: 100, used_at: 400 }), ..USUAL },
        STEADY,
    ),
];

/// What a load must not exceed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Fetches of one replica in all.
    pub(crate) total: f64,
    /// The share of the replicas that fetch in one second, once all have started.
    pub(crate) later: f64,
    /// Requests of one replica that get 503.
    pub(crate) unavailable: f64,
}

impl Bounds {
    /// The bounds that the load of so many replicas breaks, one line each.
    pub(crate) fn broken(&self, load: &Load, replicas: u32) -> Vec<String> {
        let replicas = f64::from(replicas);
        let (later, unavailable) = (f64::from(load.later()), decimal(load.unavailable));
        let expected = self.later * replicas;
        // Replicas draw their times independently, so the fetches of a second vary by the root of their number.
        let most = expected + 5.0 * expected.sqrt();
        let checks = [
            (decimal(load.total()), self.total * replicas, "fetches in all"),
            (later, most, "fetches in one second after the start"),
            (f64::from(load.peak(0, START)), 2.0 * replicas, "fetches in one second of the start"),
            (unavailable, self.unavailable * replicas, "requests got 503"),
            (decimal(load.rejected), 0.0, "requests with a valid token got 401"),
        ];
        let broken = checks.into_iter().filter(|(value, most, _)| value > most);
        broken.map(|(value, most, what)| format!("{value:.0} {what}, more than {most:.0}")).collect()
    }
}

impl Load {
    /// The most fetches in one second, once all replicas have started.
    pub(crate) fn later(&self) -> u32 {
        self.peak(START, usize::MAX)
    }
}

pub(crate) fn decimal(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// Warm replicas of a service with little traffic, a request in two seconds, and an issuer that always answers.
const USUAL: Scenario = Scenario {
    name: "",
    warms_up: true,
    arrivals: Arrivals::Random(Duration::from_secs(2)),
    endpoint: Endpoint::Up,
    rotation: None,
};
/// Refreshes fall due over a tenth of the refresh interval, 30 seconds: a thirtieth of the replicas in a second, and
/// nobody waits. The first fetch and two refreshes fit into ten minutes.
const STEADY: Bounds = Bounds { total: 3.0, later: 1.0 / 30.0, unavailable: 0.0 };
/// In seconds: all replicas have started, and have had the answer to their first fetch.
const START: usize = 3;
