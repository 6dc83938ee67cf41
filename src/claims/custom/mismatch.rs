use std::{
    any::type_name,
    borrow::Cow,
    error::Error,
    fmt::{self, Write},
};

use serde::de::{self, Expected, Unexpected};

/// Where a payload does not fit a type, and why.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Mismatch {
    /// The innermost step first.
    path: Vec<Step>,
    problem: Problem,
}

/// One step into the payload. It holds no text of the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
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

impl Mismatch {
    fn new(problem: Problem) -> Self {
        Self { path: Vec::new(), problem }
    }

    pub(super) fn inside(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    /// Says what the type expects here, unless the problem is known or lies further inside.
    pub(super) fn expecting(self, expected: impl Into<Cow<'static, str>>) -> Self {
        match self.problem {
            Problem::Unspecified if self.path.is_empty() => Self::new(Problem::Expected(expected.into())),
            _ => self,
        }
    }

    /// As [`expecting`](Self::expecting), by the name of the type. Types that macros generate have no useful name.
    pub(super) fn expecting_type<T>(self) -> Self {
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

/// The text, as far as it can be written. `to_string` panics if a type of the application fails to write its part.
pub(super) fn shown(text: fmt::Arguments<'_>) -> String {
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
