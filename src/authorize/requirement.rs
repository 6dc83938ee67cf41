use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderMap, Method, Uri};

use crate::{
    authenticate::{ClerkAuth, Holder},
    claims::{Claims, Entitlement, EntitlementScope, Reverification, is_scope, strip_org_prefix},
    instruments::{DecisionInstruments, RequirementLabel},
    rejection::{GrpcForm, Rejection, RejectionFormat, Responder},
    resource::ChallengeParameters,
    telemetry,
};

/// A condition that a user, or another caller, must meet: Clerk's `has()` as a value.
///
/// Roles, permissions, features, plans and reverification are decided as Clerk's SDKs decide them ([authorization
/// checks](https://clerk.com/docs/guides/secure/authorization-checks)). Three rules fail closed:
///
/// - These five need a session token. A token made from a JWT template does not meet them, whatever it claims.
/// - An empty name, an empty [`any_of`](Self::any_of) and a claim that cannot be decoded are not met.
/// - A token without an active organization has no role and no permission.
///
/// A token that is no session token, such as that of an OAuth client, meets a [`scope`](Self::scope) and an
/// [`instance`](Self::instance), and nothing else. A [`predicate`](Self::predicate) never sees it.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::{ClerkAuth, Requirement};
///
/// let user = ClerkAuth::builder().organization("org_acme", "admin").permission("invoices", "create").build();
///
/// let may_create = Requirement::permission("org:invoices:create").and(Requirement::role("org:admin"));
/// assert!(user.has(&may_create));
/// assert!(!user.has(&may_create.and(Requirement::plan("org:business"))));
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Requirement(Kind);

#[derive(Clone)]
enum Kind {
    All(Vec<Requirement>),
    AnyOf(Vec<Requirement>),
    Feature(Cow<'static, str>),
    Instance(Cow<'static, str>),
    Permission(Cow<'static, str>),
    Plan(Cow<'static, str>),
    Predicate(Arc<Predicate>),
    Reverification(Reverification),
    Role(Cow<'static, str>),
    Scope(Cow<'static, str>),
}

type Predicate = dyn Fn(&ClerkAuth) -> bool + Send + Sync;

/// Whether a user meets a requirement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Fails,
    Holds,
    /// Only a reverification is missing.
    Reverify(Reverification),
}

impl Requirement {
    /// Requires this role in the active organization, such as `org:admin`. The prefix `org:` is optional.
    pub fn role(role: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Role(role.into()))
    }

    /// Requires this custom permission in the active organization, `org:<feature>:<permission>`. The prefix `org:` is
    /// optional.
    ///
    /// System permissions (`org:sys_…`) are never met: Clerk does not put them into session tokens. Require the role
    /// instead.
    pub fn permission(permission: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Permission(permission.into()))
    }

    /// Requires this feature, by its slug: of the user (`user:<feature>`), of the active organization
    /// (`org:<feature>`), or of either (`<feature>`).
    pub fn feature(feature: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Feature(feature.into()))
    }

    /// Requires this plan, by its slug: of the user (`user:<plan>`), of the active organization (`org:<plan>`), or of
    /// either (`<plan>`).
    pub fn plan(plan: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Plan(plan.into()))
    }

    /// Requires an OAuth token or an API key with this scope, such as `read:things`. No session meets it, and no M2M
    /// token, whose scopes are the ids of machines. The comparison is exact, byte by byte.
    ///
    /// The response to a token without it has the challenge `Bearer error="insufficient_scope", scope="read:things"`
    /// with all scopes that the requirement asks for. OAuth clients, such as those of MCP servers, then ask their user
    /// for these and try again (RFC 6750, section 3.1).
    ///
    /// A text that is no scope is never met, and not named: one that is empty, or has a space, a quotation mark, a
    /// backslash, or a character other than visible ASCII (RFC 6749, section 3.3).
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_clerk::{ClerkAuthLayer, RequireLayer, Requirement, TokenKind, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new();
    /// let config = issuer.config().accept([TokenKind::Session, TokenKind::OAuth])?;
    /// // Administrators in person, and clients whom a user has let read.
    /// let may_read = Requirement::role("org:admin").or(Requirement::scope("read:things"));
    /// let service = ServiceBuilder::new()
    ///     .layer(ClerkAuthLayer::from_config(config)?)
    ///     .layer(RequireLayer::new(may_read))
    ///     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    ///
    /// for (token, challenge) in [
    ///     (issuer.oauth_token("user_ada").claim("scope", "read:things"), None),
    ///     (issuer.token("user_ada").organization("org_acme", "admin"), None),
    ///     (
    ///         issuer.oauth_token("user_ada").claim("scope", "write:things"),
    ///         Some(r#"Bearer error="insufficient_scope", scope="read:things""#),
    ///     ),
    /// ] {
    ///     let bearer = format!("Bearer {}", token.sign());
    ///     let request = Request::builder().header("authorization", bearer).body(String::new())?;
    ///     let response = service.clone().oneshot(request).await?;
    ///     assert_eq!(response.status(), if challenge.is_none() { 200 } else { 403 });
    ///     let sent = response.headers().get("www-authenticate");
    ///     assert_eq!(sent.map(|sent| sent.to_str()).transpose()?, challenge);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scope(scope: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Scope(scope.into()))
    }

    /// Requires that the user has verified their factors recently.
    ///
    /// A user who meets everything but this is rejected with
    /// [`Reverification`](crate::rejection::RejectionKind::Reverification), on which Clerk's front end asks them to
    /// verify again and repeats the request.
    pub fn reverification(reverification: Reverification) -> Self {
        Self(Kind::Reverification(reverification))
    }

    /// Requires that the token is of the [instance](Claims::instance) with this name, for services that trust several
    /// instances. A token of any kind can meet it.
    pub fn instance(name: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Instance(name.into()))
    }

