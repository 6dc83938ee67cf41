//! Credentials in header fields: `Authorization: Bearer <token>` (RFC 6750, section 2.1).
//!
//! A field is parsed strictly. Two values or a list could be read differently by a proxy in front of this service and
//! by this service, so they make the request malformed (400). An empty value, or the scheme alone, can be read in one
//! way only: clients send both when nobody is signed in.

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};

use super::credential::{SourceValue, is_b64token};

/// The token of the `Authorization` field.
///
/// A credential of another scheme is absent here, since another layer may accept it. A value with a comma or a
/// non-ASCII byte is malformed whatever its scheme: it may be a list that holds a Bearer credential too.
pub(super) fn authorization(headers: &HeaderMap) -> SourceValue<'_> {
    let line = match single_line(headers, &AUTHORIZATION) {
        Ok(line) => line,
        Err(value) => return value,
    };
    bearer(line).unwrap_or_else(|| match line.split(|byte| *byte == b' ').all(is_b64token) {
        true => SourceValue::Absent,
        false => SourceValue::Malformed,
    })
}

/// The token of another field, alone or after `Bearer`. Such a field holds nothing but a token, so another scheme is
/// malformed.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> SourceValue<'a> {
    match single_line(headers, name) {
        Ok(line) => bearer(line).unwrap_or_else(|| token(line)),
        Err(value) => value,
    }
}

/// The value of a field that may appear once (RFC 9110, section 5.3), without spaces and tabs around it: a
/// `HeaderValue` has no other white space.
fn single_line<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a [u8], SourceValue<'a>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(SourceValue::Absent),
        (Some(value), None) => match value.as_bytes().trim_ascii() {
            [] => Err(SourceValue::Absent),
            line => Ok(line),
        },
        (Some(_), Some(_)) => Err(SourceValue::Malformed),
    }
}

/// The credential after `Bearer`; `None` for another scheme. Schemes are case-insensitive (RFC 9110, section 11.1).
fn bearer(line: &[u8]) -> Option<SourceValue<'_>> {
    let (scheme, mut rest) = line.split_at_checked(BEARER.len())?;
    if !scheme.eq_ignore_ascii_case(BEARER) || rest.first().is_some_and(|byte| *byte != b' ') {
        return None;
    }
    while let Some(after) = rest.strip_prefix(b" ") {
        rest = after;
    }
    Some(token(rest))
}

fn token(text: &[u8]) -> SourceValue<'_> {
    if text.is_empty() { SourceValue::Absent } else { SourceValue::Bearer(text) }
}

const BEARER: &[u8] = b"Bearer";
