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

use crate::support::{GatedSource, Reply, bearer, get_path, good, issuer, layer, send_through};

/// The events of this crate on one thread, in order.
///
/// There is one subscriber for the whole process. It passes each event to the log of its thread. A subscriber for one
/// thread alone would miss events: if another thread reaches a call site first, `tracing` may disable it for all
/// threads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Logged>>>);

#[derive(Clone, Debug)]
struct Logged {
    level: Level,
    span: Option<(&'static str, bool)>,
    text: String,
}

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Ends the recording of its thread when dropped.
struct Recording;

impl Drop for Recording {
    fn drop(&mut self) {
        LOG.with_borrow_mut(Option::take);
    }
}

impl Log {
    /// Records the events of this thread until the guard is dropped.
    fn start() -> (Self, Recording) {
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

    fn take(&self) -> Vec<Logged> {
        std::mem::take(&mut self.0.lock().expect("no test panics while it logs"))
    }

    /// Level and text of the events since the last call.
    fn lines(&self) -> Vec<String> {
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
    let token = bearer(&issuer().token("user_hunter2").claim("azp", 7));
    let forged = bearer(&issuer().token("user_hunter2").header("kid", "ins_hunter2"));
    let (log, _guard) = Log::start();
    for (layer, credential, line) in [
        (&strict, None, r#"reason="missing_token" passed=false"#),
        (&strict, Some("Bearer a b"), r#"reason="malformed_request" passed=false"#),
        (&strict, Some(token.as_str()), r#"reason="invalid_authorized_party" passed=false"#),
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
