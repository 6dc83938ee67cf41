use std::{borrow::Cow, fmt, sync::Arc};

use crate::{
    authenticate::ClerkAuth,
    claims::{Claims, Entitlement, EntitlementScope, Reverification, strip_org_prefix},
    rejection::{GrpcForm, Rejection, RejectionFormat},
    telemetry,
};

/// A condition that a user must meet: Clerk's `has()` as a value.
///
/// Roles, permissions, features, plans and reverification are decided as Clerk's SDKs decide them ([authorization
/// checks](https://clerk.com/docs/guides/secure/authorization-checks)). Three rules fail closed:
///
/// - These five need a session token. A token made from a JWT template does not meet them, whatever it claims.
/// - An empty name, an empty [`any_of`](Self::any_of) and a claim that cannot be decoded are not met.
/// - A token without an active organization has no role and no permission.
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

    /// Requires that the user has verified their factors recently.
    ///
    /// A user who meets everything but this is rejected with
    /// [`Reverification`](crate::rejection::RejectionKind::Reverification), on which Clerk's front end asks them to
    /// verify again and repeats the request.
    pub fn reverification(reverification: Reverification) -> Self {
        Self(Kind::Reverification(reverification))
    }

    /// Requires that the user belongs to the [instance](Claims::instance) with this name, for services that trust
    /// several instances.
    pub fn instance(name: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Instance(name.into()))
    }

    /// Requires that `predicate` returns `true`.
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

    fn verdict(&self, user: &ClerkAuth) -> Verdict {
        let holds = match &self.0 {
            Kind::All(parts) => return all(parts, user),
            Kind::AnyOf(alternatives) => return any(alternatives, user),
            Kind::Instance(name) => user.instance() == name.as_ref(),
            Kind::Predicate(predicate) => predicate(user),
            _ if !user.is_session() => false,
            Kind::Feature(feature) => is_entitled(user.claims().features(), feature),
            Kind::Permission(permission) => has_permission(user, permission),
            Kind::Plan(plan) => is_entitled(user.claims().plans(), plan),
            Kind::Reverification(reverification) if !reverification.can_be_met() => false,
            Kind::Reverification(reverification) if !reverification.is_met_by(user) => {
                return Verdict::Reverify(*reverification);
            }
            Kind::Reverification(_) => true,
            Kind::Role(role) => has_role(user, role),
        };
        if holds { Verdict::Holds } else { Verdict::Fails }
    }
}

/// # Authorization
impl ClerkAuth {
    /// Returns `true` if the user meets `requirement`.
    ///
    /// It makes no rejection and no event: use it to choose what to show, and [`require`](Self::require) to protect.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tower_clerk::{ClerkAuth, Requirement};
    ///
    /// let user = ClerkAuth::builder().organization("org_acme", "admin").build();
    /// assert!(user.has(&Requirement::role("org:admin")));
    /// assert!(!user.has(&Requirement::role("org:member")));
    /// # }
    /// ```
    #[must_use]
    pub fn has(&self, requirement: &Requirement) -> bool {
        requirement.verdict(self) == Verdict::Holds
    }

    /// Rejects a user who does not meet `requirement`.
    ///
    /// Handlers can use `?`: the error is a response in axum (feature `axum`) and converts to a `Status` in tonic
    /// (feature `tonic`). The response is the default one, because a
    /// [`RejectionResponse`](crate::rejection::RejectionResponse) needs the request, which this method does not have.
    ///
    /// # Errors
    ///
    /// - [`InsufficientScope`](crate::rejection::RejectionKind::InsufficientScope) if the user does not meet it.
    /// - [`Reverification`](crate::rejection::RejectionKind::Reverification) if the user would meet it after verifying
    ///   their factors again.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tower_clerk::{ClerkAuth, Rejection, Requirement};
    ///
    /// fn delete(user: &ClerkAuth, organization: &str) -> Result<(), Rejection> {
    ///     let id = organization.to_owned();
    ///     let is_own = move |user: &ClerkAuth| user.organization().is_some_and(|organization| organization.id() == id);
    ///     user.require(&Requirement::role("org:admin").and(Requirement::predicate(is_own)))
    /// }
    ///
    /// let user = ClerkAuth::builder().organization("org_acme", "admin").build();
    /// assert!(delete(&user, "org_acme").is_ok());
    /// assert_eq!(delete(&user, "org_other").unwrap_err().code(), "insufficient_scope");
    /// # }
    /// ```
    pub fn require(&self, requirement: &Requirement) -> Result<(), Rejection> {
        let form = |format| (format == RejectionFormat::Grpc).then_some(GrpcForm::Grpc);
        self.check(requirement, form)
    }

    pub(super) fn check(
        &self,
        requirement: &Requirement,
        form: impl FnOnce(RejectionFormat) -> Option<GrpcForm>,
    ) -> Result<(), Rejection> {
        let reverification = match requirement.verdict(self) {
            Verdict::Holds => return Ok(()),
            Verdict::Fails => None,
            Verdict::Reverify(reverification) => Some(reverification),
        };
        let responder = self.responder();
        let rejection = Rejection::forbidden(reverification, form(responder.format), responder.response.clone());
        telemetry::rejected(rejection.code(), false, None);
        Err(rejection)
    }
}

/// The first failure decides, wherever it stands: asking for a reverification is pointless if the user lacks something
/// else as well.
fn all(parts: &[Requirement], user: &ClerkAuth) -> Verdict {
    let mut verdict = if parts.is_empty() { Verdict::Fails } else { Verdict::Holds };
    for part in parts {
        match part.verdict(user) {
            Verdict::Fails => return Verdict::Fails,
            reverify @ Verdict::Reverify(_) if verdict == Verdict::Holds => verdict = reverify,
            Verdict::Holds | Verdict::Reverify(_) => {}
        }
    }
    verdict
}

/// A reverification is asked for only if no alternative is met without one.
fn any(alternatives: &[Requirement], user: &ClerkAuth) -> Verdict {
    let mut verdict = Verdict::Fails;
    for alternative in alternatives {
        match alternative.verdict(user) {
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
        }
    }
}
