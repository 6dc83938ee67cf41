//! What a test Backend API knows, and what it answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::AUTHORIZATION};
use serde_json::{Map, Value, json};

use super::{
    expect,
    server::{Endpoint, ServedResponse, empty, json},
};
use crate::{
    token_kind::TokenKind,
    verify::{Clock, SystemClock},
};

/// The tokens of a Backend API and how it responds, which all clones of a
/// [`TestBackendApi`](super::TestBackendApi) share.
pub(super) struct Records {
    state: Mutex<State>,
}

struct State {
    calls: usize,
    clock: Arc<dyn Clock>,
    issued: usize,
    last_authorization: Option<String>,
    /// The ids of machines by their secret keys.
    machines: HashMap<String, String>,
    secret_key: Option<String>,
    /// What it responds instead of its answers.
    served: Option<ServedResponse>,
    tokens: HashMap<String, Record>,
}

/// An opaque token, as the Backend API knows it.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) kind: TokenKind,
    /// The answer, without what [`Record::answer`] adds.
    pub(super) members: Map<String, Value>,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) is_revoked: bool,
    /// Members in place of those that the answer has otherwise; `None` leaves one out.
    pub(super) replaced: Vec<(String, Option<Value>)>,
}

impl Records {
    pub(super) fn new() -> Self {
        let state = State {
            calls: 0,
            clock: Arc::new(SystemClock::new()),
            issued: 0,
            last_authorization: None,
            machines: HashMap::new(),
            secret_key: None,
            served: None,
            tokens: HashMap::new(),
        };
        Self { state: Mutex::new(state) }
    }

    pub(super) fn set_clock(&self, clock: Arc<dyn Clock>) {
        self.state().clock = clock;
    }

    pub(super) fn now(&self) -> SystemTime {
        self.state().clock.now()
    }

    pub(super) fn require_secret_key(&self, key: &str) {
        self.state().secret_key = Some(key.to_owned());
    }

    pub(super) fn add_machine(&self, id: &str, secret_key: &str) {
        self.state().machines.insert(secret_key.to_owned(), id.to_owned());
    }

    pub(super) fn serve(&self, served: Option<ServedResponse>) {
        self.state().served = served;
    }

    pub(super) fn calls(&self) -> usize {
        self.state().calls
    }

    pub(super) fn last_authorization(&self) -> Option<String> {
        self.state().last_authorization.clone()
    }

    /// The number of a new token.
    pub(super) fn next_number(&self) -> usize {
        let mut state = self.state();
        state.issued += 1;
        state.issued
    }

    pub(super) fn insert(&self, token: &str, record: Record) {
        self.state().tokens.insert(token.to_owned(), record);
    }

    /// Changes what is known about a token.
    ///
    /// # Panics
    ///
    /// If it was not issued here: the test would go on with a token that is still valid.
    pub(super) fn change(&self, token: &str, change: impl FnOnce(&mut Record, SystemTime)) {
        let mut state = self.state();
        let now = state.clock.now();
        let changed = state.tokens.get_mut(token).map(|record| change(record, now));
        drop(state);
        expect(changed.ok_or("not issued by this `TestBackendApi`"), "a token");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint for Records {
    /// Counts a call and responds to it. Other paths are not counted.
    fn respond(&self, request: &Request<Bytes>) -> Option<Response<String>> {
        let path = request.uri().path();
        let Some((kind, _, member)) = PATHS.into_iter().find(|(_, own, _)| is_below_base(path, own)) else {
            return Some(empty(404));
        };
        if request.method() != Method::POST {
            return Some(empty(405));
        }
        let mut state = self.state();
        state.calls += 1;
        state.last_authorization =
            request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        match &state.served {
            Some(served) => served.response(),
            None => Some(state.answer(kind, request.body(), member)),
        }
    }
}

impl State {
    /// The answer to a question about the token in this member of the body.
    fn answer(&self, kind: TokenKind, body: &[u8], member: &str) -> Response<String> {
        let key = self.last_authorization.as_ref().and_then(|authorization| authorization.strip_prefix("Bearer "));
        let machine = key.and_then(|key| self.machines.get(key));
        let is_allowed = match machine {
            Some(_) => kind == TokenKind::M2m,
            None => self.secret_key.as_deref().is_none_or(|required| key == Some(required)),
        };
        if !is_allowed {
            return error(StatusCode::UNAUTHORIZED, "authentication_invalid", "the key is missing or wrong");
        }
        let asked: Option<Value> = serde_json::from_slice(body).ok();
        let Some(token) = asked.as_ref().and_then(|asked| asked.get(member)?.as_str()) else {
            return error(StatusCode::UNPROCESSABLE_ENTITY, "form_param_missing", "the body has no token");
        };
        let Some(record) = self.tokens.get(token).filter(|record| record.kind == kind) else {
            return error(StatusCode::NOT_FOUND, "resource_not_found", "the token is not known");
        };
        if machine.is_some_and(|machine| !record.names(machine)) {
            return error(StatusCode::FORBIDDEN, "authorization_invalid", "the token is for another machine");
        }
        json(StatusCode::OK, record.answer(self.clock.now()).to_string())
    }
}

impl Record {
    /// Whether this machine is among its scopes.
    fn names(&self, machine: &str) -> bool {
        let scopes = self.members.get("scopes").and_then(Value::as_array);
        scopes.is_some_and(|scopes| scopes.iter().any(|scope| scope == machine))
    }

    fn answer(&self, now: SystemTime) -> Value {
        let mut answer = self.members.clone();
        let expiration = self.expires_at.map(|time| {
            let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            // Clerk counts the life of OAuth tokens in seconds, and that of the other kinds in milliseconds.
            if self.kind == TokenKind::OAuth { json!(time.as_secs()) } else { json!(time.as_millis()) }
        });
        answer.insert("expiration".to_owned(), expiration.into());
        answer.insert("expired".to_owned(), self.expires_at.is_some_and(|time| time <= now).into());
        answer.insert("revoked".to_owned(), self.is_revoked.into());
        answer.insert("revocation_reason".to_owned(), Value::Null);
        for (name, value) in &self.replaced {
            match value {
                Some(value) => drop(answer.insert(name.clone(), value.clone())),
                None => drop(answer.remove(name)),
            }
        }
        Value::Object(answer)
    }
}

/// Whether `path` is this one, or this one below the path of an API URL. The version is no part of these paths.
fn is_below_base(path: &str, own: &str) -> bool {
    path.strip_suffix(own).is_some_and(|base| !base.ends_with("/v1"))
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<String> {
    let error = json!({ "message": message, "long_message": message, "code": code });
    json(status, json!({ "errors": [error] }).to_string())
}

/// Which kind of token is asked about under which path, and the member of the body that holds it.
const PATHS: [(TokenKind, &str, &str); 3] = [
    (TokenKind::ApiKey, "/api_keys/verify", "secret"),
    (TokenKind::OAuth, "/oauth_applications/access_tokens/verify", "access_token"),
    (TokenKind::M2m, "/m2m_tokens/verify", "token"),
];
