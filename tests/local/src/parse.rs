//! The parsers of users' files, for programs in other languages.

use std::io::BufRead as _;

use anyhow::Context as _;
use bellhop_domain::config::{PipelineFile, SuiteConfig};
use serde::Deserialize;

/// One line of standard input.
#[derive(Deserialize)]
struct Question {
    kind: Kind,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    PipelineFile,
    SuiteConfiguration,
}

/// Parses the files that come as lines of JSON, such as `{"kind": "pipeline-file", "text": "version: 1"}`, until there are no more. Answers each with a
/// line: what is wrong with the file, as a text of JSON, or `null`.
///
/// # Errors
/// When a line is something else.
pub(crate) fn run() -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let question: Question = serde_json::from_str(&line).with_context(|| format!("not a file to parse: {line}"))?;
        let refused = match question.kind {
            Kind::PipelineFile => PipelineFile::parse(&question.text).err(),
            Kind::SuiteConfiguration => SuiteConfig::parse(&question.text).err(),
        };
        println!("{}", serde_json::to_string(&refused.map(|error| error.headline()))?);
    }
    Ok(())
}
