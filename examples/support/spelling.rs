//! In which other ways an upstream may read a path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Returns the path and everything that comes out of it when upstreams decode it, take a backslash for a slash, cut
/// parameters of segments, merge slashes, drop dots and spaces at the end of segments, cut what a decoded `?` or `#`
/// begins, or take `//name` for the authority of a URL, in any order and any number of times. `None`: there are too
/// many.
pub(crate) fn readings(path: &str) -> Option<Vec<String>> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let Some(reading) = found.get(next).cloned() {
        next += 1;
        for step in STEPS {
            let Cow::Owned(other) = step(&reading) else {
                continue;
            };
            if found.contains(&other) {
                continue;
            }
            if found.len() == MOST || found.len() * path.len() > MOST_BYTES {
                return None;
            }
            found.push(other);
        }
    }
    Some(found)
}

/// Whether one look at the bytes shows that the path has no other reading, except in another case or without a slash at
/// its end.
pub(crate) fn has_one_reading(path: &str) -> bool {
    let mut previous = 0;
    for &byte in path.as_bytes() {
        let special = byte <= b' ' || byte >= 0x7f || matches!(byte, b'%' | b'\\' | b';');
        if special || (byte == b'/' && matches!(previous, b'/' | b'.')) {
            return false;
        }
        previous = byte;
    }
    previous != b'.'
}

/// Whether a path with one reading has no capital letter and no slash at its end.
pub(crate) fn is_plain(path: &str) -> bool {
    !path.bytes().any(|byte| byte.is_ascii_uppercase()) && (!path.ends_with('/') || path == "/")
}

/// Makes texts equal that differ only in case.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // By way of capitals, since some letters (such as the long s) share theirs with another.
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Decodes until nothing changes.
pub(crate) fn decode_fully(text: &str) -> String {
    let mut text = text.to_owned();
    loop {
        let decoded = decode(&text).into_owned();
        // Each round makes it shorter, unless it holds bytes that are no UTF-8.
        if decoded.len() >= text.len() {
            return text;
        }
        text = decoded;
    }
}

fn decode(path: &str) -> Cow<'_, str> {
    percent_decode_str(path).decode_utf8_lossy()
}

/// Proxies decode what needs no encoding, and leave the rest.
fn decode_unreserved(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return path.into();
    }
    let mut rest = path;
    let mut decoded = String::with_capacity(path.len());
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        rest = after;
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                decoded.push(char::from(byte));
                rest = after.get(2..).unwrap_or_default();
            }
            _ => decoded.push('%'),
        }
    }
    decoded.push_str(rest);
    decoded.into()
}

fn turn_backslashes(path: &str) -> Cow<'_, str> {
    if path.contains('\\') { path.replace('\\', "/").into() } else { path.into() }
}

fn cut_parameters(path: &str) -> Cow<'_, str> {
    by_segment(path, &[';'], |segment| segment.split_once(';').map_or(segment, |(segment, _)| segment))
}

fn merge_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return path.into();
    }
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged.into()
}

fn trim_segments(path: &str) -> Cow<'_, str> {
    by_segment(path, &['.', ' '], |segment| segment.trim_end_matches(['.', ' ']))
}

fn by_segment<'a>(path: &'a str, signs: &[char], change: impl Fn(&str) -> &str) -> Cow<'a, str> {
    if !path.contains(signs) {
        return path.into();
    }
    let mut changed = String::with_capacity(path.len());
    for (number, segment) in path.split('/').enumerate() {
        if number > 0 {
            changed.push('/');
        }
        changed.push_str(change(segment));
    }
    changed.into()
}

/// Proxies that decode a path and send it on without encoding it again turn `%3f` into the beginning of a query.
fn cut_query(path: &str) -> Cow<'_, str> {
    path.split_once(['?', '#']).map_or(path.into(), |(before, _)| before.to_owned().into())
}

/// Two slashes begin an authority (RFC 3986, section 4.2) for who resolves the target against a base URL, as
/// `new URL(target, base)` in JavaScript does, for which more slashes are two.
fn drop_authority(path: &str) -> Cow<'_, str> {
    let Some(rest) = path.strip_prefix("//") else { return path.into() };
    let rest = rest.trim_start_matches('/');
    rest.find('/').and_then(|end| rest.get(end..)).unwrap_or("/").to_owned().into()
}

/// What upstreams do; borrowed text is unchanged.
const STEPS: [fn(&str) -> Cow<'_, str>; 8] = [
    decode,
    decode_unreserved,
    turn_backslashes,
    cut_parameters,
    merge_slashes,
    trim_segments,
    cut_query,
    drop_authority,
];

/// Ordinary paths have one to four; each costs a look into the table.
const MOST: usize = 64;

/// Of all readings: keeps the work for a long path in proportion to what the client sent.
const MOST_BYTES: usize = 1 << 17;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decode_fully, decode_unreserved, fold, has_one_reading, is_plain, readings};

    #[test]
    fn steps_are_combined_in_every_order() {
        let readings = readings("/a%2Fb//c;x").unwrap();
        for reading in ["/a%2Fb//c;x", "/a/b//c;x", "/a%2Fb/c;x", "/a%2Fb//c", "/a/b/c", "/a/b//c", "/a/b/c;x"] {
            assert!(readings.iter().any(|found| found == reading), "{reading}");
        }
        assert_eq!(readings.len(), 8);
    }

    #[test]
    fn a_query_that_was_encoded_is_cut() {
        for path in ["/admin%3fx", "/admin%23x/y", "/admin%253f"] {
            assert!(readings(path).unwrap().contains(&"/admin".to_owned()), "{path}");
        }
    }

    #[test]
    fn what_could_be_an_authority_is_dropped() {
        for path in ["//x/admin", "///x/admin", "/\\x/admin", "//x\\admin", "/%2fx/admin", "//x@y:1/admin"] {
            assert!(readings(path).unwrap().contains(&"/admin".to_owned()), "{path}");
        }
        assert!(readings("//admin").unwrap().contains(&"/".to_owned()));
        assert!(!readings("/x//admin").unwrap().contains(&"/admin".to_owned()));
    }

    #[test]
    fn an_encoded_path_of_words_has_two_readings() {
        assert_eq!(readings("/public/A%20b").unwrap(), ["/public/A%20b", "/public/A b"]);
    }

    #[test]
    fn a_long_path_has_few_readings() {
        assert_eq!(readings(&format!("/{}a;b%20//c.", "x".repeat(60_000))), None);
        assert!(readings(&format!("/{}%20", "x".repeat(60_000))).is_some());
    }

    #[test]
    fn letters_without_need_are_decoded_alone() {
        assert_eq!(decode_unreserved("/%61%2f%4"), "/a%2f%4");
        assert_eq!(decode_fully("%252541é"), "Aé");
        assert_eq!(decode_fully("%ff%"), "%ff%");
    }

    #[test]
    fn letters_that_share_a_capital_are_equal() {
        assert_eq!(fold("AdmIn"), "admin");
        assert_eq!(fold("uſer\u{212a}É"), "userké");
    }

    proptest! {
        #[test]
        fn one_look_finds_paths_with_one_reading(path in "/[a-cA;%2f./\\\\ ]{0,10}") {
            if has_one_reading(&path) {
                prop_assert_eq!(readings(&path), Some(vec![path.clone()]));
                prop_assert!(!is_plain(&path) || fold(&path) == path);
            }
        }
    }
}
