//! A token in compact serialization (RFC 7515, section 7.1), decoded in steps.
//!
//! The steps are separate types so that a token can be rejected by its header before the rest is decoded. The caller
//! supplies the buffers: on its stack they outlive the borrowed segments, and a usual token is decoded without the
//! heap.

use std::{borrow::Cow, str};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use memchr::memchr_iter;

use super::CheckedHeader;
use crate::{
    json::{Object, Value},
    token_kind::TokenKind,
};

/// A token split at its dots, of which only the header is decoded.
pub(crate) struct Segments<'t, 'b> {
    header: Cow<'b, [u8]>,
    payload: &'t [u8],
    signature: &'t [u8],
    /// The first two segments with their dot, as they are in the token (RFC 7515, section 5.2).
    signing_input: &'t [u8],
}

/// The payload and the signature of a token, decoded but not parsed.
pub(crate) struct DecodedSegments<'t, 'b> {
    payload: Cow<'b, [u8]>,
    signature: Cow<'b, [u8]>,
    signing_input: &'t [u8],
}

/// A well-formed token whose signature has not been verified: a compact JWS (RFC 7515, section 7.1) with a JSON object
/// as its payload.
///
/// It is consumed by `VerifyingKey::verify` and turned into a `VerifiedPayload`, so that no unverified copy of a
/// verified payload remains.
pub(crate) struct Compact<'p> {
    pub(super) payload: Payload<'p>,
    pub(super) signature: &'p [u8],
    pub(super) signing_input: &'p [u8],
}

/// The payload of a token: its text, and its members parsed.
///
/// `act` and `o` are parsed too if they are objects: whether a user is impersonated, and what they may do, must not
/// depend on which of two duplicate members a parser takes.
pub(crate) struct Payload<'p> {
    pub(crate) text: &'p str,
    pub(crate) members: Object<'p>,
    pub(crate) actor: Option<Object<'p>>,
    pub(crate) organization: Option<Object<'p>>,
}

/// The token is not three segments of canonical base64url, the first two of them JSON objects in UTF-8 with unique
/// members (RFC 7515, section 5.2; RFC 7519, section 7.2).
///
/// It says no more, because a client learns nothing but that its token is malformed.
#[derive(Debug)]
pub(crate) struct MalformedToken;

impl<'t, 'b> Segments<'t, 'b> {
    /// Splits `token` and decodes its header, into `buffer` if it fits.
    ///
    /// The signature is limited here: it need not be decoded to see that no key made it.
    pub(crate) fn parse(token: &'t [u8], buffer: &'b mut [u8]) -> Result<Self, MalformedToken> {
        let mut dots = memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(MalformedToken);
        };
        let part = |range| token.get(range).ok_or(MalformedToken);
        let (header, payload) = (part(0..first)?, part(first + 1..second)?);
        let (signing_input, signature) = (part(0..second)?, part(second + 1..token.len())?);
        if signature.len() > MAX_SIGNATURE {
            return Err(MalformedToken);
        }
        Ok(Self { header: decode(header, buffer)?, payload, signature, signing_input })
    }

    /// The first two segments with their dot, as they are in the token.
    pub(crate) fn signing_input(&self) -> &'t [u8] {
        self.signing_input
    }

    /// The last segment, as it is in the token.
    pub(crate) fn signature(&self) -> &'t [u8] {
        self.signature
    }

    /// The parameters of the JOSE header.
    pub(crate) fn header(&self) -> Result<Object<'_>, MalformedToken> {
        Object::parse(text(&self.header)?).map_err(|_| MalformedToken)
    }

    /// Decodes the payload and the signature, each into its buffer if it fits.
    pub(crate) fn decode<'d>(
        &self,
        for_payload: &'d mut [u8],
        for_signature: &'d mut [u8],
    ) -> Result<DecodedSegments<'t, 'd>, MalformedToken> {
        let signature = decode(self.signature, for_signature)?;
        let payload = decode(self.payload, for_payload)?;
        Ok(DecodedSegments { payload, signature, signing_input: self.signing_input })
    }
}

impl DecodedSegments<'_, '_> {
    /// Parses the payload. It borrows from `self`, which therefore has to live as long as the token is in use.
    pub(crate) fn parse(&self) -> Result<Compact<'_>, MalformedToken> {
        Ok(Compact {
            payload: Payload::parse(text(&self.payload)?)?,
            signature: &self.signature,
            signing_input: self.signing_input,
        })
    }
}

