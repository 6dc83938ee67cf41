use bytes::Bytes;
use http::{Response, request::Parts};

use super::Rejection;

/// Makes the response to a refused request; closures do.
///
/// Start from [`Rejection::default_response`] to change a part of it only.
///
/// ```
/// use http::{HeaderValue, request::Parts};
/// use tower_clerk::{ClerkAuthLayer, Rejection};
///
/// # #[cfg(feature = "reqwest")]
/// let layer = ClerkAuthLayer::new("https://clerk.example.com")?.on_rejection(
///     |rejection: &Rejection, _request: &Parts| {
///         let mut response = rejection.default_response();
///         response.headers_mut().insert("x-auth-error", HeaderValue::from_static(rejection.code()));
///         response
///     },
/// );
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not answer refused requests",
    label = "not an `OnRejection`",
    note = "a closure is one if its arguments have their types: `|rejection: &Rejection, request: &Parts| -> Response<Bytes>`"
)]
pub trait OnRejection: Send + Sync {
    /// The response to `request`, which was refused for `rejection`.
    fn response(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes>;
}

impl<F> OnRejection for F
where
    F: Fn(&Rejection, &Parts) -> Response<Bytes> + Send + Sync,
{
    fn response(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes> {
        self(rejection, request)
    }
}
