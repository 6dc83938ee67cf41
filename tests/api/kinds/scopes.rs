use serde_json::json;
use tower_clerk::{OAuthToken, Requirement, rejection::RejectionKind, testing::TokenBuilder};

use super::{accepted_m2m, accepted_oauth, layer_with, m2m, oauth, verify};
use crate::support::{Answer, bearer, get_path, send, token};

fn read() -> Requirement {
    Requirement::scope("things:read")
}

fn write() -> Requirement {
    Requirement::scope("things:write")
}

fn with_scope(scope: &str) -> OAuthToken {
    accepted_oauth(&oauth().claim("scope", scope))
}

/// The challenge of the rejection of a token without any scope.
fn challenge(requirement: &Requirement) -> String {
    let rejection = with_scope("").require(requirement).expect_err("no scope");
    assert_eq!(rejection.kind(), RejectionKind::InsufficientScope);
    rejection.default_response().headers()["www-authenticate"].to_str().expect("ASCII").to_owned()
}

/// Sends a token through a layer that requires `requirement`.
async fn ask(requirement: Requirement, token: &TokenBuilder) -> Answer {
    let layers = tower::ServiceBuilder::new()
        .layer(layer_with(Ok).oauth_resource_metadata())
        .layer(tower_clerk::RequireLayer::new(requirement));
    let service = layers.service_fn(super::tell);
    let headers = [("authorization", bearer(token)), ("host", "api.example.com".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    send(&service, crate::support::request("GET", "/things", &headers)).await
}

#[test]
fn a_scope_is_one_that_the_token_has() {
    assert!(with_scope("things:read").has(&read()));
    assert!(with_scope("a things:read b").has(&read()));
    assert!(accepted_oauth(&oauth().claim("scp", ["things:read"])).has(&read()));
    for scope in ["", "things:write", "things:reader", "things", "Things:Read", "things:read,b", "things:read\tb"] {
        assert!(!with_scope(scope).has(&read()), "{scope:?}");
    }
    assert!(!accepted_oauth(&oauth().claim("scp", json!([])).claim("scope", "things:read")).has(&read()));
    assert!(!accepted_oauth(&oauth().claim("scp", ["things:read b"])).has(&read()));
}

#[test]
fn neither_sessions_nor_machines_have_scopes() {
    let claims = |token: TokenBuilder| token.claim("scope", "things:read").claim("scp", ["things:read"]);
    let session = verify(&claims(token())).expect("a session");
    let m2m = verify(&claims(m2m()).claim("scopes", "things:read")).expect("an M2M token");
    for principal in [session, m2m] {
        assert!(!principal.has(&read()), "{principal:?}");
        assert!(principal.require(&read()).is_err());
    }
    let m2m = accepted_m2m(&super::m2m().claim("scopes", "mch_billing"));
    assert!(!m2m.has(&Requirement::scope("mch_billing")));
    assert_eq!(m2m.require(&read()).expect_err("no scope").kind(), RejectionKind::InsufficientScope);
}

#[test]
fn a_text_that_is_no_scope_is_never_met_and_not_named() {
    for text in ["", "a b", " a", "a\"", "a\\", "é", "a\tb", "a\u{0}"] {
        let requirement = Requirement::scope(text);
        assert!(!accepted_oauth(&oauth().claim("scp", [text])).has(&requirement), "{text:?}");
        assert_eq!(challenge(&requirement), r#"Bearer error="insufficient_scope""#, "{text:?}");
        let beside = challenge(&requirement.or(read()));
        assert_eq!(beside, r#"Bearer error="insufficient_scope", scope="things:read""#, "{text:?}");
    }
    for text in ["!", "~", "[]", "a'b", "https://api.example.com/read", "a=b,c;d"] {
        assert!(accepted_oauth(&oauth().claim("scp", [text])).has(&Requirement::scope(text)), "{text}");
    }
}

#[test]
fn scopes_are_combined_as_other_requirements_are() {
    let (both, either) = (read().and(write()), read().or(write()));
    assert!(with_scope("things:write things:read").has(&both));
    assert!(!with_scope("things:read").has(&both) && !with_scope("things:write").has(&both));
    assert!(with_scope("things:read").has(&either) && with_scope("things:write").has(&either));
    assert!(!with_scope("").has(&either));
    assert!(!with_scope("things:read").has(&Requirement::any_of([])));
    assert!(!with_scope("things:read").has(&Requirement::all_of([])));
    assert!(with_scope("things:read").has(&Requirement::all_of([either, read()])));
    let admin_or_read = Requirement::role("org:admin").or(read());
    assert!(with_scope("things:read").has(&admin_or_read));
    assert!(verify(&token().organization("org_a", "admin")).expect("a session").has(&admin_or_read));
    assert!(!verify(&token().organization("org_a", "member")).expect("a session").has(&admin_or_read));
    // No token is both, so this is never met.
    let admin_and_read = Requirement::role("org:admin").and(read());
    assert!(!with_scope("things:read").has(&admin_and_read));
    assert!(!verify(&token().organization("org_a", "admin")).expect("a session").has(&admin_and_read));
}

#[test]
fn the_challenge_names_every_scope_once_in_order() {
    let admin = || Requirement::role("org:admin");
    for (requirement, scope) in [
        (read(), "things:read"),
        (write().and(read()), "things:write things:read"),
        (read().or(write()), "things:read things:write"),
        (read().and(read()), "things:read"),
        (admin().or(read()), "things:read"),
        (Requirement::all_of([admin(), Requirement::any_of([write(), read()]), write()]), "things:write things:read"),
    ] {
        let expected = format!(r#"Bearer error="insufficient_scope", scope="{scope}""#);
        assert_eq!(challenge(&requirement), expected, "{requirement:?}");
    }
    for requirement in [admin(), Requirement::any_of([]), Requirement::predicate(|_| true)] {
        assert_eq!(challenge(&requirement), r#"Bearer error="insufficient_scope""#, "{requirement:?}");
    }
}

#[tokio::test]
async fn a_layer_rejects_a_token_without_the_scope() {
    let answer = ask(read(), &oauth().claim("scope", "things:read")).await;
    assert_eq!(answer.outcome(), (200, "OAuthToken user_ada, Principal oauth_token user_ada"));
    for other in [oauth(), oauth().claim("scope", "things:write"), m2m().claim("scopes", "things:read"), token()] {
        let answer = ask(read(), &other).await;
        answer.assert_rejected(403, "insufficient_scope");
        let metadata = "https://api.example.com/.well-known/oauth-protected-resource/things";
        let expected =
            format!(r#"Bearer error="insufficient_scope", scope="things:read", resource_metadata="{metadata}""#);
        assert_eq!(answer.header("www-authenticate"), Some(expected.as_str()));
    }
}

#[tokio::test]
async fn a_challenge_without_scopes_is_as_before() {
    let answer = ask(Requirement::role("org:admin"), &token()).await;
    answer.assert_rejected(403, "insufficient_scope");
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="insufficient_scope""#));
}

#[tokio::test]
async fn a_handler_rejects_with_the_scopes() {
    let handler = async |token: OAuthToken| token.require(&write()).map(|()| "created");
    let app: axum::Router = axum::Router::new().route("/", axum::routing::get(handler)).layer(layer_with(Ok));
    let answer = send(&app, get_path("/", Some(&bearer(&oauth().claim("scope", "things:write"))))).await;
    assert_eq!(answer.outcome(), (200, "created"));
    let answer = send(&app, get_path("/", Some(&bearer(&oauth())))).await;
    answer.assert_rejected(403, "insufficient_scope");
    let expected = r#"Bearer error="insufficient_scope", scope="things:write""#;
    assert_eq!(answer.header("www-authenticate"), Some(expected));
}

#[test]
fn a_text_that_is_no_scope_is_none_although_a_token_lists_it() {
    let scp = ["", "a b", "things:read"];
    let token = accepted_oauth(&oauth().claim("scp", scp));
    assert_eq!(scp.map(|scope| token.has_scope(scope)), [false, false, true]);
}
