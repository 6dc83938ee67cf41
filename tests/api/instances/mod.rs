//! One verifier that trusts several instances, configured or resolved.

mod configured;
mod cookies;
mod forgotten;
mod late;
mod many;
mod records;
mod resolved;
mod strangers;

use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, Verifier,
    config::IssuerUrl,
    testing::{TestIssuer, TokenBuilder},
    verify::{Instance, VerifyErrorKind},
};

use crate::support::{numbered_issuer, request, send_through};

/// An instance with its own key. The keys of all instances have the same `kid`.
struct Tenant {
    issuer: &'static TestIssuer,
    url: String,
}

impl Tenant {
    /// `a`, `b`, `c` and `d` have different keys.
    fn new(name: &str) -> Self {
        let number = name.bytes().next().map_or(0, |first| usize::from(first % 4));
        Self { issuer: numbered_issuer(number), url: format!("https://clerk.{name}.example") }
    }

    fn config(&self) -> ClerkConfig {
        ClerkConfig::from_jwks(self.issuer.jwks())
            .and_then(|config| config.add_issuer(&self.url))
            .expect("a configuration")
    }

    fn instance(&self) -> Instance {
        self.config().into()
    }

    fn issuer_url(&self) -> IssuerUrl {
        IssuerUrl::parse(&self.url).expect("an issuer")
    }

    fn token(&self, user_id: &str) -> TokenBuilder {
        self.issuer.token(user_id).claim("iss", &self.url)
    }
}

/// User and instance of a token, or the reason of its rejection.
async fn verify(verifier: &Verifier, token: &str) -> Result<(String, String), VerifyErrorKind> {
    let claims = verifier.verify(token).await.map_err(|error| error.kind())?;
    let user = ClerkAuth::from(claims);
    Ok((user.user_id().to_owned(), user.instance().to_owned()))
}

/// Status of the response to a request with these headers.
async fn status(layer: &ClerkAuthLayer, method: &str, headers: &[(&str, &str)]) -> u16 {
    send_through(layer, request(method, "/", headers)).await.status()
}
