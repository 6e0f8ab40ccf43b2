//! Mistakes on purpose: each is one that the code under test could have, made at its ports, and has to be found by the checks.

use std::time::Duration;

use bellhop_domain::Capacity;
use bellhop_domain::alarm::{AlarmChange, Claim, Pauses};
use bellhop_domain::backup::{Backup, BackupEffect, BackupTold, WorkId};
use bellhop_domain::build::{Build, BuildEffect, BuildState, Phase, Refusal, StopWhy};
use bellhop_domain::ids::{AttemptId, BuildId, LaunchId, PipelineJobId};
use bellhop_domain::instance::{Action, Instance, What};
use bellhop_domain::observation::{AgentStatus, Observation, Report, ReportPhase, StopCause};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::pipeline::{ActionState, PipelineAnswer, PipelineFailure};
use bellhop_domain::pool::{Pool, PoolEffect};
use bellhop_domain::request::{PipelineAsks, PipelineJob};
use bellhop_domain::run::{JobState, Run, RunEffect};
use bellhop_domain::trigger::Push;
use bellhop_engine::ports::{Document, DocumentKey, DocumentKind, Occupant};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::alarms::Form;
use crate::backups::{Input, Plan};
use crate::ecs::{self, Truth};
use crate::instances::Notice;
use crate::requests::Request;
use crate::world::{Job, Millis, SECOND, World, timestamp};
use crate::{Options, run};

macro_rules! mutants {
    ($(#[doc = $doc:literal] $name:ident: $text:literal within $within:literal,)*) => {
        /// A mistake on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $doc] $name,)*
        }

        impl Mutant {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What the mistake is.
            #[must_use]
            pub fn mistake(self) -> &'static str {
                match self {
                    $(Self::$name => $doc.trim_ascii(),)*
                }
            }

            /// Within how many seeds it has to be found.
            #[must_use]
            pub fn within(self) -> u64 {
                match self {
                    $(Self::$name => $within,)*
                }
            }
        }
    };
}

