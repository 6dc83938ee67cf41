use serde_json::{Value, json};
use tower_clerk::{
    Requirement,
    claims::{Reverification, ReverificationLevel},
};

use super::{v1, v2};

/// The columns of the table: the presets from the strictest on, and the three levels within ten minutes.
fn asked() -> [Reverification; 7] {
    let within_ten = |level| Reverification::after_minutes(level, 10);
    [
        Reverification::strict_mfa(),
        Reverification::strict(),
        Reverification::moderate(),
        Reverification::lax(),
        within_ten(ReverificationLevel::FirstFactor),
        within_ten(ReverificationLevel::SecondFactor),
        within_ten(ReverificationLevel::MultiFactor),
    ]
}

/// Which columns are satisfied, as `T` and `F`. Both token versions give the same row.
#[track_caller]
fn row(fva: &Value) -> String {
    let claims = json!({ "fva": fva });
    let [first, second] = [v1(&claims), v2(&claims)].map(|user| {
        let holds = |asked: Reverification| {
            let has = user.has(&Requirement::reverification(asked));
            assert_eq!(has, asked.is_met_by(&user), "{asked:?} {fva}");
            if has { 'T' } else { 'F' }
        };
        asked().map(holds).iter().collect::<String>()
    });
    assert_eq!(first, second, "{fva}");
    first
}

#[test]
fn factor_ages_satisfy_presets_and_levels_as_in_clerks_sdk() {
    for (fva, expected) in [
        (json!([0, -1]), "TTTTTTT"),
        (json!([9, -1]), "TTTTTTT"),
        (json!([10, -1]), "FFTTFFF"),
        (json!([-1, 0]), "FTTTFTF"),
        (json!([-1, 10]), "FFTTFFF"),
        (json!([-1, -1]), "FFFFFFF"),
        (json!([0, 9]), "TTTTTTT"),
        (json!([0, 10]), "FFTTTFF"),
        (json!([10, 0]), "FTTTFTF"),
        (json!([5, 30]), "FFTTTFF"),
        (json!([30, 5]), "FTTTFTF"),
        (json!([59, 60]), "FFFTFFF"),
        (json!([1439, 1440]), "FFFFFFF"),
        (json!([0, 0]), "TTTTTTT"),
    ] {
        assert_eq!(row(&fva), expected, "{fva}");
    }
}

#[test]
fn an_age_is_fresh_strictly_below_the_limit() {
    for (fva, expected) in [
        (json!([9.999, 9.999]), "TTTTTTT"),
        (json!([10.0, 10.0]), "FFTTFFF"),
        (json!([10.001, 9.5]), "FTTTFTF"),
        (json!([59.999, -1]), "FFTTFFF"),
        (json!([60, -1]), "FFFTFFF"),
        (json!([-1, 1439]), "FFFTFFF"),
        (json!([-1, 1440]), "FFFFFFF"),
        (json!([-1.0, 0]), "FTTTFTF"),
        (json!([0, 99_999]), "FFFFTFF"),
    ] {
        assert_eq!(row(&fva), expected, "{fva}");
    }
}

#[test]
fn malformed_factor_ages_satisfy_nothing() {
    for fva in [
        json!(null),
        json!([]),
        json!([0]),
        json!([0, 0, 0]),
        json!(["0", "0"]),
        json!([0, "0"]),
        json!([0, null]),
        json!([null, 0]),
        json!([true, true]),
        json!([[0], [0]]),
        json!({ "0": 0, "1": 0, "length": 2 }),
        json!("0,0"),
        json!(0),
        json!([-0.5, 0]),
        json!([0, -0.5]),
        json!([-2, 0]),
        json!([0, -2]),
        json!([0, -1.5]),
    ] {
        assert_eq!(row(&fva), "FFFFFFF", "{fva}");
    }
}

/// Only -1 means that a factor was never verified. If another negative number did, the first factor would replace the
/// second.
#[test]
fn negative_factor_ages_other_than_minus_one_satisfy_nothing() {
    for fva in
        [json!([0, -1.000_4]), json!([-1.000_4, 0]), json!([0, -0.999_9]), json!([-0.000_4, 0]), json!([0, -0.000_4])]
    {
        assert_eq!(row(&fva), "FFFFFFF", "{fva}");
    }
}

#[test]
fn a_token_without_factor_ages_satisfies_nothing() {
    for user in [v1(&json!({})), v2(&json!({}))] {
        for asked in asked() {
            assert!(!user.has(&Requirement::reverification(asked)), "{asked:?}");
        }
    }
}

#[test]
fn the_minutes_limit_applies_at_both_ends_for_every_level() {
    let user = v2(&json!({ "fva": [0, 0] }));
    let user_of_long_ago = v2(&json!({ "fva": [4_294_967_294_u32, 4_294_967_294_u32] }));
    for level in [ReverificationLevel::FirstFactor, ReverificationLevel::SecondFactor, ReverificationLevel::MultiFactor]
    {
        let within = |minutes| Requirement::reverification(Reverification::after_minutes(level, minutes));
        assert_eq!((user.has(&within(0)), user.has(&within(1))), (false, true), "{level:?}");
        assert!(user_of_long_ago.has(&within(u32::MAX)), "{level:?}");
        assert!(!user_of_long_ago.has(&within(u32::MAX - 1)), "{level:?}");
    }
}
