//! Who may use a route.

use std::fmt;

use super::{PolicyAction, Route};

/// Who may use a route, by its policies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// A layer that was registered in code decides.
    Custom,
    /// Requests with a valid token.
    Guarded,
    /// Everybody: nothing authenticates.
    Open,
    /// Everybody, but tokens are verified.
    Optional,
}

impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Custom => "custom",
            Self::Guarded => "guarded",
            Self::Open => "open",
            Self::Optional => "optional",
        })
    }
}

impl Route {
    /// Who may use it. The strictest policy decides. A layer of the user's own may let everything pass, so it guards
    /// nothing by itself.
    pub fn access(&self) -> Access {
        let of_policies = || self.policies.iter().map(|policy| policy.action.access());
        // From the strictest to the most lenient.
        let order = [Access::Guarded, Access::Optional, Access::Custom];
        order.into_iter().find(|access| of_policies().any(|one| one == *access)).unwrap_or(Access::Open)
    }
}

impl PolicyAction {
    /// Whether it may reject a request. Nobody knows what a layer of the user's own does, so it may.
    #[must_use]
    pub fn may_reject(&self) -> bool {
        matches!(self.access(), Access::Custom | Access::Guarded)
    }

    /// Who may use a route that has only this policy.
    fn access(&self) -> Access {
        match self {
            Self::Authenticate(policy) if policy.options().allow_unauthenticated_requests() => Access::Optional,
            Self::Authenticate(_) => Access::Guarded,
            Self::Custom => Access::Custom,
            Self::EditHeaders(_) => Access::Open,
        }
    }
}
