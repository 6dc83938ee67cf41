use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;

use super::{BadTarget, RequestFacts, Template};
use crate::routing::Params;

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "BASE" => "https://secret.example.com:8443/base",
        "HOST" => "api.example.com",
        "BLANK" => " ",
        "LINES" => "https://a.example\nb",
        "FRAGMENT" => "https://a.example#b",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parse(text: &str) -> Template {
    Template::parse(text, Some(&["id".to_owned(), "rest".to_owned()]), &variable).unwrap()
}

fn reasons(text: &str) -> Vec<String> {
    Template::parse(text, Some(&["id".to_owned(), "rest".to_owned()]), &variable).unwrap_err()
}

/// A request with its target, its parameters, and what to do with them.
struct Asked {
    uri: Uri,
    params: Params,
    headers: HeaderMap,
    host: String,
}

impl Asked {
    fn new(target: &str) -> Self {
        let uri = target.parse().unwrap();
        Self { uri, params: Params::default(), headers: HeaderMap::new(), host: "gateway.example".to_owned() }
    }

    fn param(mut self, name: &str, value: &str) -> Self {
        // Each test has one parameter.
        self.params = std::iter::once((name.to_owned(), value.to_owned())).collect();
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    fn facts(&self) -> RequestFacts<'_> {
        let Self { uri, params, headers, host } = self;
        RequestFacts { method: &Method::GET, uri, host, headers, has_every_guard: true, params }
    }

    fn forward(&self, template: &str, search: bool) -> Result<String, BadTarget> {
        parse(template).forward(&self.facts(), search).map(|uri| uri.to_string())
    }

    fn rewrite(&self, template: &str) -> Result<String, BadTarget> {
        parse(template).rewrite(&self.facts(), true).map(|uri| uri.to_string())
    }
}

#[test]
fn forwarding_appends_the_path_as_it_was_sent_and_the_query() {
    let asked = Asked::new("/a%2Fb//C;x?q=1&r=%20");
    for (base, target) in [
        ("https://api.example.com", "https://api.example.com/a%2Fb//C;x?q=1&r=%20"),
        ("https://api.example.com/", "https://api.example.com/a%2Fb//C;x?q=1&r=%20"),
        ("http://api:8080/v1", "http://api:8080/v1/a%2Fb//C;x?q=1&r=%20"),
        ("http://[::1]:8080/v1/", "http://[::1]:8080/v1/a%2Fb//C;x?q=1&r=%20"),
        ("${env.BASE}", "https://secret.example.com:8443/base/a%2Fb//C;x?q=1&r=%20"),
        ("https://${env.HOST}/v1?key=1", "https://api.example.com/v1/a%2Fb//C;x?key=1&q=1&r=%20"),
    ] {
        assert_eq!(asked.forward(base, true).unwrap(), target);
    }
    assert_eq!(asked.forward("https://api.example.com", false).unwrap(), "https://api.example.com/a%2Fb//C;x");
    assert_eq!(asked.forward("http://a/v1", false).unwrap(), "http://a/v1/a%2Fb//C;x");
    assert_eq!(Asked::new("/a&?q").forward("http://a/b", true).unwrap(), "http://a/b/a&?q");
    assert_eq!(Asked::new("/").forward("http://a", true).unwrap(), "http://a/");
    assert_eq!(Asked::new("*").forward("http://a", true), Err(BadTarget));
}

#[test]
fn past_a_guard_no_value_reaches_another_path() {
    for (template, asked) in [
        ("http://a/users/${params.id}", Asked::new("/u").param("id", "1%2fsecrets")),
        ("http://a/users/${params.id}", Asked::new("/u").param("id", "1%252fsecrets")),
        ("http://a/users/${params.id}", Asked::new("/u").param("id", "1%3bx")),
        ("http://a/users/${params.id}", Asked::new("/u").param("id", "1%5csecrets")),
        ("http://a/users/${params.id}/x", Asked::new("/u").param("id", "1%3f")),
        ("http://a/users/${params.id}-card", Asked::new("/u").param("id", "secrets;")),
        ("http://a/users/${params.id}", Asked::new("/u").param("id", "%20")),
        ("http://a/users/${params.id}", Asked::new("/u").param("id", "")),
        ("http://a/users/${query.id}", Asked::new("/u?id=")),
        ("http://a/users/${query.id}", Asked::new("/u")),
        ("http://a/users/${query.id}", Asked::new("/u?id=1/secrets")),
        ("http://a/users/${query.id}", Asked::new("/u?id=1%252fsecrets")),
        ("http://a/users/${headers.get('x-id')}", Asked::new("/u").header("x-id", "1/secrets")),
    ] {
        let open = RequestFacts { has_every_guard: false, ..asked.facts() };
        assert_eq!(parse(template).rewrite(&open, true), Err(BadTarget), "{template}");
        assert!(parse(template).rewrite(&asked.facts(), true).is_ok(), "{template}");
    }
    for asked in [Asked::new("/u").param("id", "a/b"), Asked::new("/u").param("id", "a%20b")] {
        let open = RequestFacts { has_every_guard: false, ..asked.facts() };
        assert!(parse("http://a/users/${params.id}?q=${params.id}").rewrite(&open, true).is_ok());
    }
    assert_eq!(Asked::new("/u").rewrite("http://a/${query.v}/x"), Err(BadTarget));
}

