//! Protected resources (RFC 9728): what OAuth clients learn about a service before they have a token for it.

mod challenge;

use std::borrow::Cow;

use http::{HeaderMap, Uri};

pub(crate) use self::challenge::ChallengeParameters;
use self::challenge::{WELL_KNOWN, derived_metadata_url, metadata_path, origin};
use crate::config::{ConfigError, ResourceUrl, page_url};

/// A service as OAuth clients, such as clients of MCP servers, know it: the URL that they ask tokens for, and what they
/// may ask for (RFC 9728).
///
/// [`ClerkAuthLayer::protected_resource`](crate::ClerkAuthLayer::protected_resource) serves it as a document and names
/// that document in its challenges. A client that gets a 401 reads the document, gets a token from the authorization
/// server that it names, and tries again.
///
/// ```
/// use tower_clerk::ProtectedResource;
///
/// let resource = ProtectedResource::new("https://api.example.com/mcp")?
///     .scopes(["things:read", "things:write"])?
///     .name("Things")
///     .documentation("https://docs.example.com/things")?;
/// assert_eq!(resource.url(), Some("https://api.example.com/mcp"));
/// assert_eq!(resource.metadata_path(), "/.well-known/oauth-protected-resource/mcp");
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProtectedResource {
    /// `None` if it is derived from each request.
    url: Option<ResourceUrl>,
    scopes: Vec<String>,
    name: Option<String>,
    documentation: Option<String>,
    require_audience: bool,
    /// What the challenges of all requests say. With a URL that is everything.
    challenge: ChallengeParameters,
}

impl ProtectedResource {
    /// Names the resource by its URL, such as `https://api.example.com/mcp`: the one that clients connect to, as they
    /// see it, whatever proxies are in between.
    ///
    /// Clients compare it with the URL that they have been given, and refuse it unless scheme, host and port are the
    /// same, and its path is the same or the start of theirs up to a slash. Host and scheme are normalized as URL
    /// parsers do it (lower case, no default port); a path that is only a slash is omitted. Any other path stays as it
    /// is: prefer one without a slash at its end, because clients of `/mcp` refuse a resource `/mcp/`, but not the
    /// other way around.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is not an absolute `https` URL (`http` on a loopback address), or has a user
    /// name, a query, a fragment, or a path that URL parsers would change or that needs percent-encoding (RFC 9728,
    /// section 1.2; RFC 8707, section 2).
    pub fn new(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let url = ResourceUrl::parse(url.as_ref()).map_err(invalid)?;
        let resource_metadata = format!("{}{}", url.origin(), metadata_path(url.path()));
        let challenge = ChallengeParameters { resource_metadata: Some(resource_metadata.into()), scope: None };
        Ok(Self { url: Some(url), challenge, ..Self::from_request() })
    }

    /// The resource is what a client has requested, by the `Host` and the path of its request.
    ///
    /// Both must then arrive as the client has sent them. A proxy that changes `Host` or cuts off a part of the path
    /// needs [`new`](Self::new), and so does a layer inside `Router::nest`, where the path has lost its prefix. The
    /// scheme is `https`, except on a loopback address.
    pub fn from_request() -> Self {
        Self {
            url: None,
            scopes: Vec::new(),
            name: None,
            documentation: None,
            require_audience: false,
            challenge: ChallengeParameters::default(),
        }
    }

