use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, header::AUTHORIZATION};

use super::{extension::CustomClaimsTypes, principal::Principal, resource_metadata};
use crate::{
    claims::{Claims, MachineClaims, VerifiedToken},
    credentials::{
        Authentication, CookieError, CredentialContext, CredentialLocation, CredentialOrigin, PendingCredential,
        TokenSources, check_cookie,
    },
    instruments::{Outcome, RejectedRequest, SourceLabel, Timer},
    rejection::{GrpcForm, Rejection, RejectionKind, RejectionReason, Responder},
    telemetry,
    token_kind::{TokenKind, TokenKinds},
    verify::{Verifier, VerifyError, VerifyErrorKind, WaitingPermit},
};

/// Decides whether a request is forwarded, rejected, or has to wait.
///
/// A layer and all services made from it share one in an [`Arc`], so cloning a service copies a pointer.
#[derive(Clone)]
pub(super) struct Authenticator {
    pub(super) verifier: Verifier,
    pub(super) sources: TokenSources,
    pub(super) mode: Mode,
    pub(super) strip_unverified_credentials: bool,
    /// Whether the span of a request gets the ids of its user and session.
    pub(super) record_user: bool,
    pub(super) custom_claims: CustomClaimsTypes,
    pub(super) responder: Responder,
    /// The kinds of tokens that may authenticate a request here, of those that the instances accept.
    pub(super) kinds: TokenKinds,
    /// How many requests of all services that share this are parked now.
    parked: Arc<AtomicUsize>,
}

/// Which requests pass without a user; the [module docs](super) have the table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    /// Requests without a credential.
    AllowMissingToken,
    /// All but malformed requests.
    AllowUnauthenticated,
    /// None.
    Strict,
}

/// What the service does with a request. `W` is what a wait needs.
pub(super) enum Decision<W> {
    /// Calls the inner service: the extensions hold either a principal or a [`Rejection`].
    Forward,
    /// Returns this response: a rejection or the resource metadata document.
    Respond(Response<Bytes>),
    /// Waits, then calls [`Authenticator::resume`].
    Wait(W),
}

/// Counts one parked request and its bytes until it is dropped, so that a cancelled request is not counted for ever.
pub(super) struct ParkingPermit {
    count: Arc<AtomicUsize>,
    _bytes: WaitingPermit,
    /// The time that the request takes, wait included.
    timer: Timer,
}

/// Why a request has no user.
struct Unauthenticated {
    kind: RejectionKind,
    reason: RejectionReason,
    /// Where the credential was found; `None` if there is none.
    location: Option<CredentialLocation>,
    /// The kind of its token, as far as that is known.
    token: Option<TokenKind>,
}

/// Which token has authenticated a request.
struct Authenticated {
    token: TokenKind,
    origin: CredentialOrigin,
}

impl Authenticator {
    pub(super) fn new(verifier: Verifier) -> Self {
        let kinds = verifier.kinds();
        Self {
            sources: TokenSources::authorization_only(&verifier),
            verifier,
            mode: Mode::Strict,
            strip_unverified_credentials: false,
            record_user: false,
            custom_claims: CustomClaimsTypes::default(),
            responder: Responder::default(),
            kinds,
            parked: Arc::default(),
        }
    }

    /// Authenticates a request as far as possible without waiting.
    ///
    /// It changes the request even if it rejects it: credentials are marked as sensitive, and the extensions of an
    /// outer `ClerkAuthLayer` are removed.
    pub(super) fn authenticate<B>(&self, request: &mut Request<B>) -> Decision<(PendingCredential, ParkingPermit)> {
        // The innermost `ClerkAuthLayer` decides alone. If it kept the user of an outer one, a request that it lets
        // pass without a user would have one all the same.
        let extensions = request.extensions_mut();
        Principal::remove(extensions);
        extensions.remove::<Rejection>();
        CustomClaimsTypes::remove(extensions);
        mark_sensitive(request.headers_mut(), &AUTHORIZATION);
        for name in self.sources.fields() {
            mark_sensitive(request.headers_mut(), name);
        }
        if let Some(resource) = &self.responder.resource
            && let Some(response) = resource_metadata::response(resource, request, &self.verifier)
        {
            return Decision::Respond(response.map(Bytes::from));
        }
        let mut timer = self.verifier.instruments().requests.timer(|| self.verifier.monotonic());
        match self.verify(request, None, &mut timer) {
            Decision::Forward => Decision::Forward,
            Decision::Respond(response) => Decision::Respond(response),
            Decision::Wait(pending) => match self.park(request, timer) {
                Ok(permit) => Decision::Wait((pending, permit)),
                Err(error) => self.decide_without_waiting(pending, error, request, timer),
            },
        }
    }

