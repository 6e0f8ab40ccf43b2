//! The plan of a run: which builds it has, by the pipeline file at its commit and the suite configuration.

use bellhop_domain::config::{self, OnBehalf, PIPELINE_FILE, PipelineFile, Select, SuiteConfig};
use bellhop_domain::ids::{AgentName, CommitId, JobName, RunId};
use bellhop_domain::run::Origin;
use bellhop_domain::run::trigger::Push;
use bellhop_domain::spec::BuildSpec;
use futures::future::try_join3;

use crate::Fault;
use crate::ports::{FileAt, Revision, SourceFile};
use crate::start::RunStarter;

/// Why a push starts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NothingWhy {
    /// There is no pipeline file at the commit: the repository does not use the suite.
    NoPipelineFile,
    /// The commit, or the repository, does not exist: it was removed meanwhile, or is in another region.
    NoCommit,
    /// The commit's message asks for it, as with `[skip ci]`.
    Skipped,
    /// No job's filters match the push.
    NoJobWanted,
}

impl std::fmt::Display for NothingWhy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoPipelineFile => "no .bellhop.yaml at the commit",
            Self::NoCommit => "the repository has no such commit in this region",
            Self::Skipped => "the commit message asks to skip it",
            Self::NoJobWanted => "no job matches",
        })
    }
}

/// What a run is to be.
pub(crate) enum Plan {
    Builds {
        specs: Vec<BuildSpec>,
        /// The other jobs of the pipeline file.
        others: Vec<JobName>,
        supersedes: bool,
    },
    Rejected(String),
    Nothing(NothingWhy),
}

/// The jobs that a run is for.
pub(crate) enum WantedJobs<'a> {
    /// The jobs that the push starts.
    ByFilters,
    /// The jobs that a push to the branch would start, ignoring changed files and the commit's message.
    AllOfBranch,
    /// One job, and the jobs that it needs.
    Job(&'a JobName),
    /// These jobs of an earlier run.
    Again(&'a [JobName]),
    /// A script outside a pipeline file.
    Script {
        name: JobName,
        agent: &'a AgentName,
        run: &'a str,
        on_behalf: OnBehalf,
    },
}

impl WantedJobs<'_> {
    /// The origin of such jobs.
    pub(crate) fn origin(&self) -> Origin {
        match self {
            Self::Script {
                on_behalf: OnBehalf::Suite,
                ..
            } => Origin::Suite,
            Self::Script {
                on_behalf: OnBehalf::Action,
                ..
            } => Origin::Action,
            Self::ByFilters | Self::AllOfBranch | Self::Job(_) | Self::Again(_) => Origin::PipelineFile,
        }
    }
}

impl RunStarter {
    /// Plans a run, and returns the push with the run's commit: another one than in the event if that was the id of an annotated tag. `tip` is the tip
    /// of the run's branch, if it was just read.
    pub(crate) async fn plan(
        &self,
        id: &RunId,
        push: &Push,
        wanted: &WantedJobs<'_>,
        tip: Option<&CommitId>,
    ) -> Result<(Push, Plan), Fault> {
        let mut push = push.clone();
        if let WantedJobs::Script {
            name,
            agent,
            run,
            on_behalf,
        } = wanted
        {
            let suite = match self.suite().await? {
                Ok(suite) => suite,
                Err(message) => return Ok((push, Plan::Rejected(message))),
            };
            let plan = match config::plan_script(id, &push, name.clone(), (agent, run), &suite, *on_behalf) {
                Ok(spec) => Plan::Builds {
                    specs: vec![spec],
                    others: Vec::new(),
                    supersedes: false,
                },
                Err(error) => Plan::Rejected(error.to_string()),
            };
            let plan = self.gate(plan, &push, &suite, tip).await?;
            return Ok((push, plan));
        }
        let by_push = matches!(wanted, WantedJobs::ByFilters);
        let (file, message, suite) = try_join3(
            self.source.file(&push.repository, &push.commit, PIPELINE_FILE),
            async {
                // A request means that the run is wanted, whatever the commit's message says; so does a tag.
                if by_push && push.reference.branch().is_some() {
                    self.source.message(&push.repository, &push.commit).await
                } else {
                    Ok(None)
                }
            },
            self.engine.store.configuration(),
        )
        .await?;
        if message.as_deref().is_some_and(config::skips) {
            return Ok((push, Plan::Nothing(NothingWhy::Skipped)));
        }
        let file = match file {
            Some(file) => Ok(file),
            None => self.look_around(&push).await?,
        };
        let FileAt { commit, content } = match file {
            Ok(file) => file,
            Err(plan) => return Ok((push, plan)),
        };
        push.commit = commit;
        let plan = match self.plan_file(id, &push, wanted, content, suite.as_deref()).await? {
            Ok((plan, suite)) => self.gate(plan, &push, &suite, tip).await?,
            Err(message) => Plan::Rejected(message),
        };
        Ok((push, plan))
    }

