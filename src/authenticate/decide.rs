use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header::AUTHORIZATION};

use super::{
    extension::{ClerkAuth, CustomClaimsTypes},
    resource_metadata,
};
use crate::{
    claims::Claims,
    rejection::{Answers, GrpcForm, Rejection, RejectionKind},
    telemetry,
    token::{Found, Place, TokenSources, may_be_cross_site, may_have_cookies},
    verify::{Halt, Progress, Verifier, VerifyError, VerifyErrorKind},
};

/// Everything that a layer and its services share.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) answers: Arc<Answers>,
    pub(super) custom_claims: CustomClaimsTypes,
    mode: Mode,
    pub(super) resource_metadata: bool,
    pub(super) sources: TokenSources,
    strips_unverified: bool,
    pub(super) verifier: Verifier,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Anonymous,
    Strict,
    Unauthenticated,
}

/// Why a request is refused.
struct Refusal {
    error: Option<VerifyError>,
    kind: RejectionKind,
    /// Where the token was, if there was one.
    place: Option<Place>,
}

/// What becomes of a request.
pub(super) enum Decision {
    Forward,
    Refuse(Response<Bytes>),
}

/// What becomes of a request at first sight.
pub(super) enum FirstDecision {
    Decided(Decision),
    Wait(Wait),
}

/// Waiting for keys, and what is needed to decide afterwards.
pub(super) struct Wait {
    pub(super) place: Place,
    pub(super) verified: Pin<Box<dyn Future<Output = Result<Claims, VerifyError>> + Send>>,
}

impl Settings {
    pub(super) fn new(verifier: Verifier) -> Self {
        Self {
            answers: Arc::default(),
            custom_claims: CustomClaimsTypes::default(),
            mode: Mode::Strict,
            resource_metadata: false,
            sources: TokenSources::authorization_only(&verifier),
            strips_unverified: false,
            verifier,
        }
    }

    pub(super) fn allow_anonymous(&mut self) {
        self.mode = Mode::Anonymous;
    }

    pub(super) fn allow_unauthenticated(&mut self) {
        self.mode = Mode::Unauthenticated;
    }

    pub(super) fn strip_unverified(&mut self) {
        self.strips_unverified = true;
    }

    pub(super) fn decide<B>(&self, request: &mut Request<B>) -> FirstDecision {
        // What an outer layer of this kind found does not count here: this one decides alone.
        let extensions = request.extensions_mut();
        extensions.remove::<ClerkAuth>();
        extensions.remove::<Rejection>();
        CustomClaimsTypes::remove(extensions);
        mark_sensitive(request.headers_mut(), &AUTHORIZATION);
        for name in self.sources.fields() {
            mark_sensitive(request.headers_mut(), name);
        }
        if self.resource_metadata
            && let Some(response) = resource_metadata::response(request, self.verifier.configs())
        {
            return FirstDecision::Decided(Decision::Refuse(response));
        }
        let outcome = match self.sources.find(request.method(), request.headers()) {
            Found::None => Err(RejectionKind::MissingToken.into()),
            Found::Malformed => Err(RejectionKind::MalformedRequest.into()),
            Found::CrossSite => Err(RejectionKind::CrossSite.into()),
            Found::Token(token) => {
                let place = token.place;
                let mut progress = Progress::default();
                match self.verifier.attempt(&token.text, &mut progress) {
                    Ok(claims) => Ok((claims, place)),
                    Err(_) if token.is_malformed() => Err(RejectionKind::MalformedRequest.into()),
                    Err(Halt::Refused(error)) => Err(refused(error).of(place)),
                    Err(Halt::Waiting(pending)) => {
                        let (verifier, token) = (self.verifier.clone(), token.text.into_owned());
                        let verified = Box::pin(async move { verifier.resume(&token, pending, progress).await });
                        return FirstDecision::Wait(Wait { place, verified });
                    }
                }
            }
        };
        FirstDecision::Decided(self.conclude(outcome, request))
    }

