//! Signals of the operating system.

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    /// Ctrl-C or SIGTERM.
    End,
    /// SIGHUP.
    Reload,
}

#[cfg(unix)]
mod platform {
    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    use super::Signal;

    /// The signals of this process from now on.
    #[derive(Debug)]
    pub(crate) struct Signals {
        hangup: Option<Stream>,
        interrupt: Option<Stream>,
        terminate: Option<Stream>,
    }

    impl Signals {
        /// Without a handler, a signal ends the process as it always does.
        pub(crate) fn new() -> Self {
            let of = |kind| signal(kind).ok();
            Self {
                hangup: of(SignalKind::hangup()),
                interrupt: of(SignalKind::interrupt()),
                terminate: of(SignalKind::terminate()),
            }
        }

        pub(crate) async fn next(&mut self) -> Signal {
            tokio::select! {
                () = receive(&mut self.hangup) => Signal::Reload,
                () = receive(&mut self.interrupt) => Signal::End,
                () = receive(&mut self.terminate) => Signal::End,
            }
        }
    }

    async fn receive(stream: &mut Option<Stream>) {
        if let Some(stream) = stream
            && stream.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(not(unix))]
mod platform {
    use super::Signal;

    /// Ctrl-C: there are no other signals here.
    #[derive(Debug)]
    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) async fn next(&mut self) -> Signal {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            Signal::End
        }
    }
}

pub(crate) use self::platform::Signals;

impl Signals {
    /// Waits for the signal to end, and ignores others.
    pub(crate) async fn end(&mut self) {
        while self.next().await != Signal::End {}
    }
}
