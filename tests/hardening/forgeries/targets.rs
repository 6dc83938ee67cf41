//! The levels at which each row of the table is tested.

use std::{collections::HashSet, fmt::Display};

use http::{HeaderValue, header::AUTHORIZATION};
use serde_json::Value;
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, Rejection, Verifier,
    claims::Claims,
    testing::ManualClock,
    verify::{Instance, VerifyError, VerifyErrorKind},
};
use tower_layer::Layer;

use super::{
    forge::ISSUER,
    servers::{Endpoint, Server},
    table::{Row, assert_tells_nothing, status, verifier_at, verifier_of},
};
use crate::support::{GatedSource, Recorder, request, send};

/// Everything that trusts one set of keys: verifiers, a layer, and two servers behind it. Layer and servers fetch the
/// set over a socket.
pub(crate) struct Targets {
    axum: Server,
    hyper: Server,
    inner: Recorder,
    jwks: String,
    keys: Endpoint,
    layer: ClerkAuthLayer,
    verifier: Verifier,
}

impl Targets {
    pub(crate) async fn start(jwks: &impl Display) -> Self {
        let jwks = jwks.to_string();
        let keys = Endpoint::serve(jwks.clone()).await;
        let (layer, inner) = (ClerkAuthLayer::from(verifier_at(&keys)), Recorder::default());
        Self {
            axum: Server::axum(&layer, &inner).await,
            hyper: Server::hyper(&layer, &inner).await,
            verifier: verifier_of(&jwks),
            inner,
            jwks,
            keys,
            layer,
        }
    }

    /// Tries every row at every level.
    pub(crate) async fn check(&self, rows: &[Row]) {
        assert!(!rows.is_empty());
        let mut neighbours = HashSet::new();
        for row in rows {
            self.check_verifiers(row).await;
            self.check_layer(row).await;
            // A neighbour that many rows share is sent over sockets only once.
            self.check_servers(row, neighbours.insert(&row.neighbour)).await;
        }
        // One fetch for the first token that needs a key, and two for an unknown `kid`.
        let fetches = self.keys.connections().await;
        assert!(fetches <= 3, "{fetches}");
    }

    pub(crate) fn servers(&self) -> [&Server; 2] {
        [&self.hyper, &self.axum]
    }

    /// The number of requests that reached the protected service.
    pub(crate) fn calls(&self) -> usize {
        self.inner.calls()
    }

    async fn check_verifiers(&self, row: &Row) {
        // Twice, because the cached neighbour must not influence the verdict.
        for _ in 0..2 {
            assert_rejection(row, &self.verifier.try_verify(&row.attack));
            assert_ada(row, &self.verifier.try_verify(&row.neighbour));
        }

        let (cold, source) = cold_verifier(&self.jwks);
        assert_rejection(row, &cold.verify(&row.attack).await);
        let fetched = source.fetches();
        let expected = if row.needs_no_key() { 0..=0 } else { usize::from(row.rejected.is_some())..=1 };
        assert!(expected.contains(&fetched), "{}: {fetched} fetches", row.case);
        assert_ada(row, &cold.verify(&row.neighbour).await);
        assert_eq!(source.fetches(), 1, "{}", row.case);
    }

    async fn check_layer(&self, row: &Row) {
        // A header value cannot contain control characters. They are sent over a socket instead.
        let Ok(credential) = HeaderValue::from_bytes(format!("Bearer {}", row.attack).as_bytes()) else { return };
        let calls = self.inner.calls();
        let (status, head, body) = self.ask_layer(credential).await;
        assert_eq!(status, row.status(), "{}", row.case);
        let problem: Value = serde_json::from_str(&body).expect("a problem document");
        assert_eq!(problem["code"], row.code(), "{}", row.case);
        assert_tells_nothing(&row.case, &row.attack, &format!("{head}\n{body}"));
        assert_eq!(self.inner.calls(), calls, "{}", row.case);

        let credential = HeaderValue::try_from(format!("Bearer {}", row.neighbour)).expect("a header value");
        let (status, _, body) = self.ask_layer(credential).await;
        assert_eq!((status, body.as_str()), (200, "user_ada"), "{}", row.case);
        assert_eq!(self.inner.calls(), calls + 1, "{}", row.case);
    }

    /// Status, headers and rejection, and body of the response.
    async fn ask_layer(&self, credential: HeaderValue) -> (u16, String, String) {
        let mut request = request("GET", "/me", &[]);
        request.headers_mut().insert(AUTHORIZATION, credential);
        let answer = send(&self.layer.layer(self.inner.clone()), request).await;
        let head = match answer.parts.extensions.get::<Rejection>() {
            Some(rejection) => format!("{rejection} {rejection:?} {:?}", answer.parts.headers),
            None => String::new(),
        };
        (answer.status(), head, answer.text)
    }

    async fn check_servers(&self, row: &Row, with_neighbour: bool) {
        // Without a raised limit, hyper rejects heads of more than 400 KiB before the layer.
        for (server, longest) in [(&self.hyper, usize::MAX), (&self.axum, 256 * 1024)] {
            let calls = self.inner.calls();
            if row.attack.len() <= longest {
                let answer = server.exchange(&get(&row.attack)).await;
                assert_eq!(status(&answer), row.status(), "{}: {answer}", row.case);
                assert_tells_nothing(&row.case, &row.attack, &answer);
                assert_eq!(self.inner.calls(), calls, "{}", row.case);
            }
            if !with_neighbour {
                continue;
            }
            let answer = server.exchange(&get(&row.neighbour)).await;
            assert!(status(&answer) == 200 && answer.ends_with("\r\n\r\nuser_ada"), "{}: {answer}", row.case);
            assert_eq!(self.inner.calls(), calls + 1, "{}", row.case);
        }
    }
}

/// A verifier without keys, and its source.
fn cold_verifier(jwks: &str) -> (Verifier, GatedSource) {
    let source = GatedSource::serving(jwks.to_owned());
    let config = ClerkConfig::from_frontend_api_url(ISSUER).expect("a configuration");
    let builder = Verifier::builder(Instance::new(config).key_source(source.clone())).clock(ManualClock::new());
    (builder.build().expect("a verifier"), source)
}

/// A request with this credential. It closes the connection.
fn get(token: &str) -> Vec<u8> {
    format!("GET /me HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n").into()
}

fn assert_rejection(row: &Row, verified: &Result<Claims, VerifyError>) {
    let Err(error) = verified else { panic!("accepted: {} {}", row.case, row.attack) };
    match row.rejected {
        Some(kind) => assert_eq!(error.kind(), kind, "{}", row.case),
        None => assert_ne!(error.kind(), VerifyErrorKind::KeysUnavailable, "{}", row.case),
    }
    assert_tells_nothing(&row.case, &row.attack, &format!("{error} {error:?}"));
}

fn assert_ada(row: &Row, verified: &Result<Claims, VerifyError>) {
    let claims = verified.as_ref().unwrap_or_else(|error| panic!("rejected: neighbour of {}: {error}", row.case));
    assert_eq!(claims.user_id(), "user_ada", "{}", row.case);
}
