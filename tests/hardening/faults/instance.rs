//! A Clerk instance whose keys are on a faulty server, and a verifier that trusts it.

use std::{sync::OnceLock, time::Duration};

use futures_util::FutureExt;
use tower_clerk::{
    ClerkConfig, Verifier,
    claims::Claims,
    jwks::FetchErrorKind,
    testing::{ManualClock, TestIssuer},
    verify::{VerifyError, VerifyErrorKind},
};

use crate::support::{
    issuer, other_issuer,
    server::{Script, Server, Step},
    within,
};

/// The longest possible timeout. It never expires here, because [`within`] is shorter.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);
/// A timeout for servers that never reply. It is long enough for those that do, on a busy machine.
pub(crate) const HASTY: Duration = Duration::from_secs(1);
/// The interval after which a refresh is due.
pub(crate) const INTERVAL: Duration = Duration::from_secs(300);

pub(crate) struct Instance {
    pub(crate) clock: ManualClock,
    pub(crate) server: Server,
    pub(crate) verifier: Verifier,
}

impl Instance {
    /// An instance whose keys have not been fetched, on a server with this script.
    pub(crate) async fn cold(timeout: Duration, script: Script) -> Self {
        Self::at(Server::start(script).await, timeout)
    }

    /// An instance whose keys have been fetched and are due for a refresh, on a server that now has this script.
    pub(crate) async fn warm(timeout: Duration, script: Script) -> Self {
        let instance = Self::cold(timeout, keys()).await;
        instance.verify(&instance.token()).await.expect("a good token");
        instance.clock.advance(INTERVAL);
        instance.server.respond(script);
        instance
    }

    pub(crate) fn at(server: Server, timeout: Duration) -> Self {
        let clock = ManualClock::new();
        let config = ClerkConfig::from_frontend_api_url(server.url()).and_then(|config| config.jwks_timeout(timeout));
        let builder = Verifier::builder(config.expect("a configuration")).clock(clock.clone());
        Self { clock, server, verifier: builder.build().expect("a verifier") }
    }

    /// A valid token.
    pub(crate) fn token(&self) -> String {
        self.token_of(issuer())
    }

    /// A token of this instance, signed with the issuer's key.
    pub(crate) fn token_of(&self, issuer: &TestIssuer) -> String {
        issuer.token("user_ada").claim("iss", self.server.url()).lifetime(Duration::from_secs(30 * 86_400)).sign()
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        within(self.verifier.verify(token)).await
    }

    /// Verifies a valid token without waiting.
    pub(crate) fn verify_at_once(&self) -> Result<Claims, VerifyError> {
        self.verifier.verify(&self.token()).now_or_never().expect("no waiting")
    }

    /// The error of a valid token whose keys are unavailable.
    pub(crate) async fn failure(&self) -> VerifyError {
        let error = self.verify(&self.token()).await.expect_err("no keys");
        assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
        error
    }

    /// Starts the refresh that is due, without waiting for it.
    pub(crate) fn start_refresh(&self) {
        assert_eq!(self.verify_at_once().expect("a good token").user_id(), "user_ada");
    }

    /// The error of the refresh that is due, for a token that waits for it.
    pub(crate) async fn refresh_failure(&self) -> VerifyError {
        self.start_refresh();
        let error = self.verify(&self.token_of(successor())).await.expect_err("no such key");
        assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
        error
    }
}

/// Asserts that this script is a failure, with earlier keys and without, and that
/// the verifier recovers when the server does.
pub(crate) async fn is_a_failure(script: Script, kind: FetchErrorKind) {
    fails(PATIENT, script, kind).await;
}

/// Asserts the same for a response that never ends.
pub(crate) async fn runs_out_of_time(script: Script) {
    fails(HASTY, script, FetchErrorKind::Timeout).await;
}

async fn fails(timeout: Duration, script: Script, kind: FetchErrorKind) {
    let instance = Instance::cold(timeout, script.clone()).await;
    leaves_no_keys(&instance, kind).await;
    assert_eq!(instance.server.connections().await, 1);

    instance.server.respond(keys());
    instance.clock.advance(Duration::from_secs(5));
    instance.verify(&instance.token()).await.expect("a good token");
    assert_eq!(instance.verifier.keys_status().last_error, None);
    assert_eq!(instance.server.connections().await, 2);

    instance.server.respond(script);
    instance.clock.advance(INTERVAL);
    leaves_the_old_keys(&instance, kind).await;
    assert_eq!(instance.server.connections().await, 3);

    instance.server.respond(document(&successor().jwks()));
    instance.clock.advance(Duration::from_secs(60));
    instance.verify(&instance.token_of(successor())).await.expect("the new key");
    assert_eq!(instance.server.connections().await, 4);
    let withdrawn = instance.verify(&instance.token()).await.expect_err("the old key is withdrawn");
    assert_eq!(withdrawn.kind(), VerifyErrorKind::UnknownKey);
}

async fn leaves_no_keys(instance: &Instance, kind: FetchErrorKind) {
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(kind));
    for _ in 0..20 {
        let error = instance.verify_at_once().expect_err("no keys");
        assert_eq!((error.kind(), error.fetch_error_kind()), (VerifyErrorKind::KeysUnavailable, Some(kind)));
    }
    let forged = instance.verify(&instance.token_of(other_issuer())).await.expect_err("no keys");
    assert_eq!(forged.kind(), VerifyErrorKind::KeysUnavailable);
    let status = instance.verifier.keys_status();
    assert_eq!((status.keys, status.age, status.last_error), (0, None, Some(kind)));
}

async fn leaves_the_old_keys(instance: &Instance, kind: FetchErrorKind) {
    assert_eq!(instance.refresh_failure().await.fetch_error_kind(), Some(kind));
    for _ in 0..20 {
        instance.verify_at_once().expect("the old key");
    }
    let forged = instance.verify(&instance.token_of(other_issuer())).await.expect_err("forged");
    assert_eq!(forged.kind(), VerifyErrorKind::InvalidSignature);
    let status = instance.verifier.keys_status();
    assert_eq!((status.keys, status.age, status.last_error), (1, Some(INTERVAL), Some(kind)));
}

/// Asserts that this script provides the instance's keys and no others.
pub(crate) async fn is_accepted(script: Script) {
    let instance = Instance::cold(PATIENT, script).await;
    instance.verify(&instance.token()).await.expect("a good token");
    let forged = instance.verify(&instance.token_of(other_issuer())).await.expect_err("forged");
    assert_eq!(forged.kind(), VerifyErrorKind::InvalidSignature);
    assert_eq!(instance.server.connections().await, 1);
}

/// The keys of the instance.
pub(crate) fn keys() -> Script {
    document(&issuer().jwks())
}

pub(crate) fn document(text: &str) -> Script {
    response("200 OK", &[("Content-Type", "application/json")], text)
}

/// A response with a `Content-Length`.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Script {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    vec![Step::Write([head.as_bytes(), b"\r\n", body].concat())]
}

/// These bytes, and then nothing until the client disconnects.
pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> Script {
    vec![Step::Write(bytes.as_ref().to_vec()), Step::Hang]
}

/// A response that waits until it is released.
pub(crate) fn held(mut script: Script) -> Script {
    script.insert(0, Step::Hold);
    script
}

/// The instance's next key, with another `kid`.
pub(crate) fn successor() -> &'static TestIssuer {
    static SUCCESSOR: OnceLock<TestIssuer> = OnceLock::new();
    SUCCESSOR.get_or_init(|| {
        let issuer = TestIssuer::new().clock(ManualClock::new());
        issuer.rotate();
        issuer
    })
}
