//! What the suite costs, computed from what was measured on a local AWS (`docs/cost/measured.json`) and from AWS's prices (`docs/cost/prices.json`), and
//! written into `docs/cost.md`.

mod bill;
mod input;
mod measure;
mod page;
mod processes;

use anyhow::Context as _;

/// Measures so many builds, keeps what was measured, and computes the page.
///
/// # Errors
/// Something could not be set up, a build did not go as it should, or a file could not be read or written.
pub(crate) async fn run(builds: u32) -> anyhow::Result<()> {
    let measured = measure::measure(builds).await?;
    let file = input::measured_file();
    let text = format!("{}\n", serde_json::to_string_pretty(&measured)?);
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    page()
}

/// Computes the page from the files as they are.
///
/// # Errors
/// A file does not fit, or could not be read or written.
pub(crate) fn page() -> anyhow::Result<()> {
    let file = page::file();
    let before = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let after = page::replaced(&before, &page::computed()?)?;
    std::fs::write(&file, after).with_context(|| format!("cannot write {}", file.display()))?;
    println!("docs/cost.md is computed.");
    Ok(())
}
