use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::{Cors, is_preflight};
use crate::documents::{AnyOr, CorsPolicy, OriginPattern, RouteCors};

fn policy() -> CorsPolicy {
    CorsPolicy {
        name: "app".to_owned(),
        allowed_origins: AnyOr::List(vec![
            OriginPattern::Exact("https://app.example.com".to_owned()),
            OriginPattern::Subdomain { prefix: "https://".to_owned(), suffix: ".example.org:8443".to_owned() },
        ]),
        allowed_methods: AnyOr::List(vec![Method::GET, Method::PUT]),
        allowed_headers: AnyOr::List(vec![http::header::AUTHORIZATION, http::header::CONTENT_TYPE]),
        expose_headers: AnyOr::List(vec![HeaderName::from_static("x-request-id")]),
        max_age: Some(Duration::from_secs(600)),
        allow_credentials: true,
    }
}

fn named(policy: CorsPolicy) -> Cors {
    Cors::new(&RouteCors::Named(Arc::new(policy)))
}

fn anything_goes() -> Cors {
    Cors::new(&RouteCors::AnythingGoes)
}

fn none() -> Cors {
    Cors::new(&RouteCors::None)
}

async fn grants(cors: &Cors, asked: &HeaderMap) -> bool {
    cors.preflight_response(asked).await.status() == StatusCode::OK
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn preflight(origin: &'static str, method: &'static str, names: &'static str) -> HeaderMap {
    let mut headers = headers(&[("origin", origin), ("access-control-request-method", method)]);
    if !names.is_empty() {
        headers.insert("access-control-request-headers", HeaderValue::from_static(names));
    }
    headers
}

fn text<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    assert!(response.headers().get_all(name).iter().count() <= 1, "{name}");
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

fn varies(response: &Response<Body>) -> bool {
    let values = response.headers().get_all("vary").iter().map(|value| value.to_str().unwrap());
    values.flat_map(|value| value.split(", ")).any(|name| name.eq_ignore_ascii_case("origin"))
}

/// A response of an upstream with CORS headers of its own.
fn upstream_response(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from("text"));
    *response.status_mut() = status;
    *response.headers_mut() = headers(&[
        ("access-control-allow-origin", "https://evil.example"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-secret"),
        ("access-control-max-age", "5"),
        ("vary", "accept-encoding"),
        ("x-other", "kept"),
    ]);
    response
}

#[tokio::test]
async fn without_cors_a_preflight_is_404_and_the_headers_of_the_upstream_go() {
    let asked = preflight("https://app.example.com", "GET", "");
    let response = none().preflight_response(&asked).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(text(&response, "content-type"), Some("application/problem+json"));
    let response = none()
        .decorate(headers(&[("origin", "https://a.example")]).get("origin"), upstream_response(StatusCode::OK))
        .await;
    assert!(response.headers().keys().all(|name| !name.as_str().starts_with("access-control-")));
    assert_eq!(text(&response, "x-other"), Some("kept"));
    assert_eq!(text(&response, "vary"), Some("accept-encoding"));
}

#[tokio::test]
async fn anything_goes_names_the_method_and_the_headers_asked_for() {
    let asked = preflight("null", "DELETE", "authorization,x-any");
    let response = anything_goes().preflight_response(&asked).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(&response, "access-control-allow-origin"), Some("*"));
    assert_eq!(text(&response, "access-control-allow-methods"), Some("DELETE"));
    assert_eq!(text(&response, "access-control-allow-headers"), Some("authorization,x-any"));
    assert_eq!(text(&response, "access-control-allow-credentials"), None);
}

#[tokio::test]
async fn anything_goes_opens_every_response_to_every_origin() {
    for status in [StatusCode::OK, StatusCode::UNAUTHORIZED] {
        let response = anything_goes()
            .decorate(headers(&[("origin", "https://a.example")]).get("origin"), upstream_response(status))
            .await;
        assert_eq!(response.status(), status);
        assert_eq!(text(&response, "access-control-allow-origin"), Some("*"));
        assert_eq!(text(&response, "access-control-expose-headers"), Some("*"));
        assert_eq!(text(&response, "access-control-allow-credentials"), None);
        assert_eq!(text(&response, "access-control-max-age"), None);
        assert!(!varies(&response));
    }
}

#[tokio::test]
async fn a_policy_grants_what_it_lists() {
    for origin in ["https://app.example.com", "https://a-1.example.org:8443"] {
        let response =
            named(policy()).preflight_response(&preflight(origin, "PUT", "Authorization, content-type")).await;
        assert_eq!(response.status(), StatusCode::OK, "{origin}");
        assert_eq!(text(&response, "access-control-allow-origin"), Some(origin));
        assert_eq!(text(&response, "access-control-allow-methods"), Some("GET,PUT"));
        assert_eq!(text(&response, "access-control-allow-headers"), Some("authorization,content-type"));
        assert_eq!(text(&response, "access-control-allow-credentials"), Some("true"));
        assert_eq!(text(&response, "access-control-max-age"), Some("600"));
        assert!(varies(&response));
    }
}

