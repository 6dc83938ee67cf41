//! The kinds of tokens that Clerk issues, and how one is recognized before anything of it is verified.

use std::fmt;

/// A kind of token that a Clerk instance issues to those who call a service.
///
/// [`ClerkConfig::accept`](crate::ClerkConfig::accept) says which kinds an instance may present; sessions alone by
/// default. A token is recognized by its form, in the order of this table, with upper and lower case as they are
/// written:
///
/// | kind | opaque form | JWT form |
/// |---|---|---|
/// | [`M2m`](Self::M2m) | starts with `mt_` | `sub` starts with `mch_` |
/// | [`OAuth`](Self::OAuth) | starts with `oat_` | the header's `typ` is `at+jwt` or `application/at+jwt` (RFC 9068, section 2.1) |
/// | [`ApiKey`](Self::ApiKey) | starts with `ak_` | none |
/// | [`Session`](Self::Session) | none | every other JWT |
///
/// The form only chooses the rules, and is read before anything of the token is verified. Each kind has
/// [checks](crate::verify#checks) of its own, so a token never passes for one of another kind: an M2M token with the
/// `typ` of an OAuth token, for example, is of neither. Cookies carry sessions alone.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::{TokenKind, Verifier, testing::TestIssuer, verify::VerifyErrorKind};
///
/// let issuer = TestIssuer::new();
/// let tokens = [issuer.token("user_ada"), issuer.oauth_token("user_ada"), issuer.m2m_token("mch_orders")];
///
/// let verifier = Verifier::new(issuer.config().accept([TokenKind::Session, TokenKind::OAuth, TokenKind::M2m])?)?;
/// let kinds = tokens.each_ref().map(|token| verifier.try_verify_principal(&token.sign()).map(|it| it.kind()));
/// assert_eq!(kinds, [Ok(TokenKind::Session), Ok(TokenKind::OAuth), Ok(TokenKind::M2m)]);
///
/// // By default sessions alone are accepted.
/// let verifier = Verifier::new(issuer.config())?;
/// let error = verifier.try_verify_principal(&tokens[1].sign()).unwrap_err();
/// assert_eq!(error.kind(), VerifyErrorKind::TokenKindNotAccepted);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenKind {
    /// The token of a signed-in user (`session_token`).
    Session,
    /// An access token that a user has granted to an OAuth client (`oauth_token`; RFC 6749, section 1.4).
    OAuth,
    /// A token by which one machine authenticates to another (`m2m_token`).
    M2m,
    /// A key that a user, an organization or a machine has made for its own programs (`api_key`).
    ApiKey,
}

impl TokenKind {
    /// Returns every kind.
    ///
    /// With it, an application accepts a kind of a later version too, as soon as it is built with that.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter()
    }

    /// Returns Clerk's name of the kind, such as `oauth_token`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session_token",
            Self::OAuth => "oauth_token",
            Self::M2m => "m2m_token",
            Self::ApiKey => "api_key",
        }
    }

    /// The name of the kind in labels of metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::OAuth => "oauth",
            Self::M2m => "m2m",
            Self::ApiKey => "api_key",
        }
    }

    /// The kind with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The kind of an opaque token; `None` if it can only be a JWT. No JWT starts like one: the first bytes of its
    /// header would not be JSON.
    pub(crate) fn of_opaque(token: &[u8]) -> Option<Self> {
        match token {
            [b'm', b't', b'_', ..] => Some(Self::M2m),
            [b'o', b'a', b't', b'_', ..] => Some(Self::OAuth),
            [b'a', b'k', b'_', ..] => Some(Self::ApiKey),
            _ => None,
        }
    }

    /// The kind of a JWT, by its unverified header and `sub`.
    pub(crate) fn of_jwt(is_access_token: bool, sub: Option<&str>) -> Self {
        match sub {
            Some(sub) if sub.starts_with(MACHINE_ID_PREFIX) => Self::M2m,
            _ if is_access_token => Self::OAuth,
            _ => Self::Session,
        }
    }

    /// What follows the prefix of an opaque token.
    pub(crate) fn opaque_body(token: &[u8]) -> Option<&[u8]> {
        Self::of_opaque(token)?;
        let prefix = token.iter().position(|byte| *byte == b'_')?;
        token.get(prefix + 1..)
    }
}

/// Clerk's name of the kind.
impl fmt::Display for TokenKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct TokenKinds(u8);

impl TokenKinds {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const SESSIONS: Self = Self::NONE.with(TokenKind::Session);

    pub(crate) const fn with(self, kind: TokenKind) -> Self {
        Self(self.0 | Self::bit(kind))
    }

    pub(crate) const fn contains(self, kind: TokenKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = TokenKind> {
        ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    const fn bit(kind: TokenKind) -> u8 {
        match kind {
            TokenKind::Session => 1,
            TokenKind::OAuth => 2,
            TokenKind::M2m => 4,
            TokenKind::ApiKey => 8,
        }
    }
}

impl FromIterator<TokenKind> for TokenKinds {
    fn from_iter<I: IntoIterator<Item = TokenKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for TokenKinds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter().map(TokenKind::as_str)).finish()
    }
}

/// Private, because the type of an array names how many kinds there are.
const ALL: [TokenKind; 4] = [TokenKind::Session, TokenKind::OAuth, TokenKind::M2m, TokenKind::ApiKey];

/// How the id of a machine starts.
pub(crate) const MACHINE_ID_PREFIX: &str = "mch_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opaque_tokens_are_recognized_by_their_prefix_in_its_case() {
        for (token, kind) in [
            ("mt_a", Some(TokenKind::M2m)),
            ("oat_a", Some(TokenKind::OAuth)),
            ("ak_a", Some(TokenKind::ApiKey)),
            ("ak_x.y.z", Some(TokenKind::ApiKey)),
            ("ak_", Some(TokenKind::ApiKey)),
            ("AK_a", None),
            ("Oat_a", None),
            ("ak-a", None),
            ("oat", None),
            ("eyJhbGciOiJSUzI1NiJ9.e30.AQI", None),
            ("", None),
        ] {
            assert_eq!(TokenKind::of_opaque(token.as_bytes()), kind, "{token}");
        }
    }

    #[test]
    fn a_machine_as_subject_makes_a_jwt_an_m2m_token_whatever_its_type() {
        for (is_access_token, sub, kind) in [
            (false, Some("user_a"), TokenKind::Session),
            (true, Some("user_a"), TokenKind::OAuth),
            (false, Some("mch_a"), TokenKind::M2m),
            (true, Some("mch_a"), TokenKind::M2m),
            (false, Some("MCH_a"), TokenKind::Session),
            (false, None, TokenKind::Session),
            (true, None, TokenKind::OAuth),
        ] {
            assert_eq!(TokenKind::of_jwt(is_access_token, sub), kind, "{is_access_token} {sub:?}");
        }
    }

    #[test]
    fn a_set_holds_the_kinds_that_were_added() {
        let kinds: TokenKinds = [TokenKind::OAuth, TokenKind::ApiKey].into_iter().collect();
        assert!(kinds.iter().eq([TokenKind::OAuth, TokenKind::ApiKey]));
        assert!(kinds.and(TokenKinds::SESSIONS).is_empty());
        assert!(kinds.or(TokenKinds::SESSIONS).contains(TokenKind::Session));
        for kind in TokenKind::all() {
            assert_eq!(TokenKind::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(TokenKind::from_name("any"), None);
    }
}
