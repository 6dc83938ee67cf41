use std::{borrow::Cow, error::Error, fmt};

/// A setting that cannot be used, reported when the configuration is made and never later.
///
/// It names the setting, and the environment variable it came from, but never holds the value: settings
/// are secrets often enough.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// Two settings contradict each other.
    #[non_exhaustive]
    Conflict {
        /// One of the two.
        first: Setting,
        /// The other.
        second: Setting,
        /// What is wrong with the pair.
        reason: &'static str,
    },
    /// The HTTP client that fetches keys could not be made.
    #[non_exhaustive]
    HttpClient {
        /// What the client library said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A setting has a value that cannot be used.
    #[non_exhaustive]
    Invalid {
        /// Which one.
        setting: Setting,
        /// What it must be.
        reason: &'static str,
    },
    /// A setting is needed and not there.
    #[non_exhaustive]
    Missing {
        /// Which one.
        setting: Setting,
        /// What needs it.
        reason: &'static str,
    },
}

/// The name of a setting: its field and, if it was read from one, its environment variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    field: Cow<'static, str>,
    variable: Option<Cow<'static, str>>,
}

impl ConfigError {
    pub(crate) fn conflict(first: impl Into<Setting>, second: impl Into<Setting>, reason: &'static str) -> Self {
        Self::Conflict { first: first.into(), second: second.into(), reason }
    }

    pub(crate) fn invalid(setting: impl Into<Setting>, reason: &'static str) -> Self {
        Self::Invalid { setting: setting.into(), reason }
    }

    pub(crate) fn missing(setting: impl Into<Setting>, reason: &'static str) -> Self {
        Self::Missing { setting: setting.into(), reason }
    }

    /// The same error, with the environment variable that the setting was read from.
    pub(crate) fn read_from(self, name: &'static str) -> Self {
        match self {
            Self::Invalid { setting, reason } => Self::Invalid { setting: setting.read_from(name), reason },
            Self::Missing { setting, reason } => Self::Missing { setting: setting.read_from(name), reason },
            other => other,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { first, second, reason } => write!(formatter, "{first} and {second}: {reason}"),
            Self::HttpClient { .. } => formatter.write_str("the HTTP client for fetching keys could not be made"),
            Self::Invalid { setting, reason } => write!(formatter, "{setting} {reason}"),
            Self::Missing { setting, reason } => write!(formatter, "{setting} is missing: {reason}"),
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::HttpClient { source } => Some(source.as_ref()),
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

    /// The field's name, such as `frontend_api_url`, or its path inside a policy document.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.field
    }

    /// The environment variable that the value was read from.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }
}

impl From<&'static str> for Setting {
    fn from(field: &'static str) -> Self {
        Self::field(field)
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
