//! Minutes of mixed load on real servers, whose issuers rotate their keys and fail, with every response judged.
//!
//! `benches/soak/run` builds the servers and starts this; its head says how to use it.

mod issuer;
mod keys;
mod ledger;
mod load;
mod report;
mod tenants;
mod watch;
mod windows;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    sync,
    time::{interval, sleep},
};

use self::{
    issuer::{Issuer, Plan, Table},
    load::Target,
    report::Report,
    watch::Watch,
    windows::Windows,
};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "tenants").is_some() {
        tenants::serve(arguments).await;
        return ExitCode::SUCCESS;
    }
    match Options::read(arguments) {
        Ok(options) => soak(&options).await,
        Err(message) => {
            println!("error: {message}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    length: Duration,
    seed: u64,
    rate: f64,
    slack: Duration,
    example: String,
    out: PathBuf,
}

impl Options {
    /// Each option is `NAME=VALUE`.
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or_else(|| format!("{argument} is no NAME=VALUE"))?;
            if !["minutes", "seed", "rate", "slack", "example", "out"].contains(&name) {
                return Err(format!("{name} is no option"));
            }
            values.insert(name.to_owned(), value.to_owned());
        }
        let number = |name: &str, default: f64, least: f64| match values.get(name) {
            None => Ok(default),
            Some(value) => value
                .parse()
                .ok()
                .filter(|number: &f64| (least..=MOST).contains(number))
                .ok_or_else(|| format!("{name} must be a number from {least} to {MOST}")),
        };
        let seed = match values.get("seed") {
            None => fastrand::u64(..1_000_000),
            Some(seed) => seed.parse().map_err(|_| "seed must be a whole number".to_owned())?,
        };
        Ok(Self {
            length: Duration::from_secs_f64(60.0 * number("minutes", 10.0, 1.0)?),
            seed,
            rate: number("rate", 500.0, 10.0)?,
            slack: Duration::from_secs_f64(number("slack", 2.0, 0.5)?),
            example: values.get("example").ok_or("example is missing")?.clone(),
            out: PathBuf::from(values.get("out").ok_or("out is missing")?),
        })
    }
}

async fn soak(options: &Options) -> ExitCode {
    let Options { length, seed, rate, slack, example, out } = options;
    println!("seed {seed}, {:.0} s, {rate} requests/s, slack {slack:?}", length.as_secs_f64());
    fs::create_dir_all(out).expect("the folder of the results");
    let report = Arc::new(Report::new());
    let table = Arc::new(Table::new(out.join(format!("tenants-{}", std::process::id()))));
    let attacker = issuer::generate("ins_attacker".to_owned()).await;
    let start =
        |name: &'static str| Issuer::start(name, Arc::clone(&attacker), Arc::clone(&table), Arc::clone(&report));
    let alone = vec![start("alone").await];
    let mut several = vec![];
    for name in ["first", "second", "tenant1", "tenant2", "tenant3"] {
        several.push(start(name).await);
    }
    for tenant in &several[FIXED..] {
        table.change(|rows| rows.insert(tenant.url.clone()));
    }

    let mut command = Command::new(example);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLERK_")) {
        command.env_remove(name);
    }
    command
        .env("CLERK_FRONTEND_API_URL", &alone[0].url)
        .env("CLERK_AUTHORIZED_PARTIES", windows::PARTY)
        .env("CLERK_JWKS_REFRESH_SECONDS", windows::EXAMPLE_REFRESH.as_secs().to_string())
        .env("PORT", "0");
    let mut example = Server::start("axum", command).await;
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.arg("tenants").arg(table.path()).args(several[..FIXED].iter().map(|issuer| &issuer.url));
    let mut other = Server::start("tenants", command).await;

    let example_windows = Windows::new(windows::EXAMPLE_REFRESH, windows::EXAMPLE_STALE, 1, *slack);
    let other_windows = Windows::new(windows::TENANTS_REFRESH, windows::TENANTS_STALE, windows::TENANTS_SPEED, *slack);
    let targets = [
        Target::new("axum", example.address, example_windows, alone, Arc::clone(&report)),
        Target::new("tenants", other.address, other_windows, several, Arc::clone(&report)),
    ];

    println!("{:>8}  filling the token caches", "");
    let filling = targets.each_ref().map(|target| tokio::spawn(Arc::clone(target).fill(FILL)));
    for filled in filling {
        filled.await.expect("the clients that fill the caches");
    }
    println!("{}", report.progress());

    let mut random = fastrand::Rng::with_seed(*seed);
    let mut running = sync_set(&targets, *rate, &mut random);
    let long = other_windows.stale + *slack * 2 + LONGER_THAN_STALE;
    for target in &targets {
        for issuer in &target.issuers {
            let plan = match issuer.name.as_str() {
                "alone" => Plan::Full,
                "first" => Plan::FastWithLongOutage(long),
                "second" => Plan::Fast,
                _ => Plan::Tenant,
            };
            running.spawn(Arc::clone(issuer).live(plan, random.fork()));
        }
    }

    let mut watches = [Watch::new("axum", example.process()), Watch::new("tenants", other.process())];
    let begin = Instant::now();
    let mut ticks = interval(watch::INTERVAL);
    let mut shown = begin;
    sleep(WARM_UP).await;
    while begin.elapsed() < *length {
        ticks.tick().await;
        watches[0].sample(None);
        watches[1].sample(tasks(other.address).await);
        for server in [&mut example, &mut other] {
            if let Ok(Some(status)) = server.child.try_wait() {
                report.violation("dead server", &format!("{} ended with {status}", server.name));
            }
        }
        if report.violations().contains_key("dead server") {
            break;
        }
        if shown.elapsed() >= PROGRESS {
            shown = Instant::now();
            println!("{}", report.progress());
        }
    }
    running.shutdown().await;

    let mut figures = BTreeMap::new();
    for watch in &watches {
        figures.insert(format!("process of {}", watch.server), watch.judge(&report));
    }
    figures.insert("fetches by issuer".to_owned(), fetches(&targets, &report));
    let (text, mut value) = report.table(&figures);
    value["seed"] = json!(seed);
    value["rate"] = json!(rate);
    println!("{text}");
    fs::write(out.join("results.txt"), format!("seed {seed}\n{text}")).expect("results.txt");
    fs::write(out.join("results.json"), format!("{value:#}\n")).expect("results.json");
    let _ = fs::remove_file(table.path());
    let violations = report.violations();
    if violations.is_empty() {
        println!("PASSED: no promise was broken (seed {seed})");
        return ExitCode::SUCCESS;
    }
    let kinds: Vec<_> = violations.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
    println!("FAILED: {} (seed {seed})", kinds.join(", "));
    ExitCode::FAILURE
}

