//! The public keys of an instance in the configuration: a PEM or a JWK Set.

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    ConfigError,
    pasted::{Pasted, cleaned, trimmed},
};
use crate::{
    json::Object,
    jwt::{KeySet, KeySetError, VerifyingKey},
};

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
                    KeySetError::InvalidDocument => why_no_jwk_set(text),
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
    let text = cleaned(key)?.replace("\\r", "").replace("\\n", "\n");
    let text = text.trim();
    if let Some(reason) = why_no_pem(text) {
        return Err(reason);
    }
    let mut blocks = text.split("-----BEGIN ").skip(1);
    let (label, body) = match (blocks.next(), blocks.next()) {
        (None, _) => ("PUBLIC KEY", text),
        (Some(block), None) => block.split_once("-----").ok_or("is cut off; give the whole PEM, with its END line")?,
        (Some(_), Some(_)) => return Err("contains more than one PEM block; give the public key alone"),
    };
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
        label if label.ends_with("PRIVATE KEY") => {
            return Err("is a private key; give the JWKS Public Key, which the dashboard shows under API keys");
        }
        "CERTIFICATE" => {
            return Err("is a certificate; give the JWKS Public Key, which the dashboard shows under API keys");
        }
        _ => return Err("is not a public key; give the JWKS Public Key, which the dashboard shows under API keys"),
    }
    let base64 = match body.split_once("-----END ") {
        Some((base64, end)) if end.trim_end() == format!("{label}-----") => base64,
        None if !text.starts_with('-') => body,
        None => return Err("is cut off; give the whole PEM, on one line with \\n in place of line breaks"),
        Some(_) => return Err("is not PEM; its END line differs from its BEGIN line"),
    };
    let base64: String = base64.split_ascii_whitespace().collect();
    let der = BASE64_STANDARD
        .decode(base64)
        .map_err(|_| "is not a PEM with base64; give the JWKS Public Key, which the dashboard shows under API keys")?;
    if der.is_empty() { Err("has nothing between its BEGIN and END lines") } else { Ok(der) }
}

/// Names a value of another kind. The error completes "jwt_key …".
fn why_no_pem(text: &str) -> Option<&'static str> {
    Some(match Pasted::recognize(text)? {
        Pasted::Pem => return None,
        Pasted::FilePath => "is the path of a file; give the contents of the file",
        Pasted::InstanceId => {
            "is the id (kid) of a key; give the JWKS Public Key, which the dashboard shows under API keys"
        }
        Pasted::Json => "is JSON; give the PEM, which the dashboard shows under API keys as JWKS Public Key",
        Pasted::PublishableKey => "is a publishable key; set it as publishable_key (CLERK_PUBLISHABLE_KEY)",
        Pasted::SecretKey => "is a secret key; set it as secret_key (CLERK_SECRET_KEY)",
        Pasted::Token => "is a token; give the JWKS Public Key, which the dashboard shows under API keys",
        Pasted::Url => "is a URL; set the Frontend API URL as frontend_api_url (CLERK_FRONTEND_API_URL)",
        Pasted::WebhookSecret => {
            "is the signing secret of a webhook; give the JWKS Public Key, which the dashboard shows under API keys"
        }
    })
}

