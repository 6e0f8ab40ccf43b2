//! What a build of AWS CodeBuild is told: the buildspec, and what else its start overrides of its project
//! (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html>).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::json;

use crate::Capacity;
use crate::agent;
use crate::ids::{AttemptId, RepositoryName};
use crate::spec::{BuildSpec, Script};

/// The minutes that CodeBuild takes as a build's timeout. What is shorter is enforced by the suite alone.
const TIMEOUT: RangeInclusive<u64> = 5..=2160;
/// The minutes that CodeBuild takes for how long a build may wait in its queue.
const QUEUED_TIMEOUT: RangeInclusive<u64> = 5..=480;
/// Variables of other agents' alone. The script stands in the buildspec, CodeBuild uploads the artifacts by itself, and its API tells how it went.
const OF_OTHERS: [&str; 4] = ["BELLHOP_SCRIPT", "BELLHOP_RESULT_URI", "BELLHOP_ARTIFACTS", "BELLHOP_ARTIFACTS_URI"];
/// The file that the script is run from.
const SCRIPT_FILE: &str = "bellhop-script";

/// The environment of an attempt's build: what every agent is told, without what only an entry point of the suite's own would read.
#[must_use]
pub fn environment(spec: &BuildSpec, attempt: &AttemptId, capacity: Capacity, bucket: &str) -> BTreeMap<String, String> {
    let mut all = agent::environment(spec, attempt, capacity, bucket);
    all.retain(|name, _| !OF_OTHERS.contains(&name.as_str()));
    all
}

/// The buildspec of an attempt: the path of the repository's own, or the text of one that runs the job's script as an ECS agent would: by bash with `-e`
/// and `pipefail`, or by the interpreter that its first line names. `None` for a script that is kept in the bucket, as none of CodeBuild's ever is.
///
/// Two commands, so that CodeBuild, which quotes the command that failed, does not quote the whole script.
#[must_use]
pub fn buildspec(spec: &BuildSpec, attempt: &AttemptId) -> Option<String> {
    let script = match &spec.script {
        Script::Inline(script) => script,
        Script::Buildspec(path) => return Some(path.clone()),
        Script::Stored(_) => return None,
    };
    // Outside the checkout, and another one for each attempt.
    let directory = format!("/tmp/bellhop-{}-{}-{}", attempt.build.run, attempt.build.job, attempt.number);
    let file = format!("{directory}/{SCRIPT_FILE}");
    let end = delimiter(script);
    let newline = if script.ends_with('\n') { "" } else { "\n" };
    let write = format!("mkdir -p {directory} && cat >{file} <<'{end}' && chmod +x {file}\n{script}{newline}{end}");
    let run = if script.starts_with("#!") {
        file
    } else {
        format!("bash -eo pipefail {file}")
    };
    let mut buildspec = json!({
        "version": 0.2,
        "env": { "shell": "bash" },
        "phases": { "build": { "commands": [write, run] } },
    });
    if !spec.artifacts.is_empty() {
        buildspec["artifacts"] = json!({ "files": spec.artifacts });
    }
    Some(yaml(&buildspec))
}

/// A line that the script does not have.
fn delimiter(script: &str) -> String {
    let mut end = "BELLHOP_SCRIPT_ENDS".to_owned();
    while script.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

/// JSON as YAML: almost every JSON is, but for characters that YAML does not take as they are, or takes for the end of a line. They can only stand in
/// texts, where both languages know the same escape for them.
fn yaml(value: &serde_json::Value) -> String {
    let json = format!("{value:#}");
    let mut yaml = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                // Writing to a text does not fail.
                let _ = write!(yaml, "\\u{:04x}", u32::from(character));
            }
            _ => yaml.push(character),
        }
    }
    yaml
}

/// After how many minutes CodeBuild ends the build.
#[must_use]
pub fn timeout_minutes(spec: &BuildSpec) -> i32 {
    minutes(spec.timeout, &TIMEOUT)
}

/// For how many minutes CodeBuild keeps the build waiting.
#[must_use]
pub fn queued_timeout_minutes(spec: &BuildSpec) -> i32 {
    minutes(spec.queue_timeout, &QUEUED_TIMEOUT)
}

