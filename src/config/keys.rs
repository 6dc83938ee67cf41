//! The keys in the configuration of an instance: publishable key, secret key, public key and JWK Set.
//!
//! Each is parsed into a type of its own that redacts its `Debug`, so that a configuration can be logged.

use std::{fmt, sync::Arc};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
    prelude::BASE64_STANDARD,
};

use super::{ConfigError, FrontendApi, url::Host};
use crate::jwt::{KeySet, KeySetError, VerifyingKey};

/// A publishable key (`pk_test_…` or `pk_live_…`), which names the Frontend API of its instance.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct PublishableKey {
    frontend_api: FrontendApi,
    key: String,
}

impl PublishableKey {
    /// Parses a publishable key: a prefix, then the base64 of the Frontend API's host and `$`.
    pub(crate) fn parse(key: &str) -> Result<Self, ConfigError> {
        let invalid = |reason| ConfigError::invalid("publishable_key", reason);
        let body = key
            .strip_prefix("pk_test_")
            .or_else(|| key.strip_prefix("pk_live_"))
            .ok_or_else(|| invalid("must start with pk_test_ or pk_live_"))?;
        let host = decode_like_atob(body).ok_or_else(|| invalid("is not base64 after its prefix"))?;
        let host = host
            .strip_suffix('$')
            .filter(|host| {
                host.contains('.') && matches!(Host::of_authority(host), Some(Host::Name(name)) if name == *host)
            })
            .ok_or_else(|| invalid("does not name a host"))?;
        let frontend_api = FrontendApi::parse(host).map_err(|_| invalid("does not name a host"))?;
        Ok(Self { frontend_api, key: key.to_owned() })
    }

    /// Returns the Frontend API that the key names.
    pub(crate) fn frontend_api(&self) -> &FrontendApi {
        &self.frontend_api
    }

    /// Returns the key exactly as configured. The suffix of Clerk's cookies is a digest of it, base64 padding included.
    pub(crate) fn as_str(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for PublishableKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PublishableKey").field(&self.frontend_api.as_str()).finish()
    }
}

/// A secret key (`sk_test_…` or `sk_live_…`). It is sent to the Backend API to fetch keys, and nowhere else.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct SecretKey(String);

impl SecretKey {
    /// Parses a secret key. Only visible ASCII is accepted, since the key becomes a header value.
    pub(crate) fn parse(key: &str) -> Result<Self, ConfigError> {
        let invalid = |reason| Err(ConfigError::invalid("secret_key", reason));
        if key.starts_with("pk_") {
            return invalid("is a publishable key");
        }
        // `test_` and `live_` are the prefixes of keys made before publishable keys existed.
        let body = ["sk_test_", "sk_live_", "test_", "live_"].iter().find_map(|prefix| key.strip_prefix(prefix));
        match body {
            None => invalid("must start with sk_test_ or sk_live_"),
            Some(body) if body.is_empty() || !body.bytes().all(|byte| byte.is_ascii_graphic()) => {
                invalid("contains characters that no secret key has")
            }
            Some(_) => Ok(Self(key.to_owned())),
        }
    }

    /// Returns the secret. The name makes each use easy to find in a review.
    #[cfg_attr(not(feature = "reqwest"), expect(dead_code, reason = "sent only with a fetch over HTTP"))]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey(..)")
    }
}

/// The instance's public key ("JWKS Public Key" in Clerk's dashboard), for verifying without requests.
///
/// Environment variables and secret stores change line breaks, so several forms are accepted: PEM (RFC 7468) on many
/// lines or one, PEM with its line breaks written as `\n`, and the base64 without the PEM markers. The key is an SPKI
/// (`PUBLIC KEY`) or a PKCS#1 (`RSA PUBLIC KEY`) structure.
#[derive(Clone)]
pub(crate) struct JwtKey(Arc<VerifyingKey>);

impl JwtKey {
    /// Parses the key and checks its strength, so that a weak key fails at start.
    pub(crate) fn parse(key: &str) -> Result<Self, ConfigError> {
        let invalid = |reason| ConfigError::invalid("jwt_key", reason);
        let der = parse_pem(key).map_err(invalid)?;
        let key = VerifyingKey::from_der(&der).map_err(|unusable| invalid(unusable.0))?;
        Ok(Self(Arc::new(key)))
    }

    pub(crate) fn key(&self) -> &Arc<VerifyingKey> {
        &self.0
    }
}

impl PartialEq for JwtKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.thumbprint() == other.0.thumbprint()
    }
}

impl Eq for JwtKey {}

impl fmt::Debug for JwtKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JwtKey(..)")
    }
}

