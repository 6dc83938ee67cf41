use std::{
    borrow::Cow,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use http::Uri;

use super::{ConfigError, Setting};

/// The Frontend API of one Clerk instance: an `https` URL such as
/// `https://sensible-skunk-49.clerk.accounts.dev`.
///
/// Plain `http` is accepted for loopback addresses only. A missing scheme means `https`, and a path is for
/// [proxies](https://clerk.com/docs/guides/dashboard/dns-domains/proxy-fapi).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FrontendApi {
    url: HttpUrl,
}

impl FrontendApi {
    /// Reads a Frontend API URL.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not an absolute `https` URL without userinfo, query and fragment.
    ///
    /// ```
    /// use tower_clerk::config::FrontendApi;
    ///
    /// let api = FrontendApi::parse("clerk.example.com/")?;
    /// assert_eq!(api.as_str(), "https://clerk.example.com");
    /// assert!(FrontendApi::parse("http://clerk.example.com").is_err());
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        HttpUrl::parse(url).map(|url| Self { url }).map_err(|reason| ConfigError::invalid("frontend_api_url", reason))
    }

    /// The URL without a trailing slash: the issuer (`iss`) of this instance's tokens.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url.text
    }

    pub(crate) fn jwks_url(&self) -> String {
        format!("{}/.well-known/jwks.json", self.url.text)
    }

    pub(super) fn authority(&self) -> &str {
        &self.url.authority
    }
}

/// A publishable key (`pk_test_…` or `pk_live_…`), which names the Frontend API of its instance.
#[derive(Clone, Eq, PartialEq)]
pub struct PublishableKey {
    frontend_api: FrontendApi,
    key: String,
}

impl PublishableKey {
    /// Reads a publishable key.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` is not `pk_test_` or `pk_live_` and the base64 of a host name
    /// followed by `$`.
    ///
    /// ```
    /// use tower_clerk::config::PublishableKey;
    ///
    /// let key = PublishableKey::parse("pk_test_Y2xlcmsuY2xlcmsuZGV2JA")?;
    /// assert_eq!(key.frontend_api().as_str(), "https://clerk.clerk.dev");
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    pub fn parse(key: &str) -> Result<Self, ConfigError> {
        let invalid = |reason| ConfigError::invalid("publishable_key", reason);
        let body = key
            .strip_prefix("pk_test_")
            .or_else(|| key.strip_prefix("pk_live_"))
            .ok_or_else(|| invalid("must start with pk_test_ or pk_live_"))?;
        let host = decode_like_atob(body).ok_or_else(|| invalid("is not base64 after its prefix"))?;
        let host = host
            .strip_suffix('$')
            .filter(|host| host.contains('.') && is_dns_name(host) && host.parse::<Ipv4Addr>().is_err())
            .ok_or_else(|| invalid("does not name a host"))?;
        let frontend_api = FrontendApi::parse(host).map_err(|_| invalid("does not name a host"))?;
        Ok(Self { frontend_api, key: key.to_owned() })
    }

    /// The Frontend API that the key names.
    #[must_use]
    pub fn frontend_api(&self) -> &FrontendApi {
        &self.frontend_api
    }

    /// The key exactly as configured; the suffix of Clerk's cookies depends on every byte of it.
    pub(crate) fn as_str(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for PublishableKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PublishableKey").field(&self.frontend_api.as_str()).finish()
    }
}

/// A secret key (`sk_test_…` or `sk_live_…`), sent to the Backend API to fetch keys and nowhere else.
#[derive(Clone, Eq, PartialEq)]
pub struct SecretKey(String);

impl SecretKey {
    /// Reads a secret key.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` does not start like one or has characters that no key has.
    pub fn parse(key: &str) -> Result<Self, ConfigError> {
        let invalid = |reason| Err(ConfigError::invalid("secret_key", reason));
        if key.starts_with("pk_") {
            return invalid("is a publishable key");
        }
        // `test_` and `live_` are the prefixes of keys made before publishable keys existed.
        let body = ["sk_test_", "sk_live_", "test_", "live_"].iter().find_map(|prefix| key.strip_prefix(prefix));
        match body {
            None => invalid("must start with sk_test_ or sk_live_"),
            Some(body) if body.is_empty() || !body.bytes().all(|byte| byte.is_ascii_graphic()) => {
                invalid("has characters that no secret key has")
            }
            Some(_) => Ok(Self(key.to_owned())),
        }
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey(..)")
    }
}

