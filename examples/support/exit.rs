//! How the examples end: with exit code 2 and one line for an error.

use std::{error::Error, io::Write, process::ExitCode};

pub(crate) fn code(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // A closed stderr is ignored: the exit code reports the error too.
    let _ = writeln!(std::io::stderr(), "error: {}", line(error.as_ref()));
    ExitCode::from(2)
}

/// The error and its causes, which say what could not be done and why.
pub(crate) fn line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace(['\r', '\n'], " ")
}
