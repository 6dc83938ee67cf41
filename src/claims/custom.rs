//! Why a payload does not fit the type of the custom claims: where in the claims, and what the type expects there.
//!
//! The message of `serde_json` may quote values of the token, so it is dropped. The payload is read a second time, by a
//! deserializer whose errors hold no text of the token: names of fields, as the type declares them, positions, and what
//! the type says that it expects. That happens only after a failure, so claims that fit cost nothing more.

use std::{
    any::type_name,
    borrow::Cow,
    error::Error,
    fmt::{self, Write},
};

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
    },
};
use serde_json::{de::StrRead, value::RawValue};

/// Error of [`Claims::custom`](super::Claims::custom): the payload does not deserialize into the type.
///
/// Its [`source`](Error::source) says where and why, such as `profile.age: expected u32` or `profile.age: missing field`.
/// It never holds a value of the payload, or a name that only the payload has. A key of a map is therefore shown as `*`,
/// and so is a field beside `#[serde(flatten)]`, whose names serde does not tell. The path ends at an enum, and at a
/// type with a flattened part if the mistake is in that part.
///
/// If a number is rejected that the type should accept, look for the feature `arbitrary_precision` of `serde_json`: with
/// it, serde cannot read numbers in flattened parts and in untagged enums.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use std::error::Error;
///
/// use tower_clerk::ClerkAuth;
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Custom {
///     profile: Profile,
/// }
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Profile {
///     age: u32,
/// }
///
/// let profile = serde_json::json!({ "age": "unknown" });
/// let user = ClerkAuth::builder().claim("profile", profile).build();
/// let error = user.custom::<Custom>().unwrap_err();
/// assert_eq!(error.source().unwrap().to_string(), "profile.age: expected u32");
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CustomClaimsError {
    /// Boxed, because results of verified requests hold this type.
    mismatch: Box<Mismatch>,
}

/// Where a payload does not fit a type, and why.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Mismatch {
    /// The innermost step first.
    path: Vec<Step>,
    problem: Problem,
}

/// One step into the payload. It holds no text of the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// A member of an object whose name the type does not declare.
    AnyKey,
    /// A field, by the name that the type declares.
    Field(&'static str),
    /// An element of an array, counted from zero.
    Index(usize),
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Problem {
    Duplicate,
    Expected(Cow<'static, str>),
    Missing,
    UnknownField,
    #[default]
    Unspecified,
}

impl CustomClaimsError {
    /// Finds out why `payload` does not deserialize into `T`.
    pub(super) fn of<T: DeserializeOwned>(payload: &str) -> Self {
        // A type that fits at the second reading has no fixed behaviour, and nothing can be said about it.
        let mismatch = T::deserialize(Json(payload)).err().unwrap_or_default().expecting_type::<T>();
        Self { mismatch: Box::new(mismatch) }
    }
}

impl fmt::Display for CustomClaimsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the payload does not match the type of the custom claims")
    }
}

impl Error for CustomClaimsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.mismatch)
    }
}

impl Mismatch {
    fn new(problem: Problem) -> Self {
        Self { path: Vec::new(), problem }
    }

    fn inside(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    /// Says what the type expects here, unless the problem is known or lies further inside.
    fn expecting(self, expected: impl Into<Cow<'static, str>>) -> Self {
        match self.problem {
            Problem::Unspecified if self.path.is_empty() => Self::new(Problem::Expected(expected.into())),
            _ => self,
        }
    }

    /// As [`expecting`](Self::expecting), by the name of the type. Types that macros generate have no useful name.
    fn expecting_type<T>(self) -> Self {
        let name = type_name::<T>();
        if name.contains("__") { self } else { self.expecting(name) }
    }

    /// What a visitor expects that serde made to read a buffered value, after that value was seen: only the names of
    /// serde's own types, because any other text may quote the value.
    fn of_buffered(expected: &dyn Expected) -> Self {
        let text = shown(format_args!("{expected}"));
        match TYPES.iter().find(|name| **name == text) {
            Some(name) => Self::new(Problem::Expected(Cow::Borrowed(name))),
            None => Self::default(),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.path.iter().rev().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            match step {
                Step::AnyKey => write!(formatter, "{dot}*")?,
                Step::Field(name) => write!(formatter, "{dot}{name}")?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        if !self.path.is_empty() {
            formatter.write_str(": ")?;
        }
        match &self.problem {
            Problem::Duplicate => formatter.write_str("duplicate field"),
            Problem::Expected(expected) => write!(formatter, "expected {expected}"),
            Problem::Missing => formatter.write_str("missing field"),
            Problem::UnknownField => formatter.write_str("unknown field"),
            Problem::Unspecified => formatter.write_str("invalid value"),
        }
    }
}

impl Error for Mismatch {}

/// Texts and values that serde passes here may come from the token. They are dropped.
impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::default()
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of_buffered(expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of_buffered(expected)
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::new(Problem::UnknownField)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Problem::Missing).inside(Step::Field(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Problem::Duplicate).inside(Step::Field(field))
    }
}

/// The text of one JSON value.
///
/// Scalars are read by `serde_json` itself, so that this fails where `serde_json` failed before. Only arrays and objects
/// are walked here.
#[derive(Clone, Copy)]
struct Json<'de>(&'de str);

impl<'de> Json<'de> {
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
        read(&mut serde_json::Deserializer::from_str(self.0), visitor)
            .map_err(|_| Mismatch::default().expecting(expected))
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

impl<'de> Deserializer<'de> for Json<'de> {
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
        let read = seed.deserialize(Json(value.get()));
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
        let read = seed.deserialize(Json(value.get())).map(Some);
        read.map_err(|mismatch| mismatch.expecting_type::<T::Value>().inside(step))
    }
}

/// What a visitor says that it expects.
fn expectation<'de, V: Visitor<'de>>(visitor: &V) -> String {
    let expected: &dyn Expected = visitor;
    shown(format_args!("{expected}"))
}

/// The text, as far as it can be written. `to_string` panics if a type of the application fails to write its part.
fn shown(text: fmt::Arguments<'_>) -> String {
    let mut shown = String::new();
    let _ = shown.write_fmt(text);
    shown
}

/// What the visitors of serde's own types expect.
const TYPES: [&str; 21] = [
    "a boolean",
    "a character",
    "a map",
    "a sequence",
    "a string",
    "a tuple",
    "byte array",
    "f32",
    "f64",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "isize",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "unit",
];
