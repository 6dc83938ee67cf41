//! The credential of a request that waits for keys or for the resolver.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::credential::{CredentialOrigin, MAX_CANDIDATES};
use crate::verify::{PendingVerification, Progress, Verification, Verifier, VerifyError};

/// A wait for one of the tokens of a request. After it, [`TokenSources::verify`](super::TokenSources::verify) reads the
/// tokens from the request again.
pub(crate) struct PendingCredential {
    wait: PendingVerification,
    index: usize,
    pub(crate) origin: CredentialOrigin,
    /// `None` once it was taken.
    waited: Option<Box<Waited>>,
}

/// What is kept of the tokens of a request while it waits. The tokens themselves stay in its headers.
#[derive(Default)]
pub(super) struct Waited {
    /// The index of the source whose token waits. Those before it have none.
    pub(super) source: usize,
    /// Whether the request has waited for the resolver.
    has_looked_up: bool,
    tokens: [Token; MAX_CANDIDATES],
}

/// How far one token of the source came.
#[derive(Default)]
struct Token {
    /// `None` if it was not tried yet.
    progress: Option<Progress>,
    /// Why its wait failed. That is final: it does not wait again.
    failure: Option<VerifyError>,
}

impl PendingCredential {
    pub(super) fn new(
        wait: PendingVerification,
        index: usize,
        source: usize,
        origin: CredentialOrigin,
        waited: Option<Waited>,
    ) -> Self {
        let waited = waited.unwrap_or_default();
        let has_looked_up = waited.has_looked_up || wait.is_lookup;
        Self { wait, index, origin, waited: Some(Box::new(Waited { source, has_looked_up, ..waited })) }
    }

    /// Waits.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = ready!(Pin::new(&mut self.wait).poll(context));
        if let Some(token) = self.waited.as_mut().and_then(|waited| waited.tokens.get_mut(self.index)) {
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
    /// The source had no token: the next one starts anew, but within what one request may cost.
    pub(super) fn next_source(&mut self) {
        self.tokens = Default::default();
    }

    /// What a token may take over from another one of the same issuer.
    pub(super) fn progress_of(&self, index: usize) -> Option<Progress> {
        Some(self.tokens.get(index)?.progress.as_ref()?.for_another_token())
    }

    /// Verifies the token of a source that has at most one. The rule of [`attempt`](Self::attempt) about the resolver
    /// holds for it too, after a cookie that waited.
    pub(super) fn resume(&mut self, verifier: &Verifier, text: &str) -> Verification {
        let [token, ..] = &mut self.tokens;
        if let Some(error) = &token.failure {
            return Verification::Ready(Err(error.clone()));
        }
        let progress = token.progress.get_or_insert_default();
        let needs_lookup = || verifier.claimed(text).is_some_and(|claimed| verifier.needs_lookup(&claimed.issuer));
        if self.has_looked_up && !progress.has_instance() && needs_lookup() {
            return Verification::Ready(Err(verifier.no_lookup()));
        }
        verifier.resume(text, progress)
    }

    /// Verifies the token with this index, which is not cached. It goes on from where it stopped, or else from
    /// `sibling`.
    ///
    /// A request waits for the resolver once. The client may have made up all issuers, and the limits on calls of the
    /// resolver are shared with others.
    pub(super) fn attempt(
        &mut self,
        index: usize,
        sibling: Option<Progress>,
        verifier: &Verifier,
        text: &str,
        issuer: &str,
    ) -> Verification {
        let Some(token) = self.tokens.get_mut(index) else { return verifier.attempt(text, &mut Progress::default()) };
        if let Some(error) = &token.failure {
            return Verification::Ready(Err(error.clone()));
        }
        let progress = token.progress.get_or_insert_with(|| sibling.unwrap_or_default());
        if self.has_looked_up && !progress.has_instance() && verifier.needs_lookup(issuer) {
            return Verification::Ready(Err(verifier.no_lookup()));
        }
        verifier.attempt(text, progress)
    }
}
