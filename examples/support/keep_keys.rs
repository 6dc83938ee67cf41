//! Keys are fetched before the first request, and again when they were lost.

use std::time::Duration;

use tower_clerk::Verifier;

use crate::exit;

/// Fetches keys whenever they are missing, and never ends.
///
/// `/readyz` waits for keys. While nobody sends requests, none of them would fetch the keys.
pub(crate) async fn keep(verifier: Verifier) {
    let mut pause = FIRST_PAUSE;
    loop {
        if verifier.keys_status().keys > 0 {
            pause = FIRST_PAUSE;
            tokio::time::sleep(LONGEST_PAUSE).await;
        } else if let Err(error) = verifier.warm_up().await {
            let issuers: Vec<_> = verifier.keys_status_by_instance().into_iter().map(|(name, _)| name).collect();
            let error = exit::line(&error);
            tracing::warn!(?issuers, ?pause, error, "keys are missing, asking again after the pause");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Short beside the time in which a probe declares a process dead.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