/// The instance's public key (Clerk's "JWKS Public Key"), for verifying without any request.
///
/// It is accepted in the forms it is found in: PEM on many lines or on one, PEM with its line breaks
/// written as `\n`, and the bare base64 without the PEM markers; SPKI (`PUBLIC KEY`) or PKCS#1
/// (`RSA PUBLIC KEY`).
#[derive(Clone, Eq, PartialEq)]
pub struct JwtKey {
    der: Vec<u8>,
    setting: Setting,
}

impl JwtKey {
    /// Reads a public key.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` is a private key, a certificate, several keys or not PEM.
    /// That the key is an RSA key strong enough is checked when the verifier is made.
    pub fn parse(key: &str) -> Result<Self, ConfigError> {
        let invalid = |reason| ConfigError::invalid("jwt_key", reason);
        let text = key.replace("\\r", "").replace("\\n", "\n");
        let text = text.trim();
        let mut blocks = text.split("-----BEGIN ").skip(1);
        let (label, body) = match (blocks.next(), blocks.next()) {
            (None, _) => ("PUBLIC KEY", text),
            (Some(block), None) => block.split_once("-----").ok_or_else(|| invalid("is not PEM"))?,
            (Some(_), Some(_)) => return Err(invalid("holds more than one PEM block")),
        };
        match label {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
            label if label.ends_with("PRIVATE KEY") => {
                return Err(invalid("is a private key; the public key is needed"));
            }
            _ => return Err(invalid("is not a public key")),
        }
        let base64 = match body.split_once("-----END ") {
            Some((base64, end)) if end.trim_end() == format!("{label}-----") => base64,
            None if !text.starts_with('-') => body,
            _ => return Err(invalid("is not PEM")),
        };
        let base64: String = base64.split_ascii_whitespace().collect();
        let block = format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----");
        let der = pem::parse(block).map_err(|_| invalid("is not base64 between its markers"))?.into_contents();
        if der.is_empty() {
            return Err(invalid("is empty"));
        }
        Ok(Self { der, setting: "jwt_key".into() })
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// What to blame if the key turns out to be no strong RSA key.
    pub(crate) fn setting(&self) -> Setting {
        self.setting.clone()
    }

    pub(super) fn read_from(self, variable: &'static str) -> Self {
        Self { setting: self.setting.read_from(variable), ..self }
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JwtKey(..)")
    }
}

/// An origin that may mint tokens or hold cookies, `scheme://host[:port]` and nothing more.
pub(super) fn parse_origin(text: &str, setting: impl Into<Setting>) -> Result<String, ConfigError> {
    let is_origin = text.split_once("://").is_some_and(|(scheme, authority)| {
        let scheme_is_sound = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        scheme_is_sound && is_authority(authority)
    });
    if is_origin {
        Ok(text.to_owned())
    } else {
        Err(ConfigError::invalid(setting, "must hold bare origins, scheme://host[:port]"))
    }
}

/// A base URL to which paths are appended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct HttpUrl {
    text: String,
    authority: String,
}

impl HttpUrl {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let text = if text.contains("://") { Cow::Borrowed(text) } else { Cow::Owned(format!("https://{text}")) };
        if !text.is_ascii() {
            return Err("is not a URL");
        }
        if text.contains(['?', '#']) {
            return Err("must have no query and no fragment");
        }
        if text.contains('@') {
            return Err("must have no user name or password");
        }
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("is not an absolute URL");
        };
        let authority = authority.as_str().to_ascii_lowercase();
        if !is_authority(&authority) {
            return Err("does not name a host");
        }
        match scheme {
            "https" => {}
            "http" if is_loopback(&authority) => {}
            "http" => return Err("must use https (plain http is for loopback addresses only)"),
            _ => return Err("must use https"),
        }
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default_port).unwrap_or(&authority).to_owned();
        let path = uri.path();
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) || path.contains(['\\', '%']) {
            return Err("has a path that cannot be appended to");
        }
        Ok(Self { text: format!("{scheme}://{authority}{path}"), authority })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }
}

fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => {
            (None, port.strip_prefix(':').or(none_if_empty(port)))
        }
        Some(_) => return false,
        None => match authority.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(authority), Some("443")),
        },
    };
    let port_is_sound = port.is_some_and(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    port_is_sound && host.is_none_or(is_dns_name)
}

/// `[::1]` without a port is followed by nothing, which stands for the default port.
fn none_if_empty(port: &str) -> Option<&'static str> {
    port.is_empty().then_some("443")
}

/// Also true of dotted IPv4 addresses, which are spelled like names.
fn is_dns_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_loopback(authority: &str) -> bool {
    if let Some((host, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let host = authority.split(':').next().unwrap_or_default();
    host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Decodes by the rules of the web's `atob`, which Clerk's own SDKs use for publishable keys: the standard
/// alphabet, ASCII whitespace ignored, padding all there or not at all, trailing bits ignored.
fn decode_like_atob(text: &str) -> Option<String> {
    let text: String = text.split_ascii_whitespace().collect();
    let unpadded = match text.len() % 4 {
        0 => text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(&text),
        _ => &text,
    };
    let engine = GeneralPurpose::new(&STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));
    String::from_utf8(engine.decode(unpadded).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_or_loopback_without_extras() {
        for (text, url) in [
            ("https://clerk.example.com", "https://clerk.example.com"),
            ("clerk.example.com/", "https://clerk.example.com"),
            ("HTTPS://Clerk.Example.com:8443", "https://clerk.example.com:8443"),
            ("https://app.example.com/__clerk/", "https://app.example.com/__clerk"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9", "http://127.9.9.9"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("http://localhost", "http://localhost"),
            ("https://clerk.example.com:443", "https://clerk.example.com"),
            ("http://127.0.0.1:80/", "http://127.0.0.1"),
            ("https://[::1]:443", "https://[::1]"),
            ("https://clerk.example.com:80", "https://clerk.example.com:80"),
        ] {
            assert_eq!(FrontendApi::parse(text).unwrap().as_str(), url, "{text}");
        }
        for text in [
            "",
            "https://",
            "http://clerk.example.com",
            "http://localhost.example.com",
            "http://128.0.0.1",
            "ftp://a.b",
            "https://u@a.b",
            "https://u:p@a.b",
            "https://a.b?x",
            "https://a.b#x",
            "https://a.b//",
            "https://a.b/../c",
            "https://a b",
            "https://a..b",
            "https://-a.b",
            "https://a.b:0",
            "https://a.b:65536",
            "https://a.b:x",
            "https://a.b:",
            "https://a.b:+1",
            "http://[::2]",
            "https://[::1",
            "https://[x]",
            "https://ü.example",
            "https://a.b/%2e",
        ] {
            assert!(FrontendApi::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn publishable_keys_follow_clerks_own_rules() {
        for key in [
            "pk_test_Y2xlcmsuY2xlcmsuZGV2JA",
            "pk_test_Y2xlcmsuY2xlcmsuZGV2JA==",
            "pk_live_Y2xlcmsuY2xlcmsuZGV2JA",
            "pk_live_Y2xlcmsuY2xlcmsuZGV2JB",
        ] {
            assert_eq!(PublishableKey::parse(key).unwrap().frontend_api().as_str(), "https://clerk.clerk.dev", "{key}");
        }
        let encode = |text: &str| format!("pk_test_{}", base64::prelude::BASE64_STANDARD_NO_PAD.encode(text));
        assert!(PublishableKey::parse(&encode("a.b$")).is_ok());
        for text in
            ["a.b", "a.b$$", "$a.b$", "a.b$c", "localhost$", "127.0.0.1$", "$", "a.b/c$", "u@a.b$", "a.b:1$", "a .b$"]
        {
            assert!(PublishableKey::parse(&encode(text)).is_err(), "{text}");
        }
        for key in [
            "",
            "pk_test_",
            "PK_test_Y2xlcmsuY2xlcmsuZGV2JA",
            "sk_test_Y2xlcmsuY2xlcmsuZGV2JA",
            "pk_test_a_b",
            "pk_test_Y2xlcmsuY2xlcmsuZGV2JA=",
            "pk_test_Y",
            "pk_test_Y2xl-msuY2xlcmsuZGV2JA",
        ] {
            assert!(PublishableKey::parse(key).is_err(), "{key}");
        }
    }

    #[test]
    fn secret_keys_are_told_from_publishable_ones() {
        assert!(SecretKey::parse("sk_live_abc").is_ok());
        for key in ["", "sk_live_", "sk_live_a b", "sk_live_\n", "abc"] {
            assert!(SecretKey::parse(key).is_err(), "{key}");
        }
        let error = SecretKey::parse("pk_live_abc").unwrap_err().to_string();
        assert_eq!(error, "secret_key is a publishable key");
    }

    #[test]
    fn pem_is_read_in_every_form_it_is_found_in() {
        let base64 = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A";
        let (first, second) = base64.split_at(16);
        let expected = JwtKey::parse(base64).unwrap();
        for text in [
            format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n"),
            format!("-----BEGIN PUBLIC KEY-----\r\n{first}\r\n{second}\r\n-----END PUBLIC KEY-----"),
            format!("-----BEGIN PUBLIC KEY----- {first} {second} -----END PUBLIC KEY-----"),
            format!("-----BEGIN PUBLIC KEY-----{base64}-----END PUBLIC KEY-----"),
            format!("-----BEGIN PUBLIC KEY-----\\n{first}\\n{second}\\n-----END PUBLIC KEY-----\\n"),
            format!("-----BEGIN RSA PUBLIC KEY-----\n  {first}\n  {second}\n-----END RSA PUBLIC KEY-----"),
            format!("{first}\n{second}\n"),
        ] {
            assert_eq!(JwtKey::parse(&text).unwrap(), expected, "{text}");
        }
        let block = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
        for (text, reason) in [
            (String::new(), "is empty"),
            (block.replace("PUBLIC", "PRIVATE"), "is a private key"),
            (block.replace("PUBLIC", "RSA PRIVATE"), "is a private key"),
            (block.replace("PUBLIC KEY", "CERTIFICATE"), "is not a public key"),
            (block.repeat(2), "more than one PEM block"),
            (block.replace("-----END PUBLIC KEY-----", ""), "is not PEM"),
            (block.replace("END PUBLIC KEY", "END RSA PUBLIC KEY"), "is not PEM"),
            ("what is this?".to_owned(), "is not base64"),
        ] {
            let error = JwtKey::parse(&text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error} for {text}");
        }
    }

    #[test]
    fn an_authorized_party_is_a_bare_origin() {
        for origin in
            ["https://app.example.com", "http://localhost:3000", "chrome-extension://abcdef", "https://[::1]:3000"]
        {
            assert!(parse_origin(origin, "authorized_parties").is_ok(), "{origin}");
        }
        for text in [
            "",
            "*",
            "app.example.com",
            "https://",
            "https://a.b/",
            "https://a.b/c",
            "https://*.a.b",
            "https://u@a.b",
            "://a.b",
            "https://a.b:",
        ] {
            assert!(parse_origin(text, "authorized_parties").is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let text = format!(
            "{:?} {:?} {:?}",
            SecretKey::parse("sk_live_hunter2").unwrap(),
            JwtKey::parse("aHVudGVyMg==").unwrap(),
            PublishableKey::parse("pk_test_Y2xlcmsuY2xlcmsuZGV2JA").unwrap(),
        );
        assert_eq!(text, r#"SecretKey(..) JwtKey(..) PublishableKey("https://clerk.clerk.dev")"#);
    }
}
