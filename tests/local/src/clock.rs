//! A clock that tests can turn, so that nobody waits for the minutes after which the sweep takes something up.
//!
//! It is a small library that is loaded into this program before libc, and into everything that this program starts: functions, ministack, agents. Linux
//! alone has that; elsewhere time passes by itself.

use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use xtask::workspace::root;

/// The variable that names the file with the time by which the clock is ahead.
const FILE: &str = "CLOCK_FILE";
/// The variable that names what is loaded before libc.
const PRELOAD: &str = "LD_PRELOAD";

/// The clock of this program and of everything that it starts.
pub(crate) struct Clock {
    /// The folder of the library and of the file, and by how much the clock is ahead. Nothing, where there is no such clock.
    turned: Option<(PathBuf, Duration)>,
}

impl Clock {
    /// Gives the clock, if this program was started with it; otherwise starts this program again, with it.
    ///
    /// # Errors
    /// There is no C compiler, or the library does not work.
    pub(crate) fn start() -> anyhow::Result<Self> {
        if !cfg!(target_os = "linux") {
            return Ok(Self { turned: None });
        }
        if let Some(file) = std::env::var_os(FILE) {
            let folder = PathBuf::from(file).parent().map(ToOwned::to_owned);
            let clock = Self {
                turned: folder.map(|folder| (folder, Duration::ZERO)),
            };
            return clock.checked();
        }
        let folder = tempfile::Builder::new().prefix("bellhop-clock-").tempdir()?.keep();
        let library = folder.join("clock.so");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(root().join("tests/local/clock.c"))
            .status()
            .context("a C compiler is needed, as for Rust: cc")?;
        ensure!(compiled.success(), "tests/local/clock.c does not compile");
        let file = folder.join("ahead");
        std::fs::write(&file, 0_i64.to_ne_bytes())?;
        let error = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(FILE, file)
            .env(PRELOAD, library)
            .exec();
        bail!("this program cannot be started again: {error}");
    }

    /// Turns the clock forward.
    ///
    /// # Errors
    /// Its file is gone.
    pub(crate) fn turn(&mut self, by: Duration) -> anyhow::Result<()> {
        if let Some((folder, ahead)) = &mut self.turned {
            *ahead += by;
            let nanoseconds = i64::try_from(ahead.as_nanos())?;
            let file = std::fs::File::options().write(true).open(folder.join("ahead"))?;
            // In one piece: the others read it at any moment.
            file.write_all_at(&nanoseconds.to_ne_bytes(), 0)?;
        }
        Ok(())
    }

    /// Sees that turning it has an effect, by a second.
    fn checked(mut self) -> anyhow::Result<Self> {
        let before = jiff::Timestamp::now();
        self.turn(Duration::from_secs(1))?;
        let passed = jiff::Timestamp::now().duration_since(before);
        ensure!(passed.as_secs() >= 1, "the clock of tests/local/clock.c does not turn");
        Ok(self)
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Some((folder, _)) = &self.turned {
            // What is left of it is two small files in the folder for such.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