#[test]
fn values_are_put_in() {
    let asked = Asked::new("/todos/a%2Fb?q=%C3%A9+%2F%3F&q=2&e=")
        .param("id", "a%2Fb")
        .header("x-tenant", "a b/c?d#e")
        .header("x-two", "1")
        .header("x-two", "2");
    for (template, target) in [
        ("http://a/x/${params.id}?", "http://a/x/a%2Fb?q=%C3%A9+%2F%3F&q=2&e="),
        ("http://a${pathname}${search}", "http://a/todos/a%2Fb?q=%C3%A9+%2F%3F&q=2&e="),
        ("http://a${search}", "http://a/?q=%C3%A9+%2F%3F&q=2&e="),
        ("http://a/${query.q}/${query.none}-${query.e}${search}", "http://a/%C3%A9%20%2F%3F/-?q=%C3%A9+%2F%3F&q=2&e="),
        ("http://a/${headers.get(\"X-Tenant\")}${search}", "http://a/a%20b%2Fc%3Fd%23e?q=%C3%A9+%2F%3F&q=2&e="),
        (
            "http://a/${headers.get('x-two')}-${ headers.get('none') }${search}",
            "http://a/1%2C%202-?q=%C3%A9+%2F%3F&q=2&e=",
        ),
        ("http://a/${method}/${host}${search}", "http://a/GET/gateway.example?q=%C3%A9+%2F%3F&q=2&e="),
        ("http://a?b=1", "http://a/?b=1&q=%C3%A9+%2F%3F&q=2&e="),
        ("http://a/é{x}", "http://a/%C3%A9%7Bx%7D?q=%C3%A9+%2F%3F&q=2&e="),
    ] {
        assert_eq!(asked.rewrite(template).unwrap(), target, "{template}");
    }
    let uri = parse("http://a/x?b=1").rewrite(&asked.facts(), false).unwrap();
    assert_eq!(uri, "http://a/x?b=1");
    assert_eq!(Asked::new("/a").rewrite("http://a/x${search}").unwrap(), "http://a/x");
}

#[test]
fn a_value_in_a_query_stays_one_value() {
    let asked = Asked::new("/x").param("id", "1&admin=true+a;b%26c");
    assert_eq!(asked.rewrite("http://a/?id=${params.id}").unwrap(), "http://a/?id=1%26admin%3Dtrue%2Ba%3Bb%26c");
    assert_eq!(asked.rewrite("http://a/${params.id}").unwrap(), "http://a/1&admin=true+a;b%26c");
}

#[test]
fn values_in_the_authority_are_names() {
    let host = |host: &str| Asked { host: host.to_owned(), ..Asked::new("/p") };
    assert_eq!(host("a.example:81").rewrite("https://${host}/x").unwrap(), "https://a.example:81/x");
    assert_eq!(host("a.example").rewrite("https://${host}:82${pathname}").unwrap(), "https://a.example:82/p");
    for bad in ["a:81:82", "a@b", "a/b", "", ":80", "a:", "a:99999", "a..b", "[::1]", "a%2fb", "a b"] {
        assert_eq!(host(bad).rewrite("https://${host}/x"), Err(BadTarget), "{bad}");
    }
    let template = "https://${params.id}.example.com/x";
    assert_eq!(Asked::new("/").param("id", "eu-1").rewrite(template).unwrap(), "https://eu-1.example.com/x");
    for bad in ["a:80", "a/b", "evil.example%2F", "evil@b", "evil.example?", "evil\\", "", "a.", ".a", "é"] {
        assert_eq!(Asked::new("/").param("id", bad).rewrite(template), Err(BadTarget), "{bad}");
    }
}

#[test]
fn targets_with_dot_segments_are_refused() {
    for (target, template) in [
        ("/x?q=..", "http://a/base/${query.q}/b"),
        ("/x?q=%2e%2e", "http://a/base/${query.q}"),
        ("/x?q=../b", "http://a/base/${query.q}"),
        ("/x?q=a/../b", "http://a/base/${query.q}"),
        ("/x?q=.", "http://a/base/.${query.q}"),
        ("/x?q=%252e%252e%252f", "http://a/base/${query.q}"),
        ("/x?q=.", "http://a/base/${query.q}${query.q};x/b"),
        ("/x?q=%00", "http://a/base/${query.q}"),
    ] {
        assert_eq!(Asked::new(target).rewrite(template), Err(BadTarget), "{target} {template}");
    }
    assert_eq!(Asked::new("/").param("rest", "a/..").rewrite("http://a/${params.rest}"), Err(BadTarget));
    assert_eq!(Asked::new("/a/../b").forward("http://a", true), Err(BadTarget));
    assert_eq!(Asked::new("/a/%2e%2e/b").forward("http://a/b", true), Err(BadTarget));
    assert!(Asked::new("/x?q=..").rewrite("http://a/x?b=${query.q}").is_ok());
}

