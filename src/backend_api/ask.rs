//! Asking the Backend API about one token.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{
    OpaqueInstance,
    answer::{self, Answer, OpaqueRejection},
    answers::OpaqueFailure,
    calls::{Call, Calls},
    request::verify_request,
};
use crate::{
    claims::MachineClaims,
    clock::{Clock, Moment},
    jwks::{FetchError, FetchErrorKind},
    single_flight::within,
};

/// Asks one instance after the other.
pub(super) struct Asker {
    pub(super) instances: Arc<[OpaqueInstance]>,
    pub(super) calls: Arc<Calls>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What the instances have said about a token.
pub(super) enum Said {
    /// At least one has failed, and none says that the token is valid.
    Failed {
        kind: FetchErrorKind,
        retry_after: Duration,
        /// Whether one says that the token may not be shown to this service (403), which is no outage.
        is_forbidden: bool,
    },
    /// At least one was not asked, and none says that the token is valid.
    Held(OpaqueFailure),
    /// All say that the token is not valid.
    Rejected(OpaqueRejection),
    Valid {
        claims: MachineClaims,
        /// The instance that says so, by its index.
        index: usize,
        asked_at: Moment,
    },
}

impl Asker {
    /// Asks the instances that were open when the flight started, until one says that the token is valid. One that
    /// opens meanwhile is not asked: nothing was taken from the budget for it.
    pub(super) async fn ask(&self, call: &Call, token: &str) -> Said {
        let (mut failed, mut held, mut rejected, mut is_forbidden) = (None, call.open.held, None, false);
        for (position, index) in call.open.indices.iter().copied().enumerate() {
            let Some(instance) = self.instances.get(index) else { continue };
            let asked_at = self.now();
            if let Err(failure) = self.calls.admit(call, index, asked_at) {
                held = held.or(Some(failure));
                continue;
            }
            let instances_left = call.open.indices.len() - position;
            let sent = self.send(instance, call, token, instances_left).await;
            let now = self.now();
            let (status, error) = match sent {
                Err(error) => (None, error),
                Ok(response) => match answer::read(call.kind, &response, instance, now.wall) {
                    Answer::Failed(error) => (Some(response.status()), error),
                    Answer::Rejected(why) => {
                        self.calls.note(call, index, Ok(()), now);
                        call.verdicts.record(index, false);
                        rejected = Some(more_telling(rejected, why));
                        continue;
                    }
                    Answer::Valid(claims) => {
                        self.calls.note(call, index, Ok(()), now);
                        call.verdicts.record(index, true);
                        return Said::Valid { claims, index, asked_at };
                    }
                },
            };
            let (kind, retry_after) = (error.kind(), error.delay().unwrap_or_default());
            self.calls.note(call, index, Err((kind, retry_after)), now);
            call.failed(index, status, error);
            is_forbidden |= status == Some(StatusCode::FORBIDDEN);
            failed = failed.or(Some((kind, retry_after)));
        }
        let failed = failed.map(|(kind, retry_after)| Said::Failed { kind, retry_after, is_forbidden });
        // None of them can be missing: an instance is asked, or the token would have been rejected before.
        let rejected = Said::Rejected(rejected.unwrap_or(OpaqueRejection::KindNotAsked));
        failed.or(held.map(Said::Held)).unwrap_or(rejected)
    }

    /// Asks one instance, of those that are left. It gets an equal share of the time that is left, so that one that
    /// hangs leaves time for the others. The last one has what the flight has.
    async fn send(
        &self,
        instance: &OpaqueInstance,
        call: &Call,
        token: &str,
        instances_left: usize,
    ) -> Result<Response<Bytes>, FetchError> {
        let response = instance.api.send(verify_request(call.kind, token, instance));
        if instances_left <= 1 {
            return response.await;
        }
        let time_left = TIMEOUT.saturating_sub(self.now().running_since(call.started_at));
        let share = time_left / u32::try_from(instances_left).unwrap_or(u32::MAX);
        within(share, response).await.unwrap_or_else(|| Err(FetchError::of_kind(FetchErrorKind::Timeout)))
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }
}

/// The one of two rejections that says more. That an instance does not know a token is no news if another one does.
fn more_telling(first: Option<OpaqueRejection>, next: OpaqueRejection) -> OpaqueRejection {
    first.filter(|first| *first != OpaqueRejection::Inactive).unwrap_or(next)
}

/// The time limit of all calls about a token, with the wait for a place: as for keys. A call takes about 100 ms, and a
/// request waits for it.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);
