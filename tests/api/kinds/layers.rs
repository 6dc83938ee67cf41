use serde::Deserialize;
use tower::ServiceBuilder;
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ConfigError, ProtectedResource, TokenKind, authorize::RequireAuthenticatedLayer,
    verify::VerifyErrorKind,
};

use super::{JWTS, layer_with, m2m, oauth, tokens, told};
use crate::{
    support::{bearer, get_path, issuer, layer_of as layer_of_config, token},
    telemetry::Log,
};

const NOT_ACCEPTED: Option<VerifyErrorKind> = Some(VerifyErrorKind::TokenKindNotAccepted);

const TOLD: [&str; 3] = [
    "ClerkAuth user_ada, Principal session_token user_ada",
    "OAuthToken user_ada, Principal oauth_token user_ada",
    "M2mToken mch_orders, Principal m2m_token mch_orders",
];

fn narrowed(kinds: &[TokenKind]) -> ClerkAuthLayer {
    layer_with(Ok).accept(kinds.iter().copied()).expect("kinds")
}

#[tokio::test]
async fn the_extensions_hold_the_type_of_the_kind_and_the_principal() {
    for (token, told_of) in tokens().iter().zip(TOLD) {
        let answer = told(&layer_with(Ok), &[("authorization", &bearer(token))]).await;
        assert_eq!(answer.outcome(), (200, told_of));
    }
}

#[tokio::test]
async fn a_layer_for_sessions_inserts_the_user_alone() {
    for layer in [layer_of_config(issuer().config()), narrowed(&[TokenKind::Session])] {
        let answer = told(&layer, &[("authorization", &bearer(&token()))]).await;
        assert_eq!(answer.outcome(), (200, "ClerkAuth user_ada"));
        for other in [oauth(), m2m()] {
            let answer = told(&layer, &[("authorization", &bearer(&other))]).await;
            answer.assert_rejected(401, "invalid_token");
            assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
            assert_eq!(answer.rejection().verify_error_kind(), NOT_ACCEPTED);
        }
    }
}

#[tokio::test]
async fn layers_around_one_verifier_accept_their_own_kinds_from_one_cache() {
    let wide = layer_with(Ok);
    for (index, kind) in JWTS.into_iter().enumerate() {
        let layer = wide.clone().accept([kind]).expect("a kind");
        for (other, token) in tokens().iter().enumerate() {
            let authorization = bearer(token);
            // The wide layer caches it, so that the narrow one finds it there.
            assert_eq!(told(&wide, &[("authorization", &authorization)]).await.text, TOLD[other]);
            let answer = told(&layer, &[("authorization", &authorization)]).await;
            if index == other {
                assert_eq!(answer.status(), 200);
            } else {
                answer.assert_rejected(401, "invalid_token");
                assert_eq!(answer.rejection().verify_error_kind(), NOT_ACCEPTED);
            }
        }
    }
    assert_eq!(wide.verifier().token_cache_status().entries, 3);
}

#[test]
fn a_layer_accepts_only_kinds_that_an_instance_accepts() {
    let layer = || layer_of_config(issuer().config().accept([TokenKind::OAuth]).expect("kinds"));
    assert!(layer().accept([TokenKind::OAuth]).is_ok());
    for kinds in [&[][..], &[TokenKind::Session], &[TokenKind::OAuth, TokenKind::M2m], &[TokenKind::ApiKey]] {
        let error = layer().accept(kinds.iter().copied()).expect_err("not accepted");
        assert!(matches!(error, ConfigError::Invalid { .. }), "{error}");
        assert!(error.to_string().contains("accept"), "{error}");
    }
}

#[tokio::test]
async fn an_inner_layer_removes_what_an_outer_one_has_inserted() {
    for (token, told_of) in tokens().iter().zip(TOLD) {
        let authorization = bearer(token);
        for (inner, kind) in JWTS.iter().map(|kind| (narrowed(&[*kind]).allow_unauthenticated_requests(), *kind)) {
            let layers = ServiceBuilder::new().layer(layer_with(Ok)).layer(inner).into_inner();
            let answer = told(&layers, &[("authorization", &authorization)]).await;
            if told_of.contains(&format!("Principal {kind}")) {
                let expected = if kind == TokenKind::Session { "ClerkAuth user_ada" } else { told_of };
                assert_eq!(answer.text, expected, "{kind}");
            } else {
                assert_eq!(answer.text, "Rejection invalid_token", "{kind}");
            }
        }
        // One that reads another header sees nobody.
        let elsewhere = tower_clerk::TokenSource::header(http::HeaderName::from_static("x-token"));
        let inner = layer_with(Ok).token_sources([elsewhere]).expect("a source").allow_missing_token();
        let layers = ServiceBuilder::new().layer(layer_with(Ok)).layer(inner).into_inner();
        let answer = told(&layers, &[("authorization", &authorization)]).await;
        assert_eq!(answer.text, "Rejection missing_token");
    }
}

