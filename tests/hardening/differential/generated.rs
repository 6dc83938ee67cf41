use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::UNIX_EPOCH,
};

use jsonwebtoken::Algorithm;
use proptest::{
    prelude::{ProptestConfig, prop_assert, prop_assert_eq},
    test_runner::{RngSeed, TestCaseError, TestRunner},
};
use serde_json::Value;

use super::{
    cases::case,
    oracle::{Pair, Verdicts, now},
};

/// A token that both accept must have the same claims in both.
fn assert_same(verdicts: &Verdicts) -> Result<(), TestCaseError> {
    let (Ok(ours), Ok(oracle)) = verdicts else { return Ok(()) };
    let claims = &oracle.claims;
    prop_assert_eq!(&ours.custom::<Value>().expect("JSON"), claims);
    prop_assert_eq!(Some(ours.user_id()), claims["sub"].as_str());
    prop_assert_eq!(ours.session_id(), claims["sid"].as_str());
    prop_assert_eq!(Some(ours.issuer()), claims["iss"].as_str());
    prop_assert_eq!(ours.authorized_party(), claims["azp"].as_str());
    prop_assert_eq!(ours.session_status(), claims["sts"].as_str());
    prop_assert_eq!(ours.actor().map(|actor| actor.user_id()), claims["act"]["sub"].as_str());
    let exp = ours.expires_at().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    prop_assert!((exp - claims["exp"].as_f64().expect("a number")).abs() < 0.001);
    Ok(())
}

#[test]
fn the_oracle_accepts_every_token_that_the_verifier_accepts() {
    let pairs =
        [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512].map(|algorithm| (algorithm, Pair::of(algorithm)));
    let (accepted, only_ours_rejected) = (Cell::new(0_u32), Cell::new(0_u32));
    let rejected = RefCell::new(BTreeMap::<String, u32>::new());
    let result = runner(6_000).run(&case(now()), |case| {
        let token = case.token();
        let (_, pair) = pairs.iter().find(|(algorithm, _)| *algorithm == case.algorithm).expect("one of three");
        let verdicts = pair.verdicts(&token);
        assert_same(&verdicts)?;
        match &verdicts {
            (Ok(_), Ok(_)) => accepted.set(accepted.get() + 1),
            (Ok(_), Err(oracle)) => return Err(TestCaseError::fail(format!("{oracle:?} for {token}"))),
            (Err(ours), oracle) => {
                *rejected.borrow_mut().entry(format!("{ours:?}")).or_default() += 1;
                only_ours_rejected.set(only_ours_rejected.get() + u32::from(oracle.is_ok()));
            }
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let rejected = rejected.into_inner();
    let count: u32 = rejected.values().sum();
    assert!(accepted.get() > 2_000 && count > 2_000, "{} accepted, {rejected:?}", accepted.get());
    assert!(count - only_ours_rejected.get() > 1_000, "the oracle rejected too few tokens");
    for kind in KINDS {
        assert!(rejected.contains_key(kind), "no token was rejected for {kind}: {rejected:?}");
    }
}

/// The same cases in every run, unless the environment chooses others.
fn runner(cases: u32) -> TestRunner {
    let config = ProptestConfig::default();
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(7515),
        chosen @ RngSeed::Fixed(_) => chosen,
    };
    TestRunner::new(ProptestConfig { cases: config.cases.max(cases), failure_persistence: None, rng_seed, ..config })
}

/// The cases that must occur among several thousand tokens.
const KINDS: [&str; 20] = [
    "AlgorithmMismatch",
    "CriticalHeader",
    "Expired",
    "InvalidActor",
    "InvalidAuthorizedParty",
    "InvalidExpiry",
    "InvalidIssuedAt",
    "InvalidIssuer",
    "InvalidKeyId",
    "InvalidNotBefore",
    "InvalidSessionId",
    "InvalidSessionStatus",
    "InvalidSignature",
    "InvalidSubject",
    "IssuedInFuture",
    "Malformed",
    "NotYetValid",
    "PendingSession",
    "UnknownKey",
    "UnsupportedAlgorithm",
];
