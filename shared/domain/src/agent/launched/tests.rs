use super::*;
use crate::executor::{Executor, Providers, Script};
use crate::testing::spec;

/// A change, and the difference that it makes.
type Change<T> = (Difference, fn(&mut T));

const BUCKET: &str = "suite";
const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:release";

fn attempt() -> AttemptId {
    AttemptId {
        build: spec().id,
        number: 2,
    }
}

fn ecs() -> EcsExecutor {
    match spec().executor {
        Executor::Ecs(ecs) => ecs,
        other => unreachable!("{other:?}"),
    }
}

/// A task as ECS shows it that was launched on a capacity.
fn shown(capacity: Capacity) -> TaskLaunch {
    let mut task = ecs().launch_of(&spec(), &attempt(), capacity, BUCKET);
    task.definition = "arn:aws:ecs:us-east-1:123456789012:task-definition/bellhop-agent-small:7".to_owned();
    task.cluster = format!("arn:aws:ecs:us-east-1:123456789012:cluster/{}", task.cluster);
    task.launch_type = Some("FARGATE".to_owned());
    task.containers.insert(
        0,
        ContainerLaunch {
            name: "sidecar".to_owned(),
            variables: None,
            has_more: false,
        },
    );
    task
}

fn judge(task: &TaskLaunch) -> Result<Capacity, Difference> {
    ecs().launched(&spec(), &attempt(), BUCKET, task)
}

#[test]
fn a_task_that_carries_its_launch_is_proven_with_its_capacity() {
    for capacity in [Capacity::Spot, Capacity::OnDemand] {
        assert_eq!(judge(&shown(capacity)), Ok(capacity));
    }
}

#[test]
fn each_difference_of_a_task_is_found() {
    let changes: [Change<TaskLaunch>; 15] = [
        (Difference::Place, |task| task.cluster = "ci-spot".to_owned()),
        (Difference::Definition, |task| task.definition = "evil:1".to_owned()),
        (Difference::Name, |task| task.started_by = None),
        (Difference::Name, |task| {
            task.started_by = Some("bellhop/abcdefghij/test/1".to_owned())
        }),
        (Difference::Capacity, |task| task.capacity_provider = Some("FARGATE".to_owned())),
        (Difference::Capacity, |task| task.launch_type = Some("EC2".to_owned())),
        (Difference::Role, |task| {
            task.role = Some("arn:aws:iam::123456789012:role/other".to_owned())
        }),
        (Difference::Extra, |task| task.has_more = true),
        (Difference::Extra, |task| task.containers[0].has_more = true),
        (Difference::Extra, |task| task.containers[1].has_more = true),
        (Difference::Variables, |task| {
            task.containers[0].variables = Some(VariablesDigest::of([]))
        }),
        (Difference::Variables, |task| {
            task.containers[1].variables = Some(VariablesDigest::of([("CI", "true")]))
        }),
        (Difference::Variables, |task| task.containers[1].variables = None),
        (Difference::Variables, |task| task.containers[1].name = "other".to_owned()),
        (Difference::Variables, |task| task.containers.clear()),
    ];
    for (number, (expected, change)) in changes.into_iter().enumerate() {
        let mut task = shown(Capacity::OnDemand);
        change(&mut task);
        assert_eq!(judge(&task), Err(expected), "{number}");
    }
    let other = AttemptId { number: 1, ..attempt() };
    assert_eq!(
        ecs().launched(&spec(), &other, BUCKET, &shown(Capacity::Spot)),
        Err(Difference::Place)
    );
    assert!(ecs().launched(&spec(), &attempt(), "other", &shown(Capacity::Spot)).is_err());
}

