//! The two keys of Clerk's dashboard that name an instance: publishable key and secret key.
//!
//! Each is parsed into a type of its own that redacts its `Debug`, so that a configuration can be logged.

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};

use super::{
    ConfigError, FrontendApi,
    pasted::{Pasted, cleaned},
    url::Host,
};

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
        let key = cleaned(key).map_err(invalid)?;
        let body = key.strip_prefix("pk_test_").or_else(|| key.strip_prefix("pk_live_")).ok_or_else(|| {
            invalid(match Pasted::recognize(key) {
                Some(Pasted::SecretKey) => "is a secret key; the publishable key starts with pk_test_ or pk_live_",
                Some(Pasted::Url) => "is a URL; set it as frontend_api_url (CLERK_FRONTEND_API_URL)",
                _ => "must start with pk_test_ or pk_live_",
            })
        })?;
        let host =
            decode_like_atob(body).ok_or_else(|| invalid("is not base64 after its prefix; copy the whole key"))?;
        let host = host
            .strip_suffix('$')
            .filter(|host| {
                host.contains('.') && matches!(Host::of_authority(host), Some(Host::Name(name)) if name == *host)
            })
            .ok_or_else(|| invalid("does not name a host; copy the whole key"))?;
        let frontend_api =
            FrontendApi::of_key(host).ok_or_else(|| invalid("does not name a host; copy the whole key"))?;
        Ok(Self { frontend_api, key: key.to_owned() })
    }

    /// Returns the Frontend API that the key names.
    pub(crate) fn frontend_api(&self) -> &FrontendApi {
        &self.frontend_api
    }

    /// Whether it is the key of a production instance.
    pub(super) fn is_live(&self) -> bool {
        self.key.starts_with("pk_live_")
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
    /// Parses a secret key: a prefix, then letters, digits, `_` and `-`.
    pub(crate) fn parse(key: &str) -> Result<Self, ConfigError> {
        let invalid = |reason| ConfigError::invalid("secret_key", reason);
        let key = cleaned(key).map_err(invalid)?;
        let body = PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix)).ok_or_else(|| {
            invalid(match Pasted::recognize(key) {
                Some(Pasted::Pem) => "is a PEM; set it as jwt_key (CLERK_JWT_KEY)",
                Some(Pasted::PublishableKey) => "is a publishable key; the secret key starts with sk_test_ or sk_live_",
                Some(Pasted::Token) => "is a token; the secret key starts with sk_test_ or sk_live_",
                Some(Pasted::WebhookSecret) => {
                    "is the signing secret of a webhook; the secret key starts with sk_test_ or sk_live_"
                }
                _ if key.starts_with(MACHINE_PREFIX) => {
                    "is the key of a machine; set it as machine_secret_key (CLERK_MACHINE_SECRET_KEY)"
                }
                _ => "must start with sk_test_ or sk_live_",
            })
        })?;
        secret_body(body).map_err(invalid)?;
        Ok(Self(key.to_owned()))
    }

    /// Whether it is the key of a production instance.
    pub(super) fn is_live(&self) -> bool {
        self.0.starts_with("sk_live_") || self.0.starts_with("live_")
    }

    /// Returns the secret. The name makes each use easy to find in a review.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey(..)")
    }
}

/// The secret key of a machine (`ak_…`). It is sent to the Backend API to verify M2M tokens, and nowhere else.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct MachineSecretKey(String);

impl MachineSecretKey {
    /// Parses a machine secret key: a prefix, then letters, digits, `_` and `-`.
    pub(crate) fn parse(key: &str) -> Result<Self, ConfigError> {
        let invalid = |reason| ConfigError::invalid("machine_secret_key", reason);
        let key = cleaned(key).map_err(invalid)?;
        let body = key.strip_prefix(MACHINE_PREFIX).ok_or_else(|| {
            invalid(match Pasted::recognize(key) {
                Some(Pasted::PublishableKey) => "is a publishable key; the secret key of a machine starts with ak_",
                Some(Pasted::SecretKey) => "is the secret key of the instance; set it as secret_key (CLERK_SECRET_KEY)",
                Some(Pasted::Token) => "is a token; the secret key of a machine starts with ak_",
                _ => "must start with ak_",
            })
        })?;
        secret_body(body).map_err(invalid)?;
        Ok(Self(key.to_owned()))
    }

    /// Returns the secret, as [`SecretKey::expose`] does.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MachineSecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MachineSecretKey(..)")
    }
}

