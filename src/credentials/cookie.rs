//! Credentials in cookies, read as Clerk's SDKs read them.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header::COOKIE};
use percent_encoding::percent_decode;

use super::credential::SourceValue;
use crate::{config::PublishableKey, jwt::sha1};

/// The session cookie of Clerk: the first of the suffixed ones that is present, or the plain one.
///
/// The plain cookie counts only if all suffixed ones are absent. On a shared domain another Clerk application may have
/// set it, so it must not sign in a user who has signed out of this one.
pub(super) fn session_cookie<'a>(headers: &'a HeaderMap, suffixed: &[String]) -> SourceValue<'a> {
    let mut is_signed_out = false;
    for name in suffixed {
        match cookie(headers, name) {
            SourceValue::EmptyCookie => is_signed_out = true,
            SourceValue::Absent => {}
            value => return value,
        }
    }
    // An empty suffixed cookie is present: the user has signed out.
    if is_signed_out { SourceValue::Absent } else { cookie(headers, SESSION_COOKIE) }
}

/// The cookie with this name in all `Cookie` fields, of which HTTP/2 may send several (RFC 9113, section 8.2.3).
///
/// Fields are split on the delimiters of RFC 6265 first and percent-decoded after, so an encoded `;` cannot add a
/// cookie. Two different values are malformed: another path or domain may have set one of them, and which comes first
/// is up to the browser.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> SourceValue<'a> {
    let mut found: Option<&[u8]> = None;
    for pair in headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';')) {
        let Some(value) = pair.trim_ascii().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        else {
            continue;
        };
        match found {
            Some(other) if other != value => return SourceValue::Malformed,
            _ => found = Some(value),
        }
    }
    match found {
        Some([]) => SourceValue::EmptyCookie,
        // Non-UTF-8 becomes the empty text, which is a malformed token.
        Some(value) => SourceValue::Token(percent_decode(value).decode_utf8().unwrap_or_default()),
        None => SourceValue::Absent,
    }
}

/// The name of the session cookie of one Clerk application: the suffix is the first 8 base64url characters of the SHA-1
/// of the publishable key.
pub(super) fn suffixed_session_cookie(key: &PublishableKey) -> String {
    let digest = BASE64_URL_SAFE_NO_PAD.encode(sha1(key.as_str().as_bytes()));
    let suffix: String = digest.chars().take(8).collect();
    format!("{SESSION_COOKIE}_{suffix}")
}

const SESSION_COOKIE: &str = "__session";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_suffixes_are_those_of_clerks_sdks() {
        for (key, suffix) in
            [("pk_test_Y2xlcmsuY2xlcmsuZGV2JA", "QvfNY2dr"), ("pk_test_Y2xlcmsuY2xlcmsuZGV2JA==", "X-AJuTs9")]
        {
            let key = PublishableKey::parse(key).unwrap();
            assert_eq!(suffixed_session_cookie(&key), format!("__session_{suffix}"));
        }
    }
}
