//! An HMAC whose secret is the public key, against verifiers that let the token choose the algorithm.

use aws_lc_rs::hmac::{HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use tower_clerk::{
    ClerkConfig,
    verify::VerifyErrorKind::{self, InvalidSignature, UnsupportedAlgorithm},
};

use super::{
    forge::{ISSUER, KID, authenticated, encode, good, jwks, message_with_alg, pem_of, trusted},
    table::{Class, Row, rows as table},
    targets::Targets,
};

#[tokio::test]
async fn an_hmac_with_the_public_key_in_any_form_is_rejected() {
    let rows = rows();
    let config = ClerkConfig::from_jwt_key(trusted().pem()).expect("a PEM");
    let config = config.add_issuer(ISSUER).expect("an issuer");
    let verifier = crate::support::verifier(config);
    for row in &rows {
        assert_eq!(verifier.try_verify(&row.attack).err().map(|error| error.kind()), row.rejected, "{}", row.case);
        assert!(verifier.try_verify(&row.neighbour).is_ok(), "{}", row.case);
    }
    Targets::start(&jwks()).await.check(&rows).await;
}

pub(crate) fn rows() -> Vec<Row> {
    let (spki, pkcs1) = (trusted().spki(), trusted().pkcs1());
    let mut secrets = vec![
        ("empty".to_owned(), Vec::new()),
        ("32 zeros".to_owned(), vec![0; 32]),
        ("the modulus".to_owned(), trusted().modulus().to_vec()),
        ("the modulus in base64url".to_owned(), encode(trusted().modulus()).into()),
        ("the JWK".to_owned(), trusted().jwk(KID).to_string().into()),
        ("the JWKS".to_owned(), jwks().to_string().into()),
        ("the kid".to_owned(), KID.into()),
        ("SPKI".to_owned(), spki.clone()),
        ("PKCS#1".to_owned(), pkcs1.to_vec()),
    ];
    for (der, tag) in [(&spki[..], "PUBLIC KEY"), (pkcs1, "RSA PUBLIC KEY")] {
        let pem = pem_of(der, tag);
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        for (form, text) in [
            ("with a final newline", pem.clone()),
            ("without a final newline", pem.trim_end().to_owned()),
            ("with CRLF", pem.replace('\n', "\r\n")),
            ("in one line", pem.replace('\n', "")),
            ("with escaped newlines", pem.replace('\n', "\\n")),
            ("without its frame", body),
        ] {
            secrets.push((format!("{tag} {form}"), text.into()));
        }
    }
    let mut attacks: Vec<(String, String, VerifyErrorKind)> = Vec::new();
    for (name, secret) in &secrets {
        for (alg, algorithm) in [("HS256", HMAC_SHA256), ("HS384", HMAC_SHA384), ("HS512", HMAC_SHA512)] {
            let token = authenticated(&message_with_alg(alg), algorithm, secret);
            attacks.push((format!("{alg} with {name}"), token, UnsupportedAlgorithm));
        }
        let token = authenticated(&message_with_alg("RS256"), HMAC_SHA256, secret);
        attacks.push((format!("HMAC as RS256 with {name}"), token, InvalidSignature));
    }
    table(Class::HmacWithPublicKey, &good(), attacks)
}
