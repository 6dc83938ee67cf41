use serde_json::{Value, json};
use tower_clerk::{TokenKind, verify::VerifyErrorKind};

use super::{accepted_oauth, assert_rejected, oauth, rejected, verifier_with, verify_by};
use crate::support::{header, issuer, other_issuer, secs, token, with_member};

fn scopes(token: &super::TokenBuilder) -> Vec<String> {
    accepted_oauth(token).scopes().map(str::to_owned).collect()
}

#[test]
fn the_claims_of_an_access_token_are_read() {
    let act = json!({ "iss": "https://agents.example", "sub": "agent_mail", "act": { "sub": "agent_desk" } });
    let signed = oauth()
        .claim("client_id", "client_mail")
        .claim("jti", "oat_1")
        .claim("org_id", "org_acme")
        .claim("scope", "things:read things:write")
        .claim("aud", ["https://api.example.com", "https://mcp.example.com"])
        .claim("act", act);
    let token = accepted_oauth(&signed);
    assert_eq!(token.user_id(), "user_ada");
    assert_eq!(token.client_id(), Some("client_mail"));
    assert_eq!(token.id(), Some("oat_1"));
    assert_eq!(token.organization_id(), Some("org_acme"));
    assert!(token.scopes().eq(["things:read", "things:write"]));
    assert!(token.has_scope("things:read") && !token.has_scope("things") && !token.has_scope(""));
    assert!(token.audience().eq(["https://api.example.com", "https://mcp.example.com"]));
    assert_eq!(token.instance(), issuer().url());
    let exp: Value = serde_json::from_str(&signed.payload()).expect("JSON");
    let expires_at = token.expires_at().expect("a time").duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    assert_eq!(Some(expires_at.as_secs()), exp["exp"].as_u64());
    let actor = token.actor().expect("an actor");
    assert_eq!((actor.user_id(), actor.issuer()), ("agent_mail", Some("https://agents.example")));
    let before = actor.actor().expect("the actor before");
    assert_eq!((before.user_id(), before.issuer(), before.actor().is_none()), ("agent_desk", None, true));
}

#[test]
fn what_an_access_token_may_lack_is_absent() {
    let mut bare = oauth();
    for name in ["client_id", "jti", "org_id", "scope", "aud", "act", "iat", "nbf"] {
        bare = bare.without_claim(name);
    }
    let token = accepted_oauth(&bare);
    assert_eq!((token.client_id(), token.id(), token.organization_id()), (None, None, None));
    assert_eq!((token.scopes().count(), token.audience().count(), token.actor().is_none()), (0, 0, true));
    for name in ["client_id", "jti", "org_id"] {
        for value in [json!(null), json!(7), json!(["a"])] {
            accepted_oauth(&oauth().claim(name, value));
        }
    }
}

#[test]
fn claims_of_sessions_are_never_looked_at() {
    for (name, value) in [
        ("azp", json!("https://evil.example")),
        ("azp", json!(null)),
        ("azp", json!(7)),
        ("sid", json!("")),
        ("sid", json!(null)),
        ("sts", json!("pending")),
        ("sts", json!(7)),
        ("v", json!("2")),
        ("o", json!(null)),
        ("fva", json!("x")),
        ("scopes", json!(7)),
        ("anything", json!(null)),
    ] {
        let token = oauth().claim(name, &value);
        accepted_oauth(&token);
        let parties = |config: tower_clerk::ClerkConfig| config.authorized_parties(["https://app.test.example"]);
        assert_eq!(rejected(&token, parties), None, "{name}: {value}");
    }
    assert_eq!(rejected(&oauth(), |config| config.authorized_parties(["https://app.test.example"])), None);
}

#[test]
fn the_category_of_an_access_token_is_not_looked_at() {
    for cat in [json!("cl_B7d4PD111AAA"), json!("cl_B7d4PD222AAA"), json!("cl_B7d4PD333AAA"), json!("x"), json!(null)] {
        accepted_oauth(&oauth().header("cat", cat));
    }
}