    /// Authenticates a request that has waited. It may have to wait again, with the permit that it has.
    pub(super) fn resume<B>(
        &self,
        pending: &mut PendingCredential,
        request: &mut Request<B>,
        permit: &mut ParkingPermit,
    ) -> Decision<PendingCredential> {
        self.verify(request, Some(pending), &mut permit.timer)
    }

    /// Whether any request is parked: it waits for keys, or for the inner service to become ready after that.
    pub(super) fn has_parked_requests(&self) -> bool {
        self.parked.load(Ordering::Acquire) > 0
    }

    fn verify<B>(
        &self,
        request: &mut Request<B>,
        pending: Option<&mut PendingCredential>,
        timer: &mut Timer,
    ) -> Decision<PendingCredential> {
        let (method, headers) = (request.method(), request.headers());
        let context =
            CredentialContext { verifier: &self.verifier, kinds: self.kinds, method, headers, timer: &mut *timer };
        let admitted = match self.sources.verify(context, pending) {
            Authentication::AmbiguousCookies => Err(Unauthenticated::ambiguous_cookies()),
            Authentication::CrossSite => Err(Unauthenticated::from(CookieError::CrossSite)),
            Authentication::Invalid(error, origin) => Err(Unauthenticated::new(error, origin.location)),
            Authentication::Malformed(location) => {
                Err(Unauthenticated { location: Some(location), ..RejectionKind::MalformedRequest.into() })
            }
            Authentication::Missing => Err(RejectionKind::MissingToken.into()),
            Authentication::Verified(token, origin) => {
                timer.verified();
                self.admit(token, origin, request)
            }
            Authentication::Wait(pending) => return Decision::Wait(pending),
        };
        self.decide(admitted, request, *timer)
    }

    /// Decides about a request that cannot wait.
    ///
    /// If its token is valid with keys that are late, it is accepted with these, as during an outage: others have taken
    /// all that may wait, and must not lock its user out.
    fn decide_without_waiting<B, W>(
        &self,
        pending: PendingCredential,
        error: VerifyError,
        request: &mut Request<B>,
        mut timer: Timer,
    ) -> Decision<W> {
        let origin = pending.origin;
        if let Some(mut pending) = pending.without_late_wait() {
            match self.verify(request, Some(&mut pending), &mut timer) {
                Decision::Forward => return Decision::Forward,
                Decision::Respond(response) => return Decision::Respond(response),
                Decision::Wait(_) => {}
            }
        }
        self.decide(Err(Unauthenticated::new(error, origin.location)), request, timer)
    }

    fn decide<B, W>(
        &self,
        admitted: Result<Authenticated, Unauthenticated>,
        request: &mut Request<B>,
        timer: Timer,
    ) -> Decision<W> {
        match admitted {
            Err(unauthenticated) => {
                self.reject(unauthenticated, request, timer).map_or(Decision::Forward, Decision::Respond)
            }
            Ok(Authenticated { token, origin }) => {
                let source = source_label(Some(origin.location));
                self.verifier.instruments().requests.allowed(token, source, timer, || self.verifier.monotonic());
                Decision::Forward
            }
        }
    }

