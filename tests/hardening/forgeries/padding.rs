//! Blocks with malformed PKCS#1 v1.5 padding, signed by the trusted key itself.

use tower_clerk::verify::VerifyErrorKind::InvalidSignature;

use super::{
    forge::{jwks, texts, vectors},
    table::{Class, Row, rows as table},
    targets::Targets,
};

pub(crate) fn rows() -> Vec<Row> {
    let vectors = vectors("trusted");
    let [message, signature] = ["message", "good"].map(|name| vectors[name].as_str().expect("a text"));
    let attacks =
        texts(&vectors["padding"]).map(|(name, signature)| (name, format!("{message}.{signature}"), InvalidSignature));
    table(Class::Pkcs1Padding, &format!("{message}.{signature}"), attacks)
}

/// RFC 8017, section 8.2.2: a signature is valid if its block equals the encoding of the digest, octet by octet.
#[tokio::test]
async fn only_the_exact_pkcs1_padding_is_accepted() {
    Targets::start(&jwks()).await.check(&rows()).await;
}
