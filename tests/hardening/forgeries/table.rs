//! The rows of the table, and the properties of every rejection.

use std::{collections::HashSet, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tower_clerk::{ClerkConfig, Verifier, verify::VerifyErrorKind};

use super::{
    forge::{ISSUER, KID},
    servers::Endpoint,
};
use crate::support::verifier;

/// The classes of attack.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Class {
    /// `alg` is `none`.
    AlgNone,
    /// `alg` is absent or not a string.
    AlgOfWrongType,
    /// `alg` is RS256 in another spelling.
    AlgMisspelt,
    /// An HMAC whose secret is the public key.
    HmacWithPublicKey,
    /// Another algorithm than that of the key.
    OtherAlgorithm,
    /// Signature values that careless verifiers accept under any key.
    TrivialSignature,
    /// No signature, or a changed one.
    BadSignature,
    /// Signature blocks with malformed PKCS#1 v1.5 padding.
    Pkcs1Padding,
    /// Weak keys and other members in the key set.
    BadKeys,
    /// The token contains its key.
    EmbeddedKey,
    /// The token contains the address of its key.
    KeyAddress,
    /// A `kid` that is a path, a query or a command.
    KidInjection,
    /// `crit`.
    CriticalHeader,
    /// Nested, compressed and encrypted tokens.
    WrappedToken,
    /// Tokens of other types than a session token.
    OtherTokenKind,
    /// Duplicate JSON members.
    DuplicateMembers,
    /// Invalid JSON.
    InvalidJson,
    /// Invalid UTF-8 and surrogates.
    InvalidUtf8,
    /// Deep nesting and long tokens.
    DepthAndSize,
    /// Segments that are not canonical base64url.
    InvalidBase64url,
    /// `exp`, `nbf` and `iat`.
    Times,
    /// `iss`.
    Issuer,
    /// Credentials hidden in a request.
    RequestSmuggling,
    /// Random changes of a valid token.
    Mutation,
}

impl Class {
    pub(crate) const ALL: [Self; 24] = [
        Self::AlgNone,
        Self::AlgOfWrongType,
        Self::AlgMisspelt,
        Self::HmacWithPublicKey,
        Self::OtherAlgorithm,
        Self::TrivialSignature,
        Self::BadSignature,
        Self::Pkcs1Padding,
        Self::BadKeys,
        Self::EmbeddedKey,
        Self::KeyAddress,
        Self::KidInjection,
        Self::CriticalHeader,
        Self::WrappedToken,
        Self::OtherTokenKind,
        Self::DuplicateMembers,
        Self::InvalidJson,
        Self::InvalidUtf8,
        Self::DepthAndSize,
        Self::InvalidBase64url,
        Self::Times,
        Self::Issuer,
        Self::RequestSmuggling,
        Self::Mutation,
    ];
}

/// One forgery and its nearest valid neighbour, a token of `user_ada`.
pub(crate) struct Row {
    pub(crate) class: Class,
    pub(crate) case: String,
    pub(crate) attack: String,
    /// The reason of the rejection; `None` if it does not matter.
    pub(crate) rejected: Option<VerifyErrorKind>,
    pub(crate) neighbour: String,
}

/// Rows of one class whose attacks have the same neighbour.
pub(crate) fn rows<C: Into<String>>(
    class: Class,
    neighbour: &str,
    attacks: impl IntoIterator<Item = (C, String, VerifyErrorKind)>,
) -> Vec<Row> {
    let row = |(case, attack, rejected): (C, String, _)| {
        let (case, neighbour) = (case.into(), neighbour.to_owned());
        Row { class, case, attack, rejected: Some(rejected), neighbour }
    };
    attacks.into_iter().map(row).collect()
}

impl Row {
    /// Whether it is rejected before a key lookup.
    pub(crate) fn needs_no_key(&self) -> bool {
        matches!(
            self.rejected,
            Some(
                VerifyErrorKind::CriticalHeader
                    | VerifyErrorKind::InvalidKeyId
                    | VerifyErrorKind::Malformed
                    | VerifyErrorKind::TokenKindNotAccepted
                    | VerifyErrorKind::TooLong
                    | VerifyErrorKind::UnsupportedAlgorithm
                    | VerifyErrorKind::UnsupportedCategory
                    | VerifyErrorKind::UnsupportedType
            )
        )
    }

    /// A credential with several words, a comma, or a character that is not visible ASCII is a malformed request. So is
    /// one that is too long. Any other is an invalid token.
    pub(crate) fn status(&self) -> u16 {
        let is_one_word = self.attack.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        let may_be_token = is_one_word && !self.attack.is_empty() && self.attack.len() <= 16 * 1024;
        if may_be_token { 401 } else { 400 }
    }

    pub(crate) fn code(&self) -> &'static str {
        match (self.status(), self.rejected) {
            (400, _) => "malformed_request",
            (_, Some(VerifyErrorKind::Expired)) => "token_expired",
            _ => "invalid_token",
        }
    }
}

/// A verifier with these keys loaded.
pub(crate) fn verifier_of(jwks: &str) -> Verifier {
    let config = ClerkConfig::from_jwks(jwks).and_then(|config| config.add_issuer(ISSUER)).expect("a configuration");
    verifier(config)
}

/// A verifier that fetches its keys from this endpoint, with a timeout that suffices on a busy machine.
pub(crate) fn verifier_at(endpoint: &Endpoint) -> Verifier {
    let config = ClerkConfig::from_frontend_api_url(format!("http://{}", endpoint.authority()))
        .and_then(|config| config.add_issuer(ISSUER)?.jwks_timeout(Duration::from_secs(60)))
        .expect("a configuration");
    verifier(config)
}

/// The status of the first response.
pub(crate) fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("no status line: {answer:?}"))
}

/// Asserts that the text contains nothing of the token and no message of a parser or crypto library.
pub(crate) fn assert_tells_nothing(case: &str, token: &str, shown: &str) {
    let pieces: HashSet<&[u8]> = shown.as_bytes().windows(16).collect();
    for segment in token.split('.') {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(segment).unwrap_or_default();
        for text in [segment.as_bytes(), &decoded] {
            // The beginning of a long token is enough.
            let told = text.windows(16).take(8 * 1024).find(|piece| pieces.contains(piece));
            assert!(told.is_none(), "{case}: {:?} in {shown}", told.map(String::from_utf8_lossy));
        }
    }
    for word in [KID, "user_", "sess_", "test.example", "line 1", "column", "expected", "EOF", "UTF-8", "Unspecified"] {
        assert!(!shown.contains(word), "{case}: {word} in {shown}");
    }
}
