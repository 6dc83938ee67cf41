//! An entry answers for the exact text of its token. What shares the end of that text, or all of its signature, is
//! another token.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tower_clerk::{
    Verifier,
    testing::{ManualClock, TokenBuilder},
    verify::VerifyErrorKind::{self, InvalidSignature, Malformed, UnsupportedAlgorithm},
};

use super::cached::{Cached, END, flipped, is_hit, replaced, segments};
use crate::support::{issuer, token};

/// The other tests rely on this to tell a hit from a verification.
#[test]
fn a_hit_shares_the_claims_of_the_first_verification() {
    let token = token().sign();
    let builder = || Verifier::builder(issuer().config()).clock(ManualClock::new());
    for (builder, expected) in [(builder(), true), (builder().without_token_cache(), false)] {
        let verifier = builder.build().expect("a verifier");
        let [first, second] = [(); 2].map(|()| verifier.try_verify(&token).expect("a valid token"));
        assert_eq!(is_hit(&first, &second), expected);
    }
}

#[tokio::test]
async fn the_signature_of_a_cached_token_admits_no_other_payload() {
    let (ada, eve) = (token().sign(), token().claim("sub", "user_eve").sign());
    let ([header, payload, signature], [_, other, _]) = (segments(&ada), segments(&eve));
    let admin = BASE64_URL_SAFE_NO_PAD.encode(token().organization("org_acme", "admin").payload());
    let empty = BASE64_URL_SAFE_NO_PAD.encode("{}");
    // With the other token unknown, and with both tokens cached.
    for cached in [vec![ada.clone()], vec![ada.clone(), eve.clone()]].map(Cached::new) {
        for payload in [other, &admin, &empty] {
            let text = format!("{header}.{payload}.{signature}");
            assert_eq!(cached.rejects(&text), InvalidSignature, "{payload}");
            cached.assert_refused(&text).await;
        }
        // A part of the right payload, and the right payload with more behind it.
        for end in 1..payload.len() {
            assert_is_of_the_text(cached.rejects(&format!("{header}.{}.{signature}", &payload[..end])));
        }
        for rest in ["A", "AA", "AAAA", "IA", "ICAg"] {
            assert_is_of_the_text(cached.rejects(&format!("{header}.{payload}{rest}.{signature}")));
        }
        cached.assert_admitted().await;
    }
}

#[tokio::test]
async fn the_signature_of_a_cached_token_admits_no_other_header() {
    let (usual, other) = (token().sign(), token().without_header("typ").sign());
    let ([header, payload, signature], [untyped, same, _]) = (segments(&usual), segments(&other));
    assert_eq!(payload, same);
    let none = token().header("alg", "none").sign();
    for cached in [vec![usual.clone()], vec![usual.clone(), other.clone()]].map(Cached::new) {
        for (header, kind) in [(untyped, InvalidSignature), (segments(&none)[0], UnsupportedAlgorithm)] {
            let text = format!("{header}.{payload}.{signature}");
            assert_eq!(cached.rejects(&text), kind);
            cached.assert_refused(&text).await;
        }
        cached.rejects(&format!("{payload}.{header}.{signature}"));
        cached.assert_admitted().await;
    }
}

#[test]
fn each_character_of_a_cached_tokens_signature_counts() {
    let token = token().sign();
    let cached = Cached::new([token.clone()]);
    let start = token.len() - segments(&token)[2].len();
    // The 256 bytes of a signature with a key of 2048 bits.
    assert_eq!(token.len() - start, 342);
    for (at, character) in token.char_indices().skip(start) {
        // The last character holds two bits of the signature, the others six.
        let bits = if at + 1 == token.len() { [0x10, 0x20, 0x30] } else { [0x01, 0x20, 0x3f] };
        for bits in bits {
            let text = replaced(&token, at, flipped(character, bits));
            assert_eq!(cached.rejects(&text), InvalidSignature, "{at}");
        }
    }
}