#[tokio::test]
async fn other_origins_methods_and_headers_are_404() {
    let cors = named(policy());
    for origin in [
        "https://other.example.com",
        "http://app.example.com",
        "https://app.example.com:444",
        "https://app.example.com.evil.example",
        "https://example.org:8443",
        "https://.example.org:8443",
        "https://a.b.example.org:8443",
        "https://a.example.org",
        "https://a.example.org:8444",
        "http://a.example.org:8443",
        "https://evil.example:1/a.example.org:8443",
        "https://user@a.example.org:8443",
        "null",
        "*",
        "",
    ] {
        let response = cors.preflight_response(&preflight(origin, "PUT", "")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{origin}");
    }
    for (method, names) in
        [("DELETE", ""), ("put", ""), ("", ""), ("PUT", "x-other"), ("PUT", "authorization, x-other")]
    {
        let asked = preflight("https://app.example.com", method, names);
        assert_eq!(cors.preflight_response(&asked).await.status(), StatusCode::NOT_FOUND, "{method} {names}");
    }
}

#[tokio::test]
async fn methods_that_need_no_preflight_are_always_granted() {
    let cors = named(CorsPolicy { allowed_methods: AnyOr::List(Vec::new()), ..policy() });
    for (method, granted) in [("GET", true), ("HEAD", true), ("POST", true), ("PUT", false)] {
        let asked = preflight("https://app.example.com", method, "authorization");
        assert_eq!(grants(&cors, &asked).await, granted, "{method}");
    }
}

#[tokio::test]
async fn a_header_that_occurs_twice_grants_nothing() {
    let cors = named(policy());
    for name in ["origin", "access-control-request-method", "access-control-request-headers"] {
        let mut asked = preflight("https://app.example.com", "PUT", "authorization");
        assert!(grants(&cors, &asked).await);
        let value = asked[name].clone();
        asked.append(name, value);
        assert!(!grants(&cors, &asked).await, "{name}");
    }
}

#[tokio::test]
async fn responses_name_the_origin_that_may_read_them() {
    let cors = named(policy());
    for status in [StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND] {
        let asked = headers(&[("origin", "https://app.example.com")]);
        let response = cors.decorate(asked.get("origin"), upstream_response(status)).await;
        assert_eq!(response.status(), status);
        assert_eq!(text(&response, "access-control-allow-origin"), Some("https://app.example.com"));
        assert_eq!(text(&response, "access-control-allow-credentials"), Some("true"));
        assert_eq!(text(&response, "access-control-expose-headers"), Some("x-request-id"));
        assert_eq!(text(&response, "access-control-allow-methods"), None);
        assert!(varies(&response));
        assert!(response.headers().get_all("vary").iter().any(|value| value == "accept-encoding"));
    }
    for asked in [headers(&[("origin", "https://evil.example")]), headers(&[])] {
        let response = cors.decorate(asked.get("origin"), upstream_response(StatusCode::OK)).await;
        assert_eq!(text(&response, "access-control-allow-origin"), None);
        assert!(varies(&response));
    }
}

#[tokio::test]
async fn any_origin_of_a_policy_is_a_star_without_credentials() {
    let open = CorsPolicy { allowed_origins: AnyOr::Any, allow_credentials: false, ..policy() };
    let asked = headers(&[("origin", "https://a.example")]);
    let response = named(open).decorate(asked.get("origin"), upstream_response(StatusCode::OK)).await;
    assert_eq!(text(&response, "access-control-allow-origin"), Some("*"));
    assert!(!varies(&response));
}

#[tokio::test]
async fn any_method_and_any_header_are_named_as_they_were_asked_for() {
    let lists = CorsPolicy { allowed_methods: AnyOr::Any, allowed_headers: AnyOr::Any, ..policy() };
    let asked = preflight("https://app.example.com", "PATCH", "x-any");
    let response = named(lists.clone()).preflight_response(&asked).await;
    assert_eq!(text(&response, "access-control-allow-methods"), Some("PATCH"));
    assert_eq!(text(&response, "access-control-allow-headers"), Some("x-any"));
    let exposed = named(CorsPolicy { expose_headers: AnyOr::Any, allow_credentials: false, ..lists });
    let response = exposed.decorate(headers(&[]).get("origin"), upstream_response(StatusCode::OK)).await;
    assert_eq!(text(&response, "access-control-expose-headers"), Some("*"));
}

#[tokio::test]
async fn an_options_request_of_a_route_keeps_its_response() {
    let asked = headers(&[("origin", "https://app.example.com")]);
    let response = named(policy()).decorate(asked.get("origin"), upstream_response(StatusCode::IM_A_TEAPOT)).await;
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(axum::body::to_bytes(response.into_body(), 10).await.unwrap(), "text");
}

#[test]
fn a_preflight_has_a_method_and_an_origin() {
    let request = |method: Method, headers: HeaderMap| {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        is_preflight(&request)
    };
    let asked = preflight("https://a.example", "GET", "");
    assert!(request(Method::OPTIONS, asked.clone()));
    assert!(!request(Method::GET, asked));
    assert!(!request(Method::OPTIONS, headers(&[("origin", "https://a.example")])));
    assert!(!request(Method::OPTIONS, headers(&[("access-control-request-method", "GET")])));
}
