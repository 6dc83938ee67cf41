use std::fmt;

use super::{
    raw::RawActor,
    span::{Span, SpanBuilder},
};

/// The actor who impersonates the user of a session (the `act` claim; RFC 8693, section 4.1).
///
/// Clerk sets it in sessions that an administrator or an agent starts on behalf of a user. Such a token is valid and
/// has the user's id; a handler that needs the user in person must check that there is no actor.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::ClerkAuth;
///
/// let act = serde_json::json!({ "sub": "user_support" });
/// let user = ClerkAuth::builder().user_id("user_ada").claim("act", act).build();
/// assert_eq!(user.actor().map(|actor| actor.user_id()), Some("user_support"));
/// # }
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Actor<'a> {
    user_id: &'a str,
    session_id: Option<&'a str>,
    issuer: Option<&'a str>,
    kind: Option<&'a str>,
}

impl<'a> Actor<'a> {
    /// Returns the actor's user id (`act.sub`).
    #[must_use]
    pub fn user_id(&self) -> &'a str {
        self.user_id
    }

    /// Returns the id of the actor's own session (`act.sid`).
    #[must_use]
    pub fn session_id(&self) -> Option<&'a str> {
        self.session_id
    }

    /// Returns the issuer of the actor's own session (`act.iss`).
    #[must_use]
    pub fn issuer(&self) -> Option<&'a str> {
        self.issuer
    }

    /// Returns the kind of actor (`act.type`), such as `agent`.
    #[must_use]
    pub fn kind(&self) -> Option<&'a str> {
        self.kind
    }
}

impl fmt::Debug for Actor<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Actor").finish_non_exhaustive()
    }
}

/// An [`Actor`] as spans of the claims' text, so that the claims can own it.
#[derive(Clone, Copy)]
pub(super) struct ActorSpans {
    sub: Span,
    sid: Option<Span>,
    iss: Option<Span>,
    kind: Option<Span>,
}

impl ActorSpans {
    pub(super) fn new<'p>(actor: &RawActor<'p>, builder: &mut SpanBuilder<'p>) -> Self {
        Self {
            sub: builder.span(&actor.sub),
            sid: builder.optional_span(actor.sid.as_ref()),
            iss: builder.optional_span(actor.iss.as_ref()),
            kind: builder.optional_span(actor.kind.as_ref()),
        }
    }

    pub(super) fn resolve(self, text: &str) -> Actor<'_> {
        let optional = |span: Option<Span>| span.map(|span| span.resolve(text));
        Actor {
            user_id: self.sub.resolve(text),
            session_id: optional(self.sid),
            issuer: optional(self.iss),
            kind: optional(self.kind),
        }
    }
}
