//! The JOSE header (RFC 7515, section 4): what can be rejected before a key is looked up.
//!
//! Nothing of the header is trusted. It can only make a token invalid: `kid` selects one of the instance's own keys,
//! and `alg` has to be the algorithm that this key has. Parameters that carry a key (`jwk`, `jku`, `x5c`, `x5u`) are
//! ignored.

use std::borrow::Cow;

use crate::{
    json::{Object, Value},
    token_kind::{TokenKind, TokenKinds},
};

/// A header that passed the checks which need no key.
pub(crate) struct CheckedHeader<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) category: Category,
    /// Whether `typ` is that of an OAuth access token (RFC 9068, section 2.1).
    pub(crate) is_access_token: bool,
    /// Present or absent, but of the right type.
    kid: Option<Cow<'a, str>>,
}

/// A signature algorithm: RSASSA-PKCS1-v1_5 with SHA-2 (RFC 7518, section 3.3). Clerk signs session tokens with RS256.
///
/// `none` and the HMAC algorithms have no variant, so a header that names one of them cannot be represented.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
}

/// What `cat` says about a token. Clerk's SDKs define its values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Category {
    Machine,
    Session,
    /// Made from a JWT template.
    Template,
    /// Absent, the value that says nothing, or not read because the kind has no rule for it.
    Unspecified,
}

/// Why a header is rejected, in the order of the checks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HeaderError {
    /// `crit` is present (RFC 7515, section 4.1.11).
    Critical,
    /// `typ` is present and not `JWT` (RFC 7519, section 5.1). Tokens of other kinds name their own type here.
    Type,
    /// `typ` marks an OAuth access token, or `cat` an M2M token, and none is accepted.
    Kind,
    /// `cat` is present and not a category that is accepted.
    Category,
    /// `alg` is missing or none of [`Algorithm`] (RFC 7515, section 4.1.1).
    Algorithm,
    /// `kid` is present and not a string (RFC 7515, section 4.1.4).
    KeyId,
}

impl<'a> CheckedHeader<'a> {
    /// Checks `crit`, `typ`, `cat`, `alg` and the type of `kid`. Other parameters are ignored, whatever their type.
    ///
    /// `kinds` are those that may be accepted. Whether the category fits the kind is checked by
    /// [`check_kind`](Self::check_kind), once the payload has said which kind it is.
    ///
    /// `typ` may be absent, because RFC 7519, section 5.1, makes it optional. A missing `kid` is no error here, because
    /// a key from a PEM needs none. If several parameters are wrong, the first in the order above decides the error.
    pub(crate) fn check(
        header: &Object<'a>,
        kinds: TokenKinds,
        allow_template_tokens: bool,
    ) -> Result<Self, HeaderError> {
        // Extensions that must be understood (RFC 7515, section 4.1.11); none are.
        if header.get("crit").is_some() {
            return Err(HeaderError::Critical);
        }
        let is_access_token = match header.get("typ") {
            None => false,
            Some(Value::String(typ)) if typ == "JWT" => false,
            Some(Value::String(typ)) if ACCESS_TOKEN.contains(&typ.as_ref()) => true,
            Some(_) => return Err(HeaderError::Type),
        };
        if is_access_token && !kinds.contains(TokenKind::OAuth) {
            return Err(HeaderError::Kind);
        }
        let category = match header.get("cat") {
            _ if is_access_token => Category::Unspecified,
            None => Category::Unspecified,
            Some(Value::String(cat)) if cat == IGNORE => Category::Unspecified,
            Some(Value::String(cat)) if cat == SESSION => Category::Session,
            Some(Value::String(cat)) if cat == TEMPLATE && allow_template_tokens => Category::Template,
            Some(Value::String(cat)) if cat == MACHINE && kinds.contains(TokenKind::M2m) => Category::Machine,
            Some(Value::String(cat)) if cat == MACHINE => return Err(HeaderError::Kind),
            Some(_) => return Err(HeaderError::Category),
        };
        let algorithm =
            header.string("alg").and_then(|alg| Algorithm::from_name(&alg)).ok_or(HeaderError::Algorithm)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid),
            Some(_) => return Err(HeaderError::KeyId),
        };
        Ok(Self { algorithm, category, is_access_token, kid })
    }

    /// Checks that `typ` and `cat` are those of this kind.
    pub(crate) fn check_kind(&self, kind: TokenKind) -> Result<(), HeaderError> {
        match (kind, self.category) {
            (TokenKind::M2m, _) if self.is_access_token => Err(HeaderError::Type),
            (TokenKind::M2m, Category::Session | Category::Template) | (TokenKind::Session, Category::Machine) => {
                Err(HeaderError::Category)
            }
            _ => Ok(()),
        }
    }

    /// The `kid` by which a key is looked up in a set; `None` if it is missing, empty or longer than [`MAX_KID`].
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.kid.as_deref().filter(|kid| is_key_id(kid))
    }
}

impl Algorithm {
    /// The algorithm with this name. Names are case-sensitive (RFC 7515, section 4.1.1).
    pub(crate) fn from_name(alg: &str) -> Option<Self> {
        match alg {
            "RS256" => Some(Self::Rs256),
            "RS384" => Some(Self::Rs384),
            "RS512" => Some(Self::Rs512),
            _ => None,
        }
    }
}

/// Whether a key of a set may have this `kid`. The same rule holds for headers, so no header names a key in vain.
pub(super) fn is_key_id(kid: &str) -> bool {
    !kid.is_empty() && kid.len() <= MAX_KID
}

/// In bytes. Clerk's are instance ids of about 30 bytes; a longer text is no key id but an attempt to waste work.
const MAX_KID: usize = 255;

/// The values of `typ` of an OAuth access token (RFC 9068, section 2.1), in the case in which Clerk writes them.
const ACCESS_TOKEN: [&str; 2] = ["at+jwt", "application/at+jwt"];

// The values of `cat`, as Clerk's SDKs define them.
const IGNORE: &str = "cl_I7d4PD111III";
const MACHINE: &str = "cl_B7d4PD333AAA";
const SESSION: &str = "cl_B7d4PD111AAA";
const TEMPLATE: &str = "cl_B7d4PD222AAA";
