//! Which requests may authenticate with a cookie: browsers send cookies along with requests that other sites make.

use http::{
    HeaderMap, Method,
    header::{ORIGIN, UPGRADE},
};

use super::CredentialOrigin;
use crate::{claims::Claims, verify::Verifier};

/// The authorized parties of all instances, to decide before it is known which one a cookie belongs to.
///
/// Most layers trust one instance, or several with the same parties, and are then done: a forged cookie of another site
/// is rejected before its token is looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct CrossSitePolicy {
    /// `None` where further instances may be resolved.
    parties: Option<Vec<Vec<String>>>,
}

/// What is known of a request with a cookie before the instance is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CrossSiteVerdict {
    /// For every instance.
    Allowed,
    /// For every instance.
    Denied,
    DependsOnInstance,
}

/// Why a valid token in a cookie does not authenticate.
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

/// Checks what a cookie must be beyond a valid token: meant for one of the instance's parties, and not sent by another
/// site.
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

/// Whether another site than the authorized `parties` may have made the browser send the request with the user's
/// cookies.
fn is_cross_site(method: &Method, headers: &HeaderMap, parties: &[String]) -> bool {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) && !headers.contains_key(UPGRADE);
    if is_safe {
        return false;
    }
    let is_same_origin = || {
        let mut sites = headers.get_all("sec-fetch-site").iter();
        matches!((sites.next(), sites.next()), (Some(site), None) if site == "same-origin")
    };
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        // Without parties no origin is known to be authorized, but browsers say themselves where a request is from.
        _ if parties.is_empty() => !is_same_origin(),
        (Some(origin), None) => !parties.iter().any(|party| party.as_bytes() == origin.as_bytes()),
        (None, _) => !is_same_origin(),
        (Some(_), Some(_)) => true,
    }
}