fn minutes(span: Duration, bounds: &RangeInclusive<u64>) -> i32 {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    i32::try_from(seconds.div_ceil(60).clamp(*bounds.start(), *bounds.end())).unwrap_or(i32::MAX)
}

/// Where CodeBuild puts an attempt's artifacts in the suite's bucket, as the `path` and the `name` that it joins.
#[must_use]
pub fn artifacts_place(attempt: &AttemptId) -> (String, String) {
    let prefix = agent::artifacts_prefix(attempt);
    let place = prefix.trim_end_matches('/');
    let (path, name) = place.rsplit_once('/').unwrap_or(("", place));
    (path.to_owned(), name.to_owned())
}

/// Where CodeBuild clones a repository from.
#[must_use]
pub fn clone_url(region: &str, repository: &RepositoryName) -> String {
    let suffix = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://git-codecommit.{region}.{suffix}/v1/repos/{repository}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::process::Command;

    use serde::Deserialize;

    use super::*;
    use crate::spec::{CodeBuildExecutor, Executor};
    use crate::testing::spec;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Buildspec {
        version: f64,
        env: BTreeMap<String, String>,
        phases: BTreeMap<String, BTreeMap<String, Vec<String>>>,
        #[serde(default)]
        artifacts: Option<BTreeMap<String, Vec<String>>>,
    }

    fn attempt() -> AttemptId {
        AttemptId {
            build: spec().id,
            number: 2,
        }
    }

    fn running(script: &str) -> BuildSpec {
        BuildSpec {
            executor: Executor::CodeBuild(CodeBuildExecutor {
                project: "ci-docker".to_owned(),
            }),
            script: Script::Inline(script.to_owned()),
            ..spec()
        }
    }

    fn read(spec: &BuildSpec) -> Buildspec {
        serde_saphyr::from_str(&buildspec(spec, &attempt()).unwrap()).unwrap()
    }

    fn commands(script: &str) -> [String; 2] {
        read(&running(script)).phases["build"]["commands"].clone().try_into().unwrap()
    }

    #[test]
    fn a_script_becomes_a_buildspec_of_two_commands() {
        let buildspec = read(&running("make test"));
        assert!((buildspec.version - 0.2).abs() < f64::EPSILON);
        assert_eq!(buildspec.env, BTreeMap::from([("shell".to_owned(), "bash".to_owned())]));
        assert_eq!(buildspec.artifacts, None);
        assert_eq!(
            commands("make test"),
            [
                "mkdir -p /tmp/bellhop-abcdefghij-test-2 && cat >/tmp/bellhop-abcdefghij-test-2/bellhop-script <<'BELLHOP_SCRIPT_ENDS' \
                 && chmod +x /tmp/bellhop-abcdefghij-test-2/bellhop-script\nmake test\nBELLHOP_SCRIPT_ENDS",
                "bash -eo pipefail /tmp/bellhop-abcdefghij-test-2/bellhop-script",
            ]
        );
        assert_eq!(
            commands("#!/usr/bin/env python3\nprint(1)\n")[1],
            "/tmp/bellhop-abcdefghij-test-2/bellhop-script"
        );
    }

    #[test]
    fn a_script_of_any_characters_comes_out_as_it_went_in() {
        let scripts = [
            "echo \"$HOME\" '$(date)' `id` \\\n\tx\n",
            "BELLHOP_SCRIPT_ENDS\nBELLHOP_SCRIPT_ENDS_\n",
            "größer 日本語 \u{1f642} \u{85}\u{a0}\u{2028}\u{2029}\u{feff}\u{7f}\u{1b}[0m\r\n",
            "# : {} [] & * ! | > % @ \"\n---\n...\n",
            "\n\n  indented\n\n",
        ];
        for script in scripts {
            let [write, _] = commands(script);
            let (head, body) = write.split_once('\n').unwrap();
            let end = head.split('\'').nth(1).unwrap();
            let body = body.strip_suffix(end).unwrap();
            assert_eq!(body, script);
            assert!(!body.lines().any(|line| line == end), "{script}");
        }
    }

    #[test]
    fn bash_runs_what_was_written() {
        let output = |script: &str| {
            let mut spec = running(script);
            spec.id.run = format!("bbbbbbbb{}", if script.starts_with("#!") { "aa" } else { "bb" })
                .parse()
                .unwrap();
            let attempt = AttemptId {
                build: spec.id.clone(),
                number: std::process::id(),
            };
            let text = buildspec(&spec, &attempt).unwrap();
            let buildspec: Buildspec = serde_saphyr::from_str(&text).unwrap();
            let commands = buildspec.phases["build"]["commands"].join("\n");
            let ended = Command::new("bash").arg("-c").arg(&commands).output().unwrap();
            std::fs::remove_dir_all(format!("/tmp/bellhop-{}-{}-{}", spec.id.run, spec.id.job, attempt.number)).unwrap();
            (ended.status.code(), String::from_utf8(ended.stdout).unwrap())
        };
        let said = |code: i32, text: &str| (Some(code), text.to_owned());
        assert_eq!(output("echo '$HOME' \"$((1 + 1))\"\nfalse | cat\necho never"), said(1, "$HOME 2\n"));
        assert_eq!(output("#!/bin/cat\nas it is"), said(0, "#!/bin/cat\nas it is\n"));
    }

    #[test]
    fn artifacts_are_named_in_the_buildspec_and_go_where_all_do() {
        let mut spec = running("make");
        spec.artifacts = vec!["target/*.xml".to_owned(), "*: \"x\"".to_owned()];
        assert_eq!(read(&spec).artifacts.unwrap()["files"], spec.artifacts);
        let (path, name) = artifacts_place(&attempt());
        assert_eq!((path.as_str(), name.as_str()), ("runs/abcdefghij/test/2", "artifacts"));
        assert_eq!(format!("{path}/{name}/"), agent::artifacts_prefix(&attempt()));
    }

    #[test]
    fn a_buildspec_of_the_repository_is_named_by_its_path() {
        let mut spec = running("");
        spec.script = Script::Buildspec("ci/image.yml".to_owned());
        assert_eq!(buildspec(&spec, &attempt()).as_deref(), Some("ci/image.yml"));
        spec.script = Script::Stored("scripts/x".to_owned());
        assert_eq!(buildspec(&spec, &attempt()), None);
    }

    #[test]
    fn the_environment_lacks_what_is_said_elsewhere() {
        let mut spec = running("make");
        spec.artifacts = vec!["x".to_owned()];
        spec.environment.insert("LEVEL".to_owned(), "debug".to_owned());
        let environment = environment(&spec, &attempt(), Capacity::CodeBuild, "suite");
        let names: Vec<&str> = environment.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "BELLHOP_ATTEMPT",
                "BELLHOP_BUILD",
                "BELLHOP_CAPACITY",
                "BELLHOP_COMMIT",
                "BELLHOP_JOB",
                "BELLHOP_REF",
                "BELLHOP_REPOSITORY",
                "BELLHOP_RUN",
                "CI",
                "LEVEL",
            ]
        );
        assert_eq!(environment["BELLHOP_CAPACITY"], "codebuild");
    }

    #[test]
    fn timeouts_are_whole_minutes_within_the_bounds() {
        let mut spec = running("make");
        for (seconds, timeout, queued) in [
            (1, 5, 5),
            (300, 5, 5),
            (301, 6, 6),
            (3600, 60, 60),
            (28_801, 481, 480),
            (86_400, 1440, 480),
            (1_000_000, 2160, 480),
        ] {
            spec.timeout = Duration::from_secs(seconds);
            spec.queue_timeout = spec.timeout;
            assert_eq!(
                (timeout_minutes(&spec), queued_timeout_minutes(&spec)),
                (timeout, queued),
                "{seconds}"
            );
        }
        spec.timeout = Duration::from_millis(300_001);
        assert_eq!(timeout_minutes(&spec), 6);
    }

    #[test]
    fn a_repository_is_cloned_from_its_region() {
        let repository = "shop".parse().unwrap();
        assert_eq!(
            clone_url("eu-west-1", &repository),
            "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop"
        );
        assert_eq!(
            clone_url("cn-north-1", &repository),
            "https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/shop"
        );
    }
}
