use std::collections::BTreeMap;
use std::time::Duration;

use crate::alarm::RemedyAction;
use crate::config::{PipelineFile, SuiteConfig, Work};
use crate::executor::Capacity;
use crate::executor::{EcsExecutor, Executor, Logs};
use crate::spec::{Relaunch, RetryOn, RetryPolicy, RetryRule, Successes};

const SUITE: &str = r#"
version: 1
agents:
  large:
    ecs:
      clusters: { spot: build-spot, on-demand: build }
      task-definition: agent-large:7
      container: builder
      logs: { group: /build/agents, stream-prefix: large }
      subnets: [subnet-0c, subnet-0d]
      security-groups: [sg-0e]
      assign-public-ip: true
    max-concurrent: 12
  both:
    ecs:
      cluster: mixed
      task-definition: agent-small
      subnets: [subnet-0c]
    restricted: true
  images:
    codebuild: { project: images, logs: { group: /build/images } }
  packages:
    codebuild: { project: packages, logs: { group: /build/images, stream-prefix: packages } }
repositories:
  warehouse: { agents: [large, images] }
  "docs.site": { agents: [] }
jobs:
  sweep-caches: { agent: both, repository: operations, branch: main, run: ./sweep.sh }
alarms:
  - name: "controller-down*"
    restart-service: { cluster: build, service: controller, at-most-every: 45m }
  - name: "disk-*"
    run-job: sweep-caches
    dry-run: true
  - name: "disk*"
    pause-starts: true
  - name: registry
    restart-service: { cluster: build, service: registry }
    at-most-every: 2h
backups:
  home:
    resource: arn:aws:elasticfilesystem:eu-central-1:111122223333:file-system/fs-1
    vault: build
    role: arn:aws:iam::111122223333:role/backup
    start-within: 1h
    complete-within: 150m
    cold-after: 30d
    delete-after: 120d
    copy-to: arn:aws:backup:eu-west-1:111122223333:backup-vault:build
    newest-at-most: 26h
    restore-test: { every: 7d, metadata: { kmsKeyId: alias/home } }
notify: { successes: all }
"#;

const PIPELINE: &str = r#"
version: 1
jobs:
  check:
    on: { push: { branches: [main, "feature/*"], tags: ["v*"], paths: ["src/**", "!**/*.md"] } }
    agent: large
    run: |
      make check
      make report
    environment: { VERBOSE: "1", LEVEL: 3, COLOUR: false }
    critical: true
    timeout: 1h 30m
    queue-timeout: 10m
    relaunch: stopped
    retry: [ { on: interrupted, limit: 3, capacity: on-demand }, { exit-codes: [75, 76], on: [failure, timeout], limit: 1, backoff: 1m } ]
    artifacts: [target/report.xml, "dist/**", "**/..odd/*.log"]
  package:
    needs: [check]
    agent: images
    buildspec: build/package.yml
    retry: never
  plain: { agent: large, run: "true" }
concurrency: { supersede: true, except: [main, "release/*"] }
"#;

