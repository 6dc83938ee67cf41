use serde_json::json;
use tower_clerk::verify::VerifyErrorKind;

use super::{accepted, assert_rejected, signed, verify, verify_with};
use crate::support::{header, issuer, token};

/// A valid payload with this text after its members.
fn payload_with(more: &str) -> String {
    let payload = token().payload();
    format!("{},{more}}}", payload.strip_suffix('}').expect("an object"))
}

#[test]
fn duplicate_members_are_rejected_at_the_top_level_and_in_o_and_act() {
    for bad in [
        r#""sub":"user_eve""#,
        r#""s\u0075b":"user_eve""#,
        r#""exp":9999999999"#,
        r#""custom":1,"custom":2"#,
        r#""o":{"id":"org_a","id":"org_b"}"#,
        r#""o":{"id":"org_a","i\u0064":"org_b"}"#,
        r#""act":{"sub":"user_a","sub":"user_b"}"#,
    ] {
        assert_eq!(verify(&signed(&header(), &payload_with(bad))).err(), Some(VerifyErrorKind::Malformed), "{bad}");
    }
    for good in [r#""custom":{"a":1,"a":2}"#, r#""Sub":"user_eve""#, r#""o":{"id":"org_a","ID":"org_b"}"#] {
        assert!(verify(&signed(&header(), &payload_with(good))).is_ok(), "{good}");
    }
}

#[test]
fn unknown_members_must_be_valid_json() {
    for bad in [
        r#""x":"\ud800""#,
        r#""x":"\uD800""#,
        r#""x":["\udc00\ud800"]"#,
        r#""x":01"#,
        r#""x":+1"#,
        r#""x":.5"#,
        r#""x":NaN"#,
        r#""x":'a'"#,
        r#""x":[1,]"#,
        r#""x":{"a":1,}"#,
        "\"x\":\"a\nb\"",
        r#""x":"\x""#,
        r#""x":"\u12g4""#,
        r#""x":tru"#,
        r#""x":1 /* no */"#,
        r#""\ud800":1"#,
    ] {
        assert_eq!(verify(&signed(&header(), &payload_with(bad))).err(), Some(VerifyErrorKind::Malformed), "{bad}");
    }
    for good in [
        r#""x":"\ud83d\ude00""#,
        r#""x":"\uD83D\uDE00""#,
        r#""x":1e400"#,
        r#""x":-0.0E-0"#,
        r#""x":"\/\b\f\n\r\t\\\"""#,
    ] {
        assert!(verify(&signed(&header(), &payload_with(good))).is_ok(), "{good}");
    }
}

