use std::borrow::Cow;

use http::{HeaderName, header::COOKIE};
use tower_clerk::{ClerkAuthLayer, TokenKind, TokenSource, verify::VerifyErrorKind};

use super::{JWTS, layer_with, m2m, oauth, tokens, told};
use crate::support::token;

const NOT_ACCEPTED: Option<VerifyErrorKind> = Some(VerifyErrorKind::TokenKindNotAccepted);

/// A layer that accepts every kind of JWT, from these sources.
fn layer_of(sources: impl IntoIterator<Item = TokenSource>) -> ClerkAuthLayer {
    layer_with(|config| config.authorized_parties(["https://app.test.example"]))
        .token_sources(sources)
        .expect("token sources")
}

fn every_cookie_source() -> [TokenSource; 3] {
    [
        TokenSource::session_cookie(),
        TokenSource::cookie("__session"),
        TokenSource::custom_cookie(|headers| {
            headers.get(COOKIE)?.to_str().ok()?.strip_prefix("__session=").map(Cow::Borrowed)
        }),
    ]
}

#[tokio::test]
async fn a_cookie_never_carries_the_token_of_a_machine() {
    for source in every_cookie_source() {
        let layer = layer_of([source]);
        let cookie = |token: &str| format!("__session={token}");
        let [session, oauth, m2m] = tokens().map(|token| token.sign());
        let answer = told(&layer, &[("cookie", &cookie(&session))]).await;
        assert_eq!(answer.outcome(), (200, "ClerkAuth user_ada, Principal session_token user_ada"), "{layer:?}");
        for machine in [oauth, m2m] {
            let answer = told(&layer, &[("cookie", &cookie(&machine))]).await;
            answer.assert_rejected(401, "invalid_token");
            assert_eq!(answer.rejection().verify_error_kind(), NOT_ACCEPTED);
        }
    }
}

#[tokio::test]
async fn a_token_that_was_cached_as_a_bearer_is_still_refused_as_a_cookie() {
    let layer = layer_of([TokenSource::authorization(), TokenSource::session_cookie()]);
    for (machine, name) in [(oauth(), "OAuthToken user_ada"), (m2m(), "M2mToken mch_orders")] {
        let (bearer, cookie) = (format!("Bearer {}", machine.sign()), format!("__session={}", machine.sign()));
        for _ in 0..2 {
            let answer = told(&layer, &[("authorization", &bearer)]).await;
            assert!(answer.text.starts_with(name), "{answer:?}");
            let answer = told(&layer, &[("cookie", &cookie)]).await;
            answer.assert_rejected(401, "invalid_token");
        }
    }
    assert_eq!(layer.verifier().token_cache_status().entries, 2);
}

#[tokio::test]
async fn a_lenient_layer_makes_nobody_of_a_machine_in_a_cookie() {
    let layer = layer_of([TokenSource::session_cookie()]).allow_unauthenticated_requests();
    for machine in [oauth(), m2m()] {
        let answer = told(&layer, &[("cookie", &format!("__session={}", machine.sign()))]).await;
        assert_eq!(answer.outcome(), (200, "Rejection invalid_token"));
    }
}

#[tokio::test]
async fn a_session_in_another_cookie_still_counts() {
    let layer = layer_of([TokenSource::session_cookie()]);
    let (session, machine) = (token().sign(), oauth().claim("sub", "user_eve").sign());
    for cookie in
        [format!("__session={machine}; __session={session}"), format!("__session={session}; __session={machine}")]
    {
        let answer = told(&layer, &[("cookie", &cookie)]).await;
        assert_eq!(answer.outcome(), (200, "ClerkAuth user_ada, Principal session_token user_ada"));
    }
}

#[tokio::test]
async fn an_opaque_token_in_a_cookie_counts_as_absent() {
    let layer = layer_of([TokenSource::session_cookie()]);
    for opaque in ["ak_abc", "oat_abc", "mt_abc", "ak_x.y.z"] {
        let answer = told(&layer, &[("cookie", &format!("__session={opaque}"))]).await;
        answer.assert_rejected(401, "missing_token");
    }
}

#[tokio::test]
async fn headers_that_the_user_named_carry_every_kind() {
    let header = TokenSource::header(HeaderName::from_static("x-token"));
    let custom = TokenSource::custom(|headers| headers.get("x-token")?.to_str().ok().map(Cow::Borrowed));
    for source in [header, custom] {
        let layer = layer_of([source]);
        for (token, kind) in tokens().iter().zip(JWTS) {
            let answer = told(&layer, &[("x-token", &token.sign())]).await;
            assert!(answer.text.contains(&format!("Principal {kind} ")), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn where_no_session_is_accepted_a_session_cookie_is_refused() {
    let sources = || [TokenSource::authorization(), TokenSource::session_cookie()];
    let narrow = layer_of(sources()).accept([TokenKind::OAuth]).expect("kinds");
    let configured = layer_with(|config| {
        config.authorized_parties(["https://app.test.example"])?.accept([TokenKind::OAuth, TokenKind::M2m])
    });
    for layer in [narrow, configured.token_sources(sources()).expect("sources")] {
        let (bearer, cookie) = (format!("Bearer {}", oauth().sign()), format!("__session={}", token().sign()));
        let answer = told(&layer, &[("authorization", &bearer), ("cookie", &cookie)]).await;
        assert_eq!(answer.outcome(), (200, "OAuthToken user_ada, Principal oauth_token user_ada"));
        let answer = told(&layer, &[("cookie", &cookie)]).await;
        answer.assert_rejected(401, "invalid_token");
        assert_eq!(answer.rejection().verify_error_kind(), NOT_ACCEPTED);
    }
    // Another layer around the same verifier may have put the session into the cache.
    let wide = layer_of(sources());
    let narrow = wide.clone().accept([TokenKind::OAuth]).expect("kinds");
    let cookie = format!("__session={}", token().sign());
    assert_eq!(told(&wide, &[("cookie", &cookie)]).await.status(), 200);
    assert_eq!(told(&narrow, &[("cookie", &cookie)]).await.status(), 401);
}
