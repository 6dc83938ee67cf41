//! The authorization endpoint: it asks the user and sends their browser back to the client with a code.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, LOCATION},
};
use url::Url;

use super::{
    consent::{self, Question},
    parameters::Parameters,
    pkce::Challenge,
    redirect_uri,
    state::{Client, Grant, Issuer, SCOPES},
};
use crate::tools;

/// A sound request of a known client.
struct Authorization {
    client: Client,
    redirect: Url,
    state: Option<String>,
    /// What the client gets if the user allows it.
    grant: Grant,
}

/// `GET`: shows the user what the client asks for. It changes nothing.
pub(super) async fn ask(State(issuer): State<Arc<Issuer>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let authorization = match issuer.authorization(&query) {
        Ok(authorization) => authorization,
        Err(reason) => return consent::error(reason),
    };
    consent::page(&Question {
        client: &authorization.client.name,
        scopes: &authorization.grant.scopes,
        target: &redirect_uri::source(&authorization.redirect),
        request: &query,
    })
}

/// `POST`: what the user has answered.
pub(super) async fn decide(State(issuer): State<Arc<Issuer>>, body: Bytes) -> Response {
    let Ok(form) = Parameters::read(&body) else { return consent::error("the form is broken") };
    let authorization = match issuer.authorization(form.get("request").unwrap_or_default()) {
        Ok(authorization) => authorization,
        Err(reason) => return consent::error(reason),
    };
    match form.get("decision") {
        Some("allow") => {}
        Some("deny") => return issuer.redirect(&authorization, ("error", "access_denied")),
        _ => return consent::error("the form has no decision"),
    }
    // A page can register clients, but only a person allows one something.
    issuer.clients.protect(&authorization.grant.client_id);
    match issuer.codes.keep(authorization.grant.clone()) {
        Ok(code) => issuer.redirect(&authorization, ("code", &code)),
        Err(_) => issuer.redirect(&authorization, ("error", "server_error")),
    }
}

impl Issuer {
    /// Reads a request, or says what is wrong with it.
    ///
    /// Every error ends on a page here. RFC 6749, section 4.1.2.1, would send some of them to the client, but anyone
    /// can register one: a link to this issuer would lead to their page at once (RFC 9700, section 4.11.2).
    fn authorization(&self, query: &str) -> Result<Authorization, &'static str> {
        let parameters = Parameters::read(query.as_bytes()).map_err(|_| "a parameter is repeated")?;
        let id = parameters.get("client_id").ok_or("client_id is missing")?;
        let client = self.clients.get(id).ok_or("the client is not registered")?;
        let uri = parameters.get("redirect_uri").ok_or("redirect_uri is missing")?;
        let redirect = redirect_uri::requested(uri, &client.redirect_uris).ok_or("redirect_uri is not registered")?;
        let state = parameters.get("state").map(str::to_owned);
        let grant = self.grant(&parameters, id, uri)?;
        Ok(Authorization { client, redirect, state, grant })
    }

    fn grant(&self, parameters: &Parameters, client_id: &str, redirect_uri: &str) -> Result<Grant, &'static str> {
        if parameters.get("response_type") != Some("code") {
            return Err("response_type must be code");
        }
        if parameters.get("code_challenge_method") != Some("S256") {
            return Err("code_challenge_method must be S256");
        }
        let challenge = parameters.get("code_challenge").and_then(Challenge::read);
        let challenge = challenge.ok_or("code_challenge must be a SHA-256 in base64url")?;
        // A client that names no resource can only mean this one (RFC 8707).
        if parameters.get("resource").is_some_and(|resource| resource != self.resource) {
            return Err("resource must be the URL of this MCP endpoint");
        }
        let asked = parameters.get("scope").unwrap_or(tools::BASIC);
        let scopes: Vec<_> = SCOPES.iter().filter(|scope| asked.split(' ').any(|asked| asked == **scope)).collect();
        if scopes.is_empty() {
            return Err("scope names none of this issuer's scopes");
        }
        let scopes = scopes.into_iter().map(|scope| (*scope).to_owned()).collect();
        Ok(Grant { client_id: client_id.to_owned(), redirect_uri: redirect_uri.to_owned(), challenge, scopes })
    }

    /// Sends the browser to the client, with the answer and with who gives it (RFC 9207).
    fn redirect(&self, authorization: &Authorization, answer: (&str, &str)) -> Response {
        let mut url = authorization.redirect.clone();
        url.query_pairs_mut().append_pair(answer.0, answer.1).append_pair("iss", &self.url);
        if let Some(state) = &authorization.state {
            url.query_pairs_mut().append_pair("state", state);
        }
        // 303: the browser must not repeat the form there.
        match HeaderValue::try_from(String::from(url)) {
            Ok(url) => (StatusCode::SEE_OTHER, [(LOCATION, url), (CACHE_CONTROL, NO_STORE)]).into_response(),
            Err(_) => consent::error("redirect_uri is no header value"),
        }
    }
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
