//! The claims of OAuth access tokens, M2M tokens and API keys.
//!
//! They are read from a JWT or from an answer of the Backend API, which say the same things under other names. One type
//! holds the claims of all three kinds; the public type of each kind shows those that the kind has.

use std::{borrow::Cow, fmt, sync::Arc, time::SystemTime};

use super::{
    actor::{Actor, ActorSpans, ActorValues},
    lists::is_scope,
    span::{Span, SpanBuilder},
};
use crate::{
    config::InstanceInfo,
    token_kind::{MACHINE_ID_PREFIX, TokenKind},
};

/// The claims of a valid token that is no session token. Cloning them copies a pointer.
#[derive(Clone)]
pub(crate) struct MachineClaims {
    inner: Arc<Inner>,
}

/// The values of [`MachineClaims`], read and checked. What a kind does not have is absent.
pub(crate) struct MachineValues<'p> {
    pub(crate) kind: TokenKind,
    pub(crate) subject_kind: SubjectKind,
    pub(crate) issuer: Option<Cow<'p, str>>,
    pub(crate) id: Option<Cow<'p, str>>,
    pub(crate) subject: Cow<'p, str>,
    pub(crate) client_id: Option<Cow<'p, str>>,
    pub(crate) organization_id: Option<Cow<'p, str>>,
    pub(crate) name: Option<Cow<'p, str>>,
    pub(crate) scopes: Vec<Cow<'p, str>>,
    pub(crate) audience: Vec<Cow<'p, str>>,
    pub(crate) actor: Option<ActorValues<'p>>,
    /// The custom claims, a JSON object.
    pub(crate) custom: Option<Cow<'p, str>>,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) not_before: Option<SystemTime>,
    pub(crate) issued_at: Option<SystemTime>,
}

/// Whose a token is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SubjectKind {
    Machine,
    Organization,
    User,
}

impl SubjectKind {
    /// By the prefix of the subject's id; `None` if it is an id of none of these kinds.
    pub(crate) fn of(subject: &str) -> Option<Self> {
        let kinds = [(MACHINE_ID_PREFIX, Self::Machine), ("org_", Self::Organization), ("user_", Self::User)];
        let is_id = |prefix| subject.strip_prefix(prefix).is_some_and(|id: &str| !id.is_empty());
        kinds.into_iter().find_map(|(prefix, kind)| is_id(prefix).then_some(kind))
    }
}

struct Inner {
    kind: TokenKind,
    subject_kind: SubjectKind,
    instance: Arc<InstanceInfo>,
    /// All texts; the spans lead into it.
    text: String,
    issuer: Option<Span>,
    id: Option<Span>,
    subject: Span,
    client_id: Option<Span>,
    organization_id: Option<Span>,
    name: Option<Span>,
    scopes: Box<[Span]>,
    audience: Box<[Span]>,
    actor: Option<ActorSpans>,
    custom: Option<Span>,
    expires_at: Option<SystemTime>,
    not_before: Option<SystemTime>,
    issued_at: Option<SystemTime>,
}

