//! Envoy.

use std::{
    env, fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::support::{eventually, get};

/// A running Envoy, until it is dropped.
pub(crate) struct Envoy {
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    child: Child,
    folder: PathBuf,
}

impl Envoy {
    pub(crate) async fn start(config: &Config) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);

        let binary = env::var_os("ENVOY").expect("ENVOY names the binary");
        let name = format!("envoy-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let (file, admin) = (folder.join("envoy.yaml"), folder.join("admin"));
        fs::write(&file, &config.0).unwrap();
        let output = |name: &str| Stdio::from(fs::File::create(folder.join(name)).unwrap());
        let child = Command::new(binary)
            .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"])
            .args([&PathBuf::from("--config-path"), &file, &PathBuf::from("--admin-address-path"), &admin])
            .args(["--file-flush-interval-msec", "10"])
            .stdout(output("access.log"))
            .stderr(output("error.log"))
            .spawn()
            .unwrap();
        let mut envoy = Self { address: crate::support::dead(), admin: crate::support::dead(), child, folder };
        eventually("Envoy's admin address", async || {
            fs::read_to_string(&admin).ok().and_then(|text| text.parse::<SocketAddr>().ok()).is_some()
        })
        .await;
        envoy.admin = fs::read_to_string(&admin).unwrap().parse().unwrap();
        let admin = envoy.admin;
        eventually("a listening Envoy", async || get(admin, "/ready").await.contains("LIVE")).await;
        // `http::127.0.0.1:40001`
        let listeners = get(admin, "/listeners").await;
        envoy.address = listeners.lines().find_map(|line| line.strip_prefix("http::")).unwrap().parse().unwrap();
        envoy
    }

    /// A counter of the filter, such as `error`.
    pub(crate) async fn count(&self, name: &str) -> u64 {
        let name = format!("cluster.application.ext_authz.{name}: ");
        let stats = get(self.admin, "/stats?filter=ext_authz").await;
        stats.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
    }

    /// The lines of the access log, at least `least`.
    pub(crate) async fn access_log(&self, least: usize) -> Vec<serde_json::Value> {
        let read = || fs::read_to_string(self.folder.join("access.log")).unwrap();
        eventually("the access log", async || read().lines().count() >= least).await;
        read().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What is left behind is in the target folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The sample, with other ports.
#[derive(Clone)]
pub(crate) struct Config(String);

impl Config {
    pub(crate) fn new(ext_authz: SocketAddr, application: SocketAddr) -> Self {
        let sample = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/envoy.yaml")).unwrap();
        let mut config = Self(sample);
        for (sample, port) in [(9901, 0), (10000, 0), (9001, ext_authz.port()), (9003, application.port())] {
            config = config.with(&format!("port_value: {sample} "), &format!("port_value: {port} "));
        }
        config
    }

    /// The sample with Envoy's default form of headers, the only one that the naive server reads.
    pub(crate) fn with_merged_headers(&self) -> Self {
        self.with("encode_raw_headers: true", "encode_raw_headers: false")
    }

    /// With another text in place of one that the sample has once.
    pub(crate) fn with(&self, old: &str, new: &str) -> Self {
        assert_eq!(self.0.matches(old).count(), 1, "{old} is in envoy.yaml once");
        Self(self.0.replace(old, new))
    }

    /// Without the route that refuses what servers read in different ways.
    pub(crate) fn without_refused_paths(&self) -> Self {
        let from = self.0.find("# Refused before anything else").unwrap();
        let to = self.0.find("# Open to everyone").unwrap();
        Self(format!("{}{}", &self.0[..from], &self.0[to..]))
    }

    /// With the filters of `istio.yaml` in place of the first route and of the filter for headers.
    pub(crate) fn with_filters_of_istio(&self) -> Self {
        let istio = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/istio.yaml")).unwrap();
        let filters = istio.split("        value:\n").skip(1).map(|patch| {
            let lines = patch.lines().take_while(|line| line.starts_with("          "));
            let lines: Vec<_> = lines.map(|line| format!("          {line}\n")).collect();
            lines.concat().replacen("  name:", "- name:", 1)
        });
        let filters: Vec<_> = filters.collect();
        assert_eq!(filters.len(), 2);
        let ext_authz = "                  - name: envoy.filters.http.ext_authz\n";
        self.without_refused_paths().without_header_mutation().with(ext_authz, &(filters.concat() + ext_authz))
    }

    /// Without the filter that removes identity headers beside ext_authz.
    pub(crate) fn without_header_mutation(&self) -> Self {
        let from = self.0.find("- name: envoy.filters.http.header_mutation").unwrap();
        let to = self.0.find("- name: envoy.filters.http.ext_authz").unwrap();
        Self(format!("{}{}", &self.0[..from], &self.0[to..]))
    }
}
