use std::{collections::VecDeque, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use tokio::sync::watch;
use tower_clerk::jwks::{FetchError, KeySource};

use super::support::Key;

/// A key source whose fetches wait until the test lets them answer; clones are the same source.
#[derive(Clone)]
pub(crate) struct GatedSource {
    state: watch::Sender<State>,
}

#[derive(Clone)]
pub(crate) enum Answer {
    Document(Bytes),
    Failure,
    /// A failure that asks for no other attempt before this has passed.
    FailureUntil(Duration),
    /// A panic of the fetch under way.
    Panic,
    /// A panic of the call that would make the fetch.
    PanicInCall,
}

#[derive(Default)]
struct State {
    ended: usize,
    once: VecDeque<Answer>,
    standing: Option<Answer>,
    started: usize,
}

impl Answer {
    pub(crate) fn keys(keys: &[Key]) -> Self {
        Self::document(Key::jwks(keys))
    }

    pub(crate) fn document(document: impl Into<Bytes>) -> Self {
        Self::Document(document.into())
    }
}

impl GatedSource {
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::new(State::default()) }
    }

    /// Answers one fetch, the one that waits or else the next.
    pub(crate) fn once(&self, answer: Answer) {
        self.state.send_modify(|state| state.once.push_back(answer));
    }

    /// Answers all fetches from here on.
    pub(crate) fn always(&self, answer: Answer) {
        self.state.send_modify(|state| state.standing = Some(answer));
    }

    /// Lets fetches wait again.
    pub(crate) fn hold(&self) {
        self.state.send_modify(|state| state.standing = None);
    }

    /// How many fetches have started.
    pub(crate) fn fetches(&self) -> usize {
        self.state.borrow().started
    }

    /// How many of them are over, answered or dropped.
    pub(crate) fn ended(&self) -> usize {
        self.state.borrow().ended
    }

    /// Waits until so many fetches have started.
    pub(crate) async fn started(&self, fetches: usize) {
        self.until(|state| state.started >= fetches).await;
    }

    /// Waits until so many fetches are over.
    pub(crate) async fn over(&self, fetches: usize) {
        self.until(|state| state.ended >= fetches).await;
    }

    /// Gives up well before the minute after which a fetch ends by itself.
    async fn until(&self, is_so: impl FnMut(&State) -> bool) {
        let mut changes = self.state.subscribe();
        let reached = tokio::time::timeout(Duration::from_secs(30), changes.wait_for(is_so)).await;
        reached.expect("a fetch in time").expect("the sender is here");
    }

    async fn answer(&self) -> Answer {
        let mut changes = self.state.subscribe();
        loop {
            let mut taken = None;
            self.state.send_if_modified(|state| {
                taken = state.once.pop_front().or_else(|| state.standing.clone());
                false
            });
            if let Some(answer) = taken {
                return answer;
            }
            changes.changed().await.expect("the sender is here");
        }
    }
}

impl KeySource for GatedSource {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + '_>> {
        self.state.send_modify(|state| state.started += 1);
        let end = End(self);
        assert!(!matches!(self.state.borrow().standing, Some(Answer::PanicInCall)), "a source that panics");
        Box::pin(async move {
            let _end = end;
            match self.answer().await {
                Answer::Document(document) => Ok(document),
                Answer::Failure => Err(FetchError::new("out of order")),
                Answer::FailureUntil(delay) => Err(FetchError::new("out of order").retry_after(delay)),
                Answer::Panic | Answer::PanicInCall => panic!("a fetch that panics"),
            }
        })
    }
}

/// Notes the end of a fetch, whichever way it comes.
struct End<'a>(&'a GatedSource);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.ended += 1);
    }
}
