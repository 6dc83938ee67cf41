//! The second server: session cookies, several instances, and tenants that a resolver finds in a table.
//!
//! It is a process of its own, so that its memory is not that of the load.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    routing::{any, get},
};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, TokenSource, Verifier,
    config::IssuerUrl,
    verify::{Clock, Instance, ResolveError, SystemClock, VerifierBuilder},
};

use crate::windows::{TENANTS_SPEED, tenant_config};

/// Serves until it is killed. The first argument is the file of the table, the others are the instances that are known
/// from the start.
pub(crate) async fn serve(mut arguments: impl Iterator<Item = String>) {
    let table = PathBuf::from(arguments.next().expect("the table of tenants"));
    let verifier = verifier(table, arguments);
    let clerk = ClerkAuthLayer::from(verifier)
        .token_sources([TokenSource::authorization(), TokenSource::session_cookie()])
        .expect("token sources");
    let app = Router::new()
        .route("/protected", any(|user: ClerkAuth| async move { user.user_id().to_owned() }))
        .route_layer(clerk)
        .route("/tasks", get(|| async { tokio::runtime::Handle::current().metrics().num_alive_tasks().to_string() }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback socket");
    let address = listener.local_addr().expect("an address");
    writeln!(io::stdout(), "listening on http://{address}").expect("stdout");
    axum::serve(listener, app).await.expect("a server");
}

fn verifier(table: PathBuf, instances: impl Iterator<Item = String>) -> Verifier {
    let resolver = move |issuer: IssuerUrl| {
        let found = fs::read_to_string(&table).map_err(ResolveError::new).and_then(|table| {
            let is_tenant = table.lines().any(|line| line == issuer.as_str());
            is_tenant.then(|| tenant_config(issuer.as_str()).map(Instance::new)).transpose().map_err(ResolveError::new)
        });
        async move { found }
    };
    let mut builder = VerifierBuilder::new()
        .resolver(resolver)
        .allow_local_issuers()
        .clock(FastClock(SystemClock::new()))
        .token_cache_entries(CACHED_TOKENS);
    for url in instances {
        builder = builder.instance(tenant_config(&url).expect("a configuration"));
    }
    builder.build().expect("a verifier")
}

/// Its monotonic time runs faster than the real one, so that the windows of minutes pass in seconds.
struct FastClock(SystemClock);

impl Clock for FastClock {
    fn monotonic(&self) -> Duration {
        self.0.monotonic() * TENANTS_SPEED
    }

    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// Few, so that the cache is full before memory is watched.
const CACHED_TOKENS: usize = 1000;
