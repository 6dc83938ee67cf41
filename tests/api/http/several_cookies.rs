use tower_clerk::{
    ClerkAuthLayer, TokenSource, Verifier,
    rejection::RejectionKind,
    testing::{ManualClock, TokenBuilder},
    verify::Instance,
};

use crate::support::{Answer, failing_source, get, issuer, layer_with, other_issuer, send_through, token};

const PARTY: &str = "https://app.test.example";
/// A development key, the suffix of whose cookies is `QvfNY2dr`.
const KEY: &str = "pk_test_Y2xlcmsuY2xlcmsuZGV2JA";
/// A production key of the same host, the suffix of whose cookies is `1Z8AzTQD`.
const LIVE_KEY: &str = "pk_live_Y2xlcmsuY2xlcmsuZGV2JA";
/// In seconds: the time of the issuer's clock, which stands still.
const NOW: u64 = 1_800_000_000;

fn layer_of_key(key: &str) -> ClerkAuthLayer {
    layer_with(|config| config.authorized_parties([PARTY])?.publishable_key(key))
        .token_sources([TokenSource::session_cookie()])
        .expect("parties are set")
}

fn layer() -> ClerkAuthLayer {
    layer_of_key(KEY)
}

async fn send(layer: &ClerkAuthLayer, cookies: &str) -> Answer {
    send_through(layer, get(&[("cookie", cookies)])).await
}

/// The user, or the code of the rejection.
async fn outcome(layer: &ClerkAuthLayer, cookies: &str) -> String {
    let answer = send(layer, cookies).await;
    assert_ne!(answer.status(), 400, "{cookies}");
    answer.user().map_or_else(|| answer.code(), str::to_owned)
}

fn stale() -> String {
    token().expired().sign()
}

/// With the right issuer, but another key.
fn forged(number: usize) -> String {
    other_issuer().token(&format!("user_{number}")).sign()
}

fn foreign() -> String {
    token().claim("iss", "https://clerk.other.example").sign()
}

/// Values of other frameworks under the same name: Remix, Firebase, an opaque id.
fn no_tokens() -> [String; 6] {
    let firebase = token().claim("iss", "https://session.firebase.google.com/app").sign();
    [
        "eyJ1c2VySWQiOiI3In0%3D.7Qx2bJ8mQf2u9n1sJmTj0A".to_owned(),
        firebase,
        "a.b.c".to_owned(),
        "5f3d9c".to_owned(),
        "%FF%FE".to_owned(),
        token().without_claim("iss").sign(),
    ]
}

#[tokio::test]
async fn a_second_session_cookie_does_not_lock_its_user_out() {
    let good = token().sign();
    let others = [stale(), forged(1), foreign(), String::new(), good.clone()].into_iter().chain(no_tokens());
    for other in others {
        for cookies in [
            format!("__session={other}; __session={good}"),
            format!("__session={good}; __session={other}"),
            format!("__session={good}; __session={other}; __session={other}"),
        ] {
            assert_eq!(outcome(&layer(), &cookies).await, "user_ada", "{cookies}");
        }
        let (one, two) = (format!("__session={other}"), format!("__session={good}"));
        let split = send_through(&layer(), get(&[("cookie", &one), ("cookie", &two)])).await;
        assert_eq!(split.user(), Some("user_ada"));
    }
}

#[tokio::test]
async fn a_stale_or_empty_suffixed_cookie_does_not_hide_a_fresh_plain_one() {
    let good = token().sign();
    for suffixed in [stale(), forged(1), foreign(), "a.b.c".to_owned(), String::new()] {
        for uat in ["", "; __client_uat=1800000000", "; __client_uat_QvfNY2dr=1800000000", "; __client_uat_other=0"] {
            let cookies = format!("__session_QvfNY2dr={suffixed}; __session={good}{uat}");
            assert_eq!(outcome(&layer(), &cookies).await, "user_ada", "{cookies}");
            let cookies = format!("__session_QvfNY2dr={good}; __session={suffixed}{uat}");
            assert_eq!(outcome(&layer(), &cookies).await, "user_ada", "{cookies}");
        }
    }
}