    /// Requires that `predicate` returns `true` for the user. A token of another kind than a session never meets it.
    ///
    /// It runs for template tokens too; check [`is_session`](Claims::is_session) if that matters.
    pub fn predicate(predicate: impl Fn(&ClerkAuth) -> bool + Send + Sync + 'static) -> Self {
        Self(Kind::Predicate(Arc::new(predicate)))
    }

    /// Requires at least one of `alternatives`. Without any, it is never met.
    pub fn any_of(alternatives: impl IntoIterator<Item = Self>) -> Self {
        Self(Kind::AnyOf(alternatives.into_iter().collect()))
    }

    /// Requires all of `parts`. Without any, it is never met: a list that came out empty by mistake grants nothing.
    pub fn all_of(parts: impl IntoIterator<Item = Self>) -> Self {
        Self(Kind::All(parts.into_iter().collect()))
    }

    /// Requires this or `other`.
    pub fn or(self, other: Self) -> Self {
        match self.0 {
            Kind::AnyOf(mut alternatives) => {
                alternatives.push(other);
                Self(Kind::AnyOf(alternatives))
            }
            kind => Self(Kind::AnyOf(vec![Self(kind), other])),
        }
    }

    /// Requires this and `other`.
    pub fn and(self, other: Self) -> Self {
        match self.0 {
            // An empty list is never met, and must stay so.
            Kind::All(mut parts) if !parts.is_empty() => {
                parts.push(other);
                Self(Kind::All(parts))
            }
            kind => Self(Kind::All(vec![Self(kind), other])),
        }
    }

    pub(super) fn is_met_by(&self, holder: Holder<'_>) -> bool {
        self.verdict(holder) == Verdict::Holds
    }

