//! Cookies that may hold the token of a user.
//!
//! A cookie can stand in a request several times: set for the host and for the domain, with and without a suffix, by
//! another environment, or by a framework that uses the same name. Its user cannot repair that, so several cookies are
//! never malformed. All of them are candidates, and these rules choose among them:
//!
//! 1. A value that is no compact JWT, is too long, or whose issuer belongs to no trusted instance is as if it were
//!    absent. At most [`MAX_CANDIDATES`] different values are left.
//! 2. The first that verifies counts, unless another one verifies for another user: nobody can tell which of the two
//!    users meant the request. If keys are missing for one that claims another user, the request is rejected because
//!    of that, since it may be the one that counts.
//! 3. If none verifies, the request is rejected for the reason of the first. If keys are missing for one of them, it is
//!    rejected for that reason, since that one may be valid.
//!
//! The candidates of one request share what it may cost: they wait for as many fetches of one instance's keys as a
//! single token would, and for one call of the resolver. A client could otherwise multiply both by adding cookies.

use std::{borrow::Cow, mem};

use super::{credential::MAX_CANDIDATES, pending::Waited};
use crate::{
    claims::Claims,
    instruments::Timer,
    token_kind::TokenKinds,
    verify::{ClaimedToken, PendingVerification, Verification, Verifier, VerifyError, VerifyErrorKind, session},
};

/// The candidates of one source, in the order in which they were found. One alone is not examined before it is needed:
/// most requests have one cookie, and its token is cached.
#[derive(Default)]
pub(super) struct CookieCandidates<'a> {
    list: [Option<Candidate<'a>>; MAX_CANDIDATES],
    examined: usize,
    /// Whether those without a suffix are tried first.
    pub(super) is_plain_first: bool,
}

/// The value of a cookie.
pub(super) struct Candidate<'a> {
    text: Cow<'a, str>,
    /// The index of the application whose suffix the cookie has; `None` if its name has no suffix.
    pub(super) suffix: Option<usize>,
    /// Its claims; `None` if it was not examined.
    pub(super) claimed: Option<ClaimedToken>,
}

/// What the candidates of one source are worth.
pub(super) enum Choice<'a> {
    /// Two verify for different users.
    Ambiguous,
    Invalid(VerifyError),
    /// No candidate is left, as if there were no cookie.
    Missing,
    Verified(Claims),
    /// The candidate with this text has to wait.
    Wait(Cow<'a, str>, PendingVerification),
}

impl<'a> CookieCandidates<'a> {
    /// The value that a closure found in the cookies.
    pub(super) fn one(text: Cow<'a, str>, verifier: &Verifier) -> Self {
        let mut candidates = Self::default();
        candidates.add(text, None, verifier);
        candidates
    }

    /// Adds a value, unless it is there already, or as if absent.
    pub(super) fn add(&mut self, text: Cow<'a, str>, suffix: Option<usize>, verifier: &Verifier) {
        if text.is_empty()
            || text.len() > verifier.max_token_length()
            || self.iter().any(|candidate| candidate.text == text)
        {
            return;
        }
        let mut candidate = Candidate { text, suffix, claimed: None };
        if !self.is_empty() {
            self.examine(verifier);
            if !candidate.examine(verifier, &mut self.examined) {
                return;
            }
        }
        if let Some(free) = self.list.iter_mut().find(|place| place.is_none()) {
            *free = Some(candidate);
        }
    }

