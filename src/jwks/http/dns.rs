//! Name resolution that leaves the threads of the application alone.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Looks up host names with the resolver of the system, a few at once.
///
/// The system's resolver blocks its thread for several seconds if no name server answers, and nothing can stop it.
/// Tokio has a limited number of threads for such work, which the application needs too. Without a limit of its own,
/// a verifier with many instances would occupy all of them.
#[derive(Clone)]
pub(super) struct NameLookups {
    lookup: Arc<Lookup>,
    /// One permit for each lookup that may run.
    permits: Arc<Semaphore>,
}

type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl NameLookups {
    pub(super) fn of_the_system() -> Self {
        Self::new(|host| Ok((host, ANY_PORT).to_socket_addrs()?.collect()))
    }

    /// `lookup` may block its thread.
    pub(super) fn new(lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), permits: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

impl Resolve for NameLookups {
    /// The permit belongs to the lookup and not to this future, which is dropped at the deadline of a fetch: the thread
    /// of an abandoned lookup is in use until the lookup ends.
    fn resolve(&self, name: Name) -> Resolving {
        let Self { lookup, permits } = self.clone();
        Box::pin(async move {
            let permit = permits.acquire_owned().await?;
            let lookup = spawn_blocking(move || {
                let _permit = permit;
                lookup(name.as_str())
            });
            let addresses: Addrs = Box::new(lookup.await??.into_iter());
            Ok(addresses)
        })
    }
}

/// A small part of the 512 threads that Tokio has by default. A lookup that is answered takes milliseconds, so this is
/// enough for hundreds of fetches in a second.
const MAX_LOOKUPS: usize = 8;
/// reqwest sets the port of the URL.
const ANY_PORT: u16 = 0;

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        time::Duration,
    };

    use tokio::{runtime, time::timeout};

    use super::*;
    use crate::jwks::{
        KeySource,
        http::{HttpClients, HttpKeySource},
    };

    /// Long enough for a busy machine. Nothing waits for it unless the test fails.
    const LIMIT: Duration = Duration::from_secs(20);

    /// Sources for as many hosts, every other one over https, that resolve names with `lookups`.
    fn sources(lookups: NameLookups, count: usize) -> Vec<Arc<HttpKeySource>> {
        let clients = HttpClients::with_lookups(None, lookups);
        let url = |number: usize| {
            let scheme = if number.is_multiple_of(2) { "https" } else { "http" };
            format!("{scheme}://t{number}.example.invalid/.well-known/jwks.json")
        };
        (0..count).map(|number| Arc::new(HttpKeySource::new(&url(number), None, &clients).unwrap())).collect()
    }

    #[test]
    fn lookups_that_never_end_leave_threads_to_the_application() {
        let (started, starts) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let lookups = NameLookups::new({
            let (gate, running, most) = (Arc::clone(&gate), Arc::clone(&running), Arc::clone(&most));
            move |_| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let _ = started.send(());
                drop(gate.lock());
                running.fetch_sub(1, Ordering::SeqCst);
                Err(io::Error::other("no such host"))
            }
        });
        let permits = Arc::clone(&lookups.permits);
        let sources = sources(lookups, 100);
        let closed = gate.lock().unwrap();
        let runtime = runtime::Builder::new_current_thread().max_blocking_threads(16).enable_all().build().unwrap();
        runtime.block_on(async {
            for round in 0..3 {
                let fetches: Vec<_> = sources
                    .iter()
                    .map(|source| {
                        let source = Arc::clone(source);
                        tokio::spawn(async move { source.fetch().await })
                    })
                    .collect();
                // All fetches have been polled: each has started its lookup or waits for a permit.
                tokio::task::yield_now().await;
                if round == 0 {
                    for _ in 0..MAX_LOOKUPS {
                        starts.recv_timeout(LIMIT).unwrap();
                    }
                }
                // Blocking work starts in the order of the calls, so it would wait behind any lookup of this round.
                timeout(LIMIT, spawn_blocking(|| ())).await.expect("a free thread").unwrap();
                assert_eq!(most.load(Ordering::SeqCst), MAX_LOOKUPS, "round {round}");
                // As at the deadline of a fetch.
                for fetch in fetches {
                    fetch.abort();
                    assert!(fetch.await.unwrap_err().is_cancelled());
                }
                assert_eq!((running.load(Ordering::SeqCst), permits.available_permits()), (MAX_LOOKUPS, 0));
            }
            drop(closed);
            let all = permits.acquire_many(u32::try_from(MAX_LOOKUPS).unwrap());
            drop(timeout(LIMIT, all).await.expect("the abandoned lookups end").unwrap());
            let error = timeout(LIMIT, sources[0].fetch()).await.expect("an answer").unwrap_err();
            assert_eq!(error.kind(), crate::jwks::FetchErrorKind::Transport);
        });
        assert_eq!((most.load(Ordering::SeqCst), running.load(Ordering::SeqCst)), (MAX_LOOKUPS, 0));
    }

    #[tokio::test]
    async fn a_lookup_that_panics_gives_its_permit_back() {
        let lookups = NameLookups::new(|_| panic!("by design"));
        for _ in 0..=MAX_LOOKUPS {
            let resolving = lookups.resolve("clerk.example.invalid".parse().unwrap());
            assert!(timeout(LIMIT, resolving).await.expect("an answer").is_err());
        }
    }

    #[tokio::test]
    async fn an_address_in_a_url_is_not_looked_up() {
        let names = Arc::new(Mutex::new(Vec::new()));
        let lookups = NameLookups::new({
            let names = Arc::clone(&names);
            move |name| {
                names.lock().unwrap().push(name.to_owned());
                Err(io::Error::other("no such host"))
            }
        });
        let clients = HttpClients::with_lookups(None, lookups);
        // Nothing listens on port 9 (discard) of loopback.
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            let source = HttpKeySource::new(&format!("http://{host}:9/"), None, &clients).unwrap();
            timeout(LIMIT, source.fetch()).await.expect("an answer").unwrap_err();
        }
        assert_eq!(*names.lock().unwrap(), ["localhost"]);
    }

    #[test]
    fn the_resolver_of_the_system_knows_localhost() {
        let lookups = NameLookups::of_the_system();
        let addresses = (lookups.lookup)("localhost").unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
    }
}