impl MachineClaims {
    /// Asserts that the values were verified and have passed every check of their kind. Only `verify/machine_checks.rs`
    /// and `backend_api/answer.rs` may call it.
    pub(crate) fn assertion(values: &MachineValues<'_>, instance: &Arc<InstanceInfo>) -> Self {
        let mut builder = SpanBuilder::new("", USUAL_TEXT);
        let list = |texts: &[Cow<'_, str>], builder: &mut SpanBuilder<'_>| {
            texts.iter().map(|text| builder.text(text)).collect::<Box<[Span]>>()
        };
        let optional =
            |text: &Option<Cow<'_, str>>, builder: &mut SpanBuilder<'_>| text.as_ref().map(|text| builder.text(text));
        let inner = Inner {
            kind: values.kind,
            subject_kind: values.subject_kind,
            instance: Arc::clone(instance),
            issuer: optional(&values.issuer, &mut builder),
            id: optional(&values.id, &mut builder),
            subject: builder.text(&values.subject),
            client_id: optional(&values.client_id, &mut builder),
            organization_id: optional(&values.organization_id, &mut builder),
            name: optional(&values.name, &mut builder),
            scopes: list(&values.scopes, &mut builder),
            audience: list(&values.audience, &mut builder),
            actor: values.actor.as_ref().map(|actor| ActorSpans::of_values(actor, &mut builder)),
            custom: optional(&values.custom, &mut builder),
            expires_at: values.expires_at,
            not_before: values.not_before,
            issued_at: values.issued_at,
            // Last: the builder appends to the text until then.
            text: builder.finish(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn kind(&self) -> TokenKind {
        self.inner.kind
    }

    /// The name of the instance.
    pub(crate) fn instance(&self) -> &str {
        &self.inner.instance.name
    }

    /// The issuer of a JWT. The Backend API names none.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.optional(self.inner.issuer)
    }

    pub(crate) fn id(&self) -> Option<&str> {
        self.optional(self.inner.id)
    }

    pub(crate) fn subject(&self) -> &str {
        self.text(self.inner.subject)
    }

    /// The subject, if it is a user.
    pub(crate) fn user_id(&self) -> Option<&str> {
        (self.subject_kind() == SubjectKind::User).then_some(self.subject())
    }

    pub(crate) fn subject_kind(&self) -> SubjectKind {
        self.inner.subject_kind
    }

    pub(crate) fn client_id(&self) -> Option<&str> {
        self.optional(self.inner.client_id)
    }

    pub(crate) fn organization_id(&self) -> Option<&str> {
        self.optional(self.inner.organization_id)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.optional(self.inner.name)
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.inner.scopes.iter().map(|span| self.text(*span))
    }

    /// Whether an OAuth token or an API key has the scope. Those of an M2M token are the ids of machines.
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.kind() != TokenKind::M2m && is_scope(scope) && self.scopes().any(|held| held == scope)
    }

    pub(crate) fn audience(&self) -> impl Iterator<Item = &str> {
        self.inner.audience.iter().map(|span| self.text(*span))
    }

    pub(crate) fn actor(&self) -> Option<Actor<'_>> {
        self.inner.actor.map(|actor| actor.resolve(&self.inner.text))
    }

    /// The custom claims, a JSON object.
    pub(crate) fn custom_json(&self) -> Option<&str> {
        self.optional(self.inner.custom)
    }

    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.inner.expires_at
    }

    /// Whether the token is valid at `now` without any clock skew.
    pub(crate) fn is_valid_at(&self, now: SystemTime) -> bool {
        let has_passed = |time: Option<SystemTime>| time.is_none_or(|time| time <= now);
        !self.has_expired_at(now) && has_passed(self.inner.not_before) && has_passed(self.inner.issued_at)
    }

    /// Whether it has expired at `now`, without any clock skew.
    pub(crate) fn has_expired_at(&self, now: SystemTime) -> bool {
        self.inner.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// In bytes.
    pub(crate) fn heap_size(&self) -> usize {
        let spans = self.inner.scopes.len().saturating_add(self.inner.audience.len());
        size_of::<Inner>()
            .saturating_add(self.inner.text.capacity())
            .saturating_add(spans.saturating_mul(size_of::<Span>()))
    }

    fn text(&self, span: Span) -> &str {
        span.resolve(&self.inner.text)
    }

    fn optional(&self, span: Option<Span>) -> Option<&str> {
        span.map(|span| self.text(span))
    }
}

impl fmt::Debug for MachineClaims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MachineClaims")
            .field("kind", &self.kind())
            .field("instance", &self.instance())
            .finish_non_exhaustive()
    }
}

/// In bytes: two ids, an issuer and a few scopes.
const USUAL_TEXT: usize = 256;