    fn verdict(&self, holder: Holder<'_>) -> Verdict {
        let holds = match (&self.0, holder) {
            (Kind::All(parts), _) => return all(parts, holder),
            (Kind::AnyOf(alternatives), _) => return any(alternatives, holder),
            (Kind::Instance(name), _) => holder.instance() == name.as_ref(),
            (Kind::Scope(scope), Holder::Machine(machine)) => machine.claims.has_scope(scope),
            (Kind::Scope(_), Holder::Session(_)) | (_, Holder::Machine(_)) => false,
            (Kind::Predicate(predicate), Holder::Session(user)) => predicate(user),
            (_, Holder::Session(user)) if !user.is_session() => false,
            (Kind::Feature(feature), Holder::Session(user)) => is_entitled(user.claims().features(), feature),
            (Kind::Permission(permission), Holder::Session(user)) => has_permission(user, permission),
            (Kind::Plan(plan), Holder::Session(user)) => is_entitled(user.claims().plans(), plan),
            (Kind::Reverification(reverification), Holder::Session(user)) => {
                if !reverification.can_be_met() {
                    false
                } else if !reverification.is_met_by(user) {
                    return Verdict::Reverify(*reverification);
                } else {
                    true
                }
            }
            (Kind::Role(role), Holder::Session(user)) => has_role(user, role),
        };
        if holds { Verdict::Holds } else { Verdict::Fails }
    }

    /// The scopes that it asks for, in their order and each once.
    fn scopes<'a>(&'a self, scopes: &mut Vec<&'a str>) {
        match &self.0 {
            Kind::All(parts) | Kind::AnyOf(parts) => parts.iter().for_each(|part| part.scopes(scopes)),
            Kind::Scope(scope) if is_scope(scope) && !scopes.contains(&scope.as_ref()) => scopes.push(scope),
            _ => {}
        }
    }

    /// What a client learns about the rejection of a holder.
    ///
    /// A session is told where to get another token only if a scope is asked for: for a front end no token would help.
    fn challenge(
        &self,
        holder: Holder<'_>,
        responder: &Responder,
        request: Option<RequestHead<'_>>,
    ) -> ChallengeParameters {
        let mut scopes = Vec::new();
        self.scopes(&mut scopes);
        if scopes.is_empty() && matches!(holder, Holder::Session(_)) {
            return ChallengeParameters::default();
        }
        let challenge = match request {
            Some(RequestHead { uri, headers, .. }) => responder.challenge(uri, headers),
            None => responder.challenge_without_request(),
        };
        let scope = (!scopes.is_empty()).then(|| scopes.join(" ").into());
        ChallengeParameters { scope, ..challenge }
    }

    /// How metrics count it. Several requirements count as their kind if they are all of one.
    fn label(&self) -> RequirementLabel {
        match &self.0 {
            Kind::All(parts) | Kind::AnyOf(parts) => {
                let mut labels = parts.iter().map(Self::label);
                let first = labels.next().unwrap_or(RequirementLabel::Other);
                if labels.all(|label| label == first) { first } else { RequirementLabel::Other }
            }
            Kind::Feature(_) => RequirementLabel::Feature,
            Kind::Instance(_) | Kind::Predicate(_) => RequirementLabel::Other,
            Kind::Permission(_) => RequirementLabel::Permission,
            Kind::Plan(_) => RequirementLabel::Plan,
            Kind::Reverification(_) => RequirementLabel::Reverification,
            Kind::Role(_) => RequirementLabel::Role,
            Kind::Scope(_) => RequirementLabel::Scope,
        }
    }

    /// Rejects a holder that does not meet it. `request` is the head of the request, if there is one.
    pub(super) fn check(&self, holder: Holder<'_>, request: Option<RequestHead<'_>>) -> Result<(), Rejection> {
        self.check_at(holder, request, &DecisionInstruments::default())
    }

    /// As [`check`](Self::check), at a place that keeps its own counters.
    pub(super) fn check_at(
        &self,
        holder: Holder<'_>,
        request: Option<RequestHead<'_>>,
        instruments: &DecisionInstruments,
    ) -> Result<(), Rejection> {
        let verdict = self.verdict(holder);
        instruments.decided(self.label(), verdict == Verdict::Holds);
        let reverification = match verdict {
            Verdict::Holds => return Ok(()),
            Verdict::Fails => None,
            Verdict::Reverify(reverification) => Some(reverification),
        };
        let responder = holder.responder();
        let form = match request {
            Some(RequestHead { method, headers, .. }) => GrpcForm::of(responder.format, method, headers),
            None => (responder.format == RejectionFormat::Grpc).then_some(GrpcForm::Grpc),
        };
        let challenge = self.challenge(holder, responder, request);
        let rejection = Rejection::forbidden(reverification, form, challenge, responder.response.clone());
        telemetry::rejected(rejection.code(), None, false, None);
        Err(rejection)
    }
}

