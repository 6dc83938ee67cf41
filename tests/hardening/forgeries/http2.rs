//! Credentials hidden in an HTTP/2 request, where fields and cookies can be split.

use http::{HeaderMap, HeaderValue, Method};
use http_body_util::Empty;
use tower_clerk::{ClerkAuthLayer, ClerkConfig, TokenSource};

use super::{
    forge::{ISSUER, good, header, jwks, payload, stranger, trusted, with},
    servers::Server,
    table::{assert_tells_nothing, verifier_of},
};
use crate::support::{Answer, Recorder, sockets::connect_http2, with_body};

type Fields<'a> = &'a [(&'static str, &'a str)];

#[tokio::test]
async fn http_2_credentials_are_read_once_and_only_from_their_place() {
    let token = good();
    let forged = stranger().sign(&header(), &payload());
    let (right, wrong) = (format!("Bearer {token}"), format!("Bearer {forged}"));
    let session = format!("__session={token}");
    let nbsp = format!("Bearer {token}\u{a0}");
    let rows: [(&str, Fields<'_>, u16); 12] = [
        ("none", &[], 401),
        ("forged", &[("authorization", &wrong)], 401),
        ("two fields", &[("authorization", &right), ("authorization", &right)], 400),
        ("two fields, one forged", &[("authorization", &wrong), ("authorization", &right)], 400),
        ("two fields, another scheme", &[("authorization", "Basic eDp5"), ("authorization", &right)], 400),
        ("two fields, one empty", &[("authorization", &right), ("authorization", "")], 400),
        ("beyond ASCII", &[("authorization", &nbsp)], 400),
        ("the scheme alone", &[("authorization", "Bearer")], 401),
        ("a cookie", &[("cookie", &session)], 401),
        ("cookies apart", &[("cookie", "a=b"), ("cookie", &session)], 401),
        ("forged, and a cookie", &[("authorization", &wrong), ("cookie", &session)], 401),
        ("proxy", &[("proxy-authorization", &right)], 401),
    ];
    let (layer, inner) = (ClerkAuthLayer::from(verifier_of(&jwks().to_string())), Recorder::default());
    let server = Server::axum(&layer, &inner).await;
    for (case, fields, status) in rows {
        assert_eq!(ask(&server, case, Method::GET, fields).await.0, status, "{case}");
        let call = [fields, &[("content-type", "application/grpc")]].concat();
        let (http, headers, _) = ask(&server, case, Method::POST, &call).await;
        let grpc = if status == 400 { "3" } else { "16" };
        assert_eq!((http, headers.get("grpc-status")), (200, Some(&HeaderValue::from_static(grpc))), "{case}");
        assert_eq!(inner.calls(), 0, "{case}");
    }
    for fields in [&[("authorization", right.as_str())][..], &[("cookie", "a=b"), ("authorization", &right)]] {
        let (status, _, body) = ask(&server, "right", Method::GET, fields).await;
        assert_eq!((status, body.as_str()), (200, "user_ada"));
    }
    assert_eq!(inner.calls(), 2);
}

#[tokio::test]
async fn split_http_2_cookie_fields_are_joined() {
    let party = "https://app.test.example";
    let signed = |user: &str| trusted().sign(&header(), &with(with(payload(), "azp", party), "sub", user));
    let [ada, eve] = ["user_ada", "user_eve"].map(|user| format!("__session={}", signed(user)));
    let forged = stranger().sign(&header(), &with(payload(), "azp", party));
    let (wrong, bad) = (format!("Bearer {forged}"), format!("__session={forged}"));
    let both = format!("{ada}; {eve}");
    let right = format!("Bearer {}", signed("user_ada"));
    let rows: [(&str, Method, Fields<'_>, u16); 8] = [
        ("two users", Method::GET, &[("cookie", &ada), ("cookie", &eve)], 401),
        ("two users in one field", Method::GET, &[("cookie", &both)], 401),
        ("forged", Method::GET, &[("cookie", "a=b"), ("cookie", &bad)], 401),
        ("forged header", Method::GET, &[("authorization", &wrong), ("cookie", &ada)], 401),
        ("two headers", Method::GET, &[("authorization", &right), ("authorization", &right), ("cookie", &ada)], 400),
        ("a POST of nobody knows whom", Method::POST, &[("cookie", &ada)], 403),
        ("a POST of another site", Method::POST, &[("cookie", &ada), ("origin", "https://evil.example")], 403),
        ("a GET of another site", Method::GET, &[("cookie", &ada), ("origin", "https://evil.example")], 403),
    ];
    let config = ClerkConfig::from_jwks(jwks().to_string()).and_then(|config| config.add_issuer(ISSUER));
    let config = config.and_then(|config| config.authorized_parties([party])).expect("a configuration");
    let verifier = crate::support::verifier(config);
    let sources = [TokenSource::authorization(), TokenSource::session_cookie()];
    let layer = ClerkAuthLayer::from(verifier).token_sources(sources).expect("a layer");
    let inner = Recorder::default();
    let server = Server::axum(&layer, &inner).await;
    for (case, method, fields, status) in rows {
        assert_eq!(ask(&server, case, method, fields).await.0, status, "{case}");
        assert_eq!(inner.calls(), 0, "{case}");
    }
    let neighbours: [(Method, Fields<'_>); 5] = [
        (Method::GET, &[("cookie", "a=b"), ("cookie", &ada), ("cookie", "c=d")]),
        (Method::GET, &[("cookie", &ada), ("cookie", &ada)]),
        (Method::GET, &[("cookie", &bad), ("cookie", "a=b"), ("cookie", &ada)]),
        (Method::GET, &[("authorization", &right), ("cookie", &bad)]),
        (Method::POST, &[("cookie", &ada), ("origin", party)]),
    ];
    for (method, fields) in neighbours {
        let (status, _, body) = ask(&server, "right", method, fields).await;
        assert_eq!((status, body.as_str()), (200, "user_ada"), "{fields:?}");
    }
    assert_eq!(inner.calls(), 5);
}

/// Status, headers and body of the response to one request on a new connection.
async fn ask(server: &Server, case: &str, method: Method, fields: Fields<'_>) -> (u16, HeaderMap, String) {
    let mut sender = connect_http2(server.address()).await;
    let request = with_body(method.as_str(), "http://api.test/me", fields, Empty::new());
    let Answer { parts, text: body } = Answer::of(sender.send_request(request).await.expect("a response")).await;
    if parts.status != 200 || parts.headers.contains_key("grpc-status") {
        assert_tells_nothing(case, &good(), &format!("{:?} {body}", parts.headers));
    }
    (parts.status.as_u16(), parts.headers, body)
}
