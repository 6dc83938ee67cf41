use http::{
    HeaderName,
    header::{AUTHORIZATION, COOKIE},
};

use super::{
    node::Node,
    variables::{Lookup, Resolved},
};
use crate::config::{ClerkConfig, ConfigError, ConfigErrors, ExactIssuer, FrontendApi, JwksUrl, Setting, both};

/// The options of a [`GatewayPolicy`](super::GatewayPolicy), with environment variables resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GatewayPolicyOptions {
    allow_unauthenticated_requests: bool,
    auth_header: HeaderName,
    /// All other options: which tokens are accepted, and where their keys are.
    pub(super) config: ClerkConfig,
    issuer: String,
    oauth_resource_metadata_enabled: bool,
}

/// What a policy is, by its `handler.export`.
#[derive(Clone, Copy)]
pub(super) enum PolicyKind {
    Clerk,
    OpenIdJwt,
}

impl GatewayPolicyOptions {
    /// Returns whether requests that fail authentication pass without a user (`allowUnauthenticatedRequests`); `false`
    /// by default.
    #[must_use]
    pub fn allow_unauthenticated_requests(&self) -> bool {
        self.allow_unauthenticated_requests
    }

    /// Returns the audiences of which a token must have one (`audience`); empty if `aud` is not checked.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.config.audience
    }

    /// Returns the header that holds the token (`authHeader`); `Authorization` by default.
    #[must_use]
    pub fn auth_header(&self) -> &HeaderName {
        &self.auth_header
    }

    /// Returns the Frontend API of the instance whose tokens are accepted (`frontendApiUrl`); `None` if the policy has
    /// an `issuer` and a `jwkUrl` instead.
    #[must_use]
    pub fn frontend_api(&self) -> Option<&FrontendApi> {
        self.config.known_frontend_api()
    }

    /// Returns the issuer whose tokens are accepted: `frontendApiUrl`, normalized, or `issuer`, as it is written.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the URL from which keys are fetched (`jwkUrl`); `None` if they are those of the
    /// [`frontend_api`](Self::frontend_api).
    #[must_use]
    pub fn jwks_url(&self) -> Option<&str> {
        self.config.jwks_url()
    }

    /// Returns whether protected resource metadata (RFC 9728) is served and named in challenges
    /// (`oAuthResourceMetadataEnabled`); `false` by default.
    #[must_use]
    pub fn oauth_resource_metadata_enabled(&self) -> bool {
        self.oauth_resource_metadata_enabled
    }

    pub(super) fn read(kind: PolicyKind, options: &Node<'_>, lookup: Lookup<'_>) -> Result<Self, ConfigErrors> {
        let fields = options.reject_unknown(kind.known_options());
        let verification = match kind {
            PolicyKind::Clerk => clerk_verification(options, lookup),
            PolicyKind::OpenIdJwt => open_id_verification(options, lookup),
        };
        let flags =
            both(options.boolean("allowUnauthenticatedRequests"), options.boolean("oAuthResourceMetadataEnabled"));
        let (((), verification), flags) = both(both(fields, verification), flags)?;
        Ok(Self {
            allow_unauthenticated_requests: flags.0,
            auth_header: verification.auth_header,
            config: verification.config,
            issuer: verification.issuer,
            oauth_resource_metadata_enabled: flags.1,
        })
    }
}

impl PolicyKind {
    pub(super) fn from_export(name: &str) -> Option<Self> {
        match name {
            "ClerkJwtInboundPolicy" => Some(Self::Clerk),
            "OpenIdJwtInboundPolicy" => Some(Self::OpenIdJwt),
            _ => None,
        }
    }

    /// Every option that is read, those included that are always rejected.
    pub(super) fn known_options(self) -> &'static [&'static str] {
        match self {
            Self::Clerk => &["allowUnauthenticatedRequests", "frontendApiUrl", "oAuthResourceMetadataEnabled"],
            Self::OpenIdJwt => &[
                "allowUnauthenticatedRequests",
                "audience",
                "authHeader",
                "headers",
                "issuer",
                "jwkUrl",
                "oAuthResourceMetadataEnabled",
                "secret",
                "subPropertyName",
            ],
        }
    }
}

/// The options that name tokens, their keys and their place in a request.
struct Verification {
    auth_header: HeaderName,
    config: ClerkConfig,
    issuer: String,
}

