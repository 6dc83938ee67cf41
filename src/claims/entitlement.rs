use std::fmt;

/// A feature or a plan that a token grants, and to whom.
///
/// `Display` writes it as the claim does: `o:dashboard`, `u:pro`, `uo:support`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entitlement<'a> {
    name: &'a str,
    scope: Scope,
}

/// Whose subscription an [`Entitlement`] comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Scope {
    /// The active organization's (`o`).
    Organization,
    /// The user's (`u`).
    User,
    /// Both (`uo`).
    UserAndOrganization,
}

impl<'a> Entitlement<'a> {
    /// The feature's or plan's slug, such as `dashboard`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Whose subscription grants it.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }
}

impl fmt::Display for Entitlement<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            Scope::Organization => "o",
            Scope::User => "u",
            Scope::UserAndOrganization => "uo",
        };
        write!(formatter, "{scope}:{}", self.name)
    }
}

/// The items of a `fea` or `pla` claim, in the order of the claim.
///
/// One item without a colon spoils the whole list, as it does in Clerk's SDKs: nothing is granted.
/// Items of a scope that is not known are left out.
pub(super) fn entitlements(claim: &str) -> impl Iterator<Item = Entitlement<'_>> {
    items(claim).filter_map(|(scope, name)| Some(Entitlement { name, scope: scope? }))
}

/// As [`entitlements`], items of unknown scope kept in their places.
pub(super) fn items(claim: &str) -> impl Iterator<Item = (Option<Scope>, &str)> {
    let sound = !claim.is_empty() && claim.split(',').all(|item| item.contains(':'));
    let list = if sound { claim } else { "" };
    list.split(',').filter_map(|item| item.trim().split_once(':')).map(|(scope, name)| {
        let scope = match scope {
            "o" => Some(Scope::Organization),
            "u" => Some(Scope::User),
            "uo" | "ou" => Some(Scope::UserAndOrganization),
            _ => None,
        };
        (scope, name)
    })
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
    fn one_malformed_item_spoils_the_list() {
        for claim in ["", "a", "o:a,b", "o:a,", ",o:a"] {
            assert!(list(claim).is_empty(), "{claim}");
        }
    }
}
