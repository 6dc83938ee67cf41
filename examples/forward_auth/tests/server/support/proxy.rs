//! The proxies.

use std::{
    env,
    fs::{self, Permissions},
    iter,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

/// A proxy of some version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Proxy {
    /// That of the distribution.
    Nginx,
    /// That of the distribution, of any version.
    CaddyOfDistribution,
    /// The last one before the advisories of 2026.
    Caddy2_10,
    Caddy2_11,
}

impl Proxy {
    pub(crate) const ALL: [Self; 4] = [Self::Nginx, Self::CaddyOfDistribution, Self::Caddy2_10, Self::Caddy2_11];
    pub(crate) const CADDIES: [Self; 3] = [Self::CaddyOfDistribution, Self::Caddy2_10, Self::Caddy2_11];

    /// The configuration beside the README.
    pub(crate) fn sample(self) -> &'static str {
        match self {
            Self::Nginx => include_str!("../../../nginx.conf"),
            _ => include_str!("../../../Caddyfile"),
        }
    }

    /// The status when nothing answers `/verify`.
    pub(crate) fn status_without_server(self) -> u16 {
        if self == Self::Nginx { 503 } else { 502 }
    }

    fn program(self) -> String {
        let (variable, default) = match self {
            Self::Nginx => ("NGINX", Some("nginx")),
            Self::CaddyOfDistribution => ("CADDY", Some("caddy")),
            Self::Caddy2_10 => ("CADDY_2_10", None),
            Self::Caddy2_11 => ("CADDY_2_11", None),
        };
        let set = env::var(variable).ok().or_else(|| default.map(str::to_owned));
        set.unwrap_or_else(|| panic!("{variable} must name the program; .ci/forward_auth installs it"))
    }
}

/// Where the proxy finds the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) forward_auth: SocketAddr,
    pub(crate) application: SocketAddr,
    pub(crate) fastcgi: SocketAddr,
}

/// A running proxy. It ends with this value.
#[derive(Debug)]
pub(crate) struct RunningProxy {
    pub(crate) address: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Drop for RunningProxy {
    fn drop(&mut self) {
        // If nginx is killed, its workers go on.
        if let Some(id) = self.process.id() {
            let _ = std::process::Command::new("kill").arg(id.to_string()).status();
        }
        for _ in 0..100 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl RunningProxy {
    /// Starts a proxy with a configuration that has the addresses of the samples in it.
    pub(crate) async fn start(proxy: Proxy, configuration: &str, addresses: Addresses) -> Self {
        for _ in 0..5 {
            if let Some(running) = Self::try_start(proxy, configuration, addresses).await {
                return running;
            }
        }
        panic!("{proxy:?} does not start");
    }

    /// `None`: another program took the port in the meantime.
    async fn try_start(proxy: Proxy, configuration: &str, addresses: Addresses) -> Option<Self> {
        let address = free_address();
        let mut text = configuration.to_owned();
        for (sample, real) in [
            ("127.0.0.1:8080", address),
            ("127.0.0.1:9100", addresses.forward_auth),
            ("127.0.0.1:3000", addresses.application),
            ("127.0.0.1:9000", addresses.fastcgi),
        ] {
            text = text.replace(sample, &real.to_string());
        }
        let mut text = text.replace("http://:8080", &format!("http://:{}", address.port()));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("configuration");
        let mut command = Command::new(proxy.program());
        if proxy == Proxy::Nginx {
            let pid = folder.path().join("pid");
            command.arg("-c").arg(&file).arg("-g").arg(format!("daemon off; pid {};", pid.display()));
            // Its own folders for bodies are below /var/lib, where only root may make them.
            let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {};", folder.path().join(name).display()));
            text = text.replacen("\nhttp {\n", &format!("\nhttp {{\n{}\n", paths.concat()), 1);
            // As root, its workers have another user.
            fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        } else {
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
            command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
        }
        fs::write(&file, text).unwrap();
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
        let mut process = process.unwrap_or_else(|error| panic!("{proxy:?} cannot be started: {error}"));
        for _ in 0..500 {
            if process.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(address).await.is_ok() {
                return Some(Self { address, process, _folder: folder });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}

/// An address on which nobody listens, with a port below those that the system gives to listeners of other tests: one
/// of them could be there before the proxy is.
fn free_address() -> SocketAddr {
    static COUNT: AtomicU16 = AtomicU16::new(0);

    let first = u16::try_from(std::process::id() % 10_000).unwrap();
    let next = || 20_000 + first.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)) % 10_000;
    let free = iter::repeat_with(next).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    free.unwrap().local_addr().unwrap()
}
