use std::borrow::Cow;

use crate::config::{ConfigError, ConfigErrors, Setting};

/// Looks up an environment variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The text of an option, with the values of its variables in their places.
pub(super) struct Resolved<'a> {
    pub(super) text: Cow<'a, str>,
    /// The name of the option, and of the variables in it.
    pub(super) setting: Setting,
}

/// Replaces each `$env(NAME)` in the text of an option.
///
/// A value is not searched for further variables. A blank variable counts as missing, as in
/// [`ClerkConfig::from_env`](crate::ClerkConfig::from_env). All missing variables are reported.
pub(super) fn resolve<'a>(
    text: Cow<'a, str>,
    setting: Setting,
    lookup: Lookup<'_>,
) -> Result<Resolved<'a>, ConfigErrors> {
    if !has_variable(&text) {
        return Ok(Resolved { text, setting });
    }
    let (mut resolved, mut names, mut errors) = (String::new(), Vec::new(), Vec::new());
    let mut rest = text.as_ref();
    while let Some((before, from_name)) = rest.split_once(START) {
        let Some((name, after)) = from_name.split_once(')').filter(|(name, _)| is_name(name)) else {
            let reason = "must be $env(NAME), with letters, digits and _ in NAME";
            errors.push(ConfigError::invalid(setting.clone(), reason));
            break;
        };
        resolved.push_str(before);
        let is_new = !names.contains(&name);
        match lookup(name).filter(|value| !value.trim().is_empty()) {
            Some(value) => resolved.push_str(&value),
            None if is_new => {
                let setting = setting.clone().read_from(name.to_owned());
                errors.push(ConfigError::missing(setting, "the variable is not set, or blank, or not UTF-8"));
            }
            None => {}
        }
        names.extend(is_new.then_some(name));
        rest = after;
    }
    ConfigErrors::reject_any(errors)?;
    resolved.push_str(rest);
    Ok(Resolved { text: Cow::Owned(resolved), setting: setting.read_from(names.join(", ")) })
}

/// Whether the text has a variable, or the beginning of one.
pub(super) fn has_variable(text: &str) -> bool {
    text.contains(START)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

const START: &str = "$env(";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Resolved<'_>, ConfigErrors> {
        resolve(Cow::Borrowed(text), Setting::field("url"), &|name| match name {
            "HOST" => Some("a.example".to_owned()),
            "PATH_2" => Some("$env(HOST)".to_owned()),
            "BLANK" => Some(" \t".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_replaced_alone_and_inside_of_text() {
        for (text, expected, setting) in [
            ("", "", "url"),
            ("a.example", "a.example", "url"),
            ("$env", "$env", "url"),
            ("$ENV(HOST)", "$ENV(HOST)", "url"),
            ("$env(HOST)", "a.example", "url (HOST)"),
            ("https://$env(HOST)/x", "https://a.example/x", "url (HOST)"),
            ("$env(HOST)$env(HOST)", "a.examplea.example", "url (HOST)"),
            // A value is text, whatever it holds.
            ("$env(HOST)/$env(PATH_2))", "a.example/$env(HOST))", "url (HOST, PATH_2)"),
        ] {
            let Ok(resolved) = read(text) else { panic!("{text}") };
            assert_eq!((resolved.text.as_ref(), resolved.setting.to_string().as_str()), (expected, setting));
        }
    }

    #[test]
    fn every_missing_variable_is_reported_once() {
        let errors = read("$env(BLANK)$env(HOST)$env(NONE)$env(BLANK)").err().expect("errors");
        let variables: Vec<_> = errors
            .iter()
            .map(|error| match error {
                ConfigError::Missing { setting, .. } => (setting.name(), setting.variable().expect("a variable")),
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(variables, [("url", "BLANK"), ("url", "NONE")]);
    }

    #[test]
    fn a_malformed_reference_is_an_error() {
        for text in ["$env(", "$env()", "$env(HOST", "$env( HOST)", "$env(a-b)", "$env($env(HOST))", "$env(HOST)$env("]
        {
            let errors = read(text).err().expect("an error");
            assert!(matches!(Vec::from_iter(&errors)[..], [ConfigError::Invalid { .. }]), "{text}");
        }
    }
}
