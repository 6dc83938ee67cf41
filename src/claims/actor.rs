use std::{borrow::Cow, fmt};

use super::{
    text::{Text, TextKeeper, Texts},
    wire::WireActor,
};

/// Who really acts when a session is an impersonation (the `act` claim, RFC 8693, section 4.1).
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Actor<'a> {
    issuer: Option<&'a str>,
    kind: Option<&'a str>,
    session_id: Option<&'a str>,
    user_id: &'a str,
}

impl<'a> Actor<'a> {
    /// The issuer of the actor's own session.
    #[must_use]
    pub fn issuer(&self) -> Option<&'a str> {
        self.issuer
    }

    /// What kind of actor it is (`type`), such as `agent`.
    #[must_use]
    pub fn kind(&self) -> Option<&'a str> {
        self.kind
    }

    /// The id of the actor's own session (`sid`).
    #[must_use]
    pub fn session_id(&self) -> Option<&'a str> {
        self.session_id
    }

    /// The actor's user id (`sub`).
    #[must_use]
    pub fn user_id(&self) -> &'a str {
        self.user_id
    }
}

impl fmt::Debug for Actor<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Actor").finish_non_exhaustive()
    }
}

/// An actor that no longer borrows the payload.
#[derive(Clone, Copy)]
pub(super) struct ActorTexts {
    iss: Option<Text>,
    kind: Option<Text>,
    sid: Option<Text>,
    sub: Text,
}

impl ActorTexts {
    pub(super) fn new(actor: WireActor<'_>, keeper: &mut TextKeeper<'_>) -> Self {
        let mut keep = |text: Cow<'_, str>| keeper.keep(&text);
        Self {
            iss: actor.iss.map(&mut keep),
            kind: actor.kind.map(&mut keep),
            sid: actor.sid.map(&mut keep),
            sub: keep(actor.sub),
        }
    }

    pub(super) fn within(self, texts: Texts<'_>) -> Actor<'_> {
        let optional = |text: Option<Text>| text.map(|text| text.within(texts));
        Actor {
            issuer: optional(self.iss),
            kind: optional(self.kind),
            session_id: optional(self.sid),
            user_id: self.sub.within(texts),
        }
    }
}
