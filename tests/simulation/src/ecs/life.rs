//! The life cycle: every step of a task, and what follows from it.

use bellhop_domain::agent;
use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::observation::{Report, ReportPhase};
use bellhop_model::ecs::{
    CONTAINER_EXITED, EXITED, OUT_OF_MEMORY, SPOT_INTERRUPTION, SPOT_REASON, STOPPED_BY_USER, Status, USER_INITIATED,
};

use super::super::bucket::Left;
use super::task::{Ending, HOST_LOST, Of, Step, TIMED_OUT, Truth, short};
use crate::world::{Happening, Invoke, Job, MINUTE, Millis, SECOND, World};

/// The container's `stopTimeout` in the task definition.
pub(super) const STOP_TIMEOUT: Millis = 120 * SECOND;
/// What the agent keeps of it for the script's cleaning up and the report.
const MARGIN: Millis = 20 * SECOND;

impl World {
    /// A step in a task's life, unless the life went another way.
    pub(crate) fn task_step(&mut self, index: usize, step: Step) {
        let Some(task) = self.ecs.tasks.get(index) else { return };
        let starting = task.lives() && !task.is_stopping() && task.life.started_at.is_none();
        let running = task.lives() && task.life.started_at.is_some();
        let healthy = running && !task.is_stopping();
        match step {
            Step::Pending if starting => {
                self.status(index, Status::Pending);
                let wait = self.between_log(5 * SECOND, 60 * SECOND);
                self.schedule_in(wait / 2, Happening::Task(index, Step::Activating));
                self.schedule_in(wait, Happening::Task(index, Step::Up));
            }
            Step::Activating if starting && self.rng.bool() => self.status(index, Status::Activating),
            Step::Up if starting => self.up(index),
            Step::Fails(failure) if starting => self.fail_to_start(index, failure),
            Step::CheckedOut if running && !task.signalled => {
                if task.checkout_fails && task.entry_point {
                    self.script_ends(index, Truth::NotCheckedOut, 90);
                } else {
                    let takes = task.takes;
                    let ending = task.ending;
                    if let Some(task) = self.ecs.tasks.get_mut(index) {
                        task.script_began = true;
                    }
                    if ending != Ending::Hangs {
                        self.schedule_in(takes, Happening::Task(index, Step::ScriptEnds));
                    }
                }
            }
            Step::ScriptEnds if running && !task.script_over && !task.signalled => match task.ending {
                Ending::Exits(0) => self.script_ends(index, Truth::Succeeded, 0),
                Ending::Exits(code) => self.script_ends(index, Truth::Failed, code),
                Ending::OutOfMemory => {
                    if let Some(task) = self.ecs.tasks.get_mut(index) {
                        task.script_over = true;
                        task.truth = Truth::Failed;
                        task.container_reason = Some(OUT_OF_MEMORY);
                    }
                    self.container_ends(index, Some(137));
                }
                Ending::Hangs => {}
            },
            Step::TermPassedOn if running && !task.script_over && !task.signalled => {
                let answer = task.on_term;
                let (began, spot) = (task.script_began, task.capacity == Capacity::Spot && task.entry_point);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.signalled = true;
                }
                let wait = self.between_log(200, 5 * SECOND);
                let grace = if spot { MARGIN / 2 } else { STOP_TIMEOUT - MARGIN / 2 };
                match answer {
                    _ if !began => self.schedule_in(wait, Happening::Task(index, Step::ScriptAnswers(143))),
                    Some(code) => self.schedule_in(wait, Happening::Task(index, Step::ScriptAnswers(code))),
                    None => self.schedule_in(grace, Happening::Task(index, Step::ScriptAnswers(137))),
                }
            }
            Step::TimesOut if healthy && !task.script_over => {
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.script_over = true;
                    task.truth = Truth::Signalled;
                    task.life.mark_stop(TIMED_OUT, "");
                    task.life.stopping_at = Some(self.now);
                }
                self.container_ends(index, None);
            }
            Step::ScriptAnswers(code) if running && !task.script_over => self.script_ends(index, Truth::Signalled, code),
            Step::ContainerEnds(code) if running => self.container_ends(index, Some(code)),
            Step::Killed if running => {
                if let Some(task) = self.ecs.tasks.get_mut(index)
                    && !task.script_over
                {
                    task.script_over = true;
                    task.truth = Truth::Signalled;
                }
                self.container_ends(index, Some(137));
            }
            Step::SidecarEnds if healthy => {
                self.disturb(index);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.sidecar_ended_first = true;
                }
                begin_stop(self, index, CONTAINER_EXITED, EXITED);
            }
            Step::Deactivating if running && self.rng.bool() => self.status(index, Status::Deactivating),
            Step::Stopping if running => self.status(index, Status::Stopping),
            Step::Deprovisioning => self.status(index, Status::Deprovisioning),
            Step::Stopped => {
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.life.stopped_at = Some(self.now);
                }
                self.status(index, Status::Stopped);
            }
            Step::Reclaimed if task.goes_on() && !self.calm() => {
                self.statistics.interruptions += 1;
                begin_stop(self, index, SPOT_INTERRUPTION, SPOT_REASON);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.reclaimed = Some(self.now);
                }
            }
            Step::Disconnected if task.lives() && !self.calm() => {
                self.disturb(index);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.deaf = true;
                }
            }
            Step::StoppedByOutsider if task.goes_on() && !self.calm() => {
                self.disturb(index);
                begin_stop(self, index, USER_INITIATED, STOPPED_BY_USER);
            }
            Step::HostLost if task.goes_on() && !self.calm() => {
                self.disturb(index);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.life.mark_stop(HOST_LOST, "The host of the task was lost");
                    task.script_over = true;
                }
                self.container_ends(index, None);
            }
            _ => {}
        }
    }

    /// The instance of a task has gone, and the task with it.
    pub(crate) fn lose_host(&mut self, index: usize, reason: &str) {
        let now = self.now;
        let Some(task) = self.ecs.tasks.get_mut(index).filter(|task| task.lives()) else {
            return;
        };
        task.deaf = false;
        task.disturbed = true;
        task.script_over = true;
        // ECS gives no stop code for it.
        if task.life.mark_stop(None, reason) {
            task.life.stopping_at = Some(now);
        }
        self.container_ends(index, None);
    }

    fn disturb(&mut self, index: usize) {
        if let Some(task) = self.ecs.tasks.get_mut(index) {
            task.disturbed = true;
        }
    }

    pub(super) fn status(&mut self, index: usize, status: Status) {
        let now = self.now;
        let task = self.ecs.tasks.get_mut(index).filter(|task| !task.deaf);
        if task.is_some_and(|task| task.life.enter(status, now)) {
            changed(self, index);
        }
    }

    fn up(&mut self, index: usize) {
        if let Some(task) = self.ecs.tasks.get_mut(index) {
            task.life.started_at = Some(self.now);
        }
        self.status(index, Status::Running);
        if let Some(longest) = self.ecs.tasks.get(index).and_then(|task| task.longest) {
            self.schedule_in(longest, Happening::Task(index, Step::TimesOut));
        }
        let checkout = self.between_log(SECOND, 20 * SECOND);
        self.schedule_in(checkout, Happening::Task(index, Step::CheckedOut));
    }

    /// The script is over: the agent's program writes its report, and then the container ends.
    fn script_ends(&mut self, index: usize, truth: Truth, code: i32) {
        let Some(task) = self.ecs.tasks.get_mut(index) else { return };
        task.script_over = true;
        task.truth = truth;
        let attempt = task.attempt.clone();
        let agent = task.agent.clone();
        let reports = task.entry_point && !task.upload_fails && task.of == Of::Ecs;
        // Its API tells as much as a report would.
        task.reported = task.of != Of::Ecs && matches!(truth, Truth::Succeeded | Truth::Failed);
        self.note("script over", &attempt.build, || {
            format!("{}: {truth:?}, exit code {code}", short(&agent))
        });
        let artifacts = self.tables.builds.get(&attempt.build).map(|build| &build.record.spec.artifacts);
        if matches!(truth, Truth::Succeeded | Truth::Failed) && artifacts.is_some_and(|artifacts| !artifacts.is_empty()) {
            self.leave(index, |left| left.artifacts = true);
        }
        if reports {
            let signalled = truth == Truth::Signalled;
            let report = Report {
                phase: if truth == Truth::NotCheckedOut || signalled && !self.ecs.tasks.get(index).is_some_and(|task| task.script_began) {
                    ReportPhase::Checkout
                } else {
                    ReportPhase::Script
                },
                exit_code: code,
                signalled,
                command: None,
                line: None,
                message: None,
            };
            if let Some(task) = self.ecs.tasks.get_mut(index) {
                task.reported = true;
            }
            self.leave(index, |left| left.report = Some(report));
        }
        let wait = self.between_log(50, 3 * SECOND);
        self.schedule_in(wait, Happening::Task(index, Step::ContainerEnds(code)));
    }

    /// The agent writes into its folder.
    fn leave(&mut self, index: usize, write: impl FnOnce(&mut Left)) {
        let Some(task) = self.ecs.tasks.get(index) else { return };
        let Some(build) = self.tables.builds.get(&task.attempt.build) else {
            return;
        };
        let spec = &build.record.spec;
        let place = agent::place(spec, &task.attempt);
        let name = task.folder();
        write(self.bucket.open(&place, &name, &task.attempt));
    }

    fn container_ends(&mut self, index: usize, code: Option<i32>) {
        let now = self.now;
        let Some(task) = self.ecs.tasks.get_mut(index) else { return };
        task.ended = Some(now);
        task.exit_code = code;
        if task.life.mark_stop(CONTAINER_EXITED, EXITED) {
            task.life.stopping_at = Some(now);
        }
        self.take_down(index);
    }

    /// What follows the end of the containers.
    pub(super) fn take_down(&mut self, index: usize) {
        let first = self.rng.u64(300..2 * SECOND);
        let then = self.between_log(5 * SECOND, 40 * SECOND);
        self.schedule_in(first, Happening::Task(index, Step::Deprovisioning));
        self.schedule_in(first + then, Happening::Task(index, Step::Stopped));
    }
}

