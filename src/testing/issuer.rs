use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde_json::json;

use super::{
    backend_api::TestBackendApi,
    expect,
    jwks::IssuerEndpoint,
    key::SigningKey,
    records::Records,
    server::{ServedResponse, Server},
    token::TokenBuilder,
};
use crate::{
    config::ClerkConfig,
    verify::{Clock, SystemClock},
};

/// A stand-in for a Clerk instance: it generates an RSA key, publishes a JWKS and signs tokens, and its
/// [`backend_api`](Self::backend_api) issues opaque ones.
///
/// [`new`](Self::new) makes one in memory, for tests of an application. [`start`](Self::start) also serves the JWKS on
/// a loopback socket, for tests of rotation and outages:
///
/// ```
/// # #[cfg(feature = "reqwest")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use tower_clerk::{Verifier, testing::TestIssuer};
///
/// let issuer = TestIssuer::start().await?;
/// let verifier = Verifier::new(issuer.config())?;
/// assert!(verifier.verify(&issuer.token("user_ada").sign()).await.is_ok());
///
/// // A token of a new key makes the verifier fetch the JWKS again.
/// issuer.rotate();
/// assert!(verifier.verify(&issuer.token("user_ada").sign()).await.is_ok());
/// assert_eq!(issuer.fetches(), 2);
///
/// // An outage does not concern tokens whose key is known.
/// issuer.serve_status(503);
/// assert!(verifier.verify(&issuer.token("user_bob").sign()).await.is_ok());
/// assert_eq!(issuer.fetches(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The socket answers for the Backend API too, so one issuer serves an application that accepts every kind of token:
///
/// ```
/// # #[cfg(feature = "reqwest")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use tower_clerk::{TokenKind, Verifier, testing::TestIssuer};
///
/// let issuer = TestIssuer::start().await?;
/// let config =
///     issuer.config().accept(TokenKind::all())?.secret_key("sk_test_abc")?.api_url(issuer.backend_api().url())?;
/// let verifier = Verifier::new(config)?;
///
/// for (token, kind) in [
///     (issuer.token("user_ada").sign(), TokenKind::Session),
///     (issuer.oauth_token("user_ada").sign(), TokenKind::OAuth),
///     (issuer.m2m_token("mch_billing").sign(), TokenKind::M2m),
///     (issuer.backend_api().oauth_token("user_ada").issue(), TokenKind::OAuth),
///     (issuer.backend_api().m2m_token("mch_billing").issue(), TokenKind::M2m),
///     (issuer.backend_api().api_key("org_acme").issue(), TokenKind::ApiKey),
/// ] {
///     assert_eq!(verifier.verify_principal(&token).await?.kind(), kind);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TestIssuer {
    backend_api: TestBackendApi,
    clock: Arc<dyn Clock>,
    keys: Mutex<Keys>,
    server: Option<(Server, Arc<IssuerEndpoint>)>,
    url: String,
}

struct Keys {
    current: SigningKey,
    made: usize,
    published: Vec<SigningKey>,
}

impl TestIssuer {
    /// Makes an issuer without a socket. Its URL is `https://clerk.test.example`.
    ///
    /// It generates an RSA key, which takes about a tenth of a second: share one among the tests of a binary.
    #[must_use]
    pub fn new() -> Self {
        let current = SigningKey::generate("ins_test_1".to_owned());
        Self {
            backend_api: TestBackendApi::new(),
            clock: Arc::new(SystemClock::new()),
            keys: Mutex::new(Keys { published: vec![current.clone()], current, made: 1 }),
            server: None,
            url: "https://clerk.test.example".to_owned(),
        }
    }

    /// Makes an issuer that serves its JWKS until it is dropped, on a free port of 127.0.0.1.
    ///
    /// The paths are those of Clerk: `/.well-known/jwks.json` (Frontend API), `/v1/jwks` and those about opaque tokens
    /// (Backend API). It runs on the Tokio runtime that calls this.
    ///
    /// # Errors
    ///
    /// [`io::Error`] if no loopback socket can be opened.
    pub async fn start() -> io::Result<Self> {
        let records = Arc::new(Records::new());
        let endpoint = Arc::new(IssuerEndpoint::new(Arc::clone(&records)));
        let server = Server::start(Arc::<IssuerEndpoint>::clone(&endpoint)).await?;
        let url = server.url();
        let backend_api = TestBackendApi::of(records, url.clone());
        let issuer = Self { backend_api, server: Some((server, endpoint)), url, ..Self::new() };
        issuer.serve_keys();
        Ok(issuer)
    }

