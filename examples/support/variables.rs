//! Environment variables of the programs. Deployment tools often set an empty one for a missing value.

use std::{env, ffi::OsString};

/// The variables of this process, for the functions that take them from anywhere.
pub(crate) fn of_process(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// Reads a port; `None` if it is not set.
///
/// # Errors
///
/// The error names the variable.
pub(crate) fn port(name: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<u16>, String> {
    let text = variable(name).unwrap_or_default();
    match text.to_string_lossy().trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{name} must be a number from 0 to 65535")),
    }
}

/// Reads a second port, which is not for clients: by default the one after `PORT`, and any free one if `PORT` is.
///
/// # Errors
///
/// The error names the variable.
pub(crate) fn port_beside(port: u16, name: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<u16, String> {
    match (self::port(name, variable)?, port.checked_add(1)) {
        (Some(second), _) if second == port && port != 0 => Err(format!("{name} must not be PORT")),
        (Some(second), _) => Ok(second),
        (None, Some(_)) if port == 0 => Ok(0),
        (None, Some(next)) => Ok(next),
        (None, None) => Err(format!("{name} must be set, because there is no port after 65535")),
    }
}

/// An empty variable counts as not set, unless more tokens would be accepted without its value: that is a mistake,
/// which the library reports.
pub(crate) fn is_set(name: &str) -> bool {
    let value = of_process(name);
    value.is_some_and(|value| !value.to_string_lossy().trim().is_empty() || NARROWING.contains(&name))
}

/// As in [`ClerkConfig::from_env`](tower_clerk::ClerkConfig::from_env).
const NARROWING: [&str; 3] = ["CLERK_AUTHORIZED_PARTIES", "CLERK_MACHINE_ID", "CLERK_OAUTH_AUDIENCE"];

#[cfg(test)]
mod tests {
    use super::{port, port_beside};

    #[test]
    fn a_port_is_a_number_and_an_empty_one_is_not_set() {
        let read = |text: &str| port("PORT", |name| (name == "PORT").then(|| text.into()));
        assert_eq!(["", " ", "0", " 65535\n"].map(read), [Ok(None), Ok(None), Ok(Some(0)), Ok(Some(65535))]);
        assert_eq!(port("PORT", |_| None), Ok(None));
        for text in ["http", "-1", "65536", "80 80"] {
            assert_eq!(read(text), Err("PORT must be a number from 0 to 65535".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_second_port_is_the_next_one_unless_it_is_set() {
        let second = |port, text: &str| port_beside(port, "ADMIN_PORT", |_| Some(text.into()));
        assert_eq!([second(9000, ""), second(65534, ""), second(0, "")], [Ok(9001), Ok(65535), Ok(0)]);
        assert_eq!([second(9000, "1"), second(65535, "0"), second(0, "0")], [Ok(1), Ok(0), Ok(0)]);
        assert_eq!(second(9000, "9000"), Err("ADMIN_PORT must not be PORT".to_owned()));
        assert!(second(65535, "").unwrap_err().starts_with("ADMIN_PORT must be set"));
        assert!(second(9000, "http").unwrap_err().starts_with("ADMIN_PORT must be a number"));
    }
}
