//! Credentials hidden in other places, other forms of requests, and bodies.

use super::{
    forge::good,
    smuggling::{Exchange, Rejected, check, forged, get, request},
};

pub(crate) fn exchanges() -> Vec<Exchange> {
    [of_places(), of_forms(), of_bodies()].into_iter().flatten().collect()
}

#[tokio::test]
async fn a_credential_in_another_place_is_ignored() {
    check(of_places()).await;
}

#[tokio::test]
async fn the_form_of_a_request_does_not_bypass_the_layer() {
    check(of_forms()).await;
}

#[tokio::test]
async fn a_body_is_neither_a_credential_nor_a_request() {
    check(of_bodies()).await;
}

fn of_places() -> Vec<Exchange> {
    let token = good();
    let names = [
        "x-authorization",
        "proxy-authorization",
        "x-forwarded-authorization",
        "x-original-authorization",
        "www-authenticate",
        "authentication",
        "authorization-",
        "authorization_",
        "-authorization",
        "http_authorization",
        "x-access-token",
        "x-clerk-auth-token",
        "x-user-id",
        "sec-websocket-protocol",
        "cookie",
        "referer",
    ];
    let neighbour = |line: &str, lines: &str| request(line, &format!("{lines}authorization: Bearer {token}\r\n"));
    let mut rows = Vec::new();
    for name in names {
        for value in [format!("Bearer {token}"), token.clone(), format!("__session={token}; authorization={token}")] {
            let line = format!("{name}: {value}\r\n");
            let neighbour = neighbour("GET /me HTTP/1.1", &line);
            rows.push(Exchange { case: name, attack: get(&line), rejected: Rejected::Http(401), neighbour });
        }
    }
    for (case, target) in [
        ("query", format!("/me?access_token={token}")),
        ("query by another name", format!("/me?token={token}&authorization=Bearer%20{token}&__session={token}")),
        ("path", format!("/me/{token}")),
        ("absolute form", format!("http://api.test/me?access_token={token}")),
        ("absolute form, other host", "http://127.0.0.1:1/me".to_owned()),
        ("userinfo", format!("http://Bearer:{token}@api.test/me")),
    ] {
        let line = format!("GET {target} HTTP/1.1");
        let (attack, neighbour) = (request(&line, ""), neighbour(&line, ""));
        rows.push(Exchange { case, attack, rejected: Rejected::Http(401), neighbour });
    }
    rows
}

