//! Sends one response on four paths: `/open`, `/idle` behind a layer that does nothing, and `/users` and `/new` behind
//! `ClerkAuthLayer`. Writes files of tokens for the requests. Or is the upstream of the proxies. `benches/load/run`
//! starts both.
//!
//! ```text
//! cargo bench --bench load_server -- <folder for the files> [number of tokens]
//! cargo bench --bench load_server -- upstream
//! ```

#![expect(clippy::print_stdout, reason = "it says where it listens")]

#[allow(dead_code, unused_imports, reason = "a bench takes what it needs")]
#[path = "../support/tokens.rs"]
mod tokens;
mod upstream;

use std::{env, fs, path::Path};

use axum::{Router, routing::get};
use tower::layer::util::Identity;
use tower_clerk::{ClerkAuthLayer, Verifier, testing::TestIssuer};

use self::tokens::{Tokens, many};

// One thread for one core, as Envoy has.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    // `cargo bench` without arguments starts this one too. It has nothing to do then.
    let Some(folder) = arguments.next() else { return };
    if folder == "upstream" {
        return upstream::serve().await.expect("a server");
    }
    let count = arguments.next().map_or(20_000, |count| count.parse().expect("a number of tokens"));

    let issuer = TestIssuer::start().await.expect("a loopback socket");
    write_files(&issuer, Path::new(&folder), count);

    let layer = |entries| {
        let verifier =
            Verifier::builder(issuer.config()).token_cache_entries(entries).token_cache_bytes(32 << 20).build();
        ClerkAuthLayer::from(verifier.expect("a verifier"))
    };
    let respond = || async { upstream::BODY };
    let app = Router::new()
        .route("/open", get(respond))
        .merge(Router::new().route("/idle", get(respond)).route_layer(Identity::new()))
        .merge(Router::new().route("/users", get(respond)).route_layer(layer(10_000)))
        // A cache so small that each of the many tokens has been evicted when its turn comes again.
        .merge(Router::new().route("/new", get(respond)).route_layer(layer(200)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("listening on {}", listener.local_addr().expect("an address"));
    axum::serve(listener, app).await.expect("a server");
}

/// A file of one token, one of many, one that alternates between the one and forgeries, and the key set.
fn write_files(issuer: &TestIssuer, folder: &Path, count: u32) {
    let write = |name: &str, text: String| fs::write(folder.join(name), text + "\n").expect("a file");
    let one = Tokens::new(issuer).usual;
    let many = many(issuer, count);
    let forged = many.iter().take(1000).map(|token| {
        let (message, _) = token.rsplit_once('.').expect("a token");
        let (_, signature) = one.rsplit_once('.').expect("a token");
        format!("{one}\n{message}.{signature}")
    });
    write("half-forged", forged.collect::<Vec<_>>().join("\n"));
    write("jwks.json", issuer.jwks());
    write("many", many.join("\n"));
    write("one", one);
    write("issuer", issuer.url().to_owned());
}
