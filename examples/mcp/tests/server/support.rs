use std::sync::Arc;

use mcp::{Issuer, Server, Settings};
use reqwest::{Client, Response, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use url::Url;

/// A running server with its embedded issuer.
pub(crate) struct Running {
    /// Of the MCP endpoint.
    pub(crate) url: String,
    pub(crate) issuer: Arc<Issuer>,
}

pub(crate) async fn start() -> Running {
    start_with(Settings::default()).await
}

pub(crate) async fn start_with(settings: Settings) -> Running {
    let server = Server::bind(settings).await.unwrap();
    let (url, issuer) = (server.url().to_owned(), Arc::clone(server.issuer().unwrap()));
    tokio::spawn(server.run());
    Running { url, issuer }
}

impl Running {
    /// The URL of another path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.url())
    }

    /// Calls a tool with a token, as a client does.
    pub(crate) async fn call(&self, token: Option<&str>, tool: &str) -> Response {
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": tool, "arguments": { "name": "lamp" } },
        });
        let request = http().post(&self.url).header("accept", "application/json, text/event-stream").json(&call);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap()
    }

    /// Registers a client and returns its id.
    pub(crate) async fn register(&self, redirect_uri: &str) -> String {
        let response = self.post_json("/oauth/register", &json!({ "redirect_uris": [redirect_uri] })).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        response.json::<Value>().await.unwrap()["client_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Response {
        http().post(self.at(path)).json(body).send().await.unwrap()
    }

    pub(crate) async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> Response {
        http().post(self.at(path)).form(form).send().await.unwrap()
    }
}

/// A browser and its user: opens an authorization URL, clicks, and returns where the browser is sent.
pub(crate) async fn click(url: &str, button: &str) -> Url {
    let page = http().get(url).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();
    let action = between(&page, "action=\"", "\"");
    let request = between(&page, "name=\"request\" value=\"", "\"").replace("&amp;", "&");
    let target = Url::parse(url).unwrap().join(&action).unwrap();
    let form = http().post(target.clone()).form(&[("request", request.as_str()), ("decision", button)]);
    let origin = target.origin().ascii_serialization();
    location(&form.header("origin", origin).header("sec-fetch-site", "same-origin").send().await.unwrap())
}

/// Where a response redirects to.
pub(crate) fn location(response: &Response) -> Url {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    Url::parse(response.headers()["location"].to_str().unwrap()).unwrap()
}

pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The challenge of a 401 or 403.
pub(crate) fn challenge(response: &Response) -> &str {
    response.headers()["www-authenticate"].to_str().unwrap()
}

/// The client of this test, which follows no redirects.
pub(crate) fn http() -> Client {
    thread_local! {
        // Reading the certificates of the system takes longer than a request.
        static CLIENT: Client = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
    }
    CLIENT.with(Client::clone)
}

fn between(text: &str, start: &str, end: &str) -> String {
    text.split_once(start).unwrap().1.split_once(end).unwrap().0.to_owned()
}
