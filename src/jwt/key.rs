//! Public RSA keys: which are usable, and verifying a signature with one.
//!
//! A member of a key set is usable if
//!
//! - it is a JSON object with unique member names (RFC 7517, section 4) and `kty` is `RSA`;
//! - `use` is absent or `sig`, and `key_ops` is absent or contains `verify`;
//! - `alg` is absent, RS256, RS384 or RS512;
//! - `kid` is a string of 1 to 255 bytes;
//! - the modulus is odd and has 2048 to 8192 bits;
//! - the exponent is odd and has 2 to 33 bits, and is at most 65537 if the modulus has more than 4096 bits.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest::{Digest, SHA256, SHA384, SHA512, digest},
    rsa::{PublicKey, PublicKeyComponents},
    signature::{
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
        RsaParameters,
    },
    try_fips_mode,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};

use super::{
    compact::{Compact, Payload},
    digest::sha256,
    header::{Algorithm, is_key_id},
};
use crate::json::{Object, Value};

/// A public RSA key, checked and parsed once, with the one algorithm that it verifies (RFC 8725, section 3.1).
///
/// A value of this type is strong enough and fit for signatures; there is no other constructor than the two that check.
pub(crate) struct VerifyingKey {
    algorithm: Algorithm,
    /// Whether the crypto library is its FIPS module, asked once and not for each token.
    is_fips: bool,
    key: ParsedPublicKey,
    /// Shared with the cached tokens that it signed.
    kid: Arc<str>,
    /// The length of the modulus in bits.
    length: usize,
    /// The SHA-256 JWK thumbprint (RFC 7638).
    thumbprint: [u8; 32],
}

/// The payload of a token whose signature was verified.
///
/// [`VerifyingKey::verify`] is the only place that makes one: every decision to trust a payload can be found from
/// there.
pub(crate) struct VerifiedPayload<'p>(Payload<'p>);

/// Why a member of a key set, or a PEM, is no usable key. The text completes "jwt_key …" in a configuration error; in a
/// fetched set the member is only counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unusable(pub(crate) &'static str);

impl Algorithm {
    /// Hashes a message for this algorithm.
    fn digest(self, message: &[u8]) -> Digest {
        let algorithm = match self {
            Self::Rs256 => &SHA256,
            Self::Rs384 => &SHA384,
            Self::Rs512 => &SHA512,
        };
        digest(algorithm, message)
    }

    /// The parameters of aws-lc for this algorithm. They accept keys of 2048 to 8192 bits only.
    fn parameters(self) -> &'static RsaParameters {
        match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        }
    }
}

