//! Reads a payload as `serde_json` does, and keeps track of the path.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{de::StrRead, value::RawValue};

use super::mismatch::{Mismatch, Step, shown};

/// The text of one JSON value.
///
/// Scalars are read by `serde_json` itself, so that this fails where `serde_json` failed before. Only arrays and
/// objects are walked here.
#[derive(Clone, Copy)]
pub(super) struct Reader<'de>(&'de str);

impl<'de> Reader<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self(text)
    }

    fn first_byte(self) -> Option<u8> {
        self.0.trim_ascii_start().bytes().next()
    }

    /// Lets `serde_json` read the whole value.
    fn read<V: Visitor<'de>>(
        self,
        visitor: V,
        read: impl FnOnce(&mut serde_json::Deserializer<StrRead<'de>>, V) -> serde_json::Result<V::Value>,
    ) -> Result<V::Value, Mismatch> {
        // Asked before the visitor sees the value, so the text cannot quote it.
        let expected = expectation(&visitor);
        let mut json = serde_json::Deserializer::from_str(self.0);
        // Without the end, `1` would be read from `1.5`.
        let value = read(&mut json, visitor).and_then(|value| json.end().map(|()| value));
        value.map_err(|_| Mismatch::default().expecting(expected))
    }

    /// Walks an array or an object. `fields` are those that the type declares, if it is a struct.
    fn walk<V: Visitor<'de>>(self, visitor: V, fields: Option<Fields>) -> Result<V::Value, Mismatch> {
        let expected = expectation(&visitor);
        let mut found = None;
        let walk = Walk { visitor, fields, found: &mut found };
        let walked = serde_json::Deserializer::from_str(self.0).deserialize_any(walk);
        walked.map_err(|_| found.unwrap_or_default().expecting(expected))
    }
}

