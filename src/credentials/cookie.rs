//! The cookies that may hold a token, read as Clerk's SDKs read them.

use std::{borrow::Cow, collections::HashSet};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header::COOKIE};
use memchr::memchr;
use percent_encoding::percent_decode;

use super::candidates::{Candidate, CookieCandidates};
use crate::{
    config::ClerkConfig,
    jwt::sha1,
    verify::{ClaimedToken, Verifier},
};

/// The cookies of one Clerk application whose publishable key is known. Their names end in a suffix, so that several
/// applications can share a domain.
#[derive(Clone, Debug)]
pub(super) struct SuffixedCookies {
    session: String,
    client_uat: String,
    issuers: Vec<String>,
    is_development: bool,
}

/// The tokens in Clerk's session cookies: those in suffixed cookies, then those in `__session`.
///
/// Every application on a domain may have set the plain one.
pub(super) fn session_cookies<'a>(
    headers: &'a HeaderMap,
    applications: &[SuffixedCookies],
    verifier: &Verifier,
) -> CookieCandidates<'a> {
    let mut candidates = CookieCandidates::default();
    let mut signed_out = Vec::new();
    // Reading all cookies once for each of many applications would cost a client little and the service much.
    let names = (applications.len() > 1).then(|| session_names(headers));
    let may_have = |application: &SuffixedCookies| {
        names.as_ref().is_none_or(|names| names.contains(application.session.as_bytes()))
    };
    for (index, application) in applications.iter().enumerate().filter(|(_, application)| may_have(application)) {
        let is_emptied = candidates.add_all(headers, &application.session, Some(index), verifier);
        if is_emptied && application.is_signed_out(headers) {
            candidates.retain(|candidate| candidate.suffix != Some(index));
            signed_out.push(application);
        }
    }
    candidates.add_all(headers, SESSION, None, verifier);
    if !signed_out.is_empty() {
        candidates.examine(verifier);
        let is_signed_out = |token: &ClaimedToken| signed_out.iter().any(|application| application.owns(token));
        candidates
            .retain(|candidate| candidate.suffix.is_some() || !candidate.claimed.as_ref().is_some_and(is_signed_out));
    }
    candidates.is_plain_first = is_plain_first(headers, applications, &candidates);
    candidates
}

/// The tokens in the cookies with this name.
pub(super) fn cookies<'a>(headers: &'a HeaderMap, name: &str, verifier: &Verifier) -> CookieCandidates<'a> {
    let mut candidates = CookieCandidates::default();
    candidates.add_all(headers, name, None, verifier);
    candidates
}

/// The names of all cookies that may be suffixed session cookies.
fn session_names(headers: &HeaderMap) -> HashSet<&[u8]> {
    let names = pairs(headers).filter_map(|pair| pair.trim_ascii().split(|byte| *byte == b'=').next());
    names.filter(|name| name.starts_with(SESSION.as_bytes())).collect()
}

/// The values of all cookies with this name in all `Cookie` fields, of which HTTP/2 may send several (RFC 9113, section
/// 8.2.3). They are not decoded.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    pairs(headers).filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).iter().flat_map(|line| Pairs { rest: Some(line.as_bytes()) })
}

