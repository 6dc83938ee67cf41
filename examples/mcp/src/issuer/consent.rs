//! The page on which the user lets a client act for them, or not.

use axum::response::{Html, IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
};

use super::{metadata::AUTHORIZE, state::USER};

/// What the user is asked.
pub(super) struct Question<'a> {
    pub(super) client: &'a str,
    pub(super) scopes: &'a [String],
    /// Where the answer goes, for the page's policy.
    pub(super) target: &'a str,
    /// The query of the authorization request, which comes back with the answer and is then checked again.
    pub(super) request: &'a str,
}

/// A form with two buttons, without scripts.
pub(super) fn page(question: &Question<'_>) -> Response {
    let client = match question.client {
        "" => "A client without a name".to_owned(),
        name => escaped(name),
    };
    let scopes: String = question.scopes.iter().map(|scope| format!("<li>{}</li>", escaped(scope))).collect();
    let body = format!(
        "<p><strong>{client}</strong> asks to act for <strong>{USER}</strong> with:</p><ul>{scopes}</ul>\
         <p>It gets the answer at {target}.</p>\
         <form method=\"post\" action=\"{AUTHORIZE}\"><input type=\"hidden\" name=\"request\" value=\"{request}\">\
         <button name=\"decision\" value=\"allow\">Allow</button> \
         <button name=\"decision\" value=\"deny\">Deny</button></form>",
        target = escaped(question.target),
        request = escaped(question.request),
    );
    // A browser applies `form-action` to the redirect after the form too.
    html(StatusCode::OK, &body, &format!("'self' {}", question.target))
}

/// The end of a request that must not be redirected: it may be an attacker's.
pub(super) fn error(reason: &str) -> Response {
    html(StatusCode::BAD_REQUEST, &format!("<p>This request is refused: {}.</p>", escaped(reason)), "'none'")
}

fn html(status: StatusCode, body: &str, form_action: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Embedded issuer</title>\
         <h1>Embedded issuer</h1><p>For trying things out on this machine: nobody is signed in for real.</p>{body}</html>"
    );
    let policy = format!("default-src 'none'; form-action {form_action}; frame-ancestors 'none'; base-uri 'none'");
    // Parts of a serialized origin are visible ASCII.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let headers = [
        (CONTENT_SECURITY_POLICY, policy),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, Html(page)).into_response()
}

/// Text for an element, or for an attribute in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
