use std::{borrow::Cow, error::Error, fmt};

/// A mistake in the configuration.
///
/// It is reported when the configuration, verifier or layer is made, and never while requests are served. It names the
/// setting and the environment variable that the value was read from. It never holds the value, which may be a secret.
///
/// ```
/// use tower_clerk::{ClerkConfig, ConfigError};
///
/// let error = ClerkConfig::from_publishable_key("sk_live_secret").unwrap_err();
/// assert!(matches!(&error, ConfigError::Invalid { setting, .. } if setting.name() == "publishable_key"));
/// let text = error.to_string();
/// assert_eq!(text, "publishable_key is a secret key; the publishable key starts with pk_test_ or pk_live_");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// Two settings contradict each other.
    #[non_exhaustive]
    Conflict {
        /// One setting of the pair.
        first: Setting,
        /// The other setting.
        second: Setting,
        /// How they contradict each other.
        reason: &'static str,
    },
    /// The HTTP client that fetches keys could not be made.
    #[non_exhaustive]
    HttpClient {
        /// The error of `reqwest`.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The value of a setting is invalid.
    #[non_exhaustive]
    Invalid {
        /// The invalid setting.
        setting: Setting,
        /// What is wrong with the value, or what it must be.
        reason: &'static str,
    },
    /// A required setting is missing.
    #[non_exhaustive]
    Missing {
        /// The missing setting.
        setting: Setting,
        /// Why it is required, or how to set it.
        reason: &'static str,
    },
    /// No certificate authorities were found. Without them keys cannot be fetched over `https`.
    ///
    /// Slim container images often have none: install the package `ca-certificates`, or set `SSL_CERT_FILE` to a PEM
    /// file of certificates.
    #[non_exhaustive]
    NoCertificateAuthorities {
        /// The error of `reqwest`.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The name of a setting, and the environment variable that its value was read from, if any.
///
/// `Display` writes both, such as `publishable_key (CLERK_PUBLISHABLE_KEY)`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    field: Cow<'static, str>,
    variable: Option<Cow<'static, str>>,
}

impl ConfigError {
    pub(crate) fn conflict(first: impl IntoSetting, second: impl IntoSetting, reason: &'static str) -> Self {
        Self::Conflict { first: first.into_setting(), second: second.into_setting(), reason }
    }

    pub(crate) fn invalid(setting: impl IntoSetting, reason: &'static str) -> Self {
        Self::Invalid { setting: setting.into_setting(), reason }
    }

    pub(crate) fn missing(setting: impl IntoSetting, reason: &'static str) -> Self {
        Self::Missing { setting: setting.into_setting(), reason }
    }

    /// Adds the environment variables that the settings were read from; `variable` returns that of a setting.
    pub(super) fn read_from(self, variable: impl Fn(&str) -> Option<&'static str>) -> Self {
        let named = |setting: Setting| match variable(setting.name()) {
            Some(name) => setting.read_from(name),
            None => setting,
        };
        match self {
            Self::Conflict { first, second, reason } => {
                Self::Conflict { first: named(first), second: named(second), reason }
            }
            Self::Invalid { setting, reason } => Self::Invalid { setting: named(setting), reason },
            Self::Missing { setting, reason } => Self::Missing { setting: named(setting), reason },
            other => other,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { first, second, reason } => write!(formatter, "{first} and {second}: {reason}"),
            Self::HttpClient { .. } => formatter.write_str("could not build the HTTP client for fetching keys"),
            Self::Invalid { setting, reason } => write!(formatter, "{setting} {reason}"),
            Self::Missing { setting, reason } => write!(formatter, "{setting} is missing: {reason}"),
            Self::NoCertificateAuthorities { .. } => formatter.write_str(
                "no certificate authorities found: for https, install ca-certificates or set SSL_CERT_FILE to a PEM file",
            ),
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::HttpClient { source } | Self::NoCertificateAuthorities { source } => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl Setting {
    pub(crate) fn field(field: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), variable: None }
    }

    pub(crate) fn read_from(self, variable: impl Into<Cow<'static, str>>) -> Self {
        Self { variable: Some(variable.into()), ..self }
    }

    /// Returns the name of the setting, such as `frontend_api_url`, or its path in a policy document, such as
    /// `handler.options.frontendApiUrl`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.field
    }

    /// Returns the environment variable that the value was read from, such as `CLERK_FRONTEND_API_URL`.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }
}

/// What names a setting inside of the crate.
pub(crate) trait IntoSetting {
    fn into_setting(self) -> Setting;
}

impl IntoSetting for Setting {
    fn into_setting(self) -> Setting {
        self
    }
}

impl IntoSetting for &'static str {
    fn into_setting(self) -> Setting {
        Setting::field(self)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variable {
            Some(variable) => write!(formatter, "{} ({variable})", self.field),
            None => formatter.write_str(&self.field),
        }
    }
}
