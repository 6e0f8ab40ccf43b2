//! From a push to a run.

use std::sync::Arc;

use bellhop_domain::agent::{fits_environment, script_key};
use bellhop_domain::build::Build;
use bellhop_domain::config::{self, OnBehalf, PIPELINE_FILE, PipelineFile, Select, SuiteConfig};
use bellhop_domain::executor::Script;
use bellhop_domain::ids::{AgentName, CommitId, JobName, PipelineJobId, Reference, RepositoryName, RunId};
use bellhop_domain::request::{At, PipelineAsks, PipelineJob, PipelineStart, PipelineWork, Start, StartWhat};
use bellhop_domain::run::pipeline::{PipelineAnswer, PipelineFailure};
use bellhop_domain::run::trigger::Push;
use bellhop_domain::run::{Origin, RetryOf, Run, RunEvent};
use bellhop_domain::spec::BuildSpec;
use futures::future::{join_all, try_join3};
use futures::stream::{self, StreamExt};

use crate::advance::SIDE_BY_SIDE;
use crate::ports::{Created, FileAt, Revision, Source, SourceFile};
use crate::records::fits_transaction;
use crate::{Engine, Fault, NoConfiguration};

/// Starts runs.
#[derive(Clone)]
pub struct RunStarter {
    /// Processes the runs that it starts.
    pub engine: Engine,
    /// The source code.
    pub source: Arc<dyn Source>,
}

/// The result of a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// A run with its builds.
    Run {
        /// The run.
        id: RunId,
        /// How many builds it has.
        builds: usize,
    },
    /// A run that ended at once, because a user's file is invalid. A message reports it.
    Rejected {
        /// The run.
        id: RunId,
        /// The error.
        message: String,
    },
    /// The same trigger has already started a run.
    Again(RunId),
    /// Nothing was started, and no message is sent.
    Nothing(NothingWhy),
}

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

/// Why a request started nothing: one line for the requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

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

/// What to start a run for.
struct Wanted<'a> {
    what: WantedJobs<'a>,
    /// The CodePipeline action that waits for it.
    action: Option<&'a PipelineJobId>,
    /// Whether the request named the commit by its id.
    by_commit: bool,
}

