use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tower_clerk::testing::TestIssuer;

use super::{Operation, in_turn, operation};

/// Only the crypto library, with the issuer's key.
pub(crate) struct Raw {
    key: ParsedPublicKey,
}

impl Raw {
    pub(crate) fn new(issuer: &TestIssuer) -> Self {
        let der = pem::parse(issuer.public_key_pem()).expect("a PEM");
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.contents()).expect("an RSA key");
        Self { key }
    }

    pub(crate) fn verifies_in_turn<'a>(&'a self, tokens: &'a [String]) -> Box<dyn Operation + 'a> {
        let signed: Vec<_> = tokens
            .iter()
            .map(|token| {
                let (message, signature) = token.rsplit_once('.').expect("a token");
                (message.as_bytes(), BASE64_URL_SAFE_NO_PAD.decode(signature).expect("a signature"))
            })
            .collect();
        let mut turn = in_turn(tokens, String::as_bytes);
        let mut numbers = (0..signed.len()).cycle();
        let next = move || {
            turn();
            numbers.next().expect("a number")
        };
        operation(next, move |number| self.key.verify_sig(signed[number].0, &signed[number].1))
    }

    pub(crate) fn verifies_first<'a>(&'a self, tokens: &'a [String]) -> Box<dyn Operation + 'a> {
        self.verifies(&tokens[0], true)
    }

    pub(crate) fn verifies<'a>(&'a self, token: &'a str, is_valid: bool) -> Box<dyn Operation + 'a> {
        let (message, signature) = token.rsplit_once('.').expect("a token");
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("a signature");
        assert_eq!(self.key.verify_sig(message.as_bytes(), &signature).is_ok(), is_valid);
        operation(move || message.as_bytes(), move |message| self.key.verify_sig(message, &signature))
    }
}