mutants! {
    /// A launch that is refused for a reason nobody knows has failed at once.
    UnknownIsFinal: "unknown-is-final" within 200,
    /// Nobody is told that a launch is refused for a reason nobody knows.
    UnknownUntold: "unknown-untold" within 200,
    /// What is tried in vain is tried for ever.
    NothingAbandoned: "nothing-abandoned" within 200,
    /// Nobody is told of what is given up.
    AbandonedUntold: "abandoned-untold" within 200,
    /// An agent that never says that it has stopped is waited for.
    LostWaitedFor: "lost-waited-for" within 200,
    /// An agent counts as lost as soon as it is told to stop.
    LostAtOnce: "lost-at-once" within 200,
    /// What nobody can be asked about is waited for.
    UnseenWaitedFor: "unseen-waited-for" within 500,
    /// A limit of the account that shows only once a task is accepted counts as a failure.
    LimitsAreFailures: "limits-are-failures" within 200,
    /// What is heard late of a place that was given back takes the next one away.
    TurnsIgnored: "turns-ignored" within 1500,
    /// A Spot agent that never comes up is followed by another one on Spot.
    NeverUpOnSpotAgain: "never-up-on-spot-again" within 500,
    /// Every `RunTask` has a token of its own.
    TokenUnstable: "token-unstable" within 20,
    /// An attempt has the same token on Spot and on demand.
    TokenIgnoresCapacity: "token-ignores-capacity" within 200,
    /// A launch that was refused in a 200 is tried again under the token that gives this refusal again.
    TokenIgnoresRound: "token-ignores-round" within 100,
    /// All attempts of a build have the same token.
    TokenIgnoresAttempt: "token-ignores-attempt" within 50,
    /// Agents are launched before the decision is stored.
    ActionBeforeState: "action-before-state" within 20,
    /// A write does not look at the version.
    ConflictsIgnored: "conflicts-ignored" within 20,
    /// There is no sweep.
    NoSweep: "no-sweep" within 20,
    /// The sweep gets no answer about agents.
    NothingDescribed: "nothing-described" within 50,
    /// Once in a while a running agent is taken for one that ECS has forgotten.
    RunningTakenForGone: "running-taken-for-gone" within 50,
    /// What is left in an outbox is never overdue.
    OutboxForgotten: "outbox-forgotten" within 50,
    /// Nobody is told to stop.
    StopsDropped: "stops-dropped" within 50,
    /// Agents that are no attempt's are not told to stop.
    StraysNotStopped: "strays-not-stopped" within 4000,
    /// Looking for the agent of a lost launch finds nothing.
    NothingFound: "nothing-found" within 2000,
    /// Events count for the current attempt and its agent, whatever agent they are about.
    EventsMatchedByBuild: "events-matched-by-build" within 50,
    /// Every agent that is being stopped counts as interrupted.
    EveryStopIsInterruption: "every-stop-is-an-interruption" within 200,
    /// Late events decide about finished builds again.
    LateEventsDecideAgain: "late-events-decide-again" within 50,
    /// A success that comes late changes the outcome.
    LateSuccessCounts: "late-success-counts" within 200,
    /// Exit code 0 is a proof of success.
    ExitCodeIsProof: "exit-code-is-proof" within 100,
    /// `relaunch: stopped` is not observed.
    RelaunchAtOnce: "relaunch-at-once" within 100,
    /// The limits of retry rules are not observed.
    RetriesUnlimited: "retries-unlimited" within 50,
    /// Timeouts are not observed.
    TimeoutsIgnored: "timeouts-ignored" within 100,
    /// A critical job goes to Spot like any other.
    CriticalOnSpot: "critical-on-spot" within 20,
    /// Builds start without waiting for those they need.
    NeedsIgnored: "needs-ignored" within 20,
    /// A run's id does not depend on its trigger alone.
    RunIdUnstable: "run-id-unstable" within 50,
    /// A push that could not be handled is acknowledged.
    PushErrorsAcknowledged: "push-errors-acknowledged" within 50,
    /// A run is not told of its builds' ends.
    RunNotTold: "run-not-told" within 20,
    /// Messages are not sent.
    MessagesDropped: "messages-dropped" within 20,
    /// Nobody is told that a build waits.
    WaitingUntold: "waiting-untold" within 200,
    /// Nobody is told that the agent of a build which was cancelled has stopped.
    AgentsEndUntold: "agents-end-untold" within 200,
    /// Reports of runs are not written.
    ReportsDropped: "reports-dropped" within 20,
    /// A build's place is given back with its outcome, whatever still runs for it.
    PlaceGivenBackEarly: "place-given-back-early" within 500,
    /// A place that is given back stays taken.
    LeaveDropped: "leave-dropped" within 50,
    /// A build that gets a place after it has left keeps it.
    LatePlaceKept: "late-place-kept" within 2000,
    /// A build asks for its place once, whether or not it is heard.
    AskNotRepeated: "ask-not-repeated" within 200,
    /// There is always one place more than there should be.
    LimitExceeded: "limit-exceeded" within 50,
    /// Who asks last gets the next place.
    LastComesFirst: "last-comes-first" within 100,
    /// A build of CodeBuild is started again without a look whether there is one.
    AgainIgnored: "again-ignored" within 3000,
    /// A script that ends with exit code 0 undoes that its build was cancelled.
    SuccessUndoesCancelling: "success-undoes-cancelling" within 200,
    /// An older push that comes late supersedes a newer one.
    OlderPushSupersedes: "older-push-supersedes" within 200,
    /// A newer push supersedes everything in the older run, whether or not it does that itself.
    EverythingSuperseded: "everything-superseded" within 1000,
    /// A run that is cancelled forgets to tell its builds.
    CancelsDropped: "cancels-dropped" within 200,
    /// What a build left is looked for where its first attempt has left something.
    FoundOfFirstAttempt: "found-of-first-attempt" within 500,
    /// What a build left behind is forgotten.
    FoundForgotten: "found-forgotten" within 50,
    /// An action is answered under the id of its first job.
    FirstJobAnswered: "first-job-answered" within 200,
    /// An action is not kept alive.
    NoHeartbeat: "no-heartbeat" within 200,
    /// An action is not told how its run has ended.
    AnswersDropped: "answers-dropped" within 200,
    /// A run does not notice that its action has gone.
    GoneUnnoticed: "gone-unnoticed" within 2000,
    /// A run gives its action up while the action waits.
    WaitingTakenForGone: "waiting-taken-for-gone" within 500,
    /// An action that comes back starts another run.
    EveryJobStarts: "every-job-starts" within 200,
    /// An action fails for the same reason whatever was wrong.
    EveryFailureIsTheJobs: "every-failure-is-the-jobs" within 200,
    /// A request that Lambda repeats counts as another one.
    RepeatedRequestStarts: "repeated-request-starts" within 200,
    /// A run that somebody asks for supersedes others, like one of a push.
    RequestsSupersede: "requests-supersede" within 200,
    /// Nobody tells the builds on an instance that EC2 warns of.
    WarningsUnheard: "warnings-unheard" within 200,
    /// Each notice of an interruption is another interruption.
    EveryNoticeInterrupts: "every-notice-interrupts" within 200,
    /// An instance that is taken away is not drained.
    DrainForgotten: "drain-forgotten" within 200,
    /// An instance that was drained on a recommendation never takes tasks again.
    AdviceForEver: "advice-for-ever" within 500,
    /// A rebalance recommendation counts as an interruption.
    RebalanceInterrupts: "rebalance-interrupts" within 200,
    /// Nobody is told of tasks of others on an instance.
    ForeignUntold: "foreign-untold" within 200,
    /// Each form of an alarm's transition is a transition of its own.
    FormsCountedApart: "forms-counted-apart" within 200,
    /// `at-most-every` is not observed.
    AtMostEveryIgnored: "at-most-every-ignored" within 200,
    /// A service is restarted without a claim.
    ClaimsDropped: "claims-dropped" within 200,
    /// A service counts as restarted, and is not.
    RestartsDropped: "restarts-dropped" within 200,
    /// Agents are launched while an alarm keeps starts paused.
    PausesIgnored: "pauses-ignored" within 200,
    /// Starts stay paused when the alarm is OK again.
    ResumesDropped: "resumes-dropped" within 200,
    /// Nobody is told of alarms.
    AlarmsUntold: "alarms-untold" within 200,
    /// What was done counts as not done, and is claimed again before its time.
    ClaimsTakenOver: "claims-taken-over" within 200,
    /// What another alarm has claimed counts as done.
    ClaimsCountAsDone: "claims-count-as-done" within 200,
    /// Every delivery of a schedule counts as another one.
    SlotsIgnored: "slots-ignored" within 200,
    /// Every `StartBackupJob` has a token of its own.
    BackupTokenUnstable: "backup-token-unstable" within 200,
    /// Nobody asks for jobs of AWS Backup whose events are lost.
    LostJobsUnasked: "lost-jobs-unasked" within 200,
    /// A job that went wrong goes wrong again with each of its events.
    EveryEventAlerts: "every-event-alerts" within 200,
    /// Nobody is told of backups.
    BackupsUntold: "backups-untold" within 200,
    /// Nobody is told that a backup has recovered.
    RecoveryUntold: "recovery-untold" within 200,
    /// A success recovers from what went wrong later.
    OlderSuccessRecovers: "older-success-recovers" within 3000,
    /// Recovery points are not copied.
    CopiesForgotten: "copies-forgotten" within 200,
    /// The newest recovery point is always new.
    AgeUnwatched: "age-unwatched" within 200,
    /// What a restore test created stays.
    RemovalsDropped: "removals-dropped" within 200,
    /// The original is removed in the place of what a restore test created.
    OriginalRemoved: "original-removed" within 200,
}

