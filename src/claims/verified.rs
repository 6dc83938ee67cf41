use std::time::SystemTime;

use super::{Claims, MachineClaims};
use crate::token_kind::TokenKind;

/// What a verified token of any kind says.
#[derive(Clone)]
pub(crate) enum VerifiedToken {
    Machine(MachineClaims),
    Session(Claims),
}

impl VerifiedToken {
    pub(crate) fn kind(&self) -> TokenKind {
        match self {
            Self::Machine(claims) => claims.kind(),
            Self::Session(_) => TokenKind::Session,
        }
    }

    /// The claims of a session token; `None` for another kind.
    pub(crate) fn into_session(self) -> Option<Claims> {
        match self {
            Self::Machine(_) => None,
            Self::Session(claims) => Some(claims),
        }
    }

    /// The issuer of a JWT.
    pub(crate) fn issuer(&self) -> &str {
        match self {
            Self::Machine(claims) => claims.issuer().unwrap_or_default(),
            Self::Session(claims) => claims.issuer(),
        }
    }

    /// Whether the token is valid at `now` without any clock skew.
    pub(crate) fn is_valid_at(&self, now: SystemTime) -> bool {
        match self {
            Self::Machine(claims) => claims.is_valid_at(now),
            Self::Session(claims) => claims.is_valid_at(now),
        }
    }

    /// Whether it has expired at `now`, without any clock skew.
    pub(crate) fn has_expired_at(&self, now: SystemTime) -> bool {
        match self {
            Self::Machine(claims) => claims.has_expired_at(now),
            Self::Session(claims) => claims.has_expired_at(now),
        }
    }

    /// In bytes.
    pub(crate) fn heap_size(&self) -> usize {
        match self {
            Self::Machine(claims) => claims.heap_size(),
            Self::Session(claims) => claims.heap_size(),
        }
    }

    /// The same claims for one thread; see [`Claims::alias`]. Those of machines share their reference count.
    pub(crate) fn alias(&self, old: Option<Self>) -> Self {
        match self {
            Self::Machine(claims) => Self::Machine(claims.clone()),
            Self::Session(claims) => Self::Session(claims.alias(old.and_then(Self::into_session))),
        }
    }
}
