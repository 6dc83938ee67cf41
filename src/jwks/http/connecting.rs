//! Whether a request has opened a connection or used one that was kept.
//!
//! reqwest does not say, but it opens a connection in the task that sends the request.

use std::{
    cell::Cell,
    future::Future,
    task::{Context, Poll},
};

use tokio::task_local;
use tower_layer::Layer;
use tower_service::Service;

task_local! {
    /// Whether the request that this task sends has begun to open a connection.
    static IS_NEW: Cell<bool>;
}

/// Runs `sending`, and returns with its output whether it opened a connection, which only clients with the layer
/// [`NoteConnecting`] notice.
pub(crate) async fn noting_new_connections<F: Future>(sending: F) -> (F::Output, bool) {
    let noting = async {
        let output = sending.await;
        (output, IS_NEW.get().get())
    };
    IS_NEW.scope(Cell::new(false), noting).await
}

/// The layer around the connector of a client.
#[derive(Clone, Copy)]
pub(super) struct NoteConnecting;

impl<S> Layer<S> for NoteConnecting {
    type Service = NotedConnector<S>;

    fn layer(&self, inner: S) -> NotedConnector<S> {
        NotedConnector { inner }
    }
}

#[derive(Clone)]
pub(super) struct NotedConnector<S> {
    inner: S,
}

impl<S: Service<T>, T> Service<T> for NotedConnector<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: T) -> S::Future {
        // Without a task that notes, nobody asks.
        let _ = IS_NEW.try_with(|is_new| is_new.set(true));
        self.inner.call(target)
    }
}
