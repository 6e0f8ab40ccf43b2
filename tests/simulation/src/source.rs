//! CodeCommit: commits with pipeline files that nobody wrote by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bellhop_domain::ids::{CommitId, Reference, RepositoryName};
use bellhop_domain::run::trigger::Push;
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::ports::Ancestry;

use crate::ecs::MACHINE;
use crate::guarded::{GUARDED, Guarded, guard_a_job, script};
use crate::world::{HOUR, MINUTE, Millis, SECOND, timestamp};

/// The agent templates of every simulation.
const AGENTS: [(&str, &str); 3] = [
    (
        "small",
        "clusters: { spot: ci-spot, on-demand: ci-main }, task-definition: agent-small, subnets: [subnet-0a], security-groups: [sg-0a]",
    ),
    (
        "mixed",
        "cluster: ci, task-definition: agent-mixed, container: work, subnets: [subnet-0a]",
    ),
    (
        "steady",
        "clusters: { on-demand: ci-main }, task-definition: agent-steady, subnets: [subnet-0a]",
    ),
];

/// What a commit's pipeline file makes of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Run,
    Rejected,
    Nothing,
}

/// A commit.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) file: Option<String>,
    pub(crate) message: String,
    pub(crate) expected: Expected,
    pub(crate) jobs: BTreeMap<String, JobTruth>,
}

/// What a job is in truth, whatever the code under test makes of it.
#[derive(Debug, Clone)]
pub(crate) struct JobTruth {
    pub(crate) agent: &'static str,
    pub(crate) needs: Vec<String>,
    pub(crate) critical: bool,
    pub(crate) spot: bool,
    pub(crate) relaunch_stopped: bool,
    pub(crate) is_locked: bool,
    pub(crate) timeout: Millis,
    /// The limits of its retry rules, in their order.
    pub(crate) limits: Vec<u32>,
    /// How long its script takes, about.
    pub(crate) takes: Millis,
    /// How likely an attempt fails by its own fault.
    pub(crate) fails: f64,
}

pub(crate) struct Repository {
    /// The suite configuration.
    pub(crate) suite: String,
    /// Whether there is a template with `refs`.
    pub(crate) guarded: Option<Guarded>,
    /// How many builds each agent template may work on at a time, where that is limited.
    pub(crate) limits: BTreeMap<&'static str, u32>,
    /// Pipeline files let a newer push of a branch supersede the older ones.
    pub(crate) supersedes: bool,
    /// Events tell when a push was made.
    pub(crate) tells_time: bool,
    /// Jobs may leave artifacts.
    leaves_artifacts: bool,
    /// Jobs may have a lock.
    locks: bool,
    pub(crate) commits: BTreeMap<String, Commit>,
    /// Every push that was made, with the moment of its first delivery.
    pub(crate) pushes: Vec<Push>,
    /// What each branch has pointed to, and since when, in this order.
    history: Vec<(Millis, RepositoryName, Reference, CommitId)>,
    /// What scripts are that stand in no pipeline file, by their agent.
    scripts: BTreeMap<&'static str, JobTruth>,
}

/// The names of jobs that stand in no pipeline file: an action's own script, and the suite's own jobs.
pub(crate) const SCRIPTS: [&str; 3] = ["script", "nightly", "weekly"];

/// The retry rules of a job whose script's failure is followed by another attempt, and their limits.
pub(crate) const RETRIED: (&str, [u32; 2]) = (
    ", retry: [{ on: [interrupted, infrastructure], limit: 2 }, { on: [failure], limit: 1 }]",
    [2, 1],
);

/// The repositories, and what is their default branch.
pub(crate) const REPOSITORIES: [&str; 2] = ["shop", "till"];
pub(crate) const DEFAULT_BRANCH: &str = "main";

/// What the agent template `steady` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steady {
    Ecs,
    CodeBuild,
    StepFunctions,
}

