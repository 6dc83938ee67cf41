//! The signals that end the program: Ctrl-C and SIGTERM.

use std::time::Duration;

use tokio::sync::oneshot::{self, Receiver};

pub(crate) use self::platform::Signals;

impl Signals {
    /// Runs a server until a signal closes the channel that it is made with, and then as long as it still has requests.
    ///
    /// A client that never finishes its request must not keep the program running: it has five seconds.
    pub(crate) async fn serve<S, E>(mut self, server: impl FnOnce(Receiver<()>) -> S) -> Result<(), E>
    where
        S: IntoFuture<Output = Result<(), E>>,
    {
        let (end, ended) = oneshot::channel();
        let asked = async {
            self.end().await;
            drop(end);
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = server(ended).into_future() => served,
            () = asked => Ok(()),
        }
    }
}

const GRACE: Duration = Duration::from_secs(5);

#[cfg(unix)]
mod platform {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// The signals of this process from now on.
    #[derive(Debug)]
    pub(crate) struct Signals {
        interrupt: Option<Signal>,
        terminate: Option<Signal>,
    }

    impl Signals {
        /// Without a handler, a signal ends the process as it always does.
        pub(crate) fn new() -> Self {
            let of = |kind| signal(kind).ok();
            Self { interrupt: of(SignalKind::interrupt()), terminate: of(SignalKind::terminate()) }
        }

        /// Waits for one.
        pub(crate) async fn end(&mut self) {
            tokio::select! {
                () = receive(&mut self.interrupt) => {}
                () = receive(&mut self.terminate) => {}
            }
        }
    }

    async fn receive(signal: &mut Option<Signal>) {
        if let Some(signal) = signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(not(unix))]
mod platform {
    /// Ctrl-C: there are no other signals here.
    #[derive(Debug)]
    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) async fn end(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
