//! Chromium, driven over WebDriver (W3C) and, for what that lacks, the Chrome DevTools Protocol.

use std::{
    future::Future,
    io::{BufRead, BufReader, Read},
    panic::resume_unwind,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fantoccini::{
    Client, ClientBuilder,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// A browser with a new profile.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) client: Client,
}

/// Runs `test` with a browser, and closes that however the test ends.
pub(crate) async fn browse<F>(arguments: &[String], test: impl FnOnce(Browser) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut driver = Driver::start();
    let client = driver.client(arguments).await;
    let result = tokio::spawn(test(Browser { client: client.clone() })).await;
    let _ = client.close().await;
    driver.stop();
    if let Err(error) = result {
        resume_unwind(error.into_panic());
    }
}

/// What Chromium needs in a container, and what keeps it from talking to anybody by itself.
const ARGUMENTS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    // Everything is on this machine, also what has another name.
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // As on a phone, and so that pictures are as wide as the window.
    "--hide-scrollbars",
    "--window-size=1280,900",
];

/// How long a page may take for what the server has to do first.
const PATIENCE: Duration = Duration::from_secs(20);

/// ChromeDriver, which starts Chromium with a folder of its own for each session.
struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// The system chooses the port for IPv4. Where that is taken for IPv6, ChromeDriver ends, so it is started again.
    fn start() -> Self {
        (0..5).find_map(|_| Self::try_start()).expect("chromedriver ended five times")
    }

    fn try_start() -> Option<Self> {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver; `.ci/browser` installs it");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        let port = loop {
            line.clear();
            if output.read_line(&mut line).expect("a line") == 0 {
                let _ = child.wait();
                return None;
            }
            if let Some((_, port)) = line.split_once("was started successfully on port ") {
                break port.trim().trim_end_matches('.').parse().expect("a port");
            }
        };
        // It must not block on a full pipe.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Some(Self { child, port })
    }

    async fn client(&self, arguments: &[String]) -> Client {
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let capabilities = json!({
            // Cookies of other sites are the harder case for a server, and distributions differ in the default.
            "goog:chromeOptions": { "args": arguments, "prefs": { "profile.cookie_controls_mode": 0 } },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "acceptInsecureCerts": true,
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let capabilities: Capabilities = capabilities.into_iter().collect();
        let url = format!("http://127.0.0.1:{}", self.port);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities).connect(&url).await.expect("a session")
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Browser {
    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("a page");
    }

    /// What a function body returns in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("a result")
    }

    /// What an async function body returns in the page, or `{"error": name}` for what it throws.
    pub(crate) async fn run_async(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];\n\
             (async () => {{ {script} }})().then(done, (error) => done({{ error: error.name }}));"
        );
        self.client.execute_async(&script, Vec::new()).await.expect("a result")
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        let script = format!("return Boolean({expression})");
        while self.run(&script).await != json!(true) {
            assert!(Instant::now() < deadline, "never true: {expression}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn click(&self, selector: &str) {
        let element = self.client.find(fantoccini::Locator::Css(selector)).await;
        element.unwrap_or_else(|error| panic!("{selector}: {error}")).click().await.expect(selector);
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector({}).textContent", json!(selector))).await;
        text.as_str().expect("a text").to_owned()
    }

    /// A command of the Chrome DevTools Protocol. What it emulates lasts as long as the session.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(Extension { path: "goog/cdp/execute", body }).await.expect(command)
    }

    /// What the browser has logged since the last call: errors of scripts, of requests and of policies.
    pub(crate) async fn log(&self) -> Vec<Value> {
        self.entries("browser").await
    }

    /// The URLs of all requests since the last call.
    pub(crate) async fn requested(&self) -> Vec<String> {
        let url = |entry: Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            (message["method"] == "Network.requestWillBeSent").then_some(())?;
            message["params"]["request"]["url"].as_str().map(str::to_owned)
        };
        self.entries("performance").await.into_iter().filter_map(url).collect()
    }

    async fn entries(&self, log: &'static str) -> Vec<Value> {
        let command = Extension { path: "se/log", body: json!({ "type": log }) };
        let entries = self.client.issue_cmd(command).await.expect("a log");
        entries.as_array().expect("entries").clone()
    }
}

/// A command of ChromeDriver that WebDriver does not have.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