/// The suite configuration with the limits of its agent templates, one of which may be a project of CodeBuild or a state machine.
fn suite(limits: &BTreeMap<&'static str, u32>, steady: Steady) -> String {
    let mut suite = "version: 1\nagents:\n".to_owned();
    for (name, ecs) in AGENTS {
        let places = limits
            .get(name)
            .map_or_else(String::new, |limit| format!("max-concurrent: {limit}, "));
        // Writing to a String cannot fail.
        let _ = match steady {
            Steady::CodeBuild if name == "steady" => writeln!(suite, "  {name}: {{ {places}codebuild: {{ project: ci-steady }} }}"),
            Steady::StepFunctions if name == "steady" => {
                writeln!(suite, "  {name}: {{ {places}step-functions: {{ state-machine: '{MACHINE}' }} }}")
            }
            _ => writeln!(suite, "  {name}: {{ {places}ecs: {{ {ecs} }} }}"),
        };
    }
    suite.push_str("notify: { successes: all }\n");
    suite
}

impl Repository {
    /// The suite of a simulation. What it has in store beyond the usual is drawn with dice of its own.
    pub(crate) fn new(dice: &mut fastrand::Rng) -> Self {
        let limited = dice.u32(0..3) == 0;
        let mut limits = BTreeMap::new();
        for (name, _) in AGENTS {
            limits.extend((limited && dice.bool()).then(|| (name, dice.u32(1..4))));
        }
        let supersedes = dice.u32(0..3) == 0;
        let tells_time = dice.u32(0..4) > 0;
        let leaves_artifacts = dice.u32(0..3) == 0;
        let steady = [Steady::CodeBuild, Steady::StepFunctions, Steady::Ecs][dice.usize(0..3)];
        let guarded = Guarded::draw(dice);
        // The dice of everything else stay as they are.
        let locks = dice.clone().u32(0..3) == 0;
        let mut suite = suite(&limits, steady);
        if guarded.is_some() {
            suite = suite.replace("notify:", &format!("{}notify:", Guarded::template()));
        }
        Self {
            suite,
            guarded,
            limits,
            supersedes,
            tells_time,
            leaves_artifacts,
            locks,
            commits: BTreeMap::new(),
            pushes: Vec::new(),
            history: Vec::new(),
            scripts: BTreeMap::new(),
        }
    }

    /// A suite in which nothing is drawn: its agent templates, its limits, and a job of its own.
    pub(crate) fn plain(limits: BTreeMap<&'static str, u32>, supersedes: bool, steady: Steady) -> Self {
        let mut suite = suite(&limits, steady);
        suite.push_str("jobs:\n  nightly: { repository: shop, branch: main, agent: small, run: make }\n");
        let truth = |agent| JobTruth {
            agent,
            needs: Vec::new(),
            critical: false,
            spot: agent != "steady",
            relaunch_stopped: false,
            is_locked: false,
            timeout: HOUR,
            limits: vec![2, 2],
            takes: 10 * SECOND,
            fails: 0.0,
        };
        Self {
            suite,
            guarded: None,
            limits,
            supersedes,
            tells_time: true,
            leaves_artifacts: false,
            locks: false,
            commits: BTreeMap::new(),
            pushes: Vec::new(),
            history: Vec::new(),
            scripts: AGENTS.into_iter().map(|(agent, _)| (agent, truth(agent))).collect(),
        }
    }

    /// A commit of chosen jobs on the default branch of the first repository from a moment on, and the push that would bring it.
    pub(crate) fn commit_of(&mut self, at: Millis, jobs: BTreeMap<String, JobTruth>) -> Push {
        let number = self.commits.len();
        let mut file = "version: 1\njobs:\n".to_owned();
        for (name, job) in &jobs {
            let (agent, timeout, needs) = (job.agent, job.timeout / SECOND, job.needs.join(", "));
            // Writing to a String cannot fail.
            let _ = writeln!(
                file,
                "  {name}: {{ agent: {agent}, run: make, timeout: {timeout}s, needs: [{needs}], artifacts: [target/*.xml]{} }}",
                if job.limits == RETRIED.1 { RETRIED.0 } else { "" }
            );
        }
        if self.supersedes {
            file.push_str("concurrency: { supersede: true }\n");
        }
        let id = format!("{number:040x}");
        let commit = Commit {
            file: Some(file),
            message: "work".to_owned(),
            expected: Expected::Run,
            jobs,
        };
        self.commits.insert(id.clone(), commit);
        let push = Push {
            trigger: format!("00000000-0000-4000-8000-{number:012x}"),
            repository: REPOSITORIES[0].parse().expect("it is a name"),
            reference: format!("refs/heads/{DEFAULT_BRANCH}").parse().expect("it is a reference"),
            commit: id.parse().expect("it is a commit id"),
            previous: self.history.last().map(|(.., commit)| commit.clone()),
            by: None,
            at: Some(timestamp(at / SECOND * SECOND)),
        };
        let entry = (at, push.repository.clone(), push.reference.clone(), push.commit.clone());
        self.history.push(entry);
        push
    }

