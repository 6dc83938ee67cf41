//! Protected resources: their metadata, the challenges that name it, and tokens that were issued for another resource.

mod audience;
mod challenges;
mod clients;
mod document;
mod serving;
mod settings;

use serde_json::Value;
use tower_clerk::{ClerkAuthLayer, ProtectedResource, TokenKind};

use crate::support::{Answer, layer_with};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const MCP: &str = "https://api.example.com/mcp";

fn resource(url: &str) -> ProtectedResource {
    ProtectedResource::new(url).expect("a resource")
}

/// A layer that accepts tokens of every kind with a JWT form.
fn oauth_layer() -> ClerkAuthLayer {
    layer_with(|config| config.accept([TokenKind::Session, TokenKind::OAuth, TokenKind::M2m]))
}

/// The same with this resource.
fn layer_for(resource: ProtectedResource) -> ClerkAuthLayer {
    oauth_layer().protected_resource(resource).expect("a layer")
}

fn document(answer: &Answer) -> Value {
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")), "{answer:?}");
    serde_json::from_str(&answer.text).expect("JSON")
}
