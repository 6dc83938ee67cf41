/// A text of a token: where it stands in the payload, or among the copies of what the payload spells with escapes.
///
/// Small, and nothing to drop: there are a dozen in everything that is remembered.
#[derive(Clone, Copy)]
pub(super) struct Text {
    is_copied: bool,
    length: u32,
    start: u32,
}

/// Takes in texts that borrow the payload.
pub(super) struct TextKeeper<'a> {
    pub(super) copies: String,
    payload: &'a str,
}

/// What texts are read from.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) copies: &'a str,
    pub(super) payload: &'a str,
}

impl<'a> TextKeeper<'a> {
    pub(super) fn new(payload: &'a str) -> Self {
        Self { copies: String::new(), payload }
    }

    pub(super) fn keep(&mut self, text: &str) -> Text {
        let start = text.as_ptr().addr().wrapping_sub(self.payload.as_ptr().addr());
        let is_inside = self.payload.get(start..start.wrapping_add(text.len())).is_some_and(|found| found == text);
        if is_inside {
            return Text::new(start, text.len(), false);
        }
        let start = self.copies.len();
        self.copies.push_str(text);
        Text::new(start, text.len(), true)
    }
}

impl Text {
    /// No token is so long that its numbers do not fit.
    fn new(start: usize, length: usize, is_copied: bool) -> Self {
        let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { is_copied, length: fit(length), start: fit(start) }
    }

    pub(super) fn within(self, texts: Texts<'_>) -> &str {
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (start, length) = (place(self.start), place(self.length));
        let all = if self.is_copied { texts.copies } else { texts.payload };
        all.get(start..start.saturating_add(length)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_were_kept_wherever_they_stand() {
        let payload = r#"{"sub":"user_a","name":"a\"b","sid":""}"#.to_owned();
        let inside = payload.get(8..14).unwrap();
        let mut keeper = TextKeeper::new(&payload);
        let given = [inside, "a\"b", "é", "", "user_a", payload.get(30..30).unwrap()];
        let kept = given.map(|text| keeper.keep(text));
        let texts = Texts { copies: &keeper.copies, payload: &payload };
        assert_eq!(kept.map(|text| text.within(texts)), given);
        assert_eq!(kept.map(|text| text.is_copied), [false, true, true, true, true, false]);
    }
}
