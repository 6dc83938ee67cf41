//! What the program says on stdout and stderr.

use std::io::Write;

/// Prints a line. A closed stream is ignored: the program runs without it.
pub(crate) fn print_line(mut stream: impl Write, text: &str) {
    let _ = writeln!(stream, "{text}");
}
