//! Where the token of a request comes from.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderName, Method,
    header::{AUTHORIZATION, COOKIE, ORIGIN, UPGRADE},
};
use percent_encoding::percent_decode;

use crate::{
    config::{ClerkConfig, ConfigError, PublishableKey},
    jwt::sha1,
    rejection::is_token,
    verify::Verifier,
};

/// A place in a request where a token may be.
///
/// The query and the body are no such places: tokens in URLs end up in logs and histories.
#[derive(Clone)]
pub struct TokenSource(Kind);

#[derive(Clone)]
enum Kind {
    Authorization,
    Cookie(String),
    Custom(Arc<CustomSource>),
    Header(HeaderName),
    SessionCookie,
}

/// Looks for a token in the headers of a request.
type CustomSource = dyn for<'a> Fn(&'a HeaderMap) -> Option<Cow<'a, str>> + Send + Sync;

impl TokenSource {
    /// `Authorization: Bearer <token>` (RFC 6750, section 2.1), the default.
    #[must_use]
    pub fn authorization() -> Self {
        Self(Kind::Authorization)
    }

    /// Clerk's own session cookie, `__session_<suffix>`, or `__session` if that is absent.
    ///
    /// The suffix is known if the configuration has a publishable key. Cookies need
    /// [`authorized_parties`](ClerkConfig::authorized_parties).
    #[must_use]
    pub fn session_cookie() -> Self {
        Self(Kind::SessionCookie)
    }

    /// The cookie called `name`. Cookies need [`authorized_parties`](ClerkConfig::authorized_parties).
    #[must_use]
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(Kind::Cookie(name.into()))
    }

    /// Another header, holding a token with or without `Bearer` before it.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self(Kind::Header(name))
    }

    /// Wherever `find` finds it in the headers, such as a WebSocket's subprotocols.
    #[must_use]
    pub fn custom<F>(find: F) -> Self
    where
        F: for<'a> Fn(&'a HeaderMap) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    {
        Self(Kind::Custom(Arc::new(find)))
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Authorization => formatter.write_str("Authorization"),
            Kind::Cookie(name) => formatter.debug_tuple("Cookie").field(name).finish(),
            Kind::Custom(_) => formatter.write_str("Custom"),
            Kind::Header(name) => formatter.debug_tuple("Header").field(name).finish(),
            Kind::SessionCookie => formatter.write_str("SessionCookie"),
        }
    }
}

/// The sources of a layer in their order, with what they need to know of its instances.
#[derive(Clone, Debug)]
pub(crate) struct TokenSources {
    max_length: usize,
    /// The authorized parties of each instance; `None` where further instances may be resolved.
    parties: Option<Vec<Vec<String>>>,
    sources: Vec<TokenSource>,
    suffixed_cookies: Vec<String>,
}

/// What the sources found.
pub(crate) enum Found<'a> {
    /// A cookie that another site may have made the browser send.
    CrossSite,
    /// A credential that cannot be a token (RFC 6750, section 3.1).
    Malformed,
    None,
    Token(Token<'a>),
}

/// A credential that may be a token, not verified.
pub(crate) struct Token<'a> {
    /// Whether the request is malformed unless it is one word (RFC 6750, section 2.1).
    must_be_word: bool,
    pub(crate) place: Place,
    pub(crate) text: Cow<'a, str>,
}

/// Where a token was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Authorization,
    Cookie,
    Elsewhere,
}

impl TokenSources {
    pub(crate) fn authorization_only(verifier: &Verifier) -> Self {
        Self {
            max_length: verifier.max_token_length(),
            parties: Some(Vec::new()),
            sources: vec![TokenSource::authorization()],
            suffixed_cookies: Vec::new(),
        }
    }

