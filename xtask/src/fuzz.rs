//! Coverage-guided fuzzing of every parser with cargo-fuzz and libFuzzer, seeded with the samples of the project.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;
use xtask::workspace::{cargo, root, run_openly, run_quietly, target};

/// The version that is installed.
const CARGO_FUZZ: &str = "0.13.2";
/// The most memory that one input may take, in MiB: an input that exceeds it is a finding.
const MEMORY: u32 = 1024;
/// How long one input may take, in seconds.
const SLOWEST: u32 = 10;

/// The fuzz targets and their seeds.
const TARGETS: [(&str, &[&str]); 8] = [
    ("agent", &["tests/fuzz/seeds/agent"]),
    (
        "event",
        &[
            "events/alarm",
            "events/backup",
            "events/codebuild",
            "events/codecommit",
            "events/codepipeline",
            "events/control",
            "events/ec2",
            "events/ecs",
            "events/schedule",
            "events/step-functions",
        ],
    ),
    ("junit", &["tests/fuzz/seeds/junit"]),
    (
        "pipeline_file",
        &["tests/local/shop/.bellhop.yaml", "tests/fuzz/seeds/pipeline_file"],
    ),
    ("suite_config", &["tests/local/bellhop.yaml", "tests/fuzz/seeds/suite_config"]),
    ("record", &["tests/fuzz/seeds/record"]),
    ("names", &["tests/fuzz/seeds/names"]),
    (
        "pdf",
        &["tests/fuzz/seeds/pdf", "functions/pdf-index/tests/pdf_index/encrypted.pdf"],
    ),
];

/// Fuzzes every parser for this many seconds.
///
/// # Errors
/// If an input makes a parser panic, hang or take too much memory: libFuzzer reports it, and stores it below `tests/fuzz/artifacts`.
pub(crate) async fn run(seconds: u64) -> anyhow::Result<()> {
    let tools = target().join("tools");
    let program = tools.join("bin/cargo-fuzz");
    if !program.exists() {
        let mut install = cargo();
        install
            .args(["install", "cargo-fuzz", "--version", CARGO_FUZZ, "--locked", "--root"])
            .arg(&tools);
        run_quietly("Installing cargo-fuzz", &mut install).await?;
    }
    for (name, seeds) in TARGETS {
        let corpus = root().join("tests/fuzz/corpus").join(name);
        std::fs::create_dir_all(&corpus)?;
        for seed in seeds {
            copy_seeds(&root().join(seed), &corpus)?;
        }
        let mut fuzz = Command::new(&program);
        fuzz.current_dir(root().join("tests/fuzz"))
            // Coverage counters are an option that only a nightly compiler takes from its caller. No sanitizer: there is no unsafe code to look into.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", target().join("fuzz"))
            .args(["run", "--fuzz-dir", ".", "--sanitizer", "none", name, "--"])
            .args([
                format!("-max_total_time={seconds}"),
                format!("-rss_limit_mb={MEMORY}"),
                format!("-timeout={SLOWEST}"),
                "-print_final_stats=1".to_owned(),
            ]);
        println!("\n== {name}");
        run_openly(name, &mut fuzz).await?;
    }
    Ok(())
}

/// Copies a file, or the files of a folder, under names that contain their origin.
fn copy_seeds(from: &Path, to: &Path) -> anyhow::Result<()> {
    let files: Vec<PathBuf> = if from.is_dir() {
        std::fs::read_dir(from)?
            .map(|entry| Ok(entry?.path()))
            .collect::<anyhow::Result<_>>()?
    } else {
        vec![from.to_owned()]
    };
    for file in files {
        let name = file.file_name().with_context(|| format!("{} has no name", file.display()))?;
        let name = format!("seed-{}", name.to_string_lossy());
        std::fs::copy(&file, to.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}
