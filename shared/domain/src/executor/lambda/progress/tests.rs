//! Deployments of a function that is simulated here: calls whose replies are lost, somebody else who moves the alias, alarms.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::executor::target::{FileOf, Step};
use crate::testing::t;

const NEW: &str = "aa11";
const OLD: &str = "0000";

/// A function with an alias, as Lambda has it.
#[derive(Debug, Clone)]
struct Function {
    code: String,
    /// How many more looks the last update is under way.
    updating: u32,
    fails: bool,
    /// The hashes of the versions, the first is version 1.
    versions: Vec<String>,
    /// How many more looks the newest version is pending.
    pending: u32,
    alias: (String, Option<(String, u8)>),
    revision: u32,
    alarm: AlarmState,
}

impl Function {
    fn new() -> Self {
        Self {
            code: OLD.to_owned(),
            updating: 0,
            fails: false,
            versions: vec![OLD.to_owned()],
            pending: 0,
            alias: ("1".to_owned(), None),
            revision: 0,
            alarm: AlarmState::Quiet,
        }
    }

    fn seen(&mut self) -> Seen {
        let update = match (self.updating, self.fails) {
            (0, true) => Update::Failed("the image is broken".to_owned()),
            (0, false) => Update::Successful,
            _ => Update::InProgress,
        };
        self.updating = self.updating.saturating_sub(1);
        let is_active = self.pending == 0;
        self.pending = self.pending.saturating_sub(1);
        let (version, other) = self.alias.clone();
        Seen {
            code: Code {
                sha256: self.code.clone(),
                update,
            },
            is_active,
            alias: Alias {
                version,
                other,
                revision: self.revision.to_string(),
            },
            alarms: vec![Alarm {
                name: "errors".to_owned(),
                state: self.alarm,
            }],
        }
    }

    /// What a call gives: the version that was published.
    fn call(&mut self, call: &Call) -> Option<String> {
        match call {
            Call::UpdateCode => {
                assert_eq!(self.updating, 0, "an update during an update");
                (self.code, self.updating) = (NEW.to_owned(), 2);
                None
            }
            Call::Publish => {
                if self.versions.last() != Some(&self.code) {
                    self.versions.push(self.code.clone());
                    self.pending = 1;
                }
                Some(self.versions.len().to_string())
            }
            Call::MoveAlias { version, other, revision } => {
                if *revision == self.revision.to_string() {
                    self.alias = (version.clone(), other.clone());
                    self.revision += 1;
                }
                None
            }
        }
    }

    fn moved_by_others(&mut self, version: &str, other: Option<(&str, u8)>) {
        self.alias = (version.to_owned(), other.map(|(version, percent)| (version.to_owned(), percent)));
        self.revision += 1;
    }
}

fn target(steps: &[(u8, u64)]) -> LambdaExecutor {
    LambdaExecutor {
        target: LambdaTarget {
            function: "pdf-index".to_owned(),
            alias: "live".to_owned(),
            alarms: vec!["errors".to_owned()],
        },
        code: FileOf {
            from: "package".parse().unwrap(),
            path: "pdf-index.zip".to_owned(),
        },
        shift: steps
            .iter()
            .map(|(percent, seconds)| Step {
                percent: *percent,
                lasts: Duration::from_secs(*seconds),
            })
            .collect(),
    }
}

/// A deployment of a function.
struct Deployment {
    function: Function,
    target: LambdaExecutor,
    progress: Progress,
    published: Option<String>,
    stop: bool,
    second: i64,
    done: Option<Done>,
    /// What the alias has been, each once in a row.
    moves: Vec<(String, Option<(String, u8)>)>,
}

impl Deployment {
    fn new(steps: &[(u8, u64)]) -> Self {
        Self {
            function: Function::new(),
            target: target(steps),
            progress: Progress::Begun,
            published: None,
            stop: false,
            second: 0,
            done: None,
            moves: Vec::new(),
        }
    }

    /// A look, and the call that follows from it, if its request comes through; its reply may be lost.
    fn step(&mut self, comes_through: bool, reply_is_lost: bool) {
        let seen = self.function.seen();
        let next = self.progress.next(&self.target, NEW, &seen, self.published.as_deref(), self.stop, t(self.second));
        match next {
            Next::Call(progress, call) => {
                self.progress = progress;
                if comes_through {
                    let published = self.function.call(&call);
                    if !reply_is_lost {
                        self.published = published.or(self.published.take());
                    }
                    if self.moves.last() != Some(&self.function.alias) {
                        self.moves.push(self.function.alias.clone());
                    }
                }
                self.second += 1;
            }
            Next::Wait(progress, wait) => {
                assert!(!wait.is_zero());
                self.progress = progress;
                self.second += i64::try_from(wait.as_secs()).unwrap();
            }
            Next::Done(done) => self.done = Some(done),
        }
    }

    fn run(&mut self) -> Done {
        for _ in 0..500 {
            if let Some(done) = &self.done {
                return done.clone();
            }
            self.step(true, false);
        }
        panic!("it does not end: {:?}", self.progress)
    }

    fn until(&mut self, at: impl Fn(&Progress) -> bool) {
        while !at(&self.progress) {
            assert_eq!(self.done, None);
            self.step(true, false);
        }
    }
}

fn moved(version: &str, other: Option<(&str, u8)>) -> (String, Option<(String, u8)>) {
    (version.to_owned(), other.map(|(version, percent)| (version.to_owned(), percent)))
}