    /// Counts a request and its head as parked for as long as the result lives.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] if the requests that wait already take as many bytes as they may.
    fn park<B>(&self, request: &Request<B>, timer: Timer) -> Result<ParkingPermit, VerifyError> {
        let bytes = self.verifier.reserve_waiting(parked_size(request))?;
        self.parked.fetch_add(1, Ordering::AcqRel);
        Ok(ParkingPermit { count: Arc::clone(&self.parked), _bytes: bytes, timer })
    }

    /// Inserts the user and the custom claims into the extensions, if the token may authenticate this request.
    ///
    /// A cookie needs a second check, because browsers attach cookies to requests that other sites make.
    fn admit<B>(
        &self,
        token: VerifiedToken,
        origin: CredentialOrigin,
        request: &mut Request<B>,
    ) -> Result<Authenticated, Unauthenticated> {
        let authenticated = Authenticated { token: token.kind(), origin };
        match &token {
            VerifiedToken::Session(claims) => self.check_session(claims, origin, request)?,
            VerifiedToken::Machine(claims) if !self.accepts_audience(claims) => {
                let error = VerifyError::rejected(VerifyErrorKind::InvalidAudience);
                let unauthenticated = Unauthenticated::new(error, origin.location);
                return Err(Unauthenticated { token: Some(authenticated.token), ..unauthenticated });
            }
            VerifiedToken::Machine(_) => {}
        }
        if self.record_user {
            match &token {
                VerifiedToken::Session(claims) => telemetry::user(Some(claims.user_id()), claims.session_id()),
                VerifiedToken::Machine(claims) => telemetry::user(claims.user_id(), None),
            }
        }
        let principal = Principal::new(token, self.responder.clone());
        match principal {
            // One extension is enough where no handler can take another kind.
            Principal::Session(user) if self.kinds == TokenKinds::SESSIONS => {
                request.extensions_mut().insert(user);
            }
            principal => principal.insert(request.extensions_mut()),
        }
        Ok(authenticated)
    }

    /// Whether a token may be used at the resource. Only OAuth tokens are issued for one.
    fn accepts_audience(&self, claims: &MachineClaims) -> bool {
        let resource = self.responder.resource.as_ref().filter(|_| claims.kind() == TokenKind::OAuth);
        resource.is_none_or(|resource| resource.accepts_audience(claims.audience()))
    }

    /// Checks the rules of cookies, and inserts the custom claims.
    fn check_session<B>(
        &self,
        claims: &Claims,
        origin: CredentialOrigin,
        request: &mut Request<B>,
    ) -> Result<(), Unauthenticated> {
        if origin.location == CredentialLocation::Cookie {
            check_cookie(claims, origin, request.method(), request.headers())?;
        }
        self.custom_claims.insert(claims, request.extensions_mut()).map_err(|error| {
            self.verifier.custom_claims_failed(claims, &error);
            Unauthenticated {
                kind: RejectionKind::InvalidToken,
                reason: error.into(),
                location: Some(origin.location),
                token: Some(TokenKind::Session),
            }
        })
    }

    /// Lets a request pass without a user if the mode allows it. Returns the response to one that does not pass.
    fn reject<B>(
        &self,
        unauthenticated: Unauthenticated,
        request: &mut Request<B>,
        timer: Timer,
    ) -> Option<Response<Bytes>> {
        let Unauthenticated { kind, reason, location, token } = unauthenticated;
        let passes = match (self.mode, kind) {
            (_, RejectionKind::MalformedRequest) | (Mode::Strict, _) => false,
            (Mode::AllowMissingToken, kind) => kind == RejectionKind::MissingToken,
            (Mode::AllowUnauthenticated, _) => true,
        };
        telemetry::rejected(reason.name(kind), reason.unavailable(), passes, reason.cause());
        let outcome = match (passes, kind) {
            (true, _) => Outcome::Anonymous,
            (false, RejectionKind::KeysUnavailable) => Outcome::Unavailable,
            (false, _) => Outcome::Refused,
        };
        let rejected = RejectedRequest { outcome, reason: reason.name(kind), token, source: source_label(location) };
        let timer = if kind == RejectionKind::MalformedRequest { timer.without_token() } else { timer };
        self.verifier.instruments().requests.rejected(rejected, timer, || self.verifier.monotonic());
        let form = GrpcForm::of(self.responder.format, request.method(), request.headers());
        let challenge = self.responder.challenge(request.uri(), request.headers());
        let rejection = Rejection::new(kind, reason, form, challenge, self.responder.response.clone());
        if !passes {
            return Some(rejection.into_response(request));
        }
        if self.strip_unverified_credentials && location == Some(CredentialLocation::Authorization) {
            request.headers_mut().remove(AUTHORIZATION);
        }
        request.extensions_mut().insert(rejection);
        None
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authenticator")
            .field("verifier", &self.verifier)
            .field("sources", &self.sources)
            .field("mode", &self.mode)
            .field("rejection_format", &self.responder.format)
            .finish_non_exhaustive()
    }
}

