use super::{
    ClerkConfig, ConfigError, ExactIssuer, FrontendApi, JwksDocument, JwksUrl, JwtKey, PublishableKey, SecretKey,
    issuer_url::configured_issuer, pasted::trimmed, url::HttpUrl,
};

/// # Naming the instance
impl ClerkConfig {
    /// Trusts the instance with this Frontend API URL, and fetches its keys from `<url>/.well-known/jwks.json`.
    ///
    /// This is the recommended setting: it needs no secret, and it names the issuer.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not such a URL; see [`FrontendApi`].
    pub fn from_frontend_api_url(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().frontend_api_url(url)
    }

    /// Trusts the instance that this publishable key names, and fetches its keys from its Frontend API.
    ///
    /// The key is public: its base64 part is the host of the Frontend API.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` is not `pk_test_` or `pk_live_`, followed by the base64 of a host name and
    /// `$`.
    pub fn from_publishable_key(key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().publishable_key(key)
    }

    /// Trusts tokens signed with this public key, and never makes a request.
    ///
    /// The key is the "JWKS Public Key" of Clerk's dashboard. After Clerk rotates the instance's key, it must be
    /// replaced by hand.
    ///
    /// A key does not name an issuer. Any `iss` is accepted until [`add_issuer`](Self::add_issuer), a Frontend API URL
    /// or a publishable key names one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `pem` is not one RSA public key of 2048 to 8192 bits, in PEM (RFC 7468) or as the
    /// bare base64 of it.
    pub fn from_jwt_key(pem: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().jwt_key(pem)
    }

    /// Trusts the instance of this secret key, and fetches its keys from Clerk's Backend API (`<api_url>/v1/jwks`).
    ///
    /// Prefer [`from_frontend_api_url`](Self::from_frontend_api_url), which needs no secret and names the issuer. With
    /// a secret key alone, any `iss` is accepted until [`add_issuer`](Self::add_issuer) names one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` is not `sk_test_` or `sk_live_` (`test_` or `live_` in keys of old instances),
    /// followed by letters, digits, `_` and `-`.
    pub fn from_secret_key(key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().secret_key(key)
    }

    /// Trusts the keys of this JWK Set (RFC 7517, section 5), and never makes a request.
    ///
    /// A JWK Set does not name an issuer. Any `iss` is accepted until [`add_issuer`](Self::add_issuer) names one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is not a JWK Set of at most 512 KiB with a usable RSA key.
    pub fn from_jwks(document: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().jwks(document)
    }

    /// Trusts this issuer (`iss`), and fetches its keys from this URL, which may be on another host.
    ///
    /// Use it where both are given, as in the settings of an OpenID client. For an instance of Clerk prefer
    /// [`from_frontend_api_url`](Self::from_frontend_api_url): one URL gives both.
    ///
    /// The issuer is kept and compared exactly as it is written: a slash at its end, which
    /// [`add_issuer`](Self::add_issuer) would remove, must be in tokens too. It must be `https`, or `http` on loopback.
    ///
    /// `jwks_url` is taken as `https` if it has no scheme. The request for the keys has no credentials.
    ///
    /// ```
    /// use tower_clerk::ClerkConfig;
    ///
    /// let keys = "https://clerk.example.com/.well-known/jwks.json";
    /// let config = ClerkConfig::from_issuer_and_jwks_url("https://login.example.com/", keys)?;
    /// assert_eq!(config.issuers(), ["https://login.example.com/"]);
    ///
    /// let of_backend_api = "https://api.clerk.com/v1/jwks";
    /// assert!(ClerkConfig::from_issuer_and_jwks_url("https://clerk.example.com", of_backend_api).is_err());
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if one of the URLs is not `https` (or `http` on loopback), and
    ///
    /// - if `issuer` is none that [`add_issuer`](Self::add_issuer) accepts;
    /// - if `jwks_url` has no path, userinfo, a query or a fragment, or is certainly another URL: that of the Backend
    ///   API, which requires a secret, or of the OpenID configuration.
    pub fn from_issuer_and_jwks_url(issuer: impl AsRef<str>, jwks_url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let issuer = ExactIssuer::parse(issuer.as_ref()).map_err(|reason| ConfigError::invalid("issuer", reason))?;
        let jwks_url = JwksUrl::parse(jwks_url.as_ref()).map_err(|reason| ConfigError::invalid("jwks_url", reason))?;
        Ok(Self::empty().with_issuer_and_jwks_url(issuer, jwks_url))
    }

