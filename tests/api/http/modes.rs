use http::{HeaderName, header::AUTHORIZATION};
use tower_clerk::{ClerkAuthLayer, TokenSource, rejection::RejectionKind};

use crate::support::{get, good, layer, layer_with, layer_without_keys, send_through};

#[tokio::test]
async fn each_mode_admits_exactly_what_it_documents() {
    let (good, bad) = (good(), "Bearer a.b.c");
    type Mode = fn(ClerkAuthLayer) -> ClerkAuthLayer;
    let strict: Mode = |layer| layer;
    let anonymous: Mode = ClerkAuthLayer::allow_missing_token;
    let unauthenticated: Mode = ClerkAuthLayer::allow_unauthenticated_requests;
    let none: Vec<(&str, &str)> = vec![];
    let basic = vec![("authorization", "Basic eDp5")];
    let bad = vec![("authorization", bad)];
    let malformed = vec![("authorization", "Bearer a b")];
    let null = vec![("authorization", "Bearer null")];
    let good = vec![("authorization", good.as_str())];
    for (name, mode, expected) in [
        ("strict", strict, [401, 401, 401, 401, 400, 503, 200]),
        ("anonymous", anonymous, [200, 200, 401, 401, 400, 503, 200]),
        ("unauthenticated", unauthenticated, [200, 200, 200, 200, 400, 200, 200]),
    ] {
        let (with_keys, without_keys) = (mode(layer()), mode(layer_without_keys()));
        let statuses = [
            send_through(&with_keys, get(&none)).await.status(),
            send_through(&with_keys, get(&basic)).await.status(),
            send_through(&with_keys, get(&bad)).await.status(),
            send_through(&with_keys, get(&null)).await.status(),
            send_through(&with_keys, get(&malformed)).await.status(),
            send_through(&without_keys, get(&good)).await.status(),
            send_through(&with_keys, get(&good)).await.status(),
        ];
        assert_eq!(statuses, expected, "{name}");
    }
}

#[tokio::test]
async fn exactly_one_of_user_and_rejection_is_forwarded() {
    let lenient = layer().allow_unauthenticated_requests();
    let good = good();
    for (value, kind) in [
        (None, Some(RejectionKind::MissingToken)),
        (Some("Bearer a"), Some(RejectionKind::InvalidToken)),
        (Some(good.as_str()), None),
    ] {
        let headers: Vec<_> = value.map(|value| ("authorization", value)).into_iter().collect();
        let seen = send_through(&lenient, get(&headers)).await.passed();
        assert_eq!(seen.rejection.map(|rejection| rejection.kind()), kind);
        assert_eq!(seen.user.is_some(), kind.is_none());
    }
}

#[tokio::test]
async fn extensions_left_by_an_outer_layer_are_removed() {
    let user = send_through(&layer(), get(&[("authorization", &good())])).await;
    let user = user.passed().user.expect("a user");
    let mut forged = get(&[]);
    forged.extensions_mut().insert(user.clone());
    let seen = send_through(&layer().allow_missing_token(), forged).await.passed();
    assert!(seen.user.is_none() && seen.rejection.is_some());
    let mut forged = get(&[]);
    forged.extensions_mut().insert(user);
    assert_eq!(send_through(&layer(), forged).await.status(), 401);
}

#[tokio::test]
async fn unverified_credentials_are_stripped_only_if_enabled() {
    let lenient = layer().allow_unauthenticated_requests();
    let bad = get(&[("authorization", "Bearer a.b.c")]);
    assert!(send_through(&lenient, bad).await.passed().authorization.is_some());
    let stripping = lenient.strip_unverified_credentials();
    for (value, stays) in [("Bearer a.b.c", false), ("Basic eDp5", true)] {
        let seen = send_through(&stripping, get(&[("authorization", value)])).await.passed();
        assert_eq!(seen.authorization.is_some(), stays, "{value}");
    }
    let good = get(&[("authorization", &good())]);
    assert!(send_through(&stripping, good).await.passed().authorization.is_some());
}

#[tokio::test]
async fn a_token_whose_custom_claims_do_not_fit_is_stripped() {
    let lenient = layer().with_custom_claims::<u8>().allow_unauthenticated_requests().strip_unverified_credentials();
    let seen = send_through(&lenient, get(&[("authorization", &good())])).await.passed();
    assert!(seen.user.is_none() && seen.authorization.is_none());
}

#[tokio::test]
async fn authorization_is_stripped_if_the_bad_token_came_from_it() {
    let of = |name: HeaderName| {
        let layer = layer().token_sources([TokenSource::header(name)]).expect("a source");
        layer.allow_unauthenticated_requests().strip_unverified_credentials()
    };
    let bad = [("authorization", "Bearer a.b.c"), ("x-clerk-token", "a.b.c")];
    for (name, stays) in [(AUTHORIZATION, false), (HeaderName::from_static("x-clerk-token"), true)] {
        let seen = send_through(&of(name.clone()), get(&bad)).await.passed();
        assert_eq!(seen.authorization.is_some(), stays, "{name}");
    }
}

#[tokio::test]
async fn a_credential_that_was_not_read_is_not_stripped() {
    let lenient = layer_with(|config| config.authorized_parties(["https://app.test.example"]))
        .token_sources([TokenSource::session_cookie(), TokenSource::authorization()])
        .expect("parties are set")
        .allow_unauthenticated_requests()
        .strip_unverified_credentials();
    let bad_cookie = [("cookie", "__session=a.b.c"), ("authorization", "Basic eDp5")];
    assert!(send_through(&lenient, get(&bad_cookie)).await.passed().authorization.is_some());
    let bad_bearer = [("authorization", "Bearer a.b.c")];
    assert!(send_through(&lenient, get(&bad_bearer)).await.passed().authorization.is_none());
}