/// Names what a text is in place of a JWK Set. The error completes "jwks …".
fn why_no_jwk_set(text: &str) -> &'static str {
    let text = trimmed(text);
    match Pasted::recognize(text) {
        Some(Pasted::FilePath) => "is the path of a file; give the contents of the file",
        Some(Pasted::Pem) => "is a PEM; set it as jwt_key",
        Some(Pasted::Url) => "is a URL; give the document, or set the Frontend API URL as frontend_api_url",
        Some(Pasted::Json) if text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{')) => {
            "is an array of keys; give an object with the member keys"
        }
        Some(Pasted::Json) if Object::parse(text).is_ok_and(|object| object.get("kty").is_some()) => {
            "is a single key; give an object whose member keys is an array of keys"
        }
        _ => "is not a JWK Set (RFC 7517, section 5)",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

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
            (String::new(), "must not be empty"),
            (block.replace(base64, ""), "has nothing between"),
            (block.replace("PUBLIC", "PRIVATE"), "is a private key"),
            (block.replace("PUBLIC", "RSA PRIVATE"), "is a private key"),
            (block.replace("PUBLIC KEY", "CERTIFICATE"), "is a certificate"),
            (block.replace("PUBLIC KEY", "CERTIFICATE REQUEST"), "is not a public key"),
            (block.repeat(2), "more than one PEM block"),
            (block.replace("-----END PUBLIC KEY-----", ""), "is cut off"),
            ("-----BEGIN PUBLIC KEY-----".to_owned(), "is cut off"),
            ("-----BEGIN PUBLIC".to_owned(), "is cut off"),
            (format!("'{block}'"), "quotation mark"),
            (block.replace("END PUBLIC KEY", "END RSA PUBLIC KEY"), "is not PEM"),
            ("what is this?".to_owned(), "is not a PEM with base64"),
            ("/run/secrets/clerk.pem".to_owned(), "path of a file"),
            ("ins_2abc".to_owned(), "id (kid) of a key"),
            (r#"{"keys":[]}"#.to_owned(), "is JSON"),
            ("pk_test_Y2xlcmsuY2xlcmsuZGV2JA".to_owned(), "is a publishable key"),
            ("sk_test_abc".to_owned(), "is a secret key"),
            ("eyJhbGciOiJSUzI1NiJ9.e30.x".to_owned(), "is a token"),
            ("whsec_abc".to_owned(), "signing secret of a webhook"),
            ("https://clerk.example.com/.well-known/jwks.json".to_owned(), "is a URL"),
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
    fn a_document_that_is_no_jwk_set_is_named() {
        let jwk = r#"{"kty":"RSA","kid":"ins_a","n":"AQAB","e":"AQAB"}"#;
        for (text, reason) in [
            ("", "is not a JWK Set"),
            ("{}", "is not a JWK Set"),
            ("-----BEGIN PUBLIC KEY-----", "is a PEM"),
            ("https://clerk.example.com/.well-known/jwks.json", "is a URL"),
            ("jwks.json", "path of a file"),
            (jwk, "is a single key"),
            (&format!("[{jwk}]"), "is an array of keys"),
            (r#"{"keys":[]}"#, "has no usable RSA key"),
        ] {
            let error = JwksDocument::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("jwks ") && error.contains(reason), "{error} for {text}");
        }
    }

    #[test]
    fn a_public_key_does_not_show_in_debug() {
        assert_eq!(format!("{:?}", JwtKey::parse(SPKI).unwrap()), "JwtKey(..)");
    }

    /// One key of 2048 bits in two encodings.
    pub(in crate::config) const SPKI: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAlBNOpxySBJ31EY6VqKIq3CLbh6nxvjIHRWReOMNchXprYAM5vgNiZYKlQmLdGZHgFcxkG4vUP9tfUEGXCWO+wUxeQc92la2VOpAhhnRzlWIsVaFv01GvNFvKE6cmjBPpijLMv4/zbpZiKAT5WLYNDwQLv9mpzsj1eUZoRo51G3rOBxu0Ycq5xTao49etXT+nJxUji+iSKRtCIS+Yb12XT5JzTAyNpCYIVE9lNT78zl6deyayaPwLJI0ze2CM0EqNINVHk7AvdqBecz0OqkfUAmy+mh5kyGnQd0EYGlhZJJ9VnA0C7C/7sPPwknXpBKBOD3rxIm+hTnog78TyYT1U6wIDAQAB";
    const PKCS1: &str = "-----BEGIN RSA PUBLIC KEY-----\nMIIBCgKCAQEAlBNOpxySBJ31EY6VqKIq3CLbh6nxvjIHRWReOMNchXprYAM5vgNiZYKlQmLdGZHgFcxkG4vUP9tfUEGXCWO+wUxeQc92la2VOpAhhnRzlWIsVaFv01GvNFvKE6cmjBPpijLMv4/zbpZiKAT5WLYNDwQLv9mpzsj1eUZoRo51G3rOBxu0Ycq5xTao49etXT+nJxUji+iSKRtCIS+Yb12XT5JzTAyNpCYIVE9lNT78zl6deyayaPwLJI0ze2CM0EqNINVHk7AvdqBecz0OqkfUAmy+mh5kyGnQd0EYGlhZJJ9VnA0C7C/7sPPwknXpBKBOD3rxIm+hTnog78TyYT1U6wIDAQAB\n-----END RSA PUBLIC KEY-----";
}