/// Whether Clerk's SDKs would take the plain session cookie where a suffixed one is there too.
///
/// The rules are those of the SDKs, for the first token of each. Front ends of different versions leave different
/// combinations behind: old ones write the plain cookies alone, new ones both.
fn is_plain_first(headers: &HeaderMap, applications: &[SuffixedCookies], candidates: &CookieCandidates<'_>) -> bool {
    let suffixed = candidates.iter().find(|candidate| candidate.suffix.is_some());
    let plain = candidates.iter().find(|candidate| candidate.suffix.is_none());
    let (
        Some(Candidate { suffix: Some(index), claimed: Some(suffixed), .. }),
        Some(Candidate { claimed: Some(plain), .. }),
    ) = (suffixed, plain)
    else {
        return false;
    };
    let Some(application) = applications.get(*index).filter(|application| application.owns(plain)) else {
        return false;
    };
    let uat = values(headers, CLIENT_UAT).next().filter(|uat| !uat.is_empty());
    let suffixed_uat = values(headers, &application.client_uat).next().filter(|uat| !uat.is_empty());
    let [is_signed_out, is_suffixed_signed_out] = [uat, suffixed_uat].map(|uat| uat == Some(SIGNED_OUT));
    let has_downgraded = application.is_development && is_signed_out && !is_suffixed_signed_out && suffixed.is_expired;
    match (is_suffixed_signed_out, is_signed_out) {
        (false, false) if plain.is_newer_than(suffixed) => true,
        (true, false) => true,
        _ => has_downgraded || suffixed_uat.is_none(),
    }
}

impl SuffixedCookies {
    /// The cookies of an instance; `None` if its publishable key is not known.
    ///
    /// The suffix is the first 8 base64url characters of the SHA-1 of the key.
    pub(super) fn of(config: &ClerkConfig) -> Option<Self> {
        let key = config.publishable_key.as_ref()?.as_str();
        let digest = BASE64_URL_SAFE_NO_PAD.encode(sha1(key.as_bytes()));
        let suffix: String = digest.chars().take(8).collect();
        Some(Self {
            session: format!("{SESSION}_{suffix}"),
            client_uat: format!("{CLIENT_UAT}_{suffix}"),
            issuers: config.issuers().into_iter().map(str::to_owned).collect(),
            is_development: key.starts_with("pk_test_"),
        })
    }

    fn owns(&self, token: &ClaimedToken) -> bool {
        self.issuers.contains(&token.issuer)
    }

    /// Whether the front end has written that the user signed out: zero as the time of the last change of the client.
    fn is_signed_out(&self, headers: &HeaderMap) -> bool {
        let mut uats = values(headers, &self.client_uat).peekable();
        uats.peek().is_some() && uats.all(|uat| uat == SIGNED_OUT)
    }
}

impl<'a> CookieCandidates<'a> {
    /// Adds the tokens in the cookies with this name. Returns whether one of the cookies is empty.
    ///
    /// Fields are split on the delimiters of RFC 6265 first and percent-decoded after, so an encoded `;` cannot add a
    /// cookie.
    fn add_all(&mut self, headers: &'a HeaderMap, name: &str, suffix: Option<usize>, verifier: &Verifier) -> bool {
        let mut is_emptied = false;
        for value in values(headers, name) {
            match percent_decode(value).decode_utf8() {
                Ok(Cow::Borrowed("")) => is_emptied = true,
                Ok(text) => self.add(text, suffix, verifier),
                Err(_) => {}
            }
        }
        is_emptied
    }
}

/// The pairs of a `Cookie` field, split at `;`.
struct Pairs<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (pair, rest) = match memchr(b';', rest).and_then(|at| rest.split_at_checked(at)) {
            Some((pair, rest)) => (pair, rest.get(1..)),
            None => (rest, None),
        };
        self.rest = rest;
        Some(pair)
    }
}

const SESSION: &str = "__session";
/// When the client last changed ("updated at"), in seconds.
const CLIENT_UAT: &str = "__client_uat";
const SIGNED_OUT: &[u8] = b"0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_suffixes_are_those_of_clerks_sdks() {
        for (key, suffix) in
            [("pk_test_Y2xlcmsuY2xlcmsuZGV2JA", "QvfNY2dr"), ("pk_test_Y2xlcmsuY2xlcmsuZGV2JA==", "X-AJuTs9")]
        {
            let config = ClerkConfig::from_publishable_key(key).unwrap();
            let cookies = SuffixedCookies::of(&config).unwrap();
            assert_eq!(cookies.session, format!("__session_{suffix}"));
            assert_eq!(cookies.client_uat, format!("__client_uat_{suffix}"));
        }
    }
}