    pub(crate) fn new(sources: Vec<TokenSource>, verifier: &Verifier) -> Result<Self, ConfigError> {
        if sources.is_empty() {
            return Err(ConfigError::invalid("token_sources", "must not be empty"));
        }
        if sources.iter().any(|source| matches!(&source.0, Kind::Cookie(name) if !is_token(name))) {
            return Err(ConfigError::invalid("token_sources", "must hold cookie names that are tokens (RFC 6265)"));
        }
        let has_cookie = sources.iter().any(|source| matches!(source.0, Kind::Cookie(_) | Kind::SessionCookie));
        if has_cookie && !verifier.configs().all(may_have_cookies) {
            return Err(ConfigError::missing(
                "authorized_parties",
                "a cookie counts only for the parties it is meant for",
            ));
        }
        let parties = || verifier.configs().map(|config| config.authorized_parties.clone()).collect();
        let keys = verifier.configs().filter_map(|config| config.publishable_key.as_ref());
        Ok(Self {
            max_length: verifier.max_token_length(),
            parties: (!verifier.can_resolve()).then(parties),
            sources,
            suffixed_cookies: keys.map(suffixed_cookie).collect(),
        })
    }

    /// Asks the sources in order; the first that has something decides, good or bad.
    pub(crate) fn find<'a>(&self, method: &Method, headers: &'a HeaderMap) -> Found<'a> {
        for TokenSource(kind) in &self.sources {
            let (found, place) = match kind {
                Kind::Authorization => (authorization(headers), Place::Authorization),
                Kind::Cookie(name) => (cookie(headers, name), Place::Cookie),
                Kind::Custom(find) => (find(headers).map_or(Credential::None, Credential::Token), Place::Elsewhere),
                Kind::Header(name) if *name == AUTHORIZATION => (header(headers, name), Place::Authorization),
                Kind::Header(name) => (header(headers, name), Place::Elsewhere),
                Kind::SessionCookie => (self.session_cookie(headers), Place::Cookie),
            };
            let (text, must_be_word) = match found {
                Credential::Empty | Credential::None => continue,
                Credential::Malformed => return Found::Malformed,
                Credential::Token(text) => (text, false),
                Credential::Word(text) => (Cow::Borrowed(text), true),
            };
            if text.len() > self.max_length {
                return Found::Malformed;
            }
            if place == Place::Cookie && self.is_cross_site_for_all(method, headers) {
                return Found::CrossSite;
            }
            return Found::Token(Token { must_be_word, place, text });
        }
        Found::None
    }

    /// The fields that may hold a token.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &HeaderName> {
        self.sources.iter().filter_map(|TokenSource(kind)| match kind {
            Kind::Authorization | Kind::Custom(_) => None,
            Kind::Cookie(_) | Kind::SessionCookie => Some(&COOKIE),
            Kind::Header(name) => Some(name),
        })
    }

    fn session_cookie<'a>(&self, headers: &'a HeaderMap) -> Credential<'a> {
        let mut is_signed_out = false;
        for name in &self.suffixed_cookies {
            match cookie(headers, name) {
                Credential::Empty => is_signed_out = true,
                Credential::None => {}
                found => return found,
            }
        }
        // The other one counts only if this one is absent.
        if is_signed_out { Credential::None } else { cookie(headers, SESSION_COOKIE) }
    }

    /// Whether the request may have been made by another site, whichever instance the cookie turns out to be of.
    fn is_cross_site_for_all(&self, method: &Method, headers: &HeaderMap) -> bool {
        let parties = self.parties.as_ref();
        parties.is_some_and(|all| all.iter().all(|parties| may_be_cross_site(method, headers, parties)))
    }
}

enum Credential<'a> {
    /// A cookie without a value, by which Clerk's front end says that no one is signed in.
    Empty,
    Malformed,
    None,
    Token(Cow<'a, str>),
    /// What has yet to prove to be one word.
    Word(&'a str),
}

impl Token<'_> {
    /// Whether the request is malformed, rather than its token no good. To be asked of what was refused alone: what
    /// verifies is one word, and a hit need not be looked through for it.
    pub(crate) fn is_malformed(&self) -> bool {
        self.must_be_word && !is_word_or_empty(&self.text)
    }
}

