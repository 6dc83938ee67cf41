//! The headers that carry a verified identity to an upstream, by the name of the programs that made them common.

use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tower_clerk::ClerkAuth;

/// A set of header names. The default is that of this crate's gateway.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum IdentityHeaders {
    /// `Remote-User` and `-Email`. `-Groups` and `-Name` are always empty.
    Authelia,
    /// `X-Clerk-User-Id`, `-Session-Id`, `-Org-Id`, `-Org-Slug` and `-Org-Role`.
    #[default]
    Clerk,
    /// `X-Auth-Request-User` and `-Email`. `-Groups` and `-Preferred-Username` are always empty.
    OAuth2Proxy,
}

impl IdentityHeaders {
    /// The headers for `user`: always all of them, empty for nobody, so that each replaces what a client sent.
    ///
    /// An email address is that of the claim `email`, which the instance must be set up to put into session tokens.
    pub(crate) fn of(self, user: Option<&ClerkAuth>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let values = match self {
            Self::Clerk => {
                let organization = user.and_then(|user| user.organization());
                [
                    user.map(|user| user.user_id()),
                    user.and_then(|user| user.session_id()),
                    organization.map(|organization| organization.id()),
                    organization.and_then(|organization| organization.slug()),
                    organization.and_then(|organization| organization.role()),
                ]
                .map(visible)
                .to_vec()
            }
            Self::Authelia | Self::OAuth2Proxy => {
                let email = user.and_then(|user| user.custom::<Email>().ok()).and_then(|claim| claim.email);
                [user.map(|user| user.user_id()), email.as_deref()].map(visible).to_vec()
            }
        };
        let rest = std::iter::repeat_with(|| HeaderValue::from_static(""));
        self.names().iter().map(|name| HeaderName::from_static(name)).zip(values.into_iter().chain(rest))
    }

    /// Whether the headers of a request name an identity: a client must not, and a proxy in front has removed them, or
    /// their values. In another spelling an empty value could replace that which is verified.
    pub(crate) fn are_forged_in(self, headers: &HeaderMap) -> bool {
        let is_removed =
            |name: &HeaderName, value: &HeaderValue| value.is_empty() && self.names().contains(&name.as_str());
        headers.iter().any(|(name, value)| self.contain(name) && !is_removed(name, value))
    }

    /// Whether an upstream could take a header for one of these.
    ///
    /// Servers that hand headers to programs as variables make `_` of `-`, and some of any other sign too, so that
    /// `x_clerk.user-id` arrives as `x-clerk-user-id`.
    pub(crate) fn contain(self, name: &HeaderName) -> bool {
        starts_like(name, "x-clerk-")
            || self.names().iter().any(|own| is_like(name, own))
            || self == Self::OAuth2Proxy && is_like(name, "x-auth-request-access-token")
    }

    /// The names in lower case.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Authelia => &["remote-user", "remote-email", "remote-groups", "remote-name"],
            Self::Clerk => {
                &["x-clerk-user-id", "x-clerk-session-id", "x-clerk-org-id", "x-clerk-org-slug", "x-clerk-org-role"]
            }
            Self::OAuth2Proxy => &[
                "x-auth-request-user",
                "x-auth-request-email",
                "x-auth-request-groups",
                "x-auth-request-preferred-username",
            ],
        }
    }
}

impl FromStr for IdentityHeaders {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "authelia" => Ok(Self::Authelia),
            "clerk" => Ok(Self::Clerk),
            "oauth2-proxy" => Ok(Self::OAuth2Proxy),
            _ => Err("must be clerk, oauth2-proxy or authelia"),
        }
    }
}

/// Whether a server that makes variables of headers would take one name for the other.
pub(crate) fn is_like(name: &HeaderName, own: &str) -> bool {
    name.as_str().len() == own.len() && starts_like(name, own)
}

/// Whether a name begins with another one, all signs taken for hyphens. Header names are in lower case.
pub(crate) fn starts_like(name: &HeaderName, start: &str) -> bool {
    let is_same =
        |(have, want): (u8, u8)| have == want || (!have.is_ascii_alphanumeric() && !want.is_ascii_alphanumeric());
    let name = name.as_str();
    name.len() >= start.len() && name.bytes().zip(start.bytes()).all(is_same)
}

#[derive(Deserialize)]
struct Email {
    email: Option<String>,
}

