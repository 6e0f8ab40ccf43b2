//! An agent template with `refs`, in some worlds: which runs it may serve in truth, and who asks for others.
//!
//! In some of these worlds administrators add the `refs` later: what was planned before may go on, and what is planned again must not.

use bellhop_domain::ids::{CommitId, Reference, RepositoryName};
use bellhop_domain::request::StartWhat;
use bellhop_domain::spec::BuildSpec;

use crate::requests::Asks;
use crate::source::{Commit, DEFAULT_BRANCH, Expected, JobTruth, Repository};
use crate::world::{HOUR, Job, MINUTE, Millis, SECOND, World, moment};

/// The name of the template.
pub(crate) const GUARDED: &str = "guarded";

/// The only branch that it serves, in the suite configuration.
const REFS: &str = ", refs: [main]";

/// How long after a change of the configuration a run may be created that was planned before it.
const PLANNED_BEFORE: Millis = 2 * MINUTE;
/// How far a function's clock may be from the world's, and a little more.
const CLOCKS: Millis = 10 * SECOND;

/// How a run is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Push,
    Action,
    Request,
    Schedule,
    Retry,
}

/// Whether the template serves a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    Yes,
    No,
    /// The configuration changed while it was planned.
    Either,
}

/// The template of a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guarded {
    /// Since when it has its `refs`.
    since: Millis,
}

impl Guarded {
    /// In some worlds there is one.
    pub(crate) fn draw(dice: &mut fastrand::Rng) -> Option<Self> {
        let since = if dice.bool() { 0 } else { dice.u64(0..HOUR) };
        (dice.u32(0..3) == 0).then_some(Self { since })
    }

    /// The template, for the suite configuration.
    pub(crate) fn template() -> String {
        format!(
            "  {GUARDED}: {{ ecs: {{ clusters: {{ on-demand: ci-main }}, task-definition: agent-{GUARDED}, subnets: [subnet-0a] }}{REFS} }}\n"
        )
    }

    /// The suite's own job that runs on another branch than the template serves.
    pub(crate) fn job() -> String {
        format!("  weekly: {{ repository: shop, branch: next, agent: {GUARDED}, run: make }}\n")
    }
}

/// The suite configuration without the template's `refs`.
pub(crate) fn unguarded(suite: &str) -> String {
    suite.replace(REFS, "")
}

/// Gives a job of a commit to the template.
pub(crate) fn guard_a_job(rng: &mut fastrand::Rng, commit: &mut Commit) {
    if commit.expected != Expected::Run || rng.bool() {
        return;
    }
    let names: Vec<String> = commit.jobs.keys().cloned().collect();
    let Some(name) = names.get(rng.usize(0..names.len().max(1))) else {
        return;
    };
    if let (Some(file), Some(job)) = (&mut commit.file, commit.jobs.get_mut(name)) {
        let agent = |agent: &str| format!("  {name}:\n    agent: {agent}\n");
        *file = file.replace(&agent(job.agent), &agent(GUARDED));
        (job.agent, job.spot) = (GUARDED, false);
    }
}

/// What a script is on the template.
pub(crate) fn script() -> JobTruth {
    JobTruth {
        agent: GUARDED,
        needs: Vec::new(),
        critical: false,
        spot: false,
        relaunch_stopped: false,
        is_locked: false,
        timeout: HOUR,
        limits: vec![2, 2],
        takes: 10 * SECOND,
        fails: 0.0,
    }
}

impl Repository {
    /// The suite configuration at a moment.
    pub(crate) fn suite_at(&self, now: Millis) -> String {
        match self.guarded {
            Some(guarded) if now < guarded.since => unguarded(&self.suite),
            _ => self.suite.clone(),
        }
    }

    /// Whether a job of a commit is the template's.
    pub(crate) fn is_guarded(&self, commit: &CommitId, job: &str) -> bool {
        let truth = self.commits.get(commit.as_str()).and_then(|commit| commit.jobs.get(job));
        truth.is_some_and(|truth| truth.agent == GUARDED)
    }

    /// Whether the template serves a run of a commit on a branch that was created at a moment.
    pub(crate) fn served(&self, repository: &RepositoryName, reference: &Reference, commit: &CommitId, created: Millis) -> Served {
        let since = self.guarded.map_or(Millis::MAX, |guarded| guarded.since);
        let is_served = reference.branch() == Some(DEFAULT_BRANCH) && self.was_on(repository, reference, commit, created + CLOCKS);
        if is_served || created + CLOCKS < since {
            Served::Yes
        } else if created < since + PLANNED_BEFORE && since > 0 {
            Served::Either
        } else {
            Served::No
        }
    }
}

impl World {
    /// How an invocation's run is asked for.
    pub(crate) fn way_of(job: &Job) -> Option<Way> {
        match job {
            Job::Push(_) => Some(Way::Push),
            Job::Pipeline(_) => Some(Way::Action),
            Job::Request(request) => Some(match &request.asks {
                Asks::Retry(..) => Way::Retry,
                Asks::Start(start) if matches!(start.what, StartWhat::Suite(_)) => Way::Schedule,
                Asks::Start(_) => Way::Request,
            }),
            _ => None,
        }
    }

    /// Whether a build that is launched on the template was planned for a run that it serves.
    pub(crate) fn is_served(&self, spec: &BuildSpec) -> bool {
        let Some(build) = self.tables.builds.get(&spec.id).map(|build| &build.record) else {
            return false;
        };
        let created = moment(build.created);
        spec.agent.as_str() != GUARDED || self.repository.served(&spec.repository, &spec.reference, &spec.commit, created) != Served::No
    }
}
