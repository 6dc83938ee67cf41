use std::{borrow::Cow, fmt};

use super::{
    entitlement::{CommaSeparated, EntitlementScope, items},
    span::{Span, SpanBuilder},
};
use crate::json::{Object, Value};

/// The organization that is active in a session, with the user's role and permissions in it.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::ClerkAuth;
///
/// let user = ClerkAuth::builder().organization("org_acme", "admin").permission("invoices", "create").build();
/// let organization = user.organization();
/// assert_eq!(organization.map(|organization| organization.id()), Some("org_acme"));
/// assert_eq!(organization.and_then(|organization| organization.role()), Some("org:admin"));
/// assert!(organization.is_some_and(|organization| organization.permissions().eq(["org:invoices:create"])));
/// # }
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Organization<'a> {
    id: &'a str,
    slug: Option<&'a str>,
    role: Option<&'a str>,
    permissions: &'a str,
}

impl<'a> Organization<'a> {
    /// Returns the organization's id, such as `org_2Kx…`.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// Returns the organization's slug, such as `acme`. Users can change it: identify organizations by
    /// [`id`](Self::id).
    #[must_use]
    pub fn slug(&self) -> Option<&'a str> {
        self.slug
    }

    /// Returns the user's role with its prefix, such as `org:admin`, in both versions of the layout.
    #[must_use]
    pub fn role(&self) -> Option<&'a str> {
        self.role
    }

    /// Returns the user's custom permissions, such as `org:invoices:create`.
    ///
    /// System permissions (`org:sys_…`) are not among them: Clerk does not put them into session tokens.
    pub fn permissions(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.permissions.split_terminator(SEPARATOR)
    }
}

impl fmt::Debug for Organization<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Organization").finish_non_exhaustive()
    }
}

/// Removes the prefix `org:` from a role or permission, however often it is repeated, as Clerk's SDKs do.
pub(crate) fn strip_org_prefix(mut text: &str) -> &str {
    while let Some(rest) = text.strip_prefix("org:") {
        text = rest;
    }
    text
}

/// An organization as the payload holds it.
pub(super) struct RawOrganization<'p> {
    id: Cow<'p, str>,
    slug: Option<Cow<'p, str>>,
    role: Option<Cow<'p, str>>,
    permissions: RawPermissions<'p>,
}

/// The permissions of an organization as the payload holds them.
enum RawPermissions<'p> {
    /// Version 1: a list of names.
    List(Option<Value<'p>>),
    /// Version 2: the names of the permissions, and per feature a decimal number whose bits select among them.
    Masks { per: Cow<'p, str>, fpm: Cow<'p, str> },
}

/// An [`Organization`] as spans of the claims' text, so that the claims can own it.
#[derive(Clone, Copy)]
pub(super) struct OrganizationSpans {
    id: Span,
    slug: Option<Span>,
    role: Option<Span>,
    permissions: Span,
}

/// The masks of a token match its features in two ways. No permission is granted, since one of the two grants too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct AmbiguousPermissions;

impl<'p> RawOrganization<'p> {
    /// Reads the `org_*` claims of a version 1 token; `None` without an `org_id`.
    pub(super) fn v1(payload: &Object<'p>) -> Option<Self> {
        Some(Self {
            id: non_empty_string(payload, "org_id")?,
            slug: non_empty_string(payload, "org_slug"),
            role: non_empty_string(payload, "org_role"),
            permissions: RawPermissions::List(payload.get("org_permissions")),
        })
    }

    /// Reads the members of the `o` claim of a version 2 token; `None` without an `id`.
    pub(super) fn v2(organization: &Object<'p>) -> Option<Self> {
        Some(Self {
            id: non_empty_string(organization, "id")?,
            slug: non_empty_string(organization, "slg"),
            role: non_empty_string(organization, "rol"),
            permissions: RawPermissions::Masks {
                per: organization.string("per").unwrap_or_default(),
                fpm: organization.string("fpm").unwrap_or_default(),
            },
        })
    }
}

