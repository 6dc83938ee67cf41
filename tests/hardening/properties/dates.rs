use std::time::{Duration, SystemTime};

use proptest::{
    prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest},
    sample::{Index, select},
};
use tower_clerk::{claims::Claims, verify::VerifyErrorKind};

use super::{cases, full_token, verify};
use crate::support::{header, issuer, with_member};

/// A number of seconds, `mantissa / 10^scale`, and one of its spellings in JSON.
#[derive(Clone, Debug)]
struct Number {
    mantissa: i128,
    scale: i32,
    text: String,
}

impl Number {
    /// A spelling by RFC 8259, section 6, with zeros around the digits and the point at any place.
    fn spelled(mantissa: i128, scale: i32, spelling: &Spelling) -> Self {
        let Spelling { capital, leading, pad, plus, point, show_exponent, trailing } = *spelling;
        let digits = format!("{:0<leading$}{}{:0<trailing$}", "", mantissa.unsigned_abs(), "");
        let (whole, fraction) = digits.split_at(point.index(digits.len() + 1));
        let whole = whole.trim_start_matches('0');
        let mut text = if mantissa < 0 { "-".to_owned() } else { String::new() };
        text.push_str(if whole.is_empty() { "0" } else { whole });
        if !fraction.is_empty() {
            text.push('.');
            text.push_str(fraction);
        }
        let length = |text: &str| i32::try_from(text.len()).expect("a short number");
        let exponent = length(fraction) - scale - i32::try_from(trailing).expect("few zeros");
        if exponent != 0 || show_exponent {
            let sign = match (exponent < 0, plus) {
                (true, _) => "-",
                (false, true) => "+",
                (false, false) => "",
            };
            let e = if capital { 'E' } else { 'e' };
            text.push_str(&format!("{e}{sign}{:0>pad$}", exponent.unsigned_abs()));
        }
        Self { mantissa, scale, text }
    }

    fn power(exponent: i32) -> i128 {
        10_i128.pow(u32::try_from(exponent.max(0)).expect("not negative"))
    }

    /// Whether it lies between -8.64e12 and 8.64e12 as a double.
    fn is_in_range(&self) -> bool {
        self.double().abs() <= 8.64e12
    }

    /// In milliseconds, rounded towards zero: of the decimal number for the times that tokens have, and of the double,
    /// as JavaScript does it, for others.
    fn millis(&self) -> i128 {
        let exact = self.mantissa * 1000 * Self::power(-self.scale) / Self::power(self.scale);
        // From 2004 to 2038 a millisecond survives in a double of seconds.
        if (1_099_600_000_000..2_147_400_000_000).contains(&exact) {
            return exact;
        }
        format!("{:.0}", (self.double() * 1000.0).trunc()).parse().expect("a whole number")
    }

    fn double(&self) -> f64 {
        self.text.parse().expect("a number")
    }
}

#[derive(Clone, Copy, Debug)]
struct Spelling {
    capital: bool,
    leading: usize,
    pad: usize,
    plus: bool,
    point: Index,
    show_exponent: bool,
    trailing: usize,
}

fn spelling() -> impl Strategy<Value = Spelling> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, 0..4_usize, 0..5_usize, any::<Index>(), 0..30_usize).prop_map(
        |((capital, plus, show_exponent), leading, pad, point, trailing)| Spelling {
            capital,
            leading,
            pad,
            plus,
            point,
            show_exponent,
            trailing,
        },
    )
}

fn number() -> impl Strategy<Value = Number> {
    let near = |millis: i128| (millis - 3..=millis + 3).prop_map(|millis| (millis, 3));
    let finer = |millis: i128| {
        (1..10_i32, -3..=3_i128, 0..1000_i128).prop_map(move |(finer, by, rest)| {
            ((millis + by) * Number::power(finer) + rest % Number::power(finer), 3 + finer)
        })
    };
    let value = prop_oneof![
        3 => near(NOW - SKEW),
        3 => near(NOW + SKEW),
        2 => finer(NOW - SKEW),
        2 => finer(NOW + SKEW),
        2 => near(LIMIT),
        2 => near(-LIMIT),
        1 => near(0),
        2 => (-1_000_000_000_000_000_000..=1_000_000_000_000_000_000_i128, -12..=18_i32),
        2 => (-8_640_000_000_000..=8_640_000_000_000_i128, -2..=4_i32),
        1 => (Just(0_i128), -12..=18_i32),
    ];
    (value, spelling()).prop_map(|((mantissa, scale), spelling)| Number::spelled(mantissa, scale, &spelling))
}

