//! Configuration from environment variables.
//!
//! No other file of the crate reads the environment. The HTTP client reads a few variables by itself; see
//! [`jwks`](crate::jwks).

use std::{env, time::Duration};

use super::{
    ClerkConfig, ConfigError, KeyLocation,
    pasted::{cleaned, trimmed},
};
use crate::token_kind::TokenKind;

/// # From the environment
impl ClerkConfig {
    /// The environment variables that [`from_env`](Self::from_env) reads.
    pub const ENVIRONMENT_VARIABLES: &[&str] = &[
        FRONTEND_API_URL,
        PUBLISHABLE_KEY,
        JWT_KEY,
        SECRET_KEY,
        PROXY_URL,
        API_URL,
        AUTHORIZED_PARTIES,
        CLOCK_SKEW_SECONDS,
        JWKS_REFRESH_SECONDS,
        ACCEPTED_TOKENS,
        MACHINE_SECRET_KEY,
        MACHINE_ID,
        OAUTH_AUDIENCE,
        OPAQUE_TOKEN_TTL_SECONDS,
        OPAQUE_TOKEN_STALE_SECONDS,
    ];

    /// Reads the environment variables in the [table of settings](crate::config#settings).
    ///
    /// A variable that is empty or blank counts as unset, because deployment tools often set it for a missing value.
    /// `CLERK_AUTHORIZED_PARTIES`, `CLERK_OAUTH_AUDIENCE` and `CLERK_MACHINE_ID` are the exceptions: empty, they are an
    /// error, since without their value more tokens would be accepted.
    ///
    /// `CLERK_JWT_KEY` may hold the PEM on one line, with its line breaks written as `\n`.
    ///
    /// # Errors
    ///
    /// Each error names the setting and the variable, and never the value. [Mistakes in
    /// settings](crate::guide::settings) lists them.
    ///
    /// - [`ConfigError::Missing`] if no variable names an instance.
    /// - [`ConfigError::Invalid`] and [`ConfigError::Conflict`] as for the settings, or if a variable is not UTF-8.
    pub fn from_env() -> Result<Self, ConfigError> {
        read(variable)
    }
}

/// Returns the value of an environment variable; `None` if it is not set.
pub(crate) fn variable(name: &str) -> Result<Option<String>, NotUnicode> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(NotUnicode),
    }
}

/// The value of an environment variable is not UTF-8.
pub(crate) struct NotUnicode;

/// `lookup` replaces the environment in tests, which must not change it: it belongs to the whole process.
fn read(lookup: impl Fn(&str) -> Result<Option<String>, NotUnicode>) -> Result<ClerkConfig, ConfigError> {
    read_settings(&lookup).map_err(|error| {
        error.read_from(|name| SETTINGS.iter().find(|(field, ..)| *field == name).map(|(_, variable, _)| *variable))
    })
}

fn read_settings(lookup: &dyn Fn(&str) -> Result<Option<String>, NotUnicode>) -> Result<ClerkConfig, ConfigError> {
    let mut config = ClerkConfig::empty();
    for (field, variable, set) in SETTINGS {
        let value = lookup(variable).map_err(|NotUnicode| ConfigError::invalid(*field, "is not UTF-8"))?;
        if let Some(value) = value.filter(|value| !trimmed(value).is_empty() || NARROWING.contains(variable)) {
            config = set(config, &value)?;
        }
    }
    if !matches!(config.key_location(), KeyLocation::Unknown) {
        return Ok(config);
    }
    let is_set = |(variable, ..): &&Misnamed| {
        lookup(variable).is_ok_and(|value| value.is_some_and(|value| !trimmed(&value).is_empty()))
    };
    Err(match MISNAMED.iter().find(is_set) {
        Some((_, field, reason)) => ConfigError::missing(*field, reason),
        None => ConfigError::missing(
            "frontend_api_url",
            "set it, or CLERK_PUBLISHABLE_KEY, CLERK_JWT_KEY or CLERK_SECRET_KEY, to name the Clerk instance to trust",
        ),
    })
}

fn parties(config: ClerkConfig, list: &str) -> Result<ClerkConfig, ConfigError> {
    let invalid = |reason| Err(ConfigError::invalid("authorized_parties", reason));
    let list = trimmed(list);
    if list.is_empty() {
        return invalid("must not be empty; list the origins, or remove the variable to accept any");
    }
    if list.starts_with('[') && list.contains("://") {
        return invalid("must be origins separated by commas, without brackets and quotes");
    }
    config.authorized_parties(list.split(','))
}