impl OrganizationSpans {
    /// Decodes the permissions into the text of `builder`. `fea` is the claim of that name, whose features the masks of
    /// version 2 refer to.
    pub(super) fn new<'p>(
        organization: &RawOrganization<'p>,
        fea: &str,
        builder: &mut SpanBuilder<'p>,
    ) -> (Self, Result<(), AmbiguousPermissions>) {
        let mut decoded = Ok(());
        let spans = Self {
            id: builder.span(&organization.id),
            slug: builder.optional_span(organization.slug.as_ref()),
            role: organization.role.as_ref().map(|role| {
                builder.append(|text| {
                    text.push_str("org:");
                    text.push_str(strip_org_prefix(role));
                })
            }),
            permissions: builder.append(|text| decoded = organization.permissions.write(fea, text)),
        };
        (spans, decoded)
    }

    pub(super) fn resolve(self, text: &str) -> Organization<'_> {
        Organization {
            id: self.id.resolve(text),
            slug: self.slug.map(|slug| slug.resolve(text)),
            role: self.role.map(|role| role.resolve(text)),
            permissions: self.permissions.resolve(text),
        }
    }
}

impl RawPermissions<'_> {
    /// Appends the permissions to `text`: all of them, or none if one cannot be decoded or they are too long.
    fn write(&self, fea: &str, text: &mut String) -> Result<(), AmbiguousPermissions> {
        let start = text.len();
        let mut list = PermissionList { text, start };
        match self {
            Self::List(elements) => list.push_elements(elements.as_ref()),
            Self::Masks { per, fpm } => list.push_masked(fea, per, fpm)?,
        }
        if list.is_full() {
            list.clear();
        }
        Ok(())
    }
}

/// The permissions at the end of a text, each followed by [`SEPARATOR`].
struct PermissionList<'t> {
    text: &'t mut String,
    start: usize,
}

impl PermissionList<'_> {
    /// Appends the names in a JSON array. An element that is not a name empties the list: it is malformed as a whole.
    fn push_elements(&mut self, elements: Option<&Value<'_>>) {
        for element in elements.and_then(Value::elements).unwrap_or_default() {
            match element {
                Value::String(name) if !name.contains(SEPARATOR) => self.push(&[&name]),
                _ => return self.clear(),
            }
        }
    }

    /// Decodes the permissions of a version 2 token. `fpm` holds one mask per feature, a decimal number whose bits,
    /// lowest first, select from the list `per`.
    ///
    /// Clerk's SDKs disagree on which features have masks: all, or only the organization's. Both readings are the same
    /// unless a user's feature precedes one of the organization's in `fea`. Then the number of masks decides. Up to the
    /// number of the organization's features, the masks are theirs; the number of all features, they are of all. Any
    /// other number is ambiguous.
    fn push_masked(&mut self, fea: &str, per: &str, fpm: &str) -> Result<(), AmbiguousPermissions> {
        if per.is_empty() || fpm.is_empty() {
            return Ok(());
        }
        let is_organization =
            |scope| matches!(scope, Some(EntitlementScope::Organization | EntitlementScope::UserAndOrganization));
        let features = items(fea).map(|(scope, name)| (is_organization(scope), name));
        let mask_count = CommaSeparated::new(fpm).count();
        let (mut count, mut organization_count, mut sdks_agree) = (0, 0, true);
        for (is_organization, _) in features.clone() {
            sdks_agree &= !is_organization || organization_count == count;
            organization_count += usize::from(is_organization);
            count += 1;
        }
        let masks_count_all = !sdks_agree && mask_count > organization_count;
        if masks_count_all && mask_count != count {
            return Err(AmbiguousPermissions);
        }
        let masked = features.filter(|(is_organization, _)| *is_organization || masks_count_all);
        for ((is_organization, feature), mask) in masked.zip(CommaSeparated::new(fpm)) {
            if is_organization && !feature.is_empty() {
                self.push_names(feature, mask, per);
            }
        }
        Ok(())
    }

    /// Appends the names whose bits are set in `mask`. A mask that is not a decimal number selects none.
    fn push_names(&mut self, feature: &str, mask: &str, names: &str) {
        let Some(bits) = Bits::parse(mask) else { return };
        let names = CommaSeparated::new(names).enumerate();
        for (_, name) in names.filter(|(bit, name)| bits.is_set(*bit) && !name.is_empty()) {
            self.push(&["org:", feature, ":", name]);
        }
    }

    fn push(&mut self, parts: &[&str]) {
        if !self.is_full() {
            self.text.extend(parts.iter().copied());
            self.text.push(SEPARATOR);
        }
    }

    fn clear(&mut self) {
        self.text.truncate(self.start);
    }

    fn is_full(&self) -> bool {
        self.text.len() - self.start > MAX_PERMISSIONS
    }
}