/// Starts the clients of all servers: half with a connection of their own, half over shared HTTP/2 connections.
fn sync_set(targets: &[Arc<Target>; 2], rate: f64, random: &mut fastrand::Rng) -> tokio::task::JoinSet<()> {
    let mut running = tokio::task::JoinSet::new();
    for target in targets {
        let shared: Vec<load::Shared> = (0..CONNECTIONS_OF_HTTP2).map(|_| Arc::new(sync::Mutex::new(None))).collect();
        for client in 0..CLIENTS {
            let connection = (client % 2 == 1).then(|| Arc::clone(&shared[client / 2 % shared.len()]));
            let pace = Duration::from_secs_f64(2.0 * ledger::count(CLIENTS) / rate);
            running.spawn(Arc::clone(target).client(connection, pace, random.fork()));
        }
    }
    running
}

/// The fetches of each issuer, and whether they are within the budgets.
fn fetches(targets: &[Arc<Target>; 2], report: &Report) -> Value {
    let mut figures = json!({});
    for target in targets {
        for issuer in &target.issuers {
            let ledger = issuer.ledger();
            figures[&issuer.name] = json!({
                "succeeded": ledger.fetches.len(),
                "succeeded_allowed": ledger.allowed_successes(&target.windows).floor(),
                "failed": ledger.failed,
                "failed_allowed": ledger.allowed_failures(&target.windows).floor(),
                "keys": ledger.keys.len(),
                "outages": ledger.outages.len(),
            });
            if let Some(what) = ledger.overspent(&target.windows) {
                report.violation("too many fetches", &format!("{}: {what}", issuer.name));
            }
        }
    }
    figures
}

/// A server that runs as a child process.
struct Server {
    name: &'static str,
    address: SocketAddr,
    child: Child,
    /// Kept open: a closed pipe would be another fault.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    async fn start(name: &'static str, mut command: Command) -> Self {
        // glibc raises the size from which it returns memory to the system when a large block is freed, and its arenas
        // are as many as threads have met: both look like growth. Fixed, the memory is what the server holds.
        for name in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"] {
            command.env(name, (128 * 1024).to_string());
        }
        command.env("MALLOC_ARENA_MAX", "2");
        let mut child =
            command.stdout(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn().expect("a server");
        let mut output = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = output.next_line().await.ok().flatten().unwrap_or_default();
        let address = line.strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        Self {
            name,
            address: address.unwrap_or_else(|| panic!("{name} does not listen: {line:?}")),
            child,
            _output: output,
        }
    }

    fn process(&self) -> u32 {
        self.child.id().expect("a server that runs")
    }
}

/// The number of tasks of the server, which it reports itself.
async fn tasks(address: SocketAddr) -> Option<f64> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::builder().uri("/tasks").header("host", "soak").body(Empty::<bytes::Bytes>::new()).ok()?;
    let body = sender.send_request(request).await.ok()?.into_body().collect().await.ok()?.to_bytes();
    std::str::from_utf8(&body).ok()?.parse().ok()
}

/// How many of the issuers with several are configured; the others are tenants of the resolver.
const FIXED: usize = 2;
/// Of each server.
const CLIENTS: usize = 32;
const CONNECTIONS_OF_HTTP2: usize = 2;
/// A few more tokens than the cache of the example holds (guide, defaults: `token_cache_entries`).
const FILL: usize = 11_000;
/// Memory is watched after this much load: connections and allocator have then taken what they need.
const WARM_UP: Duration = Duration::from_secs(15);
const PROGRESS: Duration = Duration::from_secs(30);
/// For how long the server of tenants is without usable keys in the long outage.
const LONGER_THAN_STALE: Duration = Duration::from_secs(6);
/// The largest number of an option.
const MOST: f64 = 100_000.0;
