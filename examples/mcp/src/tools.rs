//! What the server offers, and the scopes that each tool needs.

use http::request::Parts;
use rmcp::{
    ErrorData, ServerHandler,
    handler::server::tool::Extension,
    handler::server::wrapper::{Json, Parameters},
    schemars::{self, JsonSchema},
    tool, tool_handler, tool_router,
};
use serde::{Deserialize, Serialize};
use tower_clerk::{OAuthToken, Requirement};

/// The tools. They keep nothing: each call has its own copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tools;

/// Who calls.
#[derive(Debug, JsonSchema, Serialize)]
struct Caller {
    /// The user who let the client act for them.
    user: String,
    /// The OAuth client, such as an AI agent.
    client: Option<String>,
    /// What the user has granted to the client.
    scopes: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct NewThing {
    /// What the thing is called.
    name: String,
}

#[derive(Debug, JsonSchema, Serialize)]
struct Thing {
    name: String,
    /// The user whose thing it is.
    owner: String,
}

#[tool_router]
impl Tools {
    #[tool(description = "Says which user and which client call, and which scopes the user has granted")]
    fn whoami(&self, Extension(parts): Extension<Parts>) -> Result<Json<Caller>, ErrorData> {
        let token = token(&parts)?;
        Ok(Json(Caller {
            user: token.user_id().to_owned(),
            client: token.client_id().map(str::to_owned),
            scopes: token.scopes().map(str::to_owned).collect(),
        }))
    }

    #[tool(description = "Creates a thing of the user; needs the scope things:write")]
    fn create_thing(
        &self,
        Extension(parts): Extension<Parts>,
        Parameters(thing): Parameters<NewThing>,
    ) -> Result<Json<Thing>, ErrorData> {
        let token = token(&parts)?;
        // `scope_challenge` has rejected the request before, in the way that clients act on. The tool itself stays safe
        // without that layer.
        if !token.has_scope(WRITE) {
            return Err(ErrorData::invalid_request("the token lacks the scope things:write", None));
        }
        Ok(Json(Thing { name: thing.name, owner: token.user_id().to_owned() }))
    }
}

#[tool_handler(
    name = "things",
    instructions = "whoami tells who the user is. create_thing needs the scope things:write, for which the user is asked."
)]
impl ServerHandler for Tools {}

/// What a call of this tool needs; `None` if every valid token will do.
///
/// It names all scopes that the operation needs, not only the one that is likely to be missing. Some clients ask for
/// the scopes of the challenge in place of those that they have, others for both.
pub(crate) fn requirement(tool: &str) -> Option<Requirement> {
    (tool == "create_thing").then(|| Requirement::all_of([Requirement::scope(BASIC), Requirement::scope(WRITE)]))
}

/// The token that `ClerkAuthLayer` has verified. rmcp hands the head of each HTTP request to the tools.
fn token(parts: &Parts) -> Result<&OAuthToken, ErrorData> {
    parts.extensions.get().ok_or_else(|| ErrorData::internal_error("no ClerkAuthLayer around the MCP service", None))
}

/// The scope that a client asks for at first. Clerk's instances have it too.
pub(crate) const BASIC: &str = "profile";
/// The scope of [`Tools::create_thing`].
pub(crate) const WRITE: &str = "things:write";

#[cfg(test)]
mod tests {
    use http::Request;
    use tower_clerk::{Principal, TokenKind, Verifier, testing::TestIssuer};

    use super::*;

    /// The head of a request whose token has these scopes.
    async fn head(scope: &str) -> Parts {
        let issuer = TestIssuer::new();
        let verifier = issuer.config().accept([TokenKind::OAuth]).and_then(Verifier::new).unwrap();
        let token = issuer.oauth_token("user_ada").claim("scope", scope).sign();
        let mut parts = Request::new(()).into_parts().0;
        match verifier.verify_principal(&token).await.unwrap() {
            Principal::OAuth(token) => parts.extensions.insert(token),
            other => panic!("{other:?}"),
        };
        parts
    }

    #[tokio::test]
    async fn the_tool_checks_its_scope_by_itself() {
        for (scope, is_allowed) in [("profile things:write", true), ("profile", false), ("", false)] {
            let thing = NewThing { name: "lamp".to_owned() };
            let created = Tools.create_thing(Extension(head(scope).await), Parameters(thing));
            assert_eq!(created.is_ok(), is_allowed, "{scope}");
        }
    }

    #[test]
    fn without_the_layer_nobody_is_let_in() {
        let parts = || Request::new(()).into_parts().0;
        assert!(Tools.whoami(Extension(parts())).is_err());
        let thing = NewThing { name: "lamp".to_owned() };
        assert!(Tools.create_thing(Extension(parts()), Parameters(thing)).is_err());
    }
}