impl VerifyingKey {
    /// Parses one member of a key set (RFC 7517, section 4).
    ///
    /// `use`, `key_ops` and `alg` restrict a key, so a key whose restriction is of the wrong type is not usable. `null`
    /// is checked separately: serde would read it as absent, and the key would lose its restriction. A key without
    /// `alg` verifies RS256, the algorithm of Clerk's session tokens.
    pub(crate) fn from_jwk(text: &str) -> Result<Self, Unusable> {
        let members = Object::parse(text).map_err(|_| Unusable("not a JSON object with unique members"))?;
        if ["alg", "key_ops", "use"].iter().any(|name| matches!(members.get(name), Some(Value::Null))) {
            return Err(Unusable("a null member"));
        }
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| Unusable("a member of a wrong type"))?;
        let AlgorithmParameters::RSA(rsa) = jwk.algorithm else {
            return Err(Unusable("not an RSA key"));
        };
        if jwk.common.public_key_use.is_some_and(|usage| usage != PublicKeyUse::Signature) {
            return Err(Unusable("not for signatures"));
        }
        if jwk.common.key_operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
            return Err(Unusable("not for verifying"));
        }
        let algorithm = match jwk.common.key_algorithm {
            None | Some(KeyAlgorithm::RS256) => Algorithm::Rs256,
            Some(KeyAlgorithm::RS384) => Algorithm::Rs384,
            Some(KeyAlgorithm::RS512) => Algorithm::Rs512,
            Some(_) => return Err(Unusable("not an algorithm that Clerk uses")),
        };
        let kid = jwk.common.key_id.unwrap_or_default();
        if !is_key_id(&kid) {
            return Err(Unusable("no usable kid"));
        }
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Unusable("not base64url"));
        Self::from_components(&decode(&rsa.n)?, &decode(&rsa.e)?, algorithm, kid.into())
    }

    /// Parses a public key in DER, SPKI (RFC 5280) or PKCS#1 (RFC 8017). DER names no algorithm of a JWS, so it is
    /// RS256, the algorithm of Clerk's session tokens.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Unusable> {
        let key = PublicKey::from_der(der).map_err(|_| Unusable("is not an RSA public key"))?;
        Self::from_components(
            key.modulus().big_endian_without_leading_zero(),
            key.exponent().big_endian_without_leading_zero(),
            Algorithm::Rs256,
            Arc::default(),
        )
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` of the key in its set; empty for a key from a PEM.
    pub(crate) fn kid(&self) -> &Arc<str> {
        &self.kid
    }

    /// The length of the modulus in bits, which decides what a verification costs.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The SHA-256 JWK thumbprint (RFC 7638), which is the same in every document that has the key.
    pub(crate) fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// Whether it is the same key for the same algorithm. The `kid` may differ: it is a name, not a part of the key.
    pub(crate) fn is_same(&self, thumbprint: &[u8; 32], algorithm: Algorithm) -> bool {
        self.thumbprint == *thumbprint && self.algorithm == algorithm
    }

    /// Verifies the signature of the token with this key; hands the token back for the next key if it does not fit.
    ///
    /// The caller has compared `alg` with [`algorithm`](Self::algorithm). Even if it had not, the header could not
    /// choose: this verifies with the algorithm of the key.
    #[expect(clippy::result_large_err, reason = "the token is handed back for the next key, it is no error to carry")]
    pub(crate) fn verify<'p>(&self, token: Compact<'p>) -> Result<VerifiedPayload<'p>, Compact<'p>> {
        let (message, signature) = (token.signing_input, token.signature);
        // Hashing the message first is cheaper, but verifying a digest is no approved service of the FIPS module.
        let verified = if self.is_fips {
            self.key.verify_sig(message, signature)
        } else {
            self.key.verify_digest_sig(&self.algorithm.digest(message), signature)
        };
        match verified {
            Ok(()) => Ok(VerifiedPayload(token.payload)),
            Err(_) => Err(token),
        }
    }

    /// Checks the components and makes a key.
    ///
    /// aws-lc rejects weak components only when it verifies. They are checked here, so that a weak key is skipped in a
    /// set, and fails at start if it is configured. RFC 7518, section 3.3, requires at least 2048 bits; the other
    /// limits are those of aws-lc, except for [`LONG_KEY_EXPONENT`]. Leading zeros do not count: otherwise one key
    /// would have several sizes and thumbprints.
    fn from_components(n: &[u8], e: &[u8], algorithm: Algorithm, kid: Arc<str>) -> Result<Self, Unusable> {
        let (n, e) = (strip_leading_zeros(n), strip_leading_zeros(e));
        let length = bit_length(n);
        if !(2048..=8192).contains(&length) {
            return Err(Unusable("is not an RSA key of 2048 to 8192 bits"));
        }
        if !is_odd(n) {
            return Err(Unusable("has an even modulus"));
        }
        if !is_odd(e) || !(2..=33).contains(&bit_length(e)) {
            return Err(Unusable("has an exponent that is not odd and 3 to 2^33"));
        }
        if length > 4096 && (e.len(), e) > (LONG_KEY_EXPONENT.len(), LONG_KEY_EXPONENT) {
            return Err(Unusable("has more than 4096 bits and an exponent above 65537"));
        }
        let key = PublicKeyComponents { n, e }
            .to_parsed_public_key(algorithm.parameters())
            .map_err(|_| Unusable("is not an RSA key"))?;
        let [n, e] = [n, e].map(|component| BASE64_URL_SAFE_NO_PAD.encode(component));
        let thumbprint = sha256(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#).as_bytes());
        Ok(Self { algorithm, is_fips: try_fips_mode().is_ok(), key, kid, length, thumbprint })
    }
}

impl<'p> VerifiedPayload<'p> {
    /// The payload. Its claims are authentic but unchecked: the token may be expired, or meant for another service.
    pub(crate) fn payload(&self) -> &Payload<'p> {
        &self.0
    }
}

/// Shows the algorithm only. A public key is no secret, but too long for a log.
impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// RFC 7518, section 6.3.1, forbids leading zero octets, but some issuers write one in front of a high first bit.
fn strip_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.split_at_checked(zeros).map_or(bytes, |(_, rest)| rest)
}

/// The length in bits of a big-endian number without leading zero octets.
fn bit_length(bytes: &[u8]) -> usize {
    let unused = bytes.first().map_or(0, |byte| usize::try_from(byte.leading_zeros()).unwrap_or(8));
    bytes.len() * 8 - unused
}

fn is_odd(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(|byte| byte & 1 == 1)
}

/// 65537 in big-endian octets: the highest exponent of a key of more than 4096 bits. Nearly all keys have it. With the
/// highest one that aws-lc takes, each forged token would cost almost three times as much.
const LONG_KEY_EXPONENT: &[u8] = &[1, 0, 1];

#[cfg(test)]
mod tests {
    use super::*;

    fn jwk(n: &[u8], e: &[u8], more: &str) -> String {
        let [n, e] = [n, e].map(|component| BASE64_URL_SAFE_NO_PAD.encode(component));
        format!(r#"{{"kty":"RSA","kid":"ins_a","n":"{n}","e":"{e}"{more}}}"#)
    }

    /// An odd number of `bits` bits; nothing here needs its factors.
    fn modulus(bits: usize) -> Vec<u8> {
        let mut bytes = vec![0xa5; bits.div_ceil(8)];
        if !bits.is_multiple_of(8) {
            bytes[0] = 1 << (bits % 8 - 1);
        }
        bytes
    }

    const E: &[u8] = &[1, 0, 1];

    fn reason(text: &str) -> &'static str {
        VerifyingKey::from_jwk(text).unwrap_err().0
    }

    #[test]
    fn keys_of_2048_to_8192_bits_are_accepted() {
        for bits in [2048, 2049, 3072, 4096, 8192] {
            assert!(VerifyingKey::from_jwk(&jwk(&modulus(bits), E, "")).is_ok(), "{bits}");
        }
        for bits in [0, 512, 1024, 2047, 8193, 16384] {
            assert!(reason(&jwk(&modulus(bits), E, "")).contains("2048 to 8192"), "{bits}");
        }
    }

    #[test]
    fn leading_zero_octets_count_for_nothing() {
        let mut padded = vec![0; 3];
        padded.extend(modulus(2048));
        let key = VerifyingKey::from_jwk(&jwk(&padded, &[0, 1, 0, 1], "")).unwrap();
        let plain = VerifyingKey::from_jwk(&jwk(&modulus(2048), E, "")).unwrap();
        assert_eq!(key.thumbprint(), plain.thumbprint());
        let mut short = vec![0; 129];
        short.extend(modulus(1024));
        assert!(reason(&jwk(&short, E, "")).contains("2048 to 8192"));
    }

    #[test]
    fn keys_with_weak_components_are_rejected() {
        let mut even = modulus(2048);
        *even.last_mut().unwrap() = 2;
        assert_eq!(reason(&jwk(&even, E, "")), "has an even modulus");
        assert!(VerifyingKey::from_jwk(&jwk(&modulus(2048), &[3], "")).is_ok());
        assert!(VerifyingKey::from_jwk(&jwk(&modulus(2048), &[1, 0xff, 0xff, 0xff, 0xff], "")).is_ok());
        for e in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[3, 0, 0, 0, 1]] {
            assert!(reason(&jwk(&modulus(2048), e, "")).contains("exponent"), "{e:?}");
        }
    }

    #[test]
    fn a_key_of_more_than_4096_bits_has_an_exponent_of_at_most_65537() {
        let highest: &[u8] = &[1, 0xff, 0xff, 0xff, 0xff];
        for (bits, e) in
            [(4096, highest), (4096, &[1, 0, 3]), (4097, E), (8192, E), (8192, &[3]), (8192, &[0, 1, 0, 1])]
        {
            let key = VerifyingKey::from_jwk(&jwk(&modulus(bits), e, "")).unwrap();
            assert_eq!(key.length(), bits);
        }
        for (bits, e) in
            [(4097, highest), (8192, highest), (4097, &[1, 0, 3]), (8192, &[1, 0, 3]), (8192, &[1, 0, 0, 1])]
        {
            let expected = "has more than 4096 bits and an exponent above 65537";
            assert_eq!(reason(&jwk(&modulus(bits), e, "")), expected, "{bits} {e:?}");
        }
    }

    #[test]
    fn members_say_what_a_key_is_for() {
        let with = |more: &str| VerifyingKey::from_jwk(&jwk(&modulus(2048), E, more));
        for more in [
            r#","use":"sig""#,
            r#","alg":"RS256""#,
            r#","alg":"RS384""#,
            r#","alg":"RS512""#,
            r#","key_ops":["verify"]"#,
            r#","key_ops":["sign","verify"]"#,
            r#","d":"AQAB","p":7"#,
            r#","x":[1,{"y":null}]"#,
        ] {
            assert!(with(more).is_ok(), "{more}");
        }
        for more in [
            r#","use":"enc""#,
            r#","use":"SIG""#,
            r#","use":null"#,
            r#","use":1"#,
            r#","alg":"PS256""#,
            r#","alg":"HS256""#,
            r#","alg":"RSA-OAEP""#,
            r#","alg":"rs256""#,
            r#","alg":null"#,
            r#","alg":7"#,
            r#","key_ops":["sign"]"#,
            r#","key_ops":[]"#,
            r#","key_ops":"verify""#,
            r#","key_ops":null"#,
            r#","kid":"ins_b""#,
        ] {
            assert!(with(more).is_err(), "{more}");
        }
    }

    #[test]
    fn a_kid_is_a_text_of_1_to_255_bytes() {
        let with = |kid: &str| {
            let text = jwk(&modulus(2048), E, "").replace(r#""ins_a""#, kid);
            VerifyingKey::from_jwk(&text).map(|key| key.kid().to_string())
        };
        assert_eq!(with(r#""ins_\u0062""#).unwrap(), "ins_b");
        assert!(with(&format!("\"{}\"", "a".repeat(255))).is_ok());
        for kid in [format!("\"{}\"", "a".repeat(256)), "\"\"".into(), "7".into(), "null".into(), "[\"a\"]".into()] {
            assert!(with(&kid).is_err(), "{kid}");
        }
        let without = jwk(&modulus(2048), E, "").replace(r#""kid":"ins_a","#, "");
        assert_eq!(reason(&without), "no usable kid");
    }

    #[test]
    fn other_kinds_of_keys_are_no_keys() {
        for text in [
            r#"{"kty":"oct","kid":"a","k":"AAAA"}"#,
            r#"{"kty":"EC","kid":"a","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"OKP","kid":"a","crv":"Ed25519","x":"AAAA"}"#,
            r#"{"kty":"rsa","kid":"a"}"#,
            r#"{"kid":"a"}"#,
            "{}",
            "[]",
            "7",
            "null",
            "\"a\"",
        ] {
            assert!(VerifyingKey::from_jwk(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_thumbprint_is_that_of_rfc_7638() {
        // The example of RFC 7638, section 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let text = format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#);
        let key = VerifyingKey::from_jwk(&text).unwrap();
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(key.thumbprint()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
