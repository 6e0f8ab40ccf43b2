//! The input of an agent: its environment, and the places of its files in the bucket.

use std::collections::BTreeMap;

use crate::executor::{Capacity, Script};
use crate::ids::{AttemptId, BuildId};
use crate::secret;
use crate::spec::BuildSpec;

/// The environment of an attempt's agent. `bucket` is the suite's bucket, which holds stored scripts and receives the report.
///
/// The job's variables come first, so that none of them can replace a variable of the suite.
#[must_use]
pub fn environment(spec: &BuildSpec, attempt: &AttemptId, capacity: Capacity, bucket: &str) -> BTreeMap<String, String> {
    let mut all = spec.environment.clone();
    let mut set = |name: &str, value: String| {
        all.insert(name.to_owned(), value);
    };
    set("CI", "true".to_owned());
    set("BELLHOP_RUN", spec.id.run.to_string());
    set("BELLHOP_JOB", spec.id.job.to_string());
    set("BELLHOP_BUILD", spec.id.to_string());
    set("BELLHOP_ATTEMPT", attempt.number.to_string());
    set("BELLHOP_REPOSITORY", spec.repository.to_string());
    set("BELLHOP_COMMIT", spec.commit.to_string());
    set("BELLHOP_REF", spec.reference.full());
    set("BELLHOP_CAPACITY", capacity.to_string());
    set("BELLHOP_RESULT_URI", format!("s3://{bucket}/{}", result_key(attempt)));
    match &spec.script {
        Script::Inline(text) => set("BELLHOP_SCRIPT", text.clone()),
        Script::Stored(key) => set("BELLHOP_SCRIPT_URI", format!("s3://{bucket}/{key}")),
        // CodeBuild reads it from the checkout.
        Script::Buildspec(_) => {}
    }
    if !spec.secrets.is_empty() {
        set(secret::VARIABLE, secret::lines(&spec.secrets, &spec.repository));
    }
    if !spec.artifacts.is_empty() {
        set("BELLHOP_ARTIFACTS", spec.artifacts.join("\n"));
        set("BELLHOP_ARTIFACTS_URI", format!("s3://{bucket}/{}", artifacts_prefix(attempt)));
    }
    all
}

/// Whether the executor takes the build's script in the environment of the agent.
#[must_use]
pub fn fits_environment(spec: &BuildSpec, bucket: &str) -> bool {
    let attempt = AttemptId {
        build: spec.id.clone(),
        number: 1,
    };
    let kind = spec.executor.kind();
    kind.takes(&environment(spec, &attempt, kind.capacity(), bucket))
}

/// The key of a build's script in the bucket, if the script does not fit into the overrides. It is not below `runs/`, where agents may write.
#[must_use]
pub fn script_key(build: &BuildId) -> String {
    format!("scripts/{build}")
}

/// The key of an attempt's report by its agent in the bucket.
#[must_use]
pub fn result_key(attempt: &AttemptId) -> String {
    format!("runs/{attempt}/result.json")
}

/// The prefix of an attempt's artifacts in the bucket; their paths in the checkout follow it. Ends in a slash.
#[must_use]
pub fn artifacts_prefix(attempt: &AttemptId) -> String {
    format!("runs/{attempt}/artifacts/")
}

