//! The flows that are explored: each a small world in which nothing goes wrong but what is chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellhop_domain::alarm::AlarmState;
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::request::{At, PipelineAsks, PipelineStart, PipelineWork, Start, StartWhat};
use bellhop_domain::run::trigger::Push;

use crate::alarms::Alarms;
use crate::backups::Backups;
use crate::hostility::{Hostility, Spell};
use crate::instances::{Instances, Step};
use crate::requests::{self, Asks};
use crate::source::{DEFAULT_BRANCH, JobTruth, REPOSITORIES, RETRIED, Repository, Steady};
use crate::world::{Happening, Invoke, Job, MINUTE, Millis, SECOND, World};
use crate::{alarms, backups, codepipeline, instances};

macro_rules! flows {
    ($(#[doc = $doc:literal] $name:ident: $text:literal for $minutes:literal,)*) => {
        /// A flow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Flow {
            $(#[doc = $doc] $name,)*
        }

        impl Flow {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What happens in it.
            #[must_use]
            pub fn story(self) -> &'static str {
                match self {
                    $(Self::$name => $doc.trim_ascii(),)*
                }
            }

            /// For how many minutes faults can be chosen: until it has long been over, without any.
            fn minutes(self) -> Millis {
                match self {
                    $(Self::$name => $minutes,)*
                }
            }
        }
    };
}

flows! {
    /// A push of three jobs: one needs another one, which fails at first and is tried again.
    Push: "push" for 7,
    /// No event of an agent comes: the sweep finds how it ended.
    End: "end" for 8,
    /// The Spot capacity of an agent is taken back.
    Interruption: "interruption" for 7,
    /// EC2 advises to replace the instance of two agents, and warns of its end later.
    Warning: "warning" for 8,
    /// There is no Spot capacity, and then no capacity at all, for some minutes.
    Sweep: "sweep" for 9,
    /// A run is cancelled while an agent of it works.
    Cancel: "cancel" for 7,
    /// A newer push supersedes an older one.
    Supersede: "supersede" for 8,
    /// Two jobs share one place.
    Places: "places" for 7,
    /// A job runs on CodeBuild.
    CodeBuild: "codebuild" for 6,
    /// A job runs on Step Functions.
    StepFunctions: "step-functions" for 6,
    /// Somebody asks for a run, and for its failed job once more.
    Request: "request" for 9,
    /// An action of CodePipeline runs a job.
    Action: "action" for 7,
    /// Alarms restart a service, run a job, and pause starts, and are over later.
    Alarm: "alarm" for 8,
    /// A backup by schedule, its copy, a restore test of it, and a check.
    Backup: "backup" for 9,
}

fn job(agent: &'static str, needs: &[&str]) -> JobTruth {
    JobTruth {
        agent,
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        critical: false,
        spot: agent != "steady",
        relaunch_stopped: false,
        is_locked: false,
        timeout: 20 * MINUTE,
        limits: vec![2, 2],
        takes: 10 * SECOND,
        fails: 0.0,
    }
}

fn jobs<const N: usize>(jobs: [(&str, JobTruth); N]) -> BTreeMap<String, JobTruth> {
    jobs.map(|(name, job)| (name.to_owned(), job)).into()
}