/// The verdict on a token in which the claim `name` has this JSON text, and its time.
fn verdict(name: &str, text: &str) -> Result<SystemTime, VerifyErrorKind> {
    let payload = full_token().without_claim("nbf").without_claim("iat").without_claim(name).payload();
    let claims = verify(&issuer().sign(&header(), &with_member(&payload, name, text)))?;
    let time = match name {
        "exp" => Some(claims.expires_at()),
        "nbf" => Claims::not_before(&claims),
        _ => claims.issued_at(),
    };
    Ok(time.expect("the claim"))
}

fn expected(name: &str, number: &Number) -> Result<SystemTime, VerifyErrorKind> {
    let millis = number.millis();
    match name {
        "exp" if !number.is_in_range() => Err(VerifyErrorKind::InvalidExpiry),
        "exp" if millis <= NOW - SKEW => Err(VerifyErrorKind::Expired),
        "nbf" if !number.is_in_range() => Err(VerifyErrorKind::InvalidNotBefore),
        "nbf" if millis > NOW + SKEW => Err(VerifyErrorKind::NotYetValid),
        "iat" if !number.is_in_range() => Err(VerifyErrorKind::InvalidIssuedAt),
        "iat" if millis > NOW + SKEW => Err(VerifyErrorKind::IssuedInFuture),
        _ => {
            let distance = Duration::from_millis(u64::try_from(millis.unsigned_abs()).expect("a time in range"));
            let epoch = SystemTime::UNIX_EPOCH;
            Ok(if millis < 0 { epoch - distance } else { epoch + distance })
        }
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_number_is_the_same_time_in_every_spelling(name in select(&["exp", "nbf", "iat"][..]), number in number()) {
        prop_assert_eq!(verdict(name, &number.text), expected(name, &number), "{} {}", name, number.text);
    }
}

#[test]
fn the_range_ends_exactly_at_its_limits() {
    for (text, is_time) in [
        ("8640000000000", true),
        ("8.64e12", true),
        ("864000000000000000000000000000000000000000e-29", true),
        ("0.000000000000000000000864e34", true),
        ("8640000000000.001", false),
        ("8640000000001", false),
        ("8.640000000000001e12", false),
        ("1e13", false),
        ("1e999999999999999999999999", false),
    ] {
        for sign in ["", "-"] {
            let verdict = verdict("nbf", &format!("{sign}{text}"));
            let expected = match (is_time, sign) {
                (false, _) => Some(VerifyErrorKind::InvalidNotBefore),
                (true, "") => Some(VerifyErrorKind::NotYetValid),
                (true, _) => None,
            };
            assert_eq!(verdict.err(), expected, "{sign}{text}");
        }
    }
}

/// As in JavaScript, which Clerk's SDKs run in: a double cannot tell these from the limit.
#[test]
fn values_that_round_to_the_limit_are_in_range() {
    for text in ["8640000000000.0001", "8640000000000.00000000000000000001", "8.6400000000000001e12"] {
        assert_eq!(verdict("nbf", text).err(), Some(VerifyErrorKind::NotYetValid), "{text}");
        assert_eq!(verdict("nbf", &format!("-{text}")).err(), None, "-{text}");
    }
}

#[test]
fn a_version_is_2_exactly() {
    let version = |text: &str| {
        let payload = with_member(&full_token().without_claim("v").payload(), "v", text);
        verify(&issuer().sign(&header(), &payload)).expect("accepted").version()
    };
    // The last is the same double.
    for text in ["2", "2.0", "0.2e1", "200e-2", "2.000000000000000000000000", "2.0000000000000000000001"] {
        assert_eq!(version(text), Some(2), "{text}");
    }
    for text in ["2.0001", "2.0000000000000004", "1.9999", "20001e-4"] {
        assert_eq!(version(text), None, "{text}");
    }
}

/// The time of the test clock in milliseconds.
const NOW: i128 = 1_800_000_000_000;
/// The default clock skew.
const SKEW: i128 = 5_000;
const LIMIT: i128 = 8_640_000_000_000_000;
