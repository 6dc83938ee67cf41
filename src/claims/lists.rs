//! Lists of texts in claims and in answers of the Backend API.

use std::borrow::Cow;

use crate::json::Value;

/// The elements of an array of strings; `None` if it is anything else.
pub(crate) fn strings<'p>(value: &Value<'p>) -> Option<Vec<Cow<'p, str>>> {
    let string = |value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    value.elements()?.into_iter().map(string).collect()
}

/// The elements of `aud`: a string that is not empty, or an array of such strings that is not empty either (RFC 7519,
/// section 4.1.3).
pub(crate) fn audience<'p>(aud: Option<&Value<'p>>) -> Option<Vec<Cow<'p, str>>> {
    let audience = match aud? {
        Value::String(audience) => vec![audience.clone()],
        array => strings(array)?,
    };
    (!audience.is_empty() && audience.iter().all(|audience| !audience.is_empty())).then_some(audience)
}

/// Whether a text is a `scope-token` (RFC 6749, section 3.3).
pub(crate) fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'))
}