/// What became of looking for a mistake.
#[derive(Debug, Clone)]
pub struct MutantResult {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub mistake: &'static str,
    /// Within how many seeds it has to be found.
    pub within: u64,
    /// The first seed that showed it.
    pub found_at_seed: Option<u64>,
    /// By which invariant.
    pub invariant: Option<&'static str>,
}

impl Mutant {
    /// Tries seeds until one shows it.
    pub(crate) fn search(self) -> MutantResult {
        let found = (0..self.within()).find_map(|seed| {
            let options = Options {
                seed,
                minutes: 30,
                mutant: Some(self),
                ..Options::default()
            };
            run(&options).violation.map(|violation| (seed, violation.invariant))
        });
        MutantResult {
            name: self.name(),
            mistake: self.mistake(),
            within: self.within(),
            found_at_seed: found.map(|(seed, _)| seed),
            invariant: found.map(|(_, invariant)| invariant),
        }
    }
}

/// The token of a launch.
pub(crate) fn token(world: &mut World, launch: &LaunchId) -> String {
    let mut launch = launch.clone();
    match world.mutant {
        Some(Mutant::TokenUnstable) => return format!("{}{}", launch.token(), world.rng.u64(..)),
        Some(Mutant::TokenIgnoresCapacity) => launch.capacity = Capacity::OnDemand,
        Some(Mutant::TokenIgnoresAttempt) => launch.attempt.number = 1,
        Some(Mutant::TokenIgnoresRound) => launch.round = 0,
        _ => {}
    }
    launch.token()
}

