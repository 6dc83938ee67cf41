//! A cached token has one spelling. Others of the same bytes are rejected as they are when nothing is cached.

use tower_clerk::verify::VerifyErrorKind::Malformed;

use super::cached::{Cached, END, flipped, replaced, segments};
use crate::support::token;

/// A token with this much more in its header and its payload.
fn padded(length: usize) -> String {
    let pad = "x".repeat(length);
    token().header("pad", &pad).claim("pad", &pad).sign()
}

/// The index after each segment of the token.
fn ends(token: &str) -> [usize; 3] {
    let [header, payload, _] = segments(token);
    [header.len(), header.len() + 1 + payload.len(), token.len()]
}

#[tokio::test]
async fn bits_that_encode_nothing_make_no_second_spelling() {
    // Spellings of a header, of a payload and of a signature.
    let mut made = [0; 3];
    // Of three lengths in a row, one leaves a rest of one byte and one a rest of two.
    for length in 0..3 {
        let token = padded(length);
        let cached = Cached::new([token.clone()]);
        for ((end, segment), made) in ends(&token).into_iter().zip(segments(&token)).zip(&mut made) {
            let spare = match segment.len() % 4 {
                2 => 1..16,
                3 => 1..4,
                _ => continue,
            };
            let last = segment.chars().next_back().expect("a character");
            for bits in spare {
                let text = replaced(&token, end - 1, flipped(last, bits));
                assert_eq!(cached.rejects(&text), Malformed, "{text}");
                *made += 1;
            }
            let text = replaced(&token, end - 1, flipped(last, 1));
            cached.assert_refused(&text).await;
        }
        cached.assert_admitted().await;
    }
    assert_eq!(made, [15 + 3, 15 + 3, 3 * 15]);
}

#[tokio::test]
async fn padding_makes_no_second_spelling() {
    for length in 0..3 {
        let token = padded(length);
        let cached = Cached::new([token.clone()]);
        for end in ends(&token) {
            for padding in ["=", "==", "==="] {
                let (before, after) = token.split_at(end);
                let text = format!("{before}{padding}{after}");
                assert_eq!(cached.rejects(&text), Malformed, "{text}");
                cached.assert_refused(&text).await;
            }
        }
        let full = segments(&token).map(|segment| format!("{segment}{}", "=".repeat((4 - segment.len() % 4) % 4)));
        assert_eq!(cached.rejects(&full.join(".")), Malformed);
        cached.assert_admitted().await;
    }
}

#[tokio::test]
async fn the_other_alphabet_of_base64_makes_no_second_spelling() {
    let is_both = |segment: &str| segment.contains('-') && segment.contains('_');
    let mixed = |number: usize| token().header("pad", "???>>>").claim("pad", "???>>>").claim("n", number).sign();
    let token = (0..).map(mixed).find(|token| segments(token).into_iter().all(is_both)).expect("a token");
    let cached = Cached::new([token.clone()]);
    let other = |character| match character {
        '-' => '+',
        '_' => '/',
        same => same,
    };
    for (at, character) in token.char_indices().filter(|(_, character)| matches!(character, '-' | '_')) {
        let text = replaced(&token, at, other(character));
        assert_eq!(cached.rejects(&text), Malformed, "{text}");
        cached.assert_refused(&text).await;
    }
    assert_eq!(cached.rejects(&token.chars().map(other).collect::<String>()), Malformed);
    cached.assert_admitted().await;
}

#[test]
fn white_space_and_escapes_make_no_second_spelling() {
    let token = padded(0);
    let cached = Cached::new([token.clone()]);
    let [first, second, end] = ends(&token);
    for at in [0, 1, first, first + 1, second, second + 1, end - END - 1, end - END, end - 1, end] {
        let (before, after) = token.split_at(at);
        for between in [" ", "\t", "\n", "\r\n", "\0", "\u{a0}", "\u{feff}", "\"", ",", "%", "*", "~"] {
            assert_eq!(cached.rejects(&format!("{before}{between}{after}")), Malformed, "{at} {between:?}");
        }
    }
    for (character, escaped) in [(".", "%2E"), ("e", "%65"), ("e", "\\u0065")] {
        assert_eq!(cached.rejects(&token.replacen(character, escaped, 1)), Malformed);
        assert_eq!(cached.rejects(&token.replace(character, escaped)), Malformed);
    }
    assert_eq!(cached.rejects(&token.replace('.', "\u{ff0e}")), Malformed);
}
