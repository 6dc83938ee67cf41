//! Logging: the documented events, without token data.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt::{Debug, Write},
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use axum::{Router, routing::get};
use tower::ServiceExt;
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, CustomClaims, Verifier, testing::ManualClock, verify::Instance,
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry::LookupSpan};

use crate::support::{
    GatedSource, Reply, bearer, get_path, good, issuer, layer, send_through,
    server::{Server, Step},
    within,
};

/// The events of this crate on one thread, in order.
///
/// There is one subscriber for the whole process. It passes each event to the log of its thread. A subscriber for one
/// thread alone would miss events: if another thread reaches a call site first, `tracing` may disable it for all
/// threads.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Logged>>>);

#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) level: Level,
    span: Option<(&'static str, bool)>,
    pub(crate) text: String,
}

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Ends the recording of its thread when dropped.
pub(crate) struct Recording;

impl Drop for Recording {
    fn drop(&mut self) {
        LOG.with_borrow_mut(Option::take);
    }
}

impl Log {
    /// Records the events of this thread until the guard is dropped.
    pub(crate) fn start() -> (Self, Recording) {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(ByThread);
            tracing::subscriber::set_global_default(subscriber).expect("the only subscriber of the process");
            // Other threads may have reached call sites meanwhile.
            tracing::callsite::rebuild_interest_cache();
        });
        let log = Self::default();
        LOG.set(Some(log.clone()));
        (log, Recording)
    }

    pub(crate) fn take(&self) -> Vec<Logged> {
        std::mem::take(&mut self.0.lock().expect("no test panics while it logs"))
    }

    /// Level and text of the events since the last call.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.take().iter().map(|event| format!("{} {}", event.level, event.text)).collect()
    }
}

/// Passes each event to the log of its thread.
struct ByThread;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ByThread {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "tower_clerk" {
            return;
        }
        LOG.with_borrow(|log| {
            let Some(log) = log else { return };
            let mut text = Text::default();
            event.record(&mut text);
            let span = context.event_span(event).map(|span| (span.name(), span.parent().is_none()));
            let logged = Logged { level: *event.metadata().level(), span, text: text.0 };
            log.0.lock().expect("no test panics while it logs").push(logged);
        });
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = if field.name() == "message" { String::new() } else { format!(" {}=", field.name()) };
        write!(self.0, "{name}{value:?}").expect("a string takes it");
    }
}

async fn status(layer: &ClerkAuthLayer, authorization: Option<&str>) -> u16 {
    send_through(layer, get_path("/", authorization)).await.status()
}

/// A verifier whose key source replies with the issuer's keys.
fn verifier(clock: &ManualClock) -> (Verifier, GatedSource) {
    let source = GatedSource::new();
    source.always(Reply::document(issuer().jwks()));
    let verifier =
        Verifier::builder(Instance::new(issuer().config()).key_source(source.clone())).clock(clock.clone()).build();
    (verifier.expect("a verifier"), source)
}

