//! Each test is one case in which our verifier accepts what the oracle rejects, with the RFC clause that decides.

use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use serde_json::Value;
use tower_clerk::{Verifier, testing::ManualClock, verify::VerifyErrorKind};

use super::oracle::{SKEW, config, header, issuer, now, payload, payload_until, rs256};

fn verdicts(header: &str, payload: &str) -> (Result<(), VerifyErrorKind>, Result<(), ErrorKind>) {
    let (ours, oracle) = rs256().verdicts(&issuer().sign(header, payload));
    (ours.map(|_| ()), oracle.map(|_| ()))
}

fn assert_both_accept(header: &str, payload: &str) {
    assert_eq!(verdicts(header, payload), (Ok(()), Ok(())), "{header} {payload}");
}

/// Ours accepts, and the oracle fails to parse.
fn assert_oracle_cannot_read(header: &str, payload: &str) {
    let (ours, oracle) = verdicts(header, payload);
    assert_eq!(ours, Ok(()), "{header} {payload}");
    assert!(matches!(oracle, Err(ErrorKind::Json(_))), "{oracle:?} for {header} {payload}");
}

/// RFC 7519, section 2: a `NumericDate` is a JSON number. It may be before 1970. Ours is right.
#[test]
fn a_negative_nbf_is_in_the_past() {
    for nbf in ["-1", "-0.5", "-0.0001", "-8.64e12", "-1e0"] {
        let (ours, oracle) = verdicts(&header(""), &payload(&format!(",\"nbf\":{nbf}")));
        assert_eq!(ours, Ok(()), "{nbf}");
        assert_eq!(oracle, Err(ErrorKind::InvalidClaimFormat("nbf".to_owned())), "{nbf}");
    }
    for nbf in ["0", "-0", "0.5", "1e-400"] {
        assert_both_accept(&header(""), &payload(&format!(",\"nbf\":{nbf}")));
    }
}

/// The oracle does not check `iat`, so it accepts a negative one.
#[test]
fn a_negative_iat_makes_no_difference() {
    for iat in ["-1", "-0.5", "-8.64e12"] {
        assert_both_accept(&header(""), &payload(&format!(",\"iat\":{iat}")));
    }
}

/// Calls `compare` within one second of the system clock. The oracle compares whole seconds.
fn within_a_second(compare: impl Fn(u64) -> Verdicts, expected: Verdicts) {
    let (mut second, mut verdicts) = (now(), None);
    while verdicts.is_none() {
        second = now();
        verdicts = Some(compare(second)).filter(|_| now() == second);
    }
    assert_eq!(verdicts, Some(expected), "{second}");
}

type Verdicts = (Result<(), VerifyErrorKind>, Result<(), ErrorKind>);

/// Ours at `millis` after the second, the oracle at the second.
fn compare_at(second: u64, millis: u64, payload: &str) -> Verdicts {
    let clock = ManualClock::new();
    clock.set(UNIX_EPOCH + Duration::from_secs(second) + Duration::from_millis(millis));
    let ours = Verifier::builder(config("RS256")).clock(clock).build().expect("a verifier");
    let token = issuer().sign(&header(""), payload);
    let ours = ours.try_verify(&token).map(|_| ()).map_err(|error| error.kind());
    (ours, rs256().oracle(&token).map(|_| ()))
}

/// RFC 7519, section 2: "non-integer values can be represented". The oracle rounds `nbf` up and its clock down, and
/// so rejects for up to a second and a half longer. Ours is right.
#[test]
fn fractional_seconds_in_nbf_are_compared() {
    let nbf = |second: u64, fraction: &str| payload(&format!(",\"nbf\":{}{fraction}", second + SKEW));
    let compare = |second| compare_at(second, 900, &nbf(second, ".8"));
    within_a_second(compare, (Ok(()), Err(ErrorKind::ImmatureSignature)));
    let compare = |second| compare_at(second, 900, &nbf(second, ".4"));
    within_a_second(compare, (Ok(()), Ok(())));
    let compare = |second| compare_at(second, 300, &nbf(second, ".4"));
    within_a_second(compare, (Err(VerifyErrorKind::NotYetValid), Ok(())));
}

/// Here the same rounding makes the oracle accept longer, never shorter.
#[test]
fn fractional_seconds_in_exp_make_no_difference() {
    let exp = |second: u64, fraction: &str| payload_until(&format!("{}{fraction}", second - SKEW), "");
    for fraction in [".001", ".499", ".5", ".999"] {
        let compare = |second| compare_at(second, 0, &exp(second, fraction));
        within_a_second(compare, (Ok(()), Ok(())));
    }
    let compare = |second| compare_at(second, 900, &exp(second, ".8"));
    within_a_second(compare, (Err(VerifyErrorKind::Expired), Ok(())));
}

