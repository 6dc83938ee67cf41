use std::{collections::HashMap, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::VerifyingKey;

/// The keys of one instance by their `kid`: the usable keys of a JWK Set (RFC 7517, section 5).
///
/// Members that are not usable are skipped, as the RFC recommends: an instance may publish keys for other purposes, and
/// one bad member must not make the others unusable. A set without a usable key is an error, so that it never replaces
/// one that has keys.
#[derive(Debug)]
pub(crate) struct KeySet {
    by_kid: HashMap<Arc<str>, Vec<VerifyingKey>>,
    /// For the log: the number of members that are not usable.
    skipped: usize,
}

/// Why a document cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeySetError {
    /// Not a JSON object with an array `keys`.
    InvalidDocument,
    /// A JWK Set, but no member of it is a usable key.
    NoUsableKey,
    /// Larger than [`MAX_DOCUMENT`], or with more members than [`MAX_MEMBERS`].
    TooLarge,
}

/// A JWK Set whose members stay text: each is parsed by itself, so that a bad one does not fail the document.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Parses a document and each of its keys, so that verifying a token parses none.
    ///
    /// A byte order mark is skipped (RFC 8259, section 8.1, allows it). Other members of the document are ignored, as
    /// RFC 7517, section 5, requires.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        if document.len() > MAX_DOCUMENT {
            return Err(KeySetError::TooLarge);
        }
        let text = std::str::from_utf8(document).map_err(|_| KeySetError::InvalidDocument)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // serde reads a struct from an array as well, but a JWK Set is an object.
        if !text.trim_start().starts_with('{') {
            return Err(KeySetError::InvalidDocument);
        }
        let Document { keys } = serde_json::from_str(text).map_err(|_| KeySetError::InvalidDocument)?;
        if keys.len() > MAX_MEMBERS {
            return Err(KeySetError::TooLarge);
        }
        let mut set = Self { by_kid: HashMap::new(), skipped: 0 };
        for raw in keys {
            match VerifyingKey::from_jwk(raw.get()) {
                Ok(key) => set.insert(key),
                Err(_) => set.skipped += 1,
            }
        }
        if set.by_kid.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(set) }
    }

    /// The keys with this `kid`: one to [`MAX_KEYS_OF_A_KID`] of them with at most [`MAX_BITS_OF_A_KID`] together, in
    /// the order of the document.
    pub(crate) fn get(&self, kid: &str) -> Option<&[VerifyingKey]> {
        self.by_kid.get(kid).map(Vec::as_slice)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_kid.values().map(Vec::len).sum()
    }

    /// How many members did not count as keys.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped
    }

    /// Adds a key, unless the set has it already or the keys with its `kid` would cost a forged token too much.
    fn insert(&mut self, key: VerifyingKey) {
        let keys = self.by_kid.entry(Arc::clone(key.kid())).or_default();
        if keys.iter().any(|other| other.is_same(key.thumbprint(), key.algorithm())) {
            return;
        }
        let length: usize = keys.iter().map(VerifyingKey::length).sum();
        if keys.len() == MAX_KEYS_OF_A_KID || length + key.length() > MAX_BITS_OF_A_KID {
            self.skipped += 1;
        } else {
            keys.push(key);
        }
    }
}

