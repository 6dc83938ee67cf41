use futures_util::FutureExt;
use serde_json::json;
use tower_clerk::{
    ApiKey, ConfigError, Principal, Requirement, TokenKind, Verifier,
    testing::{ManualClock, TokenBuilder},
    verify::{Instance, VerifyErrorKind},
};

use super::{JWTS, accepting, m2m, oauth, rejected, tokens, verifier_with, verify, verify_by};
use crate::support::{
    GatedSource, Reply, at_once, bearer, get_path, header, issuer, patient, send_through, settle, token, verifier,
    with_member,
};

const NOT_ACCEPTED: Option<VerifyErrorKind> = Some(VerifyErrorKind::TokenKindNotAccepted);
const OPAQUE: [&str; 4] = ["mt_abc", "oat_abc", "ak_abc", "ak_x.y.z"];

#[test]
fn sessions_alone_are_accepted_by_default() {
    let verifier = verifier(issuer().config());
    let [session, oauth, m2m] = tokens().map(|token| token.sign());
    assert_eq!(verify_by(&verifier, &session).map(|principal| principal.kind()), Ok(TokenKind::Session));
    for other in [oauth.as_str(), &m2m].into_iter().chain(OPAQUE) {
        assert_eq!(verify_by(&verifier, other).err(), NOT_ACCEPTED, "{other}");
        assert_eq!(verifier.try_verify(other).err().map(|error| error.kind()), NOT_ACCEPTED, "{other}");
    }
}

#[test]
fn a_jwt_is_of_one_kind_and_accepted_only_where_that_kind_is() {
    for accepted in 1..8_usize {
        let kinds: Vec<_> = (0..3).filter(|bit| accepted & 1 << bit != 0).map(|bit| JWTS[bit]).collect();
        let verifier = verifier(accepting(kinds.clone()));
        for (token, kind) in tokens().iter().zip(JWTS) {
            let expected = if kinds.contains(&kind) { Ok(kind) } else { Err(VerifyErrorKind::TokenKindNotAccepted) };
            // The second time it may be cached.
            for _ in 0..2 {
                let verified = verify_by(&verifier, &token.sign()).map(|principal| principal.kind());
                assert_eq!(verified, expected, "{kinds:?}");
            }
        }
    }
}

#[test]
fn only_a_session_verifies_as_claims_whatever_is_accepted() {
    let verifier = verifier_with(Ok);
    let [session, oauth, m2m] = tokens().map(|token| token.sign());
    assert!(verifier.try_verify(&session).is_ok());
    for other in [oauth, m2m] {
        assert!(verify_by(&verifier, &other).is_ok());
        assert_eq!(verifier.try_verify(&other).err().map(|error| error.kind()), NOT_ACCEPTED);
    }
}

#[test]
fn the_type_of_an_access_token_has_two_spellings() {
    for typ in ["at+jwt", "application/at+jwt"] {
        let verified = verify(&oauth().header("typ", typ));
        assert_eq!(verified.map(|principal| principal.kind()), Ok(TokenKind::OAuth), "{typ}");
    }
    for typ in [
        json!("AT+JWT"),
        json!("at+JWT"),
        json!("application/AT+jwt"),
        json!("APPLICATION/at+jwt"),
        json!("at+jwt "),
        json!(" at+jwt"),
        json!("at+jwt\t"),
        json!("at+jwt;v=1"),
        json!("at jwt"),
        json!("text/at+jwt"),
        json!(["at+jwt"]),
        json!(null),
    ] {
        assert_eq!(verify(&oauth().header("typ", &typ)).err(), Some(VerifyErrorKind::UnsupportedType), "{typ}");
    }
    // It says nothing about itself, and has no session.
    assert_eq!(verify(&oauth().without_header("typ")).err(), Some(VerifyErrorKind::InvalidSessionId));
}

