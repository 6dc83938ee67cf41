//! Which paths no route may get.

use percent_encoding::percent_decode_str;

/// Why a path is refused (400).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BadPath {
    /// It holds a control character, as it is or encoded.
    ControlCharacter,
    /// It holds `.` or `..` as a segment, in any spelling.
    DotSegment,
    /// Its percent-encoding is malformed, nested too deep, or hides bytes that are no UTF-8.
    Encoding,
    /// It does not begin with a slash.
    NoSlash,
}

impl BadPath {
    /// What the client is told.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::ControlCharacter => "The path holds a control character.",
            Self::DotSegment => "The path holds a dot segment. Send the path that it stands for.",
            Self::Encoding => "The percent-encoding of the path is malformed.",
            Self::NoSlash => "The path does not begin with a slash.",
        }
    }
}

/// Checks the path of a request, before it is matched.
///
/// # Errors
///
/// Why no route may get it.
pub(crate) fn check(path: &str) -> Result<(), BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath::NoSlash);
    }
    if is_harmless(path) {
        return Ok(());
    }
    if !is_well_encoded(path) {
        return Err(BadPath::Encoding);
    }
    let mut level = path.to_owned();
    for _ in 0..=DEEPEST {
        if level.chars().any(char::is_control) {
            return Err(BadPath::ControlCharacter);
        }
        if holds_dot_segment(&level) {
            return Err(BadPath::DotSegment);
        }
        let decoded = percent_decode_str(&level).decode_utf8().map_err(|_| BadPath::Encoding)?;
        if decoded == level {
            return Ok(());
        }
        if has_unicode_escape(&decoded) {
            return Err(BadPath::Encoding);
        }
        level = decoded.into_owned();
    }
    Err(BadPath::Encoding)
}

/// Whether the path of a URL holds a dot segment in any spelling, or may hide one.
#[cfg(test)]
pub(crate) fn has_dot_segment(path: &str) -> bool {
    if is_harmless(path) {
        return false;
    }
    let mut level = percent_decode_str(path).decode_utf8_lossy().into_owned();
    if holds_dot_segment(path) {
        return true;
    }
    for _ in 0..DEEPEST {
        if holds_dot_segment(&level) {
            return true;
        }
        let decoded = percent_decode_str(&level).decode_utf8_lossy().into_owned();
        if decoded == level {
            return false;
        }
        level = decoded;
    }
    true
}

/// Whether one look at the bytes shows that the path has one reading in which no segment begins with a dot.
fn is_harmless(path: &str) -> bool {
    let mut previous = 0;
    for &byte in path.as_bytes() {
        let special = byte <= b' ' || byte >= 0x7f || matches!(byte, b'%' | b'\\' | b';');
        if special || (byte == b'.' && previous == b'/') {
            return false;
        }
        previous = byte;
    }
    true
}

fn is_well_encoded(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let mut digits = rest.bytes().take(2);
        let mut is_digit = || digits.next().is_some_and(|digit| digit.is_ascii_hexdigit());
        is_digit() && is_digit()
    })
}

/// Whether text that was decoded holds `%u` and four digits, which some servers decode.
fn has_unicode_escape(text: &str) -> bool {
    text.to_ascii_lowercase().split("%u").skip(1).any(|rest| {
        let digits = rest.bytes().take(4);
        digits.clone().count() == 4 && digits.clone().all(|digit| digit.is_ascii_hexdigit())
    })
}

fn holds_dot_segment(path: &str) -> bool {
    path.split(['/', '\\']).map(without_parameters).any(is_dot_segment)
}

fn without_parameters(segment: &str) -> &str {
    segment.split_once(';').map_or(segment, |(segment, _)| segment)
}

/// Some file systems drop spaces and dots at the end of a name, so `.. ` counts.
fn is_dot_segment(segment: &str) -> bool {
    match segment {
        "." | ".." => true,
        _ => segment.starts_with('.') && segment.contains(' ') && segment.chars().all(|each| matches!(each, '.' | ' ')),
    }
}

/// Nobody encodes a path more often by accident; without a limit, decoding `%252525…` takes quadratic time.
const DEEPEST: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BadPath, check, has_dot_segment};

    #[test]
    fn ordinary_paths_pass() {
        for path in [
            "/",
            "/a/b/",
            "/a//b",
            "/.well-known/jwks.json",
            "/a...b/...",
            "/A%20b/caf%C3%A9",
            "/100%25",
            "/100%25up",
            "/a;x=1/b",
            "/a%2Fb",
            "/a%252Fb",
            "/a\\b",
            "/..a/a../.a",
            "/{a}|\"",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
            assert!(!has_dot_segment(path), "{path}");
        }
    }

    #[test]
    fn dot_segments_are_refused_in_every_spelling() {
        for path in [
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/%2e%2E/a",
            "/.%2e/a",
            "/a%2f..%2fb",
            "/a%2f%2e%2e%2fb",
            "/%252e%252e/",
            "/%25252e./",
            "/a\\..\\b",
            "/a%5c..%5cb",
            "/a/..;/b",
            "/..;x=1/",
            "/..%3b/",
            "/..%3bx=1%2fa",
            "/.;/a",
            "/..%20/a",
            "/a/.%20.;x",
        ] {
            assert_eq!(check(path), Err(BadPath::DotSegment), "{path}");
            assert!(has_dot_segment(path), "{path}");
        }
    }

    #[test]
    fn malformed_encodings_are_refused() {
        for path in [
            "/%",
            "/a%2",
            "/%zz",
            "/%u002e%u002e/",
            "/%2",
            "/%c0%ae",
            "/%c0%ae%c0%ae/",
            "/%e0%80%ae",
            "/%ff",
            "/%25c0%25ae",
            "/%25u002e",
            "/%2525252525252e",
        ] {
            assert_eq!(check(path), Err(BadPath::Encoding), "{path}");
        }
    }

    #[test]
    fn control_characters_are_refused() {
        for path in ["/a%00", "/a%0a", "/%7f", "/%c2%85", "/a\tb", "/%2500"] {
            assert_eq!(check(path), Err(BadPath::ControlCharacter), "{path}");
        }
    }

    #[test]
    fn a_path_begins_with_a_slash() {
        for path in ["", "*", "a/b"] {
            assert_eq!(check(path), Err(BadPath::NoSlash), "{path}");
        }
    }

    #[test]
    fn deeply_nested_encodings_take_little_time() {
        let path = format!("/%{}41", "25".repeat(30_000));
        assert_eq!(check(&path), Err(BadPath::Encoding));
        assert!(has_dot_segment(&path));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|[/.%;\\\\2eEfF5cC ]{0,24}") {
            let _ = check(&text);
            let _ = has_dot_segment(&text);
        }

        #[test]
        fn what_passes_has_no_dot_segment(text in "/[/.%;\\\\2eEfF5cCb3 ]{0,16}") {
            if check(&text).is_ok() {
                prop_assert!(!has_dot_segment(&text));
            }
        }
    }
}
