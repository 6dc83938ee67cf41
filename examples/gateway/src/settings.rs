//! Arguments and environment variables of the program.

use std::{ffi::OsString, net::IpAddr, path::PathBuf, time::Duration};

use http::HeaderName;
use lexopt::{Arg, Parser, ValueExt};

use crate::{
    proxy::ProxySettings,
    variables::{self, of_process},
};

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// `--check`: read the files in the folder, and print the routes or the faults.
    Check(PathBuf),
    /// `--help`.
    Help,
    /// Serve with the files in the folder, or with those of the demonstration.
    Serve(Option<PathBuf>, Settings),
}

/// How the program serves.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) address: IpAddr,
    pub(crate) admin_port: u16,
    pub(crate) drain_timeout: Duration,
    pub(crate) log_query_values: bool,
    pub(crate) port: u16,
    pub(crate) proxy: ProxySettings,
    pub(crate) writes_access_log: bool,
}

impl Command {
    /// Reads the arguments, without the name of the program, and the environment.
    ///
    /// # Errors
    ///
    /// One line that names the argument or the variable.
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut settings = Settings::from_env()?;
        let mut parser = Parser::from_args(arguments);
        let (mut folder, mut is_check, mut has_arguments) = (None, false, false);
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            has_arguments = true;
            let Arg::Long(name) = argument else {
                match argument {
                    Arg::Short('h') => return Ok(Self::Help),
                    unknown => return Err(format!("{}; see --help", unknown.unexpected())),
                }
            };
            let name = name.to_owned();
            match name.as_str() {
                "access-log" => settings.writes_access_log = on_or_off(&value(&mut parser, &name)?, &name)?,
                "address" => {
                    let text = value(&mut parser, &name)?;
                    settings.address = text.parse().map_err(|_| "--address must be an IP address")?;
                }
                "check" => is_check = true,
                "config" => match parser.value().map_err(|error| error.to_string())? {
                    value if value.is_empty() => return Err("--config must name a folder".to_owned()),
                    value => folder = Some(PathBuf::from(value)),
                },
                "connect-timeout" => settings.proxy.connect_timeout = duration(&mut parser, &name)?,
                "drain-timeout" => settings.drain_timeout = duration(&mut parser, &name)?,
                "forward-identity" => settings.proxy.forward_identity = true,
                "header-timeout" => settings.proxy.header_timeout = duration(&mut parser, &name)?,
                "help" => return Ok(Self::Help),
                "identity-header" => {
                    let header = HeaderName::try_from(value(&mut parser, &name)?);
                    let header = header.map_err(|_| "--identity-header must be the name of a header")?;
                    settings.proxy.identity_headers.push(header);
                }
                "idle-timeout" => settings.proxy.idle_timeout = duration(&mut parser, &name)?,
                "log-query-values" => settings.log_query_values = true,
                unknown => return Err(format!("--{} is not an option; see --help", unknown.escape_debug())),
            }
        }
        match (folder, is_check) {
            (Some(folder), true) => Ok(Self::Check(folder)),
            (None, true) => Err("--check needs --config DIR".to_owned()),
            // A deployment that lost its --config must not serve the demonstration.
            (None, false) if has_arguments => {
                Err("--config DIR is missing; without any argument the program shows a demonstration".to_owned())
            }
            (folder, false) => Ok(Self::Serve(folder, settings)),
        }
    }
}

impl Settings {
    fn from_env() -> Result<Self, String> {
        let port = variables::port("PORT", of_process)?.unwrap_or(DEFAULT_PORT);
        let admin_port = variables::port_beside(port, "ADMIN_PORT", of_process)?;
        Ok(Self { admin_port, port, ..Self::default() })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: IpAddr::from([127, 0, 0, 1]),
            admin_port: DEFAULT_PORT + 1,
            drain_timeout: DRAIN_TIMEOUT,
            log_query_values: false,
            port: DEFAULT_PORT,
            proxy: ProxySettings::default(),
            writes_access_log: true,
        }
    }
}

fn value(parser: &mut Parser, name: &str) -> Result<String, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    value.string().map_err(|_| format!("--{name} must be UTF-8"))
}

fn duration(parser: &mut Parser, name: &str) -> Result<Duration, String> {
    let text = value(parser, name)?;
    let duration = humantime::parse_duration(&text).ok().filter(|duration| *duration <= LONGEST);
    duration.ok_or_else(|| format!("--{name} must be a duration such as 5s or 500ms, at most 1day"))
}

fn on_or_off(text: &str, name: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("--{name} must be on or off")),
    }
}

/// That of the hosted gateway's own development server.
const DEFAULT_PORT: u16 = 9000;
/// Far beyond what anybody waits for, and far below what a clock can count.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Kubernetes kills a process 30 seconds after it asked it to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

pub(crate) const HELP: &str = "\
An API gateway that runs the files of a hosted one, policies.json and *.oas.json.

