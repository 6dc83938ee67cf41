//! How the program ends: no new requests, then none that still run.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The end of the program, shared by everything that has to end with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    /// Cancelled first: no new connections, and no further request on those that are open.
    draining: CancellationToken,
    /// Cancelled when the time for what still runs is over.
    aborted: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    pub(crate) async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Runs a connection, which drains or is aborted with the program.
    pub(crate) fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let aborted = self.aborted.clone();
        self.tasks.spawn(async move {
            aborted.run_until_cancelled_owned(task).await;
        });
    }

    /// Waits until everything has ended, at most for `grace`, and then ends it.
    pub(crate) async fn drain(&self, grace: Duration) {
        self.draining.cancel();
        self.tasks.close();
        // Whatever is left is cut.
        let _ = tokio::time::timeout(grace, self.tasks.wait()).await;
        self.aborted.cancel();
        self.tasks.wait().await;
    }
}
