//! What is logged: the events that the documentation names, and nothing of a token.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, Verifier,
    jwks::FetchError,
    testing::{ManualClock, TestIssuer},
};
use tower_layer::Layer as _;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry::LookupSpan};

/// Every event of this crate, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Logged>>>);

#[derive(Clone, Debug)]
struct Logged {
    level: Level,
    span: Option<(&'static str, bool)>,
    text: String,
}

impl Log {
    /// Notes what this thread logs for as long as the guard lives.
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.clone()));
        (log, guard)
    }

    fn take(&self) -> Vec<Logged> {
        std::mem::take(&mut self.0.lock().expect("no test panics while it logs"))
    }

    /// Level and text of the events since the last look.
    fn lines(&self) -> Vec<String> {
        self.take().iter().map(|event| format!("{} {}", event.level, event.text)).collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "tower_clerk" {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let span = context.event_span(event).map(|span| (span.name(), span.parent().is_none()));
        let logged = Logged { level: *event.metadata().level(), span, text: text.0 };
        self.0.lock().expect("no test panics while it logs").push(logged);
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
    let service = layer.layer(service_fn(|_: Request<String>| async {
        Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Empty::<Bytes>::new()))
    }));
    let mut request = Request::builder();
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let request = request.body(String::new()).expect("a request");
    service.oneshot(request).await.expect("infallible").status().as_u16()
}

/// A verifier over a source that fails, or brings the issuer's keys, as the test says.
fn verifier(issuer: &TestIssuer, clock: &ManualClock, fails: &Arc<Mutex<bool>>) -> Verifier {
    let (document, fails) = (issuer.jwks(), Arc::clone(fails));
    let source = move || {
        let answer = match *fails.lock().expect("a flag") {
            true => Err(FetchError::new(std::io::Error::other("out of order"))),
            false => Ok(Bytes::from(document.clone())),
        };
        async move { answer }
    };
    Verifier::builder(issuer.config()).clock(clock.clone()).key_source(source).build().expect("a verifier")
}

#[tokio::test]
async fn a_refusal_is_one_debug_event_with_its_kind_and_nothing_of_the_token() {
    let issuer = TestIssuer::new().clock(ManualClock::new());
    let verifier = Verifier::builder(issuer.config()).clock(ManualClock::new()).build().expect("a verifier");
    let (strict, lenient) =
        (ClerkAuthLayer::from(verifier.clone()), ClerkAuthLayer::from(verifier).allow_unauthenticated_requests());
    let token = issuer.token("user_hunter2").claim("azp", 7).sign();
    let forged = issuer.token("user_hunter2").header("kid", "ins_hunter2").sign();
    let (log, _guard) = Log::start();
    for (layer, credential, line) in [
        (&strict, None, "kind=MissingToken passed=false"),
        (&strict, Some("Bearer".to_owned()), "kind=MalformedRequest passed=false"),
        (&strict, Some(format!("Bearer {token}")), "kind=InvalidAuthorizedParty passed=false"),
        (&strict, Some(format!("Bearer {forged}")), "kind=UnknownKey passed=false"),
        (&lenient, Some(format!("Bearer {forged}")), "kind=UnknownKey passed=true"),
    ] {
        status(layer, credential.as_deref()).await;
        assert_eq!(log.lines(), [format!("DEBUG request refused {line}")]);
    }
    assert_eq!(status(&strict, Some(&format!("Bearer {}", issuer.token("user_ada").sign()))).await, 200);
    assert!(log.take().is_empty(), "a good request is no news");
}

#[tokio::test]
async fn a_fetch_is_logged_in_a_span_that_belongs_to_no_request() {
    let (clock, fails) = (ManualClock::new(), Arc::default());
    let issuer = TestIssuer::new().clock(clock.clone());
    let verifier = verifier(&issuer, &clock, &fails);
    let (log, _guard) = Log::start();
    let request = tracing::info_span!("request");
    let _entered = request.enter();
    verifier.warm_up().await.expect("keys");
    let events = log.take();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.level, event.text.as_str()), (Level::DEBUG, "keys fetched keys=1 skipped=0"));
    assert_eq!(event.span, Some(("fetch_keys", true)));
}

#[tokio::test]
async fn operators_are_told_of_failures_that_matter_and_once_a_minute() {
    let (clock, fails) = (ManualClock::new(), Arc::new(Mutex::new(true)));
    let issuer = TestIssuer::new().clock(clock.clone());
    let verifier = verifier(&issuer, &clock, &fails);
    let (log, _guard) = Log::start();
    let failed = |level: &str, rest: &str| {
        vec![format!("{level} fetching keys failed error=the key source failed source=out of order{rest}")]
    };
    verifier.refresh().await.expect_err("no keys");
    assert_eq!(log.lines(), failed("WARN", ""));
    clock.advance(Duration::from_secs(59));
    verifier.refresh().await.expect_err("no keys");
    assert_eq!(log.lines(), failed("DEBUG", ""));
    clock.advance(Duration::from_secs(1));
    verifier.refresh().await.expect_err("no keys");
    assert_eq!(log.lines(), failed("WARN", ""));

    *fails.lock().expect("a flag") = false;
    verifier.refresh().await.expect("keys");
    *fails.lock().expect("a flag") = true;
    log.take();
    for (age, level) in [(899, "DEBUG"), (900, "WARN"), (930, "DEBUG"), (3599, "WARN")] {
        clock.advance(Duration::from_secs(age) - verifier.keys_status().age.expect("a set"));
        verifier.refresh().await.expect_err("it fails");
        assert_eq!(log.lines(), failed(level, &format!(" age={age}")));
    }
    clock.advance(Duration::from_secs(60));
    verifier.refresh().await.expect_err("it fails");
    let expected =
        "ERROR fetching keys has failed for an hour error=the key source failed source=out of order age=3659";
    assert_eq!(log.lines(), [expected]);
}

#[tokio::test]
async fn what_is_known_only_at_start_is_said_at_start() {
    let (log, _guard) = Log::start();
    let issuer = TestIssuer::new();
    let config = ClerkConfig::from_jwt_key(issuer.public_key_pem()).expect("a key");
    Verifier::new(config.clone()).expect("a verifier");
    let line = "INFO only a key is configured: tokens of any issuer that it signed pass instance=\"clerk\"";
    assert_eq!(log.lines(), [line]);
    Verifier::new(config.issuer(issuer.url()).expect("an issuer")).expect("a verifier");
    assert!(log.take().is_empty());
}
