use proptest::{
    collection::vec,
    prelude::{any, prop_assert_eq, proptest},
};
use serde_json::{Map, Value, json};
use tower_clerk::verify::VerifyErrorKind;

use super::{cases, full_token, summary, verify};
use crate::support::issuer;

/// Chooses the next spelling.
struct Choices<'a> {
    at: usize,
    choices: &'a [u8],
}

impl Choices<'_> {
    fn next(&mut self, below: usize) -> usize {
        self.at += 1;
        usize::from(self.choices[self.at % self.choices.len()]) % below
    }

    fn white_space(&mut self) -> &'static str {
        ["", "", "", " ", "\t", "\n", "\r", " \r\n\t"][self.next(8)]
    }

    fn spell(&mut self, value: &Value) -> String {
        let (before, after) = (self.white_space(), self.white_space());
        let text = match value {
            Value::Array(elements) => {
                let elements: Vec<String> = elements.iter().map(|element| self.spell(element)).collect();
                format!("[{}{}]", self.white_space(), elements.join(","))
            }
            Value::Object(members) => self.spell_object(members),
            Value::String(text) => self.spell_string(text),
            other => other.to_string(),
        };
        format!("{before}{text}{after}")
    }

    fn spell_object(&mut self, members: &Map<String, Value>) -> String {
        let mut members: Vec<(&String, &Value)> = members.iter().collect();
        for last in (1..members.len()).rev() {
            members.swap(last, self.next(last + 1));
        }
        let members: Vec<String> = members
            .into_iter()
            .map(|(name, value)| {
                let (before, name, after) = (self.white_space(), self.spell_string(name), self.white_space());
                format!("{before}{name}{after}:{}", self.spell(value))
            })
            .collect();
        format!("{{{}{}}}", self.white_space(), members.join(","))
    }

    fn spell_string(&mut self, text: &str) -> String {
        let characters: String = text.chars().map(|character| self.spell_character(character)).collect();
        format!("\"{characters}\"")
    }

    /// RFC 8259, section 7: a character is written as it is if allowed, as a two-character escape if there is one, or
    /// as `\u` with four digits in either case, twice for a surrogate pair.
    fn spell_character(&mut self, character: char) -> String {
        let short = match character {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '/' => Some("\\/"),
            '\u{8}' => Some("\\b"),
            '\u{c}' => Some("\\f"),
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            '\t' => Some("\\t"),
            _ => None,
        };
        let must_be_escaped = matches!(character, '"' | '\\' | '\0'..='\u{1f}');
        match (self.next(4), short) {
            (0 | 1, _) if !must_be_escaped => character.to_string(),
            (0..=2, Some(short)) => short.to_owned(),
            _ => character.encode_utf16(&mut [0; 2]).iter().map(|unit| self.spell_unit(*unit)).collect(),
        }
    }

    fn spell_unit(&mut self, unit: u16) -> String {
        if self.next(2) == 0 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") }
    }
}

fn spelled(value: &Value, choices: &[u8]) -> String {
    Choices { at: 0, choices }.spell(value)
}

fn header() -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": issuer().kid(), "cat": "cl_B7d4PD111AAA", "x\u{1f980}": [null, "/"] })
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn a_token_has_the_same_claims_in_every_json_spelling(
        is_v1 in any::<bool>(),
        header_choices in vec(any::<u8>(), 1..200),
        payload_choices in vec(any::<u8>(), 1..400),
    ) {
        let original = if is_v1 { full_token().v1() } else { full_token() };
        let payload: Value = serde_json::from_str(&original.payload()).expect("JSON");
        let (header, payload) = (spelled(&header(), &header_choices), spelled(&payload, &payload_choices));
        let expected = summary(&verify(&original.sign()).expect("a good token"));
        let read = verify(&issuer().sign(&header, &payload)).map(|claims| (summary(&claims), claims.as_json().to_owned()));
        prop_assert_eq!(read, Ok((expected, payload)), "{}", header);
    }
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn an_invalid_claim_is_rejected_in_every_json_spelling(choices in vec(any::<u8>(), 1..400)) {
        for (bad, kind) in [
            (full_token().claim("azp", 7), VerifyErrorKind::InvalidAuthorizedParty),
            (full_token().claim("sts", "pending"), VerifyErrorKind::PendingSession),
            (full_token().claim("sub", "mch_a"), VerifyErrorKind::TokenKindNotAccepted),
            (full_token().expired(), VerifyErrorKind::Expired),
        ] {
            let payload: Value = serde_json::from_str(&bad.payload()).expect("JSON");
            let spelled = issuer().sign(&header().to_string(), &spelled(&payload, &choices));
            prop_assert_eq!(verify(&spelled).err(), Some(kind));
        }
    }
}

#[test]
fn the_generator_varies_the_json_spelling_of_a_value() {
    let payload: Value = serde_json::from_str(&full_token().payload()).expect("JSON");
    let mut spellings: Vec<String> =
        [[0; 3], [3; 3], [1, 2, 3], [7, 250, 12]].map(|choices| spelled(&payload, &choices)).into();
    for text in &spellings {
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), payload);
    }
    assert!(spellings[1].contains(r"\u0073\u0075\u0062") && spellings[1].contains(r"\uD83D\uDE00"), "{}", spellings[1]);
    spellings.sort_unstable();
    spellings.dedup();
    assert_eq!(spellings.len(), 4);
}
