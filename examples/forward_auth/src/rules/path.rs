//! Paths, and how servers read them.

use super::super::spelling;

/// The beginning of paths, in whole segments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Prefix {
    /// Without the slash at the end, so that `/` is empty.
    text: String,
    folded: String,
}

impl Prefix {
    /// Reads a prefix that has one spelling only.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with('/') {
            return Err("must begin with a slash");
        }
        if text.len() > 1 && text.ends_with('/') {
            return Err("must not end with a slash: it covers whole segments");
        }
        if !spelling::has_one_reading(text) || text.contains(['?', '#', '*']) || readings(text).is_none() {
            return Err("must be a plain path, without encoded signs, wildcards, dot segments and empty segments");
        }
        let text = text.trim_end_matches('/').to_owned();
        Ok(Self { folded: spelling::fold(&text), text })
    }

    pub(super) fn covers(&self, path: &str) -> bool {
        begins(path, &self.text)
    }

    pub(super) fn covers_in_any_case(&self, path: &str) -> bool {
        begins(&spelling::fold(path), &self.folded)
    }

    /// Whether both cover the same paths for a server that does not look at the case.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.folded == other.folded
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }
}

fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Everything that a server may make of the path. `None`: too much, or a sign that the server behind may resolve into
/// another path.
pub(super) fn readings(path: &str) -> Option<Vec<String>> {
    let readings = spelling::readings(path)?;
    let is_plain = |reading: &String| {
        let has_sign = reading.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b'\\' | b';'));
        let has_slash = reading.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f"));
        !has_sign && !has_slash && !reading.split('/').any(|segment| matches!(segment, "." | ".."))
    };
    readings.iter().all(is_plain).then_some(readings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_plain_path() {
        for text in ["/", "/admin", "/Admin/v1.0", "/a-b_c~d", "/.well-known"] {
            assert!(Prefix::read(text).is_ok(), "{text}");
        }
        for text in [
            "", "admin", "/admin/", "//", "/a//b", "/a/../b", "/.", "/a%20b", "/a;b", "/a\\b", "/a*", "/a?b", "/ä",
            "/a b",
        ] {
            assert!(Prefix::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_covers_whole_segments() {
        let prefix = Prefix::read("/admin").unwrap();
        for (path, is_covered) in
            [("/admin", true), ("/admin/", true), ("/admin/a", true), ("/administrator", false), ("/", false)]
        {
            assert_eq!(prefix.covers(path), is_covered, "{path}");
        }
        assert!(Prefix::read("/").unwrap().covers("/"));
        assert!(!prefix.covers("/ADMIN") && prefix.covers_in_any_case("/ADMIN"));
        assert!(prefix.is_like(&Prefix::read("/Admin").unwrap()));
    }
}
