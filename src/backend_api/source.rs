use std::{future::Future, pin::Pin};

use bytes::Bytes;
use http::{Request, Response};

use crate::jwks::FetchError;

/// Sends requests to Clerk's Backend API, for an HTTP client other than reqwest, or for tests.
///
/// A closure that takes a `Request<Bytes>` and returns a future of `Result<Response<Bytes>, FetchError>` is one. Set it
/// with [`Instance::backend_api`](crate::verify::Instance::backend_api).
///
/// The request is complete: a POST with its URL, its headers, among them `Authorization` with the secret key, and a
/// JSON body that holds the token. Send it as it is, follow no redirect, and return the response with its body. What
/// the response means, how long it is used, and when to ask again is decided as for the client of the feature
/// `reqwest`:
///
/// - Each call runs in a task on the Tokio runtime of a request, and is dropped 3 seconds after it was asked for, or
///   earlier if other instances are still to be asked about the token.
/// - A call that panics fails alone.
/// - A body of more than 64 KiB is rejected. A client that reads from the network should limit what it reads.
/// - A response with a `Content-Encoding` is rejected: decode it, or ask for none.
///
/// The body has the token, and `Debug` of the request shows it: never log the request.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower_clerk::{ClerkConfig, Principal, TokenKind, Verifier, jwks::FetchError, verify::Instance};
///
/// // A Backend API that knows one key.
/// let api = |request: Request<Bytes>| async move {
///     assert_eq!(request.uri(), "https://api.clerk.com/api_keys/verify");
///     let known = serde_json::json!({
///         "object": "api_key", "id": "ak_1", "name": "deploy", "subject": "user_ada", "scopes": ["read:things"],
///         "claims": null, "revoked": false, "expired": false, "expiration": null,
///     });
///     let (status, body) = match request.body().as_ref() {
///         br#"{"secret":"ak_good"}"# => (200, known.to_string()),
///         _ => (404, "{}".to_owned()),
///     };
///     Response::builder().status(status).body(Bytes::from(body)).map_err(FetchError::new)
/// };
///
/// let config = ClerkConfig::from_frontend_api_url("https://clerk.example.com")?
///     .secret_key("sk_test_abc")?
///     .accept([TokenKind::ApiKey])?;
/// let verifier = Verifier::builder(Instance::new(config).backend_api(api)).build()?;
///
/// let Principal::ApiKey(key) = verifier.verify_principal("ak_good").await? else { panic!("no API key") };
/// assert_eq!(key.user_id(), Some("user_ada"));
/// assert!(key.has_scope("read:things"));
/// assert!(verifier.verify_principal("ak_made_up").await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not send requests to the Backend API",
    label = "not a `BackendApi`",
    note = "a closure is one if its argument has its type: `|request: Request<Bytes>| async move {{ … }}`"
)]
pub trait BackendApi: Send + Sync {
    /// Sends the request and returns the response, whatever its status.
    ///
    /// # Errors
    ///
    /// [`FetchError::new`] with the cause if there is no response.
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + '_>>;
}

impl<F, Fut> BackendApi for F
where
    F: Fn(Request<Bytes>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Response<Bytes>, FetchError>> + Send + 'static,
{
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + '_>> {
        Box::pin(self(request))
    }
}
