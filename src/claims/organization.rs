use std::borrow::Cow;

use super::entitlement::{Scope, items};
use crate::{
    json::{Object, Value},
    telemetry,
};

/// The organization that is active in a session.
#[derive(Clone, Eq, PartialEq)]
pub struct Organization {
    id: String,
    permissions: Vec<String>,
    role: Option<String>,
    slug: Option<String>,
}

impl Organization {
    /// The organization's id, `org_…`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The custom permissions of the user in it, such as `org:invoices:create`.
    ///
    /// System permissions (`org:sys_…`) are never part of a session token.
    #[must_use]
    pub fn permissions(&self) -> &[String] {
        &self.permissions
    }

    /// The user's role in it with its prefix, such as `org:admin`.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    /// The organization's slug.
    #[must_use]
    pub fn slug(&self) -> Option<&str> {
        self.slug.as_deref()
    }

    /// From the claims `org_*` of a version 1 token.
    pub(super) fn v1(payload: &Object<'_>) -> Option<Self> {
        let permissions = match payload.get("org_permissions").and_then(|list| list.elements()) {
            Some(elements) => elements.into_iter().map(into_string).collect::<Option<Vec<_>>>().unwrap_or_default(),
            None => Vec::new(),
        };
        Some(Self {
            id: filled(payload, "org_id")?,
            permissions,
            role: filled(payload, "org_role").map(|role| prefixed(&role)),
            slug: filled(payload, "org_slug"),
        })
    }

    /// From the claims `o` and `fea` of a version 2 token.
    pub(super) fn v2(payload: &Object<'_>) -> Option<Self> {
        let Some(Value::Object(text)) = payload.get("o") else { return None };
        let members = Object::parse(text).ok()?;
        let claim = |object: &Object<'_>, name| object.string(name).map(Cow::into_owned).unwrap_or_default();
        Some(Self {
            id: filled(&members, "id")?,
            permissions: permissions(&claim(payload, "fea"), &claim(&members, "per"), &claim(&members, "fpm")),
            role: filled(&members, "rol").map(|role| prefixed(&role)),
            slug: filled(&members, "slg"),
        })
    }
}

impl std::fmt::Debug for Organization {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Organization").finish_non_exhaustive()
    }
}

fn filled(object: &Object<'_>, name: &str) -> Option<String> {
    object.string(name).filter(|text| !text.is_empty()).map(Cow::into_owned)
}

fn into_string(value: Value<'_>) -> Option<String> {
    match value {
        Value::String(text) => Some(text.into_owned()),
        _ => None,
    }
}

/// Clerk's SDKs read any run of leading `org:` as one.
fn prefixed(role: &str) -> String {
    let mut bare = role;
    while let Some(rest) = bare.strip_prefix("org:") {
        bare = rest;
    }
    format!("org:{bare}")
}

/// Decodes the permissions of a version 2 token: for each feature of the organization a decimal number whose
/// bits, lowest first, choose from the list `per`.
fn permissions(fea: &str, per: &str, fpm: &str) -> Vec<String> {
    if per.is_empty() || fpm.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = per.split(',').map(str::trim).collect();
    let masks: Vec<&str> = fpm.split(',').map(str::trim).collect();
    let mut granted = Vec::new();
    for (feature, mask) in features_with_masks(fea, &masks) {
        for name in names_in_mask(mask, &names) {
            if !name.is_empty() && !feature.is_empty() {
                granted.push(format!("org:{feature}:{name}"));
            }
        }
    }
    granted
}

/// Pairs each feature of the organization with its mask.
///
/// Clerk's SDKs disagree on whether masks count all features or only the organization's. They agree unless
/// another feature stands before one of the organization's; then the number of masks tells which way the
/// token was made, and where it does not, nothing is granted.
fn features_with_masks<'a>(fea: &'a str, masks: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let all: Vec<(bool, &str)> = items(fea)
        .map(|(scope, name)| (matches!(scope, Some(Scope::Organization | Scope::UserAndOrganization)), name))
        .collect();
    let of_organization = || all.iter().filter(|(of_organization, _)| *of_organization).map(|(_, name)| *name);
    let count = of_organization().count();
    let agree = all.iter().take(count).all(|(of_organization, _)| *of_organization);
    if agree || masks.len() <= count {
        of_organization().zip(masks.iter().copied()).collect()
    } else if masks.len() == all.len() {
        let aligned = all.iter().zip(masks.iter().copied());
        aligned.filter(|((of_organization, _), _)| *of_organization).map(|((_, name), mask)| (*name, mask)).collect()
    } else {
        telemetry::ambiguous_permissions();
        Vec::new()
    }
}

/// The names whose bits are set in `mask`, a decimal number; none if it is not one or too long to be one.
fn names_in_mask<'a>(mask: &str, names: &[&'a str]) -> Vec<&'a str> {
    if mask.is_empty() || mask.len() > MAX_MASK_DIGITS || !mask.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    let words = binary(mask);
    let is_set = |bit: usize| words.get(bit / 32).is_some_and(|word| word >> (bit % 32) & 1 == 1);
    names.iter().enumerate().filter(|(bit, _)| is_set(*bit)).map(|(_, name)| *name).collect()
}

/// A decimal number in words of 32 bits, lowest first.
fn binary(decimal: &str) -> Vec<u64> {
    let mut words: Vec<u64> = Vec::new();
    for digit in decimal.bytes() {
        let mut carry = u64::from(digit - b'0');
        for word in &mut words {
            let value = *word * 10 + carry;
            *word = value & 0xffff_ffff;
            carry = value >> 32;
        }
        if carry > 0 {
            words.push(carry);
        }
    }
    words
}

