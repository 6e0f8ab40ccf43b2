//! What the tests are told by whoever runs them.

use std::env;
use std::path::PathBuf;

/// Where the local AWS is, and what is deployed there.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `BELLHOP_LOCAL_AWS`: the base URL of the local AWS.
    pub url: String,
    /// `BELLHOP_TABLE`: the table that the template deployed there. Each test makes one like it, so that the template alone says what a table is.
    pub table: String,
}

impl Environment {
    /// Reads the environment.
    ///
    /// # Panics
    /// A variable is missing.
    #[must_use]
    pub fn read() -> Self {
        Self {
            url: variable("BELLHOP_LOCAL_AWS"),
            table: variable("BELLHOP_TABLE"),
        }
    }

    /// `BELLHOP_BINARIES`: the folder with the functions' binaries.
    ///
    /// # Panics
    /// The variable is missing.
    #[must_use]
    pub fn binaries() -> PathBuf {
        variable("BELLHOP_BINARIES").into()
    }
}

fn variable(name: &str) -> String {
    match env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!(
            "{name} is not set: these tests need a local AWS with the template deployed; `cargo xtask test` brings one up and runs them"
        ),
    }
}
