use super::{pasted::trimmed, url::HttpUrl};

/// The URL of a JWK Set that is public: `https`, or `http` on a loopback address, without userinfo, query and fragment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct JwksUrl(String);

impl JwksUrl {
    /// Parses and normalizes a URL. A slash at its end stays, since it names another document.
    ///
    /// URLs that certainly give no keys are errors. The error completes the sentence "`<setting>` …".
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let url = HttpUrl::parse(text)?;
        if url.host_name() == Some("api.clerk.com") {
            return Err(
                "is the Backend API's, which requires a secret; the Frontend API's ends in /.well-known/jwks.json",
            );
        }
        if url.path().is_empty() {
            return Err("must be the whole URL of the keys, such as https://clerk.example.com/.well-known/jwks.json");
        }
        if url.path().ends_with("/.well-known/openid-configuration") {
            return Err("is the OpenID configuration; give the URL that it names as jwks_uri");
        }
        let slash = if trimmed(text).ends_with('/') { "/" } else { "" };
        Ok(Self(format!("{}{slash}", url.as_str())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_that_of_a_public_document() {
        for (text, url) in [
            ("https://clerk.example.com/.well-known/jwks.json", "https://clerk.example.com/.well-known/jwks.json"),
            (" HTTPS://Clerk.Example.com:443/a\n", "https://clerk.example.com/a"),
            ("clerk.example.com/jwks.json", "https://clerk.example.com/jwks.json"),
            ("https://a.b/keys/", "https://a.b/keys/"),
            ("http://127.0.0.1:8080/jwks", "http://127.0.0.1:8080/jwks"),
            ("http://[::1]/jwks", "http://[::1]/jwks"),
            ("http://localhost/jwks", "http://localhost/jwks"),
        ] {
            assert_eq!(JwksUrl::parse(text).unwrap().as_str(), url, "{text}");
        }
        for (text, reason) in [
            ("", "must not be empty"),
            ("https://clerk.example.com", "whole URL"),
            ("https://clerk.example.com/", "whole URL"),
            ("https://api.clerk.com/v1/jwks", "Backend API"),
            ("https://API.clerk.com:443/v1/jwks/", "Backend API"),
            ("https://api.clerk.com", "Backend API"),
            ("https://clerk.example.com/.well-known/openid-configuration", "jwks_uri"),
            ("http://clerk.example.com/jwks", "must use https"),
            ("ftp://clerk.example.com/jwks", "must use https"),
            ("https://u:p@a.b/jwks", "user name"),
            ("https://a.b/jwks?x", "query"),
            ("https://a.b/jwks#x", "fragment"),
            ("https://a.b/../jwks", "path"),
            ("https://a.b/jwks//", "path"),
            ("${JWKS_URL}", "placeholder"),
            ("pk_test_Y2xlcmsuY2xlcmsuZGV2JA", "publishable key"),
        ] {
            let error = JwksUrl::parse(text).unwrap_err();
            assert!(error.contains(reason), "{error} for {text:?}");
        }
    }
}
