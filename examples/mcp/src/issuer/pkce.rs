//! Proof that the client which redeems a code is the one that asked for it (RFC 7636, S256 alone).

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The digest of a secret that the client keeps until it redeems the code.
#[derive(Clone, Debug)]
pub(super) struct Challenge(Vec<u8>);

impl Challenge {
    /// `None` if it is no SHA-256 in base64url.
    pub(super) fn read(text: &str) -> Option<Self> {
        let digest = URL_SAFE_NO_PAD.decode(text).ok()?;
        (digest.len() == digest::SHA256_OUTPUT_LEN).then_some(Self(digest))
    }

    /// Whether this is the secret, which has 43 to 128 characters (RFC 7636, section 4.1).
    pub(super) fn is_of(&self, verifier: &str) -> bool {
        let is_sound = (43..=128).contains(&verifier.len())
            && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
        is_sound && verify_slices_are_equal(digest.as_ref(), &self.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_holds() {
        let challenge = Challenge::read(CHALLENGE).unwrap();
        assert!(challenge.is_of(VERIFIER));
        assert!(!challenge.is_of(&VERIFIER.to_lowercase()));
        assert!(!challenge.is_of(""));
        assert!(!challenge.is_of(CHALLENGE));
    }

    #[test]
    fn a_verifier_has_43_to_128_characters() {
        for (length, is_sound) in [(42, false), (43, true), (128, true), (129, false)] {
            let verifier = "a".repeat(length);
            let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
            assert_eq!(Challenge(digest.as_ref().to_vec()).is_of(&verifier), is_sound, "{length}");
        }
    }

    #[test]
    fn a_challenge_is_a_digest() {
        for text in ["", "abc", VERIFIER.split_at(42).0, &format!("{CHALLENGE}="), &CHALLENGE.repeat(2)] {
            assert!(Challenge::read(text).is_none(), "{text}");
        }
    }
}
