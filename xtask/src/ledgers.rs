//! Other implementations of DynamoDB than the local AWS's, with different behaviour, to test the ledger against.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::Command;
use xtask::node::Node;
use xtask::python::Venv;
use xtask::workspace::{Group, name_of, root, target};

/// How long an implementation may take to respond.
const START: Duration = Duration::from_secs(30);

/// The program that tests the ledger against them.
const PROGRAM: &str = "ledgers";

/// A server that is stopped when this is dropped.
pub(crate) struct Server {
    group: Group,
    port: u16,
}

impl Server {
    /// moto's server.
    ///
    /// # Errors
    /// If it cannot be installed, or does not respond.
    pub(crate) async fn moto() -> anyhow::Result<Self> {
        let venv = Venv::implementations().await?;
        let port = free_port()?;
        let mut command = Command::new(venv.program("python"));
        command.arg(root().join("tests/local/moto_alone.py")).arg(port.to_string());
        Self::start(command, port).await
    }

    /// dynalite's server, a Node.js package.
    ///
    /// # Errors
    /// If it is not installed, or does not respond.
    pub(crate) async fn dynalite(node: &Node) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = node.command("dynalite")?;
        // A table is there at once.
        command.args(["--host", "127.0.0.1", "--createTableMs", "0", "--port", &port.to_string()]);
        Self::start(command, port).await
    }

    async fn start(mut command: Command, port: u16) -> anyhow::Result<Self> {
        let child = command
            .current_dir(target())
            .stdin(Stdio::null())
            // moto prints a line for each request.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", name_of(&command)))?;
        let mut server = Self { group: Group(child), port };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = server.group.0.try_wait()? {
                bail!("{} ended with {status}", name_of(&command));
            }
            if begun.elapsed() > START {
                bail!("{} does not accept connections after {} s", name_of(&command), START.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The arguments with which cargo builds the program that tests the ledger against the servers: with the features of all tests, so that nothing is
/// compiled twice.
pub(crate) fn build() -> [&'static str; 6] {
    ["build", "--quiet", "--workspace", "--all-features", "--example", PROGRAM]
}

/// That program.
pub(crate) fn program(moto: &Server, dynalite: &Server, definition: &str) -> Command {
    let mut program = Command::new(target().join("debug/examples").join(PROGRAM));
    program
        .env("BELLHOP_TABLE_DEFINITION", definition)
        .env("BELLHOP_MOTO", moto.url())
        .env("BELLHOP_DYNALITE", dynalite.url());
    program
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}