macro_rules! read_scalars_and_walk_the_rest {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            match self.first_byte() {
                Some(b'{' | b'[') => self.walk(visitor, None),
                _ => self.read(visitor, |json, visitor| json.$method(visitor)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Mismatch;

    read_scalars_and_walk_the_rest! {
        deserialize_any deserialize_bool deserialize_byte_buf deserialize_bytes deserialize_char deserialize_f32
        deserialize_f64 deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_identifier deserialize_map deserialize_seq deserialize_str deserialize_string deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_unit
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.read(visitor, |json, visitor| json.deserialize_enum(name, variants, visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        // `serde_json` asks for its own types by names that start so, and alone can read them.
        if name.starts_with('$') {
            return self.read(visitor, |json, visitor| json.deserialize_newtype_struct(name, visitor));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.first_byte() == Some(b'n') { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: Fields,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.first_byte() {
            Some(b'{' | b'[') => self.walk(visitor, Some(fields)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_unit(visitor)
    }
}

/// The names of the fields of a struct.
type Fields = &'static [&'static str];

/// Passes the members or elements of one value on, and keeps the mismatch, which `serde_json` could not return.
struct Walk<'f, V> {
    visitor: V,
    fields: Option<Fields>,
    found: &'f mut Option<Mismatch>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Walk<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let members = Members { map, fields: self.fields, step: Step::AnyKey };
        self.visitor.visit_map(members).map_err(|mismatch| keep(self.found, mismatch))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        let elements = Elements { seq, next: 0 };
        self.visitor.visit_seq(elements).map_err(|mismatch| keep(self.found, mismatch))
    }
}

fn keep<E: de::Error>(found: &mut Option<Mismatch>, mismatch: Mismatch) -> E {
    *found = Some(mismatch);
    E::custom("mismatch")
}

struct Members<A> {
    map: A,
    /// `None` for a map, whose keys are only in the token.
    fields: Option<Fields>,
    /// The step to the value that follows.
    step: Step,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<A> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some(fields) = self.fields else {
            return self.map.next_key_seed(seed).map_err(|_| Mismatch::default());
        };
        let Some(name) = self.map.next_key::<Cow<'de, str>>().map_err(|_| Mismatch::default())? else {
            return Ok(None);
        };
        let field = fields.iter().find(|field| **field == name);
        self.step = field.map_or(Step::AnyKey, |field| Step::Field(field));
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let value: &'de RawValue = self.map.next_value().map_err(|_| Mismatch::default())?;
        let read = seed.deserialize(Reader(value.get()));
        read.map_err(|mismatch| mismatch.expecting_type::<V::Value>().inside(self.step))
    }
}

struct Elements<A> {
    seq: A,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<A> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some(value) = self.seq.next_element::<&'de RawValue>().map_err(|_| Mismatch::default())? else {
            return Ok(None);
        };
        let step = Step::Index(self.next);
        self.next = self.next.saturating_add(1);
        let read = seed.deserialize(Reader(value.get())).map(Some);
        read.map_err(|mismatch| mismatch.expecting_type::<T::Value>().inside(step))
    }
}

/// What a visitor says that it expects.
fn expectation<'de, V: Visitor<'de>>(visitor: &V) -> String {
    let expected: &dyn Expected = visitor;
    shown(format_args!("{expected}"))
}

#[cfg(test)]
mod tests {
    use std::{any::type_name, collections::HashMap};

    use serde::{Deserialize, de::DeserializeOwned};
    use serde_json::Value;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only deserialized")]
    struct Plain {
        #[serde(alias = "b")]
        a: Option<i64>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only deserialized")]
    struct Flat {
        #[serde(flatten)]
        plain: Plain,
        #[serde(flatten)]
        rest: HashMap<String, Value>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only deserialized")]
    enum Tagged {
        Unit,
        Newtype(u8),
        Struct { a: u8 },
    }

    #[derive(Deserialize)]
    #[serde(tag = "a")]
    #[expect(dead_code, reason = "only deserialized")]
    enum InternallyTagged {
        X { b: f64 },
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only deserialized")]
    enum Untagged {
        Number(f32),
        Plain(Plain),
    }

    #[derive(Deserialize)]
    struct Unit;

    fn assert_alike<T: DeserializeOwned>() {
        for text in [
            "null",
            "true",
            "0",
            "-1",
            "255",
            "256",
            "1.5",
            "1e400",
            "340282366920938463463374607431768211455",
            "\"\"",
            "\"a\"",
            "\"\\u0061\"",
            "\"ab\"",
            "\"Unit\"",
            "\"127.0.0.1\"",
            "[]",
            "[1]",
            "[1,2]",
            "[1,\"a\"]",
            "[[1],[2]]",
            "[null]",
            "{}",
            r#"{"a":1}"#,
            r#"{"a":"x"}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":null}"#,
            r#"{"1":1}"#,
            r#"{"1":"x"}"#,
            r#"{"Newtype":7}"#,
            r#"{"Newtype":"x"}"#,
            r#"{"Struct":{"a":1}}"#,
            r#"{"Unit":null}"#,
            r#"{"a":"X","b":1.5}"#,
            r#"{"a":"X","b":"x"}"#,
            r#"{"\u0061":{"a":[1,{"a":2}]}}"#,
            r#" { "a" : [ ] } "#,
        ] {
            let (first, second) = (serde_json::from_str::<T>(text).is_ok(), T::deserialize(Reader(text)).is_ok());
            assert_eq!(first, second, "{} {text}", type_name::<T>());
        }
    }

    #[test]
    fn the_second_reading_fails_exactly_where_serde_json_does() {
        assert_alike::<()>();
        assert_alike::<(u8, u8)>();
        assert_alike::<Box<RawValue>>();
        assert_alike::<Flat>();
        assert_alike::<HashMap<String, u8>>();
        assert_alike::<HashMap<u8, Option<Value>>>();
        assert_alike::<InternallyTagged>();
        assert_alike::<Option<bool>>();
        assert_alike::<Plain>();
        assert_alike::<String>();
        assert_alike::<Tagged>();
        assert_alike::<Unit>();
        assert_alike::<Untagged>();
        assert_alike::<Value>();
        assert_alike::<Vec<Vec<u8>>>();
        assert_alike::<[u8; 2]>();
        assert_alike::<char>();
        assert_alike::<f32>();
        assert_alike::<i8>();
        assert_alike::<serde_json::Number>();
        assert_alike::<std::net::IpAddr>();
        assert_alike::<u128>();
    }
}
