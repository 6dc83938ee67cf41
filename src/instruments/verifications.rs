//! What the Backend API says about opaque tokens.

#[cfg(feature = "metrics")]
use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use super::{
    fetches::instance_label,
    handles::{Counter, count},
    table::BACKEND_VERIFICATIONS,
};
use crate::token_kind::TokenKind;

/// The answers that a verifier gives without a call.
#[derive(Default)]
pub(crate) struct VerificationInstruments {
    /// By kind of token, for tokens that are valid and for those that are not.
    from_memory: [[Counter; 2]; 3],
}

/// What a call of the Backend API has brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CallResult {
    Invalid,
    /// It says nothing about the token.
    Unavailable,
    Valid,
}

/// What instances say about a token during its flight, until it is counted: under the locks of a flight no recorder may
/// run. Without the feature `metrics` nothing is stored.
#[derive(Default)]
pub(crate) struct CallVerdicts {
    /// The index of the instance, and whether the token is valid.
    #[cfg(feature = "metrics")]
    list: Mutex<Vec<(usize, bool)>>,
}

impl VerificationInstruments {
    /// Counts a request that was answered from what an earlier call has brought.
    pub(crate) fn answered_from_memory(&self, token: TokenKind, is_valid: bool) {
        let [m2m, oauth, api_key] = &self.from_memory;
        let [invalid, valid] = match token {
            TokenKind::M2m => m2m,
            TokenKind::OAuth => oauth,
            TokenKind::ApiKey => api_key,
            TokenKind::Session => return,
        };
        let (counter, result) = if is_valid { (valid, "valid") } else { (invalid, "invalid") };
        counter.add(&BACKEND_VERIFICATIONS, 1, || {
            vec![("token", token.label().into()), ("result", result.into()), ("cached", "true".into())]
        });
    }
}

impl CallVerdicts {
    pub(crate) fn record(&self, instance: usize, is_valid: bool) {
        #[cfg(feature = "metrics")]
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push((instance, is_valid));
        #[cfg(not(feature = "metrics"))]
        let _ = (instance, is_valid);
    }

    pub(crate) fn take(&self) -> Vec<(usize, bool)> {
        #[cfg(feature = "metrics")]
        return mem::take(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner));
        #[cfg(not(feature = "metrics"))]
        Vec::new()
    }
}

impl CallResult {
    fn label(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
            Self::Valid => "valid",
        }
    }
}

/// Counts a call about a token, which costs money.
pub(crate) fn backend_called(instance: Option<&str>, token: TokenKind, result: CallResult) {
    count_calls(instance, token, result, 1);
}

/// Begins the series of the calls about tokens of this kind: a rate does not see the first event of a series that
/// begins with it.
#[cfg(feature = "metrics")]
pub(crate) fn begin_backend_calls(instance: Option<&str>, token: TokenKind) {
    for result in [CallResult::Invalid, CallResult::Unavailable, CallResult::Valid] {
        count_calls(instance, token, result, 0);
    }
}

fn count_calls(instance: Option<&str>, token: TokenKind, result: CallResult, calls: u64) {
    count(&BACKEND_VERIFICATIONS, calls, || {
        let mut labels = instance_label(instance);
        let result = result.label().into();
        labels.extend([("token", token.label().into()), ("result", result), ("cached", "false".into())]);
        labels
    });
}
