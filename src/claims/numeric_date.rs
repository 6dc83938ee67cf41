//! `NumericDate` (RFC 7519, section 2): a JSON number of seconds since 1970-01-01T00:00:00Z, ignoring leap seconds.

use std::time::SystemTime;

use crate::clock::{system_time, unix_millis};

/// A time in a token, in whole milliseconds since 1970.
///
/// It is read as Clerk's SDKs read it, `new Date(seconds * 1000)`, so that both decide alike about fractions, exponents
/// and very large numbers: as a double, less than a millisecond dropped.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct NumericDate(f64);

impl NumericDate {
    /// Parses a JSON number of seconds; `None` beyond ±8.64e12, where JavaScript's `Date` is invalid.
    ///
    /// The caller has checked the JSON grammar: `f64::from_str` accepts more, such as `inf`.
    pub(crate) fn parse(number: &str) -> Option<Self> {
        let seconds = parse_number(number).filter(|seconds| seconds.abs() <= MAX_SECONDS)?;
        Some(Self((seconds * 1000.0).trunc()))
    }

    /// Parses a JSON number of seconds below 1e11, and of milliseconds from there on; `None` out of the range of
    /// [`parse`](Self::parse). The Backend API has both units: seconds below 1e11 end in the year 5138, and
    /// milliseconds from there on begin in 1973.
    pub(crate) fn parse_seconds_or_millis(number: &str) -> Option<Self> {
        let value = parse_number(number)?;
        let millis = if value < SECONDS_END { value * 1000.0 } else { value };
        (millis.abs() <= MAX_SECONDS * 1000.0).then(|| Self(millis.trunc()))
    }

    pub(crate) fn millis(self) -> f64 {
        self.0
    }

    pub(crate) fn to_system_time(self) -> SystemTime {
        system_time(self.0)
    }
}

impl From<SystemTime> for NumericDate {
    fn from(time: SystemTime) -> Self {
        Self(unix_millis(time))
    }
}

/// Parses a number in JSON's grammar; `None` if it is not finite.
pub(super) fn parse_number(number: &str) -> Option<f64> {
    // Nearly all are small whole numbers, for which an integer is parsed in a quarter of the time.
    if let Ok(whole) = number.parse::<u32>() {
        return Some(f64::from(whole));
    }
    number.parse().ok().filter(|number: &f64| number.is_finite())
}

/// In seconds: the end of the range of a JavaScript `Date` (ECMA-262, section 21.4.1.1), which Clerk's SDKs use.
const MAX_SECONDS: f64 = 8.64e12;
/// A number from here on is of milliseconds where both units occur.
const SECONDS_END: f64 = 1e11;

#[cfg(test)]
mod tests {
    use super::NumericDate;

    fn parse(text: &str) -> Option<f64> {
        NumericDate::parse(text).map(NumericDate::millis)
    }

    #[test]
    fn every_spelling_of_a_number_is_the_same_number() {
        for text in ["1700000000", "1700000000.0", "1.7e9", "1.7E+9", "17e8", "17000000000e-1", "0.17e10"] {
            assert_eq!(parse(text), Some(1_700_000_000_000.0), "{text}");
        }
        for (text, millis) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("0.0", 0.0),
            ("0e99999999999999999999", 0.0),
            ("-1", -1000.0),
            ("0.5", 500.0),
            ("0.0005", 0.0),
            ("1.0009", 1000.0),
            ("-1.5", -1500.0),
            ("5e-1", 500.0),
            ("1e-99999999999999999999", 0.0),
            ("123.456", 123_456.0),
            ("8640000000000", 8.64e15),
            ("8640000000000.0000", 8.64e15),
            // Nearer to the limit than doubles tell apart, as in JavaScript.
            ("8640000000000.0001", 8.64e15),
            ("-8.64e12", -8.64e15),
        ] {
            assert_eq!(parse(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_no_dates() {
        for text in [
            "8640000000001",
            "-8640000000001",
            "8640000000000.001",
            "1e400",
            "-1e400",
            "18446744073709551615",
            "9223372036854775807",
            "1e99999999999999999999",
            "123456789012345678901234567890",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_from_1e11_on_is_of_milliseconds_where_both_units_occur() {
        let parse = |text| NumericDate::parse_seconds_or_millis(text).map(NumericDate::millis);
        for (text, millis) in [
            ("1700000000", 1.7e12),
            ("1700000000000", 1.7e12),
            ("99999999999", 99_999_999_999_000.0),
            ("99999999999.9", 99_999_999_999_900.0),
            ("100000000000", 1e11),
            ("1e11", 1e11),
            ("1700000000000.9", 1.7e12),
            ("0", 0.0),
            ("-1", -1000.0),
            ("8640000000000000", 8.64e15),
        ] {
            assert_eq!(parse(text), Some(millis), "{text}");
        }
        for text in ["8640000000000001", "-8640000000001", "1e400", "123456789012345678901234567890"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
