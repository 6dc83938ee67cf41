use serde_json::{Value, json};
use tower_clerk::{ClerkConfig, TokenKind, Verifier, testing::TokenBuilder, verify::VerifyErrorKind};

use super::{Change, JWTS, accepting, m2m, oauth, rejected};
use crate::{
    support::{issuer, token},
    telemetry::Log,
};

const API: &str = "https://api.example.com";
const REFUSED: Option<VerifyErrorKind> = Some(VerifyErrorKind::InvalidAudience);

fn of_oauth(config: ClerkConfig) -> Result<ClerkConfig, tower_clerk::ConfigError> {
    config.oauth_audience([API, "https://mcp.example.com"])
}

fn of_m2m(config: ClerkConfig) -> Result<ClerkConfig, tower_clerk::ConfigError> {
    config.m2m_audience([API])
}

/// Values of `aud`, and whether they name the API.
fn audiences() -> Vec<(Value, bool)> {
    vec![
        (json!(API), true),
        (json!([API]), true),
        (json!(["https://other.example", API]), true),
        (json!(format!("{API}/")), false),
        (json!("HTTPS://api.example.com"), false),
        (json!(format!(" {API}")), false),
        (json!(format!("{API} https://mcp.example.com/x")), false),
        (json!("https://other.example"), false),
        (json!(["https://other.example"]), false),
        (json!([]), false),
        (json!(""), false),
        (json!([""]), false),
        (json!([API, ""]), false),
        (json!([API, 7]), false),
        (json!([API, null]), false),
        (json!([[API]]), false),
        (json!(null), false),
        (json!(7), false),
        (json!({ "0": API }), false),
        (json!(true), false),
    ]
}

#[test]
fn a_configured_audience_must_be_named() {
    let kinds: [(_, Change); 2] = [(oauth(), of_oauth), (m2m(), of_m2m)];
    for (token, change) in kinds {
        for (aud, is_named) in audiences() {
            let expected = if is_named { None } else { REFUSED };
            assert_eq!(rejected(&token.clone().claim("aud", &aud), change), expected, "{aud}");
        }
        assert_eq!(rejected(&token.without_claim("aud"), change), REFUSED);
    }
}

#[test]
fn any_of_several_audiences_is_enough() {
    assert_eq!(rejected(&oauth().claim("aud", "https://mcp.example.com"), of_oauth), None);
}

#[test]
fn without_the_setting_aud_is_not_looked_at() {
    for token in [oauth(), m2m()] {
        for (aud, _) in audiences() {
            assert_eq!(rejected(&token.clone().claim("aud", &aud), Ok), None, "{aud}");
        }
        assert_eq!(rejected(&token.without_claim("aud"), Ok), None);
    }
}

#[test]
fn the_audience_of_one_kind_concerns_no_other() {
    let [session, oauth, m2m]: [TokenBuilder; 3] = [token(), oauth(), m2m()];
    assert_eq!(rejected(&session, of_oauth), None);
    assert_eq!(rejected(&session, of_m2m), None);
    assert_eq!(rejected(&oauth, of_m2m), None);
    assert_eq!(rejected(&m2m, of_oauth), None);
    let of_sessions: Change = |config| config.audience([API]);
    assert_eq!(rejected(&session, of_sessions), REFUSED);
    assert_eq!(rejected(&oauth, of_sessions), None);
    assert_eq!(rejected(&m2m, of_sessions), None);
}

#[test]
fn an_audience_setting_is_not_empty() {
    for bad in [vec![], vec![""], vec![API, ""]] {
        assert!(issuer().config().oauth_audience(bad.clone()).is_err(), "{bad:?}");
        assert!(issuer().config().m2m_audience(bad.clone()).is_err(), "{bad:?}");
    }
}

#[test]
fn an_audience_does_not_stand_in_for_the_machine() {
    let both: Change = |config| config.m2m_audience([API])?.machine_id("mch_billing");
    let token = |scopes: &str| m2m().claim("aud", [API]).claim("scopes", scopes);
    assert_eq!(rejected(&token("mch_billing"), both), None);
    assert_eq!(rejected(&token("mch_mail"), both), Some(VerifyErrorKind::MachineNotInScope));
    assert_eq!(rejected(&token("mch_billing").claim("aud", "x"), both), REFUSED);
}

#[test]
fn what_is_not_checked_of_a_kind_is_logged_where_the_kind_is_accepted() {
    let logged = |kinds: &[TokenKind], change: Change| {
        let config = accepting(kinds.iter().copied()).instance_name("a").and_then(change).expect("a configuration");
        let (log, _recording) = Log::start();
        Verifier::new(config).expect("a verifier");
        log.lines()
    };
    let sessions = "INFO no authorized parties configured: `azp` is not checked instance=\"a\"";
    let oauth = "INFO no OAuth audience configured: `aud` of OAuth tokens is not checked instance=\"a\"";
    let m2m = "INFO no machine id configured: M2M tokens for other machines are accepted instance=\"a\"";
    assert_eq!(logged(&[TokenKind::Session], Ok), [sessions]);
    assert_eq!(logged(&[TokenKind::OAuth], Ok), [oauth]);
    assert_eq!(logged(&[TokenKind::M2m], Ok), [m2m]);
    assert_eq!(logged(&JWTS, Ok), [sessions, oauth, m2m]);
    assert_eq!(logged(&[TokenKind::OAuth], of_oauth), [""; 0]);
    assert_eq!(logged(&[TokenKind::M2m], |config| config.machine_id("mch_this")), [""; 0]);
}
