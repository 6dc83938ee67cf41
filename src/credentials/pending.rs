//! The credential of a request that waits for keys or for the resolver.

use std::{
    collections::HashMap,
    future::Future,
    hash::BuildHasher,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::credential::CredentialOrigin;
use crate::{
    token_kind::TokenKinds,
    verify::{PendingVerification, Progress, Verification, Verifier, VerifyError},
};

/// A wait for one of the tokens of a request. After it, [`TokenSources::verify`](super::TokenSources::verify) reads the
/// tokens from the request again.
pub(crate) struct PendingCredential {
    wait: PendingVerification,
    /// The [key](Waited::key) of the token that waits.
    key: u64,
    pub(crate) origin: CredentialOrigin,
    /// `None` once it was taken.
    waited: Option<Box<Waited>>,
}

/// What is kept of the tokens of a request while it waits. The tokens themselves stay in its headers.
///
/// They are told apart by a hash of their text, and not by their position: after the wait, one more cookie may count as
/// absent, because the resolver says something else about its issuer.
#[derive(Default)]
pub(super) struct Waited {
    /// The index of the source whose token waits. Those before it have none.
    pub(super) source: usize,
    /// Whether the request has waited for the resolver.
    has_looked_up: bool,
    /// By their [keys](Self::key): a few, since a source has few candidates.
    tokens: HashMap<u64, Token>,
}

/// How far one token came.
#[derive(Default)]
struct Token {
    /// `None` if it was not tried yet, or waits.
    progress: Option<Progress>,
    /// Why its wait failed. That is final: it does not wait again.
    failure: Option<VerifyError>,
}

impl PendingCredential {
    pub(super) fn new(
        wait: PendingVerification,
        text: &[u8],
        source: usize,
        origin: CredentialOrigin,
        waited: Option<Waited>,
    ) -> Self {
        let waited = waited.unwrap_or_default();
        let has_looked_up = waited.has_looked_up || wait.is_lookup;
        let key = waited.key(text);
        Self { wait, key, origin, waited: Some(Box::new(Waited { source, has_looked_up, ..waited })) }
    }

    /// The same request if it cannot wait, and its token is valid with keys that are late: it takes these.
    pub(crate) fn without_late_wait(mut self) -> Option<Self> {
        let waited = self.waited.as_mut().filter(|_| self.wait.is_late)?;
        waited.token(self.key).progress = Some(Progress::late());
        Some(self)
    }

    /// Waits.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = ready!(Pin::new(&mut self.wait).poll(context));
        if let Some(waited) = self.waited.as_mut() {
            let token = waited.token(self.key);
            match end {
                Ok(progress) => token.progress = Some(progress),
                Err(error) => token.failure = Some(error),
            }
        }
        Poll::Ready(())
    }

    pub(super) fn take_waited(&mut self) -> Option<Waited> {
        self.waited.take().map(|waited| *waited)
    }
}

impl Waited {
    fn key(&self, text: &[u8]) -> u64 {
        self.tokens.hasher().hash_one(text)
    }

    /// The token with this key.
    fn token(&mut self, key: u64) -> &mut Token {
        self.tokens.entry(key).or_default()
    }

    /// What a token may take over from another one of the same issuer.
    pub(super) fn progress_of(&self, text: &[u8]) -> Option<Progress> {
        Some(self.tokens.get(&self.key(text))?.progress.as_ref()?.for_another_token())
    }

    /// Verifies the token of a source that has at most one. The rule of [`progress`](Self::progress) about the resolver
    /// holds for it too, after a cookie that waited.
    pub(super) fn resume(&mut self, verifier: &Verifier, text: &[u8], kinds: TokenKinds) -> Verification {
        let needs_lookup = || verifier.claimed(text).is_some_and(|claimed| verifier.needs_lookup(&claimed.issuer));
        match self.progress(verifier, text, None, needs_lookup) {
            Ok(progress) => verifier.resume(text, kinds, progress),
            Err(error) => Verification::Ready(Err(error)),
        }
    }

    /// Verifies the token of a cookie that is not cached. It goes on from where it stopped, or else from `sibling`.
    pub(super) fn attempt(
        &mut self,
        sibling: Option<Progress>,
        verifier: &Verifier,
        text: &[u8],
        kinds: TokenKinds,
        issuer: &str,
    ) -> Verification {
        match self.progress(verifier, text, sibling, || verifier.needs_lookup(issuer)) {
            Ok(progress) => verifier.attempt(text, kinds, progress),
            Err(error) => Verification::Ready(Err(error)),
        }
    }

    /// How far a token came, or else `sibling`; an error if it cannot go on.
    ///
    /// A request waits for the resolver once. The client may have made up all issuers, and the limits on calls of the
    /// resolver are shared with others.
    fn progress(
        &mut self,
        verifier: &Verifier,
        text: &[u8],
        sibling: Option<Progress>,
        needs_lookup: impl FnOnce() -> bool,
    ) -> Result<&mut Progress, VerifyError> {
        let (has_looked_up, key) = (self.has_looked_up, self.key(text));
        let token = self.token(key);
        if let Some(error) = &token.failure {
            return Err(error.clone());
        }
        let progress = token.progress.get_or_insert_with(|| sibling.unwrap_or_default());
        if has_looked_up && !progress.has_instance() && needs_lookup() {
            return Err(verifier.no_lookup());
        }
        Ok(progress)
    }
}