#[test]
fn capacity_providers_take_the_place_of_fargates() {
    let config = SuiteConfig::parse(
        "version: 1
agents:
  large:
    ecs: { cluster: ci, capacity-providers: { spot: groups-spot, on-demand: groups }, task-definition: t }
  steady:
    ecs: { clusters: { spot: a, on-demand: b }, capacity-providers: { on-demand: groups }, task-definition: t, subnets: [s] }
  small:
    ecs: { cluster: c, task-definition: t, subnets: [s] }
  docker: { codebuild: { project: p } }
",
    )
    .unwrap();
    let ecs = |name: &str| match &config.agents[&name.parse().unwrap()].executor {
        Executor::Ecs(ecs) => ecs.clone(),
        _ => unreachable!("{name} is an ECS agent"),
    };
    let providers = |name: &str| {
        let ecs = ecs(name);
        [Capacity::Spot, Capacity::OnDemand].map(|capacity| ecs.provider(capacity).map(ToOwned::to_owned))
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(providers("large"), [named("groups-spot"), named("groups")]);
    assert_eq!((ecs("large").offers_spot(), ecs("large").subnets.len()), (true, 0));
    assert_eq!(providers("steady")[1], named("groups"));
    assert!(
        !ecs("steady").offers_spot(),
        "without a provider for it there is no Spot, whatever the clusters"
    );
    assert_eq!(providers("small"), [named("FARGATE_SPOT"), None]);
    assert!(config.clusters().iter().eq(["a", "b", "c", "ci"]));
}

#[test]
fn a_whole_suite_configuration() {
    let config = SuiteConfig::parse(SUITE).unwrap();
    let large = &config.agents[&"large".parse().unwrap()];
    assert_eq!(
        large.executor,
        Executor::Ecs(EcsExecutor {
            spot_cluster: Some("build-spot".to_owned()),
            on_demand_cluster: "build".to_owned(),
            task_definition: "agent-large:7".to_owned(),
            container: "builder".to_owned(),
            subnets: vec!["subnet-0c".to_owned(), "subnet-0d".to_owned()],
            security_groups: vec!["sg-0e".to_owned()],
            assign_public_ip: true,
            providers: None,
            logs: Some(Logs {
                group: "/build/agents".to_owned(),
                stream_start: "large/builder/".to_owned(),
            }),
        })
    );
    assert_eq!((large.max_concurrent, large.restricted), (Some(12), false));

    let both = &config.agents[&"both".parse().unwrap()];
    let Executor::Ecs(ecs) = &both.executor else {
        unreachable!("both is an ECS agent");
    };
    assert_eq!(ecs.cluster(Capacity::Spot), "mixed");
    assert_eq!(ecs.cluster(Capacity::OnDemand), "mixed");
    assert_eq!(ecs.container, "agent");
    assert!(ecs.spot_cluster.is_some() && !ecs.assign_public_ip && both.restricted && ecs.logs.is_none());

    let starts = ["images", "packages"].map(|name| {
        let logs = config.agents[&name.parse().unwrap()].executor.kind().logs().unwrap();
        (logs.group.as_str(), logs.stream_start.as_str())
    });
    assert_eq!(starts, [("/build/images", ""), ("/build/images", "packages/")]);

    let repositories = config.repositories.clone().unwrap();
    assert_eq!(repositories[&"warehouse".parse().unwrap()].agents.len(), 2);
    assert!(repositories[&"docs.site".parse().unwrap()].agents.is_empty());
    assert_eq!(config.jobs[&"sweep-caches".parse().unwrap()].branch, "main");
    assert!(config.alarms[0].name.matches("controller-down/eu"));
    assert!(!config.alarms[0].name.matches("disk-full"));
    let restart = config.remedy("controller-down").unwrap();
    assert_eq!(
        restart.action,
        RemedyAction::RestartService {
            cluster: "build".to_owned(),
            service: "controller".to_owned(),
        }
    );
    assert_eq!((restart.at_most_every, restart.dry_run), (Duration::from_secs(45 * 60), false));
    let job = config.remedy("disk-7").unwrap();
    assert_eq!(job.action, RemedyAction::RunJob("sweep-caches".parse().unwrap()));
    assert_eq!(
        (job.at_most_every, job.dry_run),
        (Duration::from_secs(30 * 60), true),
        "the first that matches"
    );
    let pause = config.remedy("disk8").unwrap();
    assert_eq!((&pause.action, pause.at_most_every), (&RemedyAction::PauseStarts, Duration::ZERO));
    let other = config.remedy("registry").unwrap();
    assert_eq!(other.at_most_every, Duration::from_secs(2 * 3600));
    assert_eq!(config.remedy("other"), None);
    assert!(config.pauses());
    assert_eq!(config.backups["home"].delete_after, Some(Duration::from_secs(120 * 24 * 3600)));
    let test = config.backups["home"].restore_test.as_ref().unwrap();
    assert_eq!((test.every, test.role.as_deref()), (Duration::from_secs(7 * 24 * 3600), None));
    assert_eq!(test.metadata["kmsKeyId"], "alias/home");
    assert_eq!(config.notify.successes, Successes::All);
}

#[test]
fn the_smallest_suite_configuration() {
    let text = "version: 1\nagents:\n  a:\n    ecs: { clusters: { on-demand: c }, task-definition: t, subnets: [s] }\n";
    let config = SuiteConfig::parse(text).unwrap();
    let Executor::Ecs(ecs) = &config.agents[&"a".parse().unwrap()].executor else {
        unreachable!("a is an ECS agent");
    };
    assert_eq!(ecs.spot_cluster, None);
    assert!(config.repositories.is_none() && config.alarms.is_empty() && !config.pauses());
    assert_eq!(config.notify.successes, Successes::Changes);
}

#[test]
fn a_whole_pipeline_file() {
    let file = PipelineFile::parse(PIPELINE).unwrap();
    let [check, package, plain] = file.jobs() else {
        unreachable!("the file has three jobs");
    };
    assert_eq!(check.name.as_str(), "check");
    assert_eq!(check.agent.as_str(), "large");
    assert_eq!(check.work, Work::Run("make check\nmake report\n".to_owned()));
    assert_eq!(
        check.environment,
        BTreeMap::from([("VERBOSE", "1"), ("LEVEL", "3"), ("COLOUR", "false")].map(|(k, v)| (k.to_owned(), v.to_owned())))
    );
    assert!(check.critical);
    assert_eq!(check.timeout, Duration::from_secs(90 * 60));
    assert_eq!(check.queue_timeout, Duration::from_secs(10 * 60));
    assert_eq!(check.relaunch, Relaunch::Stopped);
    assert_eq!(
        check.retry.rules,
        [
            RetryRule {
                on: vec![RetryOn::Interrupted],
                exit_codes: Vec::new(),
                limit: 3,
                backoff: Duration::ZERO,
                capacity: Some(Capacity::OnDemand),
            },
            RetryRule {
                on: vec![RetryOn::Failure, RetryOn::Timeout],
                exit_codes: vec![75, 76],
                limit: 1,
                backoff: Duration::from_secs(60),
                capacity: None,
            },
        ]
    );
    assert_eq!(check.artifacts, ["target/report.xml", "dist/**", "**/..odd/*.log"]);
    assert_eq!(package.work, Work::Buildspec("build/package.yml".to_owned()));
    assert_eq!(package.retry, RetryPolicy::never());
    assert_eq!(package.needs, ["check".parse().unwrap()]);
    assert_eq!(plain.timeout, Duration::from_secs(3600));
    assert_eq!(plain.queue_timeout, Duration::from_secs(7200));
    assert_eq!(plain.retry, RetryPolicy::default());
    assert_eq!(plain.relaunch, Relaunch::Warning);
    assert!(plain.artifacts.is_empty());

    assert!(file.concurrency().supersedes("feature/x"));
    assert!(!file.concurrency().supersedes("main"));
    assert!(!file.concurrency().supersedes("release/1.0"));
}

#[test]
fn without_concurrency_nothing_is_superseded() {
    let file = PipelineFile::parse(&super::pipeline("run: x", "")).unwrap();
    assert!(!file.concurrency().supersedes("main"));
}

#[test]
fn anchors_and_merge_keys_may_be_used() {
    let text = "version: 1\njobs:\n  a: &base\n    agent: small\n    run: make a\n    environment: &env { A: x }\n  b:\n    <<: *base\n    run: make b\n  c:\n    agent: small\n    run: make c\n    environment: *env\n";
    let file = PipelineFile::parse(text).unwrap();
    assert_eq!(file.jobs()[1].agent.as_str(), "small");
    assert_eq!(file.jobs()[1].work, Work::Run("make b".to_owned()));
    assert_eq!(file.jobs()[2].environment["A"], "x");
}

#[test]
fn a_single_value_stands_for_a_list_of_one() {
    let file = |on: &str, rest: &str| {
        let text =
            format!("version: 1\njobs:\n  a: {{ agent: small, run: x }}\n  b: {{ agent: small, run: x, on: {{ push: {on} }}, {rest} }}\n");
        format!("{:?}", PipelineFile::parse(&text).unwrap().jobs())
    };
    assert_eq!(
        file(
            "{ branches: main, tags: 'v*', paths: 'src/**' }",
            "needs: a, artifacts: 'dist/**', retry: [{ exit-codes: 75 }]"
        ),
        file(
            "{ branches: [main], tags: ['v*'], paths: ['src/**'] }",
            "needs: [a], artifacts: ['dist/**'], retry: [{ exit-codes: [75] }]"
        ),
    );
    let suite = |subnets: &str, agents: &str| {
        let ecs = format!("cluster: c, task-definition: t, subnets: {subnets}, security-groups: {subnets}");
        let text = format!("version: 1\nagents: {{ small: {{ ecs: {{ {ecs} }} }} }}\nrepositories: {{ shop: {{ agents: {agents} }} }}\n");
        let config = SuiteConfig::parse(&text).unwrap();
        format!("{:?} {:?}", config.agents, config.repositories)
    };
    assert_eq!(suite("subnet-0", "small"), suite("[subnet-0]", "[small]"));
}

#[test]
fn keys_of_the_users_own_are_a_home_for_anchors() {
    let text = ".checks: &checks { agent: small, run: make }\nversion: 1\nx-names: [&branch main]\njobs:\n  a: { <<: *checks, on: { push: { branches: *branch } } }\n";
    let file = PipelineFile::parse(text).unwrap();
    assert_eq!(file.jobs()[0].work, Work::Run("make".to_owned()));
    let suite = "x-agent: &ecs { cluster: c, task-definition: t, subnets: s }\nversion: 1\nagents: { small: { ecs: *ecs } }\n";
    assert_eq!(SuiteConfig::parse(suite).unwrap().agents.len(), 1);
    // Only at the top: further in, a key is a name or a mistake.
    let inside = "version: 1\njobs:\n  a: { agent: small, run: make, x-note: y }\n";
    assert!(
        PipelineFile::parse(inside)
            .unwrap_err()
            .headline()
            .contains("jobs.a: unknown key `x-note`")
    );
}
