//! The input of an AWS CodeBuild build: the buildspec, and the overrides of its project
//! (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html>).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::json;

use crate::executor::{Place, Script};
use crate::ids::{AttemptId, RepositoryName};

/// The timeouts in minutes that CodeBuild accepts. Bellhop itself enforces shorter ones.
const TIMEOUT: RangeInclusive<u64> = 5..=2160;
/// The queued timeouts in minutes that CodeBuild accepts.
const QUEUED_TIMEOUT: RangeInclusive<u64> = 5..=480;
/// Variables that only other agents need. CodeBuild has the script in the buildspec, fetches the secrets and uploads the artifacts by itself, and
/// returns the result in its API.
const OF_OTHERS: [&str; 5] = [
    "BELLHOP_SCRIPT",
    "BELLHOP_RESULT_URI",
    "BELLHOP_SECRETS",
    "BELLHOP_ARTIFACTS",
    "BELLHOP_ARTIFACTS_URI",
];
/// The file of the script.
const SCRIPT_FILE: &str = "bellhop-script";
/// The file that bash reads before the script.
const PRELUDE: &str = include_str!("prelude.sh");
/// The variable with a note about the command that ended the script. The buildspec exports it, so that the build's description contains it
/// (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ExportedEnvironmentVariable.html>). The command that runs the script sets it.
pub const FAILED: &str = "BELLHOP_FAILED";
/// The most bytes stored of a note: the prelude writes 300 bytes of a command, and three characters for some of them.
const LONGEST_NOTE: usize = 1000;

/// The command that ended a script, as a CodeBuild build notes it. A job can write any note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCommand {
    /// The exit code of the script, and of the command.
    pub exit_code: i32,
    /// The line of the script on which the command stands.
    pub line: u32,
    /// The command, without expansion of its variables.
    pub command: String,
}

impl FailedCommand {
    /// Parses the value of the variable [`FAILED`]: the script's exit code, then the command's exit code, line and text, with `%` and two hexadecimal
    /// digits for some of its bytes. `None` if no command is noted, or not the one that ended the script.
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let mut parts = value.trim().splitn(4, ' ');
        let exit_code = parts.next()?.parse().ok()?;
        // A trap of the script may have continued after the failure and ended it with another code.
        if parts.next()?.parse() != Ok(exit_code) {
            return None;
        }
        let line = parts.next()?.parse().ok()?;
        let command = decoded(parts.next()?);
        (!command.trim().is_empty()).then_some(Self { exit_code, line, command })
    }
}

/// Decodes `%` and two hexadecimal digits to bytes.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().take(LONGEST_NOTE).collect::<Vec<_>>().into_iter();
    while let Some(byte) = rest.next() {
        let digits = rest.as_slice().get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits
            .filter(|digits| byte == b'%' && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if escaped.is_some() {
            rest.nth(1);
        }
        bytes.push(escaped.unwrap_or(byte));
    }
    // A character that the limit has cut is dropped.
    String::from_utf8_lossy(&bytes)
        .trim_end_matches(char::REPLACEMENT_CHARACTER)
        .to_owned()
}

/// What an attempt's build needs of an agent's environment: not the variables that only the agent of ECS tasks reads.
#[must_use]
pub fn only_needed(mut environment: BTreeMap<String, String>) -> BTreeMap<String, String> {
    environment.retain(|name, _| !OF_OTHERS.contains(&name.as_str()));
    environment
}