/// In bytes: a thousand times a document of Clerk, which has about half a kilobyte.
pub(crate) const MAX_DOCUMENT: usize = 512 * 1024;
/// Far more keys than any instance has, and few enough that parsing them blocks a runtime thread for a moment only.
const MAX_MEMBERS: usize = 1024;
/// A `kid` of Clerk is the id of the instance, so a rotation may reuse it and publish both keys for a while. Each
/// further key costs one more verification for each forged token.
const MAX_KEYS_OF_A_KID: usize = 4;
/// The sum of the moduli: four keys of 4096 bits, or two of 8192. Bounds what a forged token costs when the keys are
/// long: twice the length is four times the work.
const MAX_BITS_OF_A_KID: usize = 16_384;

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    fn jwk(kid: &str, seed: u8) -> String {
        long_jwk(kid, seed, 2048)
    }

    fn long_jwk(kid: &str, seed: u8, bits: usize) -> String {
        let n = BASE64_URL_SAFE_NO_PAD.encode(vec![seed | 0x81; bits / 8]);
        format!(r#"{{"kty":"RSA","kid":"{kid}","n":"{n}","e":"AQAB"}}"#)
    }

    fn set(keys: &[String]) -> Result<KeySet, KeySetError> {
        KeySet::parse(format!("{{\"keys\":[{}]}}", keys.join(",")).as_bytes())
    }

    #[test]
    fn odd_members_are_skipped_and_the_good_key_stays() {
        let odd = ["7", "null", "[]", "{}", r#"{"kty":"EC"}"#, r#"{"a":"\ud800"}"#, r#"{"kid":1,"kid":2}"#];
        let mut keys: Vec<String> = odd.iter().map(ToString::to_string).collect();
        keys.push(jwk("ins_a", 0));
        keys.push(format!("{{\"deep\":{}{}}}", "[".repeat(500), "]".repeat(500)));
        let set = set(&keys).unwrap();
        assert_eq!((set.len(), set.skipped()), (1, 8));
        assert!(set.get("ins_a").is_some() && set.get("ins_b").is_none());
    }

    #[test]
    fn a_kid_has_up_to_four_different_keys() {
        let same = set(&[jwk("a", 0), jwk("a", 0)]).unwrap();
        assert_eq!((same.len(), same.skipped()), (1, 0));
        let keys: Vec<String> = [0, 2, 4, 8, 16].iter().map(|seed| jwk("a", *seed)).collect();
        let five = set(&keys).unwrap();
        assert_eq!((five.len(), five.skipped()), (4, 1));
        let two = set(&[jwk("a", 0), jwk("b", 0)]).unwrap();
        assert_eq!(two.len(), 2);
    }

    #[test]
    fn the_keys_of_a_kid_have_up_to_16384_bits_together() {
        let lengths = |lengths: &[usize]| {
            let keys = lengths.iter().zip([0, 2, 4, 8, 16]).map(|(bits, seed)| long_jwk("a", seed, *bits));
            let set = set(&keys.collect::<Vec<_>>()).unwrap();
            let kept: Vec<usize> = set.get("a").unwrap().iter().map(VerifyingKey::length).collect();
            (kept, set.skipped())
        };
        assert_eq!(lengths(&[8192, 8192]), (vec![8192, 8192], 0));
        assert_eq!(lengths(&[4096, 4096, 4096, 4096]), (vec![4096; 4], 0));
        assert_eq!(lengths(&[8192, 4096, 4096, 2048]), (vec![8192, 4096, 4096], 1));
        assert_eq!(lengths(&[4096, 4096, 4096, 4104]), (vec![4096; 3], 1));
        assert_eq!(lengths(&[8192, 8192, 2048]), (vec![8192, 8192], 1));
        // A shorter key that comes later may still fit.
        assert_eq!(lengths(&[8192, 4096, 8192, 2048]), (vec![8192, 4096, 2048], 1));
        let two = set(&[long_jwk("a", 0, 8192), long_jwk("a", 2, 8192), long_jwk("b", 0, 8192)]).unwrap();
        assert_eq!((two.len(), two.skipped()), (3, 0));
        let same = set(&[long_jwk("a", 0, 8192), long_jwk("a", 2, 8192), long_jwk("a", 0, 8192)]).unwrap();
        assert_eq!((same.len(), same.skipped()), (2, 0));
    }

    #[test]
    fn a_document_without_a_usable_key_is_a_failure() {
        for (document, kind) in [
            (&b""[..], KeySetError::InvalidDocument),
            (b"<html>", KeySetError::InvalidDocument),
            (b"[]", KeySetError::InvalidDocument),
            (b"[[]]", KeySetError::InvalidDocument),
            (b"{}", KeySetError::InvalidDocument),
            (b"{\"keys\":{}}", KeySetError::InvalidDocument),
            (b"{\"keys\":[]", KeySetError::InvalidDocument),
            (b"{\"keys\":[]} x", KeySetError::InvalidDocument),
            (b"{\"keys\":[],\"keys\":[]}", KeySetError::InvalidDocument),
            (b"{\"keys\":[\"\xff\"]}", KeySetError::InvalidDocument),
            (b"{\"keys\":[]}", KeySetError::NoUsableKey),
            (b"{\"keys\":[7]}", KeySetError::NoUsableKey),
        ] {
            assert_eq!(KeySet::parse(document).unwrap_err(), kind, "{document:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let document = format!("\u{feff}{{\"keys\":[{}]}}", jwk("a", 0));
        assert!(KeySet::parse(document.as_bytes()).is_ok());
    }

    #[test]
    fn a_document_is_accepted_up_to_its_size_limits() {
        let members = |count: usize| {
            let mut keys = vec!["7".to_owned(); count - 1];
            keys.push(jwk("a", 0));
            set(&keys).map(|set| set.len())
        };
        assert_eq!(members(1024), Ok(1));
        assert_eq!(members(1025), Err(KeySetError::TooLarge));
        let padded = |length: usize| {
            let document = format!("{{\"keys\":[{}]}}", jwk("a", 0));
            KeySet::parse(format!("{document}{}", " ".repeat(length - document.len())).as_bytes()).map(|set| set.len())
        };
        assert_eq!(padded(512 * 1024), Ok(1));
        assert_eq!(padded(512 * 1024 + 1), Err(KeySetError::TooLarge));
    }
}