/// Lays a flow down in a new world.
pub(crate) fn prepare(world: &mut World, flow: Flow) {
    world.hostility = Hostility::none();
    world.instances = Instances::quiet();
    world.alarms = Alarms::quiet();
    world.backups = Backups::quiet();
    let limits = if flow == Flow::Places {
        BTreeMap::from([("small", 1)])
    } else {
        BTreeMap::new()
    };
    let steady = match flow {
        Flow::CodeBuild => Steady::CodeBuild,
        Flow::StepFunctions => Steady::StepFunctions,
        _ => Steady::Ecs,
    };
    world.repository = Repository::plain(limits, flow == Flow::Supersede, steady);
    match flow {
        Flow::Push => {
            let first = JobTruth {
                limits: RETRIED.1.to_vec(),
                ..job("small", &[])
            };
            exits(world, "job-0", &[1]);
            let jobs = jobs([("job-0", first), ("job-1", job("steady", &[])), ("job-2", job("small", &["job-0"]))]);
            push(world, 0, jobs);
        }
        Flow::End => {
            world.hostility.event_lost = 1.0;
            one_job(world, "small");
        }
        Flow::Interruption => {
            if let Some(script) = &mut world.script {
                script.reclaimed.insert("job-0", 50 * SECOND);
            }
            let first = JobTruth {
                takes: 2 * MINUTE,
                ..job("small", &[])
            };
            push(world, 0, jobs([("job-0", first), ("job-1", job("small", &["job-0"]))]));
        }
        Flow::Warning => {
            instances::use_them(world);
            let long = JobTruth {
                takes: 3 * MINUTE,
                ..job("mixed", &[])
            };
            push(world, 0, jobs([("job-0", long.clone()), ("job-1", long)]));
            world.schedule(60 * SECOND, Happening::Instance(0, Step::Advised));
            world.schedule(80 * SECOND, Happening::Instance(0, Step::Warned));
        }
        Flow::Sweep => {
            one_job(world, "small");
            world.spells.insert(Spell::NoSpot);
            world.spells.insert(Spell::NoCapacity);
            world.schedule(100 * SECOND, Happening::Weather(Spell::NoCapacity, false));
            world.schedule(200 * SECOND, Happening::Weather(Spell::NoSpot, false));
        }
        Flow::Cancel => {
            let long = JobTruth {
                takes: 4 * MINUTE,
                ..job("small", &[])
            };
            let push = push(world, 0, jobs([("job-0", long), ("job-1", job("small", &["job-0"]))]));
            let run = RunId::derive(crate::SUITE, &push.trigger, &push.reference);
            send(world, 70 * SECOND, Job::Cancel(run, None));
        }
        Flow::Supersede => {
            let long = JobTruth {
                takes: 4 * MINUTE,
                ..job("small", &[])
            };
            push(world, 0, jobs([("job-0", long)]));
            push(world, 70 * SECOND, jobs([("job-0", job("small", &[]))]));
        }
        Flow::Places => {
            push(world, 0, jobs([("job-0", job("small", &[])), ("job-1", job("small", &[]))]));
        }
        Flow::CodeBuild | Flow::StepFunctions => one_job(world, "steady"),
        Flow::Request => {
            exits(world, "job-0", &[1]);
            world.repository.commit_of(0, jobs([("job-0", job("small", &[]))]));
            let what = StartWhat::Pipeline {
                repository: REPOSITORIES[0].parse().expect("it is a name"),
                at: At::Default,
                job: None,
            };
            let start = request(world, 0, Asks::Start(Start { what, id: None }));
            let reference = format!("refs/heads/{DEFAULT_BRANCH}").parse().expect("it is a reference");
            let job = "job-0".parse().expect("it is a job's name");
            request(world, 4 * MINUTE, Asks::Retry(BuildId { run: start, job }, reference));
        }
        Flow::Action => {
            world.repository.commit_of(0, jobs([("job-0", job("small", &[]))]));
            let asks = PipelineAsks::Start(PipelineStart {
                repository: REPOSITORIES[0].parse().expect("it is a name"),
                branch: None,
                commit: None,
                work: PipelineWork::Job("job-0".parse().expect("it is a job's name")),
            });
            codepipeline::lay_down(world, 0, asks);
        }
        Flow::Alarm => {
            world.repository.commit_of(0, jobs([("job-0", job("small", &[]))]));
            let states = [(10 * SECOND, AlarmState::Alarm), (3 * MINUTE, AlarmState::Ok)];
            alarms::lay_down(world, &["service-down", "disk-full", "costs"], &states);
            push(world, 40 * SECOND, jobs([("job-0", job("small", &[]))]));
        }
        Flow::Backup => backups::lay_down(world),
    }
    world.schedule(flow.minutes() * MINUTE, Happening::Calm);
    world.schedule(30 * SECOND, Happening::Minute);
}

fn exits(world: &mut World, job: &'static str, codes: &[i32]) {
    if let Some(script) = &mut world.script {
        script.exit_codes.insert(job, codes.to_vec());
    }
}

fn one_job(world: &mut World, agent: &'static str) {
    push(world, 0, jobs([("job-0", job(agent, &[]))]));
}

fn push(world: &mut World, at: Millis, jobs: BTreeMap<String, JobTruth>) -> Push {
    let push = world.repository.commit_of(at, jobs);
    world.repository.pushes.push(push.clone());
    send(world, at, Job::Push(Arc::new(push.clone())));
    push
}

fn send(world: &mut World, at: Millis, job: Job) {
    world.send(at, Invoke { job, tries: 0 });
}

/// Makes a request once, and gives its run.
fn request(world: &mut World, at: Millis, asks: Asks) -> RunId {
    let request = Arc::new(requests::Request::new(format!("request-{}", world.requests.made.len()), at, asks));
    world.requests.made.push(request.clone());
    let run = request.run();
    send(world, at, Job::Request(request));
    run
}
