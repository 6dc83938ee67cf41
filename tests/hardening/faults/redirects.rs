use tower_clerk::jwks::FetchErrorKind;

use super::instance::{Instance, PATIENT, document, is_a_failure, keys, response};
use crate::support::server::Server;
use crate::support::{issuer, other_issuer};

#[tokio::test]
async fn a_redirect_to_another_host_is_a_failure_and_not_followed() {
    let elsewhere = Server::start(document(&other_issuer().jwks())).await;
    let location = format!("{}/.well-known/jwks.json", elsewhere.url());
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let script = response(status, &[("Location", &location)], other_issuer().jwks());
        is_a_failure(script, FetchErrorKind::UnexpectedStatus).await;
    }
    assert_eq!(elsewhere.connections().await, 0);
}

#[tokio::test]
async fn a_redirect_on_the_same_host_is_a_failure() {
    let instance = Instance::cold(PATIENT, keys()).await;
    instance.server.respond_with(|head| match head.starts_with("GET /.well-known/jwks.json ") {
        true => response("302 Found", &[("Location", "/keys")], ""),
        false => keys(),
    });
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(FetchErrorKind::UnexpectedStatus));
    assert_eq!(instance.server.connections().await, 1);
    is_a_failure(
        response("302 Found", &[("Location", "/keys")], other_issuer().jwks()),
        FetchErrorKind::UnexpectedStatus,
    )
    .await;
}

#[tokio::test]
async fn a_redirect_loop_is_one_request() {
    let instance = Instance::cold(PATIENT, response("302 Found", &[("Location", "/.well-known/jwks.json")], "")).await;
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(FetchErrorKind::UnexpectedStatus));
    assert_eq!((instance.server.connections().await, instance.server.requests()), (1, 1));
    is_a_failure(
        response("302 Found", &[("Location", "/.well-known/jwks.json")], ""),
        FetchErrorKind::UnexpectedStatus,
    )
    .await;
}

#[tokio::test]
async fn a_redirect_that_points_nowhere_is_a_failure() {
    for headers in [vec![], vec![("Location", "")], vec![("Location", "file:///etc/passwd")], vec![("Location", "//")]]
    {
        is_a_failure(response("302 Found", &headers, other_issuer().jwks()), FetchErrorKind::UnexpectedStatus).await;
    }
}

#[tokio::test]
async fn a_location_on_a_200_is_not_followed() {
    let elsewhere = Server::start(document(&other_issuer().jwks())).await;
    let instance = Instance::cold(PATIENT, keys()).await;
    let headers = [("Location", elsewhere.url()), ("Content-Location", elsewhere.url())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    instance.server.respond(response("200 OK", &headers, issuer().jwks()));
    instance.verify(&instance.token()).await.expect("a good token");
    instance.verify(&instance.token_of(other_issuer())).await.expect_err("forged");
    assert_eq!(elsewhere.connections().await, 0);
}
