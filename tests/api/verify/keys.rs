use base64::{Engine, prelude::BASE64_STANDARD};
use tower_clerk::{
    ClerkConfig, Verifier,
    testing::{ManualClock, TestIssuer, TokenBuilder},
    verify::VerifyErrorKind,
};

use crate::support::{header, issuer, other_issuer, token};

fn with(config: ClerkConfig, token: &TokenBuilder) -> Result<(), VerifyErrorKind> {
    let verifier = Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier");
    verifier.try_verify(&token.sign()).map(|_| ()).map_err(|error| error.kind())
}

fn pem_config(pem: &str) -> ClerkConfig {
    ClerkConfig::from_jwt_key(pem).expect("a PEM")
}

#[test]
fn a_pem_is_accepted_in_every_common_form() {
    let pem = issuer().public_key_pem();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    for form in [
        pem.clone(),
        pem.replace('\n', "\r\n"),
        pem.replace("\r\n", "\n").replace('\n', "\\n"),
        pem.replace(['\r', '\n'], " "),
        body.clone(),
        format!("  {body}\n"),
    ] {
        assert_eq!(with(pem_config(&form), &token()), Ok(()), "{form}");
    }
}

#[test]
fn a_pem_ignores_the_kid_but_checks_its_type() {
    let config = pem_config(&issuer().public_key_pem());
    for good in [token().without_header("kid"), token().header("kid", "ins_other"), token().header("kid", "")] {
        assert_eq!(with(config.clone(), &good), Ok(()));
    }
    for bad in [token().header("kid", 7), token().header("kid", ()), token().header("kid", ["a"])] {
        assert_eq!(with(config.clone(), &bad), Err(VerifyErrorKind::InvalidKeyId));
    }
    assert_eq!(with(config, &token().header("alg", "RS512")), Err(VerifyErrorKind::AlgorithmMismatch));
}

#[test]
fn a_key_without_an_issuer_accepts_any_issuer() {
    let config = pem_config(&issuer().public_key_pem());
    let other = token().claim("iss", "https://other.example");
    assert_eq!(with(config.clone(), &other), Ok(()));
    for bad in [token().without_claim("iss"), token().claim("iss", ""), token().claim("iss", 7)] {
        assert_eq!(with(config.clone(), &bad), Err(VerifyErrorKind::InvalidIssuer));
    }
    let named = config.add_issuer(issuer().url()).expect("an issuer");
    assert_eq!(with(named.clone(), &token()), Ok(()));
    assert_eq!(with(named, &other), Err(VerifyErrorKind::InvalidIssuer));
}

#[test]
fn a_pem_that_is_not_a_strong_rsa_key_is_rejected_at_start() {
    // An Ed25519 key (RFC 8410, section 10.1) and an RSA key of 1024 bits.
    let ed25519 = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let short = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqGKukO1De7zhZj6+H0qtjTkVxwTCpvKe4eCZ0FPqri0cb2JZfXJ/DgYSF6vUpwmJG8wVQZKjeGcjDOL5UlsuusFncCzWBQ7RKNUSesmQRMSGkVb1/3j+skZ6UtW+5u09lHNsj6tQ51s1SPrCBkedbNf0Tp0GbMJDyR4e9T04ZZwIDAQAB";
    for pem in [ed25519, short, "AAAA"] {
        let error = ClerkConfig::from_jwt_key(pem).expect_err("no configuration").to_string();
        assert!(error.starts_with("jwt_key is not an RSA"), "{error}");
    }
}

/// A public key of this size as an RSAPublicKey (RFC 8017, appendix A.1.1), in base64.
fn public_key(bits: usize, exponent: &[u8]) -> String {
    let element = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).expect("a short element").to_be_bytes();
        [&[tag, 0x82], length.as_slice(), content].concat()
    };
    let short = |content: &[u8]| [&[2, u8::try_from(content.len()).expect("a short number")], content].concat();
    let modulus = [vec![0], vec![0xa5; bits / 8]].concat();
    let der = element(0x30, &[element(2, &modulus), short(exponent)].concat());
    BASE64_STANDARD.encode(der)
}