#[tokio::test]
async fn a_layer_for_sessions_inside_of_a_wider_one_lets_no_machine_pass() {
    let layers = ServiceBuilder::new().layer(layer_with(Ok)).layer(layer_of_config(issuer().config())).into_inner();
    let answer = told(&layers, &[("authorization", &bearer(&token()))]).await;
    assert_eq!(answer.outcome(), (200, "ClerkAuth user_ada"));
    for machine in [oauth(), m2m()] {
        told(&layers, &[("authorization", &bearer(&machine))]).await.assert_rejected(401, "invalid_token");
    }
}

#[tokio::test]
async fn custom_claims_are_those_of_sessions() {
    #[derive(Deserialize)]
    struct Profile {
        #[expect(dead_code, reason = "only its presence matters")]
        locale: String,
    }
    let layer = layer_with(Ok).with_custom_claims::<Profile>();
    // A session without the claim is rejected; a token of another kind has no such claims.
    let answer = told(&layer, &[("authorization", &bearer(&token()))]).await;
    answer.assert_rejected(401, "invalid_token");
    let answer = told(&layer, &[("authorization", &bearer(&token().claim("locale", "fr")))]).await;
    assert_eq!(answer.status(), 200);
    for (machine, told_of) in [(oauth(), TOLD[1]), (m2m(), TOLD[2])] {
        let answer = told(&layer, &[("authorization", &bearer(&machine))]).await;
        assert_eq!(answer.outcome(), (200, told_of));
    }
}

#[tokio::test]
async fn the_modes_treat_a_kind_that_is_not_accepted_as_an_invalid_token() {
    let authorization = bearer(&oauth());
    let headers = [("authorization", authorization.as_str())];
    let sessions = || layer_of_config(issuer().config());
    told(&sessions().allow_missing_token(), &headers).await.assert_rejected(401, "invalid_token");
    let answer = told(&sessions().allow_unauthenticated_requests(), &headers).await;
    assert_eq!(answer.outcome(), (200, "Rejection invalid_token"));
    let only_oauth = || narrowed(&[TokenKind::OAuth]);
    let authorization = bearer(&token());
    let headers = [("authorization", authorization.as_str())];
    told(&only_oauth().allow_missing_token(), &headers).await.assert_rejected(401, "invalid_token");
    let answer = told(&only_oauth().allow_missing_token(), &[]).await;
    assert_eq!(answer.outcome(), (200, "Rejection missing_token"));
}

#[tokio::test]
async fn a_call_of_grpc_is_rejected_in_its_own_form() {
    let layer = layer_of_config(issuer().config());
    let headers = [("authorization", bearer(&m2m())), ("content-type", "application/grpc".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let request = crate::support::request("POST", "/echo.Echo/Unary", &headers);
    let answer = crate::support::send_through(&layer, request).await;
    answer.assert_rejected_grpc("16", "invalid_token");
}

#[test]
fn metadata_without_oauth_tokens_is_a_warning_when_the_layer_is_made() {
    let warning = ["WARN the layer has resource metadata for OAuth clients, but accepts no OAuth tokens"];
    let resource = || ProtectedResource::new("https://api.example.com").expect("a resource");
    let layer = |kinds: &[TokenKind]| layer_of_config(issuer().config().accept(kinds.iter().copied()).expect("kinds"));
    let (sessions, both) = (layer(&[TokenKind::Session]), layer(&[TokenKind::Session, TokenKind::OAuth]));
    let (log, _recording) = Log::start();
    let named = sessions.clone().protected_resource(resource()).expect("a resource");
    assert_eq!(log.lines(), warning);
    let derived = sessions.oauth_resource_metadata();
    assert_eq!(log.lines(), warning);
    // Neither a copy of it nor a service made from it repeats the warning.
    drop(ServiceBuilder::new().layer(named.clone()).layer(named).layer(derived).service(()));
    let wide = both.protected_resource(resource()).expect("a resource");
    assert_eq!(log.lines(), [""; 0]);
    let _narrow = wide.clone().accept([TokenKind::Session]).expect("a kind");
    assert_eq!(log.lines(), warning);
    let _same = wide.accept([TokenKind::OAuth]).expect("a kind");
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test]
async fn a_kind_that_a_handler_does_not_take_is_logged_once() {
    let one = [r#"DEBUG request rejected reason="token_kind_not_accepted" passed=false"#];
    let handler = axum::Router::new().route("/", axum::routing::get(async |_: ClerkAuth| ()));
    for routes in [handler.clone(), handler.layer(RequireAuthenticatedLayer::new())] {
        let routes = routes.layer(layer_with(Ok));
        let (log, _recording) = Log::start();
        let answer = crate::support::send(&routes, get_path("/", Some(&bearer(&oauth())))).await;
        answer.assert_rejected(401, "invalid_token");
        assert_eq!(log.lines(), one);
    }
}