    /// Adds an issuer and the URL of its keys; see [`from_issuer_and_jwks_url`](Self::from_issuer_and_jwks_url).
    pub(crate) fn with_issuer_and_jwks_url(mut self, issuer: ExactIssuer, jwks_url: JwksUrl) -> Self {
        self.issuers.push(issuer.into_text());
        Self { jwks_url: Some(jwks_url), ..self }
    }

    /// Adds the Frontend API URL; see [`from_frontend_api_url`](Self::from_frontend_api_url).
    ///
    /// # Errors
    ///
    /// As [`from_frontend_api_url`](Self::from_frontend_api_url), and [`ConfigError::Conflict`] if the publishable key
    /// or the proxy URL names another host.
    pub fn frontend_api_url(self, url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self { frontend_api: Some(FrontendApi::parse(url.as_ref())?), ..self }.agreeing()
    }

    /// Sets the URL of a [proxy](https://clerk.com/docs/guides/dashboard/dns-domains/proxy-fapi) in front of the
    /// Frontend API, and fetches the keys through it.
    ///
    /// Tokens may name either as their issuer: the proxy, or the host of the publishable key, which may be another one.
    /// The names of Clerk's cookies depend on the publishable key alone.
    ///
    /// ```
    /// use tower_clerk::ClerkConfig;
    ///
    /// let config = ClerkConfig::from_publishable_key("pk_test_Y2xlcmsuY2xlcmsuZGV2JA")?
    ///     .proxy_url("https://app.example.com/__clerk")?;
    /// assert_eq!(config.issuers(), ["https://app.example.com/__clerk", "https://clerk.clerk.dev"]);
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not an absolute URL as for [`FrontendApi`]. Clerk's JavaScript SDKs accept
    /// `/__clerk`, and resolve it by the `Host` of each request, which clients choose. [`ConfigError::Conflict`] if the
    /// Frontend API URL names another host.
    pub fn proxy_url(self, url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let url = url.as_ref();
        if trimmed(url).starts_with('/') {
            return Err(ConfigError::invalid(
                "proxy_url",
                "must be absolute, such as https://app.example.com/__clerk; a path alone does not say where keys are",
            ));
        }
        Self { proxy: Some(FrontendApi::parse_setting(url, "proxy_url")?), ..self }.agreeing()
    }

    /// Adds the publishable key; see [`from_publishable_key`](Self::from_publishable_key).
    ///
    /// # Errors
    ///
    /// As [`from_publishable_key`](Self::from_publishable_key), and [`ConfigError::Conflict`] if the Frontend API URL
    /// names another host, or if one of publishable key and secret key is for development and the other for production.
    pub fn publishable_key(self, key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self { publishable_key: Some(PublishableKey::parse(key.as_ref())?), ..self }.agreeing()
    }

    /// Adds the public key; see [`from_jwt_key`](Self::from_jwt_key).
    ///
    /// # Errors
    ///
    /// As [`from_jwt_key`](Self::from_jwt_key).
    pub fn jwt_key(self, pem: impl AsRef<str>) -> Result<Self, ConfigError> {
        Ok(Self { jwt_key: Some(JwtKey::parse(pem.as_ref())?), ..self })
    }

    /// Adds the JWK Set; see [`from_jwks`](Self::from_jwks).
    ///
    /// # Errors
    ///
    /// As [`from_jwks`](Self::from_jwks).
    pub fn jwks(self, document: impl AsRef<str>) -> Result<Self, ConfigError> {
        Ok(Self { jwks: Some(JwksDocument::parse(document.as_ref())?), ..self })
    }

