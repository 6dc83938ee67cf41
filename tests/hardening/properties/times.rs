use std::time::{Duration, SystemTime};

use proptest::{
    option,
    prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest},
};
use tower_clerk::{
    Verifier,
    testing::ManualClock,
    verify::{Clock, VerifyErrorKind},
};

use super::{cases, full_token};
use crate::support::{header, issuer, with_member};

/// Times in milliseconds.
#[derive(Clone, Debug)]
struct Times {
    now: i64,
    skew: i64,
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
}

impl Times {
    /// The three inequalities, in the order of the checks.
    fn verdict(&self) -> Result<(), VerifyErrorKind> {
        let [exp, nbf, iat] = [Some(self.exp), self.nbf, self.iat].map(|millis| millis.map(as_double));
        if exp.expect("an expiry") <= self.now - self.skew {
            return Err(VerifyErrorKind::Expired);
        }
        if nbf.is_some_and(|nbf| nbf > self.now + self.skew) {
            return Err(VerifyErrorKind::NotYetValid);
        }
        if iat.is_some_and(|iat| iat > self.now + self.skew) {
            return Err(VerifyErrorKind::IssuedInFuture);
        }
        Ok(())
    }

    fn token(&self) -> String {
        let mut payload = full_token().without_claim("exp").without_claim("nbf").without_claim("iat").payload();
        for (name, millis) in [("exp", Some(self.exp)), ("nbf", self.nbf), ("iat", self.iat)] {
            if let Some(millis) = millis {
                payload = with_member(&payload, name, &seconds(millis));
            }
        }
        issuer().sign(&header(), &payload)
    }
}

fn seconds(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
}

/// The milliseconds of a time that is written in seconds and read as a double, as JavaScript reads it.
fn as_double(millis: i64) -> i64 {
    let double: f64 = seconds(millis).parse().expect("a number");
    let read = format!("{:.0}", (double * 1000.0).trunc()).parse().expect("a whole number");
    // From 2004 to 2038 none is lost.
    assert!(read == millis || !(1_099_600_000_000..2_147_400_000_000).contains(&millis), "{millis}");
    read
}

fn times() -> impl Strategy<Value = Times> {
    let now = prop_oneof![
        6 => 1_000_000_000_000..4_000_000_000_000_i64,
        1 => -2_000_000..2_000_000_i64,
        1 => -LIMIT..=LIMIT,
        1 => LIMIT - 400_000..=LIMIT,
    ];
    let skew = prop_oneof![0..=1_i64, Just(5_000_i64), 0..=300_000_i64, 299_999..=300_000_i64];
    (now, skew).prop_flat_map(|(now, skew)| {
        let around = move || {
            prop_oneof![
                3 => (now - skew - 2)..=(now - skew + 2),
                3 => (now + skew - 2)..=(now + skew + 2),
                1 => (now - 2_000)..=(now + 2_000),
                2 => (now - 1_000_000)..=(now + 1_000_000),
                1 => -LIMIT..=LIMIT,
            ]
            .prop_map(|millis| millis.clamp(-LIMIT, LIMIT))
        };
        let holding = (now - skew + 1).clamp(-LIMIT, LIMIT)..=LIMIT;
        let exp = prop_oneof![1 => around(), 2 => holding];
        (exp, option::of(around()), option::of(around())).prop_map(move |(exp, nbf, iat)| Times {
            now,
            skew,
            exp,
            nbf,
            iat,
        })
    })
}

proptest! {
    #![proptest_config(cases(1_300))]

    #[test]
    fn a_token_is_valid_iff_the_three_inequalities_hold(times in times()) {
        let clock = ManualClock::new();
        let distance = Duration::from_millis(times.now.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        clock.set(if times.now < 0 { epoch - distance } else { epoch + distance });
        let skew = Duration::from_millis(times.skew.unsigned_abs());
        let config = issuer().config().clock_skew(skew).expect("a skew");
        let verifier = Verifier::builder(config).clock(clock.clone()).build().expect("a verifier");
        let verdict = verifier.try_verify(&times.token()).map(|_| ()).map_err(|error| error.kind());
        prop_assert_eq!(verdict, times.verdict(), "at {:?}", clock.now());
    }
}

const LIMIT: i64 = 8_640_000_000_000_000;
