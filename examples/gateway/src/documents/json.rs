//! JSON as it is written in a file: the order of members is kept, and members that appear twice are not lost.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::Number;

use crate::excerpt::excerpt;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Array(Vec<Self>),
    Bool(bool),
    Null,
    Number(Number),
    /// The members in their order. [`duplicates`] finds those that appear twice.
    Object(Vec<(String, Self)>),
    String(String),
}

impl Value {
    /// The member of this name, if this is an object that has it.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find_map(|(member, value)| (member == name).then_some(value))
    }

    /// Whether this is the text.
    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::String(own) if own == text)
    }
}

/// Parses the text of a file. Depth is bounded by `serde_json`.
///
/// # Errors
///
/// What is wrong, with line and column.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    if text.starts_with('\u{feff}') {
        return Err("must not begin with a byte order mark; save the file as UTF-8 without one".to_owned());
    }
    serde_json::from_str(text).map_err(|error| format!("must be strict JSON: {error}"))
}

/// The paths of all members that an earlier member of the same object has the name of.
pub(super) fn duplicates(value: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    find_duplicates(value, &mut vec!["$".to_owned()], &mut paths);
    paths
}

/// The step of a JSON path to a member: `.name`, or `['/name']` with everything escaped that a terminal would obey.
pub(super) fn step(member: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = member.bytes().all(is_plain) && member.starts_with(|first: char| !first.is_ascii_digit());
    let shown = excerpt(member);
    if is_name && shown == member { format!(".{member}") } else { format!("['{shown}']") }
}

fn find_duplicates(value: &Value, steps: &mut Vec<String>, paths: &mut Vec<String>) {
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                steps.push(format!("[{index}]"));
                find_duplicates(element, steps, paths);
                steps.pop();
            }
        }
        Value::Object(members) => {
            let mut names = HashSet::new();
            for (name, member) in members {
                steps.push(step(name));
                if !names.insert(name) {
                    paths.push(steps.concat());
                }
                find_duplicates(member, steps, paths);
                steps.pop();
            }
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Value::Object(members))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Array(elements) => {
                let mut sequence = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    sequence.serialize_element(element)?;
                }
                sequence.end()
            }
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Null => serializer.serialize_unit(),
            Self::Number(number) => number.serialize(serializer),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, member) in members {
                    map.serialize_entry(name, member)?;
                }
                map.end()
            }
            Self::String(text) => serializer.serialize_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_their_duplicates() {
        let value = parse(r#"{"b": 1, "a": [null, true, -2, 2.5, "x"], "b": {}}"#).unwrap();
        let Value::Object(members) = &value else { panic!("{value:?}") };
        assert_eq!(members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "a", "b"]);
        assert_eq!(serde_json::to_string(&value).unwrap(), r#"{"b":1,"a":[null,true,-2,2.5,"x"],"b":{}}"#);
    }

    #[test]
    fn every_duplicate_member_is_named_by_its_path() {
        let value = parse(r#"{"a": [{"/x'": 1, "/x'": {"y": 1, "y": 2}}], "z": {"y": 1}, "a": 1}"#).unwrap();
        assert_eq!(duplicates(&value), [r"$.a[0]['/x\'']", r"$.a[0]['/x\''].y", "$.a"]);
    }

    #[test]
    fn escaped_spellings_of_a_member_are_the_same_member() {
        let value = parse(r#"{"name": 1, "n\u0061me": 2}"#).unwrap();
        assert_eq!(duplicates(&value), ["$.name"]);
    }

    #[test]
    fn what_is_not_strict_json_is_refused_with_line_and_column() {
        let cases = [
            ("{\n  // comment\n}", "line 2 column 3"),
            ("{\n  /* comment */\n}", "line 2 column 3"),
            ("{\"a\": 1,}", "line 1 column 9"),
            ("[1, 2,]", "line 1 column 7"),
            ("{'a': 1}", "line 1 column 2"),
            ("{} {}", "line 1 column 4"),
            ("{}\n# end", "line 2 column 1"),
            ("", "line 1 column 0"),
            ("{\"a\": NaN}", "line 1 column 7"),
            ("{\"a\": 01}", "line 1 column 8"),
            ("{\"a\": \"\\ud800\"}", "line 1 column"),
            ("{\"a\": 1e999}", "line 1 column"),
        ];
        for (text, place) in cases {
            let reason = parse(text).unwrap_err();
            assert!(reason.contains(place), "{text}: {reason}");
        }
        assert!(parse("\u{feff}{}").unwrap_err().contains("byte order mark"));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(100)).is_ok());
        assert!(parse(&nested(100_000)).unwrap_err().contains("recursion limit"));
    }

    #[test]
    fn members_that_are_no_names_are_quoted_in_paths() {
        assert_eq!(step("get"), ".get");
        assert_eq!(step("_a1"), "._a1");
        assert_eq!(step("1a"), "['1a']");
        assert_eq!(step(""), "['']");
        assert_eq!(step("x-zuplo-route"), "['x-zuplo-route']");
        assert_eq!(step("/todos/{id}"), "['/todos/{id}']");
        assert_eq!(step(&"a".repeat(65)), format!("['{}…']", "a".repeat(64)));
        assert_eq!(step("a\n\u{1b}[31m"), r"['a\n\u{1b}[31m']");
    }
}
