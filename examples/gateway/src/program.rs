//! The program.

use std::{env, ffi::OsString, io, path::PathBuf, process::ExitCode};

use tokio::runtime::{self, Runtime};
use tracing::Level;

use crate::{
    demonstration::Demonstration,
    error::GatewayError,
    gateway::Gateway,
    metrics::Metrics,
    proxy::ProxySettings,
    route_table::route_table,
    running::RunningGateway,
    settings::{Command, HELP, Settings},
    signals::Signals,
    site::Site,
    source::Source,
    terminal::print_line,
};

impl Gateway {
    /// Runs the program with the arguments of the process: see `--help`.
    pub fn run(self) -> ExitCode {
        // What the crate reports, such as keys that cannot be fetched.
        // The code around may have set another subscriber, which is then the right one.
        let _ = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(Level::WARN).try_init();
        let arguments = env::args_os().skip(1);
        let ended = runtime().map_err(|error| GatewayError::Start(format!("no runtime: {error}")));
        match ended.and_then(|runtime| runtime.block_on(self.execute(arguments))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                print_line(io::stderr(), &error.to_string());
                ExitCode::from(2)
            }
        }
    }

    /// Serves the files in a folder on free loopback ports, without an access log, until it is stopped.
    ///
    /// # Errors
    ///
    /// All faults of the files, or why it cannot listen; a line each.
    pub async fn start(self, folder: impl Into<PathBuf>) -> Result<RunningGateway, GatewayError> {
        let settings = Settings { admin_port: 0, port: 0, writes_access_log: false, ..Settings::default() };
        RunningGateway::start(self, Source::Folder(folder.into()), settings, None).await
    }

    async fn execute(self, arguments: impl Iterator<Item = OsString>) -> Result<(), GatewayError> {
        match Command::read(arguments)? {
            Command::Check(folder) => {
                let (proxy, source) = (self.proxy(ProxySettings::default())?, Source::Folder(folder));
                let documents = self.read(&source)?;
                Site::build(&documents, &self.policies, &proxy, None)?;
                print_line(io::stdout(), route_table(&documents).trim_end());
                Ok(())
            }
            Command::Help => {
                print_line(io::stdout(), HELP.trim_end());
                Ok(())
            }
            Command::Serve(folder, settings) => {
                let source = match folder {
                    Some(folder) => Source::Folder(folder),
                    None => Source::Demonstration(Box::new(Demonstration::start().await?)),
                };
                let drain_timeout = settings.drain_timeout;
                // From now on a signal waits to be obeyed; until then it ends the process.
                let signals = Signals::new();
                // Before the policies, so that nothing is left out. The code around may have installed another
                // recorder, which is then the right one.
                let metrics = Metrics::install().ok();
                let running = RunningGateway::start(self, source, settings, metrics).await?;
                running.announce();
                running.serve_until_signal(signals, drain_timeout).await;
                Ok(())
            }
        }
    }
}

/// One thread for one core: a runtime with several would only pass tasks between them.
fn runtime() -> io::Result<Runtime> {
    match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => runtime::Builder::new_current_thread().enable_all().build(),
        _ => runtime::Builder::new_multi_thread().enable_all().build(),
    }
}