#[test]
fn nesting_is_accepted_up_to_127_levels() {
    let nested = |depth: usize| payload_with(&format!("\"x\":{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1)));
    for (depth, is_accepted) in [(2, true), (110, true), (127, true), (128, false), (5000, false)] {
        let verified = verify(&signed(&header(), &nested(depth)));
        assert_eq!(verified.is_ok(), is_accepted, "{depth}");
    }
    let deepest = verify(&signed(&header(), &nested(127))).expect("accepted");
    assert!(deepest.custom::<serde_json::Value>().is_ok());
}

#[test]
fn a_payload_is_one_json_object() {
    let good = token().payload();
    assert!(verify(&signed(&header(), &format!("\t{good} \r\n"))).is_ok());
    for bad in [
        "null".to_owned(),
        "[]".to_owned(),
        "\"a\"".to_owned(),
        "7".to_owned(),
        String::new(),
        format!("[{good}]"),
        format!("{good}x"),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
    ] {
        assert_eq!(verify(&signed(&header(), &bad)).err(), Some(VerifyErrorKind::Malformed), "{bad}");
    }
}

#[test]
fn sub_is_a_user_id() {
    assert_eq!(accepted(&token()).user_id(), "user_ada");
    assert_rejected(&token().without_claim("sub"), VerifyErrorKind::InvalidSubject);
    for sub in [json!(""), json!(null), json!(7), json!(["user_ada"]), json!({})] {
        assert_rejected(&token().claim("sub", sub), VerifyErrorKind::InvalidSubject);
    }
    for sub in ["mch_a", "mch_"] {
        assert_rejected(&token().claim("sub", sub), VerifyErrorKind::TokenKindNotAccepted);
    }
    accepted(&token().claim("sub", "mch"));
}

#[test]
fn sid_is_required_unless_template_tokens_are_allowed() {
    assert_rejected(&token().without_claim("sid"), VerifyErrorKind::InvalidSessionId);
    for sid in [json!(""), json!(null), json!(7), json!(["sess_a"])] {
        assert_rejected(&token().claim("sid", &sid), VerifyErrorKind::InvalidSessionId);
        let allowed = verify_with(&token().claim("sid", sid).sign(), |config| Ok(config.allow_template_tokens()));
        assert_eq!(allowed.err(), Some(VerifyErrorKind::InvalidSessionId));
    }
    let without = token().without_claim("sid").sign();
    let claims = verify_with(&without, |config| Ok(config.allow_template_tokens())).expect("accepted");
    assert_eq!(claims.session_id(), None);
}

#[test]
fn iss_is_compared_exactly() {
    let url = issuer().url();
    assert_rejected(&token().without_claim("iss"), VerifyErrorKind::InvalidIssuer);
    for iss in [
        json!(format!("{url}/")),
        json!(format!("{url}.evil.example")),
        json!(url.replace("https", "http")),
        json!(url.to_uppercase()),
        json!(format!("{url}\u{0}")),
        json!(format!("https://x@{}", url.replace("https://", ""))),
        json!(""),
        json!(null),
        json!([url]),
        json!(7),
    ] {
        assert_rejected(&token().claim("iss", iss), VerifyErrorKind::InvalidIssuer);
    }
}

#[test]
fn an_additional_issuer_is_accepted_without_its_trailing_slash() {
    let token = token().claim("iss", "https://clerk.example.com").sign();
    let verified = verify_with(&token, |config| config.add_issuer("https://clerk.example.com/"));
    assert!(verified.is_ok());
}

#[test]
fn azp_is_not_checked_until_parties_are_set() {
    accepted(&token().claim("azp", "https://anything.example"));
    accepted(&token().without_claim("azp"));
    for azp in [json!(null), json!(7), json!(["https://app.test.example"]), json!({})] {
        assert_rejected(&token().claim("azp", azp), VerifyErrorKind::InvalidAuthorizedParty);
    }
}

#[test]
fn azp_is_compared_with_the_parties_byte_for_byte() {
    let parties = ["https://a.example", "https://b.example:8443"];
    let with_parties = |azp: &str| {
        verify_with(&token().authorized_party(azp).sign(), |config| config.authorized_parties(parties)).map(|_| ())
    };
    for azp in parties {
        assert_eq!(with_parties(azp), Ok(()));
    }
    for azp in
        ["", "https://a.example/", "https://A.example", "http://a.example", "https://b.example", "https://a.exampl"]
    {
        assert_eq!(with_parties(azp), Err(VerifyErrorKind::InvalidAuthorizedParty), "{azp}");
    }
}

#[test]
fn parties_match_the_azp_that_a_browser_sends() {
    for (party, azp) in [
        ("https://App.Example.com", "https://app.example.com"),
        ("HTTPS://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:0080", "http://app.example.com"),
        ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
    ] {
        let verified = verify_with(&token().authorized_party(azp).sign(), |config| config.authorized_parties([party]));
        assert!(verified.is_ok(), "{party}");
        let as_written = token().authorized_party(party).sign();
        let rejected = verify_with(&as_written, |config| config.authorized_parties([party]));
        assert_eq!(rejected.err(), Some(VerifyErrorKind::InvalidAuthorizedParty), "{party}");
    }
}

#[test]
fn a_missing_azp_is_rejected_with_parties_unless_allowed() {
    let without = token().without_claim("azp").sign();
    let rejected = verify_with(&without, |config| config.authorized_parties(["https://a.example"]));
    assert_eq!(rejected.err(), Some(VerifyErrorKind::InvalidAuthorizedParty));
    let allowed = |token: &str| {
        verify_with(token, |config| Ok(config.authorized_parties(["https://a.example"])?.allow_missing_azp()))
    };
    assert!(allowed(&without).is_ok());
    let other = token().authorized_party("https://evil.example").sign();
    assert_eq!(allowed(&other).err(), Some(VerifyErrorKind::InvalidAuthorizedParty));
}

#[test]
fn aud_is_ignored_until_an_audience_is_set() {
    for aud in [json!("anyone"), json!(["a", 7]), json!(null), json!({}), json!(7)] {
        accepted(&token().claim("aud", aud));
    }
}

#[test]
fn aud_intersects_the_audience_and_has_only_strings() {
    let with_audience = |aud: serde_json::Value| {
        verify_with(&token().claim("aud", aud).sign(), |config| config.audience(["https://a.example", "b"])).map(|_| ())
    };
    for aud in
        [json!("b"), json!("https://a.example"), json!(["b"]), json!(["x", "b"]), json!(["https://a.example", "b"])]
    {
        assert_eq!(with_audience(aud.clone()), Ok(()), "{aud}");
    }
    for aud in [
        json!(""),
        json!("x"),
        json!("https://a.exampl"),
        json!("https://a.example/"),
        json!([]),
        json!(["x"]),
        json!(["b", 7]),
        json!([7, "b"]),
        json!(["b", null]),
        json!([["b"]]),
        json!({ "b": 1 }),
        json!(null),
        json!(7),
    ] {
        assert_eq!(with_audience(aud.clone()), Err(VerifyErrorKind::InvalidAudience), "{aud}");
    }
    let without = verify_with(&token().sign(), |config| config.audience(["b"]));
    assert_eq!(without.err(), Some(VerifyErrorKind::InvalidAudience));
}

#[test]
fn a_pending_session_is_rejected_unless_allowed() {
    let pending = token().claim("sts", "pending");
    assert_rejected(&pending, VerifyErrorKind::PendingSession);
    let allowed = verify_with(&pending.sign(), |config| Ok(config.allow_pending_sessions())).expect("accepted");
    assert_eq!(allowed.session_status(), Some("pending"));
    for sts in ["active", "", "Pending", "other"] {
        accepted(&token().claim("sts", sts));
    }
    for sts in [json!(null), json!(7), json!(["pending"])] {
        assert_rejected(&token().claim("sts", sts), VerifyErrorKind::InvalidSessionStatus);
    }
}

#[test]
fn an_actor_is_an_object_with_a_subject() {
    let claims =
        accepted(&token().claim("act", json!({ "sub": "user_root", "iss": "i", "sid": "s", "type": "agent" })));
    let actor = claims.actor().expect("an actor");
    assert_eq!(
        (actor.user_id(), actor.issuer(), actor.session_id(), actor.kind()),
        ("user_root", Some("i"), Some("s"), Some("agent"))
    );
    for act in [json!(null), json!("user_root"), json!({}), json!({ "sub": 7 }), json!([{ "sub": "a" }])] {
        assert_rejected(&token().claim("act", act), VerifyErrorKind::InvalidActor);
    }
}
