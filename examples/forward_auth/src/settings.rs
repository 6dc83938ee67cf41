//! The arguments and the environment.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs,
    net::IpAddr,
    path::Path,
};

use lexopt::{Arg, Parser, ValueExt};
use tower_clerk::Requirement;

use crate::{identity_headers::IdentityHeaders, peers::TrustedPeers, rules::Rules, variables};

/// What the arguments ask for.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Help,
    Serve(Box<Settings>),
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) address: IpAddr,
    pub(crate) headers: IdentityHeaders,
    /// Whether a token may be in Clerk's session cookie too.
    pub(crate) accepts_cookies: bool,
    /// Whether a request without a token passes, as nobody.
    pub(crate) is_anonymous_allowed: bool,
    pub(crate) is_demonstration: bool,
    /// Whether 400 becomes 401, because nginx would make a 500 of it.
    pub(crate) is_for_nginx: bool,
    pub(crate) peers: TrustedPeers,
    pub(crate) policy: Policy,
    pub(crate) port: u16,
}

/// What every caller must meet, beside a valid token.
#[derive(Clone, Debug)]
pub(crate) enum Policy {
    /// The same everywhere; nothing more if it is `None`.
    Everywhere(Option<Requirement>),
    ByPath(Rules),
}

impl Command {
    /// Reads the arguments, and the variables that they leave to the environment, by their names.
    ///
    /// # Errors
    ///
    /// The first mistake of the arguments, or of the environment, and all mistakes of a file of rules.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Vec<String>> {
        let one = |error: String| vec![error];
        let mut settings = Settings {
            address: IpAddr::from([127, 0, 0, 1]),
            headers: IdentityHeaders::default(),
            accepts_cookies: false,
            is_anonymous_allowed: false,
            is_demonstration: false,
            is_for_nginx: false,
            peers: TrustedPeers::default(),
            policy: Policy::Everywhere(None),
            port: DEFAULT_PORT,
        };
        let mut rules = None;
        let mut given = HashSet::new();
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(|error| one(error.to_string()))? {
            let Arg::Long(name) = argument else {
                match argument {
                    Arg::Short('h') => return Ok(Self::Help),
                    unknown => return Err(one(format!("{}; see --help", unknown.unexpected()))),
                }
            };
            let name = name.to_owned();
            // The second of two would be a surprise.
            if !given.insert(name.clone()) && ["address", "headers", "rules"].contains(&name.as_str()) {
                return Err(one(format!("--{name} must be given once")));
            }
            match name.as_str() {
                "address" => {
                    let text = value(&mut parser, &name).map_err(one)?;
                    settings.address = text.parse().map_err(|_| one("--address must be an IP address".to_owned()))?;
                }
                "anonymous" => settings.is_anonymous_allowed = true,
                "cookie" => settings.accepts_cookies = true,
                "demo" => settings.is_demonstration = true,
                "headers" => {
                    let read = value(&mut parser, &name).map_err(one)?.parse();
                    settings.headers = read.map_err(|reason| one(format!("--headers {reason}")))?;
                }
                "help" => return Ok(Self::Help),
                "nginx" => settings.is_for_nginx = true,
                "rules" => rules = Some(value(&mut parser, &name).map_err(one)?),
                "trusted-proxy" => {
                    let added = settings.peers.add(&value(&mut parser, &name).map_err(one)?);
                    added.map_err(|reason| one(format!("--trusted-proxy {reason}")))?;
                }
                unknown => return Err(one(format!("--{} is not an option; see --help", unknown.escape_debug()))),
            }
        }
        if settings.accepts_cookies && settings.is_demonstration {
            return Err(one(
                "--cookie needs CLERK_AUTHORIZED_PARTIES, which --demo has not: try it with an instance".into()
            ));
        }
        settings.port = variables::port("PORT", &variable).map_err(one)?.unwrap_or(DEFAULT_PORT);
        settings.policy = policy(rules.as_deref(), variable(REQUIRE).as_deref())?;
        Ok(Self::Serve(Box::new(settings)))
    }
}