    /// Decides about a request that has waited.
    pub(super) fn decide_after_wait<B>(
        &self,
        verified: Result<Claims, VerifyError>,
        place: Place,
        request: &mut Request<B>,
    ) -> Decision {
        self.conclude(verified.map(|claims| (claims, place)).map_err(|error| refused(error).of(place)), request)
    }

    fn conclude<B>(&self, outcome: Result<(Claims, Place), Refusal>, request: &mut Request<B>) -> Decision {
        match outcome
            .and_then(|(claims, place)| self.admit(claims, place, request).map_err(|refusal| refusal.of(place)))
        {
            Ok(()) => Decision::Forward,
            Err(refusal) => self.reject(refusal, request),
        }
    }

    /// Puts the user into the extensions.
    fn admit<B>(&self, claims: Claims, place: Place, request: &mut Request<B>) -> Result<(), Refusal> {
        if place == Place::Cookie {
            check_cookie(&claims, request)?;
        }
        if self.custom_claims.insert(&claims, request.extensions_mut()).is_err() {
            return Err(refused(VerifyErrorKind::MissingCustomClaims.into()));
        }
        request.extensions_mut().insert(ClerkAuth::new(claims, Arc::clone(&self.answers)));
        Ok(())
    }

    fn reject<B>(&self, refusal: Refusal, request: &mut Request<B>) -> Decision {
        let Refusal { error, kind, place } = refusal;
        let passes = match (self.mode, kind) {
            (_, RejectionKind::MalformedRequest) | (Mode::Strict, _) => false,
            (Mode::Anonymous, kind) => kind == RejectionKind::MissingToken,
            (Mode::Unauthenticated, _) => true,
        };
        match &error {
            Some(error) => telemetry::refused(&error.kind(), passes),
            None => telemetry::refused(&kind, passes),
        }
        let form = GrpcForm::of(self.answers.refusals, request.method(), request.headers());
        let challenge = self.challenge(request);
        let rejection = Rejection::new(kind, error, form, challenge, self.answers.on_rejection.clone());
        if passes {
            if self.strips_unverified && place == Some(Place::Authorization) {
                request.headers_mut().remove(AUTHORIZATION);
            }
            request.extensions_mut().insert(rejection);
            return Decision::Forward;
        }
        Decision::Refuse(rejection.answer(request))
    }

    fn challenge<B>(&self, request: &Request<B>) -> Option<HeaderValue> {
        if self.resource_metadata { resource_metadata::challenge(request) } else { None }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("mode", &self.mode)
            .field("refusals", &self.answers.refusals)
            .field("sources", &self.sources)
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

impl Refusal {
    fn of(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }
}

impl From<RejectionKind> for Refusal {
    fn from(kind: RejectionKind) -> Self {
        Self { error: None, kind, place: None }
    }
}

/// Keeps `Debug` of the request, and so logs, from showing credentials.
fn mark_sensitive(headers: &mut HeaderMap, name: &HeaderName) {
    let count = headers.get_all(name).iter().count();
    if count > 1 {
        let values = headers.iter_mut().filter(|(other, _)| *other == name);
        values.for_each(|(_, value)| value.set_sensitive(true));
    } else if let Some(value) = headers.get_mut(name) {
        value.set_sensitive(true);
    }
}

/// What a cookie has to be beyond a good token: meant for one of the instance's parties, and not sent by another
/// site.
fn check_cookie<B>(claims: &Claims, request: &Request<B>) -> Result<(), Refusal> {
    let (config, method) = (claims.config(), request.method());
    let has_party = claims.authorized_party().is_some() || config.authorized_parties.is_empty();
    if !may_have_cookies(config) || (!has_party && ![Method::GET, Method::HEAD].contains(method)) {
        return Err(refused(VerifyErrorKind::InvalidAuthorizedParty.into()));
    }
    if may_be_cross_site(method, request.headers(), &config.authorized_parties) {
        return Err(RejectionKind::CrossSite.into());
    }
    Ok(())
}

fn refused(error: VerifyError) -> Refusal {
    Refusal { kind: RejectionKind::of(error.kind()), error: Some(error), place: None }
}
