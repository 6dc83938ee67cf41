use serde_json::json;
use tower_clerk::{
    Requirement,
    authorize::RequireLayer,
    claims::{Reverification, ReverificationLevel},
    rejection::{RejectionFormat, RejectionKind},
    testing::TokenBuilder,
};
use tower_layer::Layer;

use super::{may_read, member, reader, user};
use crate::support::{Answer, Recorder, bearer, layer, request, send};

fn fresh(reverification: Reverification) -> Requirement {
    Requirement::reverification(reverification)
}

fn stale(token: TokenBuilder) -> TokenBuilder {
    token.claim("fva", [100_000, 100_000])
}

/// The name of each in the body that Clerk's front end reads.
fn configs() -> Vec<(Reverification, &'static str)> {
    let within = Reverification::after_minutes;
    vec![
        (Reverification::strict_mfa(), r#""strict_mfa""#),
        (Reverification::strict(), r#""strict""#),
        (Reverification::moderate(), r#""moderate""#),
        (Reverification::lax(), r#""lax""#),
        (within(ReverificationLevel::FirstFactor, 1), r#"{"level":"first_factor","afterMinutes":1}"#),
        (within(ReverificationLevel::SecondFactor, 15), r#"{"level":"second_factor","afterMinutes":15}"#),
        (within(ReverificationLevel::MultiFactor, 99_998), r#"{"level":"multi_factor","afterMinutes":99998}"#),
        // The values of a preset without its name: the body contains the values.
        (within(ReverificationLevel::SecondFactor, 10), r#"{"level":"second_factor","afterMinutes":10}"#),
    ]
}

fn body(config: &str) -> String {
    format!(
        r#"{{"clerk_error":{{"type":"forbidden","reason":"reverification-error","metadata":{{"reverification":{config}}}}}}}"#
    )
}

async fn ask(requirement: Requirement, token: &TokenBuilder, method: &str, media_type: &str) -> Answer {
    let inner = Recorder::default();
    let guarded = layer().layer(RequireLayer::new(requirement).layer(inner.clone()));
    let headers = [("authorization", bearer(token)), ("content-type", media_type.to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = send(&guarded, request(method, "/", &headers)).await;
    assert_eq!(inner.calls(), usize::from(answer.parts.extensions.get::<tower_clerk::Rejection>().is_none()));
    answer
}

#[tokio::test]
async fn the_rejection_has_the_body_that_clerks_front_end_retries_on() {
    for (reverification, config) in configs() {
        let answer = ask(fresh(reverification), &stale(member()), "POST", "application/json").await;
        assert_eq!(answer.outcome(), (403, body(config).as_str()));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!((answer.header("www-authenticate"), answer.header("retry-after")), (None, None));
        let rejection = answer.rejection();
        assert_eq!((rejection.kind(), rejection.code()), (RejectionKind::Reverification, "reverification"));
        assert_eq!((rejection.status().as_u16(), rejection.grpc_code()), (403, 7));
        assert_eq!(rejection.reverification(), Some(reverification));
        let parsed: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
        let metadata = json!({ "reverification": serde_json::from_str::<serde_json::Value>(config).expect("JSON") });
        let error = json!({ "type": "forbidden", "reason": "reverification-error", "metadata": metadata });
        assert_eq!(parsed, json!({ "clerk_error": error }));
    }
}

#[tokio::test]
async fn fresh_factors_pass() {
    for (reverification, _) in configs() {
        let answer = ask(fresh(reverification), &member().claim("fva", [0, 0]), "GET", "text/plain").await;
        assert_eq!(answer.outcome(), (200, "user_ada"), "{reverification:?}");
    }
}

#[tokio::test]
async fn missing_factor_ages_require_reverification() {
    let unsaid = [member(), member().claim("fva", json!(null)), member().claim("fva", [-1, -1])];
    for token in unsaid {
        let answer = ask(fresh(Reverification::lax()), &token, "GET", "text/plain").await;
        assert_eq!(answer.outcome(), (403, body(r#""lax""#).as_str()));
    }
}

#[tokio::test]
async fn head_gets_the_same_headers_as_get() {
    let asked = || fresh(Reverification::strict());
    let got = ask(asked(), &stale(member()), "GET", "text/plain").await;
    let head = ask(asked(), &stale(member()), "HEAD", "text/plain").await;
    assert_eq!(head.outcome(), (403, ""));
    assert_eq!(head.parts.headers, got.headers_with_length());
}

#[tokio::test]
async fn a_grpc_call_gets_the_reverification_code() {
    let answer = ask(fresh(Reverification::strict()), &stale(member()), "POST", "application/grpc").await;
    answer.assert_rejected_grpc("7", "reverification");
    assert_eq!(answer.header("grpc-message"), Some("reverification needed"));
    let pinned = layer().rejection_format(RejectionFormat::Http);
    let guarded = pinned.layer(RequireLayer::new(fresh(Reverification::strict())).layer(Recorder::default()));
    let headers = [("authorization", &*bearer(&stale(member()))), ("content-type", "application/grpc")];
    assert_eq!(send(&guarded, request("POST", "/", &headers)).await.outcome(), (403, body(r#""strict""#).as_str()));
}

/// The result of `require`: `None`, or the code and the required reverification.
fn verdict(token: &TokenBuilder, requirement: &Requirement) -> Option<(&'static str, Option<Reverification>)> {
    let user = user(token);
    let rejected = user.require(requirement).err();
    assert_eq!(user.has(requirement), rejected.is_none(), "{requirement:?}");
    rejected.map(|rejection| (rejection.code(), rejection.reverification()))
}

#[test]
fn reverification_is_requested_only_if_nothing_else_is_missing() {
    let (strict, lax) = (Reverification::strict(), Reverification::lax());
    let forbidden = Some(("insufficient_scope", None));
    let reverify = |asked| Some(("reverification", Some(asked)));
    for (token, requirement, expected) in [
        (stale(reader()), may_read().and(fresh(strict)), reverify(strict)),
        (stale(reader()), fresh(strict).and(may_read()), reverify(strict)),
        (stale(member()), may_read().and(fresh(strict)), forbidden),
        (stale(member()), fresh(strict).and(may_read()), forbidden),
        (stale(reader()), fresh(strict).and(may_read()).and(Requirement::plan("u:pro")), forbidden),
        (stale(reader()), fresh(strict).and(Requirement::instance("other")), forbidden),
        (stale(reader()), fresh(strict).and(Requirement::any_of([])), forbidden),
        (stale(reader()), fresh(strict).and(Requirement::predicate(|_| false)), forbidden),
        (reader().claim("fva", [0, 0]), may_read().and(fresh(strict)), None),
        // Of several missing reverifications, the first is requested.
        (stale(reader()), fresh(lax).and(fresh(strict)), reverify(lax)),
        (reader().claim("fva", [100, 100]), fresh(lax).and(fresh(strict)), reverify(strict)),
    ] {
        assert_eq!(verdict(&token, &requirement), expected, "{requirement:?}");
    }
}

#[test]
fn reverification_is_requested_if_it_would_satisfy_an_alternative() {
    let strict = Reverification::strict();
    let forbidden = Some(("insufficient_scope", None));
    let reverify = Some(("reverification", Some(strict)));
    for (token, requirement, expected) in [
        (stale(reader()), Requirement::any_of([fresh(strict), may_read()]), None),
        (stale(member()), Requirement::any_of([fresh(strict), may_read()]), reverify),
        (stale(member()), Requirement::any_of([may_read(), fresh(strict)]), reverify),
        (stale(member()), Requirement::any_of([may_read().and(fresh(strict)), Requirement::role("owner")]), forbidden),
        (stale(member()), Requirement::any_of([may_read(), Requirement::role("member").and(fresh(strict))]), reverify),
        (stale(member()), may_read().and(Requirement::any_of([fresh(strict)])), forbidden),
        (stale(reader()), may_read().and(Requirement::any_of([Requirement::role("owner"), fresh(strict)])), reverify),
        (stale(member()), Requirement::any_of([fresh(strict), fresh(Reverification::lax())]), reverify),
    ] {
        assert_eq!(verdict(&token, &requirement), expected, "{requirement:?}");
    }
}

/// No factor is less than zero minutes old, so Clerk's front end would request it in a loop.
#[test]
fn reverification_is_not_requested_if_it_cannot_succeed() {
    for level in [ReverificationLevel::FirstFactor, ReverificationLevel::SecondFactor, ReverificationLevel::MultiFactor]
    {
        let never = fresh(Reverification::after_minutes(level, 0));
        assert_eq!(verdict(&stale(reader()), &never), Some(("insufficient_scope", None)), "{level:?}");
    }
}