#[test]
fn templates_that_cannot_work_are_refused_with_a_hint() {
    for (text, hint) in [
        ("https://a/$env(BASE)", "write `${env.BASE}`"),
        ("$env(BASE)", "write `${env.BASE}`"),
        ("${env.NONE}/x", "`NONE` is not set"),
        ("${env.BLANK}/x", "`BLANK` is not set, or blank"),
        ("${env.LINES}/x", "`LINES` must not contain spaces"),
        ("${env.FRAGMENT}/x", "`FRAGMENT` must not contain `\\` or `#`"),
        ("https://a/${params.none}", "expected one of: `id`, `rest`"),
        ("https://a/${params}", "is not a known placeholder"),
        ("https://a/${}", "is not a known placeholder"),
        ("https://a/${query.}", "is not a known placeholder"),
        ("https://a/${headers.get(x)}", "is not a known placeholder"),
        ("https://a/${headers.get(\"x y\")}", "is not a known placeholder"),
        ("https://a/${request.url}", "is not a known placeholder"),
        ("https://a/${params.id", "not closed"),
        ("ftp://a/", "must begin with `http://`"),
        ("${env.HOST}/x", "correct the value of the environment variable `HOST`"),
        ("a.example/x", "must begin with `http://`"),
        ("/x", "must begin with `http://`"),
        ("", "must begin with `http://`"),
        ("${host}/x", "must begin with `http://`"),
        ("${pathname}", "must begin with `http://`"),
        ("https:${host}", "must begin with `http://`"),
        ("https:///x", "host and port"),
        ("https://a:b/x", "host and port"),
        ("https://a:70000/x", "host and port"),
        ("https://a..b/x", "host and port"),
        ("https://é.example/x", "host and port"),
        ("https://a_${params.id}!/x", "host and port"),
        ("https://u:p@a/x", "user name"),
        ("https://u@${host}/x", "user name"),
        ("https://a/x#y", "fragment"),
        ("https://a/x y", "spaces"),
        ("https://a/x\n", "spaces"),
        ("https://a\\b", "backslashes"),
        ("https://a/x/../y", "dot segment"),
        ("https://a/%2e%2e/y", "dot segment"),
        ("https://a/%zz", "well-formed path"),
    ] {
        let reasons = reasons(text);
        assert!(reasons.iter().any(|reason| reason.contains(hint)), "{text}: {reasons:?}");
    }
    let none = Template::parse("https://a/${params.id}", Some(&[]), &variable).unwrap_err();
    assert_eq!(none, ["`${params.id}`: the path has no parameters; remove it"]);
}

#[test]
fn all_reasons_are_given_at_once() {
    assert_eq!(reasons("https://a/${env.NONE}/${params.none}/${what}#x").len(), 4);
}

#[test]
fn values_of_variables_are_shown_nowhere() {
    let template = parse("${env.BASE}/x");
    assert_eq!(template.display(), "${env.BASE}/x");
    assert!(!format!("{template:?}").contains("secret"));
    assert!(!reasons("${env.BASE}/../${env.LINES}").concat().contains("a.example"));
    assert!(!reasons("ftp://${env.BASE}").concat().contains("secret"));
    assert!(parse("http://a?b=1").has_query() && parse("http://a${search}").has_query());
    assert!(!template.has_query());
    assert!(parse("http://${params.id}").uses_params() && parse("http://a/${params.id}").uses_params());
    assert!(!parse("http://${host}/${query.id}").uses_params());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|(https?://)?[a$\\{\\}/?#.:@%]{0,12}|https://a(/|\\$\\{(params.id|host|search|pathname|query.q)\\}|a|\\?){0,6}") {
        if let Ok(template) = Template::parse(&text, Some(&["id".to_owned()]), &variable) {
            let asked = Asked::new("/a?q=1").param("id", "x");
            let _ = template.forward(&asked.facts(), true);
            let _ = template.rewrite(&asked.facts(), true);
        }
    }

    #[test]
    fn no_value_changes_the_authority_or_the_structure(
        value in "[a./?#%@:&=;\\\\ 2eé]{0,8}",
        path in "/[a./%@:&=;2e]{0,8}",
    ) {
        let query: String = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC).collect();
        let Ok(uri) = format!("{path}?q={query}").parse::<Uri>() else { return Ok(()) };
        let raw = path.strip_prefix('/').unwrap();
        let asked = Asked { uri, ..Asked::new("/") }.param("id", raw).header("x-value", &value);
        for text in ["http://a.example/p/${query.q}-${headers.get('x-value')}-${params.id}?f", "http://a.example${pathname}/${query.q}?f"] {
            let Ok(target) = parse(text).rewrite(&asked.facts(), false) else { continue };
            prop_assert_eq!(target.authority().unwrap().as_str(), "a.example");
            prop_assert_eq!(target.query(), Some("f"));
            prop_assert!(!crate::routing::path::has_dot_segment(target.path()));
        }
    }
}