/// A task is told to stop: by `StopTask`, or because its Spot capacity is taken back. What has been told so before is not told again.
pub(super) fn begin_stop(world: &mut World, index: usize, code: &'static str, reason: &str) {
    let now = world.now;
    let Some(task) = world.ecs.tasks.get_mut(index).filter(|task| task.lives() && !task.is_stopping()) else {
        return;
    };
    task.life.want_stop(code, reason, now);
    let up = task.life.started_at.is_some();
    let of = task.of;
    let patient = task.entry_point && task.capacity == Capacity::Spot;
    if task.deaf {
        // ECS says what it wants, and the instance does not hear it.
        return changed(world, index);
    }
    if !up {
        task.ended = Some(now);
    }
    changed(world, index);
    if up && of != Of::Ecs {
        let wait = world.rng.u64(SECOND..5 * SECOND);
        world.schedule_in(wait, Happening::Task(index, Step::Killed));
    } else if up {
        let wait = if patient { STOP_TIMEOUT - MARGIN } else { 0 };
        world.schedule_in(wait, Happening::Task(index, Step::TermPassedOn));
        world.schedule_in(STOP_TIMEOUT, Happening::Task(index, Step::Killed));
        let echo = world.rng.u64(SECOND..10 * SECOND);
        world.schedule_in(echo, Happening::Task(index, Step::Deactivating));
        world.schedule_in(echo + SECOND, Happening::Task(index, Step::Stopping));
    } else {
        world.take_down(index);
    }
}

