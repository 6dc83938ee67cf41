//! A token. With line breaks, the input is its segments, which are encoded first.

#![no_main]

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use tower_clerk_fuzz::{TOKENS, read_all, verifier};

fuzz_target!(|input: &[u8]| {
    let segments: Vec<&[u8]> = input.splitn(3, |byte| *byte == b'\n').collect();
    let token = match segments.as_slice() {
        [_] => String::from_utf8_lossy(input).into_owned(),
        segments => segments.iter().map(|segment| BASE64_URL_SAFE_NO_PAD.encode(segment)).collect::<Vec<_>>().join("."),
    };
    let verdict = verifier().try_verify(&token);
    assert_eq!(verdict.is_ok(), TOKENS.contains(&token.as_str()), "{token}");
    if let Ok(claims) = verdict {
        assert!(read_all(&claims) > 0);
    }
});
