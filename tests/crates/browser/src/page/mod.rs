//! The page of the axum example, which runs as a process.

mod calls;
mod looks;
mod safety;
mod session;

use serde_json::{Value, json};

use crate::{
    browser::{Browser, browse},
    process::Example,
};

/// The page in a browser.
#[derive(Clone)]
struct Page {
    browser: Browser,
    url: String,
}

/// What the page shows about a call.
#[derive(Debug)]
struct Shown {
    /// Beside the route.
    status: u64,
    summary: String,
    request: String,
    /// The names and values of the response.
    response: Value,
    body: Value,
}

/// Runs `test` with the page of the demonstration.
async fn demo<F>(test: impl FnOnce(Page) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    with_variables(&[], &[], test).await;
}

/// Runs `test` with the page of an example that has an environment.
async fn with_variables<F>(variables: &[(&str, &str)], arguments: &[String], test: impl FnOnce(Page) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let example = Example::start("axum", "/optional", variables);
    let url = example.url.clone();
    browse(arguments, move |browser| test(Page { browser, url })).await;
}

impl Page {
    /// Loads the page anew, with new tokens, and chooses who calls.
    async fn open(&self, caller: &str) {
        self.browser.open(&self.url).await;
        self.browser.until(&format!("document.querySelector('input[value={caller}]')")).await;
        self.choose(caller).await;
    }

    async fn choose(&self, caller: &str) {
        self.browser.click(&format!("input[value={caller}]")).await;
    }

    async fn paste(&self, token: &str) {
        self.choose("own").await;
        let field = self.browser.client.find(fantoccini::Locator::Id("own-token")).await.expect("a field");
        field.clear().await.expect("an empty field");
        field.send_keys(token).await.expect("a token in the field");
    }

    async fn call(&self, path: &str) -> Shown {
        self.browser.click(&format!("[data-path='{path}']")).await;
        self.shown(path).await
    }

    /// What the page shows once the server has responded.
    async fn shown(&self, path: &str) -> Shown {
        self.browser.until(&format!("document.querySelector('[data-path=\"{path}\"][aria-current=true]')")).await;
        let status = self.browser.text(&format!("[data-path='{path}'] .status")).await;
        let rows = "const rows = [...document.querySelectorAll('#response dt')];
                    return Object.fromEntries(rows.map((row) => [row.textContent, row.nextSibling.textContent]));";
        let body = self.browser.text("#body").await;
        Shown {
            status: status.parse().expect("a status"),
            summary: self.browser.text("#summary").await,
            request: self.browser.text("#request").await,
            response: self.browser.run(rows).await,
            body: serde_json::from_str(&body).unwrap_or(json!(body)),
        }
    }

    async fn claims(&self) -> Value {
        serde_json::from_str(&self.browser.text("#claims").await).unwrap_or(Value::Null)
    }

    /// Nothing went wrong and nothing was blocked. A refused request is an entry of the log too.
    async fn assert_quiet(&self) {
        let log = self.browser.log().await;
        let is_refusal = |entry: &&Value| entry["source"] == "network" && is_of(entry, &self.url);
        let others: Vec<_> = log.iter().filter(|entry| !is_refusal(entry)).collect();
        assert!(others.is_empty(), "{others:?}");
        let elsewhere = |url: &&String| !url.starts_with(&format!("{}/", self.url)) && !url.starts_with("data:,");
        let requested = self.browser.requested().await;
        assert!(requested.len() > 4, "{requested:?}");
        let elsewhere: Vec<_> = requested.iter().filter(elsewhere).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }
}

/// Whether an entry of the log is about a request that the server refused, as `URL - Failed … status of 401 (…)`.
fn is_of(entry: &Value, url: &str) -> bool {
    let message = entry["message"].as_str().unwrap_or_default();
    message.starts_with(url) && [" 401 ", " 403 "].iter().any(|status| message.contains(status))
}