#[test]
fn new_code_becomes_a_version_and_the_alias_moves_to_it() {
    let mut deployment = Deployment::new(&[]);
    assert_eq!(
        deployment.run(),
        Done::Succeeded {
            version: "2".to_owned()
        }
    );
    assert_eq!(deployment.moves.last(), Some(&moved("2", None)));
    assert_eq!(deployment.function.versions, [OLD, NEW]);
}

#[test]
fn the_alias_moves_in_steps_that_take_their_time() {
    let mut deployment = Deployment::new(&[(10, 300), (50, 60)]);
    assert_eq!(
        deployment.run(),
        Done::Succeeded {
            version: "2".to_owned()
        }
    );
    let moves = &deployment.moves[deployment.moves.len() - 3..];
    assert_eq!(moves, [moved("1", Some(("2", 10))), moved("1", Some(("2", 50))), moved("2", None)]);
    assert!((360..400).contains(&deployment.second), "{}", deployment.second);
}

#[test]
fn an_alarm_takes_the_alias_back() {
    let mut deployment = Deployment::new(&[(10, 300)]);
    deployment.until(|progress| matches!(progress, Progress::Shift { since: Some(_), .. }));
    deployment.function.alarm = AlarmState::Alarm;
    assert_eq!(
        deployment.run(),
        Done::RolledBack("the alarm `errors` is in ALARM at 10 % on version 2".to_owned())
    );
    assert_eq!(deployment.function.alias, moved("1", None));
}

#[test]
fn what_speaks_against_it_is_said_before_anything_changes() {
    let refused = |change: fn(&mut Function)| {
        let mut deployment = Deployment::new(&[(10, 300)]);
        change(&mut deployment.function);
        let Done::Failed(why) = deployment.run() else {
            panic!("it was not refused")
        };
        assert_eq!((deployment.function.code.as_str(), deployment.moves.len()), (OLD, 0));
        why
    };
    assert!(refused(|function| function.alarm = AlarmState::Alarm).contains("in ALARM already"));
    assert!(refused(|function| function.alarm = AlarmState::Missing).contains("there is no alarm `errors`"));
    assert!(refused(|function| function.moved_by_others("1", Some(("3", 20)))).contains("already sends 20 %"));
    assert!(refused(|function| function.moved_by_others("$LATEST", None)).contains("points to $LATEST"));
}

#[test]
fn an_alias_that_somebody_else_moves_is_left_there() {
    for at in 0..3 {
        let mut deployment = Deployment::new(&[(10, 300)]);
        deployment.until(|progress| match (at, progress) {
            (0, Progress::Publish { .. }) | (1, Progress::Shift { since: Some(_), .. }) => true,
            (2, Progress::Back { .. }) => true,
            _ => at == 2 && matches!(progress, Progress::Shift { since: Some(_), .. }),
        });
        if at == 2 {
            deployment.function.alarm = AlarmState::Alarm;
        }
        deployment.function.moved_by_others("7", None);
        let Done::Failed(why) = deployment.run() else {
            panic!("it did not fail")
        };
        assert!(why.contains("moved by somebody else: it points to version 7"), "{why}");
        assert_eq!(deployment.function.alias, moved("7", None));
    }
}

#[test]
fn code_that_is_there_already_changes_nothing() {
    let mut deployment = Deployment::new(&[(10, 300)]);
    (deployment.function.code, deployment.function.versions) = (NEW.to_owned(), vec![NEW.to_owned()]);
    assert_eq!(
        deployment.run(),
        Done::Succeeded {
            version: "1".to_owned()
        }
    );
    assert_eq!(deployment.function.alias, moved("1", None));
}

#[test]
fn code_that_lambda_cannot_take_fails() {
    let mut deployment = Deployment::new(&[]);
    deployment.function.fails = true;
    assert_eq!(
        deployment.run(),
        Done::Failed("Lambda could not take the code: the image is broken".to_owned())
    );
    assert_eq!(deployment.function.alias, moved("1", None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is lost, and whenever it is stopped: it ends, and the alias is where its end says.
    #[test]
    fn it_ends_and_its_end_is_true(
        steps in select(vec![vec![], vec![(10, 60)], vec![(10, 30), (50, 30)]]),
        fates in prop::collection::vec((prop::bool::weighted(0.7), prop::bool::weighted(0.3)), 0..40),
        stop_at in prop::option::of(0..40usize),
        alarm_at in prop::option::of(0..40usize),
    ) {
        let mut deployment = Deployment::new(&steps);
        for (index, (comes_through, reply_is_lost)) in fates.into_iter().enumerate() {
            deployment.stop |= stop_at == Some(index);
            if alarm_at == Some(index) {
                deployment.function.alarm = AlarmState::Alarm;
            }
            if deployment.done.is_none() {
                deployment.step(comes_through, reply_is_lost);
            }
        }
        let done = deployment.run();
        let alias = deployment.function.alias.clone();
        match done {
            Done::Succeeded { version } => {
                prop_assert_eq!(&alias, &moved(&version, None));
                prop_assert_eq!(deployment.function.versions[version.parse::<usize>().unwrap() - 1].as_str(), NEW);
            }
            Done::RolledBack(_) | Done::Stopped | Done::Failed(_) => prop_assert_eq!(alias, moved("1", None)),
        }
        prop_assert!(deployment.function.versions.len() <= 2, "a version that is not needed");
    }
}
