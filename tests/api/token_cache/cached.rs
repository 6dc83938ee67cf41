//! Tokens that are in a cache, and texts that differ a little from them.

use std::ptr;

use tower_clerk::{ClerkAuthLayer, claims::Claims, verify::VerifyErrorKind};

use super::entries;
use crate::support::{get, kind_of, layer, send_through};

/// A layer with tokens in its cache. It has its keys, and its clock stands still, so no token ever waits.
pub(super) struct Cached {
    layer: ClerkAuthLayer,
    /// The tokens, with the claims that their only verification returned.
    tokens: Vec<(String, Claims)>,
}

impl Cached {
    pub(super) fn new(tokens: impl IntoIterator<Item = String>) -> Self {
        let layer = layer();
        let verify = |token: String| {
            let claims = layer.verifier().try_verify(&token).expect("a valid token");
            (token, claims)
        };
        let tokens = tokens.into_iter().map(verify).collect();
        let cached = Self { layer, tokens };
        cached.assert_kept();
        cached
    }

    /// Why the verifier rejects this text. It must leave the cache as it is.
    #[track_caller]
    pub(super) fn rejects(&self, text: &str) -> VerifyErrorKind {
        let verdict = kind_of(self.layer.verifier().try_verify(text));
        self.assert_kept();
        verdict.expect_err(text)
    }

    /// The layer rejects a request with this text.
    pub(super) async fn assert_refused(&self, text: &str) {
        let request = get(&[("authorization", &format!("Bearer {text}"))]);
        send_through(&self.layer, request).await.assert_rejected(401, "invalid_token");
    }

    /// The layer admits each token, and by a hit.
    pub(super) async fn assert_admitted(&self) {
        for (token, first) in &self.tokens {
            let request = get(&[("authorization", &format!("Bearer {token}"))]);
            let user = send_through(&self.layer, request).await.passed().user.expect("a user");
            assert!(is_hit(first, user.claims()), "{token}");
        }
        self.assert_kept();
    }

    /// Each token is still a hit, and nothing else is cached.
    #[track_caller]
    fn assert_kept(&self) {
        for (token, first) in &self.tokens {
            assert!(is_hit(first, &self.layer.verifier().try_verify(token).expect("a valid token")), "{token}");
        }
        assert_eq!(entries(self.layer.verifier()), self.tokens.len());
    }
}

/// Whether `later` came from the cache: a hit shares the text of the claims, another verification makes a new one.
pub(super) fn is_hit(first: &Claims, later: &Claims) -> bool {
    ptr::eq(first.as_json(), later.as_json())
}

/// Header, payload and signature.
pub(super) fn segments(token: &str) -> [&str; 3] {
    let segments: Vec<_> = token.split('.').collect();
    segments.try_into().expect("three segments")
}

/// The text with another character in this place.
pub(super) fn replaced(text: &str, at: usize, character: char) -> String {
    format!("{}{character}{}", &text[..at], &text[at + 1..])
}

/// The base64url character whose value differs in these bits.
pub(super) fn flipped(character: char, bits: usize) -> char {
    let value = BASE64URL.iter().position(|other| char::from(*other) == character).expect("a base64url character");
    BASE64URL[value ^ bits].into()
}

/// In characters: tokens with the same end have the same key in the cache.
pub(super) const END: usize = 32;
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