fn policy(rules: Option<&str>, require: Option<&OsStr>) -> Result<Policy, Vec<String>> {
    match (rules, require) {
        (None, None) => Ok(Policy::Everywhere(None)),
        (Some(_), Some(_)) => Err(vec![format!("{REQUIRE} and --rules are set: say it once, in the file")]),
        // Empty, it would let in everyone with a token: more often a value that got lost than a wish.
        (None, Some(text)) => match text.to_str().map(str::parse) {
            Some(Ok(requirement)) => Ok(Policy::Everywhere(Some(requirement))),
            Some(Err(error)) => Err(vec![format!("{REQUIRE}: {error}")]),
            None => Err(vec![format!("{REQUIRE} must be UTF-8")]),
        },
        (Some(file), None) => {
            let text =
                fs::read_to_string(Path::new(file)).map_err(|error| vec![format!("--rules {file:?}: {error}")])?;
            Rules::read(file, &text).map(Policy::ByPath)
        }
    }
}

fn value(parser: &mut Parser, name: &str) -> Result<String, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    value.string().map_err(|_| format!("--{name} must be UTF-8"))
}

const DEFAULT_PORT: u16 = 9100;
const REQUIRE: &str = "FORWARD_AUTH_REQUIRE";

pub(crate) const HELP: &str = "\
Decides for nginx, Caddy and Traefik whose requests may pass, by tokens of Clerk.

Usage: forward_auth [OPTIONS]
       forward_auth --demo      trusts an issuer of its own and shows what to try

