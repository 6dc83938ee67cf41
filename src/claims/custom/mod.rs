//! Why a payload does not fit the type of the custom claims: where in the claims, and what the type expects there.
//!
//! The message of `serde_json` may quote values of the token, so it is dropped. The payload is read a second time, by a
//! [`Reader`] whose errors hold no text of the token: names of fields, as the type declares them, positions, and what
//! the type says that it expects. That happens only after a failure, so claims that fit cost nothing more.

mod mismatch;
mod reader;

use std::{error::Error, fmt};

use serde::de::DeserializeOwned;

use self::{mismatch::Mismatch, reader::Reader};

/// Error of [`Claims::custom`](super::Claims::custom): the payload does not deserialize into the type.
///
/// Its [`source`](Error::source) says where and why, such as `profile.age: expected u32` or `profile.age: missing
/// field`. It never holds a value of the payload, or a name that only the payload has. A key of a map is therefore
/// shown as `*`, and so is a field beside `#[serde(flatten)]`, whose names serde does not tell. The path ends at an
/// enum, and at a type with a flattened part if the mistake is in that part.
///
/// If a number with a fraction is rejected although the type expects one, look for the feature `arbitrary_precision` of
/// `serde_json` in the dependencies: with it, serde cannot read such numbers in flattened parts and in untagged enums.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use std::error::Error;
///
/// use tower_clerk::ClerkAuth;
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Custom {
///     profile: Profile,
/// }
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Profile {
///     age: u32,
/// }
///
/// let profile = serde_json::json!({ "age": "unknown" });
/// let user = ClerkAuth::builder().claim("profile", profile).build();
/// let error = user.custom::<Custom>().unwrap_err();
/// assert_eq!(error.source().unwrap().to_string(), "profile.age: expected u32");
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CustomClaimsError {
    /// Boxed, because results of verified requests hold this type.
    mismatch: Box<Mismatch>,
}

impl CustomClaimsError {
    /// Finds out why `payload` does not deserialize into `T`.
    pub(crate) fn of<T: DeserializeOwned>(payload: &str) -> Self {
        // A type that fits at the second reading has no fixed behaviour, and nothing can be said about it.
        let mismatch = T::deserialize(Reader::new(payload)).err().unwrap_or_default().expecting_type::<T>();
        Self { mismatch: Box::new(mismatch) }
    }
}

impl fmt::Display for CustomClaimsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the payload does not match the type of the custom claims")
    }
}

impl Error for CustomClaimsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.mismatch)
    }
}
