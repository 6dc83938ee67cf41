use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderMap, Request, StatusCode, header::EXPECT};
use tokio::time::{Sleep, sleep};

/// Whether the client waits for `100 Continue` before it sends its body.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// What holds a body back until the upstream wants it. hyper's server tells the client to go on as soon as its body is
/// asked for, so a body that nobody asks for is one that the client need not send.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    verdict: Verdict,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The upstream has not said anything.
    Undecided,
    /// The upstream wants the body.
    Open,
    /// The upstream has answered without the body; its response is still on the way.
    Refused,
    /// The response has ended. The connection waits for a body that will not come, and must go.
    Over,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { verdict: Verdict::Undecided, waker: None })))
    }

    /// Opens the gate when the upstream says `100 Continue`.
    pub(super) fn open_by_informational<B>(&self, request: &mut Request<B>) {
        let gate = self.clone();
        hyper::ext::on_informational(request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                gate.decide(Verdict::Undecided, Verdict::Open);
            }
        });
    }

    /// Called with the response of the upstream; `None` if it wanted the body before.
    pub(super) fn refuse(self) -> Option<Refused> {
        self.decide(Verdict::Undecided, Verdict::Refused).then(|| Refused(self))
    }

    /// Returns the verdict as soon as it is not `last`.
    fn poll_change(&self, last: Verdict, context: &Context<'_>) -> Poll<Verdict> {
        let mut state = self.state();
        if state.verdict != last {
            return Poll::Ready(state.verdict);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn decide(&self, from: Verdict, to: Verdict) -> bool {
        let mut state = self.state();
        let decides = state.verdict == from;
        if decides {
            state.verdict = to;
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
        decides
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kept with the response to a request whose body was refused; when it is dropped, the connection is closed.
#[derive(Debug)]
pub(super) struct Refused(Gate);

impl Drop for Refused {
    fn drop(&mut self) {
        self.0.decide(Verdict::Refused, Verdict::Over);
    }
}

/// The side of the body.
pub(super) struct Waiting {
    gate: Gate,
    last: Verdict,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Waiting {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate, last: Verdict::Undecided, patience: None }
    }

    /// Returns each verdict once.
    pub(super) fn poll_verdict(&mut self, context: &mut Context<'_>) -> Poll<Verdict> {
        if self.last == Verdict::Undecided {
            // First asked for when the head has been sent.
            let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            if patience.as_mut().poll(context).is_ready() {
                self.gate.decide(Verdict::Undecided, Verdict::Open);
            }
        }
        self.gate.poll_change(self.last, context).map(|verdict| {
            self.last = verdict;
            verdict
        })
    }
}

/// Many servers do not know `Expect` and wait for the body; clients such as curl wait as long.
const PATIENCE: Duration = Duration::from_secs(1);
