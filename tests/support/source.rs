//! The key source of the tests.

use std::{collections::VecDeque, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use tokio::sync::watch;
use tower_clerk::jwks::{FetchError, KeySource};

use super::{harness::Key, tasks::within};

/// A key source whose fetches wait until the test replies to them. Clones are the same source.
#[derive(Clone)]
pub(crate) struct GatedSource {
    state: watch::Sender<State>,
}

#[derive(Clone)]
pub(crate) enum Reply {
    Document(Bytes),
    Failure,
    /// A failure that asks to wait this long before the next attempt.
    FailureUntil(Duration),
    /// The future of the fetch panics.
    Panic,
    /// The call of `fetch` panics.
    PanicInCall,
}

#[derive(Default)]
struct State {
    ended: usize,
    once: VecDeque<Reply>,
    standing: Option<Reply>,
    started: usize,
}

impl Reply {
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

    /// A source that replies to all fetches with this document.
    pub(crate) fn serving(document: impl Into<Bytes>) -> Self {
        let source = Self::new();
        source.always(Reply::document(document));
        source
    }

    /// Replies to one fetch: the one that waits, or else the next.
    pub(crate) fn once(&self, reply: Reply) {
        self.state.send_modify(|state| state.once.push_back(reply));
    }

    /// Replies to all fetches from now on.
    pub(crate) fn always(&self, reply: Reply) {
        self.state.send_modify(|state| state.standing = Some(reply));
    }

    /// Makes fetches wait again.
    pub(crate) fn hold(&self) {
        self.state.send_modify(|state| state.standing = None);
    }

    /// How many fetches have started.
    pub(crate) fn fetches(&self) -> usize {
        self.state.borrow().started
    }

    /// How many fetches have ended, by a reply or by a drop.
    pub(crate) fn ended(&self) -> usize {
        self.state.borrow().ended
    }

    /// Waits until this many fetches have started.
    pub(crate) async fn started(&self, fetches: usize) {
        self.until(|state| state.started >= fetches).await;
    }

    /// Waits until this many fetches have ended.
    pub(crate) async fn over(&self, fetches: usize) {
        self.until(|state| state.ended >= fetches).await;
    }

    async fn until(&self, is_so: impl FnMut(&State) -> bool) {
        let mut changes = self.state.subscribe();
        within(changes.wait_for(is_so)).await.expect("the sender is here");
    }

    async fn reply(&self) -> Reply {
        let mut changes = self.state.subscribe();
        loop {
            let mut taken = None;
            self.state.send_if_modified(|state| {
                taken = state.once.pop_front().or_else(|| state.standing.clone());
                false
            });
            if let Some(reply) = taken {
                return reply;
            }
            changes.changed().await.expect("the sender is here");
        }
    }
}

impl KeySource for GatedSource {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + '_>> {
        self.state.send_modify(|state| state.started += 1);
        let end = End(self);
        assert!(!matches!(self.state.borrow().standing, Some(Reply::PanicInCall)), "a source that panics");
        Box::pin(async move {
            let _end = end;
            match self.reply().await {
                Reply::Document(document) => Ok(document),
                Reply::Failure => Err(FetchError::new("out of order")),
                Reply::FailureUntil(delay) => Err(FetchError::new("out of order").retry_after(delay)),
                Reply::Panic | Reply::PanicInCall => panic!("a fetch that panics"),
            }
        })
    }
}

/// Counts the end of a fetch when it is dropped.
struct End<'a>(&'a GatedSource);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.ended += 1);
    }
}