fn authorization(headers: &HeaderMap) -> Credential<'_> {
    match single_line(headers, &AUTHORIZATION) {
        Line::None => Credential::None,
        Line::Malformed => Credential::Malformed,
        Line::Text(line) => bearer(line).unwrap_or_else(|| match line.split(' ').all(is_word_or_empty) {
            true => Credential::None,
            false => Credential::Malformed,
        }),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Credential<'a> {
    match single_line(headers, name) {
        Line::None => Credential::None,
        Line::Malformed => Credential::Malformed,
        Line::Text(line) => bearer(line).unwrap_or_else(|| word(line)),
    }
}

enum Line<'a> {
    Malformed,
    None,
    Text(&'a str),
}

/// The one value of a header that must stand once (RFC 9110, section 5.3), trimmed.
fn single_line<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Line<'a> {
    let mut values = headers.get_all(name).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Line::None,
        (Some(value), None) => value.as_bytes(),
        (Some(_), Some(_)) => return Line::Malformed,
    };
    match std::str::from_utf8(value).map(|text| text.trim_matches([' ', '\t'])) {
        Ok("") | Err(_) => Line::Malformed,
        Ok(text) => Line::Text(text),
    }
}

/// The word after `Bearer`; `None` if the scheme is another one (RFC 9110, section 11.1).
fn bearer(line: &str) -> Option<Credential<'_>> {
    let (scheme, rest) = line.split_once(' ').unwrap_or((line, ""));
    scheme.eq_ignore_ascii_case("Bearer").then(|| word(rest.trim_start_matches(' ')))
}

fn word(text: &str) -> Credential<'_> {
    if text.is_empty() { Credential::Malformed } else { Credential::Word(text) }
}

/// Whether all of it is visible ASCII and none of it a comma, which would make a list of it.
fn is_word_or_empty(text: &str) -> bool {
    // Without an early end, so that the compiler makes wide instructions of it.
    text.bytes().fold(true, |is_word, byte| is_word & matches!(byte, b'!'..=b'~') & (byte != b','))
}

/// The cookie called `name` in all `Cookie` headers, of which HTTP/2 may send several. Split on the delimiters
/// of RFC 6265 first and decoded after, as Clerk's SDKs do.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Credential<'a> {
    let mut found: Option<&[u8]> = None;
    for pair in headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';')) {
        let Some(value) = pair.trim_ascii().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        else {
            continue;
        };
        match found {
            Some(other) if other != value => return Credential::Malformed,
            _ => found = Some(value),
        }
    }
    match found {
        Some([]) => Credential::Empty,
        // What is not text is no token either; the empty text says so further on.
        Some(value) => Credential::Token(percent_decode(value).decode_utf8().unwrap_or_default()),
        None => Credential::None,
    }
}

/// Whether cookies may count for an instance at all.
pub(crate) fn may_have_cookies(config: &ClerkConfig) -> bool {
    !config.authorized_parties.is_empty() || config.danger_cookie_without_authorized_parties
}

/// Whether the request may have been made by another site than the authorized `parties` with the user's cookies.
pub(crate) fn may_be_cross_site(method: &Method, headers: &HeaderMap, parties: &[String]) -> bool {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) && !headers.contains_key(UPGRADE);
    if is_safe {
        return false;
    }
    let is_from_here = || {
        let mut sites = headers.get_all("sec-fetch-site").iter();
        matches!((sites.next(), sites.next()), (Some(site), None) if site == "same-origin")
    };
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        // Without parties no origin is known to be good, but browsers themselves say where a request is from.
        _ if parties.is_empty() => !is_from_here(),
        (Some(origin), None) => !parties.iter().any(|party| party.as_bytes() == origin.as_bytes()),
        (None, _) => !is_from_here(),
        (Some(_), Some(_)) => true,
    }
}

/// Clerk suffixes its cookies with the beginning of a digest of the publishable key.
fn suffixed_cookie(key: &PublishableKey) -> String {
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
            assert_eq!(suffixed_cookie(&key), format!("__session_{suffix}"));
        }
    }
}