Usage: gateway --config DIR [OPTIONS]
       gateway                           shows a demonstration

Options:
  --config DIR            the folder with policies.json and *.oas.json
  --check                 prints the routes, or everything that is wrong, and ends
  --forward-identity      sends the verified identity upstream, as x-clerk-user-id, x-clerk-session-id,
                          x-clerk-org-id, x-clerk-org-slug and x-clerk-org-role
  --identity-header NAME  another header that clients must not send; may be repeated
  --address IP            where to listen; 127.0.0.1 by default, 0.0.0.0 for everywhere
  --connect-timeout TIME  for a connection to an upstream; 5s by default
  --header-timeout TIME   for the head of an upstream's response; 30s by default
  --idle-timeout TIME     for the next part of a body; 60s by default, 0s for no limit
  --drain-timeout TIME    for running requests after SIGTERM or Ctrl-C; 25s by default
  --access-log on|off     one line of JSON for each request on stdout; on by default
  --log-query-values      writes the values of the query to the access log, not only the names
  --help                  prints this

Environment:
  PORT                    9000 by default; 0 for any free port
  ADMIN_PORT              for /healthz, /readyz and /metrics; PORT + 1 by default
  and every variable that the files name

SIGHUP reads the files again. If they have a fault, it is printed, and the old ones stay in use.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Command, String> {
        Command::read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn every_option_is_read_and_in_the_help() {
        let command = read(&[
            "--config",
            "a",
            "--forward-identity",
            "--identity-header",
            "X-User",
            "--address",
            "::1",
            "--connect-timeout",
            "1s",
            "--header-timeout=2s",
            "--idle-timeout",
            "3s",
            "--drain-timeout",
            "4s",
            "--access-log",
            "off",
            "--log-query-values",
        ]);
        let Ok(Command::Serve(Some(folder), settings)) = command else { panic!("{command:?}") };
        assert_eq!(folder, PathBuf::from("a"));
        assert!(settings.proxy.forward_identity && settings.log_query_values && !settings.writes_access_log);
        assert_eq!(settings.proxy.identity_headers, ["x-user"]);
        assert_eq!(settings.address, IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
        let proxy = &settings.proxy;
        let timeouts = [proxy.connect_timeout, proxy.header_timeout, proxy.idle_timeout, settings.drain_timeout];
        assert_eq!(timeouts, [1, 2, 3, 4].map(Duration::from_secs));
        for name in [
            "config",
            "check",
            "forward-identity",
            "identity-header",
            "address",
            "connect-timeout",
            "header-timeout",
            "idle-timeout",
            "drain-timeout",
            "access-log",
            "log-query-values",
            "help",
        ] {
            assert!(HELP.contains(&format!("--{name}")), "{name}");
        }
    }

    #[test]
    fn without_options_it_serves_this_computer_and_keeps_secrets() {
        let Ok(Command::Serve(Some(_), settings)) = read(&["--config", "a"]) else { panic!("not served") };
        assert!(settings.address.is_loopback() && settings.writes_access_log);
        assert!(!settings.proxy.forward_identity && !settings.log_query_values);
        let proxy = &settings.proxy;
        let timeouts = [proxy.connect_timeout, proxy.header_timeout, proxy.idle_timeout];
        assert_eq!(timeouts, [5, 30, 60].map(Duration::from_secs));
    }

    #[test]
    fn a_bad_argument_is_named_in_one_line() {
        for (arguments, fragment) in [
            (&["--config"][..], "--config"),
            (&["--config", ""], "--config"),
            (&["--check"], "--config"),
            (&["--forward-identity"], "--config"),
            (&["--config", "a", "--nonsense"], "--nonsense"),
            (&["--config", "a", "b"], "\"b\""),
            (&["--config", "a", "-x"], "-x"),
            (&["--config", "a", "--idle-timeout", "soon"], "--idle-timeout"),
            (&["--config", "a", "--idle-timeout", "25h"], "--idle-timeout"),
            (&["--config", "a", "--header-timeout", "500000000000years"], "--header-timeout"),
            (&["--config", "a", "--access-log", "maybe"], "--access-log"),
            (&["--config", "a", "--address", "localhost"], "--address"),
            (&["--config", "a", "--identity-header", "a b"], "--identity-header"),
            (&["--config", "a", "--check=1"], "--check"),
        ] {
            let error = read(arguments).expect_err("a mistake");
            assert!(error.contains(fragment) && !error.contains('\n'), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn nothing_but_no_argument_at_all_is_the_demonstration() {
        assert!(matches!(read(&[]), Ok(Command::Serve(None, _))));
        assert!(matches!(read(&["--help"]), Ok(Command::Help)));
        assert!(matches!(read(&["-h"]), Ok(Command::Help)));
        assert!(matches!(read(&["--config", "a", "--check"]), Ok(Command::Check(_))));
    }
}
