use tower_clerk::verify::VerifyErrorKind;

use super::{full_token, good_token, verify};

/// All characters of tokens, and some that tokens cannot contain.
const CHARACTERS: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \t\r\n\0%,;:\"\u{7f}\u{e9}\u{feff}";

#[test]
fn a_token_with_any_character_replaced_is_rejected() {
    let good = good_token();
    for (at, original) in good.char_indices() {
        let (before, rest) = good.split_at(at);
        let after = rest.strip_prefix(original).expect("its character");
        for changed in CHARACTERS.chars().filter(|changed| *changed != original) {
            let rejected = verify(&format!("{before}{changed}{after}")).is_err();
            assert!(rejected, "accepted with {changed:?} for {original:?} at {at}");
        }
    }
}

#[test]
fn a_token_with_any_character_removed_is_rejected() {
    let good = good_token();
    for (at, original) in good.char_indices() {
        let (before, rest) = good.split_at(at);
        let after = rest.strip_prefix(original).expect("its character");
        assert!(verify(&format!("{before}{after}")).is_err(), "accepted without {original:?} at {at}");
    }
}

#[test]
fn a_token_with_any_character_inserted_is_rejected() {
    let good = good_token();
    for at in 0..=good.len() {
        let (before, after) = good.split_at(at);
        for added in CHARACTERS.chars() {
            assert!(verify(&format!("{before}{added}{after}")).is_err(), "accepted with {added:?} at {at}");
        }
    }
}

#[test]
fn a_token_with_adjacent_characters_swapped_is_rejected() {
    let good = good_token();
    let characters: Vec<char> = good.chars().collect();
    for at in 1..characters.len() {
        let mut changed = characters.clone();
        changed.swap(at - 1, at);
        let changed: String = changed.into_iter().collect();
        assert_eq!(verify(&changed).is_ok(), changed == good, "{at}");
    }
}

#[test]
fn a_truncated_token_is_rejected() {
    let good = good_token();
    for length in 0..good.len() {
        let (start, end) = good.split_at(length);
        assert!(verify(start).is_err(), "accepted to {length}");
        assert!(length == 0 || verify(end).is_err(), "accepted from {length}");
    }
}

#[test]
fn segments_of_different_tokens_do_not_verify() {
    let tokens = [good_token().to_owned(), full_token().claim("sub", "user_eve").header("x", 1).sign()];
    let segments: Vec<Vec<&str>> = tokens.iter().map(|token| token.split('.').collect()).collect();
    for choice in 0..8_usize {
        let [header, payload, signature] = [0, 1, 2].map(|index| segments[choice >> index & 1][index]);
        let mixed = format!("{header}.{payload}.{signature}");
        let expected = if tokens.contains(&mixed) { None } else { Some(VerifyErrorKind::InvalidSignature) };
        assert_eq!(verify(&mixed).err(), expected, "{choice:b}");
    }
}
