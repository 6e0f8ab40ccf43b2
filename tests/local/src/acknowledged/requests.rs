//! Requests of people, schedules and programs.

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::inputs::sample;
use super::table::Table;

impl Table<'_> {
    /// Requests of people, schedules and programs.
    pub(super) async fn requests(&self) -> anyhow::Result<()> {
        let start = sample("control/start.json")?;
        let started = self.row("request", "a start", "control", start, "\"status\":\"open\"").await?;
        let run = started["run"].as_str().context("no run in what control answered")?.to_owned();
        self.mended("a run that was asked for", &run, "succeeded", 1);
        for request in [json!({ "show": { "run": run } }), json!({ "list": { "repository": "shop" } })] {
            self.row("request", "a question", "control", request, &run).await?;
        }
        let started = self
            .row("request", "another start", "control", sample("control/start.json")?, "run")
            .await?;
        let run = started["run"].as_str().context("no run in what control answered")?.to_owned();
        self.row(
            "request",
            "a cancellation",
            "control",
            json!({ "cancel": { "run": run } }),
            "cancelled",
        )
        .await?;
        self.mended("a run that was cancelled", &run, "cancelled", 1);
        for (request, part) in [
            (sample("control/misspelt.json")?, "did you mean repository?"),
            (json!({ "restart": {} }), "did you mean start?"),
            (json!({ "show": { "run": "zzzzzzzzzz" } }), "there is no run"),
            (json!({ "start": { "repository": "barn" } }), "there is no repository barn"),
        ] {
            let answer = self.row("request-mistake", part, "control", request, part).await?;
            ensure!(answer["error"].is_string(), "the answer should say what was wrong: {answer}");
        }
        Ok(())
    }
}