#[tokio::test]
async fn an_emptied_suffixed_cookie_with_zero_client_uat_is_signed_out() {
    let good = token().sign();
    for (cookies, expected) in [
        (format!("__session_QvfNY2dr=; __client_uat_QvfNY2dr=0; __session={good}"), "missing_token"),
        (
            format!("__session={good}; __client_uat=1800000000; __client_uat_QvfNY2dr=0; __session_QvfNY2dr="),
            "missing_token",
        ),
        (format!("__session_QvfNY2dr=; __session_QvfNY2dr={good}; __client_uat_QvfNY2dr=0"), "missing_token"),
        (
            format!("__session_QvfNY2dr=; __client_uat_QvfNY2dr=0; __client_uat_QvfNY2dr=0; __session={good}"),
            "missing_token",
        ),
        (
            format!("__session_QvfNY2dr=; __client_uat_QvfNY2dr=0; __client_uat_QvfNY2dr=1; __session={good}"),
            "user_ada",
        ),
        (format!("__session_QvfNY2dr=; __client_uat_QvfNY2dr=00; __session={good}"), "user_ada"),
        (format!("__session_QvfNY2dr=; __client_uat=0; __session={good}"), "user_ada"),
        (format!("__client_uat_QvfNY2dr=0; __session={good}"), "user_ada"),
    ] {
        assert_eq!(outcome(&layer(), &cookies).await, expected, "{cookies}");
    }
}

#[tokio::test]
async fn the_cookie_of_another_framework_is_no_credential() {
    let mine = layer_with(|config| config.authorized_parties([PARTY]))
        .token_sources([TokenSource::cookie("mine"), TokenSource::authorization()])
        .expect("parties are set");
    let bearer = format!("Bearer {}", token().sign());
    for value in no_tokens() {
        assert_eq!(outcome(&layer(), &format!("__session={value}")).await, "missing_token", "{value}");
        let visitor = send(&layer().allow_missing_token(), &format!("__session={value}")).await.passed();
        assert_eq!(visitor.rejection.map(|rejection| rejection.kind()), Some(RejectionKind::MissingToken), "{value}");
        // The next source is asked.
        let cookie = format!("mine={value}");
        let both = send_through(&mine, get(&[("cookie", &cookie), ("authorization", &bearer)])).await;
        assert_eq!(both.user(), Some("user_ada"), "{value}");
    }
    let forged = format!("mine={}", forged(1));
    let both = send_through(&mine, get(&[("cookie", &forged), ("authorization", &bearer)])).await;
    assert_eq!(both.code(), "invalid_token", "a bad token is not rescued by a later source");
}

#[tokio::test]
async fn valid_cookies_of_two_users_are_rejected() {
    let (ada, bob) = (token().sign(), issuer().token("user_bob").sign());
    for cookies in [
        format!("__session={ada}; __session={bob}"),
        format!("__session_QvfNY2dr={ada}; __session={bob}"),
        format!("__session_QvfNY2dr={}; __session={ada}; __session={bob}", stale()),
    ] {
        for layer in [layer(), layer().allow_missing_token()] {
            let answer = send(&layer, &cookies).await;
            assert_eq!((answer.status(), answer.code()), (401, "invalid_token".to_owned()), "{cookies}");
            assert_eq!(answer.rejection().verify_error(), None);
        }
        assert_eq!(send(&layer().allow_unauthenticated_requests(), &cookies).await.passed().user.map(|_| ()), None);
    }
    let stale_bob = issuer().token("user_bob").expired().sign();
    for cookies in
        [format!("__session={stale_bob}; __session={ada}"), format!("__session={ada}; __session={stale_bob}")]
    {
        assert_eq!(outcome(&layer(), &cookies).await, "user_ada", "a token that does not verify is of nobody");
    }
}

#[tokio::test]
async fn two_issuers_of_one_instance_have_the_same_users() {
    const PROXY: &str = "https://app.test.example/__clerk";
    let layer = layer_with(|config| config.authorized_parties([PARTY])?.add_issuer(PROXY))
        .token_sources([TokenSource::session_cookie()])
        .expect("parties are set");
    let plain = token().sign();
    for (user, expected) in [("user_ada", "user_ada"), ("user_bob", "invalid_token")] {
        let of_proxy = issuer().token(user).claim("iss", PROXY).sign();
        for cookies in
            [format!("__session={plain}; __session={of_proxy}"), format!("__session={of_proxy}; __session={plain}")]
        {
            assert_eq!(outcome(&layer, &cookies).await, expected, "{cookies}");
        }
    }
}

