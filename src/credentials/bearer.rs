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
    bearer(line).unwrap_or_else(|| match line.split(' ').all(is_b64token) {
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

/// The value of a field that may appear once (RFC 9110, section 5.3), without spaces and tabs around it.
fn single_line<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, SourceValue<'a>> {
    let mut values = headers.get_all(name).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(SourceValue::Absent),
        (Some(value), None) => value.as_bytes(),
        (Some(_), Some(_)) => return Err(SourceValue::Malformed),
    };
    match std::str::from_utf8(value).map(|text| text.trim_matches([' ', '\t'])) {
        Ok("") => Err(SourceValue::Absent),
        Ok(text) => Ok(text),
        Err(_) => Err(SourceValue::Malformed),
    }
}

/// The credential after `Bearer`; `None` for another scheme. Schemes are case-insensitive (RFC 9110, section 11.1).
fn bearer(line: &str) -> Option<SourceValue<'_>> {
    let (scheme, rest) = line.split_once(' ').unwrap_or((line, ""));
    scheme.eq_ignore_ascii_case("Bearer").then(|| token(rest.trim_start_matches(' ')))
}

fn token(text: &str) -> SourceValue<'_> {
    if text.is_empty() { SourceValue::Absent } else { SourceValue::Bearer(text) }
}
