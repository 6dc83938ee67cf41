//! Where the files and the variables come from.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::demonstration::Demonstration;

/// The folder of the files, and the environment for them.
#[derive(Debug)]
pub(crate) enum Source {
    Demonstration(Box<Demonstration>),
    Folder(PathBuf),
}

impl Source {
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Demonstration(demonstration) => demonstration.folder(),
            Self::Folder(folder) => folder,
        }
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match self {
            Self::Demonstration(demonstration) => demonstration.variable(name),
            Self::Folder(_) => env::var(name).ok(),
        }
    }
}