/// Names of kinds, separated by commas.
fn kinds(list: &str) -> Result<Vec<TokenKind>, ConfigError> {
    let kind = |name: &str| {
        TokenKind::from_name(name).ok_or_else(|| {
            ConfigError::invalid("accept", "must be a list of session_token, oauth_token, m2m_token and api_key")
        })
    };
    entries("accept", list)?.into_iter().map(kind).collect()
}

/// The entries of a list that is separated by commas.
fn entries<'a>(field: &'static str, list: &'a str) -> Result<Vec<&'a str>, ConfigError> {
    let invalid = |reason| ConfigError::invalid(field, reason);
    let list = cleaned(list).map_err(invalid)?;
    if list.starts_with('[') {
        return Err(invalid("must be separated by commas, without brackets and quotes"));
    }
    list.split(',')
        .map(|entry| match trimmed(entry) {
            "" => Err(invalid("has an empty entry; separate the entries by single commas")),
            entry => cleaned(entry).map_err(invalid),
        })
        .collect()
}

fn seconds(field: &'static str, text: &str) -> Result<Duration, ConfigError> {
    let digits = cleaned(text).map_err(|reason| ConfigError::invalid(field, reason))?;
    // `parse` accepts a plus sign.
    let number = if digits.starts_with('+') { "" } else { digits }.parse();
    number
        .map(Duration::from_secs)
        .map_err(|_| ConfigError::invalid(field, "must be a whole number of seconds, without a unit"))
}

/// A setting, the variable that it is read from, and how it is set.
type EnvironmentSetting = (&'static str, &'static str, fn(ClerkConfig, &str) -> Result<ClerkConfig, ConfigError>);

/// In the order in which they are set. The proxy comes before the publishable key, which may then name another host.
const SETTINGS: &[EnvironmentSetting] = &[
    ("frontend_api_url", FRONTEND_API_URL, |config, url| config.frontend_api_url(url)),
    ("proxy_url", PROXY_URL, |config, url| config.proxy_url(url)),
    ("publishable_key", PUBLISHABLE_KEY, |config, key| config.publishable_key(key)),
    ("secret_key", SECRET_KEY, |config, key| config.secret_key(key)),
    ("jwt_key", JWT_KEY, |config, pem| config.jwt_key(pem)),
    ("api_url", API_URL, |config, url| config.api_url(url)),
    ("authorized_parties", AUTHORIZED_PARTIES, parties),
    ("clock_skew", CLOCK_SKEW_SECONDS, |config, text| config.clock_skew(seconds("clock_skew", text)?)),
    ("jwks_refresh_interval", JWKS_REFRESH_SECONDS, |config, text| {
        config.jwks_refresh_interval(seconds("jwks_refresh_interval", text)?)
    }),
    ("accept", ACCEPTED_TOKENS, |config, list| config.accept(kinds(list)?)),
    ("machine_secret_key", MACHINE_SECRET_KEY, |config, key| config.machine_secret_key(key)),
    ("machine_id", MACHINE_ID, |config, id| config.machine_id(id)),
    ("oauth_audience", OAUTH_AUDIENCE, |config, list| config.oauth_audience(entries("oauth_audience", list)?)),
    ("opaque_token_ttl", OPAQUE_TOKEN_TTL_SECONDS, |config, text| {
        config.opaque_token_ttl(seconds("opaque_token_ttl", text)?)
    }),
    ("opaque_token_stale", OPAQUE_TOKEN_STALE_SECONDS, |config, text| {
        config.opaque_token_stale(seconds("opaque_token_stale", text)?)
    }),
];

/// The variables that are an error if they are empty: without their value more tokens would be accepted.
const NARROWING: [&str; 3] = [AUTHORIZED_PARTIES, MACHINE_ID, OAUTH_AUDIENCE];