impl<'p> Compact<'p> {
    /// The issuer that the token claims, unverified. Use it only to select the instance whose keys are tried.
    pub(crate) fn claimed_issuer(&self) -> Option<Cow<'p, str>> {
        self.payload.members.string("iss")
    }

    /// The kind that the token claims to be of. Use it only to select the rules of that kind.
    pub(crate) fn claimed_kind(&self, header: &CheckedHeader<'_>) -> TokenKind {
        TokenKind::of_jwt(header.is_access_token, self.payload.members.string("sub").as_deref())
    }

    /// The value of a claim, unverified. Use it only to choose which of several tokens is tried.
    pub(crate) fn claimed(&self, name: &str) -> Option<Value<'p>> {
        self.payload.members.get(name)
    }
}

impl<'p> Payload<'p> {
    /// Parses the text of a payload.
    pub(crate) fn parse(text: &'p str) -> Result<Self, MalformedToken> {
        let members = Object::parse(text).map_err(|_| MalformedToken)?;
        let nested = |name| match members.get(name) {
            Some(Value::Object(text)) => Object::parse(text).map(Some).map_err(|_| MalformedToken),
            _ => Ok(None),
        };
        let (actor, organization) = (nested("act")?, nested("o")?);
        Ok(Self { text, members, actor, organization })
    }
}

fn text(bytes: &[u8]) -> Result<&str, MalformedToken> {
    str::from_utf8(bytes).map_err(|_| MalformedToken)
}

/// Decodes canonical base64url without padding (RFC 7515, section 2): into `buffer` if it fits, else onto the heap.
///
/// Trailing bits must be zero (RFC 4648, section 3.5). Otherwise several texts would be one token, and the token cache
/// could hold it several times.
fn decode<'b>(segment: &[u8], buffer: &'b mut [u8]) -> Result<Cow<'b, [u8]>, MalformedToken> {
    // The exact length, so that the slice holds the decoded bytes and nothing else: three bytes for four characters,
    // and for a rest of two or three characters one byte less.
    let length = segment.len() / 4 * 3 + (segment.len() % 4).saturating_sub(1);
    match buffer.get_mut(..length) {
        Some(buffer) => match BASE64_URL_SAFE_NO_PAD.decode_slice(segment, buffer) {
            Ok(_) => Ok(Cow::Borrowed(buffer)),
            Err(_) => Err(MalformedToken),
        },
        None => BASE64_URL_SAFE_NO_PAD.decode(segment).map(Cow::Owned).map_err(|_| MalformedToken),
    }
}

/// In base64url characters: the 1024 bytes that a key of 8192 bits signs with, the longest that is accepted.
const MAX_SIGNATURE: usize = 1366;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_canonical_segments_are_read() {
        // With buffers that are too small and with buffers that are large enough.
        for size in [0, 1, 2, 6, 7, 8] {
            let [mut for_header, mut for_payload, mut for_signature] = [(); 3].map(|()| vec![0; size]);
            let segments = Segments::parse(b"eyJhIjoxfQ.eyJiIjoyfQ.AQI", &mut for_header).unwrap();
            assert!(segments.header().unwrap().get("a").is_some());
            let decoded = segments.decode(&mut for_payload, &mut for_signature).unwrap();
            let compact = decoded.parse().unwrap();
            assert_eq!(compact.signing_input, b"eyJhIjoxfQ.eyJiIjoyfQ");
            assert_eq!(compact.signature, [1, 2]);
            assert_eq!(compact.payload.text, r#"{"b":2}"#);
            assert!(compact.payload.members.get("b").is_some());
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
                let [mut for_header, mut for_payload, mut for_signature] = [(); 3].map(|()| vec![0; size]);
                let read = Segments::parse(token.as_bytes(), &mut for_header).and_then(|segments| {
                    segments.header()?;
                    segments.decode(&mut for_payload, &mut for_signature)?.parse().map(|_| ())
                });
                assert!(read.is_err(), "{token}");
            }
        }
    }

    #[test]
    fn segments_are_decoded_alike_into_a_buffer_and_onto_the_heap() {
        let well_formed = b"aZ09-_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2";
        for length in 0..=well_formed.len() {
            for (at, byte) in (0..length).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
                let mut segment = well_formed[..length].to_vec();
                segment[at] = byte;
                let expected = BASE64_URL_SAFE_NO_PAD.decode(&segment).ok();
                for size in [0, length] {
                    let mut buffer = vec![0; size];
                    assert_eq!(decode(&segment, &mut buffer).ok().map(Cow::into_owned), expected, "{segment:?}");
                }
            }
        }
    }

    #[test]
    fn a_signature_longer_than_any_key_makes_is_not_decoded() {
        let token = |length: usize| format!("eyJhIjoxfQ.eyJiIjoyfQ.{}", "A".repeat(length));
        assert!(Segments::parse(token(1366).as_bytes(), &mut []).is_ok());
        assert!(Segments::parse(token(1368).as_bytes(), &mut []).is_err());
    }
}
