//! From a push to a run.

use std::sync::Arc;

use bellhop_domain::agent::{fits_environment, script_key};
use bellhop_domain::build::Build;
use bellhop_domain::caller::Caller;
use bellhop_domain::config::{OnBehalf, SuiteConfig};
use bellhop_domain::executor::Script;
use bellhop_domain::ids::{CommitId, JobName, PipelineJobId, Reference, RepositoryName, RunId};
use bellhop_domain::request::{At, PipelineAsks, PipelineJob, PipelineStart, PipelineWork, Start, StartWhat};
use bellhop_domain::run::pipeline::{PipelineAnswer, PipelineFailure};
use bellhop_domain::run::trigger::Push;
use bellhop_domain::run::{Origin, RetryOf, Run, RunEvent};
use bellhop_domain::spec::BuildSpec;
use futures::future::join_all;
use futures::stream::{self, StreamExt};

use crate::advance::SIDE_BY_SIDE;
use crate::plan::{NothingWhy, Plan, WantedJobs};
use crate::ports::{Created, Revision, Source};
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

/// Why a request started nothing: one line for the requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

/// What to start a run for.
struct Wanted<'a> {
    what: WantedJobs<'a>,
    /// The CodePipeline action that waits for it.
    action: Option<&'a PipelineJobId>,
    /// Who wants it; `None` for a push.
    caller: Option<Caller>,
    /// Whether the request named the commit by its id.
    by_commit: bool,
    /// The tip of the branch, if it was just read.
    tip: Option<CommitId>,
}

/// Where to start a run.
struct Located {
    push: Push,
    /// The tip of the branch, if it was just read.
    tip: Option<CommitId>,
}

/// Further properties of a planned run.
pub(crate) struct Circumstances {
    /// The origin of its jobs.
    pub(crate) origin: Origin,
    /// The CodePipeline job that waits for it, and the run's job that its output describes.
    pub(crate) action: Option<(PipelineJobId, JobName)>,
    /// Who started it; `None` for a push.
    pub(crate) started_by: Option<Caller>,
    /// The run that it repeats.
    pub(crate) retry_of: Option<RetryOf>,
    /// Whether its commit was requested, and is not the tip of its branch.
    pub(crate) off_tip: bool,
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
            caller: None,
            by_commit: false,
            // The event may be older than the branch.
            tip: None,
        };
        self.start(push, wanted).await
    }

    /// Starts the run of a request. Requests with the same `trigger` start one run, which records the `caller` of the first one.
    ///
    /// # Errors
    /// As [`RunStarter::push`].
    pub async fn request(&self, start: &Start, trigger: &str, caller: &Caller) -> Result<Result<Started, Refused>, Fault> {
        match &start.what {
            StartWhat::Pipeline { repository, at, job } => {
                let what = job.as_ref().map_or(WantedJobs::AllOfBranch, WantedJobs::Job);
                match self.locate(repository, at, trigger).await? {
                    Ok(Located { push, tip }) => {
                        let wanted = Wanted {
                            what,
                            action: None,
                            caller: Some(caller.clone()),
                            by_commit: matches!(at, At::Commit(_)),
                            tip,
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
                let Located { push, tip } = match self.locate(&job.repository, &at, trigger).await? {
                    Ok(located) => located,
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
                    caller: Some(caller.clone()),
                    by_commit: false,
                    tip,
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
        let Located { mut push, tip } = match self.locate(&start.repository, &at, &trigger).await? {
            Ok(located) => located,
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
            caller: Some(Caller::PipelineJob(action.clone())),
            by_commit: start.commit.is_some(),
            tip,
        };
        self.start(&push, wanted).await.map(Ok)
    }

    /// The current commit of a place in a repository.
    async fn locate(&self, repository: &RepositoryName, at: &At, trigger: &str) -> Result<Result<Located, Refused>, Fault> {
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
        let (commit, tip) = match at {
            At::Commit(commit) => (commit.clone(), None),
            At::Default | At::Branch(_) => match self.begun(&self.engine.run_id(trigger, &reference)).await? {
                Some(commit) => (commit, None),
                None => match self.source.tip(repository, &branch).await? {
                    Some(tip) => (tip.clone(), Some(tip)),
                    None => {
                        return Ok(Err(Refused(format!(
                            "repository {repository} has no branch {branch}, or does not exist"
                        ))));
                    }
                },
            },
        };
        let push = Push {
            trigger: trigger.to_owned(),
            repository: repository.clone(),
            reference,
            commit,
            previous: None,
            by: None,
            at: None,
        };
        Ok(Ok(Located { push, tip }))
    }

    /// The commit of a run of which an earlier try has stored builds. A large run's builds are stored before the run; if an earlier try stopped after
    /// that, this run uses their commit, wherever the branch points now. (Two simultaneous tries, between which the branch moves, do not notice each
    /// other.)
    async fn begun(&self, id: &RunId) -> Result<Option<CommitId>, Fault> {
        let build = self.engine.ledger.builds_of(id).await?.pop();
        Ok(build.map(|build| build.record.spec.commit))
    }

    async fn start(&self, push: &Push, wanted: Wanted<'_>) -> Result<Started, Fault> {
        let id = self.engine.run_id(&push.trigger, &push.reference);
        // A repeated request is answered with its run, also if it would start nothing today. A push hardly ever comes twice: it is planned again, and
        // ends at the conditional write below.
        let is_push = matches!(wanted.what, WantedJobs::ByFilters);
        if !is_push && self.engine.ledger.load::<Run>(&id).await?.is_some() {
            return Ok(Started::Again(id));
        }
        let tip = match (wanted.tip, push.reference.branch()) {
            (None, Some(branch)) if wanted.by_commit => self.source.tip(&push.repository, branch).await?,
            (tip, _) => tip,
        };
        let (push, plan) = self.plan(&id, push, &wanted.what, tip.as_ref()).await?;
        let about = match &wanted.what {
            WantedJobs::Job(job) => Some((*job).clone()),
            WantedJobs::Script { name, .. } => Some(name.clone()),
            WantedJobs::ByFilters | WantedJobs::AllOfBranch | WantedJobs::Again(_) => None,
        };
        let around = Circumstances {
            origin: wanted.what.origin(),
            action: wanted.action.cloned().zip(about),
            started_by: wanted.caller,
            retry_of: None,
            off_tip: wanted.by_commit && tip.as_ref() != Some(&push.commit),
        };
        self.carry_out(id, &push, plan, around).await
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
            let run = run.started_by(around.started_by);
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
                let key = script_key(&spec.repository, text);
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