    /// Whoever asks for runs finds something in every repository, and the suite has a job of its own.
    pub(crate) fn with_scripts(&mut self, rng: &mut fastrand::Rng) {
        if !self.scripts.is_empty() {
            return;
        }
        for repository in REPOSITORIES {
            let id = commit_id(rng);
            let jobs = rng.usize(1..4);
            let commit = commit(rng, jobs, false);
            let commit = self.with_more(rng, commit);
            self.commits.insert(id.clone(), commit);
            let reference = format!("refs/heads/{DEFAULT_BRANCH}");
            let first = (
                0,
                repository.parse().expect("it is a name"),
                reference.parse().expect("it is a reference"),
                id.parse().expect("it is a commit id"),
            );
            self.history.insert(0, first);
        }
        for (agent, _) in AGENTS {
            let truth = JobTruth {
                agent,
                needs: Vec::new(),
                critical: false,
                spot: agent != "steady",
                relaunch_stopped: false,
                is_locked: false,
                timeout: HOUR,
                limits: vec![2, 2],
                takes: [10 * SECOND, 3 * MINUTE, 20 * MINUTE][rng.usize(0..3)],
                fails: [0.0, 0.3][rng.usize(0..2)],
            };
            self.scripts.insert(agent, truth);
        }
        self.suite
            .push_str("jobs:\n  nightly: { repository: shop, branch: main, agent: small, run: make }\n");
        if self.guarded.is_some() {
            self.scripts.insert(GUARDED, script());
            self.suite.push_str(&Guarded::job());
        }
    }

    /// What a build's job is in truth.
    pub(crate) fn job(&self, spec: &BuildSpec) -> Option<&JobTruth> {
        if SCRIPTS.contains(&spec.id.job.as_str()) {
            return self.scripts.get(spec.agent.as_str());
        }
        self.commits.get(spec.commit.as_str())?.jobs.get(spec.id.job.as_str())
    }

    /// Whether there is an agent template of this name.
    pub(crate) fn has_agent(&self, name: &str) -> bool {
        self.scripts.contains_key(name)
    }

