//! Strings of a token as offsets into one text.
//!
//! The claims of a token are a dozen strings. As slices they would borrow from the payload; as `String`s each would be
//! an allocation. As spans they need one allocation for all.

use std::borrow::Cow;

/// A slice of the text that a [`SpanBuilder`] makes, in 8 bytes. It is `Copy`, so dropping a cached token frees one
/// allocation.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

/// Builds the text that spans refer to: the payload, followed by values that are not slices of it, such as strings with
/// escapes and decoded permissions.
pub(super) struct SpanBuilder<'p> {
    payload: &'p str,
    text: String,
}

impl Span {
    /// An offset beyond `u32` is out of bounds and resolves to the empty string. Tokens are at most 1 MiB long.
    fn new(start: usize, length: usize) -> Self {
        let offset = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { start: offset(start), length: offset(length) }
    }

    /// Returns the slice of `text`; empty if it is out of bounds.
    pub(super) fn resolve(self, text: &str) -> &str {
        let offset = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let start = offset(self.start);
        text.get(start..start.saturating_add(offset(self.length))).unwrap_or_default()
    }
}

impl<'p> SpanBuilder<'p> {
    /// Starts the text with `payload` and reserves `spare` bytes after it.
    pub(super) fn new(payload: &'p str, spare: usize) -> Self {
        let mut text = String::with_capacity(payload.len() + spare);
        text.push_str(payload);
        Self { payload, text }
    }

    /// Returns the span of a value of the payload, appending it only if it is no slice of the payload.
    #[expect(clippy::ptr_arg, reason = "what is borrowed stands in the payload already, and the `Cow` says so")]
    pub(super) fn span(&mut self, value: &Cow<'p, str>) -> Span {
        match value {
            Cow::Borrowed(value) => self.find(value).unwrap_or_else(|| self.append(|text| text.push_str(value))),
            Cow::Owned(value) => self.append(|text| text.push_str(value)),
        }
    }

    pub(super) fn optional_span(&mut self, value: Option<&Cow<'p, str>>) -> Option<Span> {
        value.map(|value| self.span(value))
    }

    /// Appends a text that is no slice of the payload.
    pub(super) fn text(&mut self, value: &str) -> Span {
        self.append(|text| text.push_str(value))
    }

    /// Returns the span of what `write` appends to the text.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut String)) -> Span {
        let start = self.text.len();
        write(&mut self.text);
        Span::new(start, self.text.len() - start)
    }

    /// Returns the text that the spans refer to.
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Returns the span of a slice of the payload by comparing addresses; `None` if `value` is not part of it.
    fn find(&self, value: &str) -> Option<Span> {
        let start = value.as_ptr().addr().checked_sub(self.payload.as_ptr().addr())?;
        let end = start.checked_add(value.len())?;
        (end <= self.payload.len()).then(|| Span::new(start, value.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back_as_they_were_stored() {
        let payload = r#"{"sub":"user_a","name":"a\"b","sid":""}"#.to_owned();
        let inside = payload.get(8..14).unwrap();
        let mut builder = SpanBuilder::new(&payload, 0);
        let given = [
            Cow::Borrowed(inside),
            Cow::Owned("a\"b".to_owned()),
            Cow::Borrowed("é"),
            Cow::Borrowed(""),
            Cow::Owned("user_a".to_owned()),
            Cow::Borrowed(payload.get(30..30).unwrap()),
        ];
        let spans = given.clone().map(|value| builder.span(&value));
        let appended = builder.append(|text| text.push_str("org:admin"));
        let text = builder.finish();
        assert_eq!(spans.map(|span| span.resolve(&text)), given.each_ref().map(AsRef::as_ref));
        assert_eq!(appended.resolve(&text), "org:admin");
        assert!(text.starts_with(&payload));
        assert_eq!(text.len(), payload.len() + "a\"b".len() + "é".len() + "user_a".len() + "org:admin".len());
    }
}
