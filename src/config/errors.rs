use std::{error::Error, fmt, iter, vec};

use super::ConfigError;

/// All mistakes in a configuration that is read as a whole: one or more, in the order of reading.
///
/// `Display` writes one line for each.
///
/// ```
/// use tower_clerk::gateway::GatewayPolicy;
///
/// let errors = GatewayPolicy::from_policy_json(r#"{ "name": 7, "policyType": "clerk" }"#, |_| None).unwrap_err();
/// assert_eq!(errors.to_string(), "name must be a string\nhandler is missing: it is required");
/// assert_eq!(errors.iter().count(), 2);
/// ```
#[derive(Debug)]
pub struct ConfigErrors {
    /// In a box, so that results with these errors are small.
    first: Box<ConfigError>,
    others: Vec<ConfigError>,
}

impl ConfigErrors {
    /// Returns the errors, at least one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        iter::once(&*self.first).chain(&self.others)
    }

    /// Fails if there are errors.
    pub(crate) fn reject_any(errors: impl IntoIterator<Item = ConfigError>) -> Result<(), Self> {
        let mut errors = errors.into_iter();
        match errors.next() {
            None => Ok(()),
            Some(first) => Err(Self { first: Box::new(first), others: errors.collect() }),
        }
    }

    pub(crate) fn into_first(self) -> ConfigError {
        *self.first
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.first, formatter)?;
        self.others.iter().try_for_each(|error| write!(formatter, "\n{error}"))
    }
}

impl Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self { first: Box::new(error), others: Vec::new() }
    }
}

impl IntoIterator for ConfigErrors {
    type IntoIter = vec::IntoIter<ConfigError>;
    type Item = ConfigError;

    fn into_iter(self) -> Self::IntoIter {
        iter::once(*self.first).chain(self.others).collect::<Vec<_>>().into_iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type IntoIter = vec::IntoIter<&'a ConfigError>;
    type Item = &'a ConfigError;

    fn into_iter(self) -> Self::IntoIter {
        self.iter().collect::<Vec<_>>().into_iter()
    }
}

/// Returns both values, or the errors of both.
pub(crate) fn both<A, B>(
    first: Result<A, ConfigErrors>,
    second: Result<B, ConfigErrors>,
) -> Result<(A, B), ConfigErrors> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(mut errors), Err(more)) => {
            errors.others.extend(more);
            Err(errors)
        }
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(setting: &'static str) -> ConfigError {
        ConfigError::invalid(setting, "is wrong")
    }

    #[test]
    fn errors_keep_their_order_one_on_each_line() {
        let both = both(
            ConfigErrors::reject_any([error("a"), error("b")]),
            ConfigErrors::reject_any([error("c"), error("d")]),
        );
        let errors = both.unwrap_err();
        assert_eq!(errors.to_string(), "a is wrong\nb is wrong\nc is wrong\nd is wrong");
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.join("\n"), errors.to_string());
        assert_eq!((&errors).into_iter().map(ToString::to_string).collect::<Vec<_>>(), texts);
        assert_eq!(errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>(), texts);
    }

    #[test]
    fn the_values_of_both_are_given_only_without_errors() {
        let bad = || Err::<u8, _>(error("a").into());
        assert_eq!(both(Ok(1), Ok(2)).unwrap(), (1, 2));
        for errors in [both(Ok(1), bad()), both(bad(), Ok(2))] {
            assert_eq!(errors.unwrap_err().to_string(), "a is wrong");
        }
        assert!(ConfigErrors::reject_any([]).is_ok());
    }
}