/// The parts of a request's head that a rejection depends on.
#[derive(Clone, Copy)]
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

/// The first failure decides, wherever it stands: asking for a reverification is pointless if the user lacks something
/// else as well.
fn all(parts: &[Requirement], holder: Holder<'_>) -> Verdict {
    let mut verdict = if parts.is_empty() { Verdict::Fails } else { Verdict::Holds };
    for part in parts {
        match part.verdict(holder) {
            Verdict::Fails => return Verdict::Fails,
            reverify @ Verdict::Reverify(_) if verdict == Verdict::Holds => verdict = reverify,
            Verdict::Holds | Verdict::Reverify(_) => {}
        }
    }
    verdict
}

/// A reverification is asked for only if no alternative is met without one.
fn any(alternatives: &[Requirement], holder: Holder<'_>) -> Verdict {
    let mut verdict = Verdict::Fails;
    for alternative in alternatives {
        match alternative.verdict(holder) {
            Verdict::Holds => return Verdict::Holds,
            reverify @ Verdict::Reverify(_) if verdict == Verdict::Fails => verdict = reverify,
            Verdict::Fails | Verdict::Reverify(_) => {}
        }
    }
    verdict
}

fn has_role(user: &Claims, role: &str) -> bool {
    let (asked, held) = (strip_org_prefix(role), user.organization().and_then(|organization| organization.role()));
    !asked.is_empty() && held.is_some_and(|held| strip_org_prefix(held) == asked)
}

/// The prefix is optional in the requirement, but not in the claim: a version 1 token may hold a permission without it,
/// which Clerk's SDKs do not match either.
fn has_permission(user: &Claims, permission: &str) -> bool {
    let asked = strip_org_prefix(permission);
    let is_asked = |held: &str| held.strip_prefix("org:").is_some_and(|held| held == asked);
    !asked.is_empty() && user.organization().is_some_and(|organization| organization.permissions().any(is_asked))
}

/// Whether the requirement `[scope:]name` is among the entitlements.
///
/// Two corner cases follow Clerk's SDKs: a third part is ignored, and with an empty name the scope's text is the name.
fn is_entitled<'a>(mut entitlements: impl Iterator<Item = Entitlement<'a>>, asked: &str) -> bool {
    let (scope, name) = match asked.split_once(':') {
        Some((scope, rest)) => (Some(scope), rest.split(':').next().filter(|name| !name.is_empty()).unwrap_or(scope)),
        None => (None, asked),
    };
    let fits = |held: EntitlementScope| match scope {
        None => true,
        Some("o" | "org" | "organization") => held != EntitlementScope::User,
        Some("u" | "user") => held != EntitlementScope::Organization,
        Some(_) => false,
    };
    !name.is_empty() && entitlements.any(|held| held.name() == name && fits(held.scope()))
}

impl fmt::Debug for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut call = |name: &str, argument: &dyn fmt::Debug| formatter.debug_tuple(name).field(argument).finish();
        match &self.0 {
            Kind::All(parts) => call("All", parts),
            Kind::AnyOf(alternatives) => call("AnyOf", alternatives),
            Kind::Feature(feature) => call("Feature", feature),
            Kind::Instance(name) => call("Instance", name),
            Kind::Permission(permission) => call("Permission", permission),
            Kind::Plan(plan) => call("Plan", plan),
            Kind::Predicate(_) => formatter.write_str("Predicate(..)"),
            Kind::Reverification(reverification) => call("Reverification", reverification),
            Kind::Role(role) => call("Role", role),
            Kind::Scope(scope) => call("Scope", scope),
        }
    }
}