    /// Adds the secret key; see [`from_secret_key`](Self::from_secret_key).
    ///
    /// # Errors
    ///
    /// As [`from_secret_key`](Self::from_secret_key), and [`ConfigError::Conflict`] if one of publishable key and
    /// secret key is for development and the other for production.
    pub fn secret_key(self, key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self { secret_key: Some(SecretKey::parse(key.as_ref())?), ..self }.agreeing()
    }

    /// Sets the base URL of the Backend API, `https://api.clerk.com` by default. It is used only with a secret key.
    ///
    /// `/v1` at its end is removed: some of Clerk's SDKs want it there, others do not.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not an `https` URL (or `http` on loopback), or is that of a key set, of the
    /// dashboard, or of a Frontend API of a development instance.
    pub fn api_url(self, url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let api_url = backend_api_url(url.as_ref()).map_err(|reason| ConfigError::invalid("api_url", reason))?;
        Ok(Self { api_url: Some(api_url), ..self })
    }

    /// Also accepts tokens of this issuer (`iss`). One trailing slash is removed, then the comparison is exact.
    ///
    /// The Frontend API URL is an issuer already. Add one if only a PEM key, a JWK Set or a secret key is configured,
    /// or if a proxy makes the instance issue tokens under another URL.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `issuer` is not a URL with a host, or has capitals in its scheme or host, characters
    /// other than visible ASCII, or another slash before the last one.
    pub fn add_issuer(mut self, issuer: impl AsRef<str>) -> Result<Self, ConfigError> {
        let issuer = configured_issuer(issuer.as_ref()).map_err(|reason| ConfigError::invalid("issuer", reason))?;
        self.issuers.push(issuer.to_owned());
        Ok(self)
    }

    /// Sets the name that [`Claims::instance`](crate::Claims::instance) returns, the first issuer by default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `name` is empty.
    pub fn instance_name(self, name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        if name.is_empty() {
            return Err(ConfigError::invalid("instance_name", "must not be empty"));
        }
        Ok(Self { instance_name: Some(name), ..self })
    }

    /// Checks the settings that name an instance against each other: all must name the same one.
    fn agreeing(self) -> Result<Self, ConfigError> {
        let differ = |a: &FrontendApi, b: &FrontendApi| a.authority() != b.authority();
        let conflict = |first, second, reason| Err(ConfigError::conflict(first, second, reason));
        match (&self.frontend_api, &self.proxy, &self.publishable_key) {
            (Some(api), Some(proxy), _) if differ(api, proxy) => {
                let reason = "name different hosts; set the proxy URL and the publishable key alone";
                return conflict("frontend_api_url", "proxy_url", reason);
            }
            (Some(api), None, Some(key)) if differ(api, key.frontend_api()) => {
                let reason = "name different hosts; set one of them, or a proxy as proxy_url (CLERK_PROXY_URL)";
                return conflict("frontend_api_url", "publishable_key", reason);
            }
            _ => {}
        }
        match (&self.publishable_key, &self.secret_key) {
            (Some(key), Some(secret)) if key.is_live() != secret.is_live() => {
                let reason = "are of different instances: one is for development, the other for production";
                conflict("publishable_key", "secret_key", reason)
            }
            _ => Ok(self),
        }
    }
}

/// Parses the base URL of a Backend API, without the version at its end. The error completes "api_url …".
fn backend_api_url(text: &str) -> Result<HttpUrl, &'static str> {
    let url = HttpUrl::parse(text)?;
    if url.path().ends_with("/jwks") || url.path().contains("/.well-known") {
        return Err("must be the base URL, such as https://api.clerk.com");
    }
    match url.host_name() {
        Some("clerk.com" | "dashboard.clerk.com" | "www.clerk.com") => {
            Err("is a page of Clerk's website; the Backend API is https://api.clerk.com")
        }
        Some(host) if host.ends_with(".accounts.dev") => {
            Err("is not the Backend API; set it as frontend_api_url (CLERK_FRONTEND_API_URL)")
        }
        _ => Ok(url.without_suffix("/v1")),
    }
}