pub(crate) fn launch_capacity(world: &World, capacity: Capacity) -> Capacity {
    if world.is(Mutant::CriticalOnSpot) {
        Capacity::Spot
    } else {
        capacity
    }
}

pub(crate) fn drops_stop(world: &World, index: usize) -> bool {
    match world.mutant {
        Some(Mutant::StopsDropped) => true,
        Some(Mutant::StraysNotStopped) => world.ecs.tasks.get(index).is_some_and(|task| {
            let build = world.tables.builds.get(&task.attempt.build);
            build.is_some_and(|build| build.record.strays.iter().any(|stray| stray.agent == task.agent))
        }),
        _ => false,
    }
}

/// What is done to a record that is about to be written.
pub(crate) fn before_write_of_build(world: &World, build: &mut Build) {
    match world.mutant {
        Some(Mutant::OutboxForgotten) => forget_outbox(build),
        Some(Mutant::NothingAbandoned) => change_effects(build, |effect| {
            effect.remove("failing");
        }),
        Some(Mutant::UnseenWaitedFor) => build.unseen = None,
        Some(Mutant::LostWaitedFor) => {
            for attempt in &mut build.attempts {
                if let Phase::Stopping { at, .. } = &mut attempt.phase {
                    *at = timestamp(world.now);
                }
            }
            for stray in &mut build.strays {
                stray.since = None;
            }
        }
        Some(Mutant::LostAtOnce) => {
            for attempt in &mut build.attempts {
                if let Phase::Stopping { at, .. } = &mut attempt.phase {
                    *at = timestamp(0);
                }
            }
        }
        Some(Mutant::NeverUpOnSpotAgain) => {
            for attempt in &mut build.attempts {
                if let Phase::Stopping { at, why: StopWhy::NeverUp } = &attempt.phase {
                    attempt.started = Some(*at);
                }
            }
        }
        Some(Mutant::LateSuccessCounts) => {
            let succeeded = world
                .ecs
                .tasks
                .iter()
                .any(|task| task.attempt.build == build.spec.id && task.truth == Truth::Succeeded);
            if let BuildState::Finished { outcome, .. } = &mut build.state
                && succeeded
            {
                *outcome = Outcome::Succeeded;
            }
        }
        Some(Mutant::SuccessUndoesCancelling) => {
            let mut tasks = world.ecs.tasks.iter();
            let succeeded = tasks.any(|task| task.attempt.build == build.spec.id && task.truth == Truth::Succeeded);
            if let BuildState::Finished { outcome, .. } = &mut build.state
                && matches!(outcome, Outcome::Cancelled | Outcome::Superseded)
                && succeeded
            {
                *outcome = Outcome::Succeeded;
            }
        }
        Some(Mutant::AskNotRepeated) => {
            build.outbox.remove_where(|pending| pending.effect == BuildEffect::Ask);
        }
        Some(Mutant::FoundForgotten) => build.found = None,
        Some(Mutant::NeedsIgnored) if build.state == BuildState::Blocked => {
            *build = Build::ready(build.spec.clone(), build.created);
        }
        _ => {}
    }
}

pub(crate) fn before_write_of_run(world: &World, run: &mut Run) {
    match world.mutant {
        Some(Mutant::OutboxForgotten) => forget_outbox(run),
        Some(Mutant::CancelsDropped) => {
            run.outbox
                .remove_where(|pending| matches!(pending.effect, RunEffect::Cancel { .. }));
        }
        Some(Mutant::EverythingSuperseded) => supersede_everything(run, timestamp(world.now)),
        Some(Mutant::RequestsSupersede) if run.trigger.starts_with("control/") && !world.tables.runs.contains_key(&run.id) => {
            let push = Push {
                trigger: run.trigger.clone(),
                repository: run.repository.clone(),
                reference: run.reference.clone(),
                commit: run.commit.clone(),
                previous: None,
                by: None,
                at: None,
            };
            *run = run.clone().superseding(&push, timestamp(world.now));
        }
        Some(Mutant::WaitingTakenForGone) => {
            if let Some(ActionState::Continued { at }) = run.action.as_mut().map(|action| &mut action.state) {
                *at = timestamp(0);
            }
        }
        _ => {}
    }
}

