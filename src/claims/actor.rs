use std::{borrow::Cow, fmt};

use super::{
    raw::RawActor,
    span::{Span, SpanBuilder},
};
use crate::json::{Object, Value};

/// The actor who acts for the user of a token (the `act` claim; RFC 8693, section 4.1).
///
/// Clerk sets it in sessions that an administrator or an agent starts on behalf of a user, and in OAuth tokens of
/// agents. Such a token is valid and has the user's id; a handler that needs the user in person must check that there
/// is no actor. In an OAuth token it has an id, an issuer, and perhaps the actor before it.
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
    /// The subject and the issuer of `act.act`.
    actor: Option<(&'a str, Option<&'a str>)>,
}

impl<'a> Actor<'a> {
    /// Returns the actor's id (`act.sub`): of a user, or in an OAuth token of an agent.
    #[must_use]
    pub fn subject(&self) -> &'a str {
        self.user_id
    }

    /// Returns the same as [`subject`](Self::subject). In a session the actor is a user; in an OAuth token it may be an
    /// agent, which this name does not say.
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

    /// Returns the actor who acted before this one (`act.act`), in OAuth tokens. Deeper ones are not read.
    ///
    /// It is a record of how the token came about: only the outermost actor acts now (RFC 8693, section 4.1).
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tower_clerk::{Principal, TokenKind, Verifier, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new();
    /// let verifier = Verifier::new(issuer.config().accept([TokenKind::OAuth])?)?;
    /// let act = serde_json::json!({ "sub": "agent_mail", "act": { "sub": "agent_desk" } });
    /// let token = verifier.try_verify_principal(&issuer.oauth_token("user_ada").claim("act", act).sign())?;
    /// let Principal::OAuth(token) = token else { unreachable!() };
    /// let actor = token.actor().expect("an actor");
    /// assert_eq!(actor.subject(), "agent_mail");
    /// assert_eq!(actor.actor().map(|before| before.subject()), Some("agent_desk"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn actor(&self) -> Option<Self> {
        let (user_id, issuer) = self.actor?;
        Some(Self { user_id, session_id: None, issuer, kind: None, actor: None })
    }
}

impl fmt::Debug for Actor<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Actor").finish_non_exhaustive()
    }
}

/// An actor (RFC 8693, section 4.1), and the one on whose behalf it acts in turn.
pub(crate) struct ActorValues<'p> {
    pub(crate) subject: Cow<'p, str>,
    pub(crate) issuer: Option<Cow<'p, str>>,
    pub(crate) actor: Option<(Cow<'p, str>, Option<Cow<'p, str>>)>,
}

impl<'p> ActorValues<'p> {
    /// Reads the members of `act`; `None` if the actor, or the one before it, has no subject. A deeper one is not read,
    /// and `null` in place of one says that there is none.
    pub(crate) fn read(act: &Object<'p>) -> Option<Self> {
        let party = |members: &Object<'p>| {
            let subject = members.string("sub").filter(|subject| !subject.is_empty())?;
            Some((subject, members.string("iss")))
        };
        let (subject, issuer) = party(act)?;
        let actor = match act.get("act") {
            None | Some(Value::Null) => None,
            Some(Value::Object(text)) => Some(party(&Object::parse(text).ok()?)?),
            Some(_) => return None,
        };
        Some(Self { subject, issuer, actor })
    }
}

/// An [`Actor`] as spans of the claims' text, so that the claims can own it.
#[derive(Clone, Copy)]
pub(super) struct ActorSpans {
    sub: Span,
    sid: Option<Span>,
    iss: Option<Span>,
    kind: Option<Span>,
    actor: Option<(Span, Option<Span>)>,
}

impl ActorSpans {
    pub(super) fn new<'p>(actor: &RawActor<'p>, builder: &mut SpanBuilder<'p>) -> Self {
        Self {
            sub: builder.span(&actor.sub),
            sid: builder.optional_span(actor.sid.as_ref()),
            iss: builder.optional_span(actor.iss.as_ref()),
            kind: builder.optional_span(actor.kind.as_ref()),
            actor: None,
        }
    }

    pub(super) fn of_values(actor: &ActorValues<'_>, builder: &mut SpanBuilder<'_>) -> Self {
        Self {
            sub: builder.text(&actor.subject),
            sid: None,
            iss: actor.issuer.as_ref().map(|issuer| builder.text(issuer)),
            kind: None,
            actor: actor
                .actor
                .as_ref()
                .map(|(subject, issuer)| (builder.text(subject), issuer.as_ref().map(|issuer| builder.text(issuer)))),
        }
    }

    pub(super) fn resolve(self, text: &str) -> Actor<'_> {
        let optional = |span: Option<Span>| span.map(|span| span.resolve(text));
        Actor {
            user_id: self.sub.resolve(text),
            session_id: optional(self.sid),
            issuer: optional(self.iss),
            kind: optional(self.kind),
            actor: self.actor.map(|(subject, issuer)| (subject.resolve(text), optional(issuer))),
        }
    }
}
