//! The files of Git LFS.
//!
//! Git LFS stores large files outside the repository: the checkout contains small pointer files
//! (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>). A build with pointers in place of the files fails late and confusingly. So the agent
//! fetches the files if CodeCommit has them; if that fails, the checkout fails. If the agent cannot fetch them, the log says so and the build continues.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

use super::{Checkout, Failure, codecommit, find_program, lfs, tries};
use crate::log::say;
use crate::supervise::Limits;

/// What a pointer begins with.
const POINTER: &str = r"^version https://git-lfs\.github\.com/spec/v1$";

impl Checkout<'_> {
    pub(super) async fn fetch_large_files(&mut self) -> Result<(), Failure> {
        let pattern = [
            "grep",
            "--cached",
            "--files-with-matches",
            "--null",
            "-e",
            POINTER,
            "--",
            ":(attr:filter=lfs)",
        ];
        let paths = self.output(&pattern).await?;
        let count = paths.iter().filter(|byte| **byte == 0).count();
        if count == 0 {
            return Ok(());
        }
        let left = |why: &str| say(&format!("checkout: Git LFS: {count} files are left as pointers: {why}"));
        if find_program("git-lfs").is_none() {
            left("git-lfs is not in the agent's image");
            return Ok(());
        }
        let mut url = self.output(&["config", "--file", ".lfsconfig", "lfs.url"]).await?;
        if url.trim_ascii().is_empty() {
            url = self.output(&["config", "--file", ".lfsconfig", "remote.origin.lfsurl"]).await?;
        }
        if lfs::is_elsewhere(String::from_utf8_lossy(&url).trim(), &codecommit(&self.task.region)) {
            left(".lfsconfig names another server; the script can fetch from it");
            return Ok(());
        }
        let access = format!("lfs.{}.git/info/lfs.access", self.origin());
        let configure = self.git(&["config", &access, "basic"])?;
        self.succeed(configure).await?;
        // A later checkout by the script does not retry what failed here.
        self.install_lfs(&["--skip-repo", "--skip-smudge"]).await?;
        if let Some(status) = self.fetch_objects().await? {
            left(&format!("the server does not support Git LFS (HTTP {status})"));
            return Ok(());
        }
        self.install_lfs(&["--force"]).await?;
        if let Err(error) = self.check_out_again(&paths).await {
            return Err(match error {
                Again::Failed(failure) => failure,
                Again::Files(error) => self.failed(&format!("the pointers of Git LFS could not be replaced: {error}")),
            });
        }
        say(&format!("checkout: Git LFS: {count} files fetched"));
        Ok(())
    }

    async fn install_lfs(&mut self, options: &[&str]) -> Result<(), Failure> {
        let mut install = self.program("git-lfs")?;
        install
            .args(["install", "--local"])
            .args(options)
            .stdout(std::process::Stdio::null());
        self.succeed(install).await
    }

    /// Fetches the files. Returns the HTTP status of a server that has no Git LFS.
    ///
    /// git-lfs drops a connection that is silent for 30 s, but retries forever if its credentials are refused with 401
    /// (<https://github.com/git-lfs/git-lfs/pull/6231>): so there is a limit.
    async fn fetch_objects(&mut self) -> Result<Option<u16>, Failure> {
        let (trace, said) = (self.internal.join("lfs"), self.internal.join("lfs-errors"));
        let limits = Limits {
            longest: Some(self.lfs_timeout),
            ..Limits::default()
        };
        for try_number in 1.. {
            let mut fetch = self.program("git-lfs")?;
            let stderr = match write_empty(&trace).and_then(|()| File::create(&said)) {
                Ok(stderr) => stderr,
                Err(error) => return Err(self.failed(&format!("{}: {error}", self.internal.display()))),
            };
            match stderr.try_clone() {
                Ok(stdout) => fetch.stdout(stdout),
                Err(error) => return Err(self.failed(&error.to_string())),
            };
            fetch.arg("fetch").env("GIT_TRACE", &trace).stderr(stderr);
            let end = self.run(fetch, limits).await?;
            if end.code == 0 {
                return Ok(None);
            }
            let status = File::open(&trace).ok().and_then(|trace| lfs::status(BufReader::new(trace)));
            if let Some(status) = status.filter(|status| lfs::is_without_lfs(*status)) {
                return Ok(Some(status));
            }
            self.errors.add_bytes(&fs::read(&said).unwrap_or_default());
            if end.limit.is_some() || !lfs::is_retried(try_number, end.code) {
                break;
            }
            self.pause("the fetch of Git LFS failed", tries::pause(try_number)).await?;
        }
        Err(self.failed("the files of Git LFS could not be fetched"))
    }

    /// Not `git lfs pull`: it takes pointers without the attribute for files as well, and a name of two lines keeps it from telling git what it has done.
    async fn check_out_again(&mut self, paths: &[u8]) -> Result<(), Again> {
        let list = self.internal.join("lfs-files");
        fs::write(&list, paths)?;
        for path in paths.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
            let path = self.folder.join(Path::new(os(path)));
            if let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error.into());
            }
        }
        let mut checkout = self
            .git(&["--literal-pathspecs", "checkout", "--quiet", "--pathspec-file-nul"])
            .map_err(Again::Failed)?;
        checkout.arg(format!("--pathspec-from-file={}", list.display()));
        self.succeed(checkout).await.map_err(Again::Failed)
    }
}

/// Why the second checkout failed.
enum Again {
    Failed(Failure),
    Files(io::Error),
}

impl From<io::Error> for Again {
    fn from(error: io::Error) -> Self {
        Self::Files(error)
    }
}

fn write_empty(path: &Path) -> io::Result<()> {
    fs::write(path, b"")
}

fn os(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}
