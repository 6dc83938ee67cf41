//! Rules by path and method: what the caller of a request must meet.
//!
//! - The rule with the longest prefix that covers the path decides, wherever it stands in the file. A prefix covers
//!   whole segments: `/admin` covers `/admin` and `/admin/users`, and not `/administrator`.
//! - Several rules may have one prefix and different methods. A method that none of them lists is refused: it does not
//!   fall to a shorter prefix, whose rule may ask for less.
//! - A path that no prefix covers is refused.
//! - A path that servers could read in different ways is refused.

mod path;
mod read;

use http::Method;
use tower_clerk::Requirement;

use self::path::{Prefix, readings};
use crate::{original::OriginalRequest, problem::Problem};

/// The rules of a file.
#[derive(Clone, Debug)]
pub(crate) struct Rules(Vec<Rule>);

/// What callers must meet where a rule applies.
#[derive(Clone, Debug)]
struct Rule {
    prefix: Prefix,
    /// `None`: every method.
    methods: Option<Vec<Method>>,
    /// `None`: nothing but a valid token.
    require: Option<Requirement>,
}

impl Rules {
    /// What each rule requires, in the order of the numbers that [`decide`](Self::decide) returns.
    pub(crate) fn requirements(&self) -> impl Iterator<Item = Option<&Requirement>> {
        self.0.iter().map(|rule| rule.require.as_ref())
    }

    /// The number of the rule that applies to a request.
    pub(crate) fn decide(&self, request: OriginalRequest<'_>) -> Result<usize, Problem> {
        let method = request.method()?;
        let prefix = self.prefix_of(request.path()?)?;
        let of_prefix = self.0.iter().enumerate().filter(|(_, rule)| Some(&rule.prefix) == prefix);
        let mut applying = of_prefix.filter(|(_, rule)| rule.has(&method));
        applying.next().map(|(number, _)| number).ok_or(Problem::NoRule)
    }

    /// The longest prefix that covers the path, in every reading of it.
    fn prefix_of(&self, path: &str) -> Result<Option<&Prefix>, Problem> {
        let mut found = None;
        for reading in readings(path).ok_or(Problem::AmbiguousPath)? {
            let longest = |covers: fn(&Prefix, &str) -> bool| {
                let covering = self.0.iter().map(|rule| &rule.prefix).filter(|prefix| covers(prefix, &reading));
                covering.max_by_key(|prefix| prefix.len())
            };
            for prefix in [longest(Prefix::covers), longest(Prefix::covers_in_any_case)] {
                if *found.get_or_insert(prefix) != prefix {
                    return Err(Problem::AmbiguousPath);
                }
            }
        }
        Ok(found.flatten())
    }
}

impl Rule {
    /// A server answers HEAD where it answers GET.
    fn has(&self, method: &Method) -> bool {
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        self.methods.as_ref().is_none_or(|methods| methods.contains(method) || methods.contains(wanted))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};

    use super::*;

    const RULES: &str = r#"
        [[rule]]
        prefix = "/"
        [[rule]]
        prefix = "/admin"
        methods = ["GET"]
        require = "role=org:admin"
        [[rule]]
        prefix = "/admin"
        methods = ["POST"]
        require = "permission=org:invoices:create"
        [[rule]]
        prefix = "/admin/public"
    "#;

    fn told<'a>(lines: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
        let line = |(name, value): (&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        lines.into_iter().map(line).collect()
    }

    fn decide(text: &str, method: &str, path: &str) -> Result<usize, Problem> {
        let rules = Rules::read("rules.toml", text).unwrap();
        let headers = told([("x-original-method", method), ("x-original-uri", path)]);
        rules.decide(OriginalRequest::read(&headers).unwrap())
    }

    #[test]
    fn the_longest_prefix_decides() {
        for (method, path, rule) in [
            ("GET", "/", 0),
            ("GET", "/a/b", 0),
            ("POST", "/administrator", 0),
            ("GET", "/adm", 0),
            ("GET", "/x/admin", 0),
            ("GET", "/admin", 1),
            ("GET", "/admin/", 1),
            ("GET", "/admin/users", 1),
            ("GET", "/admin/publication", 1),
            ("POST", "/admin/users", 2),
            ("GET", "/admin/public", 3),
            ("DELETE", "/admin/public/a", 3),
        ] {
            assert_eq!(decide(RULES, method, path), Ok(rule), "{method} {path}");
        }
    }

