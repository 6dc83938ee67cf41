use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt, stream};
use tonic::{Status, metadata::MetadataValue};
use tower_clerk::ClerkAuth;

/// `messages` until the user's token expires, then [`token_expired`].
///
/// The layer's clock skew, 5 seconds by default, is not added: a call that the layer admitted within it ends at once. A
/// handler that reads a stream of the client can use `tokio::time::timeout(time_left(user), …)` in the same way.
pub(crate) fn until_expiry<T: Send + 'static>(
    user: &ClerkAuth,
    messages: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
    let left = time_left(user);
    let timer = tokio::time::sleep(left);
    let expired = Box::pin(async move {
        // A timer of no time may still wait for the next tick of the clock, and a message would pass meanwhile.
        if !left.is_zero() {
            timer.await;
        }
    });
    stream::unfold(Some((expired, Box::pin(messages))), |state| async move {
        let (mut expired, mut messages) = state?;
        tokio::select! {
            // The timer first: a stream that always has a message would otherwise never end.
            biased;
            () = &mut expired => Some((Err(token_expired()), None)),
            message = messages.next() => message.map(|message| (message, Some((expired, messages)))),
        }
    })
}

/// How long the user's token is still valid; zero after it has expired.
pub(crate) fn time_left(user: &ClerkAuth) -> Duration {
    user.expires_at().duration_since(SystemTime::now()).unwrap_or_default()
}

/// The status with which the layer rejects calls after the token has expired.
pub(crate) fn token_expired() -> Status {
    let mut status = Status::unauthenticated("token expired");
    status.metadata_mut().insert("clerk-error-code", MetadataValue::from_static("token_expired"));
    status
}