#[test]
fn a_pem_above_4096_bits_has_an_exponent_of_at_most_65537() {
    let (usual, highest) = (&[1, 0, 1][..], &[1, 0xff, 0xff, 0xff, 0xff][..]);
    for (bits, exponent) in [(4096, highest), (4104, usual), (8192, usual)] {
        assert!(ClerkConfig::from_jwt_key(public_key(bits, exponent)).is_ok(), "{bits}");
    }
    for (bits, exponent) in [(4104, highest), (8192, highest), (8192, &[1, 0, 3])] {
        let error = ClerkConfig::from_jwt_key(public_key(bits, exponent)).expect_err("no configuration").to_string();
        assert_eq!(error, "jwt_key has more than 4096 bits and an exponent above 65537", "{bits}");
    }
}

#[test]
fn a_key_set_without_a_usable_key_is_rejected_at_start() {
    let (invalid, unusable) = ("is not a JWK Set (RFC 7517, section 5)", "has no usable RSA key of 2048 to 8192 bits");
    for (document, reason) in [
        ("", invalid),
        ("{}", invalid),
        (r#"{"keys":[]}"#, unusable),
        (r#"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}"#, unusable),
        ("[]", invalid),
    ] {
        let error = ClerkConfig::from_jwks(document).expect_err("no configuration");
        assert_eq!(error.to_string(), format!("jwks {reason}"));
    }
    let large = format!("{}{}", issuer().jwks(), " ".repeat(512 * 1024));
    let error = ClerkConfig::from_jwks(large).expect_err("no configuration");
    assert_eq!(error.to_string(), "jwks is larger than 512 KiB or has more than 1024 keys");
}

#[test]
fn unusable_keys_beside_a_good_one_are_ignored() {
    let good = issuer().jwks();
    let key = good.strip_prefix(r#"{"keys":["#).and_then(|rest| rest.strip_suffix("]}")).expect("one key");
    let odd = [
        key.replace("\"sig\"", "\"enc\""),
        key.replace("RS256", "PS256"),
        key.replace("AQAB", "AQ"),
        r#"{"kty":"EC","kid":"ins_test_1","crv":"P-256","x":"AAAA","y":"AAAA"}"#.to_owned(),
        r#"{"kty":"oct","kid":"ins_test_1","k":"AAAA"}"#.to_owned(),
        key.replace("\"ins_test_1\"", "7"),
        "null".to_owned(),
    ];
    let document = format!(r#"{{"keys":[{},{key}]}}"#, odd.join(","));
    let config =
        ClerkConfig::from_jwks(document).and_then(|config| config.add_issuer(issuer().url())).expect("a document");
    assert_eq!(with(config.clone(), &token()), Ok(()));
    let forged = other_issuer().sign(&header(), &token().payload());
    let verifier = Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier");
    assert!(verifier.try_verify(&forged).is_err());
}

#[test]
fn each_of_several_keys_under_one_kid_is_tried() {
    let other = other_issuer();
    let key_of = |issuer: &TestIssuer| issuer.jwks().replace(r#"{"keys":["#, "").replace("]}", "");
    let document = format!(r#"{{"keys":[{},{}]}}"#, key_of(other), key_of(issuer()));
    let config =
        ClerkConfig::from_jwks(document).and_then(|config| config.add_issuer(issuer().url())).expect("a document");
    assert_eq!(with(config.clone(), &token()), Ok(()));
    assert_eq!(with(config, &other.token("user_bob")), Ok(()));
}

#[test]
fn rs384_and_rs512_verify_with_keys_of_that_algorithm() {
    for alg in ["RS384", "RS512"] {
        let document = issuer().jwks().replace("RS256", alg);
        let config =
            ClerkConfig::from_jwks(document).and_then(|config| config.add_issuer(issuer().url())).expect("a document");
        assert_eq!(with(config.clone(), &token().header("alg", alg)), Ok(()));
        assert_eq!(with(config, &token()), Err(VerifyErrorKind::AlgorithmMismatch));
    }
    let without_alg = issuer().jwks().replace(r#""alg":"RS256","#, "");
    let config =
        ClerkConfig::from_jwks(without_alg).and_then(|config| config.add_issuer(issuer().url())).expect("a document");
    assert_eq!(with(config.clone(), &token()), Ok(()));
    assert_eq!(with(config, &token().header("alg", "RS384")), Err(VerifyErrorKind::AlgorithmMismatch));
}
