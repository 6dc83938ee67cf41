//! RSA keys, the documents that publish them, and the tokens that they sign.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub(crate) struct Key {
    pub(crate) kid: String,
    pair: KeyPair,
}

impl Key {
    pub(crate) fn generate(kid: String) -> Self {
        Self { kid, pair: KeyPair::generate(KeySize::Rsa2048).expect("an RSA key") }
    }

    /// The public key under a `kid`, which may be another than its own.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let key = self.pair.public_key();
        let n = BASE64_URL_SAFE_NO_PAD.encode(key.modulus().big_endian_without_leading_zero());
        let e = BASE64_URL_SAFE_NO_PAD.encode(key.exponent().big_endian_without_leading_zero());
        json!({ "use": "sig", "kty": "RSA", "kid": kid, "alg": "RS256", "n": n, "e": e })
    }

    /// Signs the claims under a `kid`, which may be another than its own.
    pub(crate) fn sign(&self, kid: &str, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid, "cat": "cl_B7d4PD111AAA" });
        let [header, claims] = [&header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .expect("a signature");
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
