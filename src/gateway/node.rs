use std::borrow::Cow;

use super::variables::{Lookup, Resolved, has_variable, resolve};
use crate::{
    config::{ConfigError, ConfigErrors, Setting, both},
    json::{Object, Value},
};

/// An object in the document, with its path for error messages.
pub(super) struct Node<'a> {
    path: String,
    pub(super) members: Object<'a>,
}

impl<'a> Node<'a> {
    pub(super) fn read(path: String, text: &'a str) -> Option<Self> {
        Object::parse(text).ok().map(|members| Self { path, members })
    }

    /// Names a field of this object. The name may come from the document, so it is cut to 64 characters and escaped
    /// before it reaches a terminal or a log.
    pub(super) fn setting(&self, field: &str) -> Setting {
        let field: String = field.chars().take(64).flat_map(char::escape_debug).collect();
        Setting::field(if self.path.is_empty() { field } else { format!("{}.{field}", self.path) })
    }

    pub(super) fn invalid(&self, field: &str, reason: &'static str) -> ConfigError {
        ConfigError::invalid(self.setting(field), reason)
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.members.names().any(|name| name == field)
    }

    /// Rejects each field that is not among these.
    pub(super) fn reject_unknown(&self, known: &[&str]) -> Result<(), ConfigErrors> {
        let unknown = self.members.names().filter(|name| !known.contains(name));
        ConfigErrors::reject_any(unknown.map(|name| self.invalid(name, "is not a known field")))
    }

    /// Returns a string in which no variable can stand.
    pub(super) fn literal(&self, field: &str) -> Result<Cow<'a, str>, ConfigErrors> {
        let text = self.string(field)?;
        if has_variable(&text) {
            let reason = "must not have $env(NAME), which is read in handler.options only";
            return Err(self.invalid(field, reason).into());
        }
        Ok(text)
    }

    /// Returns a flag, which is `false` by default.
    pub(super) fn boolean(&self, field: &str) -> Result<bool, ConfigErrors> {
        match self.members.get(field) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(self.invalid(field, "must be true or false").into()),
        }
    }

    pub(super) fn object(&self, field: &str) -> Result<Self, ConfigErrors> {
        let invalid = || self.invalid(field, "must be an object without duplicate members");
        let Value::Object(text) = self.required(field)? else { return Err(invalid().into()) };
        Ok(Self::read(self.setting(field).name().to_owned(), text).ok_or_else(invalid)?)
    }

    /// Returns a string with its variables replaced.
    pub(super) fn text(&self, field: &str, lookup: Lookup<'_>) -> Result<Resolved<'a>, ConfigErrors> {
        resolve(self.string(field)?, self.setting(field), lookup)
    }

    /// Returns a string, or the strings of a list, with their variables replaced.
    pub(super) fn texts(&self, field: &str, lookup: Lookup<'_>) -> Result<Vec<String>, ConfigErrors> {
        let list = match self.required(field)? {
            Value::String(_) => return self.text(field, lookup).map(|text| vec![text.text.into_owned()]),
            list => list.elements(),
        };
        let list = list.ok_or_else(|| self.invalid(field, "must be a string, or a list of strings"))?;
        let text = |(index, element)| {
            let setting = Setting::field(format!("{}[{index}]", self.setting(field).name()));
            match element {
                Value::String(text) => resolve(text, setting, lookup).map(|text| text.text.into_owned()),
                _ => Err(ConfigError::invalid(setting, "must be a string").into()),
            }
        };
        let mut texts = Ok(Vec::new());
        for text in list.into_iter().enumerate().map(text) {
            texts = both(texts, text).map(|(mut texts, text)| {
                texts.push(text);
                texts
            });
        }
        texts
    }

    fn string(&self, field: &str) -> Result<Cow<'a, str>, ConfigError> {
        match self.required(field)? {
            Value::String(text) => Ok(text),
            _ => Err(self.invalid(field, "must be a string")),
        }
    }

    fn required(&self, field: &str) -> Result<Value<'a>, ConfigError> {
        self.members.get(field).ok_or_else(|| ConfigError::missing(self.setting(field), "it is required"))
    }
}
