//! The pipeline file, `.bellhop.yaml`: a repository's jobs.
//!
//! Here is the file as a whole, and which jobs a push starts. `raw` is the file's text as serde reads it, and `model` has the checked types. `job`
//! checks one job, with `filters`, `artifacts`, `images`, `retry` and `secrets` for its longer keys; `order` sorts the jobs and refuses cycles, and `fetch`
//! checks the jobs whose files others take. Values that the suite
//! configuration has too, such as durations, are in `yaml::values`, and the matching of patterns is in `config::filter`.
//!
//! A new key of a job: `raw` reads it, `job` checks it into `model`, `config::plan` puts it into the build's `spec` where the build needs it, and
//! `SHOWN` in `yaml::source` says whether a mistake may show its value.
//!
//! Everything here is about the file by itself: whether its agents exist and fit is checked in `config::plan`. A mistake is a [`FileError`] with its
//! field. Look first at [`PipelineFile::parse`]; for a key of a job, at `raw.rs` and `job.rs`.

mod artifacts;
mod deploy;
mod fetch;
mod filters;
pub(in crate::config) mod images;
mod job;
mod listed;
mod model;
mod order;
mod raw;
mod retry;
mod secrets;

use std::collections::HashMap;

use self::filters::globs;
pub(super) use self::job::{DEFAULT_QUEUE_TIMEOUT, DEFAULT_TIMEOUT, script};
pub use self::model::{Concurrency, Job, Select, Work};
use self::raw::RawFile;
pub(super) use self::raw::{EnvName, RawSecret};
pub(super) use self::secrets::secrets;
use crate::ids::{JobName, Reference};
use crate::yaml::Source;
use crate::yaml::{Document, Id};
use crate::yaml::{FieldPath, FileError, PIPELINE_FILE, suggestion};

/// The most jobs of a file.
const MOST_JOBS: usize = 200;

/// A valid pipeline file: every name fits, every job in `needs` exists, and no jobs wait for each other.
#[derive(Debug, Clone)]
pub struct PipelineFile {
    pub(super) source: Source,
    /// In the file's order.
    jobs: Vec<Job>,
    /// Indexes into `jobs`, each after those of the jobs that it needs, and otherwise in the file's order.
    order: Vec<usize>,
    concurrency: Concurrency,
}

impl PipelineFile {
    /// Reads and checks the text of a file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let source = Source::new(PIPELINE_FILE, text)?;
        let Document(raw): Document<RawFile> = source.read()?;
        check_size(&source, &raw)?;
        let concurrency = match raw.concurrency {
            Some(raw) => Concurrency {
                supersede: raw.supersede.0,
                except: globs(&source, &FieldPath::top("concurrency").key("except"), raw.except)?,
            },
            None => Concurrency::default(),
        };
        let mut jobs = Vec::with_capacity(raw.jobs.0.len());
        for (Id(name), raw) in raw.jobs.0 {
            jobs.push(job::job(&source, name, raw)?);
        }
        let order = order::order(&source, &jobs)?;
        fetch::check(&source, &jobs, &order)?;
        Ok(Self {
            source,
            jobs,
            order,
            concurrency,
        })
    }

    /// The jobs, in the file's order.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// What a newer push does to older runs.
    #[must_use]
    pub fn concurrency(&self) -> &Concurrency {
        &self.concurrency
    }

    /// Whether the list of changed files decides which jobs a push to the reference starts. If not, the caller need not fetch it.
    #[must_use]
    pub fn needs_changes(&self, reference: &Reference) -> bool {
        self.jobs
            .iter()
            .any(|job| job.on.wants(reference) && job.on.asks_for_changes(reference))
    }

    /// The jobs of the run that a push starts, each after the jobs that it needs. A job that another one of the run needs is part of the run whether
    /// or not its own filter wants the push: without it the other could not start.
    ///
    /// # Errors
    /// When a job that is selected is not in the file.
    pub(super) fn wanted(&self, reference: &Reference, select: Select<'_>) -> Result<Vec<&Job>, FileError> {
        let index: HashMap<&JobName, usize> = self.jobs.iter().enumerate().map(|(i, job)| (&job.name, i)).collect();
        let named = match select {
            Select::ByFilters(_) => &[],
            Select::Job(name) => std::slice::from_ref(name),
            Select::Exactly(names) => names,
        };
        if let Some(name) = named.iter().find(|name| !index.contains_key(name)) {
            let known = suggestion(name.as_str(), self.jobs.iter().map(|job| job.name.as_str()));
            let message = format!("there is no job `{name}`{known}");
            return Err(self.source.error(&FieldPath::top("jobs"), message));
        }
        let mut wanted: Vec<bool> = match select {
            Select::ByFilters(changed) => self.jobs.iter().map(|job| job.wanted_by(reference, changed)).collect(),
            Select::Job(_) | Select::Exactly(_) => self.jobs.iter().map(|job| named.contains(&job.name)).collect(),
        };
        let with_needs = !matches!(select, Select::Exactly(_));
        // In reverse order, so that a job is visited before the jobs that it needs.
        for &i in self.order.iter().rev() {
            if wanted[i] && with_needs {
                for need in &self.jobs[i].needs {
                    if let Some(&needed) = index.get(need) {
                        wanted[needed] = true;
                    }
                }
            }
        }
        Ok(self.order.iter().filter(|i| wanted[**i]).map(|i| &self.jobs[*i]).collect())
    }
}

/// Checks the limits on numbers before anything is compiled.
fn check_size(source: &Source, raw: &RawFile) -> Result<(), FileError> {
    let jobs = &raw.jobs.0;
    if jobs.is_empty() {
        return Err(source.error(&FieldPath::top("jobs"), "there are no jobs: expected at least one"));
    }
    if jobs.len() > MOST_JOBS {
        return Err(source.error(
            &FieldPath::top("jobs"),
            format!("there are {} jobs: at most {MOST_JOBS} are possible", jobs.len()),
        ));
    }
    filters::check_size(source, jobs)
}
