//! The application behind a proxy. It remembers what reached it.

use std::sync::{Arc, Mutex};

use super::http::{Message, Server, serve_one};

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) server: Server,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&seen);
        let server = Server::start(move |stream| {
            let memory = Arc::clone(&memory);
            serve_one(stream, move |message| {
                memory.lock().unwrap().push(message.clone());
                (Vec::new(), "from the application".to_owned())
            })
        })
        .await;
        Self { server, seen }
    }

    /// The requests that came since the last call.
    pub(crate) fn seen(&self) -> Vec<Message> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}
