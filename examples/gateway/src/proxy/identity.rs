use http::HeaderMap;
use tower_clerk::ClerkAuth;

use crate::identity_headers::IdentityHeaders;

/// Writes all five headers, so that an upstream never takes what else might be there for an identity.
pub(super) fn set(headers: &mut HeaderMap, user: Option<&ClerkAuth>) {
    for (name, value) in IdentityHeaders::Clerk.of(user) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn written(user: Option<&ClerkAuth>) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.append("x-clerk-org-id", HeaderValue::from_static("org_forged"));
        set(&mut headers, user);
        let names = IdentityHeaders::Clerk.names().iter();
        names.map(|name| headers.get_all(*name).iter().map(|value| value.to_str().unwrap()).collect()).collect()
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
}
