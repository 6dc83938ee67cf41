//! Asks for more scopes with the HTTP response on which MCP clients act: 403 and `insufficient_scope`, before the MCP
//! service sees the request. An error of a tool itself would be JSON in a 200, which reaches the model instead.

use std::{error::Error, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};
use http_body_util::LengthLimitError;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest};
use tokio::time::timeout;
use tower::ServiceExt;
use tower_clerk::authorize::RequireService;

use crate::tools;

/// Rejects calls of a tool whose scopes the token lacks.
pub(crate) async fn challenge(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = timeout(BODY_DEADLINE, to_bytes(body, MAX_BODY)).await else {
        return StatusCode::REQUEST_TIMEOUT.into_response();
    };
    let body = match body {
        Ok(body) => body,
        Err(error) if error.source().is_some_and(|source| source.is::<LengthLimitError>()) => {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        }
        // The upload broke off, or is no valid HTTP.
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    };
    let requirement = called_tool(&body).and_then(|tool| tools::requirement(&tool));
    let request = Request::from_parts(parts, Body::from(body));
    let Some(requirement) = requirement else { return next.run(request).await };
    match RequireService::new(next, requirement).oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    }
}

/// The tool that a message calls. The message is read with rmcp's own types, so that the two cannot read it
/// differently.
fn called_tool(body: &[u8]) -> Option<String> {
    match serde_json::from_slice(body).ok()? {
        ClientJsonRpcMessage::Request(message) => match message.request {
            ClientRequest::CallToolRequest(call) => Some(call.params.name.into_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// In bytes. The calls of these tools are far smaller.
pub(crate) const MAX_BODY: usize = 256 * 1024;
/// For the whole body, so that no trickle holds a connection and its buffer. The largest one takes 21 seconds at 100
/// kbit/s, a poor mobile connection.
const BODY_DEADLINE: Duration = Duration::from_secs(30);
