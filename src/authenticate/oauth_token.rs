use std::{fmt, time::SystemTime};

use super::machine::{Machine, machine_token};
use crate::claims::Actor;

/// A valid OAuth access token: a user has let a client, such as an AI agent, act for them.
///
/// [`ClerkAuthLayer`](crate::ClerkAuthLayer) inserts it into the extensions of each request with such a token, if
/// [`TokenKind::OAuth`](crate::TokenKind::OAuth) is [accepted](crate::ClerkConfig::accept). With the feature `axum` it
/// is an extractor, and so is `Option<OAuthToken>`; with the feature `tonic`, `OAuthToken::from_tonic` reads it from a
/// request.
///
/// **The user is not there in person.** A client may do what its scopes name, and a handler that takes an `OAuthToken`
/// has to check them: with a [`RequireLayer`](crate::RequireLayer) around it, or with [`require`](Self::require).
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "testing"))]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, body::Body, http::Request, routing::post};
/// use tower::ServiceExt;
/// use tower_clerk::{ClerkAuthLayer, OAuthToken, Rejection, Requirement, TokenKind, testing::TestIssuer};
///
/// async fn create(token: OAuthToken) -> Result<String, Rejection> {
///     token.require(&Requirement::scope("things:write"))?;
///     Ok(format!("created by {:?} for {}", token.client_id(), token.user_id()))
/// }
///
/// let issuer = TestIssuer::new();
/// let config = issuer.config().accept([TokenKind::OAuth])?;
/// let app: Router = Router::new().route("/things", post(create)).route_layer(ClerkAuthLayer::from_config(config)?);
///
/// let writer = issuer.oauth_token("user_ada").claim("scope", "things:read things:write").sign();
/// let reader = issuer.oauth_token("user_ada").claim("scope", "things:read").sign();
/// let session = issuer.token("user_ada").sign();
/// for (token, status) in [(writer, 200), (reader, 403), (session, 401)] {
///     let bearer = format!("Bearer {token}");
///     let request = Request::post("/things").header("authorization", bearer).body(Body::empty())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OAuthToken(pub(super) Machine);

impl OAuthToken {
    /// Returns the id of the user who granted the token (`sub`).
    ///
    /// In an opaque token it starts with `user_`, or the token is rejected. In a JWT it is whatever Clerk has signed,
    /// unless that is the id of a machine.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.0.claims.subject()
    }

    /// Returns the id of the OAuth client that acts for the user (`client_id`; RFC 9068, section 2.2).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.0.claims.client_id()
    }

    /// Returns the scopes that the user granted: those of `scp`, an array, or else those of `scope`, a text (RFC 9068,
    /// section 2.2.3).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.claims.scopes()
    }

    /// Returns `true` if the user granted this scope. It is compared byte by byte; a text that is no scope is
    /// none (RFC 6749, section 3.3).
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.0.claims.has_scope(scope)
    }

    /// Returns the id of the organization that the token is for (`org_id`), if any.
    #[must_use]
    pub fn organization_id(&self) -> Option<&str> {
        self.0.claims.organization_id()
    }

    /// Returns the services that the token is for (`aud`; RFC 7519, section 4.1.3); none if it names none.
    ///
    /// It is checked only with [`ClerkConfig::oauth_audience`](crate::ClerkConfig::oauth_audience).
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.0.claims.audience()
    }

    /// Returns who acts for the user beside the client (`act`; RFC 8693, section 4.1), if anyone.
    #[must_use]
    pub fn actor(&self) -> Option<Actor<'_>> {
        self.0.claims.actor()
    }

    /// Returns the id of the token, `oat_…` (`jti` of a JWT). It starts like an opaque token, but is no secret.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.claims.id()
    }
}

machine_token!(OAuthToken);
