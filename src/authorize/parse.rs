//! Requirements as text, for configuration files and environment variables.

use std::{error::Error, fmt, str::FromStr};

use super::Requirement;
use crate::claims::{is_scope, strip_org_prefix};

/// Reads a requirement from text, for programs that are configured and not compiled.
///
/// The text has words of the form `kind=name`, separated by spaces. All of them must hold, as with
/// [`all_of`](Requirement::all_of).
///
/// | word | requirement |
/// |---|---|
/// | `permission=org:invoices:create` | [`permission`](Requirement::permission) |
/// | `role=org:admin` | [`role`](Requirement::role) |
/// | `feature=org:beta` | [`feature`](Requirement::feature) |
/// | `plan=user:pro` | [`plan`](Requirement::plan) |
/// | `scope=read:things` | [`scope`](Requirement::scope) |
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::{ClerkAuth, Requirement, authorize::ParseRequirementErrorKind};
///
/// let may_create: Requirement = "role=org:admin permission=org:invoices:create".parse()?;
/// let user = ClerkAuth::builder().organization("org_acme", "admin").permission("invoices", "create").build();
/// assert!(user.has(&may_create));
///
/// let error = "rôle=org:admin".parse::<Requirement>().unwrap_err();
/// assert_eq!(error.kind(), ParseRequirementErrorKind::UnknownKind);
/// assert_eq!(error.word(), Some("rôle=org:admin"));
/// # }
/// # Ok::<(), tower_clerk::authorize::ParseRequirementError>(())
/// ```
impl FromStr for Requirement {
    type Err = ParseRequirementError;

    /// # Errors
    ///
    /// [`ParseRequirementError`] if the text is empty, or has a word that is none of the table, or that no token can
    /// ever meet. Its [kind](ParseRequirementErrorKind) says which. An empty text is an error because an empty setting
    /// is more often a mistake than the wish that nobody may pass.
    fn from_str(text: &str) -> Result<Self, ParseRequirementError> {
        let mut words = text.split_ascii_whitespace();
        let Some(first) = words.next() else {
            return Err(ParseRequirementError { word: None, kind: ParseRequirementErrorKind::Empty });
        };
        words.try_fold(word(first)?, |requirement, next| Ok(requirement.and(word(next)?)))
    }
}

/// A text that is no [`Requirement`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseRequirementError {
    word: Option<Box<str>>,
    kind: ParseRequirementErrorKind,
}

/// The kind of a [`ParseRequirementError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ParseRequirementErrorKind {
    /// The text has no word.
    Empty,
    /// A name has a character that no such name has, such as a comma, a quotation mark or `|`.
    InvalidCharacter,
    /// A name has too few or too many parts, such as `invoices` for a permission, or names an owner that has no such
    /// thing, such as `user:admin` for a role.
    InvalidName,
    /// A word has no name after its kind, or a part of the name is empty.
    MissingName,
    /// A word requires a system permission (`org:sys_…`), which session tokens do not have.
    SystemPermission,
    /// A word does not begin with one of the known kinds and `=`.
    UnknownKind,
}

impl ParseRequirementError {
    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ParseRequirementErrorKind {
        self.kind
    }

    /// Returns the word that is wrong. `None`: the text has no word.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        self.word.as_deref()
    }
}

impl fmt::Display for ParseRequirementError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(word) = &self.word {
            write!(formatter, "`{}` ", word.escape_debug())?;
        }
        match self.kind {
            ParseRequirementErrorKind::Empty => write!(formatter, "the requirement is empty; {KNOWN}"),
            ParseRequirementErrorKind::InvalidCharacter => formatter.write_str(
                "has a character that no such name has: requirements are separated by spaces, and all of them must hold",
            ),
            ParseRequirementErrorKind::InvalidName => {
                write!(formatter, "has a name that no token can have; {FORMS}")
            }
            ParseRequirementErrorKind::MissingName => formatter.write_str("has no name after the kind"),
            ParseRequirementErrorKind::SystemPermission => formatter
                .write_str("is a system permission, which session tokens do not have: require the role in its place"),
            ParseRequirementErrorKind::UnknownKind => write!(formatter, "is no requirement; {KNOWN}"),
        }
    }
}

impl Error for ParseRequirementError {}

fn word(word: &str) -> Result<Requirement, ParseRequirementError> {
    let error = |kind| ParseRequirementError { word: Some(word.into()), kind };
    let Some((kind, name)) = word.split_once('=') else {
        return Err(error(ParseRequirementErrorKind::UnknownKind));
    };
    let requirement: fn(String) -> Requirement = match kind {
        "feature" => Requirement::feature,
        "permission" => Requirement::permission,
        "plan" => Requirement::plan,
        "role" => Requirement::role,
        "scope" => Requirement::scope,
        _ => return Err(error(ParseRequirementErrorKind::UnknownKind)),
    };
    match problem(kind, name) {
        Some(problem) => Err(error(problem)),
        None => Ok(requirement(name.to_owned())),
    }
}

/// Why no token can have this name.
fn problem(kind: &str, name: &str) -> Option<ParseRequirementErrorKind> {
    let bare = strip_org_prefix(name);
    match kind {
        _ if name.is_empty() => Some(ParseRequirementErrorKind::MissingName),
        "scope" => (!is_scope(name)).then_some(ParseRequirementErrorKind::InvalidCharacter),
        _ if !name.bytes().all(is_name_character) => Some(ParseRequirementErrorKind::InvalidCharacter),
        _ if name.split(':').any(str::is_empty) => Some(ParseRequirementErrorKind::MissingName),
        "permission" if bare.starts_with("sys_") => Some(ParseRequirementErrorKind::SystemPermission),
        "permission" => (bare.split(':').count() != 2).then_some(ParseRequirementErrorKind::InvalidName),
        "role" => bare.contains(':').then_some(ParseRequirementErrorKind::InvalidName),
        _ => (!is_entitlement(name)).then_some(ParseRequirementErrorKind::InvalidName),
    }
}

