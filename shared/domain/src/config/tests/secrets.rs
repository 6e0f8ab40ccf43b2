//! The secrets of a job: what a reference may be, and what fits into a task.

use super::plans::{AGENTS, push, try_plan};
use super::{pipeline, refusal};
use crate::config::{OnBehalf, PipelineFile, SuiteConfig, plan_script};
use crate::ids::RunId;
use crate::secret::Secret;

#[test]
fn references() {
    let text = pipeline(
        "run: x\nsecrets: { A: npm-token, B: protected/deploy.key_2, C: { secrets-manager: db }, D: { secrets-manager: db, key: password } }",
        "",
    );
    let file = PipelineFile::parse(&text).unwrap();
    let managed = |key: Option<&str>| Secret::SecretsManager {
        name: "db".to_owned(),
        key: key.map(ToOwned::to_owned),
    };
    let read: Vec<Secret> = file.jobs()[0].secrets.values().cloned().collect();
    assert_eq!(
        read,
        [
            Secret::Parameter("npm-token".to_owned()),
            Secret::Parameter("protected/deploy.key_2".to_owned()),
            managed(None),
            managed(Some("password")),
        ]
    );
}

#[test]
fn references_that_are_wrong() {
    let name = "not a valid name of a secret: expected its name below the repository's prefix, such as npm-token or protected/deploy-key: up to \
                200 letters, digits, '.', '_' and '-', in up to 10 parts with '/' between them";
    let key = "not a valid key: expected the name of a field of the secret, with up to 128 letters, digits, '.', '_' and '-'";
    let form = "expected the name of a parameter, such as npm-token, or a mapping such as `{ secrets-manager: db, key: password }`";
    for (secrets, expected) in [
        ("{ A: /a }", format!(".A: {name}")),
        ("{ A: ../other/token }", format!(".A: {name}")),
        ("{ A: 'a:3' }", format!(".A: {name}")),
        ("{ A: { secrets-manager: 'a b' } }", format!(".A.secrets-manager: {name}")),
        ("{ A: { secrets-manager: a, key: 'b:c' } }", format!(".A.key: {key}")),
        (
            "{ A: { secrets-manager: a, keys: b } }",
            ".A: unknown key `keys`; did you mean `key`? (known: secrets-manager, key)".to_owned(),
        ),
        ("{ A: { key: b } }", ".A: missing key `secrets-manager`".to_owned()),
        ("{ A: [b] }", format!(".A: {form}")),
        ("{ A: 5 }", format!(".A: {form}")),
        ("[A]", ": expected a mapping, that is `key: value`".to_owned()),
        (
            "{ BELLHOP_RUN: x }",
            ".BELLHOP_RUN: `BELLHOP_RUN` is set for the job: expected another name than CI, BELLHOP_…, AWS_… and CODEBUILD_…".to_owned(),
        ),
        (
            "{ B: x }",
            ".B: `B` is also in `environment`: expected it in one of them".to_owned(),
        ),
    ] {
        assert_eq!(
            refusal(&pipeline(&format!("run: x\nenvironment: {{ B: b }}\nsecrets: {secrets}"), "")),
            format!(".bellhop.yaml, line 7, jobs.test.secrets{expected}"),
            "{secrets}"
        );
    }
    let many = (0..21).map(|i| format!("A{i}: a")).collect::<Vec<_>>().join(", ");
    assert_eq!(
        refusal(&pipeline(&format!("run: x\nsecrets: {{ {many} }}"), "")),
        ".bellhop.yaml, line 6, jobs.test.secrets: 21 secrets: at most 20 are possible"
    );
}

#[test]
fn names_of_secrets_that_fit_into_no_task() {
    let job = |count: usize, agent: &str| {
        let secrets: Vec<String> = (0..count)
            .map(|i| format!("{}: s{i}{}", "V".repeat(200) + &i.to_string(), "n".repeat(190)))
            .collect();
        pipeline(&format!("run: x\nsecrets: {{ {} }}", secrets.join(", ")), "").replace("agent: small", &format!("agent: {agent}"))
    };
    assert!(try_plan(&job(14, "small"), AGENTS, "refs/heads/main", None).is_ok());
    let refused = try_plan(&job(15, "small"), AGENTS, "refs/heads/main", None).unwrap_err();
    assert_eq!(
        refused,
        ".bellhop.yaml, line 6, jobs.test.secrets: the names of secrets and the variables of the job take 6256 bytes as JSON: at most 6000 fit into an ECS task"
    );
    assert_eq!(
        try_plan(&job(15, "docker"), AGENTS, "refs/heads/main", None).unwrap()[0]
            .secrets
            .len(),
        15
    );
}

#[test]
fn a_job_of_the_suite_has_the_secrets_of_its_repository_and_an_action_none() {
    let jobs =
        "jobs:\n  script: { agent: small, repository: shop, branch: main, run: make, secrets: { TOKEN: { secrets-manager: db } } }\n";
    let config = SuiteConfig::parse(&format!("{AGENTS}{jobs}")).unwrap();
    let push = push("refs/heads/main");
    let run = RunId::derive("ci", &push.trigger, &push.reference);
    let secrets = |on_behalf| {
        let agent = "small".parse().unwrap();
        let spec = plan_script(&run, &push, "script".parse().unwrap(), (&agent, "make"), &config, on_behalf).unwrap();
        crate::secret::lines(&spec.secrets, &spec.repository)
    };
    assert_eq!(secrets(OnBehalf::Suite), "TOKEN secretsmanager /bellhop/shop/db");
    assert_eq!(secrets(OnBehalf::Action), "");
    let machine = "{ step-functions: { state-machine: 'arn:aws:states:us-east-1:123456789012:stateMachine:bellhop-agent-release' } }";
    let refused = SuiteConfig::parse(&format!("version: 1\nagents:\n  small: {machine}\n{jobs}")).unwrap_err();
    assert_eq!(
        refused.headline(),
        "config/bellhop.yaml, line 5, jobs.script.secrets: secrets need an agent on ECS or CodeBuild, and `small` is none: expected no `secrets`; the state machine can read them itself"
    );
}
