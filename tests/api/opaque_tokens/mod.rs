//! Opaque tokens: what is asked of the Backend API, and what is not.

mod bounds;
mod budgets;
mod cached;
mod ends;
mod events;
mod floods;
mod instances;
mod outages;
mod shared;
mod suspension;

use std::{collections::HashMap, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower_clerk::{
    ClerkConfig, ConfigError, Principal, TokenKind, Verifier,
    backend_api::{BackendApi, OpaqueTokenLimits},
    jwks::{FetchError, FetchErrorKind},
    testing::ManualClock,
    verify::{Instance, UnavailableReason, VerifierBuilder, VerifyError, VerifyErrorKind},
};

use crate::support::{GatedSource, within};

type Verdict = Result<(), (VerifyErrorKind, Option<UnavailableReason>)>;

const GOOD: Verdict = Ok(());
const INACTIVE: Verdict = Err((VerifyErrorKind::Inactive, None));
const IN_PROGRESS: Verdict = unavailable(UnavailableReason::InProgress);
const SPENT: Verdict = unavailable(UnavailableReason::TooManyOpaqueTokens);
const DOWN: Verdict = failed(FetchErrorKind::UnexpectedStatus);

const fn unavailable(reason: UnavailableReason) -> Verdict {
    Err((VerifyErrorKind::KeysUnavailable, Some(reason)))
}

const fn failed(kind: FetchErrorKind) -> Verdict {
    unavailable(UnavailableReason::BackendApi(kind))
}

/// A Backend API that answers as the test says. Clones are the same.
#[derive(Clone)]
struct Api {
    state: watch::Sender<State>,
}

#[derive(Clone, Debug)]
enum Reply {
    /// No reply yet.
    Hold,
    Valid,
    /// With custom claims of so many bytes.
    ValidWith(usize),
    /// In milliseconds since 1970.
    ValidUntil(u64),
    Unknown,
    Status(u16),
    /// The status 429 with this `Retry-After`.
    TooMany(&'static str),
    Failure,
    FailureUntil(Duration),
    /// The future of the call panics.
    Panic,
    /// The call itself panics.
    PanicInCall,
}

struct State {
    /// The tokens of all calls.
    asked: Vec<String>,
    ended: usize,
    replies: HashMap<String, Reply>,
    others: Reply,
}

impl Api {
    /// An API that knows no token.
    fn new() -> Self {
        let state = State { asked: Vec::new(), ended: 0, replies: HashMap::new(), others: Reply::Unknown };
        Self { state: watch::Sender::new(state) }
    }

    /// An API for which each token is valid.
    fn valid() -> Self {
        let api = Self::new();
        api.always(Reply::Valid);
        api
    }

    /// Replies so to all tokens that have no reply of their own.
    fn always(&self, reply: Reply) {
        self.state.send_modify(|state| state.others = reply);
    }

    /// Replies so to this token.
    fn about(&self, token: &str, reply: Reply) {
        self.state.send_modify(|state| {
            state.replies.insert(token.to_owned(), reply);
        });
    }

    fn calls(&self) -> usize {
        self.state.borrow().asked.len()
    }

    /// The calls that have not ended.
    fn running(&self) -> usize {
        let state = self.state.borrow();
        state.asked.len() - state.ended
    }

    /// Waits until so many calls have started.
    async fn started(&self, calls: usize) {
        self.until(|state| state.asked.len() >= calls).await;
    }

    /// Waits until so many calls have ended, by a reply or by a drop.
    async fn over(&self, calls: usize) {
        self.until(|state| state.ended >= calls).await;
    }

    async fn until(&self, is_so: impl FnMut(&State) -> bool) {
        let mut changes = self.state.subscribe();
        drop(within(changes.wait_for(is_so)).await.expect("the sender is here"));
    }

    async fn reply(&self, token: &str) -> Reply {
        let mut changes = self.state.subscribe();
        let reply_of = |state: &State| state.replies.get(token).unwrap_or(&state.others).clone();
        let state = changes.wait_for(|state| !matches!(reply_of(state), Reply::Hold)).await;
        reply_of(&state.expect("the sender is here"))
    }
}

impl BackendApi for Api {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + '_>> {
        let body: Value = serde_json::from_slice(request.body()).expect("JSON");
        let token = ["secret", "access_token", "token"].iter().find_map(|name| body[name].as_str());
        let token = token.expect("a token").to_owned();
        self.state.send_modify(|state| state.asked.push(token.clone()));
        let end = End(self);
        assert!(!matches!(self.state.borrow().others, Reply::PanicInCall), "a call that panics");
        Box::pin(async move {
            let _end = end;
            let response = |status: u16, body: String| {
                let builder = Response::builder().status(status);
                Ok(builder.body(Bytes::from(body)).expect("a response"))
            };
            match self.reply(&token).await {
                Reply::Valid => response(200, answer(&token, &Value::Null)),
                Reply::ValidWith(bytes) => {
                    let claims = format!(r#""claims":{{"a":"{}"}}"#, "x".repeat(bytes));
                    response(200, answer(&token, &Value::Null).replace(r#""claims":null"#, &claims))
                }
                Reply::ValidUntil(millis) => response(200, answer(&token, &json!(millis))),
                Reply::Unknown => response(404, r#"{"errors":[{"code":"not_found"}]}"#.to_owned()),
                Reply::Status(status) => response(status, String::new()),
                Reply::TooMany(delay) => {
                    let builder = Response::builder().status(429).header("retry-after", delay);
                    Ok(builder.body(Bytes::new()).expect("a response"))
                }
                Reply::Failure => Err(FetchError::new("out of order")),
                Reply::FailureUntil(delay) => Err(FetchError::new("out of order").retry_after(delay)),
                Reply::Hold | Reply::Panic | Reply::PanicInCall => panic!("a call that panics"),
            }
        })
    }
}

/// Counts the end of a call when it is dropped.
struct End<'a>(&'a Api);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.ended += 1);
    }
}

/// What the API says about a valid token.
fn answer(token: &str, expiration: &Value) -> String {
    let answer = match token {
        _ if token.starts_with("mt_") => json!({
            "object": "machine_to_machine_token", "id": "mt_id", "subject": "mch_1", "scopes": [], "claims": null,
            "revoked": false, "expired": false, "expiration": expiration,
        }),
        _ if token.starts_with("oat_") => json!({
            "object": "clerk_idp_oauth_access_token", "id": "oat_id", "client_id": "client", "subject": "user_ada",
            "scopes": ["profile"], "revoked": false, "expired": false, "expiration": 4_000_000_000_u64,
        }),
        _ => json!({
            "object": "api_key", "id": "ak_id", "type": "api_key", "name": "ci", "subject": "user_ada", "scopes": [],
            "claims": null, "revoked": false, "expired": false, "expiration": expiration,
        }),
    };
    answer.to_string()
}

fn config(name: &str) -> ClerkConfig {
    ClerkConfig::from_frontend_api_url(format!("https://clerk.{name}.example"))
        .and_then(|config| config.secret_key("sk_test_abc"))
        .and_then(|config| config.accept(TokenKind::all()))
        .expect("a configuration")
}

fn instance(config: ClerkConfig, api: &Api) -> Instance {
    Instance::new(config).key_source(GatedSource::new()).backend_api(api.clone())
}

/// An API, a clock, and a verifier that asks the one and looks at the other.
struct Fixture {
    api: Api,
    clock: ManualClock,
    verifier: Verifier,
}

impl Fixture {
    fn new(api: Api) -> Self {
        Self::with(api, Ok, OpaqueTokenLimits::new())
    }

    fn with(
        api: Api,
        change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>,
        limits: OpaqueTokenLimits,
    ) -> Self {
        let clock = ManualClock::new();
        let config = change(config("a")).expect("a configuration");
        let builder = VerifierBuilder::new().instance(instance(config, &api));
        let verifier = builder.clock(clock.clone()).opaque_token_limits(limits).build().expect("a verifier");
        Self { api, clock, verifier }
    }

    /// The same API and clock with a verifier that has seen nothing, as after a restart.
    fn restarted(&self) -> Self {
        let builder = VerifierBuilder::new().instance(instance(config("a"), &self.api));
        let verifier = builder.clock(self.clock.clone()).build().expect("a verifier");
        Self { api: self.api.clone(), clock: self.clock.clone(), verifier }
    }

    async fn verify(&self, token: &str) -> Verdict {
        verdict(within(self.verifier.verify_principal(token)).await)
    }

    fn try_verify(&self, token: &str) -> Verdict {
        verdict(self.verifier.try_verify_principal(token))
    }

    async fn error(&self, token: &str) -> VerifyError {
        within(self.verifier.verify_principal(token)).await.expect_err("an error")
    }

    /// Lets time pass, and the tasks run.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        crate::support::settle().await;
    }
}

fn verdict(result: Result<Principal, VerifyError>) -> Verdict {
    result.map(drop).map_err(|error| (error.kind(), error.unavailable_reason()))
}

/// The text of an API key.
fn key(name: impl std::fmt::Display) -> String {
    format!("ak_{name}")
}
