use proptest::prelude::*;

use super::{Params, PathMode, PathPattern, Segment};

fn open_api(path: &str) -> PathPattern {
    PathPattern::parse(path, PathMode::OpenApi).unwrap()
}

fn url_pattern(path: &str) -> PathPattern {
    PathPattern::parse(path, PathMode::UrlPattern).unwrap()
}

fn reason(path: &str, mode: PathMode) -> String {
    PathPattern::parse(path, mode).unwrap_err()
}

fn matches(pattern: &PathPattern, path: &str) -> bool {
    use crate::routing::{Entry, RouteTable};
    let entry = Entry { method: http::Method::GET, pattern: pattern.clone(), guards: Vec::new() };
    RouteTable::new(&[entry]).find(&http::Method::GET, path) == Ok(0)
}

fn params(pairs: &[(&str, &str)]) -> Params {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_parameter_is_one_segment_that_is_not_empty() {
    let pattern = open_api("/todos/{id}/items/{item}");
    assert_eq!(pattern.as_str(), "/todos/{id}/items/{item}");
    assert_eq!(pattern.parameters(), ["id", "item"]);
    assert!(pattern.expressions.is_none());
    assert!(matches(&pattern, "/todos/1/items/a%2Fb"));
    for path in ["/todos//items/2", "/todos/1/items/", "/todos/1/items/2/", "/todos/1/items", "/Todos/1/items/2"] {
        assert!(!matches(&pattern, path), "{path}");
    }
    assert_eq!(pattern.params("/todos/1/items/a%2Fb"), params(&[("id", "1"), ("item", "a%2Fb")]));
}

#[test]
fn a_parameter_can_be_part_of_a_segment() {
    let pattern = open_api("/files/{name}.json");
    assert!(matches(&pattern, "/files/a.json.json"));
    assert!(!matches(&pattern, "/files/.json"));
    assert!(!matches(&pattern, "/files/axjson"));
    assert!(!matches(&pattern, "/files/a/b.json"));
    assert_eq!(pattern.params("/files/a.json.json"), params(&[("name", "a.json")]));
    assert_eq!(pattern.segments, [Segment::Text("files".to_owned())]);
    assert_eq!(open_api("/v1/{name}:cancel").params("/v1/a:cancel"), params(&[("name", "a")]));
}

#[test]
fn text_outside_of_ascii_matches_as_browsers_send_it() {
    assert!(matches(&open_api("/café/{id}"), "/caf%C3%A9/1"));
    assert!(matches(&url_pattern("/café/:id"), "/caf%C3%A9/1"));
    assert!(matches(&open_api("/caf%C3%A9"), "/caf%C3%A9"));
}

#[test]
fn open_api_paths_with_other_syntax_are_refused_with_a_hint() {
    for (path, hint) in [
        ("/todos/:id", "write `{id}`, or set `pathMode` to `url-pattern`"),
        ("/todos/*", "`url-pattern`"),
        ("/todos/(.*)", "`url-pattern`"),
        ("/{a}/{a}", "occurs twice"),
        ("/{a", "not closed"),
        ("/a}", "closed that was not opened"),
        ("/{a}}", "closed that was not opened"),
        ("/{}", "no parameter"),
        ("/{a/b}", "no parameter"),
        ("/{a{b}}", "no parameter"),
        ("todos", "must begin with `/`"),
        ("", "must begin with `/`"),
        ("/a?b=1", "not contain `?`"),
        ("/a#b", "not contain `#`"),
        ("/a/../b", "dot segment"),
        ("/a/%2e%2e/b", "dot segment"),
        ("/a/%zz", "percent-encoding"),
        ("/a\nb", "control characters"),
    ] {
        let reason = reason(path, PathMode::OpenApi);
        assert!(reason.contains(hint), "{path}: {reason}");
    }
}

#[test]
fn url_patterns_have_groups_and_wildcards() {
    let pattern = url_pattern("/users/:id/:rest(.*)");
    assert_eq!(pattern.params("/users/1/a/b"), params(&[("id", "1"), ("rest", "a/b")]));
    assert!(matches(&pattern, "/users/1/"));
    assert!(!matches(&pattern, "/users//a"));

    let pattern = url_pattern("/users/:id(\\d+)");
    assert!(matches(&pattern, "/users/12"));
    assert!(!matches(&pattern, "/users/12a"));

    let pattern = url_pattern("/(.*)");
    assert_eq!(pattern.params("/a/b"), params(&[("0", "a/b")]));
    assert!(matches(&pattern, "/"));
    assert!(matches(&url_pattern("/a/*"), "/a/b/c"));
    assert!(!matches(&url_pattern("/a/*"), "/a"));
}

#[test]
fn url_patterns_have_optional_and_repeated_parts() {
    let pattern = url_pattern("/a{/:b}?");
    assert!(matches(&pattern, "/a") && matches(&pattern, "/a/1"));
    assert!(!matches(&pattern, "/a/") && !matches(&pattern, "/a/1/2"));
    assert_eq!(pattern.params("/a"), params(&[]));
    assert_eq!(pattern.params("/a/1"), params(&[("b", "1")]));

    let pattern = url_pattern("/a/:b+");
    assert_eq!(pattern.params("/a/1/2"), params(&[("b", "1/2")]));
    assert!(!matches(&pattern, "/a"));

    let pattern = url_pattern("/a/:b*/c");
    assert!(matches(&pattern, "/a/c") && matches(&pattern, "/a/1/2/c"));

    let pattern = url_pattern("/a{/:b}?c");
    assert!(matches(&pattern, "/ac") && matches(&pattern, "/a/1c"));

    assert!(matches(&url_pattern("/a{b}?/c"), "/a/c"));
    assert!(matches(&url_pattern("/a{b}?/c"), "/ab/c"));
    assert!(matches(&url_pattern("/a\\:b"), "/a:b"));
}

#[test]
fn expressions_of_digits_do_not_tell_cases_apart() {
    for (path, expected) in [
        ("/:a(\\d+)", false),
        ("/:a([0-9]{4}|\\w?)/b", false),
        ("/:a([^/]+)", false),
        ("/:a(\\\\d)", true),
        ("/:a([^a-z]+)", true),
        ("/:a(a)", true),
        ("/:a([0-_]+)", true),
        ("/:a(\\x41)", true),
    ] {
        assert_eq!(url_pattern(path).tells_cases_apart, expected, "{path}");
    }
    assert!(!url_pattern("/a/:b(\\d+)/c").has_spellings);
    assert!(url_pattern("/a/:b(\\d+)").has_spellings);
    assert!(url_pattern("/a/:b([a-z]+)/c").has_spellings);
}

#[test]
fn url_patterns_that_cannot_work_are_refused() {
    for (path, hint) in [
        ("/:a/:a", "duplicate"),
        ("/:", "invalid name"),
        ("/(", "must be a URL pattern"),
        ("/{a", "must be a URL pattern"),
        ("/(a{2,1})", "must be a regular expression"),
        ("/([)(])", "must be a regular expression"),
        ("/((?<a>b))", "other than `(?:…)`"),
        ("/((?i:b))", "other than `(?:…)`"),
        ("/((?=b))", "must be a regular expression"),
        ("/:a((?:[^/]{1000}){1000})", "must be a regular expression"),
        ("/:a(.{5000})/:b(.{5000})", "too large"),
        ("/a\\?b", "not contain `?`"),
        ("/a#b", "not contain `#`"),
        ("/a/../b", "dot segment"),
        ("{/a}?", "must begin with `/`"),
        ("*", "must begin with `/`"),
    ] {
        let reason = reason(path, PathMode::UrlPattern);
        assert!(reason.contains(hint), "{path}: {reason}");
    }
}

#[test]
fn a_path_that_is_too_long_is_refused() {
    assert!(reason(&"/a".repeat(2000), PathMode::OpenApi).contains("at most"));
    open_api(&"/".repeat(2048));
}

#[test]
fn faults_show_little_of_the_document() {
    let reason = reason(&format!("/:{}\u{7f}", "x".repeat(500)), PathMode::OpenApi);
    assert!(reason.len() < 200, "{reason}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(path in "/?\\PC*|/[/:a{}()*?+\\\\.#%\\[\\]^$|0é]{0,24}", target in "/[/a.:%é]{0,12}") {
        for mode in [PathMode::OpenApi, PathMode::UrlPattern] {
            if let Ok(pattern) = PathPattern::parse(&path, mode) {
                let params = pattern.params(&target);
                prop_assert!(params.0.len() <= pattern.parameters().len());
                matches(&pattern, &target);
            }
        }
    }

    #[test]
    fn segments_decide_as_the_expression_does(
        pattern in "(/(a|b|\\{x\\}|\\{y\\}c)?){1,3}",
        path in "(/[abc]{0,2}){1,4}",
    ) {
        let Ok(pattern) = PathPattern::parse(&pattern, PathMode::OpenApi) else { return Ok(()) };
        let expression = pattern.as_str().replace("{x}", "[^/]+").replace("{y}", "[^/]+");
        let expression = regex::Regex::new(&format!("^{expression}$")).unwrap();
        prop_assert_eq!(matches(&pattern, &path), expression.is_match(&path));
    }
}