/// The key of a finished run's report in the bucket.
#[must_use]
pub fn report_key(run: &crate::ids::RunId) -> String {
    format!("runs/{run}/report.json")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::executor::ecs::OVERRIDES_LIMIT;
    use crate::secret::Secret;
    use crate::testing::{Page, spec};

    fn attempt() -> AttemptId {
        AttemptId {
            build: spec().id,
            number: 2,
        }
    }

    #[test]
    fn the_agent_is_told_what_the_contract_names() {
        let environment = environment(&spec(), &attempt(), Capacity::Spot, "suite");
        let expected = [
            ("BELLHOP_ATTEMPT", "2"),
            ("BELLHOP_BUILD", "abcdefghij/test"),
            ("BELLHOP_CAPACITY", "spot"),
            ("BELLHOP_COMMIT", "0123456789abcdef0123456789abcdef01234567"),
            ("BELLHOP_JOB", "test"),
            ("BELLHOP_REF", "refs/heads/main"),
            ("BELLHOP_REPOSITORY", "shop"),
            ("BELLHOP_RESULT_URI", "s3://suite/runs/abcdefghij/test/2/result.json"),
            ("BELLHOP_RUN", "abcdefghij"),
            ("BELLHOP_SCRIPT", "make test"),
            ("CI", "true"),
        ];
        let expected: BTreeMap<String, String> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(environment, expected);
    }

    #[test]
    fn a_job_cannot_pass_itself_off_as_another() {
        let mut spec = spec();
        spec.environment.insert("BELLHOP_BUILD".to_owned(), "zzzzzzzzzz/other".to_owned());
        let environment = environment(&spec, &attempt(), Capacity::Spot, "suite");
        assert_eq!(environment.get("BELLHOP_BUILD").unwrap(), "abcdefghij/test");
    }

    #[test]
    fn quotes_count_twice_in_the_overrides() {
        let mut spec = spec();
        spec.script = Script::Inline("x".repeat(6000));
        assert!(fits_environment(&spec, "suite"));
        spec.script = Script::Inline("\"".repeat(6000));
        assert!(!fits_environment(&spec, "suite"));
    }

    #[test]
    fn scripts_reports_and_results_have_their_places() {
        assert_eq!(script_key(&spec().id), "scripts/abcdefghij/test");
        assert_eq!(report_key(&spec().id.run), "runs/abcdefghij/report.json");
        assert_eq!(result_key(&attempt()), "runs/abcdefghij/test/2/result.json");
    }

    #[test]
    fn a_script_may_take_all_that_the_margin_leaves() {
        let with = |length: usize| {
            let mut spec = spec();
            spec.script = Script::Inline("x".repeat(length));
            spec
        };
        let taken = |spec: &BuildSpec| {
            let attempt = AttemptId { number: 1, ..attempt() };
            let environment: Vec<_> = environment(spec, &attempt, Capacity::OnDemand, "suite")
                .into_iter()
                .map(|(name, value)| serde_json::json!({ "name": name, "value": value }))
                .collect();
            let overrides = serde_json::json!({ "containerOverrides": [{ "name": "agent", "environment": environment }] });
            overrides.to_string().len()
        };
        let longest = (0..OVERRIDES_LIMIT)
            .rfind(|length| fits_environment(&with(*length), "suite"))
            .unwrap();
        // Of the margin, the frame of the overrides takes this much.
        let frame = r#"{"containerOverrides":[{"environment":[],"name":""}]}"#.len() - 1;
        assert_eq!(taken(&with(longest)), OVERRIDES_LIMIT - 512 + frame);
    }

    #[test]
    fn the_reference_lists_every_variable() {
        let mut stored = spec();
        stored.script = Script::Stored(script_key(&stored.id));
        stored.artifacts = vec!["dist/**".to_owned()];
        stored.secrets.insert("TOKEN".to_owned(), Secret::Parameter("token".to_owned()));
        let mut names: Vec<String> = environment(&spec(), &attempt(), Capacity::Spot, "suite").into_keys().collect();
        names.extend(environment(&stored, &attempt(), Capacity::Spot, "suite").into_keys());
        let page = Page::read("environment.md").text;
        let section = page
            .split("\n## ")
            .find(|section| section.starts_with("Variables of a job\n"))
            .unwrap();
        for name in &names {
            assert!(
                section.contains(&format!("| `{name}` |")),
                "environment.md does not say what {name} is"
            );
        }
        for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
            let name = row.split('`').next().unwrap();
            let by_task_definition = row.contains("| task definition |");
            assert!(
                by_task_definition || names.iter().any(|other| other == name),
                "no agent gets {name}"
            );
        }
    }
}
