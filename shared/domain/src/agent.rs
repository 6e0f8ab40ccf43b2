//! The input of an agent: its environment, and the places of its files in the bucket.

pub mod launched;

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::executor::{Capacity, Place, Script};
use crate::ids::{AttemptId, RepositoryName};
use crate::inputs;
use crate::secret;
use crate::spec::BuildSpec;

/// What stands for the agent's identity in an address: the agent puts the `UserId` of its own credentials there
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).
pub const IDENTITY: &str = "{identity}";

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
    let own = place(spec, attempt).folder(IDENTITY);
    set("BELLHOP_RESULT_URI", format!("s3://{bucket}/{}", own.report()));
    match &spec.script {
        Script::Inline(text) => set("BELLHOP_SCRIPT", text.clone()),
        Script::Stored(key) => set("BELLHOP_SCRIPT_URI", format!("s3://{bucket}/{key}")),
        // CodeBuild reads it from the checkout.
        Script::Buildspec(_) | Script::None => {}
    }
    if !spec.secrets.is_empty() {
        set(secret::VARIABLE, secret::lines(&spec.secrets, &spec.repository));
    }
    if let Some(key) = &spec.inputs.manifest {
        set(inputs::VARIABLE, format!("s3://{bucket}/{key}"));
    }
    if !spec.artifacts.is_empty() {
        set("BELLHOP_ARTIFACTS", spec.artifacts.join("\n"));
        set("BELLHOP_ARTIFACTS_URI", format!("s3://{bucket}/{}", own.artifacts()));
    }
    all
}

/// Whether the executor takes the build's script in the environment of the agent. The list of files to fetch is not known then, but how long its key is.
#[must_use]
pub fn fits_environment(spec: &BuildSpec, bucket: &str) -> bool {
    if spec.inputs.are_open() {
        let mut known = spec.clone();
        known.inputs.manifest = Some(script_key(&spec.repository, ""));
        return fits_environment(&known, bucket);
    }
    let attempt = AttemptId {
        build: spec.id.clone(),
        number: 1,
    };
    let kind = spec.executor.kind();
    kind.takes(&environment(spec, &attempt, kind.capacity(), bucket))
}

/// The key of a script in the bucket, if it does not fit into the overrides. It ends with the script's hash: agents may read what is below `scripts/`, and
/// only those who know a script know its key.
#[must_use]
pub fn script_key(repository: &RepositoryName, script: &str) -> String {
    format!("scripts/{repository}/{}", HEXLOWER.encode(&Sha256::digest(script)))
}

/// Where the agents of an attempt leave files in the bucket.
#[must_use]
pub fn place(spec: &BuildSpec, attempt: &AttemptId) -> Place {
    spec.executor.kind().place(attempt, &spec.repository, spec.role.is_some())
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
            ("BELLHOP_RESULT_URI", "s3://suite/runs/abcdefghij/{identity}/test/2/result.json"),
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
    fn scripts_and_reports_have_their_places() {
        let key = script_key(&spec().repository, "make test");
        assert_eq!(key, "scripts/shop/22cc66aa7d2624b4eb4d5b61658614cd6c32477b123afbf7dbc7fc3d7d0f3713");
        assert_eq!(report_key(&spec().id.run), "runs/abcdefghij/report.json");
    }

    const TASK: &str = "arn:aws:ecs:us-east-1:123456789012:task/ci/0a1b";

    fn folder_among(agent: &str, folders: &[&str]) -> Option<String> {
        let place = place(&spec(), &attempt());
        let folder = place.folder_of(&agent.parse().unwrap(), folders.iter().copied());
        folder.map(|folder| folder.report())
    }

    #[test]
    fn only_the_folder_with_an_agents_own_id_is_its_own() {
        let report = "runs/abcdefghij/AROA1:0a1b/test/2/result.json";
        assert_eq!(folder_among(TASK, &["AROA1:0a1b"]).as_deref(), Some(report));
        assert_eq!(
            folder_among(TASK, &["AROA1:ffff", "AROA1:0a1b", "report.json"]).as_deref(),
            Some(report)
        );
        let foreign = ["AROA1:ffff", "AROA1:00a1b", "AROA10a1b", "AROA1:0a1b:", "0a1", ""];
        assert_eq!(folder_among(TASK, &foreign), None);
        assert_eq!(
            folder_among(TASK, &["AROA1:0a1b", "AROA2:0a1b"]),
            None,
            "one of the two is a forgery"
        );
    }

    /// Whether the policy `runs/??????????/${aws:userid}/*` lets an agent write an object: ten characters of its choice and a slash, then its own name.
    fn may_write(user: &str, key: &str) -> bool {
        let after = key
            .strip_prefix("runs/")
            .and_then(|rest| rest.get(10..))
            .and_then(|rest| rest.strip_prefix('/'));
        after
            .and_then(|rest| rest.strip_prefix(user))
            .is_some_and(|rest| rest.starts_with('/'))
    }

    #[test]
    fn no_agent_can_write_into_the_folder_of_another() {
        let place = place(&spec(), &attempt());
        let folder = place.folder("AROA1:0a1b");
        for key in [
            folder.report(),
            folder.artifacts() + "AROA2:ffff/x",
            folder.artifacts() + "a/b/AROA2:ffff/x",
        ] {
            assert!(may_write("AROA1:0a1b", &key), "{key}");
            assert!(!may_write("AROA2:ffff", &key), "{key}");
        }
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
        stored.script = Script::Stored(script_key(&stored.repository, "make test"));
        stored.artifacts = vec!["dist/**".to_owned()];
        stored.inputs.manifest = Some("scripts/shop/0a1b".to_owned());
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
