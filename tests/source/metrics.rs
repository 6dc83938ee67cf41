//! The lists of labels in the guide, and the values in code.

use std::{collections::BTreeSet, fs, path::Path};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).expect("UTF-8")
}

/// The names that `as_str` of this type returns.
fn names(file: &str, of: &str) -> BTreeSet<String> {
    let code = read(file);
    let (_, code) = code.split_once(&format!("impl {of} {{")).expect("the type");
    let (_, code) = code.split_once("fn as_str(self)").expect("its names");
    let (code, _) = code.split_once("\n    }\n").expect("their end");
    code.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The values that the guide lists for a label of a metric.
fn listed(label: &str, metric: &str) -> BTreeSet<String> {
    let chapter = read("guide/dashboards.md");
    let head = format!("| `{label}` | `{metric}` |");
    let row = chapter.lines().find_map(|line| line.strip_prefix(&head)).expect("the row");
    row.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_guide_lists_every_reason_of_a_rejection() {
    let mut reasons = names("verify/error.rs", "VerifyErrorKind");
    let kinds = names("rejection/kind.rs", "RejectionKind");
    assert!(reasons.len() > 25 && kinds.len() > 7, "{reasons:?} {kinds:?}");
    // Of requirements, which are counted by another metric; and two that have more exact reasons.
    let others = ["insufficient_scope", "reverification", "invalid_token", "token_expired"];
    reasons.extend(kinds.into_iter().filter(|kind| !others.contains(&kind.as_str())));
    reasons.extend(["none", "ambiguous_cookies", "invalid_custom_claims"].map(str::to_owned));
    assert_eq!(listed("reason", "clerk_auth_requests"), reasons);
}

#[test]
fn the_guide_lists_every_result_of_a_fetch() {
    let mut results = names("jwks/source.rs", "FetchErrorKind");
    assert!(results.len() > 8, "{results:?}");
    results.insert("ok".to_owned());
    assert_eq!(listed("result", "clerk_jwks_fetches"), results);
}
