//! Who a request is from, of any kind.

use std::time::SystemTime;

use http::Extensions;

use super::{
    api_key::ApiKey, extension::ClerkAuth, holder::Holder, m2m_token::M2mToken, machine::Machine,
    oauth_token::OAuthToken,
};
use crate::{
    claims::VerifiedToken,
    rejection::Responder,
    token_kind::TokenKind,
    verify::{Verifier, VerifyError},
};

/// Who a request is from, of any kind that the layer accepts.
///
/// With the feature `axum` it is an extractor behind every layer, and so is `Option<Principal>`; with the feature
/// `tonic`, `Principal::from_tonic` reads it from a request. A layer that accepts more than sessions also inserts it
/// into the extensions of each request with a valid token, beside the type of its kind.
///
/// Match it where a handler treats the kinds differently. Where it takes one kind alone, let it take the type of that
/// kind, and a request with another one gets 401.
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "testing"))]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use tower::ServiceExt;
/// use tower_clerk::{ClerkAuth, ClerkAuthLayer, Principal, TokenKind, testing::TestIssuer};
///
/// async fn whoami(principal: Principal) -> String {
///     match principal {
///         Principal::Session(user) => format!("{} in person", user.user_id()),
///         Principal::OAuth(token) => format!("{} through {:?}", token.user_id(), token.client_id()),
///         other => format!("{} {}", other.kind(), other.subject()),
///     }
/// }
///
/// async fn delete_account(user: ClerkAuth) -> String {
///     user.user_id().to_owned()
/// }
///
/// let issuer = TestIssuer::new();
/// let config = issuer.config().accept([TokenKind::Session, TokenKind::OAuth, TokenKind::M2m])?;
/// let app: Router = Router::new()
///     .route("/whoami", get(whoami))
///     .route("/delete-account", get(delete_account))
///     .route_layer(ClerkAuthLayer::from_config(config)?);
///
/// for (token, said, may_delete) in [
///     (issuer.token("user_ada"), "user_ada in person", true),
///     (issuer.oauth_token("user_ada"), r#"user_ada through Some("client_test")"#, false),
///     (issuer.m2m_token("mch_orders"), "m2m_token mch_orders", false),
/// ] {
///     let bearer = format!("Bearer {}", token.sign());
///     let request = |path: &str| Request::get(path).header("authorization", &bearer).body(Body::empty());
///     let response = app.clone().oneshot(request("/whoami")?).await?;
///     assert_eq!(axum::body::to_bytes(response.into_body(), 100).await?, said);
///     let response = app.clone().oneshot(request("/delete-account")?).await?;
///     assert_eq!(response.status(), if may_delete { 200 } else { 401 });
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Principal {
    /// A signed-in user.
    Session(ClerkAuth),
    /// An OAuth client that acts for a user.
    OAuth(OAuthToken),
    /// A machine.
    M2m(M2mToken),
    /// A program with an API key.
    ApiKey(ApiKey),
}

impl Principal {
    /// The principal of a verified token.
    pub(super) fn new(token: VerifiedToken, responder: Responder) -> Self {
        match token {
            VerifiedToken::Session(claims) => Self::Session(ClerkAuth::new(claims, responder)),
            VerifiedToken::Machine(claims) => Self::of_machine(Machine { claims, responder }),
        }
    }

    /// The principal of a token that is no session token.
    pub(super) fn of_machine(machine: Machine) -> Self {
        match machine.claims.kind() {
            TokenKind::M2m => Self::M2m(M2mToken(machine)),
            TokenKind::ApiKey => Self::ApiKey(ApiKey(machine)),
            // The claims of a session are no `MachineClaims`.
            TokenKind::OAuth | TokenKind::Session => Self::OAuth(OAuthToken(machine)),
        }
    }

