//! What the tests have in common.

pub(crate) mod fastcgi;
pub(crate) mod forward_auth;
pub(crate) mod http;
pub(crate) mod proxy;
pub(crate) mod site;
pub(crate) mod upstream;

use std::fs;

use tempfile::TempDir;

/// The identity headers, by default.
pub(crate) const CLERK: [&str; 5] =
    ["x-clerk-user-id", "x-clerk-session-id", "x-clerk-org-id", "x-clerk-org-slug", "x-clerk-org-role"];

/// A file with these rules, and its name.
pub(crate) fn rules(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (folder, name)
}

/// Everything for users, and `/admin` for administrators who read.
pub(crate) const RULES: &str = "
[[rule]]
prefix = '/'

[[rule]]
prefix = '/admin'
methods = ['GET']
require = 'role=org:admin'
";
