use migrations::by_hand::{before::AuthState, during};
use tower::ServiceExt;
use tower_clerk::{ClerkAuthLayer, Rejection, testing::TestIssuer, verify::VerifyErrorKind};

use crate::apps::{bearer, token};

#[tokio::test]
async fn during_the_roll_out_the_old_check_decides_and_the_new_one_reports() {
    let issuer = TestIssuer::start().await.expect("a loopback socket");
    let config = issuer.config().authorized_parties(["https://app.example.com"]).expect("an origin");
    let clerk = ClerkAuthLayer::from_config(config).expect("a configuration");
    let app = during::app(AuthState::new(issuer.url()).await.expect("keys"), clerk);
    let good = || token(&issuer);
    for (token, status, reason) in [
        (good().sign(), 200, None),
        (
            good().authorized_party("https://evil.example.com").sign(),
            200,
            Some(VerifyErrorKind::InvalidAuthorizedParty),
        ),
        (issuer.oauth_token("user_ada").sign(), 200, Some(VerifyErrorKind::TokenKindNotAccepted)),
        (good().expired().sign(), 401, None),
        ("a.b.c".to_owned(), 401, None),
    ] {
        let request = bearer("/me", &token).map(|()| axum::body::Body::empty());
        let response = app.clone().oneshot(request).await.expect("a response");
        assert_eq!(response.status(), status, "{reason:?}");
        let rejection = response.extensions().get::<Rejection>();
        assert_eq!(rejection.and_then(Rejection::verify_error_kind), reason);
    }
}

#[tokio::test]
async fn an_outage_during_the_roll_out_changes_nothing_for_clients() {
    let issuer = TestIssuer::start().await.expect("a loopback socket");
    let auth = AuthState::new(issuer.url()).await.expect("keys");
    issuer.serve_status(503);
    let clerk = ClerkAuthLayer::from_config(issuer.config()).expect("a configuration");
    let request = bearer("/me", &token(&issuer).sign()).map(|()| axum::body::Body::empty());
    let response = during::app(auth, clerk).oneshot(request).await.expect("a response");
    assert_eq!(response.status(), 200);
    assert!(response.extensions().get::<Rejection>().is_some_and(|rejection| rejection.status() == 503));
}
