//! Configuration from environment variables.
//!
//! No other file of the crate reads the environment. The HTTP client reads a few variables by itself; see
//! [`jwks`](crate::jwks).

use std::{env, time::Duration};

use super::{ClerkConfig, ConfigError, KeyLocation, Setting};

/// # From the environment
impl ClerkConfig {
    /// The environment variables that [`from_env`](Self::from_env) reads.
    pub const ENVIRONMENT_VARIABLES: &[&str] =
        &[FRONTEND_API_URL, PUBLISHABLE_KEY, JWT_KEY, SECRET_KEY, API_URL, AUTHORIZED_PARTIES, JWKS_REFRESH_SECONDS];

    /// Reads the environment variables in the [table of settings](crate::config#settings).
    ///
    /// A variable that is empty or blank counts as unset, because deployment tools often set it for a missing value.
    /// The exception is `CLERK_AUTHORIZED_PARTIES`: an empty list is an error, since it would switch off the check of
    /// `azp`.
    ///
    /// `CLERK_JWT_KEY` may hold the PEM on one line, with its line breaks written as `\n`.
    ///
    /// # Errors
    ///
    /// Each error names the setting and the variable, and never the value.
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
    let raw = |field: &'static str, name: &'static str| {
        lookup(name).map_err(|NotUnicode| ConfigError::invalid(Setting::field(field).read_from(name), "is not UTF-8"))
    };
    let filled = |field, name| Ok(raw(field, name)?.filter(|value| !value.trim().is_empty()));

    let mut config = ClerkConfig::empty();
    if let Some(url) = filled("frontend_api_url", FRONTEND_API_URL)? {
        config = config.frontend_api_url(url).map_err(|error| error.read_from(FRONTEND_API_URL))?;
    }
    if let Some(key) = filled("publishable_key", PUBLISHABLE_KEY)? {
        config = config.publishable_key(key).map_err(|error| match error {
            ConfigError::Conflict { reason, .. } => ConfigError::conflict(
                Setting::field("frontend_api_url").read_from(FRONTEND_API_URL),
                Setting::field("publishable_key").read_from(PUBLISHABLE_KEY),
                reason,
            ),
            error => error.read_from(PUBLISHABLE_KEY),
        })?;
    }
    if let Some(key) = filled("secret_key", SECRET_KEY)? {
        config = config.secret_key(key).map_err(|error| error.read_from(SECRET_KEY))?;
    }
    if let Some(pem) = filled("jwt_key", JWT_KEY)? {
        config = config.jwt_key(pem).map_err(|error| error.read_from(JWT_KEY))?;
    }
    if let Some(url) = filled("api_url", API_URL)? {
        config = config.api_url(url).map_err(|error| error.read_from(API_URL))?;
    }
    if let Some(list) = raw("authorized_parties", AUTHORIZED_PARTIES)? {
        let origins = list.split(',').map(str::trim);
        config = config.authorized_parties(origins).map_err(|error| error.read_from(AUTHORIZED_PARTIES))?;
    }
    if let Some(seconds) = filled("jwks_refresh_interval", JWKS_REFRESH_SECONDS)? {
        let digits = seconds.trim();
        let number = if digits.starts_with('+') { "" } else { digits }.parse();
        let interval = number.map(Duration::from_secs).map_err(|_| {
            ConfigError::invalid("jwks_refresh_interval", "must be a whole number of seconds")
                .read_from(JWKS_REFRESH_SECONDS)
        })?;
        config = config.jwks_refresh_interval(interval).map_err(|error| error.read_from(JWKS_REFRESH_SECONDS))?;
    }
    if matches!(config.key_location(), KeyLocation::Unknown) {
        return Err(ConfigError::missing(
            Setting::field("frontend_api_url").read_from(FRONTEND_API_URL),
            "set it, or CLERK_PUBLISHABLE_KEY, CLERK_JWT_KEY or CLERK_SECRET_KEY, to name the Clerk instance to trust",
        ));
    }
    Ok(config)
}

// Clerk's SDKs read `CLERK_API_URL`, `CLERK_JWT_KEY`, `CLERK_PUBLISHABLE_KEY` and `CLERK_SECRET_KEY` too, so one
// environment configures them and this crate alike.
const API_URL: &str = "CLERK_API_URL";
const AUTHORIZED_PARTIES: &str = "CLERK_AUTHORIZED_PARTIES";
const FRONTEND_API_URL: &str = "CLERK_FRONTEND_API_URL";
const JWKS_REFRESH_SECONDS: &str = "CLERK_JWKS_REFRESH_SECONDS";
const JWT_KEY: &str = "CLERK_JWT_KEY";
const PUBLISHABLE_KEY: &str = "CLERK_PUBLISHABLE_KEY";
const SECRET_KEY: &str = "CLERK_SECRET_KEY";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::tests::SPKI;

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
            (vec![KEY, (JWKS_REFRESH_SECONDS, "0")], JWKS_REFRESH_SECONDS),
            (vec![KEY, (JWKS_REFRESH_SECONDS, "+5")], JWKS_REFRESH_SECONDS),
            (vec![KEY, (FRONTEND_API_URL, "https://hunter2.example")], PUBLISHABLE_KEY),
        ] {
            let error = from(&variables).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
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
        let config =
            from(&[KEY, (AUTHORIZED_PARTIES, "https://a.example, http://localhost:3000"), (JWKS_REFRESH_SECONDS, "1")])
                .unwrap();
        assert_eq!(config.authorized_parties, ["https://a.example", "http://localhost:3000"]);
        assert_eq!(config.jwks_refresh_interval, Duration::from_secs(1));
    }
}