/// A number of up to [`MAX_MASK_DIGITS`] decimal digits, in words of 32 bits, lowest first. An instance may have more
/// than the 128 permissions that the widest primitive integer could mask.
struct Bits([u64; MAX_MASK_WORDS]);

impl Bits {
    fn parse(decimal: &str) -> Option<Self> {
        let is_number = decimal.bytes().all(|byte| byte.is_ascii_digit());
        if decimal.is_empty() || decimal.len() > MAX_MASK_DIGITS || !is_number {
            return None;
        }
        let mut words = [0; MAX_MASK_WORDS];
        let mut used = 0;
        for digit in decimal.bytes() {
            let mut carry = u64::from(digit - b'0');
            for word in words.iter_mut().take(used) {
                let value = *word * 10 + carry;
                *word = value & 0xffff_ffff;
                carry = value >> 32;
            }
            if carry > 0 {
                words.get_mut(used).map(|word| *word = carry)?;
                used += 1;
            }
        }
        Some(Self(words))
    }

    fn is_set(&self, bit: usize) -> bool {
        self.0.get(bit / 32).is_some_and(|word| word >> (bit % 32) & 1 == 1)
    }
}

fn non_empty_string<'p>(object: &Object<'p>, name: &str) -> Option<Cow<'p, str>> {
    object.string(name).filter(|text| !text.is_empty())
}

/// A mask over 3400 permissions, far more than an instance has. Parsing takes quadratic time, so it needs a bound.
const MAX_MASK_DIGITS: usize = 1024;
/// 1024 decimal digits are at most 3402 bits.
const MAX_MASK_WORDS: usize = 107;
/// In bytes, for all permissions of a token; a token with more has none. It is far more than a role has. Without a
/// bound, a token of a few kilobytes could expand to megabytes: each feature repeats each name.
const MAX_PERMISSIONS: usize = 256 * 1024;
/// The separator of `per`, so no name of version 2 contains it. A version 1 list with such a name is malformed.
const SEPARATOR: char = ',';

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(fea: &str, per: &str, fpm: &str) -> Result<Vec<String>, AmbiguousPermissions> {
        let mut text = "before".to_owned();
        let masks = RawPermissions::Masks { per: per.into(), fpm: fpm.into() };
        let decoded = masks.write(fea, &mut text);
        let permissions = text.strip_prefix("before").unwrap().split_terminator(SEPARATOR);
        decoded.map(|()| permissions.map(str::to_owned).collect())
    }

    fn permissions(fea: &str, per: &str, fpm: &str) -> Vec<String> {
        decode(fea, per, fpm).unwrap()
    }

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
    fn the_number_of_masks_tells_which_features_they_count() {
        let granted = |fpm| permissions("u:impersonation,o:billing,o:email", "read,manage", fpm);
        assert_eq!(granted("0,3,1"), ["org:billing:read", "org:billing:manage", "org:email:read"]);
        assert_eq!(granted("3,1"), ["org:billing:read", "org:billing:manage", "org:email:read"]);
        assert_eq!(granted("2"), ["org:billing:manage"]);
        assert_eq!(decode("u:impersonation,o:billing,o:email", "read,manage", "0,3,1,1"), Err(AmbiguousPermissions));
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
            assert_eq!(strip_org_prefix(role), "admin");
        }
    }

    #[test]
    fn permissions_beyond_the_limit_are_none_at_all() {
        let names: Vec<String> = (0..3000).map(|index| format!("permission_{index}")).collect();
        let names = names.join(",");
        let all = "9".repeat(900);
        assert!(permissions("o:a", &names, &all).len() > 1000);
        assert!(permissions(&format!("o:{}", "a".repeat(1000)), &names, &all).is_empty());
    }

    #[test]
    fn a_list_of_version_1_is_spoiled_by_one_element_that_is_no_name() {
        let permissions = |list: &str| {
            let payload = format!(r#"{{"org_permissions":{list}}}"#);
            let object = Object::parse(&payload).unwrap();
            let mut text = String::new();
            RawPermissions::List(object.get("org_permissions")).write("", &mut text).unwrap();
            text
        };
        assert_eq!(permissions(r#"["org:a:b","org:c:d"]"#), "org:a:b,org:c:d,");
        for list in [r#"["org:a:b",7]"#, r#"["org:a:b","c,d"]"#, r#""org:a:b""#, "null", "[]"] {
            assert_eq!(permissions(list), "", "{list}");
        }
    }
}
