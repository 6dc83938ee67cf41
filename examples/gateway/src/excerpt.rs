//! Text as a fault shows it.

use std::error::Error;

/// Cuts text of a document and escapes it, so that a fault stays one short line.
pub(crate) fn excerpt(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(LONGEST).flat_map(char::escape_debug).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// The text of an error and of its causes.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Enough to find the place in the file.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use std::{error::Error, fmt, io};

    use super::{excerpt, with_causes};

    #[test]
    fn an_error_is_shown_with_its_causes() {
        #[derive(Debug)]
        struct Outer(io::Error);

        impl fmt::Display for Outer {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("no client")
            }
        }

        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }

        assert_eq!(with_causes(&Outer(io::Error::other("no certificates"))), "no client: no certificates");
    }

    #[test]
    fn long_text_is_cut_and_lines_are_escaped() {
        assert_eq!(excerpt("a\nb"), "a\\nb");
        assert_eq!(excerpt(&"x".repeat(100)), format!("{}…", "x".repeat(64)));
    }
}
