use std::sync::Arc;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::json;

use super::expect;

/// An RSA key pair and its `kid`. A [`TokenBuilder`](super::TokenBuilder) keeps a clone, so a token that was started
/// before a rotation is signed with the old key.
#[derive(Clone)]
pub(super) struct SigningKey {
    kid: String,
    pair: Arc<KeyPair>,
}

impl SigningKey {
    /// Generates a key of 2048 bits, the size of Clerk's keys and the smallest one that verifiers accept.
    pub(super) fn generate(kid: String) -> Self {
        Self { kid, pair: Arc::new(expect(KeyPair::generate(KeySize::Rsa2048), "an RSA key")) }
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs with the `alg` of the header if it is RS384 or RS512, otherwise with RS256. A token with a forbidden `alg`
    /// thus has a valid signature, and only the check of `alg` can reject it.
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
        expect(signed, "a signature");
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// Returns the public key with the members that Clerk publishes (RFC 7517, section 4; RFC 7518, section 6.3.1).
    pub(super) fn jwk(&self) -> serde_json::Value {
        let key = self.pair.public_key();
        let n = BASE64_URL_SAFE_NO_PAD.encode(key.modulus().big_endian_without_leading_zero());
        let e = BASE64_URL_SAFE_NO_PAD.encode(key.exponent().big_endian_without_leading_zero());
        json!({ "use": "sig", "kty": "RSA", "kid": self.kid, "alg": "RS256", "n": n, "e": e })
    }

    /// Returns the public key as an SPKI structure in PEM, as Clerk's dashboard shows it.
    pub(super) fn public_key_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = expect(self.pair.public_key().as_der(), "the public key");
        let base64 = BASE64_STANDARD.encode(der.as_ref());
        // RFC 7468, section 2: lines of 64 characters.
        let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}