fn supersede_everything(run: &mut Run, now: Timestamp) {
    let superseded = run.outbox.pending().iter().find_map(|pending| match &pending.effect {
        RunEffect::Cancel {
            outcome: Outcome::Superseded,
            cause,
            ..
        } => Some(cause.clone()),
        _ => None,
    });
    let Some(cause) = superseded else { return };
    for job in &mut run.jobs {
        if job.cancelled || matches!(job.state, JobState::Finished { .. }) {
            continue;
        }
        job.cancelled = true;
        let cancel = RunEffect::Cancel {
            job: job.name.clone(),
            outcome: Outcome::Superseded,
            cause: cause.clone(),
        };
        run.outbox.push(cancel, now);
    }
}

/// What is done to a run as it is read.
pub(crate) fn read_run(world: &World, run: &mut Run) {
    if let Some(ActionState::Continued { at }) = run.action.as_mut().map(|action| &mut action.state)
        && world.is(Mutant::GoneUnnoticed)
    {
        *at = timestamp(world.now);
    }
}

/// An answer as it is sent, and under which id.
pub(crate) fn sent_answer(world: &World, job: &PipelineJobId, answer: &PipelineAnswer) -> (PipelineJobId, PipelineAnswer) {
    let (mut job, mut answer) = (job.clone(), answer.clone());
    match (world.mutant, &mut answer) {
        (Some(Mutant::FirstJobAnswered), _) => job = world.codepipeline.first_job(&job).unwrap_or(&job).clone(),
        (Some(Mutant::NoHeartbeat), PipelineAnswer::Continue { .. })
        | (Some(Mutant::AnswersDropped), PipelineAnswer::Success { .. } | PipelineAnswer::Failure { .. }) => {
            job = "00000000-0000-4000-8000-000000000000".parse().expect("it is a job's id");
        }
        (Some(Mutant::EveryFailureIsTheJobs), PipelineAnswer::Failure { kind, .. }) => *kind = PipelineFailure::JobFailed,
        _ => {}
    }
    (job, answer)
}

/// A job of CodePipeline as it is delivered.
pub(crate) fn delivered_job(world: &World, job: &PipelineJob) -> PipelineJob {
    let mut job = job.clone();
    if world.is(Mutant::EveryJobStarts)
        && let PipelineAsks::Continue(run) = &job.asks
        && let Some(action) = world.codepipeline.action_of(run)
    {
        job.asks = action.asks.clone();
    }
    job
}

/// The shortest time between two times that something is done, as the suite says it. The mistake is made here and not in the claims as they are read:
/// what is read of a claim is written again with it, and the check would see the mistake's moment instead of the claim's.
pub(crate) fn told_at_most_every(world: &World) -> Millis {
    if world.is(Mutant::AtMostEveryIgnored) {
        SECOND
    } else {
        world.alarms.every
    }
}

/// What EC2 tells of an instance, as it is delivered.
pub(crate) fn delivered_notice(world: &World, notice: &Notice) -> Notice {
    let mut notice = notice.clone();
    if world.is(Mutant::RebalanceInterrupts) {
        notice.what = What::Interruption(Action::Terminate);
    }
    notice
}

/// Who is on an instance, as far as somebody looks.
pub(crate) fn seen_occupants(world: &World, mut occupants: Vec<Occupant>) -> Vec<Occupant> {
    if world.is(Mutant::WarningsUnheard) {
        occupants.retain(|occupant| matches!(occupant, Occupant::Foreign(_)));
    }
    occupants
}

/// A transition of an alarm as it is delivered.
pub(crate) fn delivered_alarm(world: &World, form: &Form) -> AlarmChange {
    let mut change = form.change.clone();
    if world.is(Mutant::FormsCountedApart) {
        let apart = Duration::from_secs(3 * u64::from(form.number));
        change.at = change.at.and_then(|at| at.checked_add(apart).ok());
    }
    change
}

fn fail_for_want(observation: &mut Observation) {
    if let AgentStatus::Stopped(stop) = &mut observation.status
        && stop.cause == StopCause::NotNow
    {
        stop.cause = StopCause::FailedToStart;
    }
}

