//! The proxies.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    process::Stdio,
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

/// A running proxy. It is killed with this value.
#[derive(Debug)]
pub(crate) struct RunningProxy {
    pub(crate) address: SocketAddr,
    _process: Child,
    _folder: TempDir,
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
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut text = configuration.to_owned();
        for (sample, real) in [
            ("127.0.0.1:8080", address),
            ("127.0.0.1:9100", addresses.forward_auth),
            ("127.0.0.1:3000", addresses.application),
            ("127.0.0.1:9000", addresses.fastcgi),
        ] {
            text = text.replace(sample, &real.to_string());
        }
        let text = text.replace("http://:8080", &format!("http://:{}", address.port()));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("configuration");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(proxy.program());
        if proxy == Proxy::Nginx {
            let pid = folder.path().join("pid");
            command.arg("-c").arg(&file).arg("-g").arg(format!("daemon off; pid {};", pid.display()));
        } else {
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
            command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
        }
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
        let mut process = process.unwrap_or_else(|error| panic!("{proxy:?} cannot be started: {error}"));
        for _ in 0..500 {
            if process.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(address).await.is_ok() {
                return Some(Self { address, _process: process, _folder: folder });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}