#[tokio::test]
async fn if_no_cookie_verifies_the_first_one_decides_the_rejection() {
    for (cookies, code) in [
        (format!("__session={}; __session={}", stale(), forged(1)), "token_expired"),
        (format!("__session={}; __session={}", forged(1), stale()), "invalid_token"),
        (format!("__session={}; __session={}; __session={}", foreign(), stale(), forged(1)), "token_expired"),
        (
            format!("__session={}; __client_uat=0; __client_uat_QvfNY2dr=0; __session_QvfNY2dr={}", forged(1), stale()),
            "token_expired",
        ),
        (format!("__session={}; __session_QvfNY2dr={}", forged(1), stale()), "invalid_token"),
    ] {
        assert_eq!(outcome(&layer(), &cookies).await, code, "{cookies}");
    }
}

#[tokio::test]
async fn up_to_four_different_cookies_are_tried() {
    let good = token().sign();
    for (before, expected) in [(3, "user_ada"), (4, "invalid_token")] {
        let forged: String = (0..before).map(|number| format!("__session={}; ", forged(number))).collect();
        assert_eq!(outcome(&layer(), &format!("{forged}{forged}__session={good}")).await, expected, "{before}");
    }
    // What is as if absent takes no place.
    let absent: String = no_tokens().iter().map(|value| format!("__session={value}; ")).collect();
    assert_eq!(outcome(&layer(), &format!("{absent}__session={good}")).await, "user_ada");
    // But no more than 16 values are looked at.
    for (before, expected) in [(15, "user_ada"), (16, "missing_token")] {
        let absent: String = (0..before).map(|number| format!("__session={number}.b.c; ")).collect();
        assert_eq!(outcome(&layer(), &format!("{absent}__session={good}")).await, expected, "{before}");
    }
}

#[tokio::test]
async fn a_cookie_that_is_too_long_is_as_if_absent() {
    let good = token().sign();
    let layer = |limit: usize| {
        layer_with(|config| config.authorized_parties([PARTY])?.max_token_length(limit))
            .token_sources([TokenSource::session_cookie()])
            .expect("parties are set")
    };
    assert_eq!(outcome(&layer(good.len()), &format!("__session={good}")).await, "user_ada");
    assert_eq!(outcome(&layer(good.len() - 1), &format!("__session={good}")).await, "missing_token");
    let long = token().claim("padding", "x".repeat(200)).sign();
    assert_eq!(outcome(&layer(good.len()), &format!("__session={long}; __session={good}")).await, "user_ada");
}

#[tokio::test]
async fn another_cookie_name_obeys_the_same_rules() {
    let layer = layer_with(|config| config.authorized_parties([PARTY])?.publishable_key(KEY))
        .token_sources([TokenSource::cookie("mine")])
        .expect("parties are set");
    let (good, bob) = (token().sign(), issuer().token("user_bob").sign());
    for (cookies, expected) in [
        (format!("mine={}; mine={good}", stale()), "user_ada"),
        (format!("mine={good}; mine={}", forged(1)), "user_ada"),
        (format!("mine={good}; mine={bob}"), "invalid_token"),
        (format!("mine={}; mine={}", stale(), forged(1)), "token_expired"),
        ("mine=a.b.c".to_owned(), "missing_token"),
        (format!("mine=; mine={good}"), "user_ada"),
        (format!("mine_QvfNY2dr={good}"), "missing_token"),
    ] {
        assert_eq!(outcome(&layer, &cookies).await, expected, "{cookies}");
    }
}