    /// Handles a pushed commit without a pipeline file: finds the file at the commit of an annotated tag whose own id the event contained, a file
    /// with a similar name, or nothing, not even the commit.
    async fn look_around(&self, push: &Push) -> Result<Result<FileAt, Plan>, Fault> {
        let source = &self.source;
        let root = match source.root(&push.repository, &Revision::Commit(push.commit.clone())).await? {
            None if push.reference.branch().is_none() => {
                source.root(&push.repository, &Revision::Reference(push.reference.clone())).await?
            }
            root => root,
        };
        let Some(root) = root else {
            return Ok(Err(Plan::Nothing(NothingWhy::NoCommit)));
        };
        if root.commit != push.commit
            && let Some(file) = source.file(&push.repository, &root.commit, PIPELINE_FILE).await?
        {
            return Ok(Ok(file));
        }
        Ok(Err(match root.files.iter().find(|name| config::is_misnamed(name)) {
            Some(name) => Plan::Rejected(format!("{name}: expected {PIPELINE_FILE} as the name of the pipeline file")),
            None => Plan::Nothing(NothingWhy::NoPipelineFile),
        }))
    }

    /// Plans the jobs of a pipeline file by the suite configuration, which is returned with the plan; or returns the error in one of the two.
    async fn plan_file(
        &self,
        id: &RunId,
        push: &Push,
        wanted: &WantedJobs<'_>,
        file: SourceFile,
        suite: Option<&str>,
    ) -> Result<Result<(Plan, SuiteConfig), String>, Fault> {
        let text = match file {
            SourceFile::Text(text) => text,
            SourceFile::NotText => return Ok(Err(format!("{PIPELINE_FILE}: it is not UTF-8 text"))),
            SourceFile::TooLarge => return Ok(Err(format!("{PIPELINE_FILE}: too large to be read"))),
        };
        let file = match PipelineFile::parse(&text) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let suite = match self.engine.serving(suite).await? {
            Ok(suite) => suite,
            Err(why) => return Ok(Err(why.into_message())),
        };
        let by_push = matches!(wanted, WantedJobs::ByFilters);
        // A new branch has no previous commit to compare with, so every path counts as changed.
        let changed = match &push.previous {
            Some(previous) if by_push && file.needs_changes(&push.reference) => {
                self.source.changed(&push.repository, previous, &push.commit).await?
            }
            _ => None,
        };
        let select = match wanted {
            WantedJobs::Job(job) => Select::Job(job),
            WantedJobs::Again(jobs) => Select::Exactly(jobs),
            _ => Select::ByFilters(changed.as_deref()),
        };
        let supersedes = by_push && push.reference.branch().is_some_and(|branch| file.concurrency().supersedes(branch));
        Ok(match config::plan(id, push, &file, &suite, select) {
            Ok(specs) if specs.is_empty() => Ok((Plan::Nothing(NothingWhy::NoJobWanted), suite)),
            Ok(specs) => {
                let others = names_beside(&file, &specs);
                Ok((Plan::Builds { specs, others, supersedes }, suite))
            }
            Err(error) => Err(error.to_string()),
        })
    }
}

/// The jobs of a file that are not among these.
fn names_beside(file: &PipelineFile, specs: &[BuildSpec]) -> Vec<JobName> {
    let names = file.jobs().iter().map(|job| &job.name);
    names
        .filter(|name| specs.iter().all(|spec| spec.id.job != **name))
        .cloned()
        .collect()
}
