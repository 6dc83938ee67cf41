use http::Response;
use tonic::{Code, Status};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, Rejection, Requirement, TokenSource, claims::Reverification,
    rejection::RejectionKind,
};

use crate::{
    harness::{good, issuer, layer, layer_without_keys, token},
    support::{BAD, bearer, request, send_through},
};

/// The rejection of a call with these headers, and the response of the layer.
async fn rejected(clerk: &ClerkAuthLayer, headers: &[(&str, &str)]) -> (Rejection, Response<()>) {
    let headers = [&[("content-type", "application/grpc")], headers].concat();
    let answer = send_through(clerk, request("POST", "/echo.v1.Echo/Unary", &headers)).await;
    assert!(answer.text.is_empty());
    let rejection = answer.rejection().clone();
    (rejection, Response::from_parts(answer.parts, ()))
}

fn cookies() -> ClerkAuthLayer {
    let config: ClerkConfig = issuer().config().authorized_parties(["https://app.test.example"]).expect("a party");
    let layer = ClerkAuthLayer::from_config(config).expect("a layer");
    layer.token_sources([TokenSource::session_cookie()]).expect("sources")
}

/// Code, message and the rejection's own code, for each kind there is.
const KINDS: [(RejectionKind, Code, &str, &str); 8] = [
    (RejectionKind::MissingToken, Code::Unauthenticated, "missing token", "missing_token"),
    (RejectionKind::InvalidToken, Code::Unauthenticated, "invalid token", "invalid_token"),
    (RejectionKind::TokenExpired, Code::Unauthenticated, "token expired", "token_expired"),
    (RejectionKind::MalformedRequest, Code::InvalidArgument, "malformed credential", "malformed_request"),
    (RejectionKind::KeysUnavailable, Code::Unavailable, "keys unavailable", "keys_unavailable"),
    (RejectionKind::CrossSite, Code::PermissionDenied, "cross-site request", "cross_site"),
    (RejectionKind::InsufficientScope, Code::PermissionDenied, "insufficient scope", "insufficient_scope"),
    (RejectionKind::Reverification, Code::PermissionDenied, "reverification needed", "reverification"),
];

#[track_caller]
fn assert_status(rejection: &Rejection) {
    let kind = KINDS.iter().find(|(kind, ..)| *kind == rejection.kind());
    let (_, code, message, clerk_code) = *kind.unwrap_or_else(|| panic!("{rejection:?}"));
    for status in [Status::from(rejection), Status::from(rejection.clone())] {
        assert_eq!((status.code(), status.message()), (code, message));
        let value = |name: &str| status.metadata().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
        assert_eq!(value("clerk-error-code").as_deref(), Some(clerk_code));
        let is_outage = code == Code::Unavailable;
        assert_eq!(value("grpc-retry-pushback-ms").as_deref(), is_outage.then_some("1000"));
        assert_eq!(status.metadata().len(), 1 + usize::from(is_outage));
        assert!(status.details().is_empty());
        assert!(std::error::Error::source(&status).is_none());
    }
}

#[tokio::test]
async fn every_rejection_converts_to_the_layers_status() {
    let (good, expired, cookie) = (
        good(),
        bearer(&token().expired()),
        format!("__session={}", token().claim("azp", "https://app.test.example").sign()),
    );
    let from_elsewhere = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    for (clerk, headers, kind) in [
        (layer(), &[][..], RejectionKind::MissingToken),
        (layer(), &[("authorization", BAD)], RejectionKind::InvalidToken),
        (layer(), &[("authorization", expired.as_str())], RejectionKind::TokenExpired),
        (layer(), &[("authorization", "Bearer a b")], RejectionKind::MalformedRequest),
        (layer_without_keys(), &[("authorization", good.as_str())], RejectionKind::KeysUnavailable),
        (cookies(), &from_elsewhere, RejectionKind::CrossSite),
    ] {
        let (rejection, response) = rejected(&clerk, headers).await;
        assert_eq!(rejection.kind(), kind);
        assert_status(&rejection);
        let status = Status::from(&rejection);
        let on_the_wire = Status::from_header_map(response.headers()).expect("a status");
        assert_eq!((on_the_wire.code(), on_the_wire.message()), (status.code(), status.message()));
        for name in ["clerk-error-code", "grpc-retry-pushback-ms"] {
            assert_eq!(on_the_wire.metadata().get(name), status.metadata().get(name), "{name}");
        }
    }
}

#[test]
fn a_rejection_by_a_requirement_converts_to_a_status() {
    let rejection = |user: &ClerkAuth, requirement| user.require(&requirement).expect_err("a rejection");
    let member = ClerkAuth::builder().organization("org_acme", "member").claim("fva", [30, -1]).build();
    let missing = rejection(&member, Requirement::permission("org:invoices:create"));
    assert_eq!(missing.kind(), RejectionKind::InsufficientScope);
    assert_status(&missing);
    let stale = rejection(&member, Requirement::reverification(Reverification::strict()));
    assert_eq!(stale.kind(), RejectionKind::Reverification);
    assert_status(&stale);
}

#[test]
fn the_question_mark_converts_a_rejection_to_a_status() {
    let handle = |user: &ClerkAuth| -> Result<(), Status> { Ok(user.require(&Requirement::role("org:admin"))?) };
    let admin = ClerkAuth::builder().organization("org_acme", "admin").build();
    assert!(handle(&admin).is_ok());
    let status = handle(&ClerkAuth::builder().build()).expect_err("a rejection");
    assert_eq!(status.code(), Code::PermissionDenied);
}
