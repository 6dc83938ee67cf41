//! Name resolution that leaves the threads of the application alone.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::spawn_blocking,
};

use crate::{
    clock::{Clock, SystemClock},
    single_flight::within,
};

/// Looks up host names with the resolver of the system, a few at once.
///
/// The system's resolver blocks its thread for several seconds if no name server answers, and nothing can stop it.
/// Tokio has a limited number of threads for such work, which the application needs too. Without a limit of its own,
/// a verifier with many instances would occupy all of them.
///
/// Nor may a few names whose servers are silent occupy all that the limit leaves. A name has one lookup at a time,
/// which all fetches share, and names whose last lookup was slow get only a part of the permits.
#[derive(Clone)]
pub(super) struct NameLookups {
    lookup: Arc<LookupFn>,
    /// One permit for each lookup that may run.
    permits: Arc<Semaphore>,
    /// One permit for each lookup of a slow name that may run.
    slow_permits: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

type LookupFn = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// What a lookup found; `None` while it runs. An error is shared as its kind and its text.
type Found = Option<Result<Vec<SocketAddr>, (io::ErrorKind, String)>>;

#[derive(Default)]
struct State {
    running: HashMap<Arc<str>, watch::Receiver<Found>>,
    /// The names whose last lookup was slow.
    slow: HashSet<Arc<str>>,
}

/// Lookups of other names took all permits for [`PERMIT_TIMEOUT`]. It says nothing about this name.
#[derive(Debug)]
pub(super) struct NoPermit;

impl NameLookups {
    pub(super) fn of_the_system() -> Self {
        Self::new(|host| Ok((host, ANY_PORT).to_socket_addrs()?.collect()))
    }

    /// `lookup` may block its thread.
    pub(super) fn new(lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self {
            lookup: Arc::new(lookup),
            permits: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            slow_permits: Arc::new(Semaphore::new(MAX_SLOW_LOOKUPS)),
            state: Arc::default(),
        }
    }

    /// Joins the lookup of this name that is in progress, or starts one.
    async fn addresses(&self, name: Arc<str>) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        loop {
            let (sender, mut found) = self.join(&name);
            let is_own = sender.is_some();
            if let Some(sender) = sender {
                let permits = within(PERMIT_TIMEOUT, self.permits(&name)).await.ok_or(NoPermit)?;
                self.start(Arc::clone(&name), sender, permits);
            }
            match found.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(Ok(addresses))) => return Ok(addresses.clone()),
                Ok(Some(Err((kind, text)))) => return Err(io::Error::new(*kind, text.clone()).into()),
                Ok(None) | Err(_) if is_own => return Err("the name lookup panicked".into()),
                // The lookup that was joined was given up before it started.
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// The lookup of this name in progress. The sender is there if none was: the caller is to start it.
    fn join(&self, name: &Arc<str>) -> (Option<watch::Sender<Found>>, watch::Receiver<Found>) {
        let mut state = self.state();
        match state.running.get(name) {
            // The channel of a lookup that was given up is closed.
            Some(found) if found.has_changed().is_ok() => (None, found.clone()),
            _ => {
                let (sender, found) = watch::channel(None);
                state.running.insert(Arc::clone(name), found.clone());
                (Some(sender), found)
            }
        }
    }

    async fn permits(&self, name: &Arc<str>) -> Vec<OwnedSemaphorePermit> {
        let slow = self.state().slow.contains(name).then(|| Arc::clone(&self.slow_permits));
        let mut permits = Vec::new();
        for semaphore in slow.into_iter().chain([Arc::clone(&self.permits)]) {
            // It cannot fail, because nothing closes the semaphore.
            permits.extend(semaphore.acquire_owned().await.ok());
        }
        permits
    }

