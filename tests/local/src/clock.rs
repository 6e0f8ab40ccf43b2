//! A clock that tests can turn, so that nobody waits for the minutes after which the sweep takes something up.
//!
//! It is a small library that is loaded into this program before libc, and into everything that this program starts: functions, ministack, agents. Linux
//! alone has that; elsewhere time passes by itself.

use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use xtask::workspace::root;

/// The variable that names the file with the time by which the clock is ahead.
const FILE: &str = "BELLHOP_CLOCK_FILE";
/// The names of the clock's files.
const LIBRARY: &str = "clock.so";
const AHEAD: &str = "ahead";
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
        let folder = tempfile::Builder::new().prefix("bellhop-clock-").tempdir()?;
        let (library, file) = (folder.path().join(LIBRARY), folder.path().join(AHEAD));
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(root().join("tests/local/clock.c"))
            .status()
            .context("a C compiler is needed, as for Rust: cc")?;
        ensure!(compiled.success(), "tests/local/clock.c does not compile");
        std::fs::write(&file, 0_i64.to_ne_bytes())?;
        // From here on it is the started program's.
        let folder = folder.keep();
        let error = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(FILE, file)
            .env(PRELOAD, library)
            .exec();
        remove(&folder);
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
            let file = std::fs::File::options().write(true).open(folder.join(AHEAD))?;
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
            remove(folder);
        }
    }
}

/// Removes the clock's files and their folder. What is left after an error is two small files in the folder for such.
fn remove(folder: &Path) {
    for name in [LIBRARY, AHEAD] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    let _ = std::fs::remove_dir(folder);
}
