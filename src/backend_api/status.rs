use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::answers::OpaqueFailure;
use crate::jwks::FetchErrorKind;

/// What a verifier has asked the Backend API about opaque tokens, for metrics and health endpoints.
///
/// [`Verifier::opaque_tokens_status`](crate::Verifier::opaque_tokens_status) returns it. The numbers count from the
/// start of the verifier. A request whose token was asked about, and one that waited for a call of another, are counted
/// in none of them, unless the call failed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OpaqueTokensStatus {
    /// The calls that were made.
    pub calls: u64,
    /// The requests that were answered at once from an answer that was kept: that the token is valid, for the time that
    /// [`opaque_token_ttl`](crate::ClerkConfig::opaque_token_ttl) allows, or that it is not.
    pub answered_from_cache: u64,
    /// The requests whose token was accepted by an older answer, because the Backend API fails.
    pub answered_stale: u64,
    /// The requests that got 503 because too many tokens arrived that were never seen valid.
    pub refused_by_budget: u64,
    /// The requests that got 503 for another reason: the Backend API fails, or the call could not be made.
    pub refused_unavailable: u64,
    /// Why the last call failed; `None` if it succeeded, or if there was none.
    pub last_error: Option<FetchErrorKind>,
    /// How long ago a call last succeeded, whatever it said about its token.
    pub last_success: Option<Duration>,
}

/// What has become of requests, for [`OpaqueTokensStatus`].
#[derive(Default)]
pub(super) struct Counters {
    answered_from_cache: AtomicU64,
    answered_stale: AtomicU64,
    refused_by_budget: AtomicU64,
    refused_unavailable: AtomicU64,
}

impl Counters {
    /// Counts a request whose token was accepted without a call.
    pub(super) fn accepted(&self, is_stale: bool) {
        count(if is_stale { &self.answered_stale } else { &self.answered_from_cache });
    }

    /// Counts a request that was answered without a call.
    pub(super) fn refused(&self, failure: OpaqueFailure) {
        count(match failure {
            OpaqueFailure::Rejected(_) => &self.answered_from_cache,
            OpaqueFailure::TooManyTokens { .. } => &self.refused_by_budget,
            OpaqueFailure::Failed { .. } | OpaqueFailure::NoRuntime | OpaqueFailure::TooManyWaiting => {
                &self.refused_unavailable
            }
        });
    }

    /// The status, without what is known of calls.
    pub(super) fn status(&self) -> OpaqueTokensStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        OpaqueTokensStatus {
            answered_from_cache: read(&self.answered_from_cache),
            answered_stale: read(&self.answered_stale),
            refused_by_budget: read(&self.refused_by_budget),
            refused_unavailable: read(&self.refused_unavailable),
            ..OpaqueTokensStatus::default()
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