    #[test]
    fn a_method_that_no_rule_of_the_prefix_lists_is_refused() {
        for method in ["DELETE", "PUT", "OPTIONS", "PROPFIND", "CONNECT"] {
            assert_eq!(decide(RULES, method, "/admin"), Err(Problem::NoRule), "{method}");
            assert_eq!(decide(RULES, method, "/"), Ok(0), "{method}");
        }
    }

    #[test]
    fn head_is_let_through_where_get_is() {
        assert_eq!(decide(RULES, "HEAD", "/admin"), Ok(1));
        let post = "[[rule]]\nprefix = '/'\nmethods = ['POST']";
        assert_eq!(decide(post, "HEAD", "/"), Err(Problem::NoRule));
        let head = "[[rule]]\nprefix = '/'\nmethods = ['HEAD']";
        assert_eq!(decide(head, "HEAD", "/"), Ok(0));
        assert_eq!(decide(head, "GET", "/"), Err(Problem::NoRule));
    }

    #[test]
    fn a_path_that_no_prefix_covers_is_refused() {
        let rules = "[[rule]]\nprefix = '/api'";
        assert_eq!(decide(rules, "GET", "/api/a"), Ok(0));
        for path in ["/", "/apis", "/other"] {
            assert_eq!(decide(rules, "GET", path), Err(Problem::NoRule), "{path}");
        }
    }

    #[test]
    fn another_spelling_does_not_lead_to_another_rule() {
        for path in [
            "/ADMIN",
            "/Admin/users",
            "/%61dmin",
            "/admi%6E/users",
            "//admin",
            "/admin%20",
            "/admin.",
            "/admin%3f",
            "/admin%23/x",
            "/x/../admin",
            "/x/%2e%2e/admin",
            "/x/.%2e/admin",
            "/./admin",
            "/x%2f..%2fadmin",
            "/x\\..\\admin",
            "/x%5c..%5cadmin",
            "/admin;a=b",
            "/admin%3Ba",
            "/x;/../admin",
            "/%2561dmin",
            "/admin/public/..",
            "/admin/public/../users",
            "/admin/public%2f..%2fusers",
            "/admin//public",
            "/admin%2fpublic",
        ] {
            assert_eq!(decide(RULES, "GET", path), Err(Problem::AmbiguousPath), "{path}");
        }
    }

    #[test]
    fn signs_that_lead_to_no_other_rule_are_let_through() {
        for path in ["/caf%C3%A9", "/a%20b", "/a.b", "/A/b//c", "/...", "/.well-known/a", "/a~b@c:d"] {
            assert_eq!(decide(RULES, "GET", path), Ok(0), "{path}");
        }
    }

    #[test]
    fn a_hidden_slash_or_parameter_is_refused_under_any_rule() {
        let rules = "[[rule]]\nprefix = '/'";
        for path in ["/a%2fb", "/a%252fb", "/a;b", "/a%3bb", "/a\\b", "/a%5cb", "/..", "/a/..;/b", "/a/.", "/a%00"] {
            assert_eq!(decide(rules, "GET", path), Err(Problem::AmbiguousPath), "{path}");
        }
    }

    #[test]
    fn a_spelling_that_servers_read_in_different_ways_meets_no_rule() {
        for method in ["get", "GET1", "G_T"] {
            assert_eq!(decide(RULES, method, "/"), Err(Problem::InvalidMethod), "{method}");
        }
        for path in ["/café", "/admin\u{a0}", "/a b", "*"] {
            assert_eq!(decide(RULES, "GET", path), Err(Problem::InvalidPath), "{path}");
        }
    }

    #[test]
    fn the_query_leads_to_no_other_rule() {
        for query in ["", "q=café", "/admin", "/../admin", "%2fadmin", "\\;\t"] {
            assert_eq!(decide(RULES, "GET", &format!("/a?{query}")), Ok(0), "{query}");
            assert_eq!(decide(RULES, "GET", &format!("/admin?{query}")), Ok(1), "{query}");
        }
    }

    #[test]
    fn rules_need_method_and_path() {
        let rules = Rules::read("rules.toml", RULES).unwrap();
        for lines in [&[][..], &[("x-original-uri", "/")], &[("x-original-method", "GET")]] {
            let headers = told(lines.iter().copied());
            let request = OriginalRequest::read(&headers).unwrap();
            assert_eq!(rules.decide(request), Err(Problem::MissingRequest), "{lines:?}");
        }
    }
}
