//! Clerk's own script in the page, for an instance with a publishable key.

use std::{env, error::Error};

use axum::http::Uri;
use tower_clerk::{ClerkConfig, config::FrontendApi};

/// Clerk's script for browsers, which an instance serves from its Frontend API.
pub(crate) struct ClerkJs {
    key: String,
    /// Where the browser reaches the Frontend API, without a path.
    origin: String,
    /// The path of the proxy before those of the Frontend API, or nothing.
    path: String,
    is_proxied: bool,
}

impl ClerkJs {
    /// `None` without `CLERK_PUBLISHABLE_KEY`: the script needs it.
    pub(crate) fn from_env() -> Result<Option<Self>, Box<dyn Error>> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let Some(key) = variable("CLERK_PUBLISHABLE_KEY") else { return Ok(None) };
        let config = ClerkConfig::from_publishable_key(&key)?;
        // The configuration ignores what is invisible around the key, and these characters are all that a key has.
        let key = key.chars().filter(|char| char.is_ascii_alphanumeric() || "_-+/=".contains(*char)).collect();
        let proxy = variable("CLERK_PROXY_URL").map(|url| FrontendApi::parse(&url)).transpose()?;
        let is_proxied = proxy.is_some();
        let api = proxy.map_or_else(|| config.issuers().concat(), |proxy| proxy.as_str().to_owned());
        let api: Uri = api.parse()?;
        let (Some(scheme), Some(authority)) = (api.scheme(), api.authority()) else {
            return Err(format!("{api} is no Frontend API").into());
        };
        let path = api.path().trim_end_matches('/').to_owned();
        Ok(Some(Self { key, origin: format!("{scheme}://{authority}"), path, is_proxied }))
    }

    /// What loads it. It comes before the page's own script, which is deferred too.
    pub(crate) fn element(&self) -> String {
        let Self { key, is_proxied, .. } = self;
        let api = escaped(&format!("{}{}", self.origin, self.path));
        let proxy = if *is_proxied { format!(" data-clerk-proxy-url=\"{api}\"") } else { String::new() };
        format!(
            "<script defer crossorigin=\"anonymous\" data-clerk-publishable-key=\"{key}\"{proxy} \
             src=\"{api}/npm/@clerk/clerk-js@6/dist/clerk.browser.js\"></script>"
        )
    }

    /// What Clerk documents as necessary, and nothing else:
    /// <https://clerk.com/docs/guides/secure/best-practices/csp-headers>.
    pub(crate) fn policy(&self) -> String {
        let api = &self.origin;
        format!(
            "default-src 'none'; script-src 'self' {api} https://challenges.cloudflare.com; \
             style-src 'self' 'unsafe-inline'; img-src 'self' https://img.clerk.com; connect-src 'self' {api}; \
             worker-src 'self' blob:; frame-src https://challenges.cloudflare.com; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'"
        )
    }
}

/// A text as the value of an attribute in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;")
}