    /// Returns the kind of the token.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        match self {
            Self::Session(_) => TokenKind::Session,
            Self::OAuth(_) => TokenKind::OAuth,
            Self::M2m(_) => TokenKind::M2m,
            Self::ApiKey(_) => TokenKind::ApiKey,
        }
    }

    /// Returns the id of the user, organization or machine that the token speaks for.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self.holder() {
            Holder::Machine(machine) => machine.claims.subject(),
            Holder::Session(user) => user.claims().user_id(),
        }
    }

    /// Returns the scopes of the token. A session has none, and those of an M2M token are the ids of machines.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let machine = match self.holder() {
            Holder::Machine(machine) => Some(machine),
            Holder::Session(_) => None,
        };
        machine.into_iter().flat_map(|machine| machine.claims.scopes())
    }

    /// Returns the id of the session or of the token, for the records of an application. It is no secret.
    ///
    /// A session token made from a JWT template may have no session id, and a JWT of another kind no `jti`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self.holder() {
            Holder::Machine(machine) => machine.claims.id(),
            Holder::Session(user) => user.claims().session_id(),
        }
    }

    /// Returns when the token expires; `None` if it does not, as many API keys.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        match self.holder() {
            Holder::Machine(machine) => machine.claims.expires_at(),
            Holder::Session(user) => Some(user.claims().expires_at()),
        }
    }

    /// Returns the name of the instance that vouches for the token, as [`Claims::instance`](crate::Claims::instance)
    /// does.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.holder().instance()
    }

    /// Inserts it into the extensions, beside the type of its kind.
    pub(super) fn insert(self, extensions: &mut Extensions) {
        match &self {
            Self::Session(user) => drop(extensions.insert(user.clone())),
            Self::OAuth(token) => drop(extensions.insert(token.clone())),
            Self::M2m(token) => drop(extensions.insert(token.clone())),
            Self::ApiKey(key) => drop(extensions.insert(key.clone())),
        }
        extensions.insert(self);
    }

    /// Removes what an outer layer has inserted.
    pub(super) fn remove(extensions: &mut Extensions) {
        extensions.remove::<ClerkAuth>();
        extensions.remove::<Self>();
        extensions.remove::<OAuthToken>();
        extensions.remove::<M2mToken>();
        extensions.remove::<ApiKey>();
    }

    /// The user of a session, or what the other kinds have in common.
    pub(crate) fn holder(&self) -> Holder<'_> {
        match self {
            Self::Session(user) => Holder::Session(user),
            Self::OAuth(token) => Holder::Machine(token.machine()),
            Self::M2m(token) => Holder::Machine(token.machine()),
            Self::ApiKey(key) => Holder::Machine(key.machine()),
        }
    }

    /// Who a request is from, by its extensions.
    ///
    /// The types of the kinds come first, and `Principal` itself last. A middleware may replace the user of a request,
    /// and then a handler that takes a `Principal` and a `RequireLayer` see the same one as a handler that takes
    /// `ClerkAuth`.
    pub(crate) fn holder_in(extensions: &Extensions) -> Option<Holder<'_>> {
        let session = extensions.get().map(Holder::Session);
        let oauth = || extensions.get().map(|token: &OAuthToken| Holder::Machine(token.machine()));
        let m2m = || extensions.get().map(|token: &M2mToken| Holder::Machine(token.machine()));
        let api_key = || extensions.get().map(|key: &ApiKey| Holder::Machine(key.machine()));
        session.or_else(oauth).or_else(m2m).or_else(api_key).or_else(|| extensions.get().map(Self::holder))
    }
}

macro_rules! from_its_kind {
    ($($name:ident => $variant:ident)*) => {
        $(impl From<$name> for Principal {
            fn from(principal: $name) -> Self {
                Self::$variant(principal)
            }
        })*
    };
}

from_its_kind!(ClerkAuth => Session OAuthToken => OAuth M2mToken => M2m ApiKey => ApiKey);

/// # Tokens of every kind
impl Verifier {
    /// Verifies a token of any kind that the configuration [accepts](crate::ClerkConfig::accept), and returns who it
    /// speaks for.
    ///
    /// As [`verify`](Self::verify), which takes session tokens alone; for an opaque token it may wait for a call of the
    /// Backend API.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{TokenKind, Verifier, testing::TestIssuer, verify::VerifyErrorKind};
    ///
    /// let issuer = TestIssuer::new();
    /// let verifier = Verifier::new(issuer.config().accept([TokenKind::Session, TokenKind::OAuth])?)?;
    ///
    /// let token = issuer.oauth_token("user_ada").claim("scope", "read write").sign();
    /// let principal = verifier.verify_principal(&token).await?;
    /// assert_eq!((principal.kind(), principal.subject()), (TokenKind::OAuth, "user_ada"));
    /// assert!(principal.scopes().eq(["read", "write"]));
    ///
    /// // What is written for users does not take it.
    /// let error = verifier.verify(&token).await.unwrap_err();
    /// assert_eq!(error.kind(), VerifyErrorKind::TokenKindNotAccepted);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), and
    /// [`TokenKindNotAccepted`](crate::verify::VerifyErrorKind::TokenKindNotAccepted) for a token of another kind.
    pub async fn verify_principal(&self, token: &str) -> Result<Principal, VerifyError> {
        self.verify_kinds(token, self.kinds()).await.map(|token| Principal::new(token, Responder::default()))
    }

    /// As [`verify_principal`](Self::verify_principal), without waiting; see [`try_verify`](Self::try_verify).
    ///
    /// # Errors
    ///
    /// As [`verify_principal`](Self::verify_principal). Where that would wait, the kind is
    /// [`KeysUnavailable`](crate::verify::VerifyErrorKind::KeysUnavailable).
    pub fn try_verify_principal(&self, token: &str) -> Result<Principal, VerifyError> {
        self.try_verify_kinds(token, self.kinds()).map(|token| Principal::new(token, Responder::default()))
    }
}