/// A value outside of visible ASCII is empty: servers disagree on how to read it.
fn visible(value: Option<&str>) -> HeaderValue {
    let value = value.filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic())).unwrap_or_default();
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [IdentityHeaders; 3] = [IdentityHeaders::Authelia, IdentityHeaders::Clerk, IdentityHeaders::OAuth2Proxy];

    fn written(headers: IdentityHeaders, user: Option<&ClerkAuth>) -> Vec<String> {
        headers.of(user).map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_verified_identity_is_written_under_the_names_of_each_program() {
        let user = ClerkAuth::builder().user_id("user_ada").session_id("sess_1").organization("org_acme", "admin");
        let user = user.claim("email", "ada@example.com").build();
        assert_eq!(written(IdentityHeaders::Clerk, Some(&user)), ["user_ada", "sess_1", "org_acme", "", "org:admin"]);
        for headers in [IdentityHeaders::Authelia, IdentityHeaders::OAuth2Proxy] {
            assert_eq!(written(headers, Some(&user)), ["user_ada", "ada@example.com", "", ""]);
        }
    }

    #[test]
    fn every_header_is_written_for_nobody_too() {
        for headers in ALL {
            let names: Vec<_> = headers.of(None).map(|(name, _)| name).collect();
            assert_eq!(names, headers.names());
            assert!(written(headers, None).iter().all(String::is_empty));
        }
    }

    #[test]
    fn values_outside_of_visible_ascii_are_written_empty() {
        let user = ClerkAuth::builder().user_id("user_ädä").organization("org acme", "admin").claim("email", "a\r\nb");
        let user = user.build();
        let written_for = |headers| written(headers, Some(&user));
        assert_eq!((&*written_for(IdentityHeaders::Clerk)[0], &*written_for(IdentityHeaders::Clerk)[2]), ("", ""));
        assert_eq!(written_for(IdentityHeaders::Authelia), ["", "", "", ""]);
    }

    #[test]
    fn an_email_that_is_no_text_is_left_out() {
        let user = ClerkAuth::builder().user_id("user_ada").claim("email", 1).build();
        assert_eq!(written(IdentityHeaders::Authelia, Some(&user)), ["user_ada", "", "", ""]);
    }

    #[test]
    fn a_header_is_recognised_in_every_spelling() {
        for (headers, names) in [
            (IdentityHeaders::Clerk, &["x-clerk-user-id", "X_CLERK-user.id", "x.clerk!new", "x-clerk-"][..]),
            (IdentityHeaders::Authelia, &["Remote-User", "remote_user", "REMOTE~groups", "x_clerk_user_id"]),
            (
                IdentityHeaders::OAuth2Proxy,
                &["X-Auth-Request-User", "x_auth_request_email", "X-Auth-Request.Access_Token"],
            ),
        ] {
            for name in names {
                let mut sent = HeaderMap::new();
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                assert!(headers.contain(&name), "{name}");
                sent.insert(&name, HeaderValue::from_static("user_root"));
                assert!(headers.are_forged_in(&sent), "{name}");
            }
        }
    }

    #[test]
    fn an_empty_value_is_no_identity_in_the_spelling_of_its_name_alone() {
        for headers in [IdentityHeaders::Clerk, IdentityHeaders::Authelia, IdentityHeaders::OAuth2Proxy] {
            for name in headers.names() {
                let mut sent = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(""))]);
                assert!(!headers.are_forged_in(&sent), "{name}");
                sent.append(*name, HeaderValue::from_static("user_root"));
                assert!(headers.are_forged_in(&sent), "{name}");
                let other = HeaderName::from_bytes(name.replace('-', "~").as_bytes()).unwrap();
                let sent = HeaderMap::from_iter([(other, HeaderValue::from_static(""))]);
                assert!(headers.are_forged_in(&sent), "{name}");
            }
        }
    }

    /// Which ingress-nginx sends along with each question.
    const OF_INGRESS: &str = "x-auth-request-redirect";

    #[test]
    fn other_headers_are_not_taken_for_one() {
        for headers in ALL {
            for name in
                ["x-clerk", "x-clerks-id", "remote-users", "remote", "xx-clerk-user-id", "x-auth-request", OF_INGRESS]
            {
                assert!(!headers.contain(&HeaderName::from_static(name)), "{name}");
            }
        }
        assert!(!IdentityHeaders::Clerk.contain(&HeaderName::from_static("remote-user")));
    }

    #[test]
    fn a_set_is_read_by_its_name() {
        let read = |name: &str| name.parse::<IdentityHeaders>();
        assert_eq!(["authelia", "clerk", "oauth2-proxy"].map(read), ALL.map(Ok));
        assert!(["", "Clerk", "oauth2"].map(read).iter().all(Result::is_err));
    }
}