/// A JWK Set (RFC 7517, section 5) in the configuration. The text is kept to compare configurations.
#[derive(Clone)]
pub(crate) struct JwksDocument {
    text: Arc<str>,
    keys: Arc<KeySet>,
}

impl JwksDocument {
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let keys = KeySet::parse(text.as_bytes()).map_err(|error| {
            ConfigError::invalid(
                "jwks",
                match error {
                    KeySetError::InvalidDocument => "is not a JWK Set (RFC 7517, section 5)",
                    KeySetError::NoUsableKey => "has no usable RSA key of 2048 to 8192 bits",
                    KeySetError::TooLarge => "is larger than 512 KiB or has more than 1024 keys",
                },
            )
        })?;
        Ok(Self { text: Arc::from(text), keys: Arc::new(keys) })
    }

    pub(crate) fn keys(&self) -> &Arc<KeySet> {
        &self.keys
    }
}

impl PartialEq for JwksDocument {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for JwksDocument {}

impl fmt::Debug for JwksDocument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("JwksDocument").field(&self.keys.len()).finish()
    }
}

/// Returns the DER of a public key in one of the forms that [`JwtKey`] accepts. The error completes "jwt_key …".
fn parse_pem(key: &str) -> Result<Vec<u8>, &'static str> {
    let text = key.replace("\\r", "").replace("\\n", "\n");
    let text = text.trim();
    let mut blocks = text.split("-----BEGIN ").skip(1);
    let (label, body) = match (blocks.next(), blocks.next()) {
        (None, _) => ("PUBLIC KEY", text),
        (Some(block), None) => block.split_once("-----").ok_or("is not PEM")?,
        (Some(_), Some(_)) => return Err("contains more than one PEM block"),
    };
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
        label if label.ends_with("PRIVATE KEY") => return Err("is a private key; the public key is needed"),
        _ => return Err("is not a public key"),
    }
    let base64 = match body.split_once("-----END ") {
        Some((base64, end)) if end.trim_end() == format!("{label}-----") => base64,
        None if !text.starts_with('-') => body,
        _ => return Err("is not PEM"),
    };
    let base64: String = base64.split_ascii_whitespace().collect();
    let der = BASE64_STANDARD.decode(base64).map_err(|_| "is not base64 between the PEM markers")?;
    if der.is_empty() { Err("is empty") } else { Ok(der) }
}