#[test]
fn each_character_of_a_cached_tokens_header_and_payload_counts() {
    let token = token().sign();
    let cached = Cached::new([token.clone()]);
    let [header, payload, _] = segments(&token);
    for (at, character) in token.char_indices().take(header.len() + 1 + payload.len()) {
        if character == '.' {
            continue;
        }
        let others = [0x01, 0x20, 0x3f].map(|bits| flipped(character, bits));
        let cases = [character.to_ascii_lowercase(), character.to_ascii_uppercase()];
        for other in others.into_iter().chain(cases).filter(|other| *other != character) {
            cached.rejects(&replaced(&token, at, other));
        }
    }
}

#[tokio::test]
async fn a_cached_token_has_its_two_dots_and_no_other() {
    let token = token().sign();
    let cached = Cached::new([token.clone()]);
    let [header, payload, signature] = segments(&token);
    for at in 0..=token.len() {
        let (before, after) = token.split_at(at);
        assert_eq!(cached.rejects(&format!("{before}.{after}")), Malformed, "{at}");
    }
    for text in [
        format!("{header}.{payload}{signature}"),
        format!("{header}{payload}.{signature}"),
        format!("{header}{payload}{signature}"),
        format!("{header}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("..{signature}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}~{signature}"),
        format!("{header}~{payload}.{signature}"),
    ] {
        assert_eq!(cached.rejects(&text), Malformed, "{text}");
        cached.assert_refused(&text).await;
    }
    assert_eq!(cached.rejects(&format!("{header}.{payload}.")), InvalidSignature);
    // A dot that has moved.
    let (first, second) = (header.len(), header.len() + 1 + payload.len());
    for dot in [first, second] {
        let rest = replaced(&token, dot, '~').replace('~', "");
        for at in (dot - 8..=dot + 8).filter(|at| *at != dot) {
            let (before, after) = rest.split_at(at);
            assert_is_of_the_text(cached.rejects(&format!("{before}.{after}")));
        }
    }
    cached.assert_admitted().await;
}

#[test]
fn a_part_of_a_cached_token_is_no_token() {
    let token = token().sign();
    let cached = Cached::new([token.clone()]);
    let end = &token[token.len() - END..];
    for at in 1..=token.len() {
        assert_eq!(cached.rejects(&token[at..]), Malformed, "{at}");
    }
    for at in 0..token.len() - END {
        // With the end by which the entry is found.
        cached.rejects(&format!("{}{end}", &token[..at]));
        cached.rejects(&token[..at]);
    }
}

#[tokio::test]
async fn parts_of_two_cached_tokens_are_no_third_one() {
    let ada = token();
    let pairs: [[TokenBuilder; 2]; 3] = [
        // Of one length, of two lengths, and with one payload under two headers.
        [ada.clone(), ada.clone().claim("sub", "user_eve")],
        [ada.clone(), ada.clone().organization("org_acme", "admin")],
        [ada.clone(), ada.clone().without_header("typ")],
    ];
    for pair in pairs {
        let tokens = pair.map(|token| token.sign());
        let cached = Cached::new(tokens.clone());
        let parts = tokens.each_ref().map(|token| {
            let (input, signature) = token.rsplit_once('.').expect("a token");
            let (body, end) = signature.split_at(signature.len() - END);
            [input, body, end]
        });
        // Each part of the one or of the other token; the first and the last choice are the tokens themselves.
        for choice in 1..7 {
            let [input, body, end] = [0, 1, 2].map(|part| parts[choice >> part & 1][part]);
            let text = format!("{input}.{body}{end}");
            assert_eq!(cached.rejects(&text), InvalidSignature, "{choice}");
            cached.assert_refused(&text).await;
        }
        cached.assert_admitted().await;
    }
}

/// The text is no token, or its signature is that of another text. No key is missing, and no claim was read.
#[track_caller]
fn assert_is_of_the_text(kind: VerifyErrorKind) {
    assert!(matches!(kind, Malformed | InvalidSignature), "{kind:?}");
}
