//! Bytes near the valid form, which are hard for parsers.

use std::ops::Range;

use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_oneof},
    sample::{Index, select},
};

/// One of the seeds with up to five changes, or arbitrary bytes.
pub(crate) fn near_or_any(seeds: &[String]) -> impl Strategy<Value = Vec<u8>> + use<> {
    prop_oneof![9 => near(seeds), 1 => vec(any::<u8>(), 0..400)]
}

/// One of the seeds with up to five changes.
pub(crate) fn near(seeds: &[String]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    (select(seeds.clone()), select(seeds), vec(change(), 0..6))
        .prop_map(|(seed, other, changes)| changes.iter().fold(seed, |bytes, change| change.applied(bytes, &other)))
}

/// As [`near`], with invalid UTF-8 replaced.
pub(crate) fn text_near(seeds: &[String]) -> impl Strategy<Value = String> + use<> {
    near_or_any(seeds).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Clone, Debug)]
enum Change {
    Delete(Index, Index),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index, usize),
    /// Replaces a piece of this seed by a piece of another.
    Splice(Index, Index, Index, Index),
    Truncate(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), at()).prop_map(|(from, to)| Change::Delete(from, to)),
        (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), piece()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, vec![byte])),
        (at(), at(), 2..5_usize).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        (at(), at(), at(), at())
            .prop_map(|(from, to, other_from, other_to)| Change::Splice(from, to, other_from, other_to)),
        at().prop_map(Change::Truncate),
    ]
}

/// Pieces with a meaning to some parser.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let texts = [
        "\0",
        "\u{feff}",
        "\"",
        "\\",
        "\\u0000",
        "\\ud800",
        "\\ud83d\\ude00",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        ".",
        "..",
        "=",
        "==",
        "null",
        "-1",
        "1e999",
        "8640000000001",
        "%",
        "%2E",
        "%ff",
        ";",
        "\r\n",
        "\t",
        " ",
        "Bearer ",
        "$",
        "$env(A)",
        "@",
        "?",
        "#",
        "//",
        "https://",
        "-----BEGIN ",
        "-----END ",
        "\\n",
        "\u{e9}",
        "\u{1f980}",
    ];
    let mut pieces: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    pieces.extend([vec![0xff], vec![0xc0, 0xa2], vec![0xed, 0xa0, 0x80], b"[".repeat(200), b"A".repeat(1500)]);
    select(pieces)
}

impl Change {
    fn applied(&self, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
        let length = bytes.len();
        match self {
            Self::Delete(from, to) => {
                bytes.drain(range(*from, *to, length));
            }
            Self::Flip(_, _) if length == 0 => {}
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Self::Insert(at, piece) => {
                let at = at.index(length + 1);
                bytes.splice(at..at, piece.iter().copied());
            }
            Self::Repeat(from, to, times) => {
                let range = range(*from, *to, length);
                let repeated = bytes[range.clone()].repeat(*times);
                bytes.splice(range, repeated);
            }
            Self::Splice(from, to, other_from, other_to) => {
                let piece = other[range(*other_from, *other_to, other.len())].to_vec();
                bytes.splice(range(*from, *to, length), piece);
            }
            Self::Truncate(at) => bytes.truncate(at.index(length + 1)),
        }
        bytes
    }
}

fn range(one: Index, other: Index, length: usize) -> Range<usize> {
    let (one, other) = (one.index(length + 1), other.index(length + 1));
    one.min(other)..one.max(other)
}