/// RFC 7515, section 4.1: their use is optional. Ours ignores them (RFC 8725, section 3.10). The oracle
/// requires them to be well-formed, which section 5.2, step 4, allows. Both are right.
#[test]
fn header_members_that_name_keys_may_be_of_any_type() {
    for (name, wrong, right) in [
        ("cty", "7", "\"JWT\""),
        ("jku", "7", "\"https://evil.example\""),
        ("jwk", "7", r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#),
        ("jwk", "[]", r#"{"kty":"RSA"}"#),
        ("x5c", "7", "[\"AAAA\"]"),
        ("x5t", "[]", "\"AAAA\""),
        ("x5t#S256", "false", "\"AAAA\""),
        ("x5u", "{}", "\"https://evil.example\""),
    ] {
        assert_oracle_cannot_read(&header(&format!(",\"{name}\":{wrong}")), &payload(""));
        assert_both_accept(&header(&format!(",\"{name}\":{right}")), &payload(""));
        assert_both_accept(&header(&format!(",\"{name}\":null")), &payload(""));
    }
}

/// RFC 7515, section 4: undefined members must be ignored. These belong to JWE (RFC 7516) and ACME (RFC 8555).
/// Ours is right.
#[test]
fn header_members_of_other_documents_may_be_of_any_type() {
    for (name, right) in [("enc", "\"A128GCM\""), ("zip", "\"DEF\""), ("url", "\"u\""), ("nonce", "\"n\"")] {
        assert_oracle_cannot_read(&header(&format!(",\"{name}\":7")), &payload(""));
        assert_both_accept(&header(&format!(",\"{name}\":{right}")), &payload(""));
    }
}

/// RFC 7797 forbids `false` in a JWT, and requires `crit` with it. Without `crit`, RFC 7515, section 4, lets a recipient
/// that does not know it ignore it: ours reads every payload as base64url. Both are right.
#[test]
fn b64_without_crit_may_have_any_value() {
    for b64 in ["false", "null", "7", "\"x\""] {
        let verdicts = verdicts(&header(&format!(",\"b64\":{b64}")), &payload(""));
        assert_eq!(verdicts, (Ok(()), Err(ErrorKind::InvalidToken)), "{b64}");
    }
    assert_both_accept(&header(",\"b64\":true"), &payload(""));
}

/// RFC 7519, section 4.1.3: a recipient that is not in `aud` must reject. The oracle follows the letter, and requires
/// a well-formed `aud`. Ours has no name to compare until an audience is set, like Clerk's SDKs. Then it rejects too.
#[test]
fn aud_is_not_checked_until_an_audience_is_set() {
    let malformed = || ErrorKind::InvalidClaimFormat("aud".to_owned());
    for (aud, expected) in [
        ("\"anyone\"", ErrorKind::InvalidAudience),
        ("[\"anyone\"]", ErrorKind::InvalidAudience),
        ("[]", ErrorKind::InvalidAudience),
        ("7", malformed()),
        ("{}", malformed()),
        ("[7]", malformed()),
    ] {
        let payload = payload(&format!(",\"aud\":{aud}"));
        assert_eq!(verdicts(&header(""), &payload), (Ok(()), Err(expected)), "{aud}");
        let strict = Verifier::new(config("RS256").audience(["us"]).expect("an audience")).expect("a verifier");
        let verdict = strict.try_verify(&issuer().sign(&header(""), &payload)).map_err(|error| error.kind());
        assert_eq!(verdict.err(), Some(VerifyErrorKind::InvalidAudience), "{aud}");
    }
    assert_both_accept(&header(""), &payload(",\"aud\":null"));
}

/// RFC 8259, section 6: a parser may limit the range of numbers. Ours keeps unread numbers as text. Reading the
/// payload into a type without such numbers fails in both. Both are right.
#[test]
fn a_number_beyond_f64_is_kept() {
    let payload_with_it = payload(",\"x\":1e400");
    assert_oracle_cannot_read(&header(""), &payload_with_it);
    assert_oracle_cannot_read(&header(",\"x\":-1e400"), &payload(""));
    let token = issuer().sign(&header(""), &payload_with_it);
    assert!(rs256().oracle_accepts_unread(&token));
    assert!(rs256().verdicts(&token).0.expect("accepted").custom::<Value>().is_err());
}

/// `serde_json` reserves a member name, whose value must be JSON text. RFC 7519, section 4,
/// leaves names to the issuer. Ours reads no unknown values and is right.
#[test]
fn a_member_name_reserved_by_serde_json_is_accepted() {
    let member = r#","x":{"$serde_json::private::RawValue":"{"}"#;
    assert_oracle_cannot_read(&header(""), &payload(member));
    assert_oracle_cannot_read(&header(member), &payload(""));
    assert!(rs256().oracle_accepts_unread(&issuer().sign(&header(""), &payload(member))));
}

/// Both have the recursion limit of `serde_json`.
#[test]
fn nesting_makes_no_difference() {
    let member = |depth: usize| format!(",\"x\":{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    for depth in [110, 126, 127] {
        assert_both_accept(&header(""), &payload(&member(depth)));
        assert_both_accept(&header(&member(depth)), &payload(""));
    }
    for (header, payload) in [(header(""), payload(&member(128))), (header(&member(128)), payload(""))] {
        let (ours, oracle) = verdicts(&header, &payload);
        assert_eq!(ours, Err(VerifyErrorKind::Malformed));
        assert!(oracle.is_err());
    }
}
