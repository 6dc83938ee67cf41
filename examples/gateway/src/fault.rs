//! What is wrong with the files, and where.

use std::fmt;

/// A fault, or a warning, in one of the files. Displayed as `FILE: PATH: REASON`, on one line.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fault {
    /// The name of the file, such as `policies.json`.
    pub file: String,
    /// The JSON path of the value, such as `$.policies[0].handler`; members that are no names are quoted:
    /// `$.paths['/todos/{id}'].get`.
    pub path: String,
    /// What is wrong, and what to do about it. It never contains the value of a variable.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.file, self.path, self.reason)
    }
}