#[test]
fn a_task_on_instances_is_compared_with_its_provider() {
    let on_instances = EcsExecutor {
        providers: Some(Providers {
            spot: None,
            on_demand: "instances".to_owned(),
        }),
        ..ecs()
    };
    let mut task = on_instances.launch_of(&spec(), &attempt(), Capacity::OnDemand, BUCKET);
    task.launch_type = Some("EC2".to_owned());
    task.definition = "bellhop-agent-small:1".to_owned();
    assert_eq!(on_instances.launched(&spec(), &attempt(), BUCKET, &task), Ok(Capacity::OnDemand));
    task.capacity_provider = Some("others".to_owned());
    assert_eq!(on_instances.launched(&spec(), &attempt(), BUCKET, &task), Err(Difference::Capacity));
}

#[test]
fn variables_are_the_same_in_any_order_and_each_once() {
    let digest = |variables: &[(&str, &str)]| VariablesDigest::of(variables.iter().copied());
    assert_eq!(digest(&[("A", "1"), ("B", "2")]), digest(&[("B", "2"), ("A", "1")]));
    for other in [
        &[("A", "1")][..],
        &[("A", "1"), ("B", "3")],
        &[("A", "1"), ("B", "2"), ("B", "2")],
        &[("A", "1"), ("B2", "")],
        &[("A", "1B"), ("", "2")],
        &[],
    ] {
        assert_ne!(digest(other), digest(&[("A", "1"), ("B", "2")]), "{other:?}");
    }
}

#[test]
fn each_difference_of_a_build_is_found() {
    let codebuild = CodeBuildExecutor {
        project: "ci-docker".to_owned(),
        logs: None,
    };
    let shown = codebuild.launch_of(&spec(), &attempt(), BUCKET, "us-east-1");
    let judge = |build: &BuildLaunch| codebuild.launched(&spec(), &attempt(), (BUCKET, "us-east-1"), build);
    assert_eq!(judge(&shown), Ok(()));
    let changes: [Change<BuildLaunch>; 10] = [
        (Difference::Place, |build| build.project = "ci-docker-2".to_owned()),
        (Difference::Variables, |build| build.variables = VariablesDigest::of([])),
        (Difference::Extra, |build| build.has_more = true),
        (Difference::Source, |build| build.source_type = Some("S3".to_owned())),
        (Difference::Source, |build| build.source_location = None),
        (Difference::Source, |build| build.source_version = Some("main".to_owned())),
        (Difference::Source, |build| build.buildspec = Some("buildspec.yml".to_owned())),
        (Difference::Source, |build| build.buildspec = None),
        (Difference::Source, |build| build.timeout = Some(480)),
        (Difference::Source, |build| build.queued_timeout = None),
    ];
    for (number, (expected, change)) in changes.into_iter().enumerate() {
        let mut build = shown.clone();
        change(&mut build);
        assert_eq!(judge(&build), Err(expected), "{number}");
    }
}

#[test]
fn each_difference_of_an_execution_is_found() {
    let machine = StepFunctionsExecutor {
        state_machine: MACHINE.to_owned(),
    };
    let shown = machine.launch_of(&spec(), &attempt(), BUCKET);
    let judge = |execution: &ExecutionLaunch| machine.launched(&spec(), &attempt(), BUCKET, execution);
    assert_eq!(judge(&shown), Ok(()));
    let other_script = BuildSpec {
        script: Script::Inline("make other".to_owned()),
        ..spec()
    };
    let other = machine.launch_of(&other_script, &attempt(), BUCKET);
    let cases = [
        (Difference::Variables, other),
        (
            Difference::Variables,
            ExecutionLaunch {
                input: None,
                ..shown.clone()
            },
        ),
        (
            Difference::Extra,
            ExecutionLaunch {
                has_more: true,
                ..shown.clone()
            },
        ),
        (
            Difference::Place,
            ExecutionLaunch {
                state_machine: format!("{MACHINE}-2"),
                ..shown.clone()
            },
        ),
        (
            Difference::Name,
            ExecutionLaunch {
                execution: format!("{}2", shown.execution),
                ..shown.clone()
            },
        ),
    ];
    for (expected, execution) in cases {
        assert_eq!(judge(&execution), Err(expected));
    }
}