/// A refusal for a reason that nobody knows.
pub(crate) fn unknown(world: &World, words: &str) -> Refusal {
    let words = words.to_owned();
    if world.is(Mutant::UnknownIsFinal) {
        Refusal::Invalid(words)
    } else {
        Refusal::Unknown(words)
    }
}

/// Whether a message is not sent.
pub(crate) fn drops_message(world: &World, id: &str) -> bool {
    match world.mutant {
        Some(Mutant::UnknownUntold) => return id.contains("/refused/"),
        Some(Mutant::AbandonedUntold) => return id.contains("/abandoned/"),
        Some(Mutant::WaitingUntold) => return id.ends_with("/waiting"),
        Some(Mutant::AgentsEndUntold) => return id.ends_with("/stopped"),
        _ => {}
    }
    let of = match world.mutant {
        Some(Mutant::ForeignUntold) => "instance/",
        Some(Mutant::AlarmsUntold) => "alarm/",
        Some(Mutant::BackupsUntold) => "backup/",
        _ => return false,
    };
    id.starts_with(of)
}

/// The time of a schedule as it is delivered.
pub(crate) fn delivered_slot(world: &World, input: &Input) -> Option<Timestamp> {
    match input {
        Input::Schedule { .. } if world.is(Mutant::SlotsIgnored) => Some(timestamp(world.now)),
        Input::Schedule { slot, .. } => Some(timestamp(*slot)),
        Input::Request { .. } | Input::Check | Input::Job(_) => None,
    }
}

/// The token of a job of AWS Backup.
pub(crate) fn backup_token(world: &mut World, token: &str) -> String {
    if world.is(Mutant::BackupTokenUnstable) {
        return format!("{token}{}", world.rng.u64(..));
    }
    token.to_owned()
}

/// What is removed where a restored resource is to be.
pub(crate) fn removed_resource(world: &World, resource: &str) -> String {
    let of = |plan: &&Plan| resource.split_once('/').is_some_and(|(place, _)| plan.resource.starts_with(place));
    match world.backups.plans.iter().find(of) {
        Some(plan) if world.is(Mutant::OriginalRemoved) => plan.resource.clone(),
        _ => resource.to_owned(),
    }
}

/// What is done to a document that is about to be written.
pub(crate) fn before_write_of_document(world: &World, next: &Document) -> Document {
    let mut next = next.clone();
    if next.key.kind != DocumentKind::Backup {
        return next;
    }
    let Ok(mut backup) = serde_json::from_str::<Backup>(&next.text) else {
        return next;
    };
    match world.mutant {
        Some(Mutant::LostJobsUnasked) => {
            next.due = backup.outbox.due();
            return next;
        }
        Some(Mutant::RecoveryUntold) => {
            backup.outbox.remove_where(|pending| {
                let BackupEffect::Tell(news) = &pending.effect else { return false };
                matches!(news.what, BackupTold::Recovered { .. })
            });
        }
        Some(Mutant::CopiesForgotten) => {
            let forgotten = |effect: &BackupEffect| matches!(effect, BackupEffect::Start(WorkId::Copy(_)));
            if !backup.outbox.remove_where(|pending| forgotten(&pending.effect)) {
                return next;
            }
            for job in &mut backup.jobs {
                job.copy = None;
            }
        }
        _ => return next,
    }
    next.text = serde_json::to_string(&backup).unwrap_or_default();
    next
}

/// Whether the write of a document gets lost without a word.
pub(crate) fn drops_document(world: &World, next: &Document) -> bool {
    match (world.mutant, next.key.kind) {
        (Some(Mutant::ClaimsDropped), DocumentKind::Claim) => true,
        (Some(Mutant::ResumesDropped), DocumentKind::Pause) => {
            let held = |text: &str| {
                let pauses: Option<Pauses> = serde_json::from_str(text).ok();
                pauses.map_or(0, |pauses| pauses.by.values().filter(|pause| pause.since.is_some()).count())
            };
            let stored = world.tables.documents.get(&next.key);
            stored.is_some_and(|stored| held(&next.text) < held(&stored.record.text))
        }
        _ => false,
    }
}