    /// Sets the scopes that a client should ask for, in place of those of an earlier call.
    ///
    /// The document lists them, and the 401 names them. They are a hint for clients: which scopes a request needs is
    /// said by [`Requirement::scope`](crate::Requirement::scope).
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if one is empty, or has a space, a quotation mark, a backslash or a character other
    /// than visible ASCII (RFC 6749, section 3.3).
    pub fn scopes<I>(self, scopes: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let mut unique: Vec<String> = Vec::new();
        for scope in scopes.into_iter().map(Into::into) {
            if scope.is_empty() {
                return Err(invalid("must not have an empty scope; remove the extra comma or space"));
            }
            if scope.contains(' ') {
                return Err(invalid("must have one scope in each entry; split it at the spaces"));
            }
            if !scope.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)) {
                return Err(invalid("must have scopes of visible ASCII without \" and \\"));
            }
            if !unique.contains(&scope) {
                unique.push(scope);
            }
        }
        let scope = (!unique.is_empty()).then(|| unique.join(" ").into());
        Ok(Self { scopes: unique, challenge: ChallengeParameters { scope, ..self.challenge }, ..self })
    }

    /// Sets the name that clients show to their users. Control characters are removed from it; an empty name is none.
    pub fn name(self, name: impl Into<String>) -> Self {
        let name: String = name.into().chars().filter(|char| !char.is_control()).collect();
        let name = name.trim();
        Self { name: (!name.is_empty()).then(|| name.to_owned()), ..self }
    }

    /// Sets the URL of a page for developers.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is not an absolute `https` or `http` URL of visible ASCII, or has a user name.
    pub fn documentation(self, url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let invalid = |reason| ConfigError::invalid("protected_resource.documentation", reason);
        Ok(Self { documentation: Some(page_url(url.as_ref()).map_err(invalid)?), ..self })
    }

    /// Accepts only OAuth tokens whose `aud` is or contains exactly the URL of this resource, in both forms of the
    /// token. The MCP specification demands it: a token that was issued for another service must not be used here.
    ///
    /// A client names the resource when it asks for the token (RFC 8707), and the authorization server writes it into
    /// `aud`. A token without `aud` is rejected. Where the path of the resource is empty, the audience may have a slash
    /// at its end, since URL parsers add one.
    ///
    /// It concerns OAuth tokens alone. Sessions, M2M tokens and API keys pass as far as they are
    /// [accepted](crate::ClerkAuthLayer::accept): they name no resource, and have rules of their own
    /// ([`authorized_parties`](crate::ClerkConfig::authorized_parties),
    /// [`machine_id`](crate::ClerkConfig::machine_id)). An [`oauth_audience`](crate::ClerkConfig::oauth_audience) of
    /// the configuration must be met as well.
    pub fn require_audience(self) -> Self {
        Self { require_audience: true, ..self }
    }

    /// Returns the URL of the resource; `None` if it is derived from each request.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_ref().map(ResourceUrl::as_str)
    }

    /// Returns the path at which clients look for the document, for the route of a
    /// [`ResourceMetadataService`](crate::authenticate::ResourceMetadataService), such as
    /// `/.well-known/oauth-protected-resource/mcp`.
    ///
    /// The documents of a resource that is derived from requests are at this path and below it.
    #[must_use]
    pub fn metadata_path(&self) -> String {
        metadata_path(self.url.as_ref().map_or("", ResourceUrl::path))
    }

    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if the URL of the resource would be required as audience, but clients choose it.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.require_audience && self.url.is_none() {
            return Err(invalid("must have a URL (ProtectedResource::new) for require_audience: clients choose Host"));
        }
        Ok(())
    }

    /// Whether an OAuth token with these audiences may be used here.
    pub(crate) fn accepts_audience<'a>(&self, mut audience: impl Iterator<Item = &'a str>) -> bool {
        let names_this = |url: &ResourceUrl| audience.any(|named| url.is_named_by(named));
        !self.require_audience || self.url.as_ref().is_some_and(names_this)
    }

    /// The parameters of the challenge of a request with this target and these headers.
    pub(crate) fn challenge(&self, uri: &Uri, headers: &HeaderMap) -> ChallengeParameters {
        let mut challenge = self.challenge.clone();
        if self.url.is_none() {
            challenge.resource_metadata = derived_metadata_url(uri, headers);
        }
        challenge
    }

    /// The parameters of a challenge where there is no request to derive the resource from.
    pub(crate) fn challenge_without_request(&self) -> &ChallengeParameters {
        &self.challenge
    }

    /// What follows the well-known path in a path at which the document is; `None` at any other path.
    ///
    /// A slash at the end makes no difference: some clients remove it before they make the path, some do not.
    pub(crate) fn below_well_known<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(WELL_KNOWN).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        match &self.url {
            Some(url) if without_slash(url.path()) != without_slash(rest) => None,
            _ => Some(rest),
        }
    }

    /// The URL of the resource whose document is requested, with what follows the well-known path; `None` if it is
    /// derived from a request that does not name its host.
    pub(crate) fn identifier(&self, rest: &str, uri: &Uri, headers: &HeaderMap) -> Option<Cow<'_, str>> {
        match &self.url {
            Some(url) => Some(url.as_str().into()),
            None => origin(uri, headers).map(|origin| (origin + rest).into()),
        }
    }

    /// The scopes that the document lists.
    pub(crate) fn supported_scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The name that the document tells.
    pub(crate) fn display_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The page for developers that the document names.
    pub(crate) fn documentation_url(&self) -> Option<&str> {
        self.documentation.as_deref()
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn invalid(reason: &'static str) -> ConfigError {
    ConfigError::invalid("protected_resource", reason)
}