Options:
  --nginx               answers 401 in place of 400, of which nginx would make a 500
  --anonymous           lets requests without a token pass, with empty identity headers
  --cookie              takes tokens from Clerk's session cookie too; needs CLERK_AUTHORIZED_PARTIES
  --headers NAME        the identity headers: clerk (default), oauth2-proxy or authelia
  --rules FILE          what callers need by path and method, in TOML:
                          [[rule]]
                          prefix = \"/admin\"
                          methods = [\"GET\"]           all if left out
                          require = \"role=org:admin\"  a valid token if left out
  --trusted-proxy CIDR  a network whose word on method and URI counts, beside this machine; may be repeated
  --address IP          where to listen; 127.0.0.1 by default, 0.0.0.0 for everywhere
  --demo                a demonstration, without a Clerk instance
  --help                prints this

Environment:
  PORT                  9100 by default; 0 for any free port
  FORWARD_AUTH_REQUIRE  what every caller needs, such as permission=org:invoices:create; in place of --rules
  CLERK_PUBLISHABLE_KEY or another variable that names the Clerk instance, and the rest of them

It answers /verify, /healthz, /readyz and /metrics.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str], require: Option<&str>) -> Result<Settings, Vec<String>> {
        let require = require.map(|text| (REQUIRE, OsString::from(text)));
        read_with(arguments, &require.into_iter().collect::<Vec<_>>())
    }

    fn read_with(arguments: &[&str], variables: &[(&str, OsString)]) -> Result<Settings, Vec<String>> {
        let variable = |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.clone());
        match Command::read(arguments.iter().map(OsString::from), variable)? {
            Command::Serve(settings) => Ok(*settings),
            Command::Help => panic!("no settings"),
        }
    }

    #[test]
    fn every_option_is_read_and_in_the_help() {
        let settings = read(
            &[
                "--nginx",
                "--anonymous",
                "--cookie",
                "--headers",
                "authelia",
                "--trusted-proxy",
                "10.0.0.0/8",
                "--trusted-proxy=192.0.2.1",
                "--address",
                "::",
            ],
            Some("role=org:admin"),
        )
        .unwrap();
        assert!(settings.is_for_nginx && settings.is_anonymous_allowed && settings.accepts_cookies);
        assert!(!settings.is_demonstration && read(&["--demo"], None).unwrap().is_demonstration);
        assert_eq!(settings.headers, IdentityHeaders::Authelia);
        assert!(settings.peers.contain("10.9.9.9".parse().unwrap()) && settings.address.is_unspecified());
        assert!(settings.peers.contain("192.0.2.1".parse().unwrap()));
        assert!(matches!(settings.policy, Policy::Everywhere(Some(_))));
        for name in ["nginx", "anonymous", "cookie", "headers", "rules", "trusted-proxy", "address", "demo", "help"] {
            assert!(HELP.contains(&format!("--{name}")), "{name}");
        }
    }

    #[test]
    fn without_options_it_is_strict_and_on_this_machine() {
        let settings = read(&[], None).unwrap();
        assert!(settings.address.is_loopback() && !settings.is_anonymous_allowed && !settings.is_demonstration);
        assert!(!settings.accepts_cookies && !settings.is_for_nginx);
        assert_eq!(settings.headers, IdentityHeaders::Clerk);
        assert!(matches!(settings.policy, Policy::Everywhere(None)));
    }

    #[test]
    fn a_file_of_rules_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.toml");
        let name = file.to_str().unwrap();
        fs::write(&file, "[[rule]]\nprefix = '/'\n").unwrap();
        assert!(matches!(read(&["--rules", name], None).unwrap().policy, Policy::ByPath(_)));
        fs::write(&file, "[[rule]]\nprefx = '/'\nrequire = ''\n").unwrap();
        let errors = read(&["--rules", name], None).unwrap_err();
        assert!(errors.len() == 3 && errors.iter().all(|error| error.starts_with(name)), "{errors:?}");
    }

    #[test]
    fn a_mistake_is_named_in_one_line() {
        for (arguments, require, fragment) in [
            (&["--nonsense"][..], None, "--nonsense"),
            (&["-x"], None, "-x"),
            (&["a"], None, "\"a\""),
            (&["--nginx=1"], None, "--nginx"),
            (&["--headers"], None, "--headers"),
            (&["--headers", "keycloak"], None, "clerk, oauth2-proxy or authelia"),
            (&["--trusted-proxy", "proxy"], None, "--trusted-proxy"),
            (&["--address", "localhost"], None, "--address"),
            (&["--rules", "a", "--rules", "b"], None, "--rules must be given once"),
            (&["--address", "::1", "--address", "::1"], None, "--address must be given once"),
            (&["--headers", "clerk", "--headers=authelia"], None, "--headers must be given once"),
            (&["--rules", ""], None, "--rules \"\""),
            (&["--demo", "--cookie"], None, "--cookie"),
            (&["--rules", "missing/rules.toml"], None, "missing/rules.toml"),
            (&["--rules", "a"], Some("role=admin"), "FORWARD_AUTH_REQUIRE"),
            (&[], Some(""), "FORWARD_AUTH_REQUIRE"),
            (&[], Some("  "), "FORWARD_AUTH_REQUIRE"),
            (&[], Some("admin"), "FORWARD_AUTH_REQUIRE"),
        ] {
            let errors = read(arguments, require).unwrap_err();
            assert!(errors.len() == 1 && errors[0].contains(fragment), "{arguments:?}: {errors:?}");
            assert!(!errors[0].contains('\n'), "{errors:?}");
        }
    }

    #[test]
    fn the_environment_is_read_after_the_arguments() {
        assert_eq!(read_with(&[], &[("PORT", "7000".into())]).unwrap().port, 7000);
        assert_eq!(read_with(&[], &[("PORT", " ".into())]).unwrap().port, DEFAULT_PORT);
        for (arguments, fragment) in [(&[][..], "PORT"), (&["--nonsense"], "--nonsense")] {
            let errors = read_with(arguments, &[("PORT", "http".into())]).unwrap_err();
            assert!(errors.len() == 1 && errors[0].contains(fragment), "{errors:?}");
        }
        for argument in ["--help", "-h"] {
            let help = Command::read([OsString::from(argument)], |_| Some("http".into()));
            assert!(matches!(help, Ok(Command::Help)));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_requirement_that_is_no_text_is_refused() {
        let text = std::os::unix::ffi::OsStringExt::from_vec(b"role=\xff".to_vec());
        let errors = read_with(&[], &[(REQUIRE, text)]).unwrap_err();
        assert_eq!(errors, ["FORWARD_AUTH_REQUIRE must be UTF-8"]);
    }
}
