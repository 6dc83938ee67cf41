use clerk_rs::ClerkConfiguration;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use migrations::{by_hand, clerk_rs as with_clerk_rs, jwt_authorizer};
use tower::ServiceExt;
use tower_clerk::testing::{TestIssuer, TokenBuilder};

/// What people come from.
#[derive(Clone, Copy)]
pub enum Origin {
    ByHand,
    ClerkRs,
    JwtAuthorizer,
}

#[derive(Clone, Copy)]
pub enum Version {
    Before(Origin),
    After(Origin),
}

/// The columns of the tables: before, in three ways, then after each of them.
pub const VERSIONS: [Version; 6] = [
    Version::Before(Origin::ByHand),
    Version::Before(Origin::ClerkRs),
    Version::Before(Origin::JwtAuthorizer),
    Version::After(Origin::ByHand),
    Version::After(Origin::ClerkRs),
    Version::After(Origin::JwtAuthorizer),
];

pub enum App {
    Axum07(axum07::Router),
    Axum08(axum::Router),
}

pub struct Answer {
    pub body: String,
    pub headers: HeaderMap,
    pub status: StatusCode,
}

impl App {
    /// `None` if the program does not start.
    pub async fn start(version: Version, issuer: &TestIssuer) -> Option<Self> {
        let url = issuer.url();
        Some(match version {
            Version::Before(Origin::ByHand) => {
                Self::Axum08(by_hand::before::app(by_hand::before::AuthState::new(url).await.ok()?))
            }
            Version::Before(Origin::ClerkRs) => {
                let configuration = ClerkConfiguration::new("sk_test_x").with_base_path(format!("{url}/v1"));
                Self::Axum08(with_clerk_rs::before::app(configuration))
            }
            Version::Before(Origin::JwtAuthorizer) => Self::Axum07(jwt_authorizer::before::app(url).await.ok()?),
            Version::After(Origin::ByHand) => Self::Axum08(by_hand::after::app(url).expect("a configuration")),
            Version::After(Origin::ClerkRs) => Self::Axum08(with_clerk_rs::after::app(url).expect("a configuration")),
            Version::After(Origin::JwtAuthorizer) => {
                Self::Axum07(jwt_authorizer::after::app(url).expect("a configuration"))
            }
        })
    }

    pub async fn answer(&self, request: Request<()>) -> Answer {
        let (parts, body) = match self {
            Self::Axum07(app) => {
                let response = app.clone().oneshot(request.map(|()| axum07::body::Body::empty())).await;
                let (parts, body) = response.expect("a response").into_parts();
                (parts, body.collect().await.expect("a body").to_bytes())
            }
            Self::Axum08(app) => {
                let response = app.clone().oneshot(request.map(|()| axum::body::Body::empty())).await;
                let (parts, body) = response.expect("a response").into_parts();
                (parts, body.collect().await.expect("a body").to_bytes())
            }
        };
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        Answer { body, headers: parts.headers, status: parts.status }
    }

    /// The status of the response to a request with this token.
    pub async fn status(&self, token: &str) -> String {
        self.answer(bearer("/me", token)).await.status.as_u16().to_string()
    }
}

pub fn bearer(path: &str, token: &str) -> Request<()> {
    Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}")).body(()).expect("a request")
}

/// A token as the front end of the API sends it.
pub fn token(issuer: &TestIssuer) -> TokenBuilder {
    issuer.token("user_ada").authorized_party("https://app.example.com")
}
