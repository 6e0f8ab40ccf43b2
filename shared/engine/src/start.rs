//! From a push to a run.

use std::sync::Arc;

use bellhop_domain::agent::{fits_overrides, script_key};
use bellhop_domain::build::Build;
use bellhop_domain::config::{self, PIPELINE_FILE, PipelineFile, SuiteConfig};
use bellhop_domain::ids::RunId;
use bellhop_domain::run::Run;
use bellhop_domain::spec::{BuildSpec, Script};
use bellhop_domain::trigger::Push;
use futures::future::{join_all, try_join3};

use crate::ports::{Created, Source, SourceFile, TRANSACTION};
use crate::{Engine, Fault};

/// Starts runs.
#[derive(Clone)]
pub struct Starter {
    /// Decides and acts on what was started.
    pub engine: Engine,
    /// Where the pushed code is.
    pub source: Arc<dyn Source>,
}

/// What a push started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// A run with its builds.
    Run {
        /// The run.
        id: RunId,
        /// How many builds it has.
        builds: usize,
    },
    /// A run that ended at once, because a file of a user's is wrong. Its owner is told.
    Rejected {
        /// The run.
        id: RunId,
        /// What is wrong.
        message: String,
    },
    /// The same trigger has started a run before.
    Again(RunId),
    /// Nothing, and nobody is told.
    Nothing(NothingWhy),
}

/// Why a push starts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NothingWhy {
    /// There is no pipeline file at the commit: the repository does not use the suite.
    NoPipelineFile,
    /// The commit's message asks for it, as with `[skip ci]`.
    Skipped,
    /// No job's filters let the push through.
    NoJobWanted,
}

impl std::fmt::Display for NothingWhy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoPipelineFile => "no .bellhop.yaml at the commit",
            Self::Skipped => "the commit message asks to skip it",
            Self::NoJobWanted => "no job wants it",
        })
    }
}

enum Plan {
    Builds(Vec<BuildSpec>),
    Rejected(String),
    Nothing(NothingWhy),
}

impl Starter {
    /// Starts the run that a push asks for. However often the same push comes, there is one run.
    ///
    /// # Errors
    /// When a service cannot be reached now. Nothing is lost: the push comes again, or, once the run is stored, the sweep goes on with it.
    pub async fn push(&self, push: &Push) -> Result<Started, Fault> {
        let id = RunId::derive(&push.trigger, &push.reference);
        // Most repeated triggers end here, for the price of one read. The others end at the conditional write below.
        if self.engine.ledger.run(&id).await?.is_some() {
            return Ok(Started::Again(id));
        }
        let plan = self.plan(&id, push).await?;
        // Planning takes its time, and what is pending counts from here.
        let now = self.engine.clock.now();
        match plan {
            Plan::Nothing(why) => Ok(Started::Nothing(why)),
            Plan::Rejected(message) => {
                let run = Run::rejected(id.clone(), push, message.clone(), now);
                match self.engine.ledger.create(&run, &[]).await? {
                    Created::AlreadyExists => Ok(Started::Again(id)),
                    Created::New => {
                        self.perform_new(run, Vec::new()).await?;
                        Ok(Started::Rejected { id, message })
                    }
                }
            }
            Plan::Builds(specs) => {
                let specs = self.store_large_scripts(specs).await?;
                let at_once = specs.len() < TRANSACTION;
                let (run, builds) = Run::create(id.clone(), push, specs, at_once, now);
                match self.engine.ledger.create(&run, &builds).await? {
                    Created::AlreadyExists => Ok(Started::Again(id)),
                    Created::New => {
                        let count = builds.len();
                        self.perform_new(run, builds).await?;
                        Ok(Started::Run { id, builds: count })
                    }
                }
            }
        }
    }

    async fn plan(&self, id: &RunId, push: &Push) -> Result<Plan, Fault> {
        let store = &self.engine.store;
        let (file, message, suite) = try_join3(
            self.source.file(&push.repository, &push.commit, PIPELINE_FILE),
            self.source.message(&push.repository, &push.commit),
            store.configuration(),
        )
        .await?;
        let Some(file) = file else {
            return Ok(Plan::Nothing(NothingWhy::NoPipelineFile));
        };
        if message.as_deref().is_some_and(config::skips) {
            return Ok(Plan::Nothing(NothingWhy::Skipped));
        }
        let text = match file {
            SourceFile::Text(text) => text,
            SourceFile::NotText => return Ok(Plan::Rejected(format!("{PIPELINE_FILE}: no UTF-8 text"))),
            SourceFile::TooLarge => return Ok(Plan::Rejected(format!("{PIPELINE_FILE}: too large to be read"))),
        };
        let file = match PipelineFile::parse(&text) {
            Ok(file) => file,
            Err(error) => return Ok(Plan::Rejected(error.to_string())),
        };
        let Some(suite) = suite else {
            let place = store.configuration_place();
            return Ok(Plan::Rejected(format!(
                "the suite configuration {place} is not there: the administrators of the suite have to put it there"
            )));
        };
        let suite = match SuiteConfig::parse(&suite) {
            Ok(suite) => suite,
            Err(error) => return Ok(Plan::Rejected(error.to_string())),
        };
        // A new branch has nothing to be compared with, and then every path counts as changed.
        let changed = match &push.previous {
            Some(previous) if file.needs_changes(&push.reference) => self.source.changed(&push.repository, previous, &push.commit).await?,
            _ => None,
        };
        Ok(match config::plan(id, push, &file, &suite, changed.as_deref()) {
            Ok(specs) if specs.is_empty() => Plan::Nothing(NothingWhy::NoJobWanted),
            Ok(specs) => Plan::Builds(specs),
            Err(error) => Plan::Rejected(error.to_string()),
        })
    }

    /// Scripts that do not fit into the overrides of a task go through the bucket, before anything is started that needs them.
    async fn store_large_scripts(&self, specs: Vec<BuildSpec>) -> Result<Vec<BuildSpec>, Fault> {
        let store = &self.engine.store;
        let stored = specs.into_iter().map(|mut spec| async move {
            if !fits_overrides(&spec, store.bucket())
                && let Script::Inline(text) = &spec.script
            {
                let key = script_key(&spec.id);
                store.put(&key, "text/plain; charset=utf-8", text.clone()).await?;
                spec.script = Script::Stored(key);
            }
            Ok(spec)
        });
        join_all(stored).await.into_iter().collect()
    }

    /// Performs what a new run and its new builds have in their outboxes.
    async fn perform_new(&self, run: Run, builds: Vec<Build>) -> Result<(), Fault> {
        let builds = join_all(builds.into_iter().map(|build| self.engine.perform_new(build))).await;
        let run = self.engine.perform_new(run).await;
        builds.into_iter().chain(std::iter::once(run)).collect()
    }
}
