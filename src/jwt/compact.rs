use crate::json::{Object, has_byte};

/// A token split, of which only the header is decoded.
pub(crate) struct Segments<'a> {
    header: String,
    payload: &'a str,
    signature: &'a str,
    signing_input: &'a str,
}

/// A token decoded, its signature not yet looked at.
pub(crate) struct Compact<'a> {
    payload: String,
    signature: Vec<u8>,
    signing_input: &'a str,
}

/// Not three segments of canonical base64url, the first two of them UTF-8 (RFC 7515, section 5.2).
#[derive(Debug)]
pub(crate) struct MalformedToken;

impl<'a> Segments<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, MalformedToken> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or(MalformedToken)?;
        let (header, payload) = signing_input.split_once('.').ok_or(MalformedToken)?;
        if has_byte(payload, b'.') || signature.len() > MAX_SIGNATURE {
            return Err(MalformedToken);
        }
        Ok(Self { header: decode_text(header)?, payload, signature, signing_input })
    }

    /// The members of the JOSE header.
    pub(crate) fn header(&self) -> Result<Object<'_>, MalformedToken> {
        Object::parse(&self.header).map_err(|_| MalformedToken)
    }

    /// Decodes the rest.
    pub(crate) fn decode(&self) -> Result<Compact<'a>, MalformedToken> {
        let signature = decode(self.signature)?;
        Ok(Compact { payload: decode_text(self.payload)?, signature, signing_input: self.signing_input })
    }
}

impl Compact<'_> {
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

fn decode(segment: &str) -> Result<Vec<u8>, MalformedToken> {
    base64_simd::URL_SAFE_NO_PAD.decode_to_vec(segment).map_err(|_| MalformedToken)
}

fn decode_text(segment: &str) -> Result<String, MalformedToken> {
    String::from_utf8(decode(segment)?).map_err(|_| MalformedToken)
}

/// In base64url characters: the signature of an RSA key of 8192 bits, the longest that counts as a key.
const MAX_SIGNATURE: usize = 1366;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_canonical_segments_are_read() {
        let segments = Segments::parse("eyJhIjoxfQ.eyJiIjoyfQ.AQI").unwrap();
        assert!(segments.header().unwrap().get("a").is_some());
        let compact = segments.decode().unwrap();
        assert_eq!(compact.signing_input(), b"eyJhIjoxfQ.eyJiIjoyfQ");
        assert_eq!(compact.signature(), [1, 2]);
        assert!(compact.payload().unwrap().get("b").is_some());
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
            let read = Segments::parse(token).and_then(|segments| {
                segments.header()?;
                segments.decode()?.payload().map(|_| ())
            });
            assert!(read.is_err(), "{token}");
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
                let ours = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(&segment).ok();
                assert_eq!(ours, BASE64_URL_SAFE_NO_PAD.decode(&segment).ok(), "{segment:?}");
            }
        }
    }

    #[test]
    fn a_signature_longer_than_any_key_makes_is_not_decoded() {
        let token = |length: usize| format!("eyJhIjoxfQ.eyJiIjoyfQ.{}", "A".repeat(length));
        assert!(Segments::parse(&token(1366)).is_ok());
        assert!(Segments::parse(&token(1368)).is_err());
    }
}