/// Checks what follows the prefix of a secret key.
fn secret_body(body: &str) -> Result<(), &'static str> {
    if body.is_empty() {
        return Err("ends after its prefix; copy the whole key");
    }
    if !body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        return Err("contains characters that no secret key has; copy the key alone");
    }
    Ok(())
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

const MACHINE_PREFIX: &str = "ak_";
/// `test_` and `live_` are the prefixes of keys made before publishable keys existed.
const PREFIXES: [&str; 4] = ["sk_test_", "sk_live_", "test_", "live_"];

#[cfg(test)]
mod tests {
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
    fn a_key_of_another_kind_is_named() {
        assert!(SecretKey::parse("sk_live_abc").is_ok());
        assert!(SecretKey::parse(" sk_live_a-B_1\n").is_ok());
        for (key, reason) in [
            ("", "must not be empty"),
            ("sk_live_", "ends after its prefix"),
            ("sk_live_a b", "no secret key has"),
            ("sk_live_\n", "ends after its prefix"),
            ("sk_live_abc\"", "quotation mark"),
            ("sk_live_abc,", "no secret key has"),
            ("sk_live_abc;", "no secret key has"),
            ("sk_live_abc'd", "no secret key has"),
            ("abc", "must start with sk_test_"),
            ("pk_live_abc", "is a publishable key"),
            ("whsec_abc", "signing secret of a webhook"),
            ("ak_abc", "set it as machine_secret_key (CLERK_MACHINE_SECRET_KEY)"),
            ("eyJhbGciOiJSUzI1NiJ9.e30.x", "is a token"),
            ("-----BEGIN PUBLIC KEY-----", "is a PEM"),
        ] {
            let error = SecretKey::parse(key).unwrap_err().to_string();
            assert!(error.contains(reason), "{error} for {key:?}");
        }
        for (key, reason) in [
            ("sk_live_abc", "is a secret key"),
            ("https://clerk.example.com", "is a URL"),
            ("clerk.example.com", "must start with pk_test_"),
            ("pk_test_Y2xlcmsuY2xlcmsuZGV", "copy the whole key"),
            ("\"pk_test_Y2xlcmsuY2xlcmsuZGV2JA\"", "quotation mark"),
        ] {
            let error = PublishableKey::parse(key).unwrap_err().to_string();
            assert!(error.contains(reason), "{error} for {key:?}");
        }
    }

    #[test]
    fn the_secret_key_of_a_machine_has_its_own_prefix_and_no_odd_characters() {
        for key in ["ak_a", "ak_a-B_1", " ak_abc\n", "\u{feff}ak_abc"] {
            assert!(MachineSecretKey::parse(key).is_ok(), "{key:?}");
        }
        assert_eq!(MachineSecretKey::parse(" ak_a-B_1\n").unwrap().expose(), "ak_a-B_1");
        for (key, reason) in [
            ("", "must not be empty"),
            (" \n", "must not be empty"),
            ("ak_", "ends after its prefix"),
            ("ak_a b", "no secret key has"),
            ("ak_a/b+c=", "no secret key has"),
            ("ak_a\r\nX: b", "no secret key has"),
            ("ak_\u{e9}", "no secret key has"),
            ("ak_abc,", "no secret key has"),
            ("\"ak_abc\"", "quotation mark"),
            ("CLERK_MACHINE_SECRET_KEY=ak_abc", "name of a variable"),
            ("$CLERK_MACHINE_SECRET_KEY", "placeholder"),
            ("AK_abc", "must start with ak_"),
            ("abc", "must start with ak_"),
            ("mch_abc", "must start with ak_"),
            ("pk_live_abc", "is a publishable key"),
            ("sk_live_abc", "set it as secret_key (CLERK_SECRET_KEY)"),
            ("eyJhbGciOiJSUzI1NiJ9.e30.x", "is a token"),
        ] {
            let error = MachineSecretKey::parse(key).unwrap_err().to_string();
            assert!(error.starts_with("machine_secret_key ") && error.contains(reason), "{error} for {key:?}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let text = format!(
            "{:?} {:?} {:?}",
            SecretKey::parse("sk_live_hunter2").unwrap(),
            MachineSecretKey::parse("ak_hunter2").unwrap(),
            PublishableKey::parse("pk_test_Y2xlcmsuY2xlcmsuZGV2JA").unwrap(),
        );
        assert_eq!(text, r#"SecretKey(..) MachineSecretKey(..) PublishableKey("https://clerk.clerk.dev")"#);
    }
}
