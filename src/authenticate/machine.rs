//! What the tokens that are no sessions have in common.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::{
    claims::{CustomClaimsError, MachineClaims},
    rejection::Responder,
};

/// The claims of a token that is no session token, behind the types of the three kinds. Cloning it copies pointers.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) claims: MachineClaims,
    /// That of the layer that authenticated the request, as in [`ClerkAuth`](super::ClerkAuth).
    pub(super) responder: Responder,
}

impl Machine {
    /// Deserializes the custom claims.
    pub(super) fn custom<T: DeserializeOwned>(&self) -> Result<T, CustomClaimsError> {
        // A type whose fields are all optional needs no claims.
        let json = self.claims.custom_json().unwrap_or("{}");
        serde_json::from_str(json).map_err(|_| CustomClaimsError::of::<T>(json))
    }

    /// Shows the instance alone: ids and claims are personal data and stay out of logs.
    pub(super) fn fmt_as(&self, name: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct(name).field("instance", &self.claims.instance()).finish_non_exhaustive()
    }
}

/// What each of the three types has.
macro_rules! machine_token {
    ($name:ident) => {
        impl $name {
            /// Returns when the token expires; `None` if it does not.
            #[must_use]
            pub fn expires_at(&self) -> Option<SystemTime> {
                self.0.claims.expires_at()
            }

            /// Returns the name of the instance that vouches for the token, as
            /// [`Claims::instance`](crate::Claims::instance) does.
            #[must_use]
            pub fn instance(&self) -> &str {
                self.0.claims.instance()
            }

            pub(crate) fn machine(&self) -> &Machine {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt_as(stringify!($name), formatter)
            }
        }
    };
}

/// What the kinds with custom claims have; the doc comment says which these are.
macro_rules! custom_claims {
    ($(#[$summary:meta])+ $name:ident) => {
        impl $name {
            $(#[$summary])+
            ///
            /// # Errors
            ///
            /// [`CustomClaimsError`] if they do not deserialize into `T`.
            pub fn custom<T: DeserializeOwned>(&self) -> Result<T, CustomClaimsError> {
                self.0.custom()
            }

            /// Returns the custom claims as the text of a JSON object; `None` if there are none.
            #[must_use]
            pub fn custom_json(&self) -> Option<&str> {
                self.0.claims.custom_json()
            }
        }
    };
}

pub(super) use custom_claims;
pub(super) use machine_token;
