//! Opaque tokens: the Backend API is asked about them, so they need no keys of the instance.

use std::mem;

use super::{
    VerifyError, VerifyErrorKind,
    pipeline::{PendingVerification, Progress, Verification},
    verifier::Verifier,
};
use crate::{
    backend_api::OpaqueFailure,
    claims::VerifiedToken,
    single_flight::Lookup,
    token_kind::{TokenKind, TokenKinds},
};

impl Verifier {
    /// Verifies an opaque token: the Backend API says what it is worth, or has said so a moment ago.
    pub(super) fn verify_opaque(
        &self,
        kind: TokenKind,
        token: &[u8],
        kinds: TokenKinds,
        progress: &mut Progress,
    ) -> Verification {
        let rejected = |reason| Verification::Ready(Err(VerifyError::rejected(reason).of_token(Some(kind))));
        let tokens = match &self.inner.opaque_tokens {
            Some(tokens) if kinds.contains(kind) => tokens,
            _ => return rejected(VerifyErrorKind::TokenKindNotAccepted),
        };
        let Some(text) = well_formed(token) else { return rejected(VerifyErrorKind::Malformed) };
        if let Some(claims) = progress.answer.take() {
            return Verification::Ready(Ok(VerifiedToken::Machine(claims)));
        }
        match tokens.find(kind, text) {
            Lookup::Failed(failure) => Verification::Ready(Err(self.opaque_failed(failure, kind))),
            Lookup::Found(claims) => Verification::Ready(Ok(VerifiedToken::Machine(claims))),
            Lookup::Wait(wait) => {
                let (verifier, mut progress) = (self.clone(), mem::take(progress));
                let future = Box::pin(async move {
                    match wait.end().await {
                        Some(answer) => {
                            progress.answer = Some(answer.map_err(|failure| verifier.opaque_failed(failure, kind))?);
                        }
                        None if progress.has_lost_call => {
                            return Err(VerifyError::from(OpaqueFailure::LOST).of_token(Some(kind)));
                        }
                        None => progress.has_lost_call = true,
                    }
                    Ok(progress)
                });
                Verification::Pending(PendingVerification { future, is_lookup: false, is_late: false })
            }
        }
    }

    /// The error of a failure. A flood of made-up tokens is worth a warning.
    fn opaque_failed(&self, failure: OpaqueFailure, kind: TokenKind) -> VerifyError {
        if matches!(failure, OpaqueFailure::TooManyTokens { .. }) {
            self.inner.diagnostics.opaque_token_refused(&*self.inner.clock);
        }
        VerifyError::from(failure).of_token(Some(kind))
    }
}

/// The text of an opaque token, if the Backend API could know it.
fn well_formed(token: &[u8]) -> Option<&str> {
    let body = TokenKind::opaque_body(token).filter(|body| !body.is_empty() && token.len() <= MAX_OPAQUE_TOKEN)?;
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(byte);
    body.iter().all(is_allowed).then(|| std::str::from_utf8(token).ok())?
}

/// In bytes: far more than the 32 to 64 that Clerk's have. A longer one is an attempt to waste work.
const MAX_OPAQUE_TOKEN: usize = 512;