/// Decodes base64 as the web's `atob` does, which Clerk's SDKs use for publishable keys: the standard alphabet, ASCII
/// whitespace ignored, padding complete or absent, trailing bits ignored.
fn decode_like_atob(text: &str) -> Option<String> {
    let text: String = text.split_ascii_whitespace().collect();
    let unpadded = match text.len() % 4 {
        0 => text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(&text),
        _ => &text,
    };
    let engine = GeneralPurpose::new(&STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));
    String::from_utf8(engine.decode(unpadded).ok()?).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn publishable_keys_follow_clerks_own_rules() {
        for key in [
            "pk_test_Y2xlcmsuY2xlcmsuZGV2JA",
            "pk_test_Y2xlcmsuY2xlcmsuZGV2JA==",
            "pk_live_Y2xlcmsuY2xlcmsuZGV2JA",
            "pk_live_Y2xlcmsuY2xlcmsuZGV2JB",
        ] {
            assert_eq!(PublishableKey::parse(key).unwrap().frontend_api().as_str(), "https://clerk.clerk.dev", "{key}");
        }
        let encode = |text: &str| format!("pk_test_{}", base64::prelude::BASE64_STANDARD_NO_PAD.encode(text));
        assert!(PublishableKey::parse(&encode("a.b$")).is_ok());
        for text in
            ["a.b", "a.b$$", "$a.b$", "a.b$c", "localhost$", "127.0.0.1$", "$", "a.b/c$", "u@a.b$", "a.b:1$", "a .b$"]
        {
            assert!(PublishableKey::parse(&encode(text)).is_err(), "{text}");
        }
        for key in [
            "",
            "pk_test_",
            "PK_test_Y2xlcmsuY2xlcmsuZGV2JA",
            "sk_test_Y2xlcmsuY2xlcmsuZGV2JA",
            "pk_test_a_b",
            "pk_test_Y2xlcmsuY2xlcmsuZGV2JA=",
            "pk_test_Y",
            "pk_test_Y2xl-msuY2xlcmsuZGV2JA",
        ] {
            assert!(PublishableKey::parse(key).is_err(), "{key}");
        }
    }

    #[test]
    fn secret_keys_are_told_from_publishable_ones() {
        assert!(SecretKey::parse("sk_live_abc").is_ok());
        for key in ["", "sk_live_", "sk_live_a b", "sk_live_\n", "abc"] {
            assert!(SecretKey::parse(key).is_err(), "{key}");
        }
        let error = SecretKey::parse("pk_live_abc").unwrap_err().to_string();
        assert_eq!(error, "secret_key is a publishable key");
    }

    #[test]
    fn pem_is_parsed_in_every_form_that_people_have() {
        let base64 = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A";
        let (first, second) = base64.split_at(16);
        let expected = parse_pem(base64).unwrap();
        for text in [
            format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n"),
            format!("-----BEGIN PUBLIC KEY-----\r\n{first}\r\n{second}\r\n-----END PUBLIC KEY-----"),
            format!("-----BEGIN PUBLIC KEY----- {first} {second} -----END PUBLIC KEY-----"),
            format!("-----BEGIN PUBLIC KEY-----{base64}-----END PUBLIC KEY-----"),
            format!("-----BEGIN PUBLIC KEY-----\\n{first}\\n{second}\\n-----END PUBLIC KEY-----\\n"),
            format!("-----BEGIN RSA PUBLIC KEY-----\n  {first}\n  {second}\n-----END RSA PUBLIC KEY-----"),
            format!("{first}\n{second}\n"),
        ] {
            assert_eq!(parse_pem(&text).unwrap(), expected, "{text}");
        }
        let block = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
        for (text, reason) in [
            (String::new(), "is empty"),
            (block.replace("PUBLIC", "PRIVATE"), "is a private key"),
            (block.replace("PUBLIC", "RSA PRIVATE"), "is a private key"),
            (block.replace("PUBLIC KEY", "CERTIFICATE"), "is not a public key"),
            (block.repeat(2), "more than one PEM block"),
            (block.replace("-----END PUBLIC KEY-----", ""), "is not PEM"),
            (block.replace("END PUBLIC KEY", "END RSA PUBLIC KEY"), "is not PEM"),
            ("what is this?".to_owned(), "is not base64"),
        ] {
            let error = parse_pem(&text).unwrap_err();
            assert!(error.contains(reason), "{error} for {text}");
        }
    }

    #[test]
    fn a_jwt_key_is_a_strong_rsa_key_in_either_encoding() {
        let (spki, pkcs1) = (JwtKey::parse(SPKI).unwrap(), JwtKey::parse(PKCS1).unwrap());
        assert_eq!(spki, pkcs1);
        let error = JwtKey::parse("AAAA").unwrap_err().to_string();
        assert_eq!(error, "jwt_key is not an RSA public key");
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let text = format!(
            "{:?} {:?} {:?}",
            SecretKey::parse("sk_live_hunter2").unwrap(),
            JwtKey::parse(SPKI).unwrap(),
            PublishableKey::parse("pk_test_Y2xlcmsuY2xlcmsuZGV2JA").unwrap(),
        );
        assert_eq!(text, r#"SecretKey(..) JwtKey(..) PublishableKey("https://clerk.clerk.dev")"#);
    }

    /// One key of 2048 bits in two encodings.
    pub(in crate::config) const SPKI: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAlBNOpxySBJ31EY6VqKIq3CLbh6nxvjIHRWReOMNchXprYAM5vgNiZYKlQmLdGZHgFcxkG4vUP9tfUEGXCWO+wUxeQc92la2VOpAhhnRzlWIsVaFv01GvNFvKE6cmjBPpijLMv4/zbpZiKAT5WLYNDwQLv9mpzsj1eUZoRo51G3rOBxu0Ycq5xTao49etXT+nJxUji+iSKRtCIS+Yb12XT5JzTAyNpCYIVE9lNT78zl6deyayaPwLJI0ze2CM0EqNINVHk7AvdqBecz0OqkfUAmy+mh5kyGnQd0EYGlhZJJ9VnA0C7C/7sPPwknXpBKBOD3rxIm+hTnog78TyYT1U6wIDAQAB";
    const PKCS1: &str = "-----BEGIN RSA PUBLIC KEY-----\nMIIBCgKCAQEAlBNOpxySBJ31EY6VqKIq3CLbh6nxvjIHRWReOMNchXprYAM5vgNiZYKlQmLdGZHgFcxkG4vUP9tfUEGXCWO+wUxeQc92la2VOpAhhnRzlWIsVaFv01GvNFvKE6cmjBPpijLMv4/zbpZiKAT5WLYNDwQLv9mpzsj1eUZoRo51G3rOBxu0Ycq5xTao49etXT+nJxUji+iSKRtCIS+Yb12XT5JzTAyNpCYIVE9lNT78zl6deyayaPwLJI0ze2CM0EqNINVHk7AvdqBecz0OqkfUAmy+mh5kyGnQd0EYGlhZJJ9VnA0C7C/7sPPwknXpBKBOD3rxIm+hTnog78TyYT1U6wIDAQAB\n-----END RSA PUBLIC KEY-----";
}