    pub(crate) fn default_branch(&self, repository: &RepositoryName) -> Option<&'static str> {
        REPOSITORIES.contains(&repository.as_str()).then_some(DEFAULT_BRANCH)
    }

    pub(crate) fn tip(&self, repository: &RepositoryName, branch: &str, at: Millis) -> Option<CommitId> {
        self.tips(repository, branch, at, at).pop()
    }

    /// Whether a branch that points to a commit has pointed to another one before: pushes only add to a branch here.
    pub(crate) fn ancestry(&self, repository: &RepositoryName, commit: &CommitId, tip: &CommitId) -> Ancestry {
        let branches = self.history.iter().filter(|(_, of, _, id)| of == repository && id == tip);
        let before = |since: &Millis, of: &Reference| {
            let is_before = |(at, in_repository, branch, id): &(Millis, RepositoryName, Reference, CommitId)| {
                at <= since && in_repository == repository && branch == of && id == commit
            };
            self.history.iter().any(is_before)
        };
        if branches.into_iter().any(|(since, _, branch, _)| before(since, branch)) {
            Ancestry::Ancestor
        } else {
            Ancestry::Elsewhere
        }
    }

    /// Whether a branch has pointed to a commit by a moment: pushes only add to a branch here.
    pub(crate) fn was_on(&self, repository: &RepositoryName, reference: &Reference, commit: &CommitId, by: Millis) -> bool {
        let is_it = |(since, of, branch, id): &(Millis, RepositoryName, Reference, CommitId)| {
            *since <= by && of == repository && branch == reference && id == commit
        };
        self.history.iter().any(is_it)
    }

    /// What a branch has pointed to at one moment, and then until another one.
    pub(crate) fn tips(&self, repository: &RepositoryName, branch: &str, from: Millis, to: Millis) -> Vec<CommitId> {
        let mut tips = Vec::new();
        for (since, of, reference, commit) in &self.history {
            if of != repository || reference.branch() != Some(branch) || *since > to {
                continue;
            }
            if *since <= from {
                tips.clear();
            }
            tips.push(commit.clone());
        }
        tips
    }

    /// A commit that was there at a moment.
    pub(crate) fn some_commit(&self, rng: &mut fastrand::Rng, at: Millis) -> Option<CommitId> {
        let there: Vec<&CommitId> = self.history.iter().filter(|(since, ..)| *since <= at).map(|(.., id)| id).collect();
        there.get(rng.usize(0..there.len().max(1))).map(|id| (*id).clone())
    }

    /// A new commit, and the push that brings it.
    pub(crate) fn push(&mut self, rng: &mut fastrand::Rng, large: bool) -> Push {
        let id = commit_id(rng);
        let commit = match rng.u32(0..40) {
            _ if large => {
                let jobs = rng.usize(100..108);
                commit(rng, jobs, true)
            }
            0 => Commit {
                file: Some("version: 1\njobs:\n  test: { agent: small, run: make, tiemout: 3m }\n".to_owned()),
                message: "a mistake".to_owned(),
                expected: Expected::Rejected,
                jobs: BTreeMap::new(),
            },
            1 => Commit {
                message: "[skip ci] words".to_owned(),
                expected: Expected::Nothing,
                ..commit(rng, 1, false)
            },
            2 => Commit {
                file: None,
                message: "no file".to_owned(),
                expected: Expected::Nothing,
                jobs: BTreeMap::new(),
            },
            3..=22 => commit(rng, 1, false),
            _ => {
                let jobs = rng.usize(2..6);
                commit(rng, jobs, false)
            }
        };
        let commit = self.with_more(rng, commit);
        self.commits.insert(id.clone(), commit);
        let push = Push {
            trigger: format!("{:08x}-0000-4000-8000-{:012x}", rng.u32(..), self.pushes.len()),
            repository: if rng.bool() { "shop" } else { "till" }.parse().expect("it is a name"),
            reference: ["refs/heads/main", "refs/heads/next", "refs/heads/release/1"][rng.usize(0..3)]
                .parse()
                .expect("it is a reference"),
            commit: id.parse().expect("it is a commit id"),
            previous: None,
            by: None,
            at: None,
        };
        self.pushes.push(push.clone());
        push
    }
}

impl Repository {
    /// The same commit, with what its suite has in store.
    fn with_more(&self, rng: &mut fastrand::Rng, mut commit: Commit) -> Commit {
        if self.guarded.is_some() {
            guard_a_job(rng, &mut commit);
        }
        if self.locks {
            lock_jobs(&mut rng.clone(), &mut commit);
        }
        if let Some(file) = commit.file.as_mut().filter(|_| commit.expected == Expected::Run) {
            if self.leaves_artifacts {
                *file = file.replace("    critical:", "    artifacts: [target/*.xml]\n    critical:");
            }
            if self.supersedes {
                file.push_str("concurrency: { supersede: true }\n");
            }
        }
        commit
    }

    /// The pushes, now that it is decided when each is made: in that order, each with the commit before it.
    pub(crate) fn in_order(&mut self, moments: &[Millis]) -> Vec<(Millis, Push)> {
        let mut pushes: Vec<(Millis, Push)> = moments.iter().copied().zip(self.pushes.iter().cloned()).collect();
        pushes.sort_by_key(|(at, _)| *at);
        if self.supersedes {
            let mut tips = BTreeMap::new();
            for (at, push) in &mut pushes {
                push.at = self.tells_time.then(|| timestamp(*at / SECOND * SECOND));
                push.previous = tips.insert((push.repository.clone(), push.reference.clone()), push.commit.clone());
            }
        }
        self.pushes = pushes.iter().map(|(_, push)| push.clone()).collect();
        for (at, push) in &pushes {
            self.history
                .push((*at, push.repository.clone(), push.reference.clone(), push.commit.clone()));
        }
        pushes
    }
}