fn of_forms() -> Vec<Exchange> {
    let (token, forged) = (good(), forged());
    let credential = |token: &str| format!("authorization: Bearer {token}\r\n");
    let (right, wrong) = (credential(&token), credential(&forged));
    let twice = format!("{right}{right}");
    let grpc = "content-type: application/grpc\r\ncontent-length: 0\r\n";
    let web = "content-type: application/grpc-web+proto\r\ncontent-length: 0\r\n";
    let two_types = "content-type: application/grpc\r\ncontent-type: application/grpc\r\n";
    let nearly = "content-type: application/grpcs\r\ncontent-length: 0\r\n";
    let (get, post) = ("GET /me HTTP/1.1", "POST /me HTTP/1.1");
    let rows = [
        ("gRPC, no token", post, grpc, "", Rejected::Grpc(16)),
        ("gRPC, a forged token", post, grpc, &wrong, Rejected::Grpc(16)),
        ("gRPC, two fields", post, grpc, &twice, Rejected::Grpc(3)),
        ("gRPC-Web, a forged token", post, web, &wrong, Rejected::Grpc(16)),
        ("a GET of gRPC", get, grpc, &wrong, Rejected::Http(401)),
        ("a GET of gRPC, no token", get, grpc, "", Rejected::Http(401)),
        ("a GET of gRPC, two fields", get, grpc, &twice, Rejected::Http(400)),
        ("a PUT of gRPC", "PUT /me HTTP/1.1", grpc, &wrong, Rejected::Http(401)),
        (
            "gRPC by override",
            get,
            "x-http-method-override: POST\r\ncontent-type: application/grpc\r\n",
            "",
            Rejected::Http(401),
        ),
        ("two media types", post, two_types, &wrong, Rejected::Http(401)),
        ("nearly gRPC", post, nearly, &wrong, Rejected::Http(401)),
        ("OPTIONS", "OPTIONS /me HTTP/1.1", "origin: https://evil.example\r\n", "", Rejected::Http(401)),
        ("a preflight", "OPTIONS /me HTTP/1.1", "access-control-request-method: GET\r\n", "", Rejected::Http(401)),
        ("TRACE", "TRACE /me HTTP/1.1", "", "", Rejected::Http(401)),
        ("an unknown method", "BREW /me HTTP/1.1", "", &wrong, Rejected::Http(401)),
        ("method override", post, "x-http-method-override: OPTIONS\r\ncontent-length: 0\r\n", "", Rejected::Http(401)),
        (
            "another path by header",
            get,
            "x-original-url: /public\r\nx-rewrite-url: /public\r\n",
            "",
            Rejected::Http(401),
        ),
        ("a hop by hop credential", get, "connection: authorization\r\n", &wrong, Rejected::Http(401)),
        ("an upgrade to HTTP/2", get, "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n", "", Rejected::Http(401)),
        ("a WebSocket", get, "upgrade: websocket\r\nsec-websocket-version: 13\r\n", &wrong, Rejected::Http(401)),
        ("HTTP/1.0, no token", "GET /me HTTP/1.0", "", "", Rejected::Http(401)),
        ("HTTP/1.0, a forged token", "GET /me HTTP/1.0", "", &wrong, Rejected::Http(401)),
        ("HTTP/1.0, two fields", "GET /me HTTP/1.0", "", &twice, Rejected::Http(400)),
    ];
    let rows = rows.map(|(case, line, lines, wrong, rejected)| {
        let [attack, neighbour] = [wrong, &right].map(|credential| request(line, &format!("{lines}{credential}")));
        Exchange { case, attack, rejected, neighbour }
    });
    let own = |case, line: &str| {
        let neighbour = request("GET /me HTTP/1.1", &right);
        Exchange { case, attack: request(line, &right), rejected: Rejected::Http(400), neighbour }
    };
    rows.into_iter()
        .chain([
            own("HTTP/0.9", "GET /me"),
            own("HTTP/2.0 by name", "GET /me HTTP/2.0"),
            own("HTTP/1.2", "GET /me HTTP/1.2"),
            own("a space in the target", "GET /me x HTTP/1.1"),
        ])
        .collect()
}

fn of_bodies() -> Vec<Exchange> {
    let token = good();
    let right = format!("authorization: Bearer {token}\r\n");
    let hidden = format!("GET /me HTTP/1.1\r\nhost: api.test\r\n{right}\r\n");
    let form = format!("access_token={token}");
    let json = format!("{{\"access_token\":\"{token}\"}}");
    let chunks = format!("{:x}\r\n{hidden}\r\n0\r\n", hidden.len());
    let length = |body: &str| format!("content-length: {}\r\n", body.len());
    let form_type = "content-type: application/x-www-form-urlencoded\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    let rows = [
        ("a form", format!("{form_type}{}", length(&form)), form.clone(), 401),
        ("JSON", format!("content-type: application/json\r\n{}", length(&json)), json, 401),
        ("a request in the body", length(&hidden), hidden.clone(), 401),
        ("a request in a chunk", chunked.to_owned(), format!("{chunks}\r\n"), 401),
        ("a trailer", format!("trailer: authorization\r\n{chunked}"), format!("0\r\n{right}\r\n"), 401),
        ("both lengths", format!("{}{chunked}", length("")), format!("{chunks}\r\n"), 401),
        ("two lengths", format!("{}content-length: 0\r\n", length(&hidden)), hidden.clone(), 400),
        ("a length with a sign", format!("content-length: +{}\r\n", hidden.len()), hidden, 400),
    ];
    let row = |(case, lines, body, status): (&'static str, String, String, u16)| {
        let attack = format!("{}{body}", request("POST /me HTTP/1.1", &lines));
        let neighbour = request("POST /me HTTP/1.1", &format!("{right}{}", length(&form))) + &form;
        Exchange { case, attack, rejected: Rejected::Http(status), neighbour }
    };
    rows.into_iter().map(row).collect()
}
