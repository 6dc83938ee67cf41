//! Valid and forged tokens, with public test keys.

use std::sync::OnceLock;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeyPair,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::Serialize;
use serde_json::{Value, json};

/// The issuer whose tokens are accepted.
pub(crate) const ISSUER: &str = "https://clerk.test.example";
/// The `kid` of the trusted key.
pub(crate) const KID: &str = "ins_trusted";
/// The time of `ManualClock` in Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// A private key.
pub(crate) struct Signer {
    pair: KeyPair,
}

/// The key that is published under [`KID`].
pub(crate) fn trusted() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| Signer::read(include_str!("fixtures/trusted.pem")))
}

/// An attacker's key. It is valid but not trusted.
pub(crate) fn stranger() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| Signer::read(include_str!("fixtures/stranger.pem")))
}

impl Signer {
    fn read(pem: &str) -> Self {
        let block = pem::parse(pem).expect("a PEM block");
        Self { pair: KeyPair::from_der(block.contents()).expect("an RSA key") }
    }

    pub(crate) fn sign(&self, header: &Value, payload: &Value) -> String {
        self.sign_bytes(header.to_string(), payload.to_string())
    }

    /// Signs a header and a payload without changing them.
    pub(crate) fn sign_bytes(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.seal(&message(header, payload))
    }

    /// Signs two segments without changing them.
    pub(crate) fn seal(&self, message: &str) -> String {
        attach(message, self.signature(&RSA_PKCS1_SHA256, message))
    }

    pub(crate) fn signature(&self, encoding: &'static dyn RsaEncoding, message: &str) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("a signature");
        signature
    }

    /// The public key as a member of a JWKS.
    pub(crate) fn jwk(&self, kid: impl Serialize) -> Value {
        let key = self.pair.public_key();
        let e = encode(key.exponent().big_endian_without_leading_zero());
        json!({ "alg": "RS256", "e": e, "kid": kid, "kty": "RSA", "n": encode(self.modulus()), "use": "sig" })
    }

    pub(crate) fn modulus(&self) -> &[u8] {
        self.pair.public_key().modulus().big_endian_without_leading_zero()
    }

    /// The public key in the format of `CLERK_JWT_KEY`.
    pub(crate) fn pem(&self) -> String {
        pem_of(&self.spki(), "PUBLIC KEY")
    }

    /// The public key in PKCS#1 (RFC 8017, appendix A.1.1).
    pub(crate) fn pkcs1(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The public key in SPKI (RFC 5280, section 4.1).
    pub(crate) fn spki(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().expect("the public key");
        der.as_ref().to_vec()
    }
}

/// The set with only the trusted key.
pub(crate) fn jwks() -> Value {
    jwks_of(&[trusted().jwk(KID)])
}

pub(crate) fn jwks_of(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

/// The header of a valid token.
pub(crate) fn header() -> Value {
    json!({ "alg": "RS256", "kid": KID, "typ": "JWT" })
}

/// The payload of a valid token.
pub(crate) fn payload() -> Value {
    json!({ "exp": NOW + 60, "iat": NOW, "iss": ISSUER, "nbf": NOW - 10, "sid": "sess_test", "sub": "user_ada" })
}

/// Header and payload of a valid token with another `alg`.
pub(crate) fn message_with_alg(alg: &str) -> String {
    message(with(header(), "alg", alg).to_string(), payload().to_string())
}

/// A valid token.
pub(crate) fn good() -> String {
    trusted().sign(&header(), &payload())
}

/// The object with this member added or replaced.
pub(crate) fn with(mut object: Value, name: &str, value: impl Serialize) -> Value {
    object[name] = serde_json::to_value(value).expect("JSON");
    object
}

pub(crate) fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().expect("an object").remove(name);
    object
}

/// The object as JSON text, with these members appended as they are.
pub(crate) fn appended(object: &Value, members: &str) -> String {
    let text = object.to_string();
    format!("{},{members}}}", text.strip_suffix('}').expect("an object"))
}

/// The first two segments.
pub(crate) fn message(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", encode(header), encode(payload))
}

pub(crate) fn attach(message: &str, signature: impl AsRef<[u8]>) -> String {
    format!("{message}.{}", encode(signature))
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The message under an HMAC with this secret.
pub(crate) fn authenticated(message: &str, algorithm: hmac::Algorithm, secret: &[u8]) -> String {
    attach(message, hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes()))
}

/// PEM in lines of 64 characters that end with a line feed.
pub(crate) fn pem_of(der: &[u8], tag: &str) -> String {
    pem::encode_config(&pem::Pem::new(tag, der), pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

/// The stranger's certificate in the format of `x5c`.
pub(crate) fn certificate() -> String {
    let block = pem::parse(include_str!("fixtures/stranger.crt")).expect("a certificate");
    BASE64_STANDARD.encode(block.contents())
}

/// A part of `fixtures/vectors.json`, which documents how it was generated.
pub(crate) fn vectors(part: &str) -> &'static Value {
    static VECTORS: OnceLock<Value> = OnceLock::new();
    let vectors = VECTORS.get_or_init(|| serde_json::from_str(include_str!("fixtures/vectors.json")).expect("JSON"));
    vectors.get(part).expect("a part of the vectors")
}

/// The names and texts of a group of vectors.
pub(crate) fn texts(group: &'static Value) -> impl Iterator<Item = (&'static str, &'static str)> {
    let members = group.as_object().expect("a group").iter();
    members.map(|(name, text)| (name.as_str(), text.as_str().expect("a text")))
}
