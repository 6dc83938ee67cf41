//! How the programs end: with exit code 2 and one line for each error.

use std::{error::Error, io::Write, process::ExitCode};

pub(crate) fn code(result: Result<(), Box<dyn Error>>) -> ExitCode {
    code_of_lines(result.map_err(|error| vec![line(error.as_ref())]))
}

/// As [`code`], for all that is wrong at once.
pub(crate) fn code_of_lines(result: Result<(), Vec<String>>) -> ExitCode {
    let Err(errors) = result else { return ExitCode::SUCCESS };
    for error in errors {
        // A closed stderr is ignored: the exit code reports the error too.
        let _ = writeln!(std::io::stderr(), "error: {}", error.replace(['\r', '\n'], " "));
    }
    ExitCode::from(2)
}

/// The error and its causes, which say what could not be done and why.
pub(crate) fn line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace(['\r', '\n'], " ")
}
