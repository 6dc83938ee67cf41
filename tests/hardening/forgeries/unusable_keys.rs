//! Members of a key set that are not usable keys.

use aws_lc_rs::{
    hmac::HMAC_SHA256,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tower_clerk::verify::VerifyErrorKind::{self, InvalidKeyId, UnknownKey, UnsupportedAlgorithm};

use super::forge::{
    appended, attach, authenticated, certificate, encode, header, message, payload, stranger, with, without,
};

/// An unusable member of a key set, and a token forged with it.
pub(crate) struct Unusable {
    pub(crate) case: String,
    pub(crate) member: String,
    pub(crate) forged: String,
    pub(crate) rejected: VerifyErrorKind,
}

/// The stranger's key in unusable forms, and keys of other types.
pub(crate) fn unusable_members() -> Vec<Unusable> {
    let base = stranger().jwk("ins_odd");
    let n = base["n"].as_str().expect("n").to_owned();
    let mut unusable = Vec::new();
    let mut of_rsa = |case: String, member: String| {
        unusable.push(Unusable { case, member, forged: of_stranger("ins_odd"), rejected: UnknownKey });
    };
    for (name, values) in [
        ("use", vec![json!("enc"), json!("SIG"), json!(""), json!(null), json!(7), json!(["sig"])]),
        ("alg", vec![json!("PS256"), json!("RSA-OAEP"), json!("HS256"), json!("none"), json!("rs256"), json!(null)]),
        ("alg", vec![json!(7), json!(["RS256"]), json!("")]),
        ("key_ops", vec![json!(["encrypt"]), json!(["sign"]), json!([]), json!("verify"), json!(null), json!([7])]),
        ("kty", vec![json!("EC"), json!("rsa"), json!("oct"), json!("OKP"), json!(null), json!(7)]),
        ("n", vec![json!(7), json!([n]), json!(null), json!(""), json!(format!("{n}==")), json!(format!(" {n}"))]),
        ("n", vec![json!(BASE64_STANDARD.encode(stranger().modulus())), json!(format!("{n}A"))]),
        ("e", vec![json!(65537), json!(null), json!(""), json!("AQ"), json!("Ag"), json!("AA"), json!("AQAB=")]),
        ("x5c", vec![json!(7)]),
    ] {
        for value in values {
            of_rsa(format!("{name}: {value}"), with(base.clone(), name, value).to_string());
        }
    }
    for name in ["e", "n", "kty"] {
        of_rsa(format!("without {name}"), without(base.clone(), name).to_string());
    }
    let by_certificate = json!({ "kid": "ins_odd", "kty": "RSA", "x5c": [certificate()] });
    of_rsa("a certificate alone".to_owned(), by_certificate.to_string());
    of_rsa("two kids".to_owned(), appended(&base, r#""kid":"ins_odd""#));
    of_rsa("two moduli".to_owned(), appended(&base, &format!(r#""n":"{n}""#)));
    of_rsa("in an array".to_owned(), json!([base]).to_string());
    of_rsa("in a set".to_owned(), json!({ "keys": [base] }).to_string());
    of_rsa("in a text".to_owned(), json!(base.to_string()).to_string());
    for (kid, called) in [
        (json!(7), "7"),
        (json!(null), "null"),
        (json!(["ins_odd"]), "ins_odd"),
        (json!({ "a": 1 }), "[object Object]"),
        (json!(true), "true"),
    ] {
        let member = with(base.clone(), "kid", &kid).to_string();
        unusable.push(Unusable {
            case: format!("kid: {kid}"),
            member,
            forged: of_stranger(called),
            rejected: UnknownKey,
        });
    }
    let member = without(base.clone(), "kid").to_string();
    for (called, rejected) in [("undefined", UnknownKey), ("", InvalidKeyId)] {
        let (case, forged) = (format!("no kid, called {called:?}"), of_stranger(called));
        unusable.push(Unusable { case, member: member.clone(), forged, rejected });
    }
    let unnamed = stranger().sign(&without(header(), "kid"), &payload());
    unusable.push(Unusable {
        case: "no kid on either side".to_owned(),
        member,
        forged: unnamed,
        rejected: InvalidKeyId,
    });
    let (long, member) = ("k".repeat(256), with(base, "kid", "k".repeat(256)).to_string());
    unusable.push(Unusable {
        case: "kid too long".to_owned(),
        member,
        forged: of_stranger(&long),
        rejected: InvalidKeyId,
    });
    unusable.extend(of_other_kinds());
    unusable
}

fn of_other_kinds() -> Vec<Unusable> {
    let message_of =
        |alg: &str| message(with(with(header(), "kid", "ins_odd"), "alg", alg).to_string(), payload().to_string());
    let unusable = |case: &str, member: Value, forged: String, rejected: VerifyErrorKind| Unusable {
        case: case.to_owned(),
        member: member.to_string(),
        forged,
        rejected,
    };
    let curve = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let (x, y) = curve.public_key().as_ref()[1..].split_at(32);
    let ec = json!({ "alg": "ES256", "crv": "P-256", "kid": "ins_odd", "kty": "EC", "x": encode(x), "y": encode(y) });
    let by_curve =
        |message: String| attach(&message, curve.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature"));
    let edwards = Ed25519KeyPair::generate().expect("a key");
    let x = encode(edwards.public_key());
    let okp = json!({ "alg": "EdDSA", "crv": "Ed25519", "kid": "ins_odd", "kty": "OKP", "x": x });
    let by_edwards = |message: String| attach(&message, edwards.sign(message.as_bytes()));
    let oct = json!({ "alg": "HS256", "k": encode("secret"), "kid": "ins_odd", "kty": "oct" });
    let by_secret = |alg| authenticated(&message_of(alg), HMAC_SHA256, b"secret");
    vec![
        unusable("EC", ec.clone(), by_curve(message_of("ES256")), UnsupportedAlgorithm),
        unusable("EC as RS256", with(ec, "alg", "RS256"), by_curve(message_of("RS256")), UnknownKey),
        unusable("OKP", okp.clone(), by_edwards(message_of("EdDSA")), UnsupportedAlgorithm),
        unusable("OKP as RS256", with(okp, "alg", "RS256"), by_edwards(message_of("RS256")), UnknownKey),
        unusable("oct", oct.clone(), by_secret("HS256"), UnsupportedAlgorithm),
        unusable("oct as RS256", with(oct, "alg", "RS256"), by_secret("RS256"), UnknownKey),
    ]
}

pub(crate) fn of_stranger(kid: &str) -> String {
    stranger().sign(&with(header(), "kid", kid), &payload())
}
