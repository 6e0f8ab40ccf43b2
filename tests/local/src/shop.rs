//! The small project that is built: a repository of the stand-in's, and a clone to work in.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::stack::Stack;
use xtask::workspace::{git, root, run_silently};

/// The project.
pub(crate) struct Shop {
    clone: PathBuf,
}

impl Shop {
    /// Makes the repository and a clone with one commit, which is not pushed yet.
    pub(crate) async fn create(stack: &Stack) -> anyhow::Result<Self> {
        let repository = stack.stand_in.codecommit().create("shop").await?;
        let shop = Self {
            clone: stack.folder().join("shop"),
        };
        copy_files(&root().join("tests/local/shop"), &shop.clone)?;
        shop.git(["init", "--quiet"]).await?;
        // For people who commit in it, and have told git nothing about themselves on this machine.
        shop.git(["config", "user.name", "Ada"]).await?;
        shop.git(["config", "user.email", "ada@example.com"]).await?;
        shop.git(["remote", "add", "origin", &repository.to_string_lossy()]).await?;
        shop.commit("Sell bread").await?;
        Ok(shop)
    }

    /// Where the clone is.
    pub(crate) fn folder(&self) -> &Path {
        &self.clone
    }

    /// Adds the files of a folder beside the project's own, over those of the same names.
    pub(crate) fn add(&self, folder: &str) -> anyhow::Result<()> {
        copy_files(&root().join("tests/local").join(folder), &self.clone)
    }

    /// Commits what stands in the clone.
    pub(crate) async fn commit(&self, message: &str) -> anyhow::Result<()> {
        self.git(["add", "--all"]).await?;
        self.git(["commit", "--quiet", "--message", message]).await?;
        Ok(())
    }

    /// Pushes the last commit to `main`.
    pub(crate) async fn push(&self) -> anyhow::Result<()> {
        self.git(["push", "--quiet", "origin", "HEAD:main"]).await?;
        Ok(())
    }

    /// Pushes the last commit to so many new branches at once.
    pub(crate) async fn push_to_branches(&self, count: usize) -> anyhow::Result<()> {
        self.push_all((0..count).map(|number| ("HEAD".to_owned(), format!("branch-{number}"))))
            .await
    }

    /// Pushes commits to branches, all at once: each commit with its branch.
    pub(crate) async fn push_all(&self, commits: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<()> {
        let mut push = git(&self.clone, ["push", "--quiet", "origin"]);
        push.args(commits.into_iter().map(|(commit, branch)| format!("{commit}:refs/heads/{branch}")));
        run_silently("git push", &mut push, |_| {}).await?;
        Ok(())
    }

    /// Makes one of its tests fail.
    pub(crate) fn break_it(&self) -> anyhow::Result<()> {
        let file = self.clone.join("basket.py");
        let text = std::fs::read_to_string(&file)?;
        let broken = text.replace("SHIPPING = Decimal(\"4.90\")", "SHIPPING = Decimal(\"0.00\")");
        ensure!(broken != text, "the shop has no line to break");
        Ok(std::fs::write(file, broken)?)
    }

    /// Runs git in the clone.
    pub(crate) async fn git<const N: usize>(&self, arguments: [&str; N]) -> anyhow::Result<String> {
        let what = format!("git {}", arguments.first().unwrap_or(&""));
        run_silently(&what, &mut git(&self.clone, arguments), |_| {}).await
    }
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
