//! Keys are fetched before the first request needs them.

use std::{io, time::Duration};

use tokio::task::JoinSet;
use tower_clerk::Verifier;

use crate::{excerpt::with_causes, site::Site, terminal::print_line};

/// Fetches the keys that are missing, once, all at the same time.
pub(crate) async fn once(site: &Site) {
    let fetches = without_keys(site).map(|verifier| async move { verifier.warm_up().await.is_ok() });
    fetches.collect::<JoinSet<_>>().join_all().await;
}

/// Fetches keys whenever they are missing, until the returned tasks are dropped. `/readyz` waits for them; requests do
/// not.
///
/// Keys are lost when an issuer is down for longer than the stale limit. Then nobody sends requests to a gateway that
/// is not ready, and no request would fetch them.
pub(crate) fn in_background(site: &Site) -> JoinSet<()> {
    site.verifiers().cloned().map(keep_keys).collect()
}

async fn keep_keys(verifier: Verifier) {
    let mut pause = FIRST_PAUSE;
    loop {
        if verifier.keys_status().keys > 0 {
            pause = FIRST_PAUSE;
            tokio::time::sleep(LONGEST_PAUSE).await;
        } else if let Err(error) = verifier.warm_up().await {
            let issuers =
                verifier.keys_status_by_instance().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
            print_line(
                io::stderr(),
                &format!("keys of {issuers} are missing, asking again in {pause:?}: {}", with_causes(&error)),
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn without_keys(site: &Site) -> impl Iterator<Item = Verifier> {
    site.verifiers().filter(|verifier| verifier.keys_status().keys == 0).cloned()
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Short beside the time in which a probe declares a process dead.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