#[test]
fn json_escapes_hide_no_kind() {
    let escaped = |token: &TokenBuilder, header: String, from: &str, to: &str| {
        let (header, payload) = (header.replace(from, to), token.payload().replace(from, to));
        verify_by(&verifier_with(Ok), &issuer().sign(&header, &payload)).map(|principal| principal.kind())
    };
    for to in [r"\u006dch_", r"m\u0063h_", r"mch\u005f", r"\u006D\u0063\u0068\u005F"] {
        assert_eq!(escaped(&m2m(), header(), "mch_", to), Ok(TokenKind::M2m), "{to}");
    }
    let access = header().replace("JWT", "at+jwt");
    for to in [r"\u0061t+jwt", r"at\u002bjwt", r"at\u002Bjwt"] {
        assert_eq!(escaped(&oauth(), access.clone(), "at+jwt", to), Ok(TokenKind::OAuth), "{to}");
    }
    assert_eq!(escaped(&oauth(), access, "at+jwt", r"application\/at+jwt"), Ok(TokenKind::OAuth));
}

#[test]
fn the_prefix_of_a_machine_is_compared_in_its_case() {
    for sub in ["MCH_a", "Mch_a", "mch", "mch-a", " mch_a", "\u{feff}mch_a", "user_mch_a"] {
        let verified = verify(&token().claim("sub", sub));
        assert_eq!(verified.map(|principal| principal.kind()), Ok(TokenKind::Session), "{sub}");
    }
    for sub in ["mch_", "mch_a", "mch_\u{0}"] {
        let verified = verify(&m2m().claim("sub", sub));
        assert_eq!(verified.map(|principal| principal.kind()), Ok(TokenKind::M2m), "{sub}");
    }
}

#[test]
fn an_access_token_of_a_machine_is_of_no_kind() {
    for token in [m2m().header("typ", "at+jwt"), oauth().claim("sub", "mch_orders"), oauth().claim("sub", "mch_")] {
        assert_eq!(rejected(&token, Ok), Some(VerifyErrorKind::UnsupportedType));
        assert_eq!(rejected(&token, |config| config.accept([TokenKind::OAuth])), NOT_ACCEPTED);
        assert_eq!(rejected(&token, |config| config.accept([TokenKind::M2m])), NOT_ACCEPTED);
        assert_eq!(rejected(&token, |config| config.accept([TokenKind::Session])), NOT_ACCEPTED);
    }
}