/// Tells the world of a task's new state, with an event as EventBridge would deliver it.
pub(super) fn changed(world: &mut World, index: usize) {
    const KEPT: usize = 4;
    let now = world.now;
    let Some(task) = world.ecs.tasks.get_mut(index) else { return };
    let mut observation = task.observation();
    if task.past.len() == KEPT {
        task.past.remove(0);
    }
    task.past.push((now, observation.clone()));
    let (attempt, agent) = (task.attempt.clone(), task.agent.clone());
    let (of, has_failed) = (task.of, task.truth == Truth::Failed && task.is_gone());
    let (status, stopping, version) = (task.life.status.name(), task.is_stopping(), task.life.version);
    world.note("task", &attempt.build, || {
        format!("{} v{version} {status}{}", short(&agent), if stopping { ", to stop" } else { "" })
    });
    let hostility = world.hostility.clone();
    let hostile = !world.calm();
    let mut copies = 1;
    if hostile {
        if world.chance(hostility.event_lost) {
            world.statistics.events_lost += 1;
            copies = 0;
        } else if world.chance(hostility.event_repeated) {
            world.statistics.events_repeated += 1;
            copies = world.rng.u32(2..4);
        }
        if world.chance(hostility.event_unversioned) {
            observation.version = None;
        }
    }
    for _ in 0..copies {
        let late = hostile && world.chance(hostility.event_late);
        let wait = if late {
            world.between_log(5 * SECOND, 40 * MINUTE)
        } else {
            world.between_log(100, 2 * SECOND)
        };
        let unnamed = of != Of::Ecs && hostile && world.dice.u32(0..4) == 0;
        if unnamed && of == Of::StepFunctions && !has_failed {
            // It lacks its input, and the rule does not match it. One that tells a failure may lack only its cause.
            continue;
        }
        let job = if unnamed {
            Job::Unnamed(attempt.clone(), agent.clone())
        } else {
            Job::Agent(attempt.clone(), Box::new(observation.clone()))
        };
        world.statistics.events += 1;
        world.send(wait, Invoke { job, tries: 0 });
    }
}
