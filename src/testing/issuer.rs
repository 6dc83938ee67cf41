use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::{
    must,
    server::{Answer, Server},
    token::TokenBuilder,
};
use crate::{
    config::ClerkConfig,
    verify::{Clock, SystemClock},
};

/// A Clerk instance of its own: RSA keys made at its start, a JWKS, and tokens.
///
/// [`start`](Self::start) serves the JWKS on a loopback socket at Clerk's path; [`new`](Self::new) stays
/// in memory.
pub struct TestIssuer {
    clock: Arc<dyn Clock>,
    keys: Mutex<Keys>,
    server: Option<Server>,
    url: String,
}

struct Keys {
    current: SigningKey,
    made: usize,
    published: Vec<SigningKey>,
}

#[derive(Clone)]
pub(super) struct SigningKey {
    kid: String,
    pair: Arc<KeyPair>,
}

impl TestIssuer {
    /// An issuer without a socket, `https://clerk.test.example`.
    #[must_use]
    pub fn new() -> Self {
        let current = SigningKey::generate("ins_test_1".to_owned());
        Self {
            clock: Arc::new(SystemClock::new()),
            keys: Mutex::new(Keys { published: vec![current.clone()], current, made: 1 }),
            server: None,
            url: "https://clerk.test.example".to_owned(),
        }
    }

    /// An issuer that serves its keys at `http://127.0.0.1:<port>/.well-known/jwks.json`, and as the Backend
    /// API does at `/v1/jwks`, until it is dropped.
    ///
    /// # Errors
    ///
    /// If no loopback socket can be had.
    pub async fn start() -> io::Result<Self> {
        let mut issuer = Self::new();
        let server = Server::start().await?;
        server.answer(Answer::Document(issuer.jwks()));
        issuer.url = server.url();
        issuer.server = Some(server);
        Ok(issuer)
    }

    /// Mints tokens by `clock`.
    #[must_use]
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// The Frontend API URL, which is the issuer of its tokens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A configuration that trusts this issuer: by its URL if it has a socket, else by its JWKS as it is now.
    #[must_use = "a configuration does nothing by itself"]
    pub fn config(&self) -> ClerkConfig {
        let config = match self.server {
            Some(_) => ClerkConfig::from_frontend_api_url(&self.url),
            None => ClerkConfig::from_jwks(self.jwks()).and_then(|config| config.issuer(&self.url)),
        };
        must(config, "a configuration of the issuer")
    }

    /// A token for this user, a version 2 session token that lives for a minute unless told otherwise.
    pub fn token(&self, user_id: &str) -> TokenBuilder {
        TokenBuilder::new(self.keys().current.clone(), &self.url, self.now(), user_id)
    }

    /// A token with this header and payload, both as they are, signed by the issuer's key.
    #[must_use]
    pub fn sign(&self, header: &str, payload: &str) -> String {
        self.keys().current.sign(header, payload)
    }

    /// The `kid` that new tokens name.
    #[must_use]
    pub fn kid(&self) -> String {
        self.keys().current.kid.clone()
    }

    /// The JWKS document.
    #[must_use]
    pub fn jwks(&self) -> String {
        let keys: Vec<_> = self.keys().published.iter().map(SigningKey::jwk).collect();
        json!({ "keys": keys }).to_string()
    }

    /// The public key as `CLERK_JWT_KEY` has it.
    #[must_use]
    pub fn public_key_pem(&self) -> String {
        let keys = self.keys();
        let der: PublicKeyX509Der<'_> = must(keys.current.pair.public_key().as_der(), "the public key");
        pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref()))
    }

    /// Goes over to a new key with a `kid` of its own; tokens of the old one are good no longer.
    pub fn rotate(&self) {
        let made = self.keys().made + 1;
        self.replace_key(SigningKey::generate(format!("ins_test_{made}")));
    }

    /// Goes over to a new key under the same `kid`.
    pub fn rotate_under_same_kid(&self) {
        let kid = self.kid();
        self.replace_key(SigningKey::generate(kid));
    }

    /// Serves `document` in place of the JWKS.
    pub fn serve_document(&self, document: impl Into<String>) {
        self.answer(Answer::Document(document.into()));
    }

    /// Serves the JWKS again.
    pub fn serve_keys(&self) {
        self.answer(Answer::Document(self.jwks()));
    }

    /// Answers with this status and no keys.
    pub fn serve_status(&self, status: u16) {
        self.answer(Answer::Status(status));
    }

    /// Takes requests and does not answer them.
    pub fn serve_nothing(&self) {
        self.answer(Answer::Nothing);
    }

    /// How many times the JWKS was asked for.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.server.as_ref().map_or(0, Server::requests)
    }

    /// The value of the last request's `Authorization` header.
    #[must_use]
    pub fn last_authorization(&self) -> Option<String> {
        self.server.as_ref().and_then(Server::last_authorization)
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

    fn answer(&self, answer: Answer) {
        if let Some(server) = &self.server {
            server.answer(answer);
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

impl SigningKey {
    fn generate(kid: String) -> Self {
        Self { kid, pair: Arc::new(must(KeyPair::generate(KeySize::Rsa2048), "an RSA key")) }
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs by the algorithm that the header names, RS256 if it names none of the three.
    pub(super) fn sign(&self, header: &str, payload: &str) -> String {
        let alg = serde_json::from_str(header)
            .ok()
            .and_then(|header: serde_json::Value| header.get("alg").and_then(|alg| alg.as_str().map(str::to_owned)));
        let encoding: &'static dyn RsaEncoding = match alg.as_deref() {
            Some("RS384") => &RSA_PKCS1_SHA384,
            Some("RS512") => &RSA_PKCS1_SHA512,
            _ => &RSA_PKCS1_SHA256,
        };
        let [header, payload] = [header, payload].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        let message = format!("{header}.{payload}");
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let signed = self.pair.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature);
        must(signed, "a signature");
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn jwk(&self) -> serde_json::Value {
        let key = self.pair.public_key();
        let n = BASE64_URL_SAFE_NO_PAD.encode(key.modulus().big_endian_without_leading_zero());
        let e = BASE64_URL_SAFE_NO_PAD.encode(key.exponent().big_endian_without_leading_zero());
        json!({ "use": "sig", "kty": "RSA", "kid": self.kid, "alg": "RS256", "n": n, "e": e })
    }
}