#[tokio::test]
async fn without_keys_a_cookie_is_unavailable_and_never_malformed() {
    let config = issuer().config().authorized_parties([PARTY]).expect("parties");
    let instance = Instance::new(config).key_source(failing_source());
    let verifier = Verifier::builder(instance).clock(ManualClock::new()).build().expect("a verifier");
    let layer = ClerkAuthLayer::from(verifier).token_sources([TokenSource::session_cookie()]).expect("parties are set");
    for (cookies, code) in [
        (format!("__session={}", token().sign()), "keys_unavailable"),
        (format!("__session={}; __session={}", stale(), forged(1)), "keys_unavailable"),
        (format!("__session={}", foreign()), "missing_token"),
        ("__session=a.b.c".to_owned(), "missing_token"),
    ] {
        assert_eq!(outcome(&layer, &cookies).await, code, "{cookies}");
    }
}

/// The session that counts if both cookies are valid: Clerk's SDKs take the same.
#[tokio::test]
async fn the_suffixed_or_plain_session_counts_as_in_clerks_sdks() {
    let session = |id: &str, iat: u64| token().session_id(id).claim("iat", iat);
    let both = |suffixed: TokenBuilder, plain: TokenBuilder, uats: &str| {
        let (suffixed, plain) = (suffixed.sign(), plain.sign());
        format!("__session={plain}; __session_SUFFIX={suffixed}; {uats}")
    };
    // Within the clock skew: expired for Clerk's SDKs, and still valid here.
    let just_expired = |token: TokenBuilder| token.claim("exp", NOW - 1);
    for (key, suffix) in [(KEY, "QvfNY2dr"), (LIVE_KEY, "1Z8AzTQD")] {
        let is_development = key == KEY;
        for (uats, plain_is_newer, is_expired, expected) in [
            ("__client_uat=1; __client_uat_SUFFIX=1", false, false, "suffixed"),
            ("__client_uat=1; __client_uat_SUFFIX=1", true, false, "plain"),
            ("__client_uat_SUFFIX=1", true, false, "plain"),
            ("__client_uat_SUFFIX=1", false, false, "suffixed"),
            ("__client_uat=0; __client_uat_SUFFIX=1", true, false, "suffixed"),
            ("__client_uat=0; __client_uat_SUFFIX=1", true, true, if is_development { "plain" } else { "suffixed" }),
            ("__client_uat=1; __client_uat_SUFFIX=1", false, true, "suffixed"),
            ("__client_uat=1; __client_uat_SUFFIX=0", false, false, "plain"),
            ("__client_uat=0; __client_uat_SUFFIX=0", true, false, "suffixed"),
            ("__client_uat=1", false, false, "plain"),
            ("__client_uat=1; __client_uat_SUFFIX=", false, false, "plain"),
            ("", false, false, "plain"),
            ("__client_uat=0", false, false, "plain"),
            // The first of several counts.
            ("__client_uat=1; __client_uat=0; __client_uat_SUFFIX=1", true, false, "plain"),
            ("__client_uat=1; __client_uat_SUFFIX=1; __client_uat_SUFFIX=0", false, false, "suffixed"),
        ] {
            let suffixed = session("suffixed", NOW - 10);
            let suffixed = if is_expired { just_expired(suffixed) } else { suffixed };
            let plain = session("plain", if plain_is_newer { NOW - 9 } else { NOW - 10 });
            let cookies = both(suffixed, plain, uats).replace("SUFFIX", suffix);
            let user = send(&layer_of_key(key), &cookies).await.passed().user.expect("a user");
            assert_eq!(user.session_id(), Some(expected), "{key} {uats} {plain_is_newer} {is_expired}");
        }
    }
}

#[tokio::test]
async fn a_suffixed_cookie_gives_way_from_its_exp_on() {
    let session = |id: &str, exp: u64| token().session_id(id).claim("iat", NOW - 10).claim("exp", exp).sign();
    let uats = "__client_uat=0; __client_uat_QvfNY2dr=1";
    for (exp, expected) in [(NOW, "plain"), (NOW + 1, "suffixed")] {
        let (suffixed, plain) = (session("suffixed", exp), session("plain", NOW + 50));
        let cookies = format!("__session={plain}; __session_QvfNY2dr={suffixed}; {uats}");
        let user = send(&layer(), &cookies).await.passed().user.expect("a user");
        assert_eq!(user.session_id(), Some(expected), "{exp}");
    }
}
