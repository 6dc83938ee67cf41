use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::UpstreamFailure;

/// Waits for the head of a response. With a body, the limit begins anew with each part of it.
pub(super) async fn within<F: Future>(
    limit: Duration,
    progress: Option<&Progress>,
    response: F,
) -> Result<F::Output, UpstreamFailure> {
    match progress {
        _ if limit.is_zero() => Ok(response.await),
        Some(progress) => progress.within(limit, response).await,
        None => timeout(limit, response).await.map_err(|_| UpstreamFailure::HeaderTimeout),
    }
}

/// How far the body of a request has come; shared by the body and who waits for the response.
#[derive(Debug)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Instant,
    /// The client owes the next part, so that the upstream cannot be called slow.
    waits_for_client: bool,
    failure: Option<UpstreamFailure>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { last: Instant::now(), waits_for_client: false, failure: None }))
    }

    async fn within<F: Future>(&self, limit: Duration, response: F) -> Result<F::Output, UpstreamFailure> {
        self.moved();
        let mut response = pin!(response);
        loop {
            let deadline = self.deadline(limit);
            tokio::select! {
                biased;
                output = &mut response => return Ok(output),
                () = sleep_until(deadline) => {
                    if self.deadline(limit) <= deadline {
                        return Err(UpstreamFailure::HeaderTimeout);
                    }
                }
            }
        }
    }

    /// A part has arrived, or the end.
    pub(super) fn moved(&self) {
        let mut state = self.state();
        state.last = Instant::now();
        state.waits_for_client = false;
    }

    pub(super) fn wait_for_client(&self) {
        self.state().waits_for_client = true;
    }

    pub(super) fn fail(&self, failure: UpstreamFailure) {
        self.state().failure = Some(failure);
    }

    /// Why the body came to no end.
    pub(super) fn failure(&self) -> Option<UpstreamFailure> {
        self.state().failure
    }

    fn deadline(&self, limit: Duration) -> Instant {
        let state = self.state();
        let since = if state.waits_for_client { Instant::now() } else { state.last };
        since + limit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the wait for the next part of a body. The timer is made only by a body that is not there yet.
pub(super) struct IdleTimer {
    limit: Duration,
    waits_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, waits_since: None, timer: None }
    }

    /// A part has arrived.
    pub(super) fn reset(&mut self) {
        self.waits_since = None;
    }

    /// Called when there is no next part yet; ready if there was none for too long.
    pub(super) fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.limit.is_zero() {
            return Poll::Pending;
        }
        let deadline = *self.waits_since.get_or_insert_with(Instant::now) + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            match timer.as_mut().poll(context) {
                // It was set for an earlier part: moving it on once it fires is cheaper than with each part.
                Poll::Ready(()) if timer.deadline() < deadline => timer.as_mut().reset(deadline),
                response => return response,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Waits for a response that does not come, and returns for how many seconds it waited.
    async fn seconds_until_failure(progress: Option<&Progress>) -> u64 {
        let start = Instant::now();
        assert_eq!(within(LIMIT, progress, pending::<()>()).await, Err(UpstreamFailure::HeaderTimeout));
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_no_longer_than_the_limit() {
        assert_eq!(seconds_until_failure(None).await, 30);
        assert_eq!(within(LIMIT, None, sleep(LIMIT / 2)).await, Ok(()));
        assert_eq!(within(Duration::ZERO, None, sleep(LIMIT * 100)).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_begins_with_the_last_part_of_the_body() {
        let progress = Progress::new();
        let uploading = async {
            for _ in 0..10 {
                sleep(LIMIT / 2).await;
                progress.moved();
            }
        };
        assert_eq!(tokio::join!(seconds_until_failure(Some(&progress)), uploading).0, 10 * 15 + 30);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_does_not_run_while_the_client_is_waited_for() {
        let progress = Progress::new();
        let uploading = async {
            progress.wait_for_client();
            sleep(LIMIT * 10).await;
            progress.moved();
        };
        assert_eq!(tokio::join!(seconds_until_failure(Some(&progress)), uploading).0, 330);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_stand_still_no_longer_than_the_limit() {
        let mut timer = IdleTimer::new(LIMIT);
        for _ in 0..3 {
            // Waits for a while, and is then not asked for even longer.
            assert!(timeout(LIMIT / 2, poll_fn(|context| timer.poll_expired(context))).await.is_err());
            timer.reset();
            sleep(LIMIT * 2).await;
        }
        let start = Instant::now();
        timeout(LIMIT * 100, poll_fn(|context| timer.poll_expired(context))).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 30);

        let mut none = IdleTimer::new(Duration::ZERO);
        assert!(timeout(LIMIT * 100, poll_fn(|context| none.poll_expired(context))).await.is_err());
    }
}
