use tower_clerk::jwks::FetchErrorKind;

use super::api::{Api, good};
use crate::{faults::instance::response, support::server::Server};

const REDIRECTS: [&str; 5] =
    ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"];

#[tokio::test]
async fn a_redirect_to_another_server_is_not_followed() {
    let elsewhere = Server::start(good()).await;
    for status in REDIRECTS {
        let location = format!("{}/api_keys/verify", elsewhere.url());
        let api = Api::start(response(status, &[("Location", &location)], "")).await;
        api.fails(FetchErrorKind::UnexpectedStatus).await;
    }
    assert_eq!(elsewhere.connections().await, 0);
}

#[tokio::test]
async fn a_redirect_on_the_same_server_is_not_followed() {
    for status in REDIRECTS {
        for location in ["/v1/api_keys/verify", "/api_keys/verify/", "?", "https:///"] {
            let api = Api::start(response(status, &[("Location", location)], "")).await;
            api.fails(FetchErrorKind::UnexpectedStatus).await;
            assert_eq!(api.server.connections().await, 1);
        }
    }
}
