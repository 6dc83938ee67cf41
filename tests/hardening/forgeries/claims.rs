//! Signed tokens with misleading times and issuers.

use serde_json::json;
use tower_clerk::verify::VerifyErrorKind::{
    self, Expired, InvalidExpiry, InvalidIssuedAt, InvalidIssuer, InvalidNotBefore, IssuedInFuture, NotYetValid,
};

use super::{
    forge::{ISSUER, NOW, appended, good, header, jwks, payload, trusted, with, without},
    table::{Class, Row, rows as table},
    targets::Targets,
};

pub(crate) fn rows() -> Vec<Row> {
    [expired(), not_yet_valid(), of_another_issuer()].into_iter().flatten().collect()
}

#[tokio::test]
async fn an_expired_or_malformed_exp_is_rejected() {
    Targets::start(&jwks()).await.check(&expired()).await;
}

#[tokio::test]
async fn a_future_or_malformed_nbf_or_iat_is_rejected() {
    Targets::start(&jwks()).await.check(&not_yet_valid()).await;
}

#[tokio::test]
async fn an_iss_that_resembles_the_issuer_is_rejected() {
    Targets::start(&jwks()).await.check(&of_another_issuer()).await;
}

/// A signed token with this claim, whose value is JSON text.
fn with_claim_text(name: &str, text: &str) -> String {
    trusted().sign_bytes(header().to_string(), appended(&without(payload(), name), &format!("\"{name}\":{text}")))
}

fn expired() -> Vec<Row> {
    let attacks = [
        ("1e400", InvalidExpiry),
        ("-1e400", InvalidExpiry),
        ("1e99999999999999999999", InvalidExpiry),
        ("18446744073709551615", InvalidExpiry),
        ("18446744073709551616", InvalidExpiry),
        ("9223372036854775807", InvalidExpiry),
        ("9223372036854775", InvalidExpiry),
        // Beyond the range of a JavaScript Date: NaN is never less than now, so such a token never expires there.
        ("-8640000000001", InvalidExpiry),
        ("8640000000001", InvalidExpiry),
        ("-1e13", InvalidExpiry),
        (r#""4102444800""#, InvalidExpiry),
        (r#""never""#, InvalidExpiry),
        (r#""""#, InvalidExpiry),
        ("true", InvalidExpiry),
        ("false", InvalidExpiry),
        ("null", InvalidExpiry),
        ("[4102444800]", InvalidExpiry),
        (r#"{"seconds":4102444800}"#, InvalidExpiry),
        ("0", Expired),
        ("-0", Expired),
        ("-1", Expired),
        ("-8640000000000", Expired),
        // 2^32 and 2^31: times that are truncated to 32 bits.
        ("1799999990", Expired),
        ("1799999995", Expired),
        ("1799999995.000", Expired),
        ("1.7999999e9", Expired),
        ("1e-400", Expired),
        ("4e-9", Expired),
    ];
    let attacks = attacks.map(|(text, rejected)| (format!("exp: {text}"), with_claim_text("exp", text), rejected));
    let mut rows = table(Class::Times, &with_claim_text("exp", "1.800000060e9"), attacks);
    let absent = [("no exp", trusted().sign(&header(), &without(payload(), "exp")), InvalidExpiry)];
    rows.extend(table(Class::Times, &good(), absent));
    rows
}

fn not_yet_valid() -> Vec<Row> {
    let times = |name: &'static str, invalid: VerifyErrorKind, early: VerifyErrorKind| {
        let attacks = [
            (r#""1799999990""#, invalid),
            ("null", invalid),
            ("true", invalid),
            ("[]", invalid),
            ("{}", invalid),
            ("1e400", invalid),
            ("-1e400", invalid),
            ("-8640000000001", invalid),
            ("18446744073709551615", invalid),
            ("8640000000000", early),
            ("4102444800", early),
            ("1800000006", early),
            ("1800000005.001", early),
        ];
        let attacks =
            attacks.map(|(text, rejected)| (format!("{name}: {text}"), with_claim_text(name, text), rejected));
        table(Class::Times, &with_claim_text(name, "1800000005"), attacks)
    };
    let mut rows = times("nbf", InvalidNotBefore, NotYetValid);
    rows.extend(times("iat", InvalidIssuedAt, IssuedInFuture));
    rows
}

fn of_another_issuer() -> Vec<Row> {
    let host = ISSUER.trim_start_matches("https://");
    let texts = [
        format!("{ISSUER}.evil.example"),
        format!("{ISSUER}@evil.example"),
        format!("{ISSUER}:443"),
        format!("{ISSUER}/"),
        format!("{ISSUER}//"),
        format!("{ISSUER}/x"),
        format!("{ISSUER}?"),
        format!("{ISSUER}#"),
        format!("{ISSUER} "),
        format!(" {ISSUER}"),
        format!("{ISSUER}\u{0}"),
        format!("{ISSUER}\u{0}.evil.example"),
        format!("{ISSUER}\n"),
        format!("{ISSUER}."),
        format!("{ISSUER},https://evil.example"),
        format!("http://{host}"),
        format!("HTTPS://{host}"),
        format!("https://{}", host.to_uppercase()),
        format!("https://evil.example/{host}"),
        format!("https://evil.example#{ISSUER}"),
        format!("https://{host}%00.evil.example"),
        format!("https://user:pass@{host}"),
        format!("https://x.{host}"),
        format!("//{host}"),
        host.to_owned(),
        ISSUER.replace('e', "\u{435}"),
        ISSUER.replace("test", "te\u{301}st"),
        "https://evil.example".to_owned(),
        "https://clerk.evil.example".to_owned(),
        "https://evil.clerk.accounts.dev".to_owned(),
        String::new(),
    ];
    let mut values: Vec<_> = texts.into_iter().map(|text| json!(text)).collect();
    values.extend([
        json!([ISSUER]),
        json!([ISSUER, "https://evil.example"]),
        json!({ "iss": ISSUER }),
        json!(null),
        json!(true),
        json!(0),
        json!(NOW),
    ]);
    let mut attacks: Vec<_> = values
        .into_iter()
        .map(|iss| (format!("iss: {iss}"), trusted().sign(&header(), &with(payload(), "iss", &iss)), InvalidIssuer))
        .collect();
    attacks.push(("no iss".to_owned(), trusted().sign(&header(), &without(payload(), "iss")), InvalidIssuer));
    let escaped = format!("\"{}\"", ISSUER.replace("https", "\\u0068ttps").replace('/', "\\/"));
    table(Class::Issuer, &with_claim_text("iss", &escaped), attacks)
}
