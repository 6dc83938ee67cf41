use std::{error, fmt};

use crate::fault::Fault;

/// Why a gateway does not start, or does not take new files.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GatewayError {
    /// All that is wrong with the files, in their order.
    Faults(Vec<Fault>),
    /// A setting, or the system: the text names it.
    Start(String),
}

impl fmt::Display for GatewayError {
    /// One line for each fault, without `error: ` in front, so that editors and scripts find the file.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => {
                let lines = faults.iter().map(ToString::to_string).collect::<Vec<_>>();
                formatter.write_str(&lines.join("\n"))
            }
            Self::Start(text) => write!(formatter, "error: {text}"),
        }
    }
}

impl error::Error for GatewayError {}

impl From<Vec<Fault>> for GatewayError {
    fn from(faults: Vec<Fault>) -> Self {
        Self::Faults(faults)
    }
}

impl From<String> for GatewayError {
    fn from(text: String) -> Self {
        Self::Start(text)
    }
}