impl Drop for ParkingPermit {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Unauthenticated {
    fn new(error: VerifyError, location: CredentialLocation) -> Self {
        let (kind, token) = (RejectionKind::of(error.kind()), error.token());
        Self { kind, reason: error.into(), location: Some(location), token }
    }

    fn ambiguous_cookies() -> Self {
        Self {
            kind: RejectionKind::InvalidToken,
            reason: RejectionReason::AmbiguousCookies,
            location: Some(CredentialLocation::Cookie),
            token: Some(TokenKind::Session),
        }
    }
}

impl From<RejectionKind> for Unauthenticated {
    fn from(kind: RejectionKind) -> Self {
        Self { kind, reason: RejectionReason::None, location: None, token: None }
    }
}

impl From<CookieError> for Unauthenticated {
    fn from(error: CookieError) -> Self {
        let (kind, reason) = match error {
            CookieError::CrossSite => (RejectionKind::CrossSite, RejectionReason::None),
            CookieError::InvalidAuthorizedParty => {
                (RejectionKind::InvalidToken, VerifyError::rejected(VerifyErrorKind::InvalidAuthorizedParty).into())
            }
        };
        // A cookie carries a session or nothing.
        Self { kind, reason, location: Some(CredentialLocation::Cookie), token: Some(TokenKind::Session) }
    }
}

fn source_label(location: Option<CredentialLocation>) -> SourceLabel {
    match location {
        Some(CredentialLocation::Authorization | CredentialLocation::Header) => SourceLabel::Header,
        Some(CredentialLocation::Cookie) => SourceLabel::Cookie,
        Some(CredentialLocation::Other) | None => SourceLabel::Other,
    }
}

/// Marks the values of a header as sensitive: `Debug` of the request then omits them, and HPACK (RFC 7541, section
/// 7.1.3) does not index them if the request is proxied.
fn mark_sensitive(headers: &mut HeaderMap, name: &HeaderName) {
    // `HeaderMap` has no mutable iterator over the values of one name. Iterating over all headers is slower than a
    // lookup, so only requests with a repeated header take that path.
    if headers.len() > headers.keys_len() {
        let values = headers.iter_mut().filter(|(other, _)| *other == name);
        values.for_each(|(_, value)| value.set_sensitive(true));
    } else if let Some(value) = headers.get_mut(name) {
        value.set_sensitive(true);
    }
}

/// The memory that a parked request takes, in bytes: its target, its headers, and what surrounds them.
fn parked_size<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    let target = target.saturating_add(uri.authority().map_or(0, |authority| authority.as_str().len()));
    let headers = request.headers().iter();
    headers.fold(target.saturating_add(REQUEST_OVERHEAD), |sum, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len()).saturating_add(HEADER_OVERHEAD)
    })
}

/// In bytes: an entry of `HeaderMap` with its hash.
const HEADER_OVERHEAD: usize = 128;
/// In bytes: the other parts of a request, an empty `HeaderMap`, the inner service, and the future. Measured: 1.8 KiB.
const REQUEST_OVERHEAD: usize = 2048;
