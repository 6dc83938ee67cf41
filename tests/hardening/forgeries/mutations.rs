//! Random changes of a valid token, the same in every run.

use super::{
    forge::{good, jwks},
    table::{Class, Row},
    targets::Targets,
};

#[tokio::test]
async fn a_token_changed_at_random_is_rejected() {
    Targets::start(&jwks()).await.check(&rows()).await;
}

pub(crate) fn rows() -> Vec<Row> {
    let (token, mut dice) = (good(), Dice(0x5eed));
    let row =
        |case: String, attack: String| Row { class: Class::Mutation, case, attack, rejected: None, neighbour: good() };
    let mut rows = Vec::new();
    for round in 0..30 {
        let (at, other) = (dice.below(token.len()), dice.below(token.len()));
        let (before, after) = token.split_at(at);
        let rest = &after[1..];
        let letter = dice.letter(&after[..1]);
        rows.extend([
            row(format!("{round}: {letter} at {at}"), format!("{before}{letter}{rest}")),
            row(format!("{round}: {letter} before {at}"), format!("{before}{letter}{after}")),
            row(format!("{round}: without {at}"), format!("{before}{rest}")),
            row(format!("{round}: {at} twice"), format!("{before}{}{after}", &after[..1])),
            row(format!("{round}: cut at {at}"), before.to_owned()),
        ]);
        let (from, to) = (at.min(other), at.max(other) + 1);
        let middle = &token[from..to];
        rows.extend([
            row(format!("{round}: {from} to {to} twice"), format!("{}{middle}{}", &token[..to], &token[to..])),
            row(format!("{round}: without {from} to {to}"), format!("{}{}", &token[..from], &token[to..])),
        ]);
        let noise: String = (0..at).map(|_| dice.letter(".")).collect();
        rows.push(row(format!("{round}: {at} letters"), noise.clone()));
        rows.push(row(
            format!("{round}: {at} letters for a signature"),
            format!("{}{noise}", without_signature(&token)),
        ));
    }
    rows.retain(|row| row.attack != token && !row.attack.is_empty());
    rows
}

/// The text up to and including the last dot.
fn without_signature(token: &str) -> &str {
    &token[..=token.rfind('.').expect("a signature")]
}

/// SplitMix64, which gives the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end).expect("a length")).expect("below the end")
    }

    /// A character of base64url or a dot, but not this one.
    fn letter(&mut self, but: &str) -> char {
        loop {
            let at = self.below(LETTERS.len());
            let letter = LETTERS[at..].chars().next().expect("a letter");
            if !but.contains(letter) {
                return letter;
            }
        }
    }
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