/// `name`, or `owner:name` with an owner that [`Requirement::feature`] knows.
fn is_entitlement(name: &str) -> bool {
    name.split_once(':')
        .is_none_or(|(owner, name)| matches!(owner, "o" | "org" | "organization" | "u" | "user") && !name.contains(':'))
}

/// More than Clerk allows in the keys of roles and permissions and in the slugs of features and plans, and less than
/// what a list or a pattern needs.
fn is_name_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'_')
}

const FORMS: &str =
    "a permission is org:feature:permission, a role org:role, a feature or a plan org:name or user:name";
const KNOWN: &str = "known are permission=, role=, feature=, plan= and scope=, each with a name";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_the_requirement_that_its_function_makes() {
        for (text, made) in [
            ("permission=org:invoices:create", Requirement::permission("org:invoices:create")),
            ("role=org:admin", Requirement::role("org:admin")),
            ("role=admin", Requirement::role("admin")),
            ("feature=user:beta", Requirement::feature("user:beta")),
            ("feature=o:beta-2.1", Requirement::feature("o:beta-2.1")),
            ("permission=invoices:create", Requirement::permission("invoices:create")),
            ("plan=pro", Requirement::plan("pro")),
            ("scope=read:things", Requirement::scope("read:things")),
            ("scope=a=b", Requirement::scope("a=b")),
            ("scope=a,b:", Requirement::scope("a,b:")),
            ("permission=org:system:read", Requirement::permission("org:system:read")),
            (
                " role=org:admin\n  plan=pro ",
                Requirement::all_of([Requirement::role("org:admin"), Requirement::plan("pro")]),
            ),
            (
                "role=a plan=b scope=c",
                Requirement::all_of([Requirement::role("a"), Requirement::plan("b"), Requirement::scope("c")]),
            ),
        ] {
            assert_eq!(format!("{:?}", text.parse::<Requirement>().unwrap()), format!("{made:?}"), "{text}");
        }
    }

    #[test]
    fn what_is_no_requirement_is_refused_by_its_word() {
        use ParseRequirementErrorKind::{
            Empty, InvalidCharacter, InvalidName, MissingName, SystemPermission, UnknownKind,
        };
        for (text, word, kind, fragment) in [
            ("", None, Empty, "empty; known are permission=, role="),
            (" \t\n", None, Empty, "empty"),
            ("role=admin rle=admin", Some("rle=admin"), UnknownKind, "known are permission=, role="),
            ("admin", Some("admin"), UnknownKind, "known are"),
            ("Role=admin", Some("Role=admin"), UnknownKind, "known are"),
            ("=admin", Some("=admin"), UnknownKind, "known are"),
            ("role=a, plan=b", Some("role=a,"), InvalidCharacter, "separated by spaces"),
            ("role=a,plan=b", Some("role=a,plan=b"), InvalidCharacter, "separated by spaces"),
            ("role=a|role=b", Some("role=a|role=b"), InvalidCharacter, "all of them must hold"),
            ("role=a;b", Some("role=a;b"), InvalidCharacter, "separated by spaces"),
            ("role=\"a\"", Some("role=\"a\""), InvalidCharacter, "no such name"),
            ("permission=org:invoices:*", Some("permission=org:invoices:*"), InvalidCharacter, "no such name"),
            ("plan=größe", Some("plan=größe"), InvalidCharacter, "no such name"),
            ("role =admin", Some("role"), UnknownKind, "known are"),
            ("role= admin", Some("role="), MissingName, "no name"),
            ("plan=", Some("plan="), MissingName, "no name"),
            ("scope=", Some("scope="), MissingName, "no name"),
            ("role=org:", Some("role=org:"), MissingName, "no name"),
            ("feature=user:", Some("feature=user:"), MissingName, "no name"),
            ("permission=org::read", Some("permission=org::read"), MissingName, "no name"),
            ("scope=\"a\"", Some("scope=\"a\""), InvalidCharacter, "no such name"),
            ("scope=ä", Some("scope=ä"), InvalidCharacter, "no such name"),
            ("permission=invoices", Some("permission=invoices"), InvalidName, "org:feature:permission"),
            ("permission=org:invoices", Some("permission=org:invoices"), InvalidName, "org:feature:permission"),
            ("permission=o:sys_domains:read", Some("permission=o:sys_domains:read"), InvalidName, "no token"),
            ("role=user:admin", Some("role=user:admin"), InvalidName, "org:role"),
            ("feature=team:beta", Some("feature=team:beta"), InvalidName, "org:name or user:name"),
            ("plan=org:pro:max", Some("plan=org:pro:max"), InvalidName, "org:name or user:name"),
            (
                "permission=org:sys_memberships:read",
                Some("permission=org:sys_memberships:read"),
                SystemPermission,
                "role",
            ),
            ("permission=sys_domains:manage", Some("permission=sys_domains:manage"), SystemPermission, "the role"),
        ] {
            let error = text.parse::<Requirement>().expect_err(text);
            assert_eq!((error.word(), error.kind()), (word, kind), "{text}");
            assert!(error.to_string().contains(fragment), "{text}: {error}");
        }
    }
}
