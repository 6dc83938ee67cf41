//! The JOSE header (RFC 7515, section 4): what can be rejected before a key is looked for.

use std::borrow::Cow;

use crate::json::{Object, Value};

/// A header that passed the checks which need no key.
pub(crate) struct CheckedHeader<'a> {
    pub(crate) algorithm: Algorithm,
    /// Whether the token says that it was made from a JWT template (`cat`).
    pub(crate) is_template: bool,
    kid: Option<Cow<'a, str>>,
}

/// A signature algorithm of RFC 7518, section 3.3, that Clerk uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
}

/// Why a header is rejected, in the order of the checks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HeaderError {
    Critical,
    Type,
    Category,
    Algorithm,
    KeyId,
}

impl<'a> CheckedHeader<'a> {
    /// Checks `crit`, `typ`, `cat`, `alg` and the type of `kid`. Other parameters are ignored, whatever their type.
    pub(crate) fn check(header: &Object<'a>, allow_template_tokens: bool) -> Result<Self, HeaderError> {
        // Extensions that must be understood (RFC 7515, section 4.1.11); none are.
        if header.get("crit").is_some() {
            return Err(HeaderError::Critical);
        }
        match header.get("typ") {
            None => {}
            Some(Value::String(typ)) if typ == "JWT" => {}
            Some(_) => return Err(HeaderError::Type),
        }
        let is_template = match header.get("cat") {
            None => false,
            Some(Value::String(cat)) if cat == SESSION || cat == IGNORE => false,
            Some(Value::String(cat)) if cat == TEMPLATE && allow_template_tokens => true,
            Some(_) => return Err(HeaderError::Category),
        };
        let algorithm =
            header.string("alg").and_then(|alg| Algorithm::from_name(&alg)).ok_or(HeaderError::Algorithm)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid),
            Some(_) => return Err(HeaderError::KeyId),
        };
        Ok(Self { algorithm, is_template, kid })
    }

    /// The `kid` by which a key is looked up in a set; `None` if it is missing, empty or longer than [`MAX_KID`].
    ///
    /// A key that stands alone needs none, and ignores whatever the token names.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.kid.as_deref().filter(|kid| is_key_id(kid))
    }
}

impl Algorithm {
    /// The algorithm that `alg` names, compared exactly.
    pub(crate) fn from_name(alg: &str) -> Option<Self> {
        match alg {
            "RS256" => Some(Self::Rs256),
            "RS384" => Some(Self::Rs384),
            "RS512" => Some(Self::Rs512),
            _ => None,
        }
    }
}

/// Whether a key of a set may have this `kid`.
pub(super) fn is_key_id(kid: &str) -> bool {
    !kid.is_empty() && kid.len() <= MAX_KID
}

/// In bytes; Clerk's are instance ids of about 30.
const MAX_KID: usize = 255;

// Categories as Clerk's SDKs spell them.
const IGNORE: &str = "cl_I7d4PD111III";
const SESSION: &str = "cl_B7d4PD111AAA";
const TEMPLATE: &str = "cl_B7d4PD222AAA";
