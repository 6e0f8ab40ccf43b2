use std::time::Duration;

use super::pipeline;
use crate::agent::{fits_environment, script_key};
use crate::config::{OffRef, OnBehalf, PipelineFile, Select, SuiteConfig, gated, off_ref, plan, plan_script};
use crate::executor::{CodeBuildExecutor, EcsExecutor, Executor, Script};
use crate::ids::{JobName, PoolName, RunId};
use crate::inputs::Inputs;
use crate::run::trigger::Push;
use crate::secret::Secret;
use crate::spec::{Bearing, BuildSpec, Relaunch, RetryPolicy, Successes};

pub(super) const AGENTS: &str = "version: 1
agents:
  small: { ecs: { clusters: { spot: s, on-demand: d }, task-definition: t, subnets: [n] } }
  secret: { ecs: { cluster: c, task-definition: t, subnets: [n] }, restricted: true }
  docker: { codebuild: { project: p } }
";

pub(super) fn push(reference: &str) -> Push {
    Push {
        trigger: "event".to_owned(),
        repository: "shop".parse().unwrap(),
        reference: reference.parse().unwrap(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        previous: None,
        at: None,
        by: None,
    }
}

pub(super) fn try_plan(file: &str, config: &str, reference: &str, changed: Option<&[&str]>) -> Result<Vec<BuildSpec>, String> {
    let push = push(reference);
    let run = RunId::derive("ci", &push.trigger, &push.reference);
    let file = PipelineFile::parse(file).unwrap();
    let config = SuiteConfig::parse(config).unwrap();
    let changed: Option<Vec<String>> = changed.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
    plan(&run, &push, &file, &config, Select::ByFilters(changed.as_deref())).map_err(|error| error.headline())
}

fn names(builds: &[BuildSpec]) -> Vec<&str> {
    builds.iter().map(|build| build.id.job.as_str()).collect()
}

/// A job may take files of every job that comes before it, and a job with a lock has one agent at a time.
#[test]
fn a_job_takes_files_of_jobs_before_it_and_its_lock_belongs_to_the_repository() {
    let text = pipeline(
        "run: make\nneeds: [lint]\nfetch: [package]\nlock: staging",
        "lint: { agent: small, run: x, needs: package }\npackage: { agent: small, run: x, artifacts: 'dist/**' }\n",
    );
    let builds = try_plan(&text, AGENTS, "refs/heads/main", None).unwrap();
    let test = builds.iter().find(|build| build.id.job.as_str() == "test").unwrap();
    assert_eq!(test.inputs.fetch, ["package".parse().unwrap()]);
    assert!(test.inputs.are_open());
    assert_eq!(test.lock.as_ref().map(PoolName::as_str), Some("lock/shop/staging"));
    assert_eq!(test.relaunch, Relaunch::Stopped);
}

#[test]
fn only_agents_of_bellhop_fetch_files() {
    let text = pipeline(
        "run: make\nneeds: package\nfetch: package",
        "package: { agent: small, run: x, artifacts: 'dist/**' }\n",
    );
    let text = text.replacen("agent: small", "agent: docker", 1);
    assert_eq!(
        try_plan(&text, AGENTS, "refs/heads/main", None).unwrap_err(),
        ".bellhop.yaml, line 7, jobs.test.fetch: files of other jobs need an agent on ECS, and `docker` is none: expected no `fetch`"
    );
}

#[test]
fn a_build_is_frozen_with_all_that_it_takes() {
    let text = pipeline(
        "run: make\nenvironment: { A: b }\nsecrets: { TOKEN: npm-token }\ncritical: true\ntimeout: 5m\nqueue-timeout: 6m\nrelaunch: stopped\nretry: never\nartifacts: [report.xml, 'dist/**']\nimages: 'ci/shop:{commit}'",
        "",
    );
    let builds = try_plan(&text, &format!("{AGENTS}notify: {{ successes: none }}\n"), "refs/heads/main", None).unwrap();
    let push = push("refs/heads/main");
    let run = RunId::derive("ci", "event", &push.reference);
    assert_eq!(
        builds,
        [BuildSpec {
            id: format!("{run}/test").parse().unwrap(),
            repository: push.repository,
            reference: push.reference,
            commit: push.commit,
            agent: "small".parse().unwrap(),
            executor: Executor::Ecs(EcsExecutor {
                spot_cluster: Some("s".to_owned()),
                on_demand_cluster: "d".to_owned(),
                task_definition: "t".to_owned(),
                container: "agent".to_owned(),
                subnets: vec!["n".to_owned()],
                security_groups: Vec::new(),
                assign_public_ip: false,
                providers: None,
                logs: None,
            }),
            script: Script::Inline("make".to_owned()),
            environment: [("A".to_owned(), "b".to_owned())].into(),
            secrets: [("TOKEN".to_owned(), Secret::Parameter("npm-token".to_owned()))].into(),
            critical: true,
            timeout: Duration::from_secs(300),
            queue_timeout: Duration::from_secs(360),
            relaunch: Relaunch::Stopped,
            retry: RetryPolicy::never(),
            needs: Vec::new(),
            successes: Successes::None,
            artifacts: vec!["report.xml".to_owned(), "dist/**".to_owned()],
            images: vec!["ci/shop:0123456789012345678901234567890123456789".to_owned()],
            pausable: false,
            role: None,
            bearing: Bearing::default(),
            inputs: Inputs::default(),
            limit: None,
            lock: None,
        }]
    );
}

#[test]
fn builds_come_after_what_they_need_and_otherwise_as_in_the_file() {
    let text = pipeline(
        "run: x\nneeds: [late, early]",
        "other: { agent: small, run: x }\nearly: { agent: small, run: x }\nlate: { agent: small, run: x, needs: [early] }\nlast: { agent: small, run: x }",
    );
    let builds = try_plan(&text, AGENTS, "refs/heads/main", None).unwrap();
    assert_eq!(names(&builds), ["early", "late", "test", "other", "last"]);
    assert_eq!(builds[2].needs, ["late".parse().unwrap(), "early".parse().unwrap()]);
}

#[test]
fn a_job_brings_the_jobs_that_it_needs() {
    let text = pipeline(
        "run: x\non: { push: { branches: [main], paths: ['src/**'] } }",
        "lint: { agent: small, run: x, on: { push: { branches: [main] } } }\nimage: { agent: small, run: x, needs: [test], on: { push: { tags: ['v*'] } } }\ndeploy: { agent: small, run: x, needs: [image], on: { push: { tags: ['v*'] } } }",
    );
    let names = |reference, changed| {
        let builds = try_plan(&text, AGENTS, reference, changed).unwrap();
        names(&builds).join(" ")
    };
    assert_eq!(names("refs/tags/v1", None), "test image deploy");
    assert_eq!(names("refs/heads/main", None), "test lint");
    assert_eq!(names("refs/heads/main", Some(&["README.md"])), "lint");
    assert_eq!(names("refs/heads/next", Some(&["src/a"])), "");
}

#[test]
fn where_no_job_is_wanted_nothing_is_wrong_either() {
    let text = "version: 1\njobs:\n  a: { agent: unheard-of, run: x, on: { push: { branches: [main] } } }\n";
    assert_eq!(try_plan(text, AGENTS, "refs/heads/next", None).unwrap(), []);
}

#[test]
fn agents_that_do_not_do() {
    for (job, jobs, expected) in [
        (
            "run: x",
            "image: { agent: smal, run: x, on: { push: { tags: [v] } } }",
            ".bellhop.yaml, line 6, jobs.image.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: docker, secret, small)",
        ),
        (
            "buildspec: x",
            "",
            ".bellhop.yaml, line 5, jobs.test.buildspec: a buildspec needs a CodeBuild agent, and `small` is none: expected `run`",
        ),
        (
            "run: x",
            "sign: { agent: secret, run: x }",
            ".bellhop.yaml, line 6, jobs.sign.agent: the agent `secret` is restricted, and there are no `repositories` in config/bellhop.yaml to let `shop` use it",
        ),
    ] {
        let message = try_plan(&pipeline(job, jobs), AGENTS, "refs/heads/main", None).unwrap_err();
        assert_eq!(message, expected, "{job} {jobs}");
    }
}

#[test]
fn a_codebuild_agent_takes_scripts_and_buildspecs() {
    let plan = |job: &str| try_plan(&pipeline("run: x", job), AGENTS, "refs/heads/main", None).unwrap();
    let builds = [
        plan("image: { agent: docker, buildspec: ci/image.yml }"),
        plan("docs: { agent: docker, run: y }"),
    ]
    .concat();
    assert_eq!(names(&builds), ["test", "image", "test", "docs"]);
    let project = Executor::CodeBuild(CodeBuildExecutor {
        project: "p".to_owned(),
        logs: None,
    });
    assert_eq!(builds[1].executor, project);
    assert_eq!(builds[1].script, Script::Buildspec("ci/image.yml".to_owned()));
    assert_eq!(builds[3].script, Script::Inline("y".to_owned()));
}

#[test]
fn repositories_may_use_what_they_are_given() {
    let config = |repositories: &str| format!("{AGENTS}repositories:\n  {repositories}\n");
    let text = pipeline("run: x", "sign: { agent: secret, run: x }");
    let main = "refs/heads/main";
    assert_eq!(
        try_plan(&text, &config("shop: { agents: [small, secret] }"), main, None)
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        try_plan(&text, &config("shop: { agents: [small] }"), main, None).unwrap_err(),
        ".bellhop.yaml, line 6, jobs.sign.agent: `repositories` of config/bellhop.yaml does not let `shop` use the agent `secret` (known: small)"
    );
    assert_eq!(
        try_plan(&text, &config("shed: { agents: [small] }"), main, None).unwrap_err(),
        "config/bellhop.yaml, line 6, repositories: the repository `shop` is not listed in `repositories` of config/bellhop.yaml"
    );
}

#[test]
fn variables_that_fit_into_no_task() {
    let job = |size: usize| pipeline(&format!("run: x\nenvironment: {{ A: {}, B: b }}", "x".repeat(size)), "");
    assert!(try_plan(&job(5_900), AGENTS, "refs/heads/main", None).is_ok());
    assert_eq!(
        try_plan(&job(7_000), AGENTS, "refs/heads/main", None).unwrap_err(),
        ".bellhop.yaml, line 6, jobs.test.environment: the variables of the job take 7049 bytes as JSON: at most 6000 fit into an ECS task; larger values belong into a file"
    );
}

#[test]
fn one_job_comes_with_those_it_needs_whatever_its_filter_says() {
    let text = "version: 1\njobs:\n  build: { agent: small, run: x }\n  test: { agent: small, run: x }\n  \
                deploy: { agent: small, run: x, needs: [build], on: { push: { tags: ['v*'] } } }\n";
    let selected = |job: &str| {
        let push = push("refs/heads/main");
        let run = RunId::derive("ci", &push.trigger, &push.reference);
        let (file, config) = (PipelineFile::parse(text).unwrap(), SuiteConfig::parse(AGENTS).unwrap());
        let specs = plan(&run, &push, &file, &config, Select::Job(&job.parse().unwrap())).map_err(|error| error.headline())?;
        Ok::<_, String>(specs.iter().map(|spec| spec.id.job.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(selected("deploy").unwrap(), ["build", "deploy"]);
    assert_eq!(
        selected("tset").unwrap_err(),
        ".bellhop.yaml, line 2, jobs: there is no job `tset`; did you mean `test`? (known: build, test, deploy)"
    );
}

#[test]
fn what_is_repeated_waits_for_nothing_that_is_not() {
    let text = "version: 1\njobs:\n  build: { agent: small, run: x }\n  image: { agent: small, run: x, needs: [build, test] }\n  \
                test: { agent: small, run: x, needs: [build], on: { push: { tags: ['v*'] } } }\n";
    let push = push("refs/heads/main");
    let run = RunId::derive("ci", &push.trigger, &push.reference);
    let selected = |jobs: &[&str], config: &str| {
        let jobs: Vec<JobName> = jobs.iter().map(|job| job.parse().unwrap()).collect();
        let (file, config) = (PipelineFile::parse(text).unwrap(), SuiteConfig::parse(config).unwrap());
        let specs = plan(&run, &push, &file, &config, Select::Exactly(&jobs)).map_err(|error| error.headline())?;
        let needs = |spec: &BuildSpec| spec.needs.iter().map(JobName::to_string).collect::<Vec<_>>().join(" ");
        Ok::<_, String>(
            specs
                .iter()
                .map(|spec| format!("{}: {}", spec.id.job, needs(spec)))
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(selected(&["image"], AGENTS).unwrap(), ["image: "]);
    assert_eq!(selected(&["image", "test"], AGENTS).unwrap(), ["test: ", "image: test"]);
    assert!(selected(&["image", "tset"], AGENTS).unwrap_err().contains("there is no job `tset`"));
    let none = AGENTS.replace("  small:", "  other:");
    assert!(selected(&["image"], &none).unwrap_err().contains("there is no agent `small`"));
}

#[test]
fn a_script_of_an_action_may_use_what_its_repository_may() {
    let push = push("refs/heads/main");
    let run = RunId::derive("ci", &push.trigger, &push.reference);
    let config = SuiteConfig::parse(AGENTS).unwrap();
    let plan = |agent: &str, on_behalf| {
        let agent = agent.parse().unwrap();
        plan_script(&run, &push, "script".parse().unwrap(), (&agent, "make"), &config, on_behalf).map_err(|error| error.headline())
    };
    assert_eq!(plan("small", OnBehalf::Action).unwrap().script, Script::Inline("make".to_owned()));
    assert_eq!(
        plan("secret", OnBehalf::Action).unwrap_err(),
        "UserParameters, agent: the agent `secret` is restricted, and there are no `repositories` in config/bellhop.yaml to let `shop` use it"
    );
    assert!(plan("secret", OnBehalf::Suite).is_ok());
}

#[test]
fn artifacts_that_fit_into_no_task() {
    let patterns: Vec<String> = (10..30).map(|i| format!("{i}{}", "x".repeat(198))).collect();
    let job = |size: usize| {
        let lines = format!(
            "run: x\nenvironment: {{ A: {} }}\nartifacts: [{}]",
            "x".repeat(size),
            patterns.join(", ")
        );
        pipeline(&lines, "")
    };
    // A script too long for the overrides is kept in the bucket. Everything else fits, under the longest names that there are.
    let mut builds = try_plan(&job(1_898), AGENTS, &format!("refs/heads/{}", "b".repeat(240)), None).unwrap();
    let build = &mut builds[0];
    build.id.job = "j".repeat(63).parse().unwrap();
    build.repository = "r".repeat(100).parse().unwrap();
    build.script = Script::Stored(script_key(&build.repository, "make test"));
    assert!(fits_environment(build, &"b".repeat(63)));
    assert_eq!(
        try_plan(&job(1_899), AGENTS, "refs/heads/main", None).unwrap_err(),
        ".bellhop.yaml, line 7, jobs.test.artifacts: the patterns, the variables and the names of secrets of the job take 6001 bytes as JSON: at most 6000 fit into an ECS task"
    );
    let codebuild = job(1_899).replace("agent: small", "agent: docker");
    assert_eq!(
        try_plan(&codebuild, AGENTS, "refs/heads/main", None).unwrap()[0].artifacts,
        patterns
    );
}

#[test]
fn variables_take_as_much_as_fits_and_no_more() {
    // {"name":"A","value":"…"} and a comma.
    let frame = r#"{"name":"A","value":""},"#.len();
    let planned = |length: usize| {
        let text = pipeline(&format!("run: x\nenvironment: {{ A: {} }}", "x".repeat(length)), "");
        try_plan(&text, AGENTS, "refs/heads/main", None).map(|builds| builds.len())
    };
    assert_eq!(planned(6_000 - frame), Ok(1));
    assert!(
        planned(6_001 - frame)
            .unwrap_err()
            .contains("take 6001 bytes as JSON: at most 6000 fit")
    );
}

const GATED: &str = "version: 1
agents:
  small: { ecs: { cluster: c, task-definition: t, subnets: [n] } }
  publish: { codebuild: { project: p }, refs: [refs/heads/main, 'refs/tags/v*'] }
";

#[test]
fn an_agent_with_refs_serves_no_other_branch_or_tag() {
    let text = pipeline(
        "run: x\non: { push: { branches: ['**'], tags: ['**'] } }",
        "release: { agent: publish, run: x, on: { push: { branches: ['**'], tags: ['**'] } } }",
    );
    for reference in ["refs/heads/main", "refs/tags/v1"] {
        assert_eq!(
            names(&try_plan(&text, GATED, reference, None).unwrap()),
            ["test", "release"],
            "{reference}"
        );
    }
    for reference in ["refs/heads/next", "refs/heads/v1", "refs/tags/main"] {
        assert_eq!(
            try_plan(&text, GATED, reference, None).unwrap_err(),
            format!(
                ".bellhop.yaml, line 7, jobs.release.agent: the agent `publish` does not serve runs on `{reference}`: `refs` in config/bellhop.yaml allows `refs/heads/main`, `refs/tags/v*`"
            )
        );
    }
}

#[test]
fn a_job_for_one_branch_rejects_no_run_on_another_unless_it_is_needed() {
    let text = pipeline("run: x", "release: { agent: publish, run: x, on: { push: { branches: [main] } } }");
    assert_eq!(names(&try_plan(&text, GATED, "refs/heads/next", None).unwrap()), ["test"]);
    let needed = pipeline(
        "run: x\nneeds: [release]",
        "release: { agent: publish, run: x, on: { push: { branches: [main] } } }",
    );
    let message = try_plan(&needed, GATED, "refs/heads/next", None).unwrap_err();
    assert!(
        message.contains("jobs.release.agent: the agent `publish` does not serve runs on `refs/heads/next`"),
        "{message}"
    );
    // What is repeated is checked, too, and nothing beside it.
    let push = push("refs/heads/next");
    let run = RunId::derive("ci", &push.trigger, &push.reference);
    let again = |job: &str| {
        let (file, config) = (PipelineFile::parse(&needed).unwrap(), SuiteConfig::parse(GATED).unwrap());
        plan(&run, &push, &file, &config, Select::Exactly(&[job.parse().unwrap()])).map(|specs| specs.len())
    };
    assert_eq!(again("test").unwrap(), 1);
    assert!(again("release").unwrap_err().headline().contains("does not serve runs on"));
}

#[test]
fn a_script_is_checked_like_a_job_whoever_wants_it() {
    let config = SuiteConfig::parse(GATED).unwrap();
    let plan = |reference: &str, on_behalf| {
        let push = push(reference);
        let run = RunId::derive("ci", &push.trigger, &push.reference);
        let agent = "publish".parse().unwrap();
        plan_script(&run, &push, "script".parse().unwrap(), (&agent, "make"), &config, on_behalf).map_err(|error| error.headline())
    };
    for (on_behalf, file) in [(OnBehalf::Suite, "config/bellhop.yaml"), (OnBehalf::Action, "UserParameters")] {
        assert!(plan("refs/heads/main", on_behalf).is_ok());
        assert_eq!(
            plan("refs/heads/next", on_behalf).unwrap_err(),
            format!(
                "{file}, agent: the agent `publish` does not serve runs on `refs/heads/next`: `refs` in config/bellhop.yaml allows `refs/heads/main`, `refs/tags/v*`"
            )
        );
    }
}

#[test]
fn only_agents_with_refs_ask_where_the_commit_is() {
    let config = SuiteConfig::parse(GATED).unwrap();
    let text = pipeline("run: x", "release: { agent: publish, run: x, on: { push: { branches: [main] } } }");
    let specs = try_plan(&text, GATED, "refs/heads/next", None).unwrap();
    assert_eq!(gated(&specs, &config), None);
    let specs = try_plan(&text, GATED, "refs/heads/main", None).unwrap();
    let release = gated(&specs, &config).unwrap();
    assert_eq!(release.id.job.as_str(), "release");
    for (why, expected) in [
        (OffRef::Elsewhere, "commit 0123456 is not on `refs/heads/main`"),
        (OffRef::NoRef, "`refs/heads/main` does not exist, so commit 0123456 is not on it"),
        (
            OffRef::Incomparable,
            "CodeCommit cannot tell whether commit 0123456 is on `refs/heads/main`, because they differ too much: start a newer commit",
        ),
    ] {
        let text =
            "job `release`: the agent `publish` has `refs` in config/bellhop.yaml and serves only commits on the run's branch or tag: ";
        assert_eq!(off_ref(release, why), format!("{text}{expected}"));
    }
}