    /// Starts a lookup. The permits belong to it and not to the future that waits for it, which is dropped at the
    /// deadline of a fetch: the thread of an abandoned lookup is in use until the lookup ends.
    fn start(&self, name: Arc<str>, sender: watch::Sender<Found>, permits: Vec<OwnedSemaphorePermit>) {
        let this = self.clone();
        drop(spawn_blocking(move || {
            let _permits = permits;
            // A lookup takes real time, whatever the clock of the verifier.
            let clock = SystemClock::new();
            let found = (this.lookup)(&name).map_err(|error| (error.kind(), error.to_string()));
            let is_slow = clock.monotonic() >= SLOW;
            {
                let mut state = this.state();
                state.running.remove(&name);
                if !is_slow {
                    state.slow.remove(&name);
                } else if state.slow.len() < MAX_SLOW_NAMES {
                    state.slow.insert(name);
                }
            }
            sender.send_replace(Some(found));
        }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolve for NameLookups {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let addresses = this.addresses(Arc::from(name.as_str())).await?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

impl fmt::Display for NoPermit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("too many name lookups in progress")
    }
}

impl Error for NoPermit {}

/// A small part of the 512 threads that Tokio has by default. A lookup that is answered takes milliseconds, so this is
/// enough for hundreds of fetches in a second.
const MAX_LOOKUPS: usize = 8;
/// Of those 8: enough to notice that a name is answered again.
const MAX_SLOW_LOOKUPS: usize = 3;
/// A lookup that is answered takes milliseconds, and one that is not several seconds.
const SLOW: Duration = Duration::from_secs(1);
/// Slow names that are remembered: as many as a verifier caches instances. Beyond that they count as any other.
const MAX_SLOW_NAMES: usize = 10_000;
/// How long a lookup waits for a permit: a third of the default timeout of a fetch, so that two thirds are left.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(1);
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
        FetchErrorKind, KeySource,
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
            assert_eq!(error.kind(), FetchErrorKind::Transport);
        });
        assert_eq!((most.load(Ordering::SeqCst), running.load(Ordering::SeqCst)), (MAX_LOOKUPS, 0));
    }

    #[tokio::test]
    async fn fetches_share_the_lookup_of_a_name() {
        let count = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::Mutex::new(()));
        let lookups = NameLookups::new({
            let (count, gate) = (Arc::clone(&count), Arc::clone(&gate));
            move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                drop(gate.blocking_lock());
                Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
            }
        });
        let resolve = |name: &str| {
            let resolving = lookups.resolve(name.parse().unwrap());
            tokio::spawn(async move { resolving.await.map(Iterator::count).map_err(|error| error.to_string()) })
        };
        let closed = gate.lock().await;
        let many: Vec<_> = (0..100).map(|_| resolve("dead.example")).collect();
        while count.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // The first of them is given up, as at the deadline of a fetch: the others still wait for its lookup.
        many[0].abort();
        tokio::task::yield_now().await;
        assert_eq!((count.load(Ordering::SeqCst), lookups.permits.available_permits()), (1, MAX_LOOKUPS - 1));
        drop(closed);
        for one in many.into_iter().skip(1) {
            assert_eq!(timeout(LIMIT, one).await.expect("an answer").unwrap(), Ok(1));
        }
        assert_eq!(timeout(LIMIT, resolve("dead.example")).await.expect("an answer").unwrap(), Ok(1));
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn names_whose_lookups_were_slow_leave_permits_to_the_others() {
        let gate = Arc::new(tokio::sync::Mutex::new(()));
        let lookups = NameLookups::new({
            let gate = Arc::clone(&gate);
            move |name| {
                if name.starts_with("slow") {
                    drop(gate.blocking_lock());
                }
                Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
            }
        });
        // As after lookups of more than a second.
        lookups.state().slow.extend((0..20).map(|number| Arc::from(format!("slow{number}.example"))));
        let closed = gate.lock().await;
        let resolve = |name: String| {
            let resolving = lookups.resolve(name.parse().unwrap());
            tokio::spawn(async move { resolving.await.map(Iterator::count).map_err(|error| error.to_string()) })
        };
        let slow: Vec<_> = (0..20).map(|number| resolve(format!("slow{number}.example"))).collect();
        tokio::task::yield_now().await;
        assert_eq!(lookups.permits.available_permits(), MAX_LOOKUPS - MAX_SLOW_LOOKUPS);
        let other = resolve("clerk.example".to_owned());
        assert_eq!(timeout(LIMIT, other).await.expect("an answer").unwrap(), Ok(1));
        drop(closed);
        for one in slow {
            timeout(LIMIT, one).await.expect("an answer").unwrap().unwrap();
        }
        // They were answered at once, so they are not slow any more.
        assert!(lookups.state().slow.is_empty() && lookups.state().running.is_empty());
    }

    #[tokio::test]
    async fn a_lookup_without_a_permit_does_not_blame_its_name() {
        let lookups = NameLookups::new(|_| Ok(Vec::new()));
        let taken = lookups.permits.acquire_many(u32::try_from(MAX_LOOKUPS).unwrap()).await.unwrap();
        let source = sources(lookups.clone(), 1).remove(0);
        let error = timeout(LIMIT, source.fetch()).await.expect("an answer").unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::TooManyFetches);
        drop(taken);
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
