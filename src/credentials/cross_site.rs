//! Which requests may authenticate with a cookie: protection against cross-site request forgery.
//!
//! Browsers attach cookies to requests that other sites cause. The check relies on two headers that a page cannot set
//! or remove: `Origin` (RFC 6454, section 7.3) and `Sec-Fetch-Site` (Fetch Metadata).
//!
//! | `Origin` | passes |
//! |---|---|
//! | absent, on GET, HEAD or OPTIONS | always: these are safe (RFC 9110, section 9.2.1), and pages link to each other |
//! | absent, on any other request | with `Sec-Fetch-Site: same-origin` |
//! | an authorized party | always |
//! | `null` | with `Sec-Fetch-Site: same-origin`: pages with `Referrer-Policy: no-referrer` send that to their own site |
//! | any other, or several | never: a page of another site would read the response if CORS let it |
//!
//! A WebSocket handshake is a GET, but counts as any other request: browsers apply no same-origin policy to it, and the
//! connection can do whatever the user may do. No other upgrade does. Clients offer `h2c` on ordinary requests, and a
//! server may ignore the offer.

use http::{
    HeaderMap, Method,
    header::{ORIGIN, UPGRADE},
};

use super::CredentialOrigin;
use crate::{claims::Claims, verify::Verifier};

/// The authorized parties of all instances, to check a request before the instance of its cookie is known.
///
/// Most layers have one instance, or several with the same parties. A cross-site request is then rejected before its
/// token is verified, so another site cannot make a browser cause fetches or cost signatures.
#[derive(Clone, Debug, Default)]
pub(super) struct CrossSitePolicy {
    /// For each instance; `None` with a resolver, whose instances are not known yet.
    parties: Option<Vec<Vec<String>>>,
}

/// The result of the cross-site rule before the instance is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CrossSiteVerdict {
    /// The rule allows the request for every instance.
    Allowed,
    /// The rule denies the request for every instance.
    Denied,
    /// [`check_cookie`] decides, once the token is verified.
    DependsOnInstance,
}

/// Why a valid token in a cookie does not authenticate the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CookieError {
    CrossSite,
    /// The instance has no authorized parties, or the token names none where it must.
    InvalidAuthorizedParty,
}

impl CrossSitePolicy {
    pub(super) fn new(verifier: &Verifier) -> Self {
        let parties = || verifier.configs().map(|config| config.authorized_parties.clone()).collect();
        Self { parties: (!verifier.has_resolver()).then(parties) }
    }

    pub(super) fn verdict(&self, method: &Method, headers: &HeaderMap) -> CrossSiteVerdict {
        let Some(parties) = &self.parties else { return CrossSiteVerdict::DependsOnInstance };
        let mut verdicts = parties.iter().map(|parties| is_cross_site(method, headers, parties));
        let Some(first) = verdicts.next() else { return CrossSiteVerdict::Denied };
        match (first, verdicts.all(|verdict| verdict == first)) {
            (_, false) => CrossSiteVerdict::DependsOnInstance,
            (false, true) => CrossSiteVerdict::Allowed,
            (true, true) => CrossSiteVerdict::Denied,
        }
    }
}

/// Checks a request whose cookie holds a valid token.
///
/// The token must name an authorized party. Clerk omits `azp` from tokens for top-level navigations, so a token without
/// it is enough for GET and HEAD, if [`allow_missing_azp`](crate::ClerkConfig::allow_missing_azp) let it pass at all.
/// Then the cross-site rule applies, unless it was checked before.
pub(crate) fn check_cookie(
    claims: &Claims,
    origin: CredentialOrigin,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), CookieError> {
    let instance = claims.instance_info();
    let has_party = claims.authorized_party().is_some() || instance.authorized_parties.is_empty();
    if !instance.allow_cookies || (!has_party && ![Method::GET, Method::HEAD].contains(method)) {
        return Err(CookieError::InvalidAuthorizedParty);
    }
    if !origin.is_cross_site_checked && is_cross_site(method, headers, &instance.authorized_parties) {
        return Err(CookieError::CrossSite);
    }
    Ok(())
}

/// Whether another site than the authorized `parties` may have made the browser send the request.
///
/// If in doubt it is: a repeated header, or neither of the two, counts as another site. Clients other than browsers
/// send neither, and should use `Authorization`.
fn is_cross_site(method: &Method, headers: &HeaderMap, parties: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => !is_safe(method, headers) && !is_same_origin(headers),
        // Without parties no `Origin` is known to be authorized, so only the browser's own `Sec-Fetch-Site` counts.
        (Some(origin), None) if parties.is_empty() || origin == "null" => !is_same_origin(headers),
        (Some(origin), None) => !parties.iter().any(|party| party.as_bytes() == origin.as_bytes()),
        (Some(_), Some(_)) => true,
    }
}

fn is_safe(method: &Method, headers: &HeaderMap) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) && !is_websocket_handshake(headers)
}

/// Whether `Upgrade` lists `websocket`, in any case and with or without a version (RFC 9110, section 7.8).
fn is_websocket_handshake(headers: &HeaderMap) -> bool {
    let protocols = headers.get_all(UPGRADE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let mut names = protocols.map(|protocol| protocol.split(|byte| *byte == b'/').next().unwrap_or_default());
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Whether the browser vouches that a page of the same origin caused the request.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    matches!((sites.next(), sites.next()), (Some(site), None) if site == "same-origin")
}
