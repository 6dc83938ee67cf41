//! The segments with which a path begins.

use urlpattern::parser::{Part, PartModifier, PartType};

use super::tree::Segment;

/// Returns the first segments that are a text or a parameter, and whether they are all there is.
pub(super) fn leading_segments(parts: &[Part]) -> (Vec<Segment>, bool) {
    let mut segments = Segments::default();
    for (number, part) in parts.iter().enumerate() {
        let is_last = number + 1 == parts.len();
        let simple = part.modifier == PartModifier::None;
        let prefix = if part.kind == PartType::FixedText { &part.value } else { &part.prefix };
        if !simple {
            if is_last && prefix.starts_with('/') {
                segments.finish();
            }
            return (segments.finished, false);
        }
        if !segments.text(prefix) {
            return (segments.finished, false);
        }
        let goes_on = match part.kind {
            PartType::FixedText => true,
            PartType::SegmentWildcard => segments.parameter() && segments.text(&part.suffix),
            PartType::FullWildcard | PartType::Regexp => false,
        };
        if !goes_on {
            return (segments.finished, false);
        }
    }
    segments.finish();
    (segments.finished, true)
}

#[derive(Default)]
struct Segments {
    finished: Vec<Segment>,
    /// `None` before the first slash.
    current: Option<Segment>,
}

impl Segments {
    fn finish(&mut self) {
        self.finished.extend(self.current.take());
    }

    /// Whether the text fits; not so if it is part of a segment with a parameter, or has more than one spelling.
    fn text(&mut self, text: &str) -> bool {
        for character in text.chars() {
            match (&mut self.current, character) {
                (_, '/') => {
                    self.finish();
                    self.current = Some(Segment::Text(String::new()));
                }
                (_, '%') | (None | Some(Segment::Parameter), _) => return false,
                (Some(Segment::Text(current)), _) => current.push(character),
            }
        }
        true
    }

    fn parameter(&mut self) -> bool {
        let fits = self.current.as_ref().is_some_and(|current| *current == Segment::Text(String::new()));
        if fits {
            self.current = Some(Segment::Parameter);
        }
        fits
    }
}