#[tokio::test]
async fn a_rejection_is_one_debug_event_without_token_data() {
    let (strict, lenient) = (layer(), layer().allow_unauthenticated_requests());
    for layer in [&strict, &lenient] {
        assert_eq!(status(layer, Some(&good())).await, 200, "keys that have verified a token are not suspected");
    }
    let token = bearer(&issuer().token("user_hunter2").claim("sid", 7));
    let forged = bearer(&issuer().token("user_hunter2").header("kid", "ins_hunter2"));
    let (log, _guard) = Log::start();
    for (layer, credential, line) in [
        (&strict, None, r#"reason="missing_token" passed=false"#),
        (&strict, Some("Bearer a b"), r#"reason="malformed_request" passed=false"#),
        (&strict, Some(token.as_str()), r#"reason="invalid_session_id" passed=false"#),
        (&strict, Some(forged.as_str()), r#"reason="unknown_key" passed=false"#),
        (&lenient, Some(forged.as_str()), r#"reason="unknown_key" passed=true"#),
    ] {
        status(layer, credential).await;
        assert_eq!(log.lines(), [format!("DEBUG request rejected {line}")]);
    }
    assert_eq!(status(&strict, Some(&good())).await, 200);
    assert!(log.take().is_empty(), "an admitted request is not logged");
}

#[tokio::test]
async fn a_fetch_is_logged_in_a_span_that_belongs_to_no_request() {
    let (verifier, _) = verifier(&ManualClock::new());
    let (log, _guard) = Log::start();
    let request = tracing::info_span!("request");
    let _entered = request.enter();
    verifier.warm_up().await.expect("keys");
    let events = log.take();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.level, event.text.as_str()), (Level::DEBUG, "key set fetched keys=1 skipped=0"));
    assert_eq!(event.span, Some(("fetch_keys", true)));
}

#[tokio::test]
async fn fetch_failures_are_logged_by_severity_and_once_a_minute() {
    let clock = ManualClock::new();
    let (verifier, source) = verifier(&clock);
    source.always(Reply::Failure);
    let (log, _guard) = Log::start();
    let failed = |level: &str, rest: &str| {
        vec![format!("{level} fetching keys failed error=could not fetch the JWKS document source=out of order{rest}")]
    };
    verifier.refresh().await.expect_err("no keys");
    assert_eq!(log.lines(), failed("WARN", ""));
    clock.advance(Duration::from_secs(59));
    verifier.refresh().await.expect_err("no keys");
    assert_eq!(log.lines(), failed("DEBUG", ""));
    clock.advance(Duration::from_secs(1));
    verifier.refresh().await.expect_err("no keys");
    assert_eq!(log.lines(), failed("WARN", ""));

    source.always(Reply::document(issuer().jwks()));
    verifier.refresh().await.expect("keys");
    source.always(Reply::Failure);
    log.take();
    for (age, level) in [(899, "DEBUG"), (900, "WARN"), (930, "DEBUG"), (3599, "WARN")] {
        clock.advance(Duration::from_secs(age) - verifier.keys_status().age.expect("a set"));
        verifier.refresh().await.expect_err("it fails");
        assert_eq!(log.lines(), failed(level, &format!(" age={age}")));
    }
    clock.advance(Duration::from_secs(60));
    verifier.refresh().await.expect_err("it fails");
    let expected = "ERROR fetching keys failed, and the key set is over an hour old error=could not fetch the JWKS document source=out of order age=3659";
    assert_eq!(log.lines(), [expected]);
}

#[tokio::test]
async fn the_first_failure_after_a_success_is_a_warning_again() {
    let (verifier, source) = verifier(&ManualClock::new());
    let (log, _guard) = Log::start();
    for _ in 0..2 {
        source.always(Reply::Failure);
        verifier.forget_keys();
        verifier.refresh().await.expect_err("no keys");
        assert_eq!(log.take().iter().map(|event| event.level).collect::<Vec<_>>(), [Level::WARN]);
        source.always(Reply::document(issuer().jwks()));
        verifier.refresh().await.expect("keys");
        log.take();
    }
}

#[tokio::test]
async fn a_failed_fetch_is_logged_with_its_url_and_its_cause() {
    let response = |head: &str, body: &str| {
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
        vec![Step::Write((head + body).into_bytes())]
    };
    let moved = "301 Moved Permanently\r\nLocation: /sk_test_hunter2";
    let server = Server::start(response(moved, "")).await;
    let config = ClerkConfig::from_secret_key("sk_test_hunter2").and_then(|config| config.api_url(server.url()));
    let config = config.expect("a configuration");
    let own = Verifier::new(config.clone()).expect("a verifier");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let following = Verifier::builder(config).http_client(client).build().expect("a verifier");
    let (log, _guard) = Log::start();
    let expected = |error: &str, cause: &str| {
        format!("fetching keys failed error={error} source=GET {}/v1/jwks: {cause}", server.url())
    };
    for (script, error, cause) in [
        (response(moved, "hunter2"), "unexpected HTTP status", "301 Moved Permanently: redirects are not followed"),
        (response("308 hunter2", ""), "unexpected HTTP status", "308 Permanent Redirect: redirects are not followed"),
        (response("304 Not Modified", ""), "unexpected HTTP status", "304 Not Modified"),
        (response("500 hunter2", "hunter2"), "unexpected HTTP status", "500 Internal Server Error"),
        (
            response("200 OK\r\nContent-Encoding: hunter2", "hunter2"),
            "unexpected Content-Encoding",
            "Content-Encoding is not identity",
        ),
        (response("200 OK", &" ".repeat(512 * 1024 + 1)), "JWKS document too large", "more than 512 KiB"),
    ] {
        server.respond(script);
        own.refresh().await.expect_err("no keys");
        let lines = log.lines();
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(line.ends_with(&expected(error, cause)), "{line}");
    }
    server.respond(vec![Step::Close]);
    own.refresh().await.expect_err("no keys");
    let line = log.lines().concat();
    assert!(line.contains(&expected("could not fetch the JWKS document", "error sending request: ")), "{line}");
    assert!(!line.contains("hunter2") && line.matches(&server.url()).count() == 1, "{line}");

    server.respond_with(move |head| match head.starts_with("GET /v1/jwks ") {
        true => response(moved, ""),
        false => response("200 OK", "hunter2"),
    });
    following.refresh().await.expect_err("no keys");
    let line = log.lines().concat();
    assert!(line.ends_with(&expected("unexpected redirect", "a redirect to another URL was followed")), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}

#[tokio::test]
async fn a_fetch_without_a_usable_answer_is_logged_with_its_url() {
    let server = Server::start(vec![Step::Hang]).await;
    let config =
        ClerkConfig::from_frontend_api_url(server.url()).and_then(|config| config.jwks_timeout(Duration::from_secs(1)));
    let verifier = Verifier::new(config.expect("a configuration")).expect("a verifier");
    let (log, _guard) = Log::start();
    let document = |text: &str| {
        vec![Step::Write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes())]
    };
    for (script, error) in [
        (vec![Step::Hang], "timed out fetching the JWKS document"),
        (document("<html>"), "invalid JWKS document"),
        (document(r#"{"keys":[]}"#), "no usable key in the JWKS document"),
    ] {
        server.respond(script);
        within(verifier.refresh()).await.expect_err("no keys");
        let line = log.lines().concat();
        let url = format!("{}/.well-known/jwks.json", server.url());
        assert!(line.ends_with(&format!("fetching keys failed error={error} source=GET {url}")), "{line}");
    }
}

#[tokio::test]
async fn what_is_not_checked_is_logged_at_start() {
    let (log, _guard) = Log::start();
    let issuer = issuer();
    let config = ClerkConfig::from_jwt_key(issuer.public_key_pem()).expect("a key");
    Verifier::new(config.clone()).expect("a verifier");
    let no_parties =
        |instance: &str| format!("INFO no authorized parties configured: `azp` is not checked instance={instance:?}");
    let no_issuer = "INFO no issuer configured: `iss` is not checked instance=\"clerk\"".to_owned();
    assert_eq!(log.lines(), [no_issuer, no_parties("clerk")]);
    let config = config.add_issuer(issuer.url()).expect("an issuer");
    Verifier::new(config.clone()).expect("a verifier");
    assert_eq!(log.lines(), [no_parties(issuer.url())]);
    Verifier::new(config.authorized_parties(["https://app.example"]).expect("a party")).expect("a verifier");
    assert!(log.take().is_empty());
}

#[tokio::test]
async fn a_mistake_of_the_program_is_an_error_that_says_what_to_do() {
    let routes = Router::new()
        .route("/user", get(async |_: ClerkAuth| ()))
        .route("/custom", get(async |_: CustomClaims<HashMap<String, String>>| ()));
    let (log, _guard) = Log::start();
    for path in ["/user", "/custom"] {
        let response = routes.clone().oneshot(get_path(path, Some(&good()))).await.expect("a response");
        assert_eq!(response.status(), 500);
        assert_eq!(
            log.lines(),
            ["ERROR no `ClerkAuthLayer` has seen this request; perhaps you forgot to add it to the router"]
        );
    }
    let routes = routes.layer(layer());
    log.take();
    let response = routes.clone().oneshot(get_path("/custom", Some(&good()))).await.expect("a response");
    assert_eq!(response.status(), 500);
    let hint = "the `ClerkAuthLayer` inserts no custom claims of this type; perhaps you forgot `with_custom_claims`";
    assert_eq!(log.lines(), [format!("ERROR {hint}")]);
    let response = routes.oneshot(get_path("/user", Some(&good()))).await.expect("a response");
    assert_eq!(response.status(), 200);
    assert!(log.take().is_empty());
}
