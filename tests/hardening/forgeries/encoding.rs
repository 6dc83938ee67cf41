//! Deep nesting, long tokens, and segments that are not canonical base64url.

use serde_json::Value;
use tower_clerk::verify::VerifyErrorKind::{self, InvalidSignature, Malformed, TooLong};

use super::{
    forge::{appended, attach, encode, good, header, jwks, message, payload, trusted, with},
    table::{Class, Row, rows as table},
    targets::Targets,
};

pub(crate) fn rows() -> Vec<Row> {
    [deep(), large(), not_base64url()].into_iter().flatten().collect()
}

#[tokio::test]
async fn deep_nesting_is_rejected() {
    Targets::start(&jwks()).await.check(&deep()).await;
}

#[tokio::test]
async fn a_token_beyond_the_limit_is_a_malformed_request() {
    Targets::start(&jwks()).await.check(&large()).await;
}

#[tokio::test]
async fn segments_are_canonical_base64url_without_padding() {
    Targets::start(&jwks()).await.check(&not_base64url()).await;
}

type Attack = (String, String, VerifyErrorKind);

fn deep() -> Vec<Row> {
    let nested = |depth: usize, open: &str, close: &str| {
        appended(&payload(), &format!("\"x\":{}1{}", open.repeat(depth - 1), close.repeat(depth - 1)))
    };
    let signed = |payload: String| trusted().sign_bytes(header().to_string(), payload);
    let unsigned = |header: String| format!("{}.AAAA", message(header, "{}"));
    let attacks = [
        ("one level too many", signed(nested(128, "[", "]")), Malformed),
        ("one object too many", signed(nested(128, "{\"x\":", "}")), Malformed),
        ("a thousand levels", signed(nested(1000, "[", "]")), Malformed),
        ("a deep header", unsigned("[".repeat(9000)), Malformed),
        ("a deep member of a header", unsigned(format!("{{\"alg\":\"RS256\",\"x\":{}", "[".repeat(9000))), Malformed),
        ("deep objects", unsigned("{\"x\":".repeat(2000)), Malformed),
        ("a deep payload", format!("{}.AAAA", message(header().to_string(), "[".repeat(9000))), Malformed),
        ("closed only", unsigned("]".repeat(9000)), Malformed),
    ];
    table(Class::DepthAndSize, &signed(nested(127, "[", "]")), attacks)
}

fn large() -> Vec<Row> {
    let limit = 16 * 1024;
    let padded = |length: usize| trusted().sign(&header(), &with(payload(), "pad", "x".repeat(length)));
    // Three octets are four characters, so one length in three meets the limit exactly.
    let longest = (1..limit).rev().find(|length| padded_length(*length) <= limit).expect("a length");
    let digits = format!("\"x\":{}.", "9".repeat(9000));
    let attacks = [
        ("one too long", padded(longest + 1), TooLong),
        ("64 KiB", padded(48 * 1024), TooLong),
        ("64 KiB of header", trusted().sign(&with(header(), "pad", "x".repeat(48 * 1024)), &payload()), TooLong),
        ("1 MiB", padded(768 * 1024), TooLong),
        ("1 MiB of one letter", "A".repeat(1024 * 1024), TooLong),
        ("20 000 dots", ".".repeat(20_000), TooLong),
        ("2 000 dots", ".".repeat(2000), Malformed),
        ("2 000 segments", "AAAA.".repeat(2000), Malformed),
        ("a long signature", attach(&message(header().to_string(), payload().to_string()), [1; 8000]), Malformed),
        ("a number without end", trusted().sign_bytes(header().to_string(), appended(&payload(), &digits)), Malformed),
    ];
    table(Class::DepthAndSize, &padded(longest), attacks)
}

/// The length of a token whose payload is padded with this many letters.
fn padded_length(letters: usize) -> usize {
    let unpadded = good().len();
    let member = r#","pad":"""#.len();
    let payload = payload().to_string().len();
    unpadded - (payload * 4).div_ceil(3) + ((payload + member + letters) * 4).div_ceil(3)
}

fn not_base64url() -> Vec<Row> {
    // A payload whose encoding contains both characters that differ between base64 and base64url.
    let spoilable = |object: &Value| encode(appended(object, r#""x":"?????>>>>>""#));
    let (first, second) = (spoilable(&header()), spoilable(&payload()));
    let token = trusted().seal(&format!("{first}.{second}"));
    let (message, third) = token.rsplit_once('.').expect("a signature");
    let mut attacks: Vec<Attack> = Vec::new();
    for (case, spoil) in SPOILS {
        // The trusted key signs the segments as they are, so only the encoding is invalid.
        let (header, payload) = (format!("{}.{second}", spoil(&first)), format!("{first}.{}", spoil(&second)));
        attacks.push((format!("header: {case}"), trusted().seal(&header), Malformed));
        attacks.push((format!("payload: {case}"), trusted().seal(&payload), Malformed));
        attacks.push((format!("signature: {case}"), format!("{message}.{}", spoil(third)), Malformed));
    }
    let (body, last) = third.split_at(third.len() - 1);
    for (at, letter) in ALPHABET.char_indices().filter(|(_, letter)| !last.contains(*letter)) {
        // Only the first two bits of the last character are used. The unused bits are zero in four characters.
        let rejected = if at % 16 == 0 { InvalidSignature } else { Malformed };
        attacks.push((format!("signature: {letter} at the end"), format!("{message}.{body}{letter}"), rejected));
    }
    assert!(SPOILS.iter().all(|(_, spoil)| [&first, &second, third].iter().all(|segment| spoil(segment) != **segment)));
    table(Class::InvalidBase64url, &token, attacks)
}

/// The same octets with another last character, whose unused bits are not zero (RFC 4648, section 3.5).
fn alias(segment: &str) -> String {
    let (body, last) = segment.split_at(segment.len() - 1);
    let at = ALPHABET.find(last).expect("a letter");
    format!("{body}{}", &ALPHABET[at + 1..at + 2])
}

fn insert(segment: &str, text: &str) -> String {
    format!("{}{text}{}", &segment[..8], &segment[8..])
}

/// The name of an encoding error, and a function that produces it.
type Spoil = (&'static str, fn(&str) -> String);

const SPOILS: [Spoil; 20] = [
    ("padding", |segment| format!("{segment}{}", "=".repeat(4 - segment.len() % 4))),
    ("short padding", |segment| format!("{segment}=")),
    ("long padding", |segment| format!("{segment}====")),
    ("padding before", |segment| format!("={segment}")),
    ("padding within", |segment| insert(segment, "=")),
    ("escaped padding", |segment| format!("{segment}%3D")),
    ("an escaped dot", |segment| insert(segment, "%2E")),
    ("in base64", |segment| segment.replace('-', "+").replace('_', "/")),
    ("an alias", alias),
    ("a letter too many", |segment| format!("{segment}{}", "A".repeat(5 - segment.len() % 4))),
    ("a space", |segment| insert(segment, " ")),
    ("a tab", |segment| insert(segment, "\t")),
    ("a line break", |segment| insert(segment, "\n")),
    ("a NUL", |segment| insert(segment, "\0")),
    ("DEL", |segment| insert(segment, "\u{7f}")),
    ("a star", |segment| insert(segment, "*")),
    ("a tilde", |segment| insert(segment, "~")),
    ("a comma", |segment| insert(segment, ",")),
    ("a wide letter", |segment| insert(segment, "\u{ff21}")),
    ("a no-break space", |segment| insert(segment, "\u{a0}")),
];
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