    /// Sets the clock by which `iat`, `nbf` and `exp` of new tokens are set, and by which opaque tokens expire.
    #[must_use]
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        self.backend_api.set_clock(&clock);
        Self { clock, ..self }
    }

    /// Returns the Frontend API URL, which is the issuer (`iss`) of its tokens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a configuration that trusts this issuer.
    ///
    /// With a socket, it fetches the keys from there. Without one, it holds the keys of this moment, so it does not
    /// follow a later [`rotate`](Self::rotate).
    #[must_use = "a configuration does nothing by itself"]
    pub fn config(&self) -> ClerkConfig {
        let config = match self.server {
            Some(_) => ClerkConfig::from_frontend_api_url(&self.url),
            None => ClerkConfig::from_jwks(self.jwks()).and_then(|config| config.add_issuer(&self.url)),
        };
        expect(config, "a configuration of the issuer")
    }

    /// Returns a builder of a token for this user: a session token of version 2 that is valid for 60 seconds. See
    /// [`TokenBuilder`] for its claims.
    pub fn token(&self, user_id: &str) -> TokenBuilder {
        TokenBuilder::new(self.keys().current.clone(), &self.url, self.now(), user_id)
    }

    /// Returns a builder of an OAuth access token (a JWT) that this user has granted to the client `client_test`, valid
    /// for a day.
    ///
    /// ```
    /// use tower_clerk::{Principal, TokenKind, Verifier, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new();
    /// let verifier = Verifier::new(issuer.config().accept([TokenKind::OAuth])?)?;
    /// let token = issuer.oauth_token("user_ada").scopes(["profile", "things:read"]).sign();
    /// let Principal::OAuth(token) = verifier.try_verify_principal(&token)? else { panic!("of another kind") };
    /// assert!(token.has_scope("things:read"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn oauth_token(&self, user_id: &str) -> TokenBuilder {
        TokenBuilder::oauth(self.keys().current.clone(), &self.url, self.now(), user_id)
    }

    /// Returns a builder of an M2M token (a JWT) of this machine, `mch_…`, valid for an hour.
    ///
    /// Its [`scopes`](TokenBuilder::scopes) are the machines that it may be shown to.
    pub fn m2m_token(&self, machine_id: &str) -> TokenBuilder {
        TokenBuilder::m2m(self.keys().current.clone(), &self.url, self.now(), machine_id)
    }

    /// Returns the stand-in for the Backend API, which issues opaque tokens. It has the socket of the issuer, if there
    /// is one.
    #[must_use]
    pub fn backend_api(&self) -> &TestBackendApi {
        &self.backend_api
    }

    /// Signs this header and payload as they are, even if they are not JSON, to test how malformed tokens are rejected.
    ///
    /// The signature is RS256 unless the header's `alg` is RS384 or RS512.
    #[must_use]
    pub fn sign(&self, header: &str, payload: &str) -> String {
        self.keys().current.sign(header, payload)
    }

    /// Returns the `kid` of the current key, which new tokens have in their header.
    #[must_use]
    pub fn kid(&self) -> String {
        self.keys().current.kid().to_owned()
    }

    /// Returns the JWK Set (RFC 7517, section 5) with the current key.
    #[must_use]
    pub fn jwks(&self) -> String {
        let keys: Vec<_> = self.keys().published.iter().map(SigningKey::jwk).collect();
        json!({ "keys": keys }).to_string()
    }

    /// Returns the current public key in PEM, for [`ClerkConfig::from_jwt_key`] and `CLERK_JWT_KEY`.
    #[must_use]
    pub fn public_key_pem(&self) -> String {
        self.keys().current.public_key_pem()
    }

    /// Replaces the key with a new one under a new `kid`. The old key leaves the JWKS.
    ///
    /// A verifier still accepts tokens of the old key until it has fetched the JWKS again.
    pub fn rotate(&self) {
        let made = self.keys().made + 1;
        self.replace_key(SigningKey::generate(format!("ins_test_{made}")));
    }

    /// Replaces the key with a new one under the same `kid`, as a restored or misconfigured instance may do. Signatures
    /// of new tokens then fail until the verifier has fetched the JWKS again.
    pub fn rotate_under_same_kid(&self) {
        let kid = self.kid();
        self.replace_key(SigningKey::generate(kid));
    }

    /// Serves `document` in place of the JWKS, with the status 200.
    pub fn serve_document(&self, document: impl Into<String>) {
        self.serve(ServedResponse::Document(document.into()));
    }

    /// Serves the current JWKS again, after one of the other `serve_` methods.
    pub fn serve_keys(&self) {
        self.serve(ServedResponse::Document(self.jwks()));
    }

    /// Responds to fetches with this HTTP status and an empty body, as in an outage.
    pub fn serve_status(&self, status: u16) {
        self.serve(ServedResponse::Status(status));
    }

    /// Accepts fetches and never responds, so that they run into their timeout.
    pub fn serve_nothing(&self) {
        self.serve(ServedResponse::Nothing);
    }

    /// Returns how many times the JWKS was requested; 0 without a socket.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.server.as_ref().map_or(0, |(_, endpoint)| endpoint.fetches())
    }

    /// Returns the `Authorization` header of the last fetch of keys, which holds the secret key if one is configured.
    #[must_use]
    pub fn last_authorization(&self) -> Option<String> {
        self.server.as_ref().and_then(|(_, endpoint)| endpoint.last_authorization())
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn replace_key(&self, key: SigningKey) {
        let mut keys = self.keys();
        keys.made += 1;
        keys.published = vec![key.clone()];
        keys.current = key;
        drop(keys);
        self.serve_keys();
    }

    fn serve(&self, response: ServedResponse) {
        if let Some((_, endpoint)) = &self.server {
            endpoint.serve(response);
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TestIssuer").field("url", &self.url).finish_non_exhaustive()
    }
}
