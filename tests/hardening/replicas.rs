//! The load that many replicas put on the issuer: the scenarios of `cargo bench --bench replicas`, with a few hundred.

#[path = "../../benches/replicas/fleet.rs"]
mod fleet;
#[path = "../../benches/replicas/scenarios.rs"]
mod scenarios;

use self::{
    fleet::Load,
    scenarios::{SCENARIOS, SECONDS, decimal},
};

const REPLICAS: u32 = 200;

/// The load of the scenario with this name, within its bounds.
fn load(name: &str) -> Load {
    let (scenario, bounds) = SCENARIOS.iter().find(|(scenario, _)| scenario.name == name).expect("a scenario");
    let load = scenario.run(REPLICAS, SECONDS, 1);
    assert_eq!(bounds.broken(&load, REPLICAS), [""; 0], "{name}");
    assert!(load.requests > 50_000, "{} requests", load.requests);
    load
}

/// Asserts that the fetches of these seconds come evenly: no second has a tenth of the replicas.
#[track_caller]
fn assert_spread(load: &Load, from: usize, until: usize) {
    let peak = load.peak(from, until);
    assert!(peak > 0 && peak < REPLICAS / 10, "{peak} fetches in one second");
}

#[test]
fn replicas_that_start_together_do_not_refresh_together() {
    for name in ["no warm-up", "warm-up"] {
        let load = load(name);
        assert_eq!(load.peak(3, 235), 0);
        assert_spread(&load, 235, 290);
        assert_eq!(load.peak(290, 470), 0);
        assert_spread(&load, 470, 600);
        assert_eq!(load.total(), u64::from(3 * REPLICAS));
    }
}

#[test]
fn replicas_that_fail_together_do_not_come_back_together() {
    let load = load("outage of 3 minutes");
    assert!(load.peak(240, 300) > REPLICAS / 10, "the outage was not noticed");
    // All back off to half a minute, and each finds the end of the outage by itself.
    assert_spread(&load, 320, 600);
}

#[test]
fn replicas_without_keys_ask_at_most_as_often_as_they_back_off() {
    let load = load("start in an outage");
    assert_spread(&load, 70, 600);
    assert!(load.peak(10, 60) < REPLICAS, "more than one fetch for each replica in a second");
}

#[test]
fn replicas_that_were_put_off_together_do_not_come_back_together() {
    let load = load("429 at the start");
    // Nine in ten are refused at the start, and would come back in the same second.
    assert!(load.peak(3, 60) < REPLICAS * 3 / 5, "{:?}", &load.fetches[..60]);
    assert_spread(&load, 60, 600);
}

#[test]
fn a_key_that_is_used_at_once_costs_each_replica_one_fetch() {
    let load = load("key used at once");
    let after_rotation: u32 = load.fetches[150..235].iter().sum();
    assert_eq!(after_rotation, REPLICAS);
    assert_eq!((load.unavailable, load.rejected), (0, 0));
}

#[test]
fn a_key_that_is_published_first_costs_no_fetch() {
    let (rotated, usual) = (load("key published first"), load("warm-up"));
    assert_eq!(rotated.fetches, usual.fetches);
    assert_eq!((rotated.unavailable, rotated.rejected), (0, 0));
}

#[test]
fn a_load_that_is_too_large_breaks_its_bounds() {
    let (_, bounds) = &SCENARIOS[0];
    let mut load = Load { fetches: vec![0; 600], ..Load::default() };
    load.fetches[0] = REPLICAS;
    assert_eq!(bounds.broken(&load, REPLICAS), [""; 0]);
    load.fetches[270] = REPLICAS;
    assert_eq!(bounds.broken(&load, REPLICAS).len(), 1);
    load.fetches[300] = 2 * REPLICAS;
    (load.unavailable, load.rejected) = (1, 1);
    assert_eq!(bounds.broken(&load, REPLICAS).len(), 4);
    assert_eq!(decimal(u64::MAX), f64::INFINITY);
}
