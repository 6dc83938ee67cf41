//! The settings from the environment.

use std::{env, error::Error};

use tower_clerk::{ClerkConfig, TokenKind};
use url::Url;

use crate::browsers::is_loopback;

/// What the environment sets. The default is the embedded issuer on any free port.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `PORT` on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// `PUBLIC_URL`: the origin under which clients reach the server; that of the listener if it is `None`.
    pub public_url: Option<String>,
    /// `ALLOWED_ORIGINS`: the origins of web pages that may call, beside those on this machine.
    pub allowed_origins: Vec<String>,
    /// The Clerk instance to trust; the embedded issuer if it is `None`.
    pub clerk: Option<ClerkConfig>,
    /// Whether `CLERK_OAUTH_AUDIENCE` says what tokens must have as `aud`. Otherwise they must not name only others.
    pub is_audience_set: bool,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// The error names the variable.
    pub fn from_env() -> Result<Self, Box<dyn Error + Send + Sync>> {
        // Deployment tools often set an empty variable for a missing value.
        let variable = |name: &str| {
            let value = env::var_os(name).map(|value| value.to_string_lossy().trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        let is_clerk_set = ClerkConfig::ENVIRONMENT_VARIABLES.iter().any(|name| variable(name).is_some());
        let clerk = if is_clerk_set { Some(ClerkConfig::from_env()?) } else { None };
        Self::read(variable, clerk)
    }

    fn read(
        variable: impl Fn(&str) -> Option<String>,
        clerk: Option<ClerkConfig>,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let port = match variable("PORT") {
            None => DEFAULT_PORT,
            Some(port) => port.parse().map_err(|_| "PORT must be a number from 0 to 65535")?,
        };
        let public_url = variable("PUBLIC_URL").map(|url| origin("PUBLIC_URL", &url)).transpose()?;
        if clerk.is_none()
            && public_url.as_deref().is_some_and(|url| !Url::parse(url).is_ok_and(|url| is_loopback(&url)))
        {
            return Err("PUBLIC_URL is not on this machine, and the embedded issuer lets anyone in: set \
                        CLERK_PUBLISHABLE_KEY to trust a Clerk instance"
                .into());
        }
        if clerk.as_ref().is_some_and(|clerk| clerk.issuers().is_empty()) {
            return Err(
                "CLERK_PUBLISHABLE_KEY is missing: without it nothing tells clients where to get a token".into()
            );
        }
        // Of the listed kinds this server accepts OAuth tokens alone. A list without them is a wish that it cannot
        // meet, and must not override in silence.
        let is_refused = |clerk: &ClerkConfig| !clerk.accepted_kinds().contains(&TokenKind::OAuth);
        if variable("CLERK_ACCEPTED_TOKENS").is_some() && clerk.as_ref().is_some_and(is_refused) {
            return Err(
                "CLERK_ACCEPTED_TOKENS is without oauth_token, the only kind that MCP clients have: add it, or \
                        remove the variable"
                    .into(),
            );
        }
        let origins = variable("ALLOWED_ORIGINS").unwrap_or_default();
        let origins = origins.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        let allowed_origins = origins.map(|url| origin("ALLOWED_ORIGINS", url)).collect::<Result<_, _>>()?;
        let is_audience_set = variable("CLERK_OAUTH_AUDIENCE").is_some();
        Ok(Self { port, public_url, allowed_origins, clerk, is_audience_set })
    }
}

/// The serialized origin of a URL that has nothing else: `https`, or `http` on this machine.
fn origin(name: &str, text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("{name} is no URL: {error}"))?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{name} must be an origin, such as https://mcp.example.com, without a path"));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        _ => return Err(format!("{name} must be https; http is only for localhost")),
    }
    Ok(url.origin().ascii_serialization())
}

const DEFAULT_PORT: u16 = 3001;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let value = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::read(value, None).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_need_no_environment() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.port, settings.public_url, settings.allowed_origins.len()), (3001, None, 0));
    }

    #[test]
    fn origins_are_read_without_a_trailing_slash() {
        let variables =
            [("PUBLIC_URL", "http://LOCALHOST:3001/"), ("ALLOWED_ORIGINS", "https://a.example, https://b.example/")];
        let settings = read(&variables).unwrap();
        assert_eq!(settings.public_url.as_deref(), Some("http://localhost:3001"));
        assert_eq!(settings.allowed_origins, ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn a_list_of_kinds_is_narrowed_and_never_widened() {
        use TokenKind::{M2m, OAuth, Session};

        for (kinds, is_accepted) in
            [(&[OAuth][..], true), (&[Session, OAuth, M2m], true), (&[Session], false), (&[Session, M2m], false)]
        {
            let clerk = ClerkConfig::from_frontend_api_url("https://clerk.example.com");
            let clerk = clerk.and_then(|clerk| clerk.accept(kinds.iter().copied())).unwrap();
            let variable = |name: &str| (name == "CLERK_ACCEPTED_TOKENS").then(|| "set".to_owned());
            let read = Settings::read(variable, Some(clerk)).map_err(|error| error.to_string());
            assert_eq!(read.is_ok(), is_accepted, "{kinds:?}");
            assert!(read.err().is_none_or(|error| error.starts_with("CLERK_ACCEPTED_TOKENS")), "{kinds:?}");
        }
    }

    #[test]
    fn an_audience_of_the_instance_is_noticed() {
        assert!(!read(&[]).unwrap().is_audience_set);
        assert!(read(&[("CLERK_OAUTH_AUDIENCE", "https://mcp.example.com/mcp")]).unwrap().is_audience_set);
    }

    #[test]
    fn a_mistake_names_its_variable() {
        for (name, value) in [
            ("PORT", "65536"),
            ("PORT", "http"),
            ("PUBLIC_URL", "127.0.0.1:3001"),
            ("PUBLIC_URL", "http://127.0.0.1:3001/mcp"),
            ("PUBLIC_URL", "http://127.0.0.1:3001/?a"),
            ("PUBLIC_URL", "http://user@127.0.0.1:3001"),
            ("PUBLIC_URL", "http://mcp.example.com"),
            ("PUBLIC_URL", "ftp://127.0.0.1"),
            ("ALLOWED_ORIGINS", "*"),
            ("ALLOWED_ORIGINS", "https://a.example/page"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(name), "{name}={value}: {error}");
        }
    }

    #[test]
    fn the_embedded_issuer_stays_on_this_machine() {
        let public = ("PUBLIC_URL", "https://mcp.example.com");
        assert!(read(&[public]).unwrap_err().contains("CLERK_PUBLISHABLE_KEY"));
        let clerk = ClerkConfig::from_frontend_api_url("https://clerk.example.com").unwrap();
        let variable = |name: &str| (name == public.0).then(|| public.1.to_owned());
        assert!(Settings::read(variable, Some(clerk)).is_ok());
    }
}
