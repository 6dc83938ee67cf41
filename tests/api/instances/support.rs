use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, Verifier,
    testing::{ManualClock, TestIssuer, TokenBuilder},
    verify::{Instance, VerifyErrorKind},
};
use tower_layer::Layer;

/// An instance with keys of its own; all of them name their first key alike.
pub(crate) struct Tenant {
    pub(crate) issuer: TestIssuer,
    pub(crate) url: String,
}

impl Tenant {
    pub(crate) fn new(name: &str) -> Self {
        let issuer = TestIssuer::new().clock(ManualClock::new());
        Self { issuer, url: format!("https://clerk.{name}.example") }
    }

    pub(crate) fn config(&self) -> ClerkConfig {
        ClerkConfig::from_jwks(self.issuer.jwks()).and_then(|config| config.issuer(&self.url)).expect("a configuration")
    }

    pub(crate) fn instance(&self) -> Instance {
        self.config().into()
    }

    pub(crate) fn token(&self, user_id: &str) -> TokenBuilder {
        self.issuer.token(user_id).claim("iss", &self.url)
    }
}

/// User and instance of a token, or why it was refused.
pub(crate) async fn verify(verifier: &Verifier, token: &str) -> Result<(String, String), VerifyErrorKind> {
    let claims = verifier.verify(token).await.map_err(|error| error.kind())?;
    let user = ClerkAuth::from(claims);
    Ok((user.user_id().to_owned(), user.instance().to_owned()))
}

/// Status of a request with these headers.
pub(crate) async fn status(layer: &ClerkAuthLayer, method: &str, headers: &[(&str, &str)]) -> u16 {
    let service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    let mut request = Request::builder().method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a request");
    service.oneshot(request).await.expect("infallible").status().as_u16()
}