#[test]
fn a_member_that_is_there_twice_chooses_no_kind() {
    let payload = |token: &TokenBuilder, sub: &str| with_member(&token.payload(), "sub", sub);
    let access = header().replace("JWT", "at+jwt");
    for (header, payload) in [
        (header(), payload(&m2m(), r#""user_ada""#)),
        (header(), payload(&token(), r#""mch_orders""#)),
        (header(), with_member(&token().payload(), r"s\u0075b", r#""mch_orders""#)),
        (with_member(&access, "typ", r#""JWT""#), oauth().payload()),
        (with_member(&header(), "typ", r#""at+jwt""#), token().payload()),
        (with_member(&header(), r"t\u0079p", r#""at+jwt""#), token().payload()),
    ] {
        let token = issuer().sign(&header, &payload);
        assert_eq!(verify_by(&verifier_with(Ok), &token).err(), Some(VerifyErrorKind::Malformed), "{header} {payload}");
    }
}

#[tokio::test]
async fn the_kind_is_decided_before_a_key_is_fetched() {
    let source = GatedSource::new();
    let cold = |kinds: &[TokenKind]| {
        let config = patient(accepting(kinds.iter().copied()));
        Verifier::builder(Instance::new(config).key_source(source.clone()))
            .clock(ManualClock::new())
            .build()
            .expect("a verifier")
    };
    let hidden = token().claim("sub", "mch_orders").header("cat", "cl_I7d4PD111III");
    for (kinds, tokens) in [
        (&JWTS[..1], [oauth(), m2m(), hidden.clone()]),
        (&JWTS[1..2], [token(), m2m(), hidden]),
        (&JWTS[2..], [token(), oauth(), oauth().claim("sub", "mch_orders")]),
    ] {
        let verifier = cold(kinds);
        for token in tokens {
            let verified = at_once(verifier.verify_principal(&token.sign())).expect("no wait");
            assert_eq!(verified.err().map(|error| error.kind()), NOT_ACCEPTED, "{kinds:?} {}", token.payload());
        }
    }
    settle().await;
    assert_eq!(source.fetches(), 0);

    let verifier = cold(&JWTS);
    source.once(Reply::Document(issuer().jwks().into()));
    let [_, oauth, m2m] = tokens().map(|token| token.sign());
    let (oauth, m2m) = tokio::join!(verifier.verify_principal(&oauth), verifier.verify_principal(&m2m));
    assert!(oauth.is_ok() && m2m.is_ok());
    assert_eq!(source.fetches(), 1);
}

#[test]
fn an_opaque_token_without_a_key_for_it_is_not_accepted() {
    let verifier = verifier_with(Ok);
    for token in OPAQUE {
        assert_eq!(verify_by(&verifier, token).err(), NOT_ACCEPTED, "{token}");
    }
    for token in ["MT_abc", "Oat_abc", "AK_abc", "ak-abc", "x.ak_abc", "mch_abc"] {
        assert_eq!(verify_by(&verifier, token).err(), Some(VerifyErrorKind::Malformed), "{token}");
    }
}

#[test]
fn api_keys_need_a_secret_key() {
    let error = Verifier::new(accepting([TokenKind::Session, TokenKind::ApiKey])).expect_err("no secret key");
    assert!(matches!(error, ConfigError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("secret_key"), "{error}");
    assert!(issuer().config().accept([]).is_err());
}

#[test]
fn a_token_of_another_kind_needs_no_payload_beyond_its_subject() {
    // Everything else in it may be wrong: it is rejected for its kind.
    for token in [oauth().expired(), m2m().expired(), oauth().claim("iss", 7), m2m().claim("exp", "never")] {
        assert_eq!(rejected(&token, |config| config.accept([TokenKind::Session])), NOT_ACCEPTED);
    }
    let principal = verify(&oauth().claim("scope", "read")).expect("a principal");
    assert!(principal.has(&Requirement::scope("read")));
}

#[test]
fn the_category_of_machines_names_their_kind_before_a_key_is_looked_up() {
    let m2m = |cat: &str| m2m().header("cat", cat).header("kid", "ins_unknown");
    let (marked, unmarked) = ("cl_B7d4PD333AAA", "cl_I7d4PD111III");
    let only = |kinds: &[TokenKind]| verifier(accepting(kinds.iter().copied()));
    for kinds in [&JWTS[..1], &JWTS[..2]] {
        assert_eq!(verify_by(&only(kinds), &m2m(marked).sign()).err(), NOT_ACCEPTED, "{kinds:?}");
        // Then only the payload names it, which is not read for a key that does not exist.
        assert_eq!(
            verify_by(&only(kinds), &m2m(unmarked).sign()).err(),
            Some(VerifyErrorKind::UnknownKey),
            "{kinds:?}"
        );
    }
    assert_eq!(verify_by(&only(&JWTS), &m2m(marked).sign()).err(), Some(VerifyErrorKind::UnknownKey));
    let narrow = tower_clerk::ClerkAuthLayer::from(only(&JWTS)).accept([TokenKind::Session]).expect("a kind");
    let request = get_path("/", Some(&bearer(&m2m(marked))));
    let answer = send_through(&narrow, request).now_or_never().expect("no wait");
    assert_eq!(answer.rejection().verify_error_kind(), NOT_ACCEPTED);
}

#[test]
fn a_principal_of_any_kind_has_an_id_an_end_and_an_instance() {
    for token in tokens() {
        let principal = verify(&token.claim("jti", "token_1")).expect("a principal");
        let (id, expires_at, instance) = match &principal {
            Principal::Session(user) => (user.session_id(), Some(user.expires_at()), user.instance()),
            Principal::OAuth(token) => (token.id(), token.expires_at(), token.instance()),
            Principal::M2m(token) => (token.id(), token.expires_at(), token.instance()),
            other => panic!("{other:?}"),
        };
        assert!(id.is_some() && expires_at.is_some());
        assert_eq!((principal.id(), principal.expires_at(), principal.instance()), (id, expires_at, instance));
    }
    let key = Principal::from(ApiKey::builder().id("ak_1").build());
    assert_eq!((key.id(), key.expires_at()), (Some("ak_1"), None));
}
