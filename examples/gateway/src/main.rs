//! An API gateway that runs the files of a hosted one.
//!
//! ```text
//! cargo run --manifest-path examples/gateway/Cargo.toml
//! cargo run --manifest-path examples/gateway/Cargo.toml -- --config DIR
//! ```

use std::process::ExitCode;

use gateway::Gateway;

fn main() -> ExitCode {
    Gateway::new().run()
}