/// Gives some jobs of a commit the lock of their repository.
fn lock_jobs(rng: &mut fastrand::Rng, commit: &mut Commit) {
    let Some(file) = &mut commit.file else { return };
    for (name, job) in &mut commit.jobs {
        let run = format!("    run: make {name}\n");
        if rng.bool() && file.contains(&run) {
            *file = file.replace(&run, &format!("{run}    lock: yard\n"));
            (job.relaunch_stopped, job.is_locked) = (true, true);
        }
    }
}

fn commit_id(rng: &mut fastrand::Rng) -> String {
    (0..40).map(|_| char::from_digit(rng.u32(0..16), 16).unwrap_or('0')).collect()
}

fn commit(rng: &mut fastrand::Rng, count: usize, large: bool) -> Commit {
    let mut file = "version: 1\njobs:\n".to_owned();
    let mut jobs = BTreeMap::new();
    for number in 0..count {
        let name = format!("job-{number}");
        let needs: Vec<String> = if number == 0 || large && number % 10 != 0 {
            Vec::new()
        } else {
            let most = if large { 1 } else { 2 };
            (0..rng.usize(0..=most))
                .map(|_| format!("job-{}", rng.usize(0..number)))
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect()
        };
        jobs.insert(name.clone(), job(rng, &name, needs, large, &mut file));
    }
    Commit {
        file: Some(file),
        message: "work".to_owned(),
        expected: Expected::Run,
        jobs,
    }
}

/// Draws a job and writes it into the file.
fn job(rng: &mut fastrand::Rng, name: &str, needs: Vec<String>, large: bool, file: &mut String) -> JobTruth {
    let agent = ["small", "small", "small", "mixed", "mixed", "steady"][rng.usize(0..6)];
    let critical = rng.u32(0..6) == 0;
    let relaunch_stopped = rng.u32(0..4) == 0;
    let timeout = match rng.u32(0..10) {
        0..=1 => rng.u64(30..120) * SECOND,
        2..=7 => rng.u64(5..25) * MINUTE,
        _ => 60 * MINUTE,
    };
    let queue_timeout = match rng.u32(0..10) {
        0..=1 => rng.u64(20..180) * SECOND,
        2..=4 => rng.u64(4..15) * MINUTE,
        _ => 120 * MINUTE,
    };
    // Writing to a String cannot fail.
    let _ = write!(file, "  {name}:\n    agent: {agent}\n    run: make {name}\n");
    let _ = write!(
        file,
        "    critical: {critical}\n    timeout: {}s\n    queue-timeout: {}s\n",
        timeout / SECOND,
        queue_timeout / SECOND
    );
    if relaunch_stopped {
        file.push_str("    relaunch: stopped\n");
    }
    if !needs.is_empty() {
        let _ = writeln!(file, "    needs: [{}]", needs.join(", "));
    }
    let limits = match rng.u32(0..6) {
        0..=2 => vec![2, 2],
        3 => {
            file.push_str("    retry: never\n");
            Vec::new()
        }
        _ => {
            file.push_str("    retry:\n");
            (0..rng.usize(1..4)).map(|_| rule(rng, critical, file)).collect()
        }
    };
    JobTruth {
        agent,
        needs,
        critical,
        spot: agent != "steady",
        relaunch_stopped,
        is_locked: false,
        timeout,
        limits,
        takes: if large {
            5 * SECOND
        } else {
            [10 * SECOND, MINUTE, 3 * MINUTE, 8 * MINUTE][rng.usize(0..4)]
        },
        fails: [0.0, 0.1, 0.4, 0.9][rng.usize(0..4)],
    }
}

fn rule(rng: &mut fastrand::Rng, critical: bool, file: &mut String) -> u32 {
    let words = ["interrupted", "infrastructure", "failure", "timeout"];
    let on: Vec<&str> = words.into_iter().filter(|_| rng.bool()).collect();
    let limit = rng.u32(0..4);
    let codes = if on.is_empty() || rng.u32(0..4) == 0 {
        ", exit-codes: [75]"
    } else {
        ""
    };
    let backoff = ["", ", backoff: 10s", ", backoff: 2m"][rng.usize(0..3)];
    let capacity = match rng.u32(0..4) {
        0 => ", capacity: on-demand",
        1 | 2 if !critical => ", capacity: spot",
        _ => "",
    };
    let _ = writeln!(
        file,
        "      - {{ on: [{}]{codes}, limit: {limit}{backoff}{capacity} }}",
        on.join(", ")
    );
    limit
}