/// The buildspec of an attempt: the path of a buildspec in the repository, or the text of one that runs the job's script like an ECS agent: with
/// bash, `-e` and `pipefail`, or with the interpreter on its first line. `None` for a script in the bucket, which CodeBuild jobs never have.
///
/// It has several commands, because CodeBuild quotes the failed command, which should not be the whole script.
#[must_use]
pub fn text(script: &Script, artifacts: &[String], attempt: &AttemptId) -> Option<String> {
    let script = match script {
        Script::Inline(script) => script,
        Script::Buildspec(path) => return Some(path.clone()),
        Script::Stored(_) => return None,
    };
    // Outside the checkout, and different for each attempt.
    let directory = format!("/tmp/bellhop-{}-{}-{}", attempt.build.run, attempt.build.job, attempt.number);
    let file = format!("{directory}/{SCRIPT_FILE}");
    let mut commands = vec![format!(
        "mkdir -p {directory} && {}",
        write(&file, script, &format!(" && chmod +x {file}"))
    )];
    let mut env = json!({ "shell": "bash" });
    if script.starts_with("#!") {
        commands.push(file);
    } else {
        commands.extend([
            // A variable that is exported "must be available in your container during the build"
            // (<https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html>).
            format!(
                "export {FAILED}= && {}",
                write(&format!("{file}.prelude"), &PRELUDE.replace("@SCRIPT@", &file), "")
            ),
            // `exit` would end the shell before CodeBuild has read its variables. A subshell only returns the exit code.
            format!(
                "BELLHOP_BASH_ENV=${{BASH_ENV-}} BASH_ENV={file}.prelude bash -eo pipefail {file} || \
                 {{ export {FAILED}=\"$? $(head -c {LONGEST_NOTE} {file}.failed 2>/dev/null)\"; (exit \"${{{FAILED}%% *}}\"); }}"
            ),
        ]);
        env["exported-variables"] = json!([FAILED]);
    }
    let mut buildspec = json!({
        "version": 0.2,
        "env": env,
        "phases": { "build": { "commands": commands } },
    });
    if !artifacts.is_empty() {
        buildspec["artifacts"] = json!({ "files": artifacts });
    }
    Some(yaml(&buildspec))
}

/// A command that writes a text to a file, and the commands after it.
fn write(file: &str, text: &str, then: &str) -> String {
    let end = delimiter(text);
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    format!("cat >{file} <<'{end}'{then}\n{text}{newline}{end}")
}

/// A line that the script does not have.
fn delimiter(script: &str) -> String {
    let mut end = "BELLHOP_SCRIPT_ENDS".to_owned();
    while script.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

/// JSON as YAML: almost all JSON is valid YAML, except for characters that YAML does not accept or treats as line ends. They only occur in strings,
/// where both languages have the same escape.
fn yaml(value: &serde_json::Value) -> String {
    let json = format!("{value:#}");
    let mut yaml = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                // Writing to a String cannot fail.
                let _ = write!(yaml, "\\u{:04x}", u32::from(character));
            }
            _ => yaml.push(character),
        }
    }
    yaml
}

/// After how many minutes CodeBuild ends the build.
#[must_use]
pub fn timeout_minutes(timeout: Duration) -> i32 {
    minutes(timeout, &TIMEOUT)
}

/// For how many minutes CodeBuild keeps the build waiting.
#[must_use]
pub fn queued_timeout_minutes(queue_timeout: Duration) -> i32 {
    minutes(queue_timeout, &QUEUED_TIMEOUT)
}

fn minutes(span: Duration, bounds: &RangeInclusive<u64>) -> i32 {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    i32::try_from(seconds.div_ceil(60).clamp(*bounds.start(), *bounds.end())).unwrap_or(i32::MAX)
}

/// The destination of artifacts in the suite's bucket, as CodeBuild's `path` and `name`. Between the two, CodeBuild puts a folder that it names after the
/// build (`namespaceType` `BUILD_ID`, <https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ProjectArtifacts.html>).
#[must_use]
pub fn artifacts_place(place: &Place) -> (&str, &'static str) {
    (place.above.trim_end_matches('/'), "artifacts")
}

