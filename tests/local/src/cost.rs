//! What Bellhop costs, computed from what was measured on a local AWS (`docs/explanation/cost/measured.json`), what the templates make (`docs/explanation/cost/resources.json`)
//! and AWS's prices (`docs/explanation/cost/prices.json`, `docs/explanation/cost/types.json`), and written into `docs/explanation/cost.md`.

mod agents;
mod bill;
#[cfg(test)]
mod by_hand;
mod input;
mod inventory;
mod measure;
mod page;
mod processes;
mod tables;
mod usage;

use anyhow::Context as _;
use tokio::process::Command;
use xtask::python::Venv;
use xtask::workspace::{root, run_quietly};

/// Measures so many builds, keeps what was measured, and computes the page.
///
/// # Errors
/// Something could not be set up, a build did not go as it should, or a file could not be read or written.
pub(crate) async fn run(builds: u32) -> anyhow::Result<()> {
    let measured = measure::measure(builds).await?;
    let file = input::measured_file();
    let text = format!("{}\n", serde_json::to_string_pretty(&measured)?);
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    page().await
}

/// Counts the templates' resources, and computes the page from the files as they are.
///
/// # Errors
/// A template has no such parameter, a file does not fit, or could not be read or written.
pub(crate) async fn page() -> anyhow::Result<()> {
    let venv = Venv::local_aws().await?;
    let mut count = Command::new(venv.program("python"));
    count.arg("inventory.py").current_dir(root().join("tests/local"));
    run_quietly("Counting the templates' resources", &mut count).await?;
    for (file, _, current) in page::pages()? {
        std::fs::write(&file, current).with_context(|| format!("cannot write {}", file.display()))?;
        println!("{} is up to date.", file.display());
    }
    Ok(())
}
