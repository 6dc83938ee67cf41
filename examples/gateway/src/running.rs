//! A gateway that serves.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    task::{JoinHandle, JoinSet},
};
use tracing_appender::non_blocking::WorkerGuard;

use crate::{
    access_log::AccessLog,
    admin::Admin,
    dispatch::Dispatcher,
    error::GatewayError,
    gateway::Gateway,
    metrics::Metrics,
    proxy::Proxy,
    route_table::route_table,
    server,
    settings::Settings,
    shutdown::Shutdown,
    signals::{Signal, Signals},
    site::Site,
    source::Source,
    terminal::print_line,
    warm_up,
};

/// A gateway that serves, until it is stopped.
#[derive(Debug)]
pub struct RunningGateway {
    gateway: Gateway,
    source: Arc<Source>,
    /// As it was at the start.
    route_table: String,
    dispatcher: Arc<Dispatcher>,
    proxy: Proxy,
    shutdown: Shutdown,
    address: SocketAddr,
    admin_address: SocketAddr,
    accepting: JoinHandle<()>,
    admin: JoinHandle<()>,
    /// Fetches keys that were missing.
    warming: Mutex<JoinSet<()>>,
    /// Keeps the thread that writes the access log.
    _log: Option<WorkerGuard>,
}

impl RunningGateway {
    pub(crate) async fn start(
        gateway: Gateway,
        source: Source,
        settings: Settings,
        metrics: Option<Metrics>,
    ) -> Result<Self, GatewayError> {
        let documents = gateway.read(&source)?;
        let shutdown = Shutdown::default();
        let proxy = gateway.proxy(settings.proxy.clone())?;
        let site = Site::build(&documents, &gateway.policies, &proxy, None)?;
        let listener = listen(settings.address, settings.port, "PORT")?;
        let admin_listener = listen(settings.address, settings.admin_port, "ADMIN_PORT")?;
        let address = listener.local_addr().map_err(|error| format!("PORT: {error}"))?;
        let admin_address = admin_listener.local_addr().map_err(|error| format!("ADMIN_PORT: {error}"))?;
        let (log, guard) = match settings.writes_access_log {
            true => {
                let (log, guard) = AccessLog::to_stdout(settings.log_query_values);
                (log, Some(guard))
            }
            false => (AccessLog::off(), None),
        };
        let warming = Mutex::new(warm_up::in_background(&site));
        let dispatcher = Arc::new(Dispatcher::new(site, proxy.clone(), log));
        let serving = server::serve(listener, Arc::clone(&dispatcher), shutdown.clone(), settings.proxy.idle_timeout);
        let accepting = tokio::spawn(serving);
        let admin = Admin { dispatcher: Arc::clone(&dispatcher), metrics, shutdown: shutdown.clone() };
        let admin = tokio::spawn(admin.serve(admin_listener));
        Ok(Self {
            gateway,
            source: Arc::new(source),
            route_table: route_table(&documents),
            dispatcher,
            proxy,
            shutdown,
            address,
            admin_address,
            accepting,
            admin,
            warming,
            _log: guard,
        })
    }

    /// Where requests are served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/healthz` and `/readyz` are, and `/metrics` in the program.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Reads the files again. Requests in flight keep the old ones.
    ///
    /// # Errors
    ///
    /// All faults of the new files; the old ones stay in use.
    pub async fn reload(&self) -> Result<(), GatewayError> {
        let (gateway, source) = (self.gateway.clone(), Arc::clone(&self.source));
        let (proxy, previous) = (self.proxy.clone(), self.dispatcher.site());
        // Many patterns take a while, in which requests go on.
        let built = tokio::task::spawn_blocking(move || {
            let documents = gateway.read(&source)?;
            Site::build(&documents, &gateway.policies, &proxy, Some(&previous)).map_err(GatewayError::from)
        });
        let site = built.await.map_err(|error| format!("the files: {error}"))??;
        // So that the first requests of a new policy do not wait for its keys. Without them it serves all the same, as
        // at the start.
        warm_up::once(&site).await;
        // The tasks for the old files end here.
        *self.warming.lock().unwrap_or_else(PoisonError::into_inner) = warm_up::in_background(&site);
        self.dispatcher.replace(site);
        Ok(())
    }

    /// Accepts no new connections, and waits for the requests that run, at most for `grace`.
    pub async fn stop(self, grace: Duration) {
        // Dropping the listener closes it.
        self.accepting.abort();
        self.shutdown.drain(grace).await;
        // A tunnel has no end to wait for.
        self.proxy.close_tunnels().await;
        self.admin.abort();
    }

    pub(crate) fn announce(&self) {
        let Self { address, admin_address, route_table, .. } = self;
        print_line(io::stdout(), route_table.trim_end());
        print_line(io::stdout(), &format!("listening on http://{address}, probes on http://{admin_address}/readyz"));
        if let Source::Demonstration(demonstration) = &*self.source {
            print_line(io::stdout(), &demonstration.instructions(*address));
        }
    }

    pub(crate) async fn serve_until_signal(self, mut signals: Signals, grace: Duration) {
        let mut signal = signals.next().await;
        while signal == Signal::Reload {
            // Newer files, or the end, do not wait for the keys that these may need.
            signal = tokio::select! {
                reloaded = self.reload() => {
                    report(reloaded);
                    signals.next().await
                }
                newer = signals.next() => newer,
            };
        }
        tokio::select! {
            () = self.stop(grace) => {}
            // Whoever asks twice does not want to wait.
            () = signals.end() => {}
        }
    }
}

fn report(reloaded: Result<(), GatewayError>) {
    match reloaded {
        Ok(()) => print_line(io::stderr(), "the files are read again and in use"),
        Err(error) => {
            print_line(io::stderr(), &error.to_string());
            print_line(io::stderr(), "the old files stay in use");
        }
    }
}

fn listen(address: IpAddr, port: u16, variable: &str) -> Result<TcpListener, String> {
    let address = SocketAddr::new(address, port);
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the connections of the process before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().map_err(|error| format!("{variable}: {address} cannot be listened on: {error}"))
}

/// Connections that wait to be accepted: enough for the clients of a gateway that comes back.
const BACKLOG: u32 = 1024;