/// In bytes, what is decoded of a payload takes at most besides its text; `members` are those of `o`.
pub(crate) fn decoded_weight(payload: &Object<'_>, members: Option<&Object<'_>>) -> usize {
    let text = |object: &Object<'_>, name: &str| object.string(name).map_or(0, |text| text.len());
    let longest = |object: &Object<'_>, name: &str| {
        object.string(name).and_then(|list| list.split(',').map(str::len).max()).unwrap_or_default()
    };
    // In version 1 a list of texts, three bytes each at least.
    let listed = payload.get("org_permissions").map_or(0, |value| match value {
        Value::Array(text) => text.len() * (1 + size_of::<String>() / 3),
        _ => 0,
    });
    // In version 2 a digit of a mask is three and a third bits, each of which may grant a permission.
    let masked = members.map_or(0, |members| match text(members, "fpm") {
        0 => 0,
        digits => {
            let permission = size_of::<String>() + "org::".len() + longest(payload, "fea") + longest(members, "per");
            (digits * 10 / 3 + 1).saturating_mul(permission)
        }
    });
    // Texts spelled with escapes are kept in copies, which are shorter.
    let copies = if payload.has_escapes() { payload.len() } else { 0 };
    masked.saturating_add(size_of::<Organization>() + listed + copies)
}

/// Longer than a mask over three thousand permissions.
const MAX_MASK_DIGITS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_choose_permissions_lowest_first() {
        for (fea, per, fpm, expected) in [
            ("o:dashboard,o:teams", "manage,read", "3,2", "dashboard:manage dashboard:read teams:read"),
            ("o:impersonation", "read,manage", "3", "impersonation:read impersonation:manage"),
            (
                "o:impersonation,o:memberships",
                "read,manage",
                "1,3",
                "impersonation:read memberships:read memberships:manage",
            ),
            ("o:a,o:b,o:c", "read,manage", "1,3,0", "a:read b:read b:manage"),
            ("uo:a,o:b,uo:c", "read,manage", "1,3,1", "a:read b:read b:manage c:read"),
            ("ou:memberships,u:impersonation", "read,manage", "3,0", "memberships:read memberships:manage"),
            (
                "o:repositories,o:projects",
                "read,create,update,delete,revoke",
                "7,21",
                "repositories:read repositories:create repositories:update projects:read projects:update projects:revoke",
            ),
            (
                "o:a,uo:b,u:c",
                "read,create,update,delete,revoke",
                "7,21,0",
                "a:read a:create a:update b:read b:update b:revoke",
            ),
            ("o:a,o:b,o:c", "manage,read,update", "6,0,3", "a:read a:update c:manage c:read"),
            ("o:a,o:b", "read,manage", "3", "a:read a:manage"),
            ("u:a,u:b", "", "", ""),
            ("o:a", "read", "", ""),
            ("o:a", "", "1", ""),
            ("", "read", "1", ""),
            ("a,o:b", "read", "1,1", ""),
            ("o:a", "read,,write", "7", "a:read a:write"),
            ("o:,o:a", "read", "1,1", "a:read"),
        ] {
            let expected: Vec<String> = expected.split_whitespace().map(|name| format!("org:{name}")).collect();
            assert_eq!(permissions(fea, per, fpm), expected, "{fea} {per} {fpm}");
        }
    }

    #[test]
    fn a_user_feature_before_an_organizations_is_resolved_by_the_number_of_masks() {
        let granted = |fpm| permissions("u:impersonation,o:billing,o:email", "read,manage", fpm);
        assert_eq!(granted("0,3,1"), ["org:billing:read", "org:billing:manage", "org:email:read"]);
        assert_eq!(granted("3,1"), ["org:billing:read", "org:billing:manage", "org:email:read"]);
        assert_eq!(granted("2"), ["org:billing:manage"]);
        assert!(granted("0,3,1,1").is_empty());
        let mixed = permissions("o:reservations,u:dashboard,uo:support-chat,o:impersonation", "read,manage", "2,3");
        assert_eq!(mixed, ["org:reservations:manage", "org:support-chat:read", "org:support-chat:manage"]);
    }

    #[test]
    fn masks_have_any_size_up_to_1024_digits() {
        let names: Vec<String> = (0..54).map(|index| format!("permission_{index}")).collect();
        let names = names.join(",");
        let granted = |mask: &str| -> Vec<String> {
            permissions("o:feature", &names, mask)
                .iter()
                .map(|name| name.replace("org:feature:permission_", ""))
                .collect()
        };
        assert_eq!(granted("9007199254740993"), ["0", "53"]);
        assert_eq!(granted("9007199254740995"), ["0", "1", "53"]);
        assert!(granted("18014398509481984").is_empty());
        assert_eq!(granted("21"), ["0", "2", "4"]);
        assert_eq!(granted(&format!("{}1", "0".repeat(1023))), ["0"]);
        assert!(granted(&format!("{}1", "0".repeat(1024))).is_empty());
        assert_eq!(granted(&"9".repeat(1024)).first().map(String::as_str), Some("0"));
        for mask in ["1invalid", "-1", "+1", "1.5", "1 1", "٣"] {
            assert!(granted(mask).is_empty(), "{mask}");
        }
    }

    #[test]
    fn a_role_has_its_prefix_once() {
        for role in ["admin", "org:admin", "org:org:admin"] {
            assert_eq!(prefixed(role), "org:admin");
        }
    }
}
