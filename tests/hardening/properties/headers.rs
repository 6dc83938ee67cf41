use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, header::AUTHORIZATION};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest},
    sample::select,
};
use tower_clerk::{ClerkAuthLayer, TokenSource};

use super::mutation::near_or_any;
use super::{cases, good_token, verifier};
use crate::support::{at_once, issuer, send_through};

/// The outcome of a request: status, gRPC status, and whether it reached the inner service.
#[derive(Debug)]
struct Outcome {
    grpc_status: Option<HeaderValue>,
    reached: bool,
    status: u16,
}

/// Sends a request through a layer that has its key. A request that reaches the inner service has a user.
fn send(layer: &ClerkAuthLayer, request: Request<Body>) -> Outcome {
    let answer = at_once(send_through(layer, request)).expect("decided at once");
    assert_eq!(answer.seen().is_some(), answer.user().is_some(), "a request without a user reached the service");
    Outcome {
        grpc_status: answer.parts.headers.get("grpc-status").cloned(),
        reached: answer.seen().is_some(),
        status: answer.status(),
    }
}

fn request(method: &str, fields: &[(HeaderName, HeaderValue)]) -> Request<Body> {
    let mut request = crate::support::request(method, "/path", &[]);
    for (name, value) in fields {
        request.headers_mut().append(name, value.clone());
    }
    request
}

fn field(name: HeaderName, values: &[String]) -> impl Strategy<Value = (HeaderName, HeaderValue)> + use<> {
    near_or_any(values).prop_filter_map("no header value", move |bytes| {
        let bytes: Vec<u8> = bytes.into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect();
        Some((name.clone(), HeaderValue::from_bytes(&bytes).ok()?))
    })
}

fn credentials() -> Vec<String> {
    let token = good_token();
    vec![
        format!("Bearer {token}"),
        format!("bearer   {token}"),
        format!("\t bEARER {token} \t"),
        format!("Bearer {token}, Basic eDp5"),
        format!("DPoP {token}"),
        "Basic eDp5".to_owned(),
        "Bearer".to_owned(),
    ]
}

/// A header line composed of parts, for combinations that random changes rarely produce.
fn line() -> impl Strategy<Value = String> {
    let space = || select(&["", "", " ", "  ", "\t", " \t "][..]);
    let scheme = select(&["Bearer", "bearer", "BEARER", "Bearer:", "Basic", "BearerX", "", "DPoP", "Bearer,"][..]);
    let between = select(&[" ", " ", "  ", "\t", " \t", "", ": "][..]);
    let token = prop_oneof![
        6 => Just(good_token().to_owned()),
        1 => Just(String::new()),
        1 => Just("a.b.c".to_owned()),
        1 => Just("\u{e9}".to_owned()),
        1 => Just("a".repeat(16 * 1024)),
        1 => Just("a".repeat(16 * 1024 + 1)),
    ];
    let after = select(&["", "", "", "", ",", " x", "=", ";", ", Basic eDp5"][..]);
    (space(), scheme, between, token, after, space()).prop_map(|(before, scheme, between, token, after, end)| {
        format!("{before}{scheme}{between}{token}{after}{end}")
    })
}

/// The expected status for the fields of one request: 200, 400 or 401.
fn expected(lines: &[&[u8]]) -> u16 {
    let [line] = lines else { return if lines.is_empty() { 401 } else { 400 } };
    let is_padding = |byte: &u8| [b' ', b'\t'].contains(byte);
    let start = line.iter().position(|byte| !is_padding(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_padding(byte)).map_or(start, |last| last + 1);
    let line = &line[start..end];
    if line.iter().any(|byte| !(0x20..0x7f).contains(byte) || *byte == b',') {
        return 400;
    }
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [scheme, credential @ ..] if scheme.eq_ignore_ascii_case(b"bearer") => match credential {
            [token] if token.len() > 16 * 1024 => 400,
            [token] if *token == good_token().as_bytes() => 200,
            [] | [_] => 401,
            _ => 400,
        },
        _ => 401,
    }
}

fn layer() -> ClerkAuthLayer {
    verifier().clone().into()
}

/// A layer with three token sources.
fn layer_of_three() -> ClerkAuthLayer {
    let config = issuer().config().authorized_parties(["https://app.test.example"]).expect("a party");
    let verifier = crate::support::verifier(config);
    let token = TokenSource::header(HeaderName::from_static("x-token"));
    ClerkAuthLayer::from(verifier)
        .token_sources([TokenSource::authorization(), token, TokenSource::session_cookie()])
        .expect("sources")
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn an_authorization_header_is_valid_invalid_or_malformed(
        fields in vec(field(AUTHORIZATION, &credentials()), 0..3),
    ) {
        let lines: Vec<&[u8]> = fields.iter().map(|(_, value)| value.as_bytes()).collect();
        let outcome = send(&layer(), request("GET", &fields));
        prop_assert_eq!(outcome.status, expected(&lines), "{:?}", fields);
        prop_assert_eq!(outcome.reached, outcome.status == 200);
    }

    #[test]
    fn only_one_word_after_bearer_is_a_token(line in line()) {
        let value = HeaderValue::from_bytes(line.as_bytes()).expect("a header value");
        let outcome = send(&layer(), request("GET", &[(AUTHORIZATION, value)]));
        prop_assert_eq!(outcome.status, expected(&[line.as_bytes()]), "{:?}", line);
        prop_assert_eq!(outcome.reached, outcome.status == 200);
    }

    #[test]
    fn a_rejected_grpc_call_has_status_3_or_16(fields in vec(field(AUTHORIZATION, &credentials()), 0..3)) {
        let lines: Vec<&[u8]> = fields.iter().map(|(_, value)| value.as_bytes()).collect();
        let grpc = (http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let all: Vec<_> = fields.iter().cloned().chain([grpc]).collect();
        let outcome = send(&layer(), request("POST", &all));
        let expected = match expected(&lines) {
            200 => None,
            400 => Some("3"),
            _ => Some("16"),
        };
        prop_assert_eq!(outcome.status, 200);
        prop_assert_eq!(outcome.grpc_status.as_ref().map(|status| status.to_str().expect("ASCII")), expected);
        prop_assert_eq!(outcome.reached, expected.is_none());
    }

    #[test]
    fn every_admitted_request_contains_the_token(
        method in select(&["GET", "POST", "OPTIONS"][..]),
        authorization in vec(field(AUTHORIZATION, &["Basic eDp5".to_owned(), "Bearer a.b.c".to_owned()]), 0..2),
        token in vec(field(HeaderName::from_static("x-token"), &[good_token().to_owned(), String::new()]), 0..2),
        cookies in vec(field(http::header::COOKIE, &[format!("a=b; __session={}", good_token()), "__session=%65".to_owned()]), 0..3),
        origins in vec(field(http::header::ORIGIN, &["https://app.test.example".to_owned()]), 0..2),
    ) {
        let fields: Vec<_> = [authorization, token, cookies, origins].concat();
        let outcome = send(&layer_of_three(), request(method, &fields));
        prop_assert!([200, 400, 401, 403].contains(&outcome.status), "{}", outcome.status);
        prop_assert_eq!(outcome.reached, outcome.status == 200);
        if outcome.reached {
            let carries = |value: &HeaderValue| percent_decoded(value.as_bytes()).contains(good_token());
            prop_assert!(fields.iter().any(|(_, value)| carries(value)), "{:?}", fields);
        }
    }
}

fn percent_decoded(bytes: &[u8]) -> String {
    let mut decoded = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                decoded.push(byte);
                rest = &after[2..];
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