fn clerk_verification(options: &Node<'_>, lookup: Lookup<'_>) -> Result<Verification, ConfigErrors> {
    let Resolved { text, setting } = options.text("frontendApiUrl", lookup)?;
    let frontend_api = FrontendApi::parse(&text).map_err(|error| renamed(error, setting))?;
    let issuer = frontend_api.as_str().to_owned();
    Ok(Verification { auth_header: AUTHORIZATION, config: ClerkConfig::from(frontend_api), issuer })
}

fn open_id_verification(options: &Node<'_>, lookup: Lookup<'_>) -> Result<Verification, ConfigErrors> {
    let others = reject_unsupported(options, lookup);
    let keys = both(issuer(options, lookup), parsed(options, "jwkUrl", lookup, JwksUrl::parse));
    let rules = both(audience_config(options, lookup), auth_header(options, lookup));
    let (((), (issuer, jwks_url)), (config, auth_header)) = both(both(others, keys), rules)?;
    let issuer_text = issuer.as_str().to_owned();
    Ok(Verification { auth_header, config: config.with_issuer_and_jwks_url(issuer, jwks_url), issuer: issuer_text })
}

fn issuer(options: &Node<'_>, lookup: Lookup<'_>) -> Result<ExactIssuer, ConfigErrors> {
    if options.has("issuer") {
        return parsed(options, "issuer", lookup, ExactIssuer::parse);
    }
    let reason = "it is required, and must be called issuer; issuerUrl is not an option";
    Err(ConfigError::missing(options.setting("issuer"), reason).into())
}

/// With an audience, tokens of JWT templates are accepted too: they have an `aud`, and session tokens have one only if
/// it was added to them.
fn audience_config(options: &Node<'_>, lookup: Lookup<'_>) -> Result<ClerkConfig, ConfigErrors> {
    if !options.has("audience") {
        return Ok(ClerkConfig::empty());
    }
    let audience = options.texts("audience", lookup)?;
    let config = ClerkConfig::empty().allow_template_tokens().audience(audience);
    Ok(config.map_err(|error| renamed(error, options.setting("audience")))?)
}

fn auth_header(options: &Node<'_>, lookup: Lookup<'_>) -> Result<HeaderName, ConfigErrors> {
    if !options.has("authHeader") {
        return Ok(AUTHORIZATION);
    }
    parsed(options, "authHeader", lookup, |text| match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if name == COOKIE => Err("must not be Cookie: browsers send it with requests of other sites too"),
        Ok(name) => Ok(name),
        Err(_) => Err("must be the name of a header"),
    })
}

/// Rejects options that change which tokens are valid in a way that is not supported.
fn reject_unsupported(options: &Node<'_>, lookup: Lookup<'_>) -> Result<(), ConfigErrors> {
    let present = UNSUPPORTED.into_iter().filter(|(name, _)| options.has(name));
    let unsupported = ConfigErrors::reject_any(present.map(|(name, reason)| options.invalid(name, reason)));
    let user_id = match options.has("subPropertyName") {
        true => parsed(options, "subPropertyName", lookup, |text| match text {
            "sub" => Ok(()),
            _ => Err("must be sub: no other claim is read as the user id"),
        }),
        false => Ok(()),
    };
    both(unsupported, user_id).map(|_| ())
}

/// Reads and parses a string option. The error of `parse` completes the sentence "`<option>` …".
fn parsed<T>(
    options: &Node<'_>,
    field: &str,
    lookup: Lookup<'_>,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, ConfigErrors> {
    let Resolved { text, setting } = options.text(field, lookup)?;
    Ok(parse(&text).map_err(|reason| ConfigError::invalid(setting, reason))?)
}

/// Names the option in an error of the setting that it becomes.
fn renamed(error: ConfigError, setting: Setting) -> ConfigError {
    match error {
        ConfigError::Invalid { reason, .. } => ConfigError::invalid(setting, reason),
        other => other,
    }
}

/// Options of the gateway that the layer cannot have, each with the reason that completes "`<option>` …".
const UNSUPPORTED: [(&str, &str); 2] = [
    ("secret", "is not accepted: a symmetric key could sign tokens too; give the public keys as jwkUrl"),
    ("headers", "is not accepted: the request for the keys has no headers of your own; give a jwkUrl that needs none"),
];
