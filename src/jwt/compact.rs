use std::{borrow::Cow, str};

use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use memchr::memchr_iter;

use crate::json::Object;

/// A token split, of which only the header is decoded.
pub(crate) struct Segments<'a, 'b> {
    header: Cow<'b, [u8]>,
    payload: &'a str,
    signature: &'a str,
    signing_input: &'a str,
}

/// A token decoded, its signature not yet looked at.
pub(crate) struct Compact<'a, 'b> {
    payload: String,
    signature: Cow<'b, [u8]>,
    signing_input: &'a str,
}

/// Not three segments of canonical base64url, the first two of them UTF-8 (RFC 7515, section 5.2).
#[derive(Debug)]
pub(crate) struct MalformedToken;

impl<'a, 'b> Segments<'a, 'b> {
    /// Splits `token` and decodes its header, in `buffer` if it fits.
    pub(crate) fn parse(token: &'a str, buffer: &'b mut [u8]) -> Result<Self, MalformedToken> {
        let mut dots = memchr_iter(b'.', token.as_bytes());
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(MalformedToken);
        };
        let part = |range| token.get(range).ok_or(MalformedToken);
        let (header, payload) = (part(0..first)?, part(first + 1..second)?);
        let (signing_input, signature) = (part(0..second)?, part(second + 1..token.len())?);
        if signature.len() > MAX_SIGNATURE {
            return Err(MalformedToken);
        }
        Ok(Self { header: decode_into(buffer, header)?, payload, signature, signing_input })
    }

    /// The members of the JOSE header.
    pub(crate) fn header(&self) -> Result<Object<'_>, MalformedToken> {
        let text = str::from_utf8(&self.header).map_err(|_| MalformedToken)?;
        Object::parse(text).map_err(|_| MalformedToken)
    }

    /// Decodes the rest, the signature in `buffer` if it fits.
    pub(crate) fn decode<'s>(&self, buffer: &'s mut [u8]) -> Result<Compact<'a, 's>, MalformedToken> {
        let signature = decode_into(buffer, self.signature)?;
        let payload = URL_SAFE_NO_PAD.decode_to_vec(self.payload).map_err(|_| MalformedToken)?;
        let payload = String::from_utf8(payload).map_err(|_| MalformedToken)?;
        Ok(Compact { payload, signature, signing_input: self.signing_input })
    }
}

impl Compact<'_, '_> {
    /// The members of the payload. They mean nothing before the signature holds.
    pub(crate) fn payload(&self) -> Result<Object<'_>, MalformedToken> {
        Object::parse(&self.payload).map_err(|_| MalformedToken)
    }

    pub(crate) fn payload_text(&self) -> &str {
        &self.payload
    }

    pub(crate) fn into_payload(self) -> String {
        self.payload
    }

    pub(super) fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// Onto the heap what does not fit.
fn decode_into<'b>(buffer: &'b mut [u8], segment: &str) -> Result<Cow<'b, [u8]>, MalformedToken> {
    let segment = segment.as_bytes();
    let length = URL_SAFE_NO_PAD.decoded_length(segment).map_err(|_| MalformedToken)?;
    let decoded = match buffer.get_mut(..length) {
        Some(buffer) => URL_SAFE_NO_PAD.decode(segment, buffer.as_out()).map(|decoded| Cow::Borrowed(&*decoded)),
        None => URL_SAFE_NO_PAD.decode_to_vec(segment).map(Cow::Owned),
    };
    decoded.map_err(|_| MalformedToken)
}

/// In base64url characters: the signature of an RSA key of 8192 bits, the longest that counts as a key.
const MAX_SIGNATURE: usize = 1366;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_canonical_segments_are_read() {
        // In buffers that are too small and in such that are not.
        for size in [0, 1, 2, 6, 7, 8] {
            let (mut for_header, mut for_signature) = (vec![0; size], vec![0; size]);
            let segments = Segments::parse("eyJhIjoxfQ.eyJiIjoyfQ.AQI", &mut for_header).unwrap();
            assert!(segments.header().unwrap().get("a").is_some());
            let compact = segments.decode(&mut for_signature).unwrap();
            assert_eq!(compact.signing_input(), b"eyJhIjoxfQ.eyJiIjoyfQ");
            assert_eq!(compact.signature(), [1, 2]);
            assert!(compact.payload().unwrap().get("b").is_some());
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for token in [
            "",
            ".",
            "..",
            "eyJhIjoxfQ",
            "eyJhIjoxfQ.eyJiIjoyfQ",
            "eyJhIjoxfQ.eyJiIjoyfQ.AQI.",
            "eyJhIjoxfQ==.eyJiIjoyfQ.AQI",
            "eyJhIjoxfQ.eyJiIjoyfQ.AQJ",
            "eyJhIjoxfQ.eyJiIjoyfQ.A",
            "eyJhIjoxfQ.eyJiIjoyfQ.A+/I",
            "eyJhIjoxfQ .eyJiIjoyfQ.AQI",
            "_w.eyJiIjoyfQ.AQI",
            "eyJhIjoxfQ._w.AQI",
        ] {
            for size in [0, 64] {
                let (mut for_header, mut for_signature) = (vec![0; size], vec![0; size]);
                let read = Segments::parse(token, &mut for_header).and_then(|segments| {
                    segments.header()?;
                    segments.decode(&mut for_signature)?.payload().map(|_| ())
                });
                assert!(read.is_err(), "{token}");
            }
        }
    }

    #[test]
    fn segments_are_decoded_as_strictly_as_by_the_portable_decoder() {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

        let sound = b"aZ09-_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2";
        for length in 0..=sound.len() {
            for (at, byte) in (0..length).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
                let mut segment = sound[..length].to_vec();
                segment[at] = byte;
                let theirs = BASE64_URL_SAFE_NO_PAD.decode(&segment).ok();
                assert_eq!(URL_SAFE_NO_PAD.decode_to_vec(&segment).ok(), theirs, "{segment:?}");
                let Ok(segment) = str::from_utf8(&segment) else { continue };
                let mut buffer = vec![0; length];
                assert_eq!(decode_into(&mut buffer, segment).ok().map(Cow::into_owned), theirs, "{segment:?}");
            }
        }
    }

    #[test]
    fn a_signature_longer_than_any_key_makes_is_not_decoded() {
        let token = |length: usize| format!("eyJhIjoxfQ.eyJiIjoyfQ.{}", "A".repeat(length));
        assert!(Segments::parse(&token(1366), &mut []).is_ok());
        assert!(Segments::parse(&token(1368), &mut []).is_err());
    }
}
