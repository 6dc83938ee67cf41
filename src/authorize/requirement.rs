use std::{fmt, sync::Arc};

use crate::{
    authenticate::ClerkAuth,
    claims::{Claims, Entitlement, Reverification, Scope},
};

/// What a user must be, have or have done: Clerk's `has()` as a value.
///
/// Roles, permissions, features, plans and reverification are decided as by Clerk's own SDKs
/// ([authorization checks](https://clerk.com/docs/guides/secure/authorization-checks)), and are met by sessions
/// alone. What cannot be decided is not met, and neither is a requirement that asks for nothing.
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
    Feature(String),
    Instance(String),
    Permission(String),
    Plan(String),
    Predicate(Arc<Predicate>),
    Reverification(Reverification),
    Role(String),
    Scope(String),
}

type Predicate = dyn Fn(&ClerkAuth) -> bool + Send + Sync;

/// Whether a user meets a requirement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Fails,
    Holds,
    /// The user would meet it after verifying their factors again.
    Reverify(Reverification),
}

impl Requirement {
    /// This role in the active organization, with or without `org:` before it.
    pub fn role(role: impl Into<String>) -> Self {
        Self(Kind::Role(role.into()))
    }

    /// This permission in the active organization, `org:<feature>:<permission>`, with or without `org:`.
    ///
    /// Custom permissions alone: system permissions (`org:sys_…`) are not in session tokens.
    pub fn permission(permission: impl Into<String>) -> Self {
        Self(Kind::Permission(permission.into()))
    }

    /// This feature, of the user (`user:<feature>`), of the active organization (`org:<feature>`) or of either
    /// (`<feature>`).
    pub fn feature(feature: impl Into<String>) -> Self {
        Self(Kind::Feature(feature.into()))
    }

    /// This plan, of the user (`user:<plan>`), of the active organization (`org:<plan>`) or of either (`<plan>`).
    pub fn plan(plan: impl Into<String>) -> Self {
        Self(Kind::Plan(plan.into()))
    }

    /// Factors verified as recently as this.
    pub fn reverification(reverification: Reverification) -> Self {
        Self(Kind::Reverification(reverification))
    }

    /// This scope of an OAuth access token (RFC 6749, section 3.3).
    ///
    /// Session tokens have none, so no token that this crate accepts so far meets it.
    pub fn scope(scope: impl Into<String>) -> Self {
        Self(Kind::Scope(scope.into()))
    }

    /// A user of the [instance](ClerkAuth::instance) called so.
    pub fn instance(name: impl Into<String>) -> Self {
        Self(Kind::Instance(name.into()))
    }

    /// Whatever `predicate` says.
    pub fn predicate(predicate: impl Fn(&ClerkAuth) -> bool + Send + Sync + 'static) -> Self {
        Self(Kind::Predicate(Arc::new(predicate)))
    }

    /// At least one of these; of none, none.
    pub fn any_of(alternatives: impl IntoIterator<Item = Self>) -> Self {
        Self(Kind::AnyOf(alternatives.into_iter().collect()))
    }

    /// This and `other`.
    pub fn and(self, other: Self) -> Self {
        match self.0 {
            Kind::All(mut parts) => {
                parts.push(other);
                Self(Kind::All(parts))
            }
            _ => Self(Kind::All(vec![self, other])),
        }
    }

    pub(super) fn verdict(&self, user: &ClerkAuth) -> Verdict {
        let holds = match &self.0 {
            Kind::All(parts) => return all(parts, user),
            Kind::AnyOf(alternatives) => return any(alternatives, user),
            Kind::Instance(name) => user.instance() == name,
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
            Kind::Scope(_) => false,
        };
        if holds { Verdict::Holds } else { Verdict::Fails }
    }
}

/// Verifying factors again helps only where nothing else is missing.
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
    let (asked, held) = (bare(role), user.organization().and_then(|organization| organization.role()));
    !asked.is_empty() && held.is_some_and(|held| bare(held) == asked)
}

/// What is asked for has its prefix once, what is held is taken as it stands.
fn has_permission(user: &Claims, permission: &str) -> bool {
    let asked = bare(permission);
    let is_asked = |held: &String| held.strip_prefix("org:").is_some_and(|held| held == asked);
    !asked.is_empty() && user.organization().is_some_and(|organization| organization.permissions().iter().any(is_asked))
}

/// Without any `org:` before it, of which Clerk's SDKs take any number for one.
fn bare(mut text: &str) -> &str {
    while let Some(rest) = text.strip_prefix("org:") {
        text = rest;
    }
    text
}

/// Whether what is asked for, `[scope:]name`, is among the entitlements. A third part does not count, and an
/// empty name stands for the scope's own text.
fn is_entitled<'a>(mut entitlements: impl Iterator<Item = Entitlement<'a>>, asked: &str) -> bool {
    let (scope, name) = match asked.split_once(':') {
        Some((scope, rest)) => (Some(scope), rest.split(':').next().filter(|name| !name.is_empty()).unwrap_or(scope)),
        None => (None, asked),
    };
    let fits = |held: Scope| match scope {
        None => true,
        Some("o" | "org" | "organization") => held != Scope::User,
        Some("u" | "user") => held != Scope::Organization,
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
