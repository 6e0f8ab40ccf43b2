//! The steps of the tests: several in parallel, each output line with its step's name before it, and at the end the duration of each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::Command;
use xtask::workspace::{name_of, run_with_lines};

/// After this time without a line, the running steps are listed.
const QUIET: Duration = Duration::from_secs(30);

/// The running and finished steps.
#[derive(Debug)]
pub(crate) struct Steps {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    at_work: BTreeMap<String, Instant>,
    done: Vec<(String, Duration)>,
    last_line: Instant,
}

impl Steps {
    pub(crate) fn begin() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            state: Mutex::new(State {
                at_work: BTreeMap::new(),
                done: Vec::new(),
                last_line: now,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a program as a step.
    ///
    /// # Errors
    /// If it failed; its output was printed.
    pub(crate) async fn run(&self, step: &str, command: &mut Command) -> anyhow::Result<()> {
        self.lines_of(step, command).await.map(|_| ())
    }

    /// Runs a program as a step, and gives the lines that it printed.
    ///
    /// # Errors
    /// If it failed; its output was printed.
    pub(crate) async fn lines_of(&self, step: &str, command: &mut Command) -> anyhow::Result<Vec<String>> {
        self.own(step, async {
            let lines = Mutex::new(Vec::new());
            let status = run_with_lines(command, |line| {
                self.say(step, line);
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
            })
            .await?;
            if !status.success() {
                bail!("{} ended with {status}", name_of(command));
            }
            Ok(lines.into_inner().unwrap_or_else(PoisonError::into_inner))
        })
        .await
    }

    /// Runs a function of this program as a step.
    ///
    /// # Errors
    /// If it failed; the error names the step.
    pub(crate) async fn own<T>(&self, step: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let begun = Instant::now();
        self.state().at_work.insert(step.to_owned(), begun);
        let done = work.await;
        let took = begun.elapsed();
        let mut state = self.state();
        state.at_work.remove(step);
        let value = done.with_context(|| format!("the step {step} failed"))?;
        state.done.push((step.to_owned(), took));
        drop(state);
        self.say(step, &format!("done in {:.1} s", took.as_secs_f64()));
        Ok(value)
    }

    /// Prints a line of a step.
    fn say(&self, step: &str, line: &str) {
        self.state().last_line = Instant::now();
        println!("{step:>14} | {line}");
    }

    /// Lists the running steps, while it is awaited, whenever nothing was printed for a while.
    pub(crate) async fn tell_what_is_waited_for(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut state = self.state();
            if state.last_line.elapsed() < QUIET || state.at_work.is_empty() {
                continue;
            }
            let waiting = state
                .at_work
                .iter()
                .map(|(step, begun)| format!("{step} ({} s)", begun.elapsed().as_secs()));
            println!("{:>14} | {}", "waiting for", waiting.collect::<Vec<_>>().join(", "));
            state.last_line = Instant::now();
        }
    }

    /// Prints the duration of every step.
    pub(crate) fn print_all(&self) {
        let state = self.state();
        println!("\nSteps (some ran in parallel):");
        for (step, took) in &state.done {
            println!("{:>8.1} s  {step}", took.as_secs_f64());
        }
        println!("{:>8.1} s  in total", self.begun.elapsed().as_secs_f64());
        println!("{} passed, 0 failed", state.done.len());
    }
}
