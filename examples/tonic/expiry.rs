use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt, stream};
use tonic::{Status, metadata::MetadataValue};
use tower_clerk::ClerkAuth;

/// `messages` until the user's token expires, then [`token_expired`].
///
/// The layer's tolerance for clocks, 5 seconds by default, is not counted: a call that was let in that late ends at
/// once. Where a handler reads what the client streams, `tokio::time::timeout(time_left(user), …)` does the same.
pub(crate) fn until_expiry<T: Send + 'static>(
    user: &ClerkAuth,
    messages: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
    let expired = Box::pin(tokio::time::sleep(time_left(user)));
    stream::unfold(Some((expired, Box::pin(messages))), |state| async move {
        let (mut expired, mut messages) = state?;
        tokio::select! {
            // In this order: a stream that always has a message would never let the time be looked at.
            biased;
            () = &mut expired => Some((Err(token_expired()), None)),
            message = messages.next() => message.map(|message| (message, Some((expired, messages)))),
        }
    })
}

/// How long the user's token still holds; nothing, if it does no more.
pub(crate) fn time_left(user: &ClerkAuth) -> Duration {
    user.expires_at().duration_since(SystemTime::now()).unwrap_or_default()
}

/// The status that the layer refuses calls with from then on.
pub(crate) fn token_expired() -> Status {
    let mut status = Status::unauthenticated("token expired");
    status.metadata_mut().insert("clerk-error-code", MetadataValue::from_static("token_expired"));
    status
}
