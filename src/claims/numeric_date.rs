//! `NumericDate` (RFC 7519, section 2): a JSON number of seconds, whole or not, in any spelling.

use std::iter;

/// A number in thousandths, digits past them dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Thousandths {
    pub(crate) count: i64,
    /// Whether the digits dropped were zeros.
    pub(crate) is_exact: bool,
}

/// The thousandths of a `NumericDate`; `None` beyond ±8.64e12, the range in which Clerk's own SDKs can tell a time
/// from no time.
pub(crate) fn parse_millis(text: &str) -> Option<i64> {
    parse_thousandths(text).map(|number| number.count)
}

/// `text` is a number by JSON's grammar. Nothing is rounded through a float on the way.
pub(crate) fn parse_thousandths(text: &str) -> Option<Thousandths> {
    // Nearly all of them are whole seconds, written as such.
    if let Ok(count) = text.parse::<i64>()
        && (-MAX_WHOLE..=MAX_WHOLE).contains(&count)
    {
        return Some(Thousandths { count: count * 1000, is_exact: true });
    }
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0');
    let significant = digits.clone().count();
    if significant == 0 {
        return Some(Thousandths { count: 0, is_exact: true });
    }
    let exponent = parse_exponent(exponent).checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let length = i64::try_from(significant).ok()?.checked_add(exponent)?.checked_add(3)?;
    if length > MAX_DIGITS {
        return None;
    }
    let kept = usize::try_from(length.max(0)).ok()?;
    let is_exact = digits.clone().skip(kept).all(|digit| digit == b'0');
    let append = |count: i64, digit: u8| count.checked_mul(10)?.checked_add(i64::from(digit.checked_sub(b'0')?));
    let count = digits.chain(iter::repeat(b'0')).take(kept).try_fold(0, append)?;
    let is_in_range = count < MAX_MILLIS || (count == MAX_MILLIS && is_exact);
    is_in_range.then_some(Thousandths { count: if negative { -count } else { count }, is_exact })
}

/// An exponent too long for an integer is as good as the largest.
fn parse_exponent(text: &str) -> i64 {
    let saturated = if text.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
    text.parse().unwrap_or(saturated).clamp(i64::MIN / 2, i64::MAX / 2)
}

const MAX_MILLIS: i64 = MAX_WHOLE * 1000;
const MAX_WHOLE: i64 = 8_640_000_000_000;
const MAX_DIGITS: i64 = 16;

#[cfg(test)]
mod tests {
    use super::parse_millis;

    #[test]
    fn every_spelling_of_a_number_is_the_same_number() {
        for text in ["1700000000", "1700000000.0", "1.7e9", "1.7E+9", "17e8", "17000000000e-1", "0.17e10"] {
            assert_eq!(parse_millis(text), Some(1_700_000_000_000), "{text}");
        }
        for (text, millis) in [
            ("0", 0),
            ("-0", 0),
            ("0.0", 0),
            ("0e99999999999999999999", 0),
            ("-1", -1000),
            ("0.5", 500),
            ("0.0005", 0),
            ("1.0009", 1000),
            ("-1.5", -1500),
            ("5e-1", 500),
            ("1e-99999999999999999999", 0),
            ("123.456", 123_456),
            ("8640000000000", 8_640_000_000_000_000),
            ("8640000000000.0000", 8_640_000_000_000_000),
            ("-8.64e12", -8_640_000_000_000_000),
        ] {
            assert_eq!(parse_millis(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_no_dates() {
        for text in [
            "8640000000001",
            "-8640000000001",
            "8640000000000.001",
            "8640000000000.0001",
            "1e400",
            "-1e400",
            "18446744073709551615",
            "9223372036854775807",
            "1e99999999999999999999",
            "123456789012345678901234567890",
        ] {
            assert_eq!(parse_millis(text), None, "{text}");
        }
    }
}