/// Further properties of a planned run.
pub(crate) struct Circumstances {
    /// The origin of its jobs.
    pub(crate) origin: Origin,
    /// The CodePipeline job that waits for it, and the run's job that its output describes.
    pub(crate) action: Option<(PipelineJobId, JobName)>,
    /// The run that it repeats.
    pub(crate) retry_of: Option<RetryOf>,
    /// Whether its commit was requested, and is not the tip of its branch.
    pub(crate) off_tip: bool,
}

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
    fn origin(&self) -> Origin {
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

/// The name of the job for a script in an action.
const SCRIPT_JOB: &str = "script";

impl RunStarter {
    /// Starts the run of a push. Repeated events of a push start one run.
    ///
    /// # Errors
    /// If a service cannot be reached now. Nothing is lost: the event is retried, or, once the run is stored, the sweep continues with it.
    pub async fn push(&self, push: &Push) -> Result<Started, Fault> {
        let wanted = Wanted {
            what: WantedJobs::ByFilters,
            action: None,
            by_commit: false,
        };
        self.start(push, wanted).await
    }

    /// Starts the run of a request. Requests with the same `trigger` start one run.
    ///
    /// # Errors
    /// As [`RunStarter::push`].
    pub async fn request(&self, start: &Start, trigger: &str) -> Result<Result<Started, Refused>, Fault> {
        match &start.what {
            StartWhat::Pipeline { repository, at, job } => {
                let what = job.as_ref().map_or(WantedJobs::AllOfBranch, WantedJobs::Job);
                match self.locate(repository, at, trigger).await? {
                    Ok(push) => {
                        let wanted = Wanted {
                            what,
                            action: None,
                            by_commit: matches!(at, At::Commit(_)),
                        };
                        self.start(&push, wanted).await.map(Ok)
                    }
                    Err(refused) => Ok(Err(refused)),
                }
            }
            StartWhat::Suite(name) => {
                let suite = match self.suite().await? {
                    Ok(suite) => suite,
                    Err(message) => return Ok(Err(Refused(message))),
                };
                let Some(job) = suite.jobs.get(name) else {
                    return Ok(Err(Refused(suite.no_job(name))));
                };
                let at = At::Branch(job.branch.clone());
                let push = match self.locate(&job.repository, &at, trigger).await? {
                    Ok(push) => push,
                    Err(refused) => return Ok(Err(refused)),
                };
                let what = WantedJobs::Script {
                    name: name.clone(),
                    agent: &job.agent,
                    run: &job.run,
                    on_behalf: OnBehalf::Suite,
                };
                let wanted = Wanted {
                    what,
                    action: None,
                    by_commit: false,
                };
                self.start(&push, wanted).await.map(Ok)
            }
        }
    }

    /// Handles a CodePipeline job: starts the run that it requests, or, if it continues a run, gives the run the job's new id. Errors of the request
    /// are sent to CodePipeline as a result, for the action's owner; an action without a result hangs.
    ///
    /// # Errors
    /// As [`RunStarter::push`]. The job then has no result, and Lambda retries the invocation.
    pub async fn pipeline(&self, job: &PipelineJob) -> Result<Result<Started, Refused>, Fault> {
        let outcome = match &job.asks {
            PipelineAsks::Start(start) => self.start_for_action(&job.id, start).await?,
            PipelineAsks::Continue(run) => match self.engine.run(run, RunEvent::ActionJob(job.id.clone())).await? {
                crate::Handled::Unknown => Err(Refused(format!("the ledger has no run {run} to continue"))),
                _ => Ok(Started::Again(run.clone())),
            },
            PipelineAsks::Wrong(message) => Err(Refused(message.clone())),
        };
        // If there is a run, the run sends the result.
        let message = match &outcome {
            Ok(Started::Run { .. } | Started::Rejected { .. } | Started::Again(_)) => return Ok(outcome),
            Ok(Started::Nothing(why)) => format!("nothing was started: {why}"),
            Err(Refused(message)) => message.clone(),
        };
        let answer = PipelineAnswer::Failure {
            kind: PipelineFailure::Configuration,
            message: message.clone(),
            build: None,
        };
        self.engine.pipelines()?.answer(&job.id, &answer).await?;
        Ok(Err(Refused(message)))
    }

    async fn start_for_action(&self, action: &PipelineJobId, start: &PipelineStart) -> Result<Result<Started, Refused>, Fault> {
        let trigger = format!("codepipeline/{action}");
        let at = match (&start.branch, &start.commit) {
            (Some(branch), _) => At::Branch(branch.clone()),
            (None, Some(commit)) => At::Commit(commit.clone()),
            (None, None) => At::Default,
        };
        let mut push = match self.locate(&start.repository, &at, &trigger).await? {
            Ok(push) => push,
            Err(refused) => return Ok(Err(refused)),
        };
        if let Some(commit) = &start.commit {
            let at = Revision::Commit(commit.clone());
            // The read of the pipeline file shows whether a job's commit exists.
            if matches!(start.work, PipelineWork::Script { .. }) && self.source.root(&start.repository, &at).await?.is_none() {
                return Ok(Err(Refused(format!(
                    "there is no commit {commit} in the repository {}",
                    start.repository
                ))));
            }
            push.commit = commit.clone();
        }
        let what = match &start.work {
            PipelineWork::Job(job) => WantedJobs::Job(job),
            PipelineWork::Script { run, agent } => WantedJobs::Script {
                name: script_job()?,
                agent,
                run,
                on_behalf: OnBehalf::Action,
            },
        };
        let wanted = Wanted {
            what,
            action: Some(action),
            by_commit: start.commit.is_some(),
        };
        self.start(&push, wanted).await.map(Ok)
    }

    /// The current commit of a place in a repository.
    async fn locate(&self, repository: &RepositoryName, at: &At, trigger: &str) -> Result<Result<Push, Refused>, Fault> {
        let branch = match at {
            At::Branch(branch) => branch.clone(),
            At::Default | At::Commit(_) => match self.source.default_branch(repository).await? {
                Some(branch) => branch,
                None => {
                    return Ok(Err(Refused(format!(
                        "there is no repository {repository}, or nothing has been pushed to it"
                    ))));
                }
            },
        };
        let Ok(reference) = format!("refs/heads/{branch}").parse::<Reference>() else {
            return Ok(Err(Refused(format!("{branch:?} is not a valid branch name"))));
        };
        let commit: CommitId = match at {
            At::Commit(commit) => commit.clone(),
            At::Default | At::Branch(_) => match self.begun(&self.engine.run_id(trigger, &reference), repository, &branch).await? {
                Some(commit) => commit,
                None => {
                    return Ok(Err(Refused(format!(
                        "repository {repository} has no branch {branch}, or does not exist"
                    ))));
                }
            },
        };
        Ok(Ok(Push {
            trigger: trigger.to_owned(),
            repository: repository.clone(),
            reference,
            commit,
            previous: None,
            by: None,
            at: None,
        }))
    }

    /// The tip of a branch. A large run's builds are stored before the run; if an earlier try stopped after that, this run uses their commit,
    /// wherever the branch points now. (Two simultaneous tries, between which the branch moves, do not notice each other.)
    async fn begun(&self, id: &RunId, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault> {
        match self.engine.ledger.builds_of(id).await?.pop() {
            Some(build) => Ok(Some(build.record.spec.commit)),
            None => self.source.tip(repository, branch).await,
        }
    }

    async fn start(&self, push: &Push, wanted: Wanted<'_>) -> Result<Started, Fault> {
        let id = self.engine.run_id(&push.trigger, &push.reference);
        // A repeated request is answered with its run, also if it would start nothing today. A push hardly ever comes twice: it is planned again, and
        // ends at the conditional write below.
        let is_push = matches!(wanted.what, WantedJobs::ByFilters);
        if !is_push && self.engine.ledger.load::<Run>(&id).await?.is_some() {
            return Ok(Started::Again(id));
        }
        let (push, plan) = self.plan(&id, push, &wanted.what).await?;
        let about = match &wanted.what {
            WantedJobs::Job(job) => Some((*job).clone()),
            WantedJobs::Script { name, .. } => Some(name.clone()),
            WantedJobs::ByFilters | WantedJobs::AllOfBranch | WantedJobs::Again(_) => None,
        };
        let around = Circumstances {
            origin: wanted.what.origin(),
            action: wanted.action.cloned().zip(about),
            retry_of: None,
            off_tip: wanted.by_commit && !self.is_tip(&push).await?,
        };
        self.carry_out(id, &push, plan, around).await
    }

    async fn is_tip(&self, push: &Push) -> Result<bool, Fault> {
        let Some(branch) = push.reference.branch() else { return Ok(false) };
        let tip = self.source.tip(&push.repository, branch).await?;
        Ok(tip.as_ref() == Some(&push.commit))
    }

    /// Stores the planned run, and performs the effects in its outbox.
    pub(crate) async fn carry_out(&self, id: RunId, push: &Push, plan: Plan, around: Circumstances) -> Result<Started, Fault> {
        let plan = match plan {
            Plan::Builds { specs, others, supersedes } => {
                let specs = self.store_large_scripts(specs).await?;
                match specs.iter().find_map(too_large) {
                    Some(message) => Plan::Rejected(message),
                    None => Plan::Builds { specs, others, supersedes },
                }
            }
            other => other,
        };
        // Planning takes time, and pending effects count from here.
        let now = self.engine.clock.now();
        let put_into = |run: Run| {
            let run = run.from_origin(around.origin).repeating(around.retry_of).off_tip(around.off_tip);
            match around.action {
                Some((job, about)) => run.for_action(job, about, now),
                None => run,
            }
        };
        match plan {
            Plan::Nothing(why) => Ok(Started::Nothing(why)),
            Plan::Rejected(message) => {
                let run = put_into(Run::rejected(id.clone(), push, message.clone(), now));
                match self.engine.ledger.create(&run, &[]).await? {
                    Created::AlreadyExists => Ok(Started::Again(id)),
                    Created::New => {
                        self.perform_new(run, Vec::new()).await?;
                        Ok(Started::Rejected { id, message })
                    }
                }
            }
            Plan::Builds { specs, others, supersedes } => {
                let at_once = fits_transaction(specs.iter());
                // Builds that are stored one by one would stay beside the run of an earlier try that was planned otherwise.
                if !at_once && self.engine.ledger.load::<Run>(&id).await?.is_some() {
                    return Ok(Started::Again(id));
                }
                let (run, builds) = Run::create(id.clone(), push, specs, at_once, now);
                let run = put_into(run.with_other_jobs(others));
                let run = if supersedes { run.superseding(push, now) } else { run };
                let builds: Vec<Build> = builds.into_iter().map(|build| build.bearing(run.bearing())).collect();
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

    /// Plans a run, and returns the push with the run's commit: another one than in the event if that was the id of an annotated tag.
    pub(crate) async fn plan(&self, id: &RunId, push: &Push, wanted: &WantedJobs<'_>) -> Result<(Push, Plan), Fault> {
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
            Ok(plan) => plan,
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

    /// Plans the jobs of a pipeline file, or returns the error in it or in the suite configuration.
    async fn plan_file(
        &self,
        id: &RunId,
        push: &Push,
        wanted: &WantedJobs<'_>,
        file: SourceFile,
        suite: Option<&str>,
    ) -> Result<Result<Plan, String>, Fault> {
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
            Ok(specs) if specs.is_empty() => Ok(Plan::Nothing(NothingWhy::NoJobWanted)),
            Ok(specs) => Ok(Plan::Builds {
                others: names_beside(&file, &specs),
                specs,
                supersedes,
            }),
            Err(error) => Err(error.to_string()),
        })
    }

    pub(crate) async fn suite(&self) -> Result<Result<SuiteConfig, String>, Fault> {
        Ok(self.engine.configuration().await?.map_err(NoConfiguration::into_message))
    }

    /// Stores scripts that do not fit into the overrides of a task in the bucket, before builds that need them start.
    async fn store_large_scripts(&self, specs: Vec<BuildSpec>) -> Result<Vec<BuildSpec>, Fault> {
        let store = &self.engine.store;
        let stored = specs.into_iter().map(|mut spec| async move {
            if !fits_environment(&spec, store.bucket())
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

    /// Performs the effects in the outboxes of a new run and its builds.
    async fn perform_new(&self, run: Run, builds: Vec<Build>) -> Result<(), Fault> {
        let performing: Vec<_> = builds.into_iter().map(|build| self.engine.perform_new(build)).collect();
        let builds: Vec<_> = stream::iter(performing).buffered(SIDE_BY_SIDE).collect().await;
        let run = self.engine.perform_new(run).await;
        builds.into_iter().chain(std::iter::once(run)).collect()
    }
}

/// The largest specification of a build, in bytes of JSON: half of the largest record, whose other half is for attempts, results and effects.
const LARGEST_SPEC: usize = 150_000;

/// The jobs of a file that are not among these.
fn names_beside(file: &PipelineFile, specs: &[BuildSpec]) -> Vec<JobName> {
    let names = file.jobs().iter().map(|job| &job.name);
    names
        .filter(|name| specs.iter().all(|spec| spec.id.job != **name))
        .cloned()
        .collect()
}

/// The error about a job that its build's record has no room for.
fn too_large(spec: &BuildSpec) -> Option<String> {
    // A value that cannot be written as JSON cannot be stored; storing it returns the error.
    let length = serde_json::to_string(spec).map_or(0, |json| json.len());
    (length > LARGEST_SPEC).then(|| {
        format!(
            "jobs.{}: {length} bytes of JSON, with its script and its variables; expected at most {LARGEST_SPEC}",
            spec.id.job
        )
    })
}

fn script_job() -> Result<JobName, Fault> {
    SCRIPT_JOB
        .parse()
        .map_err(|error| Fault::permanent("the name of an action's own job").caused_by(error))
}
