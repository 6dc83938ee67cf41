//! Arguments and environment variables of the program.

use std::{collections::HashSet, ffi::OsString, net::IpAddr};

use lexopt::{Arg, Parser, ValueExt};

use crate::{identity_headers::IdentityHeaders, variables};

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Serve(Settings),
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Settings {
    pub(crate) address: IpAddr,
    pub(crate) admin_port: u16,
    pub(crate) allows_anonymous: bool,
    pub(crate) identity_headers: IdentityHeaders,
    pub(crate) is_demonstration: bool,
    pub(crate) port: u16,
}

impl Command {
    /// Reads the arguments, without the name of the program, and then the ports, by the names of their variables.
    ///
    /// # Errors
    ///
    /// One line that names the argument or the variable.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let mut settings = Settings {
            address: IpAddr::from([127, 0, 0, 1]),
            admin_port: 0,
            allows_anonymous: false,
            identity_headers: IdentityHeaders::default(),
            is_demonstration: false,
            port: 0,
        };
        let mut given = HashSet::new();
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            // The second of two would be a surprise.
            if let Arg::Long(name @ ("address" | "headers")) = argument
                && !given.insert(name.to_owned())
            {
                return Err(format!("--{name} must be given once"));
            }
            match argument {
                Arg::Long("address") => {
                    settings.address = value(&mut parser)?.parse().map_err(|_| "--address must be an IP address")?;
                }
                Arg::Long("anonymous") => settings.allows_anonymous = true,
                Arg::Long("demo") => settings.is_demonstration = true,
                Arg::Long("headers") => {
                    let name = value(&mut parser)?;
                    settings.identity_headers = name.parse().map_err(|error| format!("--headers {error}"))?;
                }
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help),
                unknown => return Err(format!("{}; see --help", unknown.unexpected())),
            }
        }
        settings.port = variables::port("PORT", &variable)?.unwrap_or(DEFAULT_PORT);
        settings.admin_port = variables::port_beside(settings.port, "ADMIN_PORT", &variable)?;
        Ok(Self::Serve(settings))
    }
}

fn value(parser: &mut Parser) -> Result<String, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    value.string().map_err(|error| error.to_string())
}

const DEFAULT_PORT: u16 = 9001;

pub(crate) const HELP: &str = "\
An external authorization server (ext_authz) for Envoy and Istio, which verifies tokens of Clerk.

Usage: ext_authz [OPTIONS]           serves, with a Clerk instance from the environment
       ext_authz --demo [OPTIONS]    shows a demonstration with an issuer of its own

Options:
  --anonymous      lets requests without a token pass, with empty identity headers; a bad token is refused as ever
  --headers NAMES  how upstreams are told who calls: clerk (X-Clerk-User-Id and so on; the default),
                   oauth2-proxy (X-Auth-Request-User, -Email) or authelia (Remote-User, Remote-Email)
  --address IP     where to listen; 127.0.0.1 by default, 0.0.0.0 for everywhere
  --demo           trusts tokens of an embedded issuer, and brings an upstream for envoy.yaml
  --help           prints this

Environment:
  CLERK_PUBLISHABLE_KEY, or another variable that names the instance: see the crate's `ClerkConfig::from_env`
  PORT             for Envoy, gRPC; 9001 by default, 0 for any free port
  ADMIN_PORT       for /healthz, /readyz and /metrics; the port after PORT by default, so 9002
";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Settings, String> {
        read_with(arguments, &[])
    }

    fn read_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variable = |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into());
        match Command::read(arguments.iter().map(OsString::from), variable)? {
            Command::Help => Err("help".to_owned()),
            Command::Serve(settings) => Ok(settings),
        }
    }

    #[test]
    fn every_option_is_read_and_in_the_help() {
        let arguments = ["--anonymous", "--headers", "authelia", "--address", "::1", "--demo"];
        let settings = read(&arguments).unwrap();
        assert!(settings.allows_anonymous && settings.is_demonstration);
        assert_eq!(settings.identity_headers, IdentityHeaders::Authelia);
        assert_eq!(settings.address, IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
        for name in arguments.iter().filter(|name| name.starts_with("--")).chain(&["--help"]) {
            assert!(HELP.contains(name), "{name}");
        }
    }

    #[test]
    fn without_options_it_serves_this_computer_and_nobody_without_a_token() {
        let settings = read(&[]).unwrap();
        assert!(settings.address.is_loopback() && !settings.allows_anonymous && !settings.is_demonstration);
        assert_eq!(settings.identity_headers, IdentityHeaders::Clerk);
    }

    #[test]
    fn the_admin_port_follows_the_port_unless_it_is_set() {
        for (variables, ports) in [
            (&[][..], (9001, 9002)),
            (&[("PORT", "9002")], (9002, 9003)),
            (&[("PORT", "0")], (0, 0)),
            (&[("PORT", ""), ("ADMIN_PORT", " ")], (9001, 9002)),
            (&[("ADMIN_PORT", "7000")], (9001, 7000)),
            (&[("PORT", "7001"), ("ADMIN_PORT", "0")], (7001, 0)),
        ] {
            let settings = read_with(&[], variables).unwrap();
            assert_eq!((settings.port, settings.admin_port), ports, "{variables:?}");
        }
        for (variables, named) in [
            (&[("PORT", "grpc")][..], "PORT"),
            (&[("ADMIN_PORT", "http")], "ADMIN_PORT"),
            (&[("PORT", "65535")], "ADMIN_PORT"),
            (&[("PORT", "7001"), ("ADMIN_PORT", "7001")], "ADMIN_PORT"),
        ] {
            assert!(read_with(&[], variables).unwrap_err().starts_with(named), "{variables:?}");
            assert_eq!(read_with(&["--help"], variables), Err("help".to_owned()), "{variables:?}");
        }
    }

    #[test]
    fn a_bad_argument_is_named_in_one_line() {
        for (arguments, fragment) in [
            (&["--headers"][..], "--headers"),
            (&["--headers", "nobody"], "--headers must be clerk, oauth2-proxy or authelia"),
            (&["--address", "localhost"], "--address"),
            (&["--address=::1", "--address", "::1"], "--address must be given once"),
            (&["--headers", "clerk", "--headers", "clerk"], "--headers must be given once"),
            (&["--nginx"], "--nginx"),
            (&["--trusted-proxy", "10.0.0.0/8"], "--trusted-proxy"),
            (&["--anonymous=yes"], "--anonymous"),
            (&["x"], "\"x\""),
            (&["-x"], "-x"),
        ] {
            let error = read(arguments).unwrap_err();
            assert!(error.contains(fragment) && !error.contains('\n'), "{arguments:?}: {error}");
        }
    }
}
