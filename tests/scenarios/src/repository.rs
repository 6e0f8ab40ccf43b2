//! A developer's clone of a repository.

use std::path::{Path, PathBuf};

use tokio::process::Command;

/// A clone, on branch `main`, from which is pushed.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Makes an empty clone in a new folder.
    pub(crate) async fn clone(url: &str, folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder for the clone");
        let repository = Self { folder };
        repository.git(&["init", "--quiet", "--initial-branch=main"]).await;
        repository.git(&["remote", "add", "origin", url]).await;
        repository
    }

    /// Commits everything in the folder, with these files as they are given here, and gives the commit's id.
    pub async fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        for (path, text) in files {
            self.write(path, text.as_bytes());
        }
        self.git(&["add", "--all"]).await;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]).await;
        self.git(&["rev-parse", "HEAD"]).await
    }

    /// Writes a file that is no text.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder for the file");
        }
        std::fs::write(&path, content).expect("the clone can be written to");
    }

    /// Removes a file.
    ///
    /// # Panics
    /// There is none.
    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.folder.join(path)).expect("the file is there");
    }

    /// Pushes what Git calls a refspec, such as `HEAD:refs/heads/main`.
    pub(crate) async fn push(&self, what: &str) {
        self.git(&["push", "--quiet", "--force", "origin", what]).await;
    }

    async fn git(&self, arguments: &[&str]) -> String {
        git(&self.folder, arguments).await
    }
}

/// Runs Git with nothing of the environment and the configuration of whoever runs the tests.
async fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    let output = command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .await
        .expect("git can be run");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