/// A variable that is not read, the setting that it stands for, and what to do.
type Misnamed = (&'static str, &'static str, &'static str);

/// Variables of front ends and of older SDKs, which people set in place of those that are read.
const MISNAMED: &[Misnamed] = &[
    (
        "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY",
        "publishable_key",
        "set it to the value of NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY, which is not read",
    ),
    (
        "VITE_CLERK_PUBLISHABLE_KEY",
        "publishable_key",
        "set it to the value of VITE_CLERK_PUBLISHABLE_KEY, which is not read",
    ),
    ("CLERK_FRONTEND_API", "frontend_api_url", "set it to the value of CLERK_FRONTEND_API, which is not read"),
    ("CLERK_API_KEY", "secret_key", "set it to the value of CLERK_API_KEY, which is not read"),
];

// Clerk's SDKs read `CLERK_API_URL`, `CLERK_JWT_KEY`, `CLERK_PROXY_URL`, `CLERK_PUBLISHABLE_KEY` and `CLERK_SECRET_KEY`
// too, so one environment configures them and this crate alike.
const ACCEPTED_TOKENS: &str = "CLERK_ACCEPTED_TOKENS";
const API_URL: &str = "CLERK_API_URL";
const AUTHORIZED_PARTIES: &str = "CLERK_AUTHORIZED_PARTIES";
const CLOCK_SKEW_SECONDS: &str = "CLERK_CLOCK_SKEW_SECONDS";
const FRONTEND_API_URL: &str = "CLERK_FRONTEND_API_URL";
const JWKS_REFRESH_SECONDS: &str = "CLERK_JWKS_REFRESH_SECONDS";
const JWT_KEY: &str = "CLERK_JWT_KEY";
const MACHINE_ID: &str = "CLERK_MACHINE_ID";
const MACHINE_SECRET_KEY: &str = "CLERK_MACHINE_SECRET_KEY";
const OAUTH_AUDIENCE: &str = "CLERK_OAUTH_AUDIENCE";
const OPAQUE_TOKEN_STALE_SECONDS: &str = "CLERK_OPAQUE_TOKEN_STALE_SECONDS";
const OPAQUE_TOKEN_TTL_SECONDS: &str = "CLERK_OPAQUE_TOKEN_TTL_SECONDS";
const PROXY_URL: &str = "CLERK_PROXY_URL";
const PUBLISHABLE_KEY: &str = "CLERK_PUBLISHABLE_KEY";
const SECRET_KEY: &str = "CLERK_SECRET_KEY";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProtectedResource, config::public_keys::tests::SPKI, verify::Verifier};

    fn from(variables: &[(&str, &str)]) -> Result<ClerkConfig, ConfigError> {
        read(|name| {
            let value = variables.iter().find(|(key, _)| *key == name);
            Ok(value.map(|(_, value)| (*value).to_owned()))
        })
    }

    const KEY: (&str, &str) = (PUBLISHABLE_KEY, "pk_test_Y2xlcmsuY2xlcmsuZGV2JA");

    #[test]
    fn each_way_of_naming_the_instance_is_enough() {
        let config = from(&[(FRONTEND_API_URL, "https://clerk.clerk.dev")]).unwrap();
        assert!(
            matches!(config.key_location(), KeyLocation::Remote { url, secret_key: None } if url == "https://clerk.clerk.dev/.well-known/jwks.json")
        );
        assert!(matches!(from(&[KEY]).unwrap().key_location(), KeyLocation::Remote { secret_key: None, .. }));
        assert!(matches!(from(&[(JWT_KEY, SPKI)]).unwrap().key_location(), KeyLocation::JwtKey(_)));
        let config = from(&[(SECRET_KEY, "sk_test_a"), (API_URL, "http://127.0.0.1:9/")]).unwrap();
        assert!(
            matches!(config.key_location(), KeyLocation::Remote { url, secret_key: Some(_) } if url == "http://127.0.0.1:9/v1/jwks")
        );
    }

    #[test]
    fn the_pem_wins_over_the_frontend_api_and_that_over_the_backend_api() {
        let secret = (SECRET_KEY, "sk_test_a");
        let config = from(&[KEY, secret, (JWT_KEY, SPKI)]).unwrap();
        assert!(matches!(config.key_location(), KeyLocation::JwtKey(_)));
        assert_eq!(config.issuers(), ["https://clerk.clerk.dev"]);
        assert!(matches!(from(&[KEY, secret]).unwrap().key_location(), KeyLocation::Remote { secret_key: None, .. }));
    }

    #[test]
    fn an_error_names_the_variable_and_never_the_value() {
        for (variables, name) in [
            (vec![], FRONTEND_API_URL),
            (vec![(FRONTEND_API_URL, "http://hunter2.example")], FRONTEND_API_URL),
            (vec![(PUBLISHABLE_KEY, "hunter2")], PUBLISHABLE_KEY),
            (vec![(SECRET_KEY, "hunter2")], SECRET_KEY),
            (vec![(JWT_KEY, "hunter2 !")], JWT_KEY),
            (vec![KEY, (API_URL, "ftp://hunter2")], API_URL),
            (vec![KEY, (AUTHORIZED_PARTIES, "")], AUTHORIZED_PARTIES),
            (vec![KEY, (AUTHORIZED_PARTIES, "https://a.b,")], AUTHORIZED_PARTIES),
            (vec![KEY, (AUTHORIZED_PARTIES, "hunter2")], AUTHORIZED_PARTIES),
            (vec![KEY, (JWKS_REFRESH_SECONDS, "hunter2")], JWKS_REFRESH_SECONDS),
            (vec![KEY, (CLOCK_SKEW_SECONDS, "hunter2")], CLOCK_SKEW_SECONDS),
            (vec![KEY, (CLOCK_SKEW_SECONDS, "301")], CLOCK_SKEW_SECONDS),
            (vec![KEY, (PROXY_URL, "/hunter2")], PROXY_URL),
            (vec![KEY, (PROXY_URL, "https://a.hunter2"), (FRONTEND_API_URL, "https://clerk.clerk.dev")], PROXY_URL),
            (vec![KEY, (SECRET_KEY, "sk_live_hunter2")], SECRET_KEY),
            (vec![KEY, (JWKS_REFRESH_SECONDS, "0")], JWKS_REFRESH_SECONDS),
            (vec![KEY, (JWKS_REFRESH_SECONDS, "+5")], JWKS_REFRESH_SECONDS),
            (vec![KEY, (FRONTEND_API_URL, "https://hunter2.example")], PUBLISHABLE_KEY),
            (vec![KEY, (ACCEPTED_TOKENS, "hunter2")], ACCEPTED_TOKENS),
            (vec![KEY, (ACCEPTED_TOKENS, "session_token,,oauth_token")], ACCEPTED_TOKENS),
            (vec![KEY, (ACCEPTED_TOKENS, "session_token,")], ACCEPTED_TOKENS),
            (vec![KEY, (ACCEPTED_TOKENS, "Session_Token")], ACCEPTED_TOKENS),
            (vec![KEY, (ACCEPTED_TOKENS, r#"["session_token"]"#)], ACCEPTED_TOKENS),
            (vec![KEY, (OAUTH_AUDIENCE, "")], OAUTH_AUDIENCE),
            (vec![KEY, (OAUTH_AUDIENCE, "hunter2,")], OAUTH_AUDIENCE),
            (vec![KEY, (OAUTH_AUDIENCE, " ,hunter2")], OAUTH_AUDIENCE),
            (vec![KEY, (MACHINE_ID, " ")], MACHINE_ID),
            (vec![KEY, (MACHINE_ID, "hunter2")], MACHINE_ID),
            (vec![KEY, (MACHINE_ID, "mch_")], MACHINE_ID),
            (vec![KEY, (MACHINE_ID, "mch_hunter2,mch_b")], MACHINE_ID),
            (vec![KEY, (MACHINE_SECRET_KEY, "ak_hunter2 !")], MACHINE_SECRET_KEY),
            (vec![KEY, (MACHINE_SECRET_KEY, "pk_test_hunter2")], MACHINE_SECRET_KEY),
            (vec![KEY, (MACHINE_SECRET_KEY, "sk_test_hunter2")], MACHINE_SECRET_KEY),
            (vec![KEY, (OPAQUE_TOKEN_TTL_SECONDS, "3601")], OPAQUE_TOKEN_TTL_SECONDS),
            (vec![KEY, (OPAQUE_TOKEN_TTL_SECONDS, "-1")], OPAQUE_TOKEN_TTL_SECONDS),
            (vec![KEY, (OPAQUE_TOKEN_TTL_SECONDS, "1.5")], OPAQUE_TOKEN_TTL_SECONDS),
            (vec![KEY, (OPAQUE_TOKEN_STALE_SECONDS, "86401")], OPAQUE_TOKEN_STALE_SECONDS),
            (vec![KEY, (ACCEPTED_TOKENS, "session_token,hunter2")], ACCEPTED_TOKENS),
            (vec![KEY, (MACHINE_SECRET_KEY, "hunter2")], MACHINE_SECRET_KEY),
            (vec![KEY, (MACHINE_SECRET_KEY, "ak_hunter2;")], MACHINE_SECRET_KEY),
            (vec![KEY, (OPAQUE_TOKEN_TTL_SECONDS, "hunter2")], OPAQUE_TOKEN_TTL_SECONDS),
            (vec![KEY, (OPAQUE_TOKEN_STALE_SECONDS, "hunter2")], OPAQUE_TOKEN_STALE_SECONDS),
        ] {
            let error = from(&variables).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn every_variable_is_read_into_a_setting_of_its_own() {
        let mut read: Vec<&str> = SETTINGS.iter().map(|(_, variable, _)| *variable).collect();
        let mut listed = ClerkConfig::ENVIRONMENT_VARIABLES.to_vec();
        read.sort_unstable();
        listed.sort_unstable();
        assert_eq!(read, listed);
    }

    #[test]
    fn the_settings_of_other_kinds_are_read() {
        let config = from(&[
            KEY,
            (ACCEPTED_TOKENS, "session_token, oauth_token,m2m_token"),
            (OAUTH_AUDIENCE, "https://api.example.com, other"),
            (MACHINE_ID, " mch_a-1 "),
            (MACHINE_SECRET_KEY, "ak_b"),
            (OPAQUE_TOKEN_TTL_SECONDS, "0"),
            (OPAQUE_TOKEN_STALE_SECONDS, "86400"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.accepted_kinds(), [TokenKind::Session, TokenKind::OAuth, TokenKind::M2m]);
        assert_eq!(config.oauth_audience, ["https://api.example.com", "other"]);
        assert_eq!(config.machine_id.as_deref(), Some("mch_a-1"));
        assert_eq!(config.opaque_token_key(TokenKind::M2m), Some("ak_b"));
        assert_eq!((config.opaque_token_ttl, config.opaque_token_stale.as_secs()), (Duration::ZERO, 86_400));
        assert_eq!(from(&[KEY, (ACCEPTED_TOKENS, " ")]).unwrap().accepted_kinds(), [TokenKind::Session]);
    }

    #[test]
    fn keys_come_through_the_proxy_and_both_issuers_are_accepted() {
        let proxy = (PROXY_URL, "https://app.example.com/__clerk/");
        let config = from(&[proxy, KEY, (SECRET_KEY, "sk_test_a")]).unwrap();
        assert!(
            matches!(config.key_location(), KeyLocation::Remote { url, secret_key: None } if url == "https://app.example.com/__clerk/.well-known/jwks.json")
        );
        assert_eq!(config.issuers(), ["https://app.example.com/__clerk", "https://clerk.clerk.dev"]);
        let accepted = ["https://app.example.com/__clerk", "https://clerk.clerk.dev"];
        assert!(accepted.iter().all(|issuer| config.accepts_issuer(issuer)));
        for issuer in ["", "https://app.example.com", "https://app.example.com/__clerk/", "https://evil.example"] {
            assert!(!config.accepts_issuer(issuer), "{issuer}");
        }
        assert_eq!(from(&[proxy]).unwrap().issuers(), ["https://app.example.com/__clerk"]);
        let same = (FRONTEND_API_URL, "https://app.example.com/__clerk");
        assert_eq!(from(&[proxy, same]).unwrap().issuers(), ["https://app.example.com/__clerk"]);
        assert_eq!(from(&[same, KEY, proxy]).unwrap().issuers(), accepted);
    }

    #[test]
    fn the_backend_api_url_may_end_in_its_version() {
        for base in ["http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/"] {
            let config = from(&[(SECRET_KEY, "sk_test_a"), (API_URL, base)]).unwrap();
            assert!(
                matches!(config.key_location(), KeyLocation::Remote { url, .. } if url == "http://127.0.0.1:9/v1/jwks"),
                "{base}"
            );
        }
    }

    #[test]
    fn a_variable_set_to_nothing_is_not_set() {
        assert!(from(&[KEY, (JWT_KEY, ""), (SECRET_KEY, " "), (FRONTEND_API_URL, "")]).is_ok());
        let error = read(|_| Err(NotUnicode)).unwrap_err();
        assert_eq!(error.to_string(), "frontend_api_url (CLERK_FRONTEND_API_URL) is not UTF-8");
    }

    #[test]
    fn lists_and_seconds_are_read() {
        let parties = (AUTHORIZED_PARTIES, "https://a.example, http://localhost:3000");
        let config = from(&[KEY, parties, (CLOCK_SKEW_SECONDS, "300"), (JWKS_REFRESH_SECONDS, "1")]).unwrap();
        assert_eq!(config.clock_skew, Duration::from_secs(300));
        assert_eq!(config.authorized_parties, ["https://a.example", "http://localhost:3000"]);
        assert_eq!(config.jwks_refresh_interval, Duration::from_secs(1));
    }

    #[test]
    fn accepted_tokens_are_a_list_of_clerks_names() {
        let kinds = |list| from(&[KEY, (ACCEPTED_TOKENS, list)]).map(|config| config.accepted_kinds());
        for (list, expected) in [
            ("session_token", &[TokenKind::Session][..]),
            ("api_key", &[TokenKind::ApiKey]),
            (" oauth_token , session_token\n", &[TokenKind::Session, TokenKind::OAuth]),
            ("m2m_token,m2m_token", &[TokenKind::M2m]),
            (
                "api_key,m2m_token,oauth_token,session_token",
                &[TokenKind::Session, TokenKind::OAuth, TokenKind::M2m, TokenKind::ApiKey],
            ),
            ("", &[TokenKind::Session]),
            (" ", &[TokenKind::Session]),
        ] {
            assert_eq!(kinds(list).unwrap(), expected, "{list}");
        }
        for (list, reason) in [
            (",", "has an empty entry"),
            ("session_token,", "has an empty entry"),
            (",session_token", "has an empty entry"),
            ("session_token,,api_key", "has an empty entry"),
            ("session_token, ,api_key", "has an empty entry"),
            ("session", "must be a list of session_token,"),
            ("SESSION_TOKEN", "must be a list of session_token,"),
            ("session_token;api_key", "must be a list of session_token,"),
            ("session_token api_key", "must be a list of session_token,"),
            ("any", "must be a list of session_token,"),
            ("[session_token]", "without brackets"),
            ("\"session_token\"", "quotation mark"),
        ] {
            let error = kinds(list).unwrap_err().to_string();
            assert!(
                error.starts_with("accept (CLERK_ACCEPTED_TOKENS) ") && error.contains(reason),
                "{error} for {list}"
            );
        }
    }

    #[test]
    fn settings_of_opaque_tokens_are_read() {
        let config = from(&[
            KEY,
            (MACHINE_SECRET_KEY, " ak_abc\n"),
            (MACHINE_ID, "mch_abc"),
            (OAUTH_AUDIENCE, "https://a.example/mcp, b"),
            (OPAQUE_TOKEN_TTL_SECONDS, "0"),
            (OPAQUE_TOKEN_STALE_SECONDS, "86400"),
            (API_URL, "http://127.0.0.1:9/v1"),
        ])
        .unwrap();
        assert_eq!(config.opaque_token_key(TokenKind::M2m), Some("ak_abc"));
        assert_eq!(config.machine_id.as_deref(), Some("mch_abc"));
        assert_eq!(config.oauth_audience, ["https://a.example/mcp", "b"]);
        assert_eq!(config.opaque_token_ttl, Duration::ZERO);
        assert_eq!(config.opaque_token_stale, Duration::from_secs(86_400));
        assert_eq!(config.backend_api_url(), "http://127.0.0.1:9");
        assert_eq!(from(&[KEY]).unwrap().backend_api_url(), "https://api.clerk.com");
    }

    #[test]
    fn a_mistake_in_a_setting_of_opaque_tokens_is_an_error() {
        for (variable, value, reason) in [
            (OAUTH_AUDIENCE, ",", "has an empty entry"),
            (OAUTH_AUDIENCE, "a,,b", "has an empty entry"),
            (OAUTH_AUDIENCE, "[\"a\"]", "without brackets"),
            (OPAQUE_TOKEN_TTL_SECONDS, "60s", "whole number of seconds"),
            (OPAQUE_TOKEN_TTL_SECONDS, "-1", "whole number of seconds"),
            (OPAQUE_TOKEN_TTL_SECONDS, "+1", "whole number of seconds"),
            (OPAQUE_TOKEN_TTL_SECONDS, "0.5", "whole number of seconds"),
            (OPAQUE_TOKEN_TTL_SECONDS, "3601", "at most 1 hour"),
            (OPAQUE_TOKEN_STALE_SECONDS, "86401", "at most 24 hours"),
            (MACHINE_ID, "ak_abc", "starts with mch_"),
            (MACHINE_SECRET_KEY, "sk_test_abc", "is the secret key of the instance"),
            (SECRET_KEY, "pk_test_abc", "is a publishable key"),
            (API_URL, "http://api.example.com", "must use https"),
        ] {
            let error = from(&[KEY, (variable, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("({variable})")) && error.contains(reason), "{error} for {value}");
        }
    }

    /// The rows of the guide's tables: settings, and the error that they get or "works".
    fn rows() -> Vec<(Vec<(&'static str, String)>, &'static str)> {
        let unescaped =
            |text: &str| text.replace("‹key›", SPKI).replace("‹line break›", "\n").replace("‹BOM›", "\u{feff}");
        let row = |line: &'static str| {
            let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
            let [_, settings, outcome] = cells[..] else { panic!("not three cells: {line}") };
            let settings = settings.split('`').skip(1).step_by(2).map(|setting| {
                let (name, value) = setting.split_once('=').expect("a name and a value");
                (name, unescaped(value))
            });
            (outcome != "error").then(|| (settings.collect(), outcome.trim_matches('`')))
        };
        include_str!("../guide/settings.md").lines().filter_map(row).collect()
    }

    fn is_variable(name: &str) -> bool {
        name.starts_with(|first: char| first.is_ascii_uppercase())
    }

    #[test]
    fn a_url_of_keys_wins_over_urls_that_only_lead_to_one() {
        let config =
            ClerkConfig::from_issuer_and_jwks_url("https://login.example.com/", "https://keys.example.com/jwks")
                .and_then(|config| config.secret_key("sk_test_abc"))
                .and_then(|config| config.frontend_api_url("https://clerk.example.com"))
                .unwrap();
        assert!(
            matches!(config.key_location(), KeyLocation::Remote { url, secret_key: None } if url == "https://keys.example.com/jwks")
        );
        assert_eq!(config.issuers(), ["https://clerk.example.com", "https://login.example.com/"]);
        assert!(matches!(config.jwt_key(SPKI).unwrap().key_location(), KeyLocation::JwtKey(_)));
    }

    #[test]
    fn every_mistake_in_the_guide_gets_the_error_that_it_shows() {
        let rows = rows();
        for (settings, outcome) in &rows {
            let (variables, methods): (Vec<_>, Vec<_>) =
                settings.iter().map(|(name, value)| (*name, value.as_str())).partition(|(name, _)| is_variable(name));
            let is_by_methods_alone = variables.is_empty() && !methods.is_empty();
            let mut config = if is_by_methods_alone { Ok(ClerkConfig::empty()) } else { from(&variables) };
            for (name, value) in methods {
                config = config.and_then(|config| match name {
                    "accept" => config.accept(kinds(value)?),
                    "add_issuer" => config.add_issuer(value),
                    "audience" => config.audience([value]),
                    "from_issuer_and_jwks_url" => {
                        ClerkConfig::from_issuer_and_jwks_url("https://clerk.example.com", value)
                    }
                    "jwks" => config.jwks(value),
                    "protected_resource" => ProtectedResource::new(value).map(|_| config),
                    "scopes" => ProtectedResource::from_request().scopes(value.split(',')).map(|_| config),
                    _ => panic!("no such method: {name}"),
                });
            }
            // Some mistakes are found when the verifier is made.
            let verifier = config.and_then(Verifier::new);
            let found = verifier.map_or_else(|error| error.to_string(), |_| "works".to_owned());
            assert_eq!(found, *outcome, "{settings:?}");
        }
        let errors = rows.iter().filter(|(_, outcome)| *outcome != "works").count();
        assert!(errors >= 60 && rows.len() >= 80, "{errors} of {} rows", rows.len());
    }
}
