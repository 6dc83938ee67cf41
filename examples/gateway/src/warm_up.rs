//! Keys are fetched before the first request needs them.

use tokio::task::JoinSet;
use tower_clerk::Verifier;

use crate::{keep_keys, site::Site};

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
    site.verifiers().cloned().map(keep_keys::keep).collect()
}

fn without_keys(site: &Site) -> impl Iterator<Item = Verifier> {
    site.verifiers().filter(|verifier| verifier.keys_status().keys == 0).cloned()
}