#[test]
fn the_rest_of_the_header_is_as_strict_as_that_of_a_session() {
    for (token, kind) in [
        (oauth().header("crit", ["exp"]), VerifyErrorKind::CriticalHeader),
        (oauth().header("crit", json!(null)), VerifyErrorKind::CriticalHeader),
        (oauth().header("alg", "none"), VerifyErrorKind::UnsupportedAlgorithm),
        (oauth().header("alg", "HS256"), VerifyErrorKind::UnsupportedAlgorithm),
        (oauth().without_header("alg"), VerifyErrorKind::UnsupportedAlgorithm),
        (oauth().without_header("kid"), VerifyErrorKind::InvalidKeyId),
        (oauth().header("kid", 7), VerifyErrorKind::InvalidKeyId),
        (oauth().header("kid", "ins_other"), VerifyErrorKind::UnknownKey),
        (other_issuer().oauth_token("user_ada"), VerifyErrorKind::InvalidSignature),
    ] {
        assert_rejected(&token, kind);
    }
    let access = header().replace("JWT", "at+jwt");
    let twice = issuer().sign(&access, &with_member(&oauth().payload(), "scope", r#""admin""#));
    assert_eq!(verify_by(&verifier_with(Ok), &twice).err(), Some(VerifyErrorKind::Malformed));
}

#[test]
fn the_subject_of_an_access_token_is_a_text() {
    assert_rejected(&oauth().without_claim("sub"), VerifyErrorKind::InvalidSubject);
    for sub in [json!(""), json!(null), json!(7), json!(["user_ada"]), json!({})] {
        assert_rejected(&oauth().claim("sub", sub), VerifyErrorKind::InvalidSubject);
    }
    assert_eq!(accepted_oauth(&oauth().claim("sub", "client_cron")).user_id(), "client_cron");
}

#[test]
fn the_issuer_of_an_access_token_is_that_of_the_instance() {
    assert_rejected(&oauth().without_claim("iss"), VerifyErrorKind::InvalidIssuer);
    for iss in [json!(""), json!(null), json!("https://clerk.evil.example"), json!(format!("{}/", issuer().url()))] {
        assert_rejected(&oauth().claim("iss", iss), VerifyErrorKind::InvalidIssuer);
    }
}

#[test]
fn the_times_of_an_access_token_are_those_of_sessions() {
    // The clock of the tests stands at this second, and the skew is 5.
    let now = 1_800_000_000_u64;
    for (token, kind) in [
        (oauth().without_claim("exp"), Some(VerifyErrorKind::InvalidExpiry)),
        (oauth().claim("exp", "1"), Some(VerifyErrorKind::InvalidExpiry)),
        (oauth().claim("exp", now - 5), Some(VerifyErrorKind::Expired)),
        (oauth().claim("exp", now - 4), None),
        (oauth().claim("nbf", now + 5), None),
        (oauth().claim("nbf", now + 6), Some(VerifyErrorKind::NotYetValid)),
        (oauth().claim("nbf", json!(null)), Some(VerifyErrorKind::InvalidNotBefore)),
        (oauth().claim("iat", now + 5), None),
        (oauth().claim("iat", now + 6), Some(VerifyErrorKind::IssuedInFuture)),
        (oauth().claim("iat", json!(null)), Some(VerifyErrorKind::InvalidIssuedAt)),
    ] {
        assert_eq!(rejected(&token, Ok), kind, "{}", token.payload());
    }
}

#[test]
fn each_kind_has_a_longest_lifetime_of_its_own() {
    let day = oauth();
    assert_eq!(rejected(&day, |config| config.max_oauth_token_lifetime(secs(24 * 60 * 60))), None);
    let too_long = Some(VerifyErrorKind::LifetimeTooLong);
    assert_eq!(rejected(&day, |config| config.max_oauth_token_lifetime(secs(24 * 60 * 60 - 1))), too_long);
    assert_eq!(rejected(&day.without_claim("iat"), |config| config.max_oauth_token_lifetime(secs(86_400))), too_long);
    assert_eq!(rejected(&oauth(), |config| config.max_token_lifetime(secs(60))), None);
    assert_eq!(rejected(&oauth(), |config| config.max_m2m_token_lifetime(secs(60))), None);
    assert_eq!(rejected(&token(), |config| config.max_oauth_token_lifetime(secs(1))), None);
    assert!(issuer().config().max_oauth_token_lifetime(secs(0)).is_err());
}

#[test]
fn scp_wins_over_scope_where_it_is_present() {
    for (scp, scope, expected) in [
        (None, Some(json!("a b")), &["a", "b"][..]),
        (None, Some(json!(" a  b ")), &["a", "b"]),
        (None, Some(json!("")), &[]),
        (None, Some(json!("a\tb\nc")), &["a\tb\nc"]),
        (None, Some(json!(["a", "b"])), &[]),
        (None, Some(json!(null)), &[]),
        (None, None, &[]),
        (Some(json!(["c"])), Some(json!("a b")), &["c"]),
        (Some(json!(["c", "d"])), None, &["c", "d"]),
        (Some(json!([])), Some(json!("a b")), &[]),
        (Some(json!(null)), Some(json!("a b")), &[]),
        (Some(json!("c d")), Some(json!("a b")), &[]),
        (Some(json!(["c", 7])), Some(json!("a b")), &[]),
        (Some(json!(["c", null])), Some(json!("a b")), &[]),
        (Some(json!({ "0": "c" })), Some(json!("a b")), &[]),
    ] {
        let mut token = oauth().without_claim("scope");
        if let Some(scp) = &scp {
            token = token.claim("scp", scp);
        }
        if let Some(scope) = &scope {
            token = token.claim("scope", scope);
        }
        assert_eq!(scopes(&token), expected, "{scp:?} {scope:?}");
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    for cnf in [json!(null), json!({}), json!({ "jkt": "x" }), json!({ "x5t#S256": "x" }), json!("x"), json!(false)] {
        assert_rejected(&oauth().claim("cnf", cnf), VerifyErrorKind::KeyBound);
    }
}

#[test]
fn an_actor_of_an_access_token_has_a_subject_at_both_levels() {
    for act in [
        json!({ "sub": "a", "act": null }),
        json!({ "sub": "a" }),
        json!({ "sub": "a", "iss": null }),
        json!({ "sub": "a", "act": { "sub": "b", "act": 7 } }),
    ] {
        accepted_oauth(&oauth().claim("act", act));
    }
    for act in [
        json!(null),
        json!({}),
        json!([]),
        json!("a"),
        json!({ "sub": null }),
        json!({ "sub": 7 }),
        json!({ "sub": "" }),
        json!({ "sub": "a", "act": { "sub": "" } }),
        json!({ "sub": "a", "act": "b" }),
        json!({ "sub": "a", "act": {} }),
        json!({ "sub": "a", "act": { "sub": 7 } }),
    ] {
        assert_rejected(&oauth().claim("act", act), VerifyErrorKind::InvalidActor);
    }
    let access = header().replace("JWT", "at+jwt");
    let sign = |act: &str| issuer().sign(&access, &with_member(&oauth().payload(), "act", act));
    let twice = sign(r#"{"sub":"a","sub":"b"}"#);
    assert_eq!(verify_by(&verifier_with(Ok), &twice).err(), Some(VerifyErrorKind::Malformed));
    let twice_inside = sign(r#"{"sub":"a","act":{"sub":"b","sub":"c"}}"#);
    assert_eq!(verify_by(&verifier_with(Ok), &twice_inside).err(), Some(VerifyErrorKind::InvalidActor));
}

#[test]
fn an_access_token_is_cached_and_expires_there() {
    let clock = tower_clerk::testing::ManualClock::new();
    let config = issuer().config().accept([TokenKind::OAuth]).expect("kinds");
    let verifier = tower_clerk::Verifier::builder(config).clock(clock.clone()).build().expect("a verifier");
    let token = oauth().lifetime(secs(60)).sign();
    for _ in 0..3 {
        assert!(verify_by(&verifier, &token).is_ok());
    }
    assert_eq!(verifier.token_cache_status().entries, 1);
    clock.advance(secs(65));
    assert_eq!(verify_by(&verifier, &token).err(), Some(VerifyErrorKind::Expired));
    assert_eq!(verifier.token_cache_status().entries, 0);
}

#[test]
fn debug_shows_nothing_of_a_token() {
    let act = json!({ "sub": "secret_actor" });
    let token = oauth().claim("sub", "secret_sub").claim("scope", "secret_scope").claim("act", act);
    let token = accepted_oauth(&token.claim("client_id", "secret_client").claim("jti", "oat_secret"));
    let shown = format!("{token:?} {:?} {:?}", token.actor(), tower_clerk::Principal::OAuth(token.clone()));
    assert!(shown.contains("OAuthToken") && !shown.contains("secret"), "{shown}");
}
