//! Tokens that the oracle accepts and our verifier rejects. These differences are intended. The tests notice a change
//! of either side.

use tower_clerk::verify::VerifyErrorKind;

use super::oracle::{HOUR, header, issuer, now, payload, rs256};

/// Our verifier rejects for this reason, and the oracle accepts.
fn assert_only_ours_rejects(header: &str, payload: &str, kind: VerifyErrorKind) {
    let (ours, oracle) = rs256().verdicts(&issuer().sign(header, payload));
    assert_eq!(ours.err(), Some(kind), "{header} {payload}");
    assert!(oracle.is_ok(), "{:?} for {header} {payload}", oracle.err());
}

#[test]
fn headers_that_only_the_verifier_rejects() {
    let other = |from: &str, to: &str| header("").replace(from, to);
    for (header, kind) in [
        // RFC 7515, section 4.1.11. The oracle knows `b64`.
        (header(r#","crit":["b64"],"b64":true"#), VerifyErrorKind::CriticalHeader),
        (header(r#","crit":null"#), VerifyErrorKind::CriticalHeader),
        // RFC 8725, section 3.11.
        (other(r#""typ":"JWT""#, r#""typ":"at+jwt""#), VerifyErrorKind::TokenKindNotAccepted),
        (header(r#","cat":"cl_B7d4PD333AAA""#), VerifyErrorKind::TokenKindNotAccepted),
        (other(r#""kid":"#, r#""x":"#), VerifyErrorKind::InvalidKeyId),
        (other("ins_test_1", "ins_test_2"), VerifyErrorKind::UnknownKey),
        // RFC 7515, section 4: duplicate names.
        (header(r#","x":1,"x":2"#), VerifyErrorKind::Malformed),
    ] {
        assert_only_ours_rejects(&header, &payload(""), kind);
    }
}

#[test]
fn claims_that_only_the_verifier_rejects() {
    let other = |from: &str, to: &str| payload("").replace(from, to);
    for (payload, kind) in [
        (other("user_ada", ""), VerifyErrorKind::InvalidSubject),
        (other("user_ada", "mch_a"), VerifyErrorKind::TokenKindNotAccepted),
        (other(r#""sid":"sess_a","#, ""), VerifyErrorKind::InvalidSessionId),
        // RFC 7519, section 4.1.1: an issuer is one string.
        (
            other(&format!("\"{}\"", issuer().url()), &format!("[\"{}\"]", issuer().url())),
            VerifyErrorKind::InvalidIssuer,
        ),
        (payload(r#","azp":7"#), VerifyErrorKind::InvalidAuthorizedParty),
        (payload(r#","iat":null"#), VerifyErrorKind::InvalidIssuedAt),
        (payload(&format!(r#","iat":{}"#, now() + HOUR)), VerifyErrorKind::IssuedInFuture),
        (payload(r#","sts":"pending""#), VerifyErrorKind::PendingSession),
        // RFC 7519, section 4: duplicate names.
        (payload(r#","role":"user","role":"admin""#), VerifyErrorKind::Malformed),
        (payload(r#","o":{"id":"a","id":"b"}"#), VerifyErrorKind::Malformed),
    ] {
        assert_only_ours_rejects(&header(""), &payload, kind);
    }
}
