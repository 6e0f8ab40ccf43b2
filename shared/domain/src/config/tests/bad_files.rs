//! One bad file of each kind, and the line that its owner gets to read.

use super::{pipeline, refusal};
use crate::config::SuiteConfig;

#[test]
fn what_is_not_the_file_at_all() {
    for (text, expected) in [
        ("", ".bellhop.yaml: the file is empty"),
        ("# later\n", ".bellhop.yaml: the file is empty"),
        ("hello", ".bellhop.yaml, line 1: expected a mapping, that is `key: value`"),
        ("[version, 1]", ".bellhop.yaml, line 1: expected a mapping, that is `key: value`"),
        (
            "version: 2\njobs: {}\n",
            ".bellhop.yaml, line 1, version: version `2` is not supported: expected 1",
        ),
        (
            "version: one\n",
            ".bellhop.yaml, line 1, version: version `one` is not supported: expected 1",
        ),
        ("version: 1\n", ".bellhop.yaml, line 1: missing key `jobs`"),
        ("jobs: {}\n", ".bellhop.yaml, line 1: missing key `version`"),
        (
            "version: 1\njobs: {}\n",
            ".bellhop.yaml, line 2, jobs: there are no jobs: expected at least one",
        ),
        (
            "version: 1\njobs: [a]\n",
            ".bellhop.yaml, line 2, jobs: expected a mapping, that is `key: value`",
        ),
        (
            "version: 1\njobs:\n  a: { agent: b, run: c }\n---\nversion: 1\n",
            ".bellhop.yaml, line 5: a second YAML document begins here: expected one",
        ),
        (
            "version: 1\njobs:\n  a: {agent: b\n",
            ".bellhop.yaml, line 3: the file is not valid YAML: unclosed bracket '{'",
        ),
        (
            "version: 1\njobs:\n\ta:\n",
            ".bellhop.yaml, line 3: the file is not valid YAML: tabs disallowed within this context (block indentation)",
        ),
        (
            "version: 1\njobs:\n  a:\n    agent: b\n   run: c\n",
            ".bellhop.yaml, line 5: the file is not valid YAML: while parsing a block mapping, did not find expected key",
        ),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn a_job_with_a_mistake() {
    for (job, expected) in [
        (
            "run: x\ntimout: 3m",
            "line 6, jobs.test: unknown key `timout`; did you mean `timeout`? (known: on, agent, run, buildspec, environment, secrets, critical, timeout, queue-timeout, relaunch, lock, retry, needs, fetch, artifacts, images)",
        ),
        (
            "run: x\nsteps: []",
            "line 6, jobs.test: unknown key `steps`; did you mean `run`? (known: on, agent, run, buildspec, environment, secrets, critical, timeout, queue-timeout, relaunch, lock, retry, needs, fetch, artifacts, images)",
        ),
        ("run: x\nrun: y", "line 6, jobs.test: `run` appears twice"),
        (
            "critical: false",
            "line 3, jobs.test: missing key `run` (or `buildspec`, for a CodeBuild agent)",
        ),
        (
            "run: x\nbuildspec: y",
            "line 3, jobs.test: `run` and `buildspec` exclude each other: expected one of them",
        ),
        ("run: '  '", "line 5, jobs.test.run: expected a text that is not empty"),
        (
            "run: [make]",
            "line 5, jobs.test.run: expected a single value, such as a text or a number",
        ),
        ("run: \"a\\0b\"", "line 5, jobs.test.run: the text has a NUL character"),
        ("run: x\ncritical: maybe", "line 6, jobs.test.critical: expected true or false"),
        (
            "run: x\non: push",
            "line 6, jobs.test.on: expected a mapping such as `push: { branches: [main] }`, or the word `manual`",
        ),
        (
            "run: x\nrelaunch: warnin",
            "line 6, jobs.test.relaunch: unknown value `warnin`; did you mean `warning`? (known: warning, stopped)",
        ),
        ("run: x\nrelaunch: [warning]", "line 6, jobs.test.relaunch: expected a single word"),
        (
            "run: x\nrelaunch: { warning: 1 }",
            "line 6, jobs.test.relaunch: expected a single word",
        ),
        (
            "run: x\ntimeout: 30 potatoes",
            "line 6, jobs.test.timeout: `30 potatoes` is not a valid duration: expected whole numbers with units, such as 30m or 1h 30m",
        ),
        (
            "run: x\ntimeout: 30",
            "line 6, jobs.test.timeout: `30` is not a valid duration: expected whole numbers with units, such as 30m or 1h 30m",
        ),
        (
            "run: x\ntimeout: 25h",
            "line 6, jobs.test.timeout: `25h` is out of bounds: expected 1s to 24h",
        ),
        (
            "run: x\nqueue-timeout: 0s",
            "line 6, jobs.test.queue-timeout: `0s` is out of bounds: expected 1s to 24h",
        ),
    ] {
        assert_eq!(refusal(&pipeline(job, "")), format!(".bellhop.yaml, {expected}"), "{job}");
    }
    assert_eq!(
        refusal("version: 1\njobs:\n  test:\n    run: x\n"),
        ".bellhop.yaml, line 3, jobs.test: missing key `agent`"
    );
    assert_eq!(
        refusal("version: 1\njobs:\n  test:\n"),
        ".bellhop.yaml, line 3, jobs.test: expected a mapping, that is `key: value`"
    );
}

#[test]
fn names_and_variables() {
    assert_eq!(
        refusal("version: 1\njobs:\n  Unit_Tests: { agent: a, run: x }\n"),
        ".bellhop.yaml, line 3, jobs.Unit_Tests: `Unit_Tests` is not a valid job name: expected 1 to 63 characters of a-z, 0-9 and -, not beginning with -"
    );
    assert_eq!(
        refusal("version: 1\njobs:\n  a: { agent: Small, run: x }\n"),
        ".bellhop.yaml, line 3, jobs.a.agent: `Small` is not a valid agent name: expected 1 to 63 characters of a-z, 0-9 and -, not beginning with -"
    );
    assert_eq!(
        refusal("version: 1\njobs:\n  a: { agent: b, run: x }\n  a: { agent: b, run: x }\n"),
        ".bellhop.yaml, line 4, jobs: `a` appears twice"
    );
    for (environment, expected) in [
        (
            "{ 1A: x }",
            ".1A: `1A` is not a valid name of a variable: expected letters, digits and _, not beginning with a digit",
        ),
        (
            "{ A-B: x }",
            ".A-B: `A-B` is not a valid name of a variable: expected letters, digits and _, not beginning with a digit",
        ),
        (
            "{ CI: x }",
            ".CI: `CI` is set for the job: expected another name than CI, BELLHOP_…, AWS_… and CODEBUILD_…",
        ),
        (
            "{ BELLHOP_RUN: x }",
            ".BELLHOP_RUN: `BELLHOP_RUN` is set for the job: expected another name than CI, BELLHOP_…, AWS_… and CODEBUILD_…",
        ),
        (
            "{ AWS_REGION: x }",
            ".AWS_REGION: `AWS_REGION` is set for the job: expected another name than CI, BELLHOP_…, AWS_… and CODEBUILD_…",
        ),
        (
            "{ CODEBUILD_SRC_DIR: x }",
            ".CODEBUILD_SRC_DIR: `CODEBUILD_SRC_DIR` is set for the job: expected another name than CI, BELLHOP_…, AWS_… and CODEBUILD_…",
        ),
        ("{ A: }", ".A: the value is missing"),
        ("{ A: [x] }", ".A: expected a single value, such as a text or a number"),
        ("{ A: \"\\0\" }", ".A: the value has a NUL character, which no variable can hold"),
        ("[A]", ": expected a mapping, that is `key: value`"),
    ] {
        assert_eq!(
            refusal(&pipeline(&format!("run: x\nenvironment: {environment}"), "")),
            format!(".bellhop.yaml, line 6, jobs.test.environment{expected}"),
            "{environment}"
        );
    }
}

#[test]
fn patterns() {
    for (push, expected) in [
        (
            "branches: [main, '[b']",
            ".branches[1]: `[b` is not a valid pattern: unclosed character class; missing ']'",
        ),
        (
            "branches: { main: 1 }",
            ".branches: expected a single value, or a list such as [a, b]",
        ),
        (
            "branches: []",
            ".branches: an empty list: expected at least one pattern; to have none, remove the key",
        ),
        ("tags: ['!']", ".tags[0]: an empty pattern: expected one such as main or release/*"),
        (
            "branches: [!main]",
            ".branches: an unknown tag; a text that starts with ! has to be quoted",
        ),
        (
            "branches: [*main]",
            ".branches: an alias without an anchor; a text that starts with * has to be quoted",
        ),
        (
            "paths: [src/**, /src]",
            ".paths[1]: `/src` begins with a slash: expected a path from the repository's root, such as src/**",
        ),
        (
            "paths: ['!src/']",
            ".paths[0]: `!src/` names a directory: expected files, such as `!src/**`",
        ),
        (
            "branch: [main]",
            ": unknown key `branch`; did you mean `branches`? (known: branches, tags, paths)",
        ),
    ] {
        assert_eq!(
            refusal(&pipeline(&format!("run: x\non: {{ push: {{ {push} }} }}"), "")),
            format!(".bellhop.yaml, line 6, jobs.test.on.push{expected}"),
            "{push}"
        );
    }
    assert_eq!(
        refusal(&pipeline("run: x\non: { push: { branches: [*] } }", "")),
        ".bellhop.yaml, line 6: the file is not valid YAML: while scanning an anchor or alias, did not find expected alphabetic or numeric character; a text that starts with * or & has to be quoted"
    );
    assert_eq!(
        refusal("version: 1\njobs:\n  a: { agent: b, run: c }\nconcurrency: { supersede: true, except: ['ma{in'] }\n"),
        ".bellhop.yaml, line 4, concurrency.except[0]: `ma{in` is not a valid pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"
    );
}

#[test]
fn artifacts() {
    for (artifacts, expected) in [
        ("{ dist: x }", ": expected a single value, or a list such as [a, b]"),
        ("[]", ": an empty list: expected at least one pattern; to have none, remove the key"),
        (
            "[a, '']",
            "[1]: an empty pattern: expected one such as target/report.xml or dist/**",
        ),
        ("[a, b, a]", "[2]: `a` appears twice"),
        (
            "[/etc/passwd]",
            "[0]: `/etc/passwd` begins with a slash: expected a path from the repository's root, such as dist/**",
        ),
        ("[dist/]", "[0]: `dist/` names a directory: expected files, such as `dist/**`"),
        (
            "[a/../../b]",
            "[0]: `a/../../b` has an empty, `.` or `..` part: expected a path from the repository's root, such as dist/**",
        ),
        (
            "[..]",
            "[0]: `..` has an empty, `.` or `..` part: expected a path from the repository's root, such as dist/**",
        ),
        (
            "[./a]",
            "[0]: `./a` has an empty, `.` or `..` part: expected a path from the repository's root, such as dist/**",
        ),
        (
            "[a//b]",
            "[0]: `a//b` has an empty, `.` or `..` part: expected a path from the repository's root, such as dist/**",
        ),
        (
            "['dist/**', '!dist/secret']",
            "[1]: `!dist/secret` has a `!`: artifacts can only be listed, not left out",
        ),
        (
            "['*.{xml,html}']",
            "[0]: `*.{xml,html}` has a brace: write one pattern for each alternative",
        ),
        (
            "[\"a\\nb\"]",
            "[0]: `a b` has a line break or another control character, which no artifact's name may have",
        ),
        (
            "[\"a\\0\"]",
            "[0]: `a ` has a line break or another control character, which no artifact's name may have",
        ),
        ("[**/x]", ": an alias without an anchor; a text that starts with * has to be quoted"),
    ] {
        assert_eq!(
            refusal(&pipeline(&format!("run: x\nartifacts: {artifacts}"), "")),
            format!(".bellhop.yaml, line 6, jobs.test.artifacts{expected}"),
            "{artifacts}"
        );
    }
}

#[test]
fn retry_rules() {
    for (retry, expected) in [
        (
            "always",
            ": `always` is not a valid retry policy: expected a list of rules, or the word `never`",
        ),
        ("3", ": expected a list of rules, or the word `never`"),
        ("{ on: failure }", ": expected a list of rules, or the word `never`"),
        ("[]", ": an empty list: expected at least one rule, or the word `never`"),
        (
            "[{ limit: 2 }]",
            "[0]: the rule matches nothing: expected `on`, `exit-codes` or both",
        ),
        (
            "[{ on: interupted }]",
            "[0].on: unknown value `interupted`; did you mean `interrupted`? (known: interrupted, infrastructure, failure, timeout)",
        ),
        (
            "[{ on: 7 }]",
            "[0].on: expected interrupted, infrastructure, failure or timeout, or a list of these",
        ),
        (
            "[{ on: failure }, { on: [failure, lost] }]",
            "[1].on[1]: unknown value `lost` (known: interrupted, infrastructure, failure, timeout)",
        ),
        ("[{ on: failure, limit: 11 }]", "[0].limit: `11` is out of bounds: expected 0 to 10"),
        (
            "[{ on: failure, limit: -1 }]",
            "[0].limit: expected a whole number that is not negative",
        ),
        (
            "[{ exit-codes: [1, 256] }]",
            "[0].exit-codes: `256` is not the exit code of a failure: expected 1 to 255",
        ),
        (
            "[{ exit-codes: { a: b } }]",
            "[0].exit-codes: expected a single value, or a list such as [a, b]",
        ),
        (
            "[{ on: failure, backoff: 2h }]",
            "[0].backoff: `2h` is out of bounds: expected at most 1h",
        ),
        (
            "[{ on: failure, capacity: spott }]",
            "[0].capacity: unknown value `spott`; did you mean `spot`? (known: spot, on-demand)",
        ),
    ] {
        assert_eq!(
            refusal(&pipeline(&format!("run: x\nretry: {retry}"), "")),
            format!(".bellhop.yaml, line 6, jobs.test.retry{expected}"),
            "{retry}"
        );
    }
    assert_eq!(
        refusal(&pipeline(
            "run: x\ncritical: true\nretry:\n  - on: interrupted\n    capacity: spot",
            ""
        )),
        ".bellhop.yaml, line 9, jobs.test.retry[0].capacity: a critical job is never on Spot: expected on-demand, or remove the key"
    );
}

#[test]
fn needs() {
    assert_eq!(
        refusal(&pipeline("run: x\nneeds:\n  - build\n  - tset", "build: { agent: small, run: x }")),
        ".bellhop.yaml, line 8, jobs.test.needs[1]: there is no job `tset`; did you mean `test`? (known: test, build)"
    );
    assert_eq!(
        refusal(&pipeline("run: x\nneeds: [build, build]", "build: { agent: small, run: x }")),
        ".bellhop.yaml, line 6, jobs.test.needs[1]: `build` appears twice"
    );
    assert_eq!(
        refusal(&pipeline("run: x\nneeds: [test]", "")),
        ".bellhop.yaml, line 6, jobs.test.needs: the job waits for itself"
    );
    assert_eq!(
        refusal(&pipeline(
            "run: x\nneeds: [a]",
            "a: { agent: small, run: x, needs: [b] }\nb: { agent: small, run: x, needs: [c] }\nc: { agent: small, run: x, needs: [a] }"
        )),
        ".bellhop.yaml, line 7, jobs.a.needs: the jobs wait for each other: a → b → c → a"
    );
}

#[test]
fn the_suite_configuration() {
    const ECS: &str = "cluster: c, task-definition: t, subnets: [s]";
    for (text, expected) in [
        ("agents: {}\nrepos: {}", "line 3: unknown key `repos` (known: version, agents, repositories, jobs, alarms, backups, notify)".to_owned()),
        ("agents:\n  small: { max-concurrent: 2 }", "line 3, agents.small: missing key `ecs` (or `codebuild`, `step-functions`)".to_owned()),
        (
            &format!("agents:\n  small: {{ ecs: {{ {ECS} }}, codebuild: {{ project: p }} }}"),
            "line 3, agents.small: `ecs` and `codebuild` and `step-functions` exclude each other: expected one of them".to_owned(),
        ),
        (
            "agents:\n  small: { ecs: { task-definition: t, subnets: [s] } }",
            "line 3, agents.small.ecs: missing key `cluster` (or `clusters`)".to_owned(),
        ),
        (
            &format!("agents:\n  small: {{ ecs: {{ {ECS}, clusters: {{ on-demand: d }} }} }}"),
            "line 3, agents.small.ecs: `cluster` and `clusters` exclude each other: expected one of them".to_owned(),
        ),
        (
            "agents:\n  small: { ecs: { clusters: { spot: s }, task-definition: t, subnets: [s] } }",
            "line 3, agents.small.ecs.clusters: missing key `on-demand`".to_owned(),
        ),
        (
            "agents:\n  small: { ecs: { cluster: c, task-definition: t, subnets: [] } }",
            "line 3, agents.small.ecs.subnets: an empty list: expected at least one subnet".to_owned(),
        ),
        (
            "agents:\n  small: { ecs: { cluster: c, task-definition: t } }",
            "line 3, agents.small.ecs: missing key `subnets`".to_owned(),
        ),
        (
            "agents:\n  small: { ecs: { cluster: c, capacity-providers: { spot: p }, task-definition: t } }",
            "line 3, agents.small.ecs.capacity-providers: missing key `on-demand`".to_owned(),
        ),
        (
            &format!("agents:\n  small: {{ ecs: {{ {ECS}, capacity-providers: {{ on-demand: p }}, assign-public-ip: true }} }}"),
            "line 3, agents.small.ecs.assign-public-ip: expected false, or no `capacity-providers`: ECS gives a public address only to tasks on Fargate"
                .to_owned(),
        ),
        (
            &format!("agents:\n  small: {{ ecs: {{ {ECS}, logs: {{ group: /a }} }} }}"),
            "line 3, agents.small.ecs.logs: missing key `stream-prefix`".to_owned(),
        ),
        (
            "agents:\n  docker: { codebuild: { project: p, logs: { group: 'arn:aws:logs:r:1:log-group:a' } } }",
            "line 3, agents.docker.codebuild.logs.group: `arn:aws:logs:r:1:log-group:a` is not a valid log group name: expected up to 512 letters, digits, '.', '_', '/', '#' and '-'"
                .to_owned(),
        ),
        (
            "agents:\n  small: { ecs: { cluster: '', task-definition: t, subnets: [s] } }",
            "line 3, agents.small.ecs.cluster: `` is not a valid name: expected 1 to 512 characters on one line, without spaces around them".to_owned(),
        ),
        (
            &format!("agents:\n  small: {{ ecs: {{ {ECS} }}, max-concurrent: 0 }}"),
            "line 3, agents.small.max-concurrent: `0` is out of bounds: expected 1 to 2000".to_owned(),
        ),
        (
            &format!("agents:\n  small: {{ ecs: {{ {ECS} }}, max-concurrent: 2001 }}"),
            "line 3, agents.small.max-concurrent: `2001` is out of bounds: expected 1 to 2000".to_owned(),
        ),
        (
            "agents:\n  docker: { codebuild: { project: p } }\nrepositories:\n  shop: { agents: [doker] }",
            "line 5, repositories.shop.agents[0]: there is no agent `doker`; did you mean `docker`? (known: docker)".to_owned(),
        ),
        (
            "agents: {}\nrepositories:\n  shop.git: { agents: [] }",
            "line 4, repositories.shop.git: `shop.git` is not a valid repository name: expected up to 100 letters, digits, '.', '_' and '-', not ending in .git".to_owned(),
        ),
        (
            "agents: {}\njobs:\n  clean: { agent: small, repository: ops, branch: main, run: x }",
            "line 4, jobs.clean.agent: there is no agent `small`".to_owned(),
        ),
        (
            "agents: {}\nalarms:\n  - name: x\n    run-job: clean",
            "line 5, alarms[0].run-job: there is no job `clean` in this file".to_owned(),
        ),
        (
            "agents: {}\nalarms:\n  - name: x",
            "line 4, alarms[0]: expected exactly one of `restart-service`, `run-job`, `back-up-now` and `pause-starts`".to_owned(),
        ),
        (
            "agents: {}\nalarms:\n  - name: x\n    pause-starts: true\n    run-job: a",
            "line 4, alarms[0]: expected exactly one of `restart-service`, `run-job`, `back-up-now` and `pause-starts`".to_owned(),
        ),
        (
            "agents: {}\nbackups: {}\nalarms:\n  - name: x\n    back-up-now: home",
            "line 6, alarms[0].back-up-now: there is no backup `home` in this file".to_owned(),
        ),
        (
            "agents: {}\nalarms:\n  - name: x\n    pause-starts: false",
            "line 5, alarms[0].pause-starts: `pause-starts` can only be true: to pause nothing, remove the rule".to_owned(),
        ),
        (
            "agents: {}\nalarms:\n  - name: x\n    at-most-every: 1h\n    restart-service: { cluster: c, service: s, at-most-every: 30m }",
            "line 5, alarms[0].at-most-every: `at-most-every` is also in `restart-service`: keep one of them".to_owned(),
        ),
        (
            "agents: {}\nalarms:\n  - name: x\n    pause-starts: true\n    at-most-evry: 1h",
            "line 6, alarms[0]: unknown key `at-most-evry`; did you mean `at-most-every`? (known: name, restart-service, run-job, back-up-now, pause-starts, at-most-every, dry-run)".to_owned(),
        ),
        (
            "agents: {}\nalarms:\n  - name: x\n    pause-starts: true\n    at-most-every: 1h",
            "line 6, alarms[0].at-most-every: `pause-starts` cannot have `at-most-every`: a pause lasts as long as its alarm".to_owned(),
        ),
        (
            "agents: {}\nalarms:\n  - name: x\n    pause-starts: true\n    at-most-every: often",
            "line 6, alarms[0].at-most-every: `often` is not a valid duration: expected whole numbers with units, such as 30m or 1h 30m".to_owned(),
        ),
        (
            "agents: {}\nalarms:\n  - name: 'x{'\n    run-job: a",
            "line 4, alarms[0].name: `x{` is not a valid pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)".to_owned(),
        ),
        (
            "agents: {}\nnotify: { successes: sometimes }",
            "line 3, notify.successes: unknown value `sometimes` (known: all, changes, none)".to_owned(),
        ),
        (
            "agents: {}\nbackups:\n  home: { resource: fs-1, vault: v, role: arn:aws:iam::1:role/b }",
            "line 4, backups.home.resource: `fs-1` is not a valid ARN: expected arn:partition:service:region:account:resource".to_owned(),
        ),
    ] {
        let error = SuiteConfig::parse(&format!("version: 1\n{text}\n")).unwrap_err();
        assert_eq!(error.headline(), format!("config/bellhop.yaml, {expected}"), "{text}");
    }
}

#[test]
fn restore_tests_are_of_what_can_be_removed_again() {
    for (resource, keys, expected) in [
        (
            "arn:aws:s3:::b",
            "every: 7d",
            "restore-test: restores of this resource cannot be tested: expected a DynamoDB table, an EFS file system or an EBS volume",
        ),
        (
            "arn:aws:dynamodb:eu-west-1:1:table/t",
            "every: 30m",
            "restore-test.every: expected at least 1h",
        ),
        (
            "arn:aws:dynamodb:eu-west-1:1:table/t",
            "every: 7d, metadata: { targettablename: t }",
            "restore-test.metadata: `targetTableName` is set by Bellhop, so that the restore creates something new",
        ),
        (
            "arn:aws:elasticfilesystem:eu-west-1:1:file-system/fs-1",
            "every: 7d, metadata: { newFileSystem: 'false' }",
            "restore-test.metadata: `newFileSystem` is set by Bellhop, so that the restore creates something new",
        ),
        (
            "arn:aws:ec2:eu-west-1:1:volume/vol-1",
            "every: 7d",
            "restore-test.metadata: missing key `availabilityZone`: Bellhop cannot determine it",
        ),
    ] {
        let text = format!(
            "version: 1\nagents: {{}}\nbackups:\n  home: {{ resource: '{resource}', vault: v, role: 'arn:aws:iam::1:role/b', restore-test: {{ {keys} }} }}\n"
        );
        let error = SuiteConfig::parse(&text).unwrap_err();
        assert_eq!(
            error.headline(),
            format!("config/bellhop.yaml, line 4, backups.home.{expected}"),
            "{keys}"
        );
    }
}

#[test]
fn backups_keep_to_the_rules_of_the_service() {
    for (keys, expected) in [
        ("start-within: 30m", "start-within: expected at least 1h"),
        (
            "start-within: 2h, complete-within: 179m",
            "complete-within: expected at least 60 minutes more than `start-within`",
        ),
        (
            "complete-within: 2h",
            "complete-within: expected at least 60 minutes more than `start-within`, which is 8h where it is left out",
        ),
        (
            "start-within: 7d",
            "start-within: expected at least 60 minutes less than `complete-within`, which is 7d where it is left out",
        ),
        (
            "complete-within: 90s",
            "complete-within: `90s` is not valid: expected whole minutes, at least 1m",
        ),
        (
            "cold-after: 36h",
            "cold-after: `36h` is not valid: expected whole days, at least 1d",
        ),
        (
            "cold-after: 30d, delete-after: 119d",
            "delete-after: expected at least 90 days more than `cold-after`",
        ),
        (
            "newest-at-most: 0m",
            "newest-at-most: `0m` is not valid: expected whole minutes, at least 1m",
        ),
    ] {
        let text = format!(
            "version: 1\nagents: {{}}\nbackups:\n  home: {{ resource: 'arn:aws:s3:::b', vault: v, role: 'arn:aws:iam::1:role/b', {keys} }}\n"
        );
        let error = SuiteConfig::parse(&text).unwrap_err();
        assert_eq!(
            error.headline(),
            format!("config/bellhop.yaml, line 4, backups.home.{expected}"),
            "{keys}"
        );
    }
}
