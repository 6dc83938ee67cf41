use std::{borrow::Cow, ops::Range};

/// A text inside a payload: where it stands, or its own copy if the payload spells it with escapes.
pub(super) enum Text {
    Copied(Box<str>),
    Inside(Range<usize>),
}

impl Text {
    pub(super) fn new(text: Cow<'_, str>, payload: &str) -> Self {
        match text {
            Cow::Borrowed(text) => {
                let start = text.as_ptr().addr().wrapping_sub(payload.as_ptr().addr());
                let range = start..start.wrapping_add(text.len());
                match payload.get(range.clone()) {
                    Some(found) if found == text => Self::Inside(range),
                    _ => Self::Copied(text.into()),
                }
            }
            Cow::Owned(text) => Self::Copied(text.into()),
        }
    }

    pub(super) fn within<'a>(&'a self, payload: &'a str) -> &'a str {
        match self {
            Self::Copied(text) => text,
            Self::Inside(range) => payload.get(range.clone()).unwrap_or_default(),
        }
    }
}
