use std::{
    fmt,
    future::{Future, pending},
    io,
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response};

use super::{
    opaque_token::OpaqueTokenBuilder,
    records::Records,
    server::{Endpoint, ServedResponse, Server},
};
use crate::{backend_api::BackendApi, jwks::FetchError, verify::Clock};

/// A stand-in for Clerk's Backend API, which is asked about opaque tokens: it issues them, and answers as Clerk does.
///
/// [`new`](Self::new) makes one in memory, for [`Instance::backend_api`](crate::verify::Instance::backend_api):
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use tower_clerk::{
///     TokenKind, Verifier,
///     testing::{TestBackendApi, TestIssuer},
///     verify::{Instance, VerifyErrorKind},
/// };
///
/// let api = TestBackendApi::new();
/// let config = TestIssuer::new().config().accept([TokenKind::Session, TokenKind::ApiKey])?;
/// let verifier = Verifier::builder(Instance::new(config).backend_api(api.clone())).build()?;
///
/// let key = api.api_key("user_ada").scopes(["things:read"]).issue();
/// assert_eq!(verifier.verify_principal(&key).await?.subject(), "user_ada");
///
/// // The answer is kept for a minute, so a revoked key is accepted until then.
/// api.revoke(&key);
/// assert!(verifier.verify_principal(&key).await.is_ok());
/// assert_eq!(api.calls(), 1);
///
/// verifier.forget_opaque_tokens();
/// assert_eq!(verifier.verify_principal(&key).await.unwrap_err().kind(), VerifyErrorKind::Inactive);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`start`](Self::start) makes one on a loopback socket, for tests that cover the HTTP client too. So does
/// [`TestIssuer::start`](super::TestIssuer::start), whose [`backend_api`](super::TestIssuer::backend_api) has the same
/// socket.
///
/// Clones share the tokens, the counts, and how it responds.
#[derive(Clone)]
pub struct TestBackendApi {
    records: Arc<Records>,
    /// Serves it as long as there is a clone; `None` in memory, or if the issuer does.
    _server: Option<Arc<Server>>,
    url: String,
}

impl TestBackendApi {
    /// Makes one without a socket.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Arc::new(Records::new()), "https://api.test.example".to_owned())
    }

    /// Makes one that listens on a free port of 127.0.0.1 until its last clone is dropped.
    ///
    /// It runs on the Tokio runtime that calls this.
    ///
    /// # Errors
    ///
    /// [`io::Error`] if no loopback socket can be opened.
    pub async fn start() -> io::Result<Self> {
        let records = Arc::new(Records::new());
        let server = Server::start(Arc::<Records>::clone(&records)).await?;
        let url = server.url();
        Ok(Self { _server: Some(Arc::new(server)), ..Self::of(records, url) })
    }

    pub(super) fn set_clock(&self, clock: &Arc<dyn Clock>) {
        self.records.set_clock(Arc::clone(clock));
    }

    pub(super) fn of(records: Arc<Records>, url: String) -> Self {
        Self { records, _server: None, url }
    }

    /// Sets the clock by which tokens expire.
    #[must_use]
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        self.records.set_clock(Arc::new(clock));
        self
    }

    /// Returns the URL for [`ClerkConfig::api_url`](crate::ClerkConfig::api_url) and `CLERK_API_URL`. In memory nothing
    /// listens there.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a builder of an API key of this user (`user_…`), organization (`org_…`) or machine (`mch_…`).
    pub fn api_key(&self, subject: &str) -> OpaqueTokenBuilder {
        OpaqueTokenBuilder::api_key(Arc::clone(&self.records), subject)
    }

    /// Returns a builder of an opaque OAuth access token that this user has granted. For a JWT see
    /// [`TestIssuer::oauth_token`](super::TestIssuer::oauth_token).
    pub fn oauth_token(&self, user_id: &str) -> OpaqueTokenBuilder {
        OpaqueTokenBuilder::oauth(Arc::clone(&self.records), user_id)
    }

    /// Returns a builder of an opaque M2M token of this machine (`mch_…`). For a JWT see
    /// [`TestIssuer::m2m_token`](super::TestIssuer::m2m_token).
    pub fn m2m_token(&self, machine_id: &str) -> OpaqueTokenBuilder {
        OpaqueTokenBuilder::m2m(Arc::clone(&self.records), machine_id)
    }

    /// Revokes a token.
    ///
    /// # Panics
    ///
    /// If it was not issued here.
    pub fn revoke(&self, token: &str) {
        self.records.change(token, |record, _| record.is_revoked = true);
    }

    /// Lets a token expire now.
    ///
    /// # Panics
    ///
    /// If it was not issued here.
    pub fn expire(&self, token: &str) {
        self.records.change(token, |record, now| record.expires_at = Some(now));
    }

    /// Responds to calls without this secret key with 401 from now on. Until then any key will do, and none too.
    pub fn require_secret_key(&self, key: &str) {
        self.records.require_secret_key(key);
    }

    /// Adds a machine with its secret key. A call with that key may ask about M2M tokens alone, and gets 403 for one
    /// that this machine is not among the [scopes](OpaqueTokenBuilder::scopes) of.
    pub fn add_machine(&self, id: &str, secret_key: &str) {
        self.records.add_machine(id, secret_key);
    }

    /// Serves `document` in place of its answers, with the status 200.
    pub fn serve_document(&self, document: impl Into<String>) {
        self.serve(ServedResponse::Document(document.into()));
    }

    /// Responds with this HTTP status and an empty body, as in an outage.
    pub fn serve_status(&self, status: u16) {
        self.serve(ServedResponse::Status(status));
    }

    /// Responds with this HTTP status and this header `Retry-After`, such as 429 and `7`.
    pub fn serve_retry_after(&self, status: u16, delay: &str) {
        self.serve(ServedResponse::RetryAfter(status, delay.to_owned()));
    }

    /// Accepts calls and never responds, so that they run into their timeout.
    pub fn serve_nothing(&self) {
        self.serve(ServedResponse::Nothing);
    }

    /// Answers again, after one of the other `serve_` methods.
    pub fn serve_answers(&self) {
        self.records.serve(None);
    }

    /// Returns how many calls it has received, whatever it responded.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.records.calls()
    }

    /// Returns the `Authorization` header of the last call, which holds the secret key.
    #[must_use]
    pub fn last_authorization(&self) -> Option<String> {
        self.records.last_authorization()
    }

    fn serve(&self, response: ServedResponse) {
        self.records.serve(Some(response));
    }
}

/// Answers in memory, without its socket if it has one.
impl BackendApi for TestBackendApi {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + '_>> {
        Box::pin(async move {
            match self.records.respond(&request) {
                Some(response) => Ok(response.map(Bytes::from)),
                None => pending().await,
            }
        })
    }
}

impl Default for TestBackendApi {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestBackendApi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TestBackendApi").field("url", &self.url).finish_non_exhaustive()
    }
}
