use std::{fmt, time::SystemTime};

use serde::de::DeserializeOwned;

use super::machine::{Machine, custom_claims, machine_token};
use crate::claims::{CustomClaimsError, SubjectKind};

/// A valid API key, which a user, an organization or a machine has made for its own programs.
///
/// As [`OAuthToken`](super::OAuthToken), for [`TokenKind::ApiKey`](crate::TokenKind::ApiKey). The Backend API is asked
/// about each key, and its good answer is used for [`opaque_token_ttl`](crate::ClerkConfig::opaque_token_ttl).
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::{ApiKey, Rejection, Requirement, Subject};
///
/// /// Exports what belongs to the owner of the key.
/// fn export(key: &ApiKey) -> Result<String, Rejection> {
///     key.require(&Requirement::scope("things:read"))?;
///     Ok(match key.subject() {
///         Subject::Organization(id) => format!("things of the organization {id}"),
///         Subject::User(id) => format!("things of the user {id}"),
///         _ => "nothing".to_owned(),
///     })
/// }
///
/// let key = ApiKey::builder().organization_id("org_acme").scopes(["things:read"]).build();
/// assert_eq!(export(&key).ok().as_deref(), Some("things of the organization org_acme"));
///
/// let key = ApiKey::builder().user_id("user_ada").build();
/// assert_eq!(export(&key).unwrap_err().status(), 403);
/// # }
/// ```
#[derive(Clone)]
pub struct ApiKey(pub(super) Machine);

/// Whose an [`ApiKey`] is, with the id.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum Subject<'a> {
    /// A user (`user_…`).
    User(&'a str),
    /// An organization (`org_…`).
    Organization(&'a str),
    /// A machine (`mch_…`).
    Machine(&'a str),
}

impl ApiKey {
    /// Returns whose key it is.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        let id = self.0.claims.subject();
        match self.0.claims.subject_kind() {
            SubjectKind::Machine => Subject::Machine(id),
            SubjectKind::Organization => Subject::Organization(id),
            SubjectKind::User => Subject::User(id),
        }
    }

    /// Returns the id of the user whose key it is; `None` if it is not a user's.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        match self.subject() {
            Subject::User(id) => Some(id),
            Subject::Organization(_) | Subject::Machine(_) => None,
        }
    }

    /// Returns the id of the organization whose key it is; `None` if it is not an organization's.
    #[must_use]
    pub fn organization_id(&self) -> Option<&str> {
        match self.subject() {
            Subject::Organization(id) => Some(id),
            Subject::User(_) | Subject::Machine(_) => None,
        }
    }

    /// Returns the id of the machine whose key it is; `None` if it is not a machine's.
    #[must_use]
    pub fn machine_id(&self) -> Option<&str> {
        match self.subject() {
            Subject::Machine(id) => Some(id),
            Subject::User(_) | Subject::Organization(_) => None,
        }
    }

    /// Returns the scopes of the key.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.claims.scopes()
    }

    /// Returns `true` if the key has this scope. It is compared byte by byte; a text that is no scope is
    /// none (RFC 6749, section 3.3).
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.0.claims.has_scope(scope)
    }

    /// Returns the name that its owner gave it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.claims.name()
    }

    /// Returns the id of the key. It starts like a key, but is no secret.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.claims.id().unwrap_or_default()
    }
}

machine_token!(ApiKey);
custom_claims! {
    /// Deserializes the custom claims of the key.
    ApiKey
}

/// Shows no id: ids are personal data and stay out of logs.
impl fmt::Debug for Subject<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::User(_) => "User(..)",
            Self::Organization(_) => "Organization(..)",
            Self::Machine(_) => "Machine(..)",
        })
    }
}