/// The text of a document as it is read.
pub(crate) fn read_document(world: &World, key: &DocumentKey, text: &str) -> String {
    if key.kind == DocumentKind::Backup
        && matches!(world.mutant, Some(Mutant::EveryEventAlerts | Mutant::OlderSuccessRecovers))
        && let Ok(mut backup) = serde_json::from_str::<Backup>(text)
    {
        for trouble in backup.troubles.values_mut().filter(|_| world.is(Mutant::OlderSuccessRecovers)) {
            trouble.slot = Timestamp::MIN;
        }
        for job in backup.jobs.iter_mut().filter(|_| world.is(Mutant::EveryEventAlerts)) {
            job.work.end = job.work.end.take().filter(|end| end.how.is_good());
        }
        return serde_json::to_string(&backup).unwrap_or_default();
    }
    if matches!(world.mutant, Some(Mutant::ClaimsTakenOver | Mutant::ClaimsCountAsDone))
        && key.kind == DocumentKind::Claim
        && let Ok(mut claim) = serde_json::from_str::<Claim>(text)
    {
        claim.done = world.is(Mutant::ClaimsCountAsDone);
        return serde_json::to_string(&claim).unwrap_or_default();
    }
    if world.is(Mutant::PausesIgnored) && key.kind == DocumentKind::Pause {
        return serde_json::to_string(&Pauses::default()).unwrap_or_default();
    }
    if world.is(Mutant::EveryNoticeInterrupts)
        && let Ok(mut instance) = serde_json::from_str::<Instance>(text)
        && instance.warned.take().is_some()
    {
        return serde_json::to_string(&instance).unwrap_or_default();
    }
    text.to_owned()
}

/// What the id of a request's run is derived from.
pub(crate) fn trigger_of(world: &mut World, request: &Request) -> String {
    let mut trigger = request.trigger();
    if world.is(Mutant::RepeatedRequestStarts) {
        trigger.push_str(&world.rng.u64(..).to_string());
    }
    trigger
}

/// Where it is looked for what an attempt has left.
pub(crate) fn looked_through(world: &World, attempt: &AttemptId) -> AttemptId {
    let number = if world.is(Mutant::FoundOfFirstAttempt) { 1 } else { attempt.number };
    AttemptId { number, ..attempt.clone() }
}

pub(crate) fn before_write_of_pool(world: &World, pool: &mut Pool) {
    let Some(stored) = world.tables.pools.get(&pool.agent).map(|stored| &stored.record) else {
        return;
    };
    match world.mutant {
        Some(Mutant::LeaveDropped) => {
            for (build, since) in &stored.holders {
                pool.holders.entry(build.clone()).or_insert(*since);
            }
        }
        Some(Mutant::PlaceGivenBackEarly) if pool.waiting.is_empty() => {
            let over = |id: &BuildId| world.tables.builds.get(id).is_some_and(|build| build.record.outcome().is_some());
            pool.holders.retain(|id, _| !over(id));
        }
        Some(Mutant::LatePlaceKept) => {
            for (id, since) in &stored.holders {
                let state = world.tables.builds.get(id).map(|build| &build.record.state);
                if matches!(state, Some(BuildState::Finished { at, .. }) if at < since) {
                    pool.holders.entry(id.clone()).or_insert(*since);
                }
            }
        }
        Some(Mutant::TurnsIgnored) => pool.turns.clear(),
        Some(Mutant::LimitExceeded) => {
            if let Some(next) = pool.waiting.pop_first() {
                pool.holders.insert(next.build.clone(), timestamp(world.now));
                pool.outbox.push(PoolEffect::Grant { build: next.build }, timestamp(world.now));
            }
        }
        Some(Mutant::LastComesFirst) => {
            let granted: Vec<BuildId> = pool.holders.keys().filter(|id| !stored.holders.contains_key(id)).cloned().collect();
            for build in granted {
                let first = stored.waiting.iter().find(|waiting| waiting.build == build).cloned();
                if let (Some(first), Some(last)) = (first, pool.waiting.pop_last()) {
                    pool.holders.remove(&build);
                    pool.waiting.insert(first);
                    pool.holders.insert(last.build.clone(), timestamp(world.now));
                    pool.outbox.push(PoolEffect::Grant { build: last.build }, timestamp(world.now));
                }
            }
        }
        _ => {}
    }
}

/// Whether the write of a run gets lost without a word.
pub(crate) fn drops_run_write(world: &World, next: &Run) -> bool {
    let finished = |run: &Run| run.jobs.iter().filter(|job| matches!(job.state, JobState::Finished { .. })).count();
    world.is(Mutant::RunNotTold)
        && world
            .tables
            .runs
            .get(&next.id)
            .is_some_and(|stored| finished(&stored.record) < finished(next))
}

