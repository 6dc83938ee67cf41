use http::{HeaderMap, HeaderName, HeaderValue};
use tower_clerk::ClerkAuth;

/// Writes all five headers, so that an upstream never takes what else might be there for an identity.
pub(super) fn set(headers: &mut HeaderMap, user: Option<&ClerkAuth>) {
    let organization = user.and_then(|user| user.organization());
    let values = [
        user.map(|user| user.user_id()),
        user.and_then(|user| user.session_id()),
        organization.map(|organization| organization.id()),
        organization.and_then(|organization| organization.slug()),
        organization.and_then(|organization| organization.role()),
    ];
    for (name, value) in NAMES.iter().zip(values) {
        headers.insert(name, visible(value.unwrap_or_default()));
    }
}

/// A value outside of visible ASCII is sent empty: servers disagree on how to read it.
fn visible(value: &str) -> HeaderValue {
    let value = if value.bytes().all(|byte| byte.is_ascii_graphic()) { value } else { "" };
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

static NAMES: [HeaderName; 5] = [
    HeaderName::from_static("x-clerk-user-id"),
    HeaderName::from_static("x-clerk-session-id"),
    HeaderName::from_static("x-clerk-org-id"),
    HeaderName::from_static("x-clerk-org-slug"),
    HeaderName::from_static("x-clerk-org-role"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn written(user: Option<&ClerkAuth>) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.append("x-clerk-org-id", HeaderValue::from_static("org_forged"));
        set(&mut headers, user);
        NAMES.iter().map(|name| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()).collect()
    }

    #[test]
    fn the_verified_identity_is_written() {
        let user = ClerkAuth::builder().user_id("user_ada").organization("org_acme", "admin").build();
        let written = written(Some(&user));
        assert_eq!(written[0], "user_ada");
        assert!(written[1].starts_with("sess_"), "{written:?}");
        assert_eq!(written[2], "org_acme");
        assert_eq!(written[4], "org:admin");
    }

    #[test]
    fn nobody_is_written_as_empty_values() {
        assert_eq!(written(None), ["", "", "", "", ""]);
    }

    #[test]
    fn values_outside_of_visible_ascii_are_written_empty() {
        let user = ClerkAuth::builder().user_id("user_ädä").organization("org acme", "admin").build();
        let written = written(Some(&user));
        assert_eq!((written[0].as_str(), written[2].as_str()), ("", ""));
    }
}
