//! Values that people paste into a setting by mistake: texts that no setting may be, and values of another setting.

/// What a text looks like. Each setting says what to give instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pasted {
    FilePath,
    /// The id of an instance, which is also the `kid` of its keys.
    InstanceId,
    Json,
    Pem,
    PublishableKey,
    SecretKey,
    /// A JWT.
    Token,
    Url,
    WebhookSecret,
}

impl Pasted {
    /// Recognizes a value by its beginning. A text that could be a value of a setting that expects none of these is
    /// `None`.
    pub(super) fn recognize(text: &str) -> Option<Self> {
        let starts_with = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
        if starts_with(&["pk_"]) {
            Some(Self::PublishableKey)
        } else if starts_with(&["sk_"]) {
            Some(Self::SecretKey)
        } else if starts_with(&["whsec_"]) {
            Some(Self::WebhookSecret)
        } else if starts_with(&["ins_"]) {
            Some(Self::InstanceId)
        } else if starts_with(&["-----"]) {
            Some(Self::Pem)
        } else if starts_with(&["{", "["]) {
            Some(Self::Json)
        } else if starts_with(&["eyJ"]) && text.contains('.') {
            Some(Self::Token)
        } else if starts_with(&["file:", "/", "./", "../", "~/"]) || has_file_extension(text) {
            Some(Self::FilePath)
        } else if text.contains("://") {
            Some(Self::Url)
        } else {
            None
        }
    }
}

/// Removes white space and invisible characters around a value, and refuses what no value can be. The error completes
/// the sentence "`<setting>` …".
pub(super) fn cleaned(text: &str) -> Result<&str, &'static str> {
    let text = trimmed(text);
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.starts_with(QUOTES) || text.ends_with(QUOTES) {
        return Err("starts or ends with a quotation mark; give the value without quotes");
    }
    if text.split_once('=').is_some_and(|(name, _)| is_variable_name(name)) {
        return Err("starts with the name of a variable; give only what follows the =");
    }
    if text.starts_with(['$', '<']) || text.starts_with("{{") || text.contains('\u{2026}') || text.ends_with("...") {
        return Err("is a placeholder that nothing has replaced; give the value itself");
    }
    Ok(text)
}

/// Removes white space and invisible characters around a value, such as a byte order mark.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|char: char| char.is_whitespace() || INVISIBLE.contains(&char))
}

fn is_variable_name(text: &str) -> bool {
    let text = text.strip_prefix("export ").unwrap_or(text).trim_end();
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.contains('_')
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn has_file_extension(text: &str) -> bool {
    let extension = text.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| ["crt", "der", "json", "key", "pem", "pub"].contains(&extension.as_str()))
        && !text.contains(char::is_whitespace)
        && !text.contains("://")
}

/// Straight ones, and those that word processors make of them.
const QUOTES: [char; 7] = ['"', '\'', '`', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'];
/// They come along when a text is copied from a web page or saved by an editor.
const INVISIBLE: [char; 6] = ['\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{2060}', '\u{feff}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surrounds_a_value_is_removed_unless_it_is_a_quote() {
        for text in ["a.b", " a.b\n", "\u{feff}a.b", "a.b\u{200b}\r\n", "\u{a0}a.b\t"] {
            assert_eq!(cleaned(text), Ok("a.b"), "{text:?}");
        }
        for text in ["'a.b'", "\"a.b\"", "\"a.b", "a.b'", "\u{201c}a.b\u{201d}", " 'a.b' "] {
            assert!(cleaned(text).unwrap_err().contains("quot"), "{text}");
        }
        for text in
            ["", " \n", "\u{feff}", "A_B=c", "export A_B=c", "${A_B}", "$A", "<key>", "{{ key }}", "pk_test_..."]
        {
            assert!(cleaned(text).is_err(), "{text}");
        }
        for text in ["a=b", "AB=", "pk_test_Y2xl==", "https://a.b/A_B"] {
            assert_eq!(cleaned(text), Ok(text));
        }
    }

    #[test]
    fn a_value_of_another_setting_is_recognized() {
        for (text, expected) in [
            ("pk_test_a", Some(Pasted::PublishableKey)),
            ("sk_live_a", Some(Pasted::SecretKey)),
            ("whsec_a", Some(Pasted::WebhookSecret)),
            ("ins_a", Some(Pasted::InstanceId)),
            ("-----BEGIN PUBLIC KEY-----", Some(Pasted::Pem)),
            (r#"{"keys":[]}"#, Some(Pasted::Json)),
            ("eyJhbGciOiJSUzI1NiJ9.e30.x", Some(Pasted::Token)),
            ("/run/secrets/clerk.pem", Some(Pasted::FilePath)),
            ("clerk.pem", Some(Pasted::FilePath)),
            (r"C:\keys\clerk.PEM", Some(Pasted::FilePath)),
            ("https://a.b/jwks.json", Some(Pasted::Url)),
            ("MIIBIjANBgkq", None),
            ("clerk.example.com", None),
            ("", None),
        ] {
            assert_eq!(Pasted::recognize(text), expected, "{text}");
        }
    }
}
