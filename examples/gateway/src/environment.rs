//! Variables of the environment, as documents refer to them.

use crate::excerpt::excerpt;

/// Splits text at the first `$env(`: what is before it, and what follows.
pub(crate) fn split_at_reference(text: &str) -> Option<(&str, &str)> {
    text.split_once("$env(")
}

/// The value of a variable.
///
/// # Errors
///
/// It is not set, or blank. (The hosted gateway passes empty text then.)
pub(crate) fn value(name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    variable(name).filter(|value| !value.trim().is_empty()).ok_or_else(|| not_set(name))
}

/// Why a document with this variable cannot be used.
pub(crate) fn not_set(name: &str) -> String {
    format!("the environment variable `{}` is not set, or blank; set it", excerpt(name))
}