/// The URL from which CodeBuild clones a repository.
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
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde::Deserialize;

    use super::*;
    use crate::agent;
    use crate::executor::codebuild::{CAPACITY, CodeBuildExecutor};
    use crate::executor::{Executor, ExecutorKind};
    use crate::spec::BuildSpec;
    use crate::testing::spec;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Buildspec {
        version: f64,
        env: serde_json::Value,
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
                logs: None,
            }),
            script: Script::Inline(script.to_owned()),
            ..spec()
        }
    }

    fn read(spec: &BuildSpec) -> Buildspec {
        serde_saphyr::from_str(&text(&spec.script, &spec.artifacts, &attempt()).unwrap()).unwrap()
    }

    fn commands(script: &str) -> Vec<String> {
        read(&running(script)).phases["build"]["commands"].clone()
    }

    #[test]
    fn a_script_becomes_a_buildspec_of_few_commands() {
        let buildspec = read(&running("make test"));
        assert!((buildspec.version - 0.2).abs() < f64::EPSILON);
        assert_eq!(buildspec.env, json!({ "shell": "bash", "exported-variables": ["BELLHOP_FAILED"] }));
        assert_eq!(buildspec.artifacts, None);
        let [script, prelude, run]: [String; 3] = commands("make test").try_into().unwrap();
        assert_eq!(
            script,
            "mkdir -p /tmp/bellhop-abcdefghij-test-2 && cat >/tmp/bellhop-abcdefghij-test-2/bellhop-script <<'BELLHOP_SCRIPT_ENDS' \
             && chmod +x /tmp/bellhop-abcdefghij-test-2/bellhop-script\nmake test\nBELLHOP_SCRIPT_ENDS"
        );
        assert!(!prelude.contains("@SCRIPT@"), "{prelude}");
        assert!(
            run.contains(" bash -eo pipefail /tmp/bellhop-abcdefghij-test-2/bellhop-script || "),
            "{run}"
        );
        // CodeBuild quotes the command that failed. By these names it is known, and not shown to people.
        assert!(run.contains("bellhop-script") && run.contains(FAILED) && !run.contains('\n'));
    }

    #[test]
    fn a_script_that_names_its_interpreter_is_run_by_it_alone() {
        let script = "#!/usr/bin/env python3\nprint(1)\n";
        assert_eq!(read(&running(script)).env, json!({ "shell": "bash" }));
        assert_eq!(commands(script)[1..], ["/tmp/bellhop-abcdefghij-test-2/bellhop-script"]);
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
            let write = commands(script).remove(0);
            let (head, body) = write.split_once('\n').unwrap();
            let end = head.split('\'').nth(1).unwrap();
            let body = body.strip_suffix(end).unwrap();
            assert_eq!(body, script);
            assert!(!body.lines().any(|line| line == end), "{script}");
        }
    }

    /// What became of a build's commands.
    #[derive(Debug)]
    struct Ended {
        exit_code: Option<i32>,
        stdout: String,
        /// The exported variable, as CodeBuild finds it once the commands have ended.
        failed: Option<String>,
    }

    impl Ended {
        /// Line and text of the command that ended the script, by the variable.
        fn command(&self) -> Option<(u32, String)> {
            let failed = FailedCommand::read(self.failed.as_deref()?)?;
            assert_eq!(Some(failed.exit_code), self.exit_code);
            Some((failed.line, failed.command))
        }
    }

    /// Runs the commands as CodeBuild does, as far as it is known: every command in a shell of its own, which is left with the exported variables
    /// of the shell before, and hands on its own unless the command has ended it.
    fn run_in(environment: &[(&str, &str)], script: &str) -> Ended {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let attempt = AttemptId {
            number: std::process::id() * 1000 + COUNT.fetch_add(1, Ordering::Relaxed),
            ..attempt()
        };
        let text = text(&Script::Inline(script.to_owned()), &[], &attempt).unwrap();
        let buildspec: Buildspec = serde_saphyr::from_str(&text).unwrap();
        let directory = format!("/tmp/bellhop-{}-{}-{}", attempt.build.run, attempt.build.job, attempt.number);
        let variables = format!("{directory}.variables");
        std::fs::write(&variables, "").unwrap();
        let mut ended = Ended {
            exit_code: Some(0),
            stdout: String::new(),
            failed: None,
        };
        for command in &buildspec.phases["build"]["commands"] {
            let shell = format!(". {variables}\n{command}\nLAST=$?\nexport -p >{variables}\nexit $LAST\n");
            let output = Command::new("bash")
                .args(["-c", &shell, "codebuild"])
                .envs(environment.iter().copied())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            ended.exit_code = output.status.code();
            ended.stdout += &String::from_utf8_lossy(&output.stdout);
            if ended.exit_code != Some(0) {
                break;
            }
        }
        let read = Command::new("bash")
            .args(["-c", &format!(". {variables}; printf %s \"${{{FAILED}-unset}}\"")])
            .env_remove(FAILED)
            .output()
            .unwrap();
        ended.failed = Some(String::from_utf8(read.stdout).unwrap()).filter(|value| value != "unset");
        std::fs::remove_file(&variables).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        ended
    }

    fn run(script: &str) -> Ended {
        run_in(&[], script)
    }

    #[test]
    fn bash_runs_what_was_written() {
        let said = |script: &str, code: i32, text: &str| {
            let ended = run(script);
            assert_eq!((ended.exit_code, ended.stdout.as_str()), (Some(code), text), "{script}");
            ended
        };
        said("echo '$HOME' \"$((1 + 1))\"\nfalse | cat\necho never", 1, "$HOME 2\n");
        assert_eq!(said("#!/bin/cat\nas it is", 0, "#!/bin/cat\nas it is\n").failed, None);
        assert_eq!(said("#!/bin/bash\nexit 3", 3, "").failed, None);
        // A success says nothing.
        assert_eq!(said("echo ok", 0, "ok\n").failed.as_deref(), Some(""));
        assert_eq!(said("false || echo ok", 0, "ok\n").failed.as_deref(), Some(""));
    }

    #[test]
    fn the_command_that_ends_a_script_is_named_with_its_line() {
        let long = format!("false {}", "x".repeat(1000));
        for (script, line, command) in [
            ("echo a\n\nfalse\necho never", 3, "false"),
            // As it is written: variables may hold secrets.
            ("LEVEL=3\nsh -c \"exit $LEVEL\"", 2, "sh -c \"exit $LEVEL\""),
            ("work() {\n  grep -q 'ü%41\\' /dev/null\n}\nwork", 2, "grep -q 'ü%41\\' /dev/null"),
            ("(echo a; exit 4)\n", 1, "( echo a; exit 4 )"),
            ("x=$(false)", 1, "x=$(false)"),
            ("  cat /dev/null | grep x | sort", 1, "cat /dev/null | grep x | sort"),
            (
                "if true; then\n  make -f /nowhere 2>/dev/null\nfi",
                2,
                "make -f /nowhere 2> /dev/null",
            ),
            ("sh -c \"exit 7\n\"", 1, "sh -c \"exit 7\n\""),
            ("set -ux\nfalse", 2, "false"),
            ("set -C; IFS=5; LC_ALL=C.UTF-8; readonly line=1 code=2 command=3\nfalse", 2, "false"),
            ("trap 'echo bye' EXIT\nfalse", 2, "false"),
            ("echo false >\"$0.part\"\n. \"$0.part\"", 2, "false"),
            (long.as_str(), 1, &long[..300]),
        ] {
            let ended = run(script);
            assert_ne!(ended.exit_code, Some(0), "{script}");
            assert_eq!(ended.command(), Some((line, command.to_owned())), "{script}: {ended:?}");
        }
        // A character that is cut in two is left out.
        let umlauts = format!("false {}", "ü".repeat(400));
        assert_eq!(run(&umlauts).command(), Some((1, format!("false {}", "ü".repeat(147)))));
    }

    #[test]
    fn a_command_that_did_not_end_the_script_is_not_named() {
        for (script, exit_code) in [
            ("exit 3", 3),
            ("set +e\nfalse\nexit 4", 4),
            ("trap 'exit 5' EXIT\nfalse", 5),
            ("trap 'exit 6' ERR\nfalse", 6),
            ("false || exit 7", 7),
            ("if [", 2),
            ("kill -9 $$", 137),
        ] {
            let ended = run(script);
            assert_eq!((ended.exit_code, ended.command()), (Some(exit_code), None), "{script}: {ended:?}");
        }
    }

    #[test]
    fn the_note_changes_nothing_that_the_script_sees() {
        let before = "echo \"$0\"; readlink /proc/self/fd/0; echo \"$#\" \"${BASH_ENV-none}\" \"${BELLHOP_BASH_ENV-none}\" \"${BELLHOP_FAILED-none}\"\n\
                      env | grep -c BELLHOP_F || :\nshopt -qo errexit && shopt -qo pipefail && echo strict";
        let ended = run(before);
        let (name, rest) = ended.stdout.split_once('\n').unwrap();
        assert!(
            name.starts_with("/tmp/bellhop-abcdefghij-test-") && name.ends_with("/bellhop-script"),
            "{name}"
        );
        assert_eq!(rest, "/dev/null\n0 none none none\n0\nstrict\n");

        let folder = std::env::temp_dir().join(format!("bellhop-prelude-{}", std::process::id()));
        std::fs::write(&folder, "OF_THE_IMAGE=yes\n").unwrap();
        let file = folder.to_str().unwrap();
        let ended = run_in(
            &[("BASH_ENV", file)],
            "echo \"$OF_THE_IMAGE\" \"$BASH_ENV\"; bash -c 'echo \"$OF_THE_IMAGE\"'; false",
        );
        std::fs::remove_file(&folder).unwrap();
        assert_eq!(ended.stdout, format!("yes {file}\nyes\n"));
        assert_eq!(ended.command(), Some((1, "false".to_owned())));
    }

    #[test]
    fn a_note_that_cannot_be_written_changes_no_exit_code() {
        for script in [
            "mkdir \"$0.failed\"\nsh -c 'exit 9'",
            "rm \"$0\"\nsh -c 'exit 9' | cat",
            "readonly _bh_note=1 LC_ALL=C\nsh -c 'exit 9'",
            "sh -c 'echo 9 1 true; yes' | head -c 100000 >\"$0.failed\" || :\nexit 9",
        ] {
            let ended = run(script);
            assert_eq!(ended.exit_code, Some(9), "{script}: {ended:?}");
            assert!(ended.failed.unwrap().len() < 1010, "{script}");
        }
    }

    #[test]
    fn a_note_is_read_as_the_text_of_anybody() {
        let read = |value: &str| FailedCommand::read(value).map(|failed| (failed.exit_code, failed.line, failed.command));
        let named = |command: &str| Some((3, 12, command.to_owned()));
        assert_eq!(read("3 3 12 make test\n"), named("make test"));
        assert_eq!(read("3 3 12 %22%C3%BC%22 100% %zz %4"), named("\"ü\" 100% %zz %4"));
        assert_eq!(read("3 3 12 %+1 %C3"), named("%+1 "));
        for nothing in [
            "",
            " ",
            "3",
            "3 ",
            "3 3",
            "3 3 12",
            "3 3 12 ",
            "3 3 12 %20",
            "3 4 12 make",
            "3 3 -1 make",
            "x 3 12 make",
            "3 x 12 make",
            "3 3 x make",
            "3 3 99999999999 make",
        ] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
        assert!(read(&format!("3 3 12 {}", "x".repeat(10_000))).unwrap().2.len() <= LONGEST_NOTE);
    }

    #[test]
    fn artifacts_are_named_in_the_buildspec_and_go_where_all_do() {
        let mut spec = running("make");
        spec.artifacts = vec!["target/*.xml".to_owned(), "*: \"x\"".to_owned()];
        assert_eq!(read(&spec).artifacts.unwrap()["files"], spec.artifacts);
        let place = CodeBuildExecutor {
            project: "ci-docker".to_owned(),
            logs: None,
        }
        .place(&attempt(), &spec.repository, false);
        assert_eq!(artifacts_place(&place), ("builds/shop/abcdefghij/test/2", "artifacts"));
        let folder = place.folder("0a1b");
        assert_eq!(folder.artifacts(), "builds/shop/abcdefghij/test/2/0a1b/artifacts/");
    }

    #[test]
    fn a_buildspec_of_the_repository_is_named_by_its_path() {
        let mut spec = running("");
        spec.script = Script::Buildspec("ci/image.yml".to_owned());
        assert_eq!(text(&spec.script, &spec.artifacts, &attempt()).as_deref(), Some("ci/image.yml"));
        spec.script = Script::Stored("scripts/x".to_owned());
        assert_eq!(text(&spec.script, &spec.artifacts, &attempt()), None);
    }

    #[test]
    fn the_environment_lacks_what_is_said_elsewhere() {
        let mut spec = running("make");
        spec.artifacts = vec!["x".to_owned()];
        spec.environment.insert("LEVEL".to_owned(), "debug".to_owned());
        let environment = only_needed(agent::environment(&spec, &attempt(), CAPACITY, "suite"));
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
                (timeout_minutes(spec.timeout), queued_timeout_minutes(spec.queue_timeout)),
                (timeout, queued),
                "{seconds}"
            );
        }
        spec.timeout = Duration::from_millis(300_001);
        assert_eq!(timeout_minutes(spec.timeout), 6);
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
