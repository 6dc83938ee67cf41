//! What the tests have in common.

pub(crate) mod fastcgi;
pub(crate) mod forward_auth;
pub(crate) mod http;
pub(crate) mod proxy;
pub(crate) mod site;
pub(crate) mod upstream;

/// The identity headers, by default.
pub(crate) const CLERK: [&str; 5] =
    ["x-clerk-user-id", "x-clerk-session-id", "x-clerk-org-id", "x-clerk-org-slug", "x-clerk-org-role"];

/// Everything for users, and `/admin` for administrators who read.
pub(crate) const RULES: &str = "
[[rule]]
prefix = '/'

[[rule]]
prefix = '/admin'
methods = ['GET']
require = 'role=org:admin'
";