/// What is done to a record as it is read.
pub(crate) fn read_build(world: &World, build: &mut Build) {
    match world.mutant {
        Some(Mutant::RelaunchAtOnce) => build.spec.relaunch = bellhop_domain::spec::Relaunch::Warning,
        Some(Mutant::RetriesUnlimited) => {
            for rule in &mut build.spec.retry.rules {
                rule.limit = 100;
            }
        }
        Some(Mutant::TimeoutsIgnored) => build.spec.timeout = Duration::from_secs(7 * 24 * 3600),
        Some(Mutant::LateEventsDecideAgain) if build.attempts.last().is_some_and(|attempt| attempt.is_live()) => {
            build.state = BuildState::Active;
        }
        _ => {}
    }
}

/// Moves what is pending into a future that never comes.
fn forget_outbox<T: Serialize + DeserializeOwned>(record: &mut T) {
    change_effects(record, |effect| {
        effect.insert("since".to_owned(), Value::from("9000-01-01T00:00:00Z"));
    });
}

/// Changes each pending effect of a record.
fn change_effects<T: Serialize + DeserializeOwned>(record: &mut T, change: impl Fn(&mut Map<String, Value>)) {
    let Ok(mut value) = serde_json::to_value(&*record) else { return };
    if let Some(pending) = value.pointer_mut("/outbox/pending").and_then(Value::as_array_mut) {
        pending.iter_mut().filter_map(Value::as_object_mut).for_each(change);
    }
    if let Ok(forgetful) = serde_json::from_value(value) {
        *record = forgetful;
    }
}

/// What is done before a decision is stored.
pub(crate) fn before_commit(world: &mut World, next: &Build) {
    if !world.is(Mutant::ActionBeforeState) {
        return;
    }
    for pending in next.outbox.pending() {
        if let BuildEffect::Launch { attempt, capacity, round } = &pending.effect {
            let launch = LaunchId {
                attempt: next.attempt_id(*attempt),
                capacity: *capacity,
                round: *round,
            };
            ecs::run_task(world, &next.spec, &launch);
        }
    }
}

/// Whether a running agent is not described.
pub(crate) fn overlooks(world: &mut World) -> bool {
    world.is(Mutant::RunningTakenForGone) && world.rng.u32(0..20) == 0
}

/// An agent's report, as somebody writes it who has the exit code alone.
pub(crate) fn report_from_exit_code(world: &World, attempt: &AttemptId) -> Option<Report> {
    let task = world.ecs.tasks.iter().rev().find(|task| task.attempt == *attempt)?;
    Some(Report {
        phase: ReportPhase::Script,
        exit_code: task.exit_code?,
        signalled: false,
        command: None,
        line: None,
        message: None,
    })
}

/// A push as it is delivered.
pub(crate) fn delivered_push(world: &mut World, push: &Push) -> Push {
    let mut push = push.clone();
    if world.is(Mutant::RunIdUnstable) {
        push.trigger = format!("{}-{}", push.trigger, world.rng.u64(..));
    }
    if world.is(Mutant::OlderPushSupersedes) {
        push.at = None;
    }
    push
}

/// An agent's event as it is delivered.
pub(crate) fn delivered_event(world: &World, attempt: &AttemptId, observation: &Observation) -> (BuildId, u32, Observation) {
    let (mut number, mut observation) = (attempt.number, observation.clone());
    let current = world
        .tables
        .builds
        .get(&attempt.build)
        .and_then(|build| build.record.attempts.last());
    match (world.mutant, current) {
        (Some(Mutant::EventsMatchedByBuild), Some(current)) => {
            number = current.number;
            observation.version = None;
            if let Some(agent) = &current.agent {
                observation.agent = agent.clone();
            }
        }
        (Some(Mutant::LimitsAreFailures), _) => fail_for_want(&mut observation),
        (Some(Mutant::EveryStopIsInterruption), _) if observation.status == AgentStatus::Stopping => {
            observation.status = AgentStatus::Interrupted;
        }
        _ => {}
    }
    (attempt.build.clone(), number, observation)
}

pub(crate) fn acknowledges_errors(world: &World, job: &Job) -> bool {
    world.is(Mutant::PushErrorsAcknowledged) && matches!(job, Job::Push(_))
}
