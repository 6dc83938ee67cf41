use std::fmt;

/// A feature or a plan of Clerk Billing, and whose subscription grants it.
///
/// `Display` writes it as the claims `fea` and `pla` do: `o:dashboard`, `u:pro`, `uo:support`.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::{ClerkAuth, claims::EntitlementScope};
///
/// let user = ClerkAuth::builder().feature("o:dashboard").build();
/// for feature in user.features() {
///     assert_eq!((feature.name(), feature.scope()), ("dashboard", EntitlementScope::Organization));
///     assert_eq!(feature.to_string(), "o:dashboard");
/// }
/// assert_eq!(user.features().count(), 1);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entitlement<'a> {
    name: &'a str,
    scope: EntitlementScope,
}

/// Whose subscription an [`Entitlement`] comes from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EntitlementScope {
    /// The subscription of the active organization (`o`).
    Organization,
    /// The subscription of the user (`u`).
    User,
    /// The subscriptions of both (`uo`, also written `ou`).
    UserAndOrganization,
}

impl<'a> Entitlement<'a> {
    /// Returns the slug of the feature or plan, such as `dashboard`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Returns whose subscription grants it.
    #[must_use]
    pub fn scope(&self) -> EntitlementScope {
        self.scope
    }
}

impl fmt::Display for Entitlement<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.scope.as_str(), self.name)
    }
}

impl EntitlementScope {
    /// Returns the scope as the claims write it: `o`, `u` or `uo`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "o",
            Self::User => "u",
            Self::UserAndOrganization => "uo",
        }
    }
}

/// Returns the items of a `fea` or `pla` claim, in the order of the claim.
///
/// One item without a colon makes the whole list empty: Clerk's SDKs throw an error at it and grant nothing.
/// Items of unknown scope are omitted.
pub(super) fn entitlements(claim: &str) -> impl Iterator<Item = Entitlement<'_>> {
    items(claim).filter_map(|(scope, name)| Some(Entitlement { name, scope: scope? }))
}

/// As [`entitlements`], with items of unknown scope in their places: the masks of `fpm` count by position.
pub(super) fn items(claim: &str) -> impl Iterator<Item = (Option<EntitlementScope>, &str)> + Clone {
    let is_well_formed = CommaSeparated::new(claim).all(|item| item.bytes().any(|byte| byte == b':'));
    let list = if is_well_formed { claim } else { "" };
    CommaSeparated::new(list).filter_map(|item| item.split_once(':')).map(|(scope, name)| {
        let scope = match scope {
            "o" => Some(EntitlementScope::Organization),
            "u" => Some(EntitlementScope::User),
            "uo" | "ou" => Some(EntitlementScope::UserAndOrganization),
            _ => None,
        };
        (scope, name)
    })
}

/// The items of a list, trimmed; the empty text is a list of one empty item.
///
/// For lists as short as these it takes a third of the instructions of `str::split` and `str::trim`.
#[derive(Clone)]
pub(super) struct CommaSeparated<'a> {
    rest: Option<&'a str>,
}

impl<'a> CommaSeparated<'a> {
    pub(super) fn new(list: &'a str) -> Self {
        Self { rest: Some(list) }
    }
}

impl<'a> Iterator for CommaSeparated<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let end = rest.bytes().position(|byte| byte == b',').unwrap_or(rest.len());
        let (item, tail) = rest.split_at_checked(end)?;
        self.rest = tail.get(1..);
        let is_trimmed = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
        let bytes = item.as_bytes();
        Some(if is_trimmed(bytes.first()) && is_trimmed(bytes.last()) { item } else { item.trim() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(claim: &str) -> Vec<String> {
        entitlements(claim).map(|item| item.to_string()).collect()
    }

    #[test]
    fn items_keep_their_order_and_scope() {
        assert_eq!(
            list("o:reservations, u:dashboard,ou:chat,uo:billing"),
            ["o:reservations", "u:dashboard", "uo:chat", "uo:billing"]
        );
        assert_eq!(list("o:a:b"), ["o:a:b"]);
        assert_eq!(list("x:a,o:b"), ["o:b"]);
    }

    #[test]
    fn a_list_with_a_malformed_item_is_read_as_empty() {
        for claim in ["", "a", "o:a,b", "o:a,", ",o:a"] {
            assert!(list(claim).is_empty(), "{claim}");
        }
    }
}
