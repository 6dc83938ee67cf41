//! Headers of responses that a fetch of keys and a call of the Backend API read alike.

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_ENCODING, DATE, HeaderMap, RETRY_AFTER};

/// Whether the body is the document itself. `identity` names no encoding (RFC 9110, section 8.4.1), and some proxies
/// add it, or an empty value.
pub(crate) fn is_unencoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        value.to_str().is_ok_and(|list| {
            list.split(',').map(str::trim).all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
        })
    })
}

/// The delay of a `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3). A value that is neither is
/// ignored.
///
/// A date is compared with the `Date` of the same response, so that the clocks of the two machines need not agree, and
/// without one with `now`, if the caller has a clock.
pub(crate) fn retry_after(headers: &HeaderMap, now: Option<SystemTime>) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    // Digits alone: `parse` would also take a sign.
    if asked.bytes().all(|byte| byte.is_ascii_digit()) {
        return asked.parse().ok().map(Duration::from_secs);
    }
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    date(asked)?.duration_since(text(DATE).and_then(date).or(now)?).ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let delay = |fields: &[(HeaderName, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            retry_after(&fields.collect(), None)
        };
        let (now, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(delay(&[(RETRY_AFTER, " 7 ")]), Some(Duration::from_secs(7)));
        assert_eq!(delay(&[(RETRY_AFTER, later), (DATE, now)]), Some(Duration::from_secs(30)));
        assert_eq!(delay(&[(RETRY_AFTER, now), (DATE, later)]), None);
        assert_eq!(delay(&[(RETRY_AFTER, later)]), None);
        for garbage in ["", "-1", "+5", "1.5", "soon", "99999999999999999999"] {
            assert_eq!(delay(&[(RETRY_AFTER, garbage), (DATE, now)]), None, "{garbage}");
        }
    }

    #[test]
    fn a_date_is_compared_with_the_clock_of_the_caller_only_without_a_date_of_the_response() {
        let (date, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT");
        let now = httpdate::parse_http_date(date).unwrap() - Duration::from_secs(60);
        let mut headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(later))]);
        assert_eq!(retry_after(&headers, Some(now)), Some(Duration::from_secs(90)));
        headers.insert(DATE, HeaderValue::from_static(date));
        assert_eq!(retry_after(&headers, Some(now)), Some(Duration::from_secs(30)));
    }
}