    /// Drops the candidates that are as if absent.
    pub(super) fn examine(&mut self, verifier: &Verifier) {
        let mut examined = self.examined;
        self.retain(|candidate| candidate.examine(verifier, &mut examined));
        self.examined = examined;
    }

    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&mut Candidate<'a>) -> bool) {
        let list = mem::take(&mut self.list);
        let kept = list.into_iter().flatten().filter_map(|mut candidate| is_kept(&mut candidate).then_some(candidate));
        self.list.iter_mut().zip(kept).for_each(|(place, candidate)| *place = Some(candidate));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Candidate<'a>> {
        self.list.iter().flatten()
    }

    /// Verifies the candidates as far as possible without waiting, and chooses one.
    ///
    /// `kinds` are sessions, or nothing where no session is accepted. `waited` is from the last time, if the request
    /// has waited for one of them since.
    pub(super) fn verify(
        mut self,
        verifier: &Verifier,
        kinds: TokenKinds,
        waited: &mut Option<Waited>,
        timer: &mut Timer,
    ) -> Choice<'a> {
        let was_examined = match self.iter().next() {
            None => return Choice::Missing,
            Some(Candidate { text, claimed: None, .. }) => match cached(verifier, text, kinds) {
                Some(claims) => return Choice::Verified(claims),
                None => false,
            },
            Some(_) => true,
        };
        self.examine(verifier);
        let waited = waited.get_or_insert_default();
        let mut verified: Option<Claims> = None;
        let mut rejected = None;
        let mut unavailable = Vec::new();
        for (index, text, claimed) in self.in_order() {
            // The same user again: whether it verifies makes no difference.
            if verified.as_ref().is_some_and(|claims| claimed.is_of_user(claims)) {
                continue;
            }
            let cached = if was_examined { cached(verifier, text, kinds) } else { None };
            let result = match cached {
                Some(claims) => Ok(claims),
                None => {
                    timer.start(|| verifier.monotonic());
                    match self.attempt(index, text, claimed, verifier, kinds, waited) {
                        Verification::Pending(pending) => return Choice::Wait(text.clone(), pending),
                        Verification::Ready(result) => result.and_then(session),
                    }
                }
            };
            match result {
                Ok(claims) => match &verified {
                    Some(first) if !is_same_user(first, &claims) => return Choice::Ambiguous,
                    Some(_) => {}
                    None => verified = Some(claims),
                },
                Err(error) => match error.kind() {
                    // The resolver knows no such instance, or its instance has a shorter limit.
                    VerifyErrorKind::InvalidIssuer | VerifyErrorKind::TooLong => {}
                    VerifyErrorKind::KeysUnavailable => unavailable.push((error, claimed)),
                    _ => rejected = rejected.or(Some(error)),
                },
            }
        }
        let mut undecided = unavailable.into_iter().filter(|(_, claimed)| {
            let is_settled = verified.as_ref().is_some_and(|claims| claimed.is_of_user(claims));
            !is_settled
        });
        match (undecided.next(), &verified, rejected) {
            (Some((error, _)), _, _) | (None, None, Some(error)) => Choice::Invalid(error),
            (None, Some(claims), _) => Choice::Verified(claims.clone()),
            (None, None, None) => Choice::Missing,
        }
    }

    /// Verifies one candidate that is not cached, within what the others have left of what a request may cost.
    fn attempt(
        &self,
        index: usize,
        text: &str,
        claimed: &ClaimedToken,
        verifier: &Verifier,
        kinds: TokenKinds,
        waited: &mut Waited,
    ) -> Verification {
        let mut of_same_issuer = self
            .in_order()
            .filter(|(other, _, other_claimed)| *other != index && other_claimed.issuer == claimed.issuer);
        let sibling = of_same_issuer.find_map(|(_, other, _)| waited.progress_of(other.as_bytes()));
        waited.attempt(sibling, verifier, text.as_bytes(), kinds, &claimed.issuer)
    }

    /// The candidates with their indices, in the order in which they are tried. All must be examined.
    fn in_order(&self) -> impl Iterator<Item = (usize, &Cow<'a, str>, &ClaimedToken)> {
        [self.is_plain_first, !self.is_plain_first].into_iter().flat_map(|is_plain| {
            self.list.iter().enumerate().filter_map(move |(index, candidate)| {
                let candidate = candidate.as_ref().filter(|candidate| candidate.suffix.is_none() == is_plain)?;
                Some((index, &candidate.text, candidate.claimed.as_ref()?))
            })
        })
    }
}

impl Candidate<'_> {
    /// Reads its claims. Returns whether it is a candidate, or as if absent.
    ///
    /// `examined` counts the values of a source that were read. Beyond [`MAX_EXAMINED`] all are as if absent: reading
    /// one costs as much as its length, and a client may send hundreds.
    fn examine(&mut self, verifier: &Verifier, examined: &mut usize) -> bool {
        if self.claimed.is_none() && *examined < MAX_EXAMINED {
            *examined += 1;
            self.claimed = verifier.claimed(self.text.as_bytes());
        }
        self.claimed.is_some()
    }
}

fn cached(verifier: &Verifier, text: &str, kinds: TokenKinds) -> Option<Claims> {
    verifier.cached(text.as_bytes(), kinds)?.into_session()
}

/// Whether two tokens are of the same user. User ids are unique within an instance, which may have several issuers.
fn is_same_user(one: &Claims, other: &Claims) -> bool {
    let is_same_instance = || std::ptr::eq(one.instance_info(), other.instance_info());
    one.user_id() == other.user_id() && (one.issuer() == other.issuer() || is_same_instance())
}

/// Far more cookies of one name than the paths and domains of an application make.
const MAX_EXAMINED: usize = 16;
