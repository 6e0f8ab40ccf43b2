//! The local AWS with `infra/template.yaml` deployed to it with the AWS CLI, as it is deployed to AWS.

use std::collections::BTreeMap;
use std::ops::Deref;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use xtask::functions::Functions;
use xtask::workspace::root;

use crate::bare::{Bare, credentials};

/// The stack's name, and the suite's.
const STACK: &str = "bellhop";
/// Where the CLI puts the functions' code for CloudFormation.
const PACKAGES: &str = "bellhop-packages";
/// The suite configuration that a stack begins with.
pub(crate) const CONFIGURATION: &str = "bellhop.yaml";
/// Where the suite configuration is in the bucket.
pub(crate) const CONFIG_KEY: &str = "config/bellhop.yaml";

/// A local AWS with the stack deployed.
pub(crate) struct Stack {
    bare: Bare,
    outputs: BTreeMap<String, String>,
    wake_topic: String,
    timer_queue: String,
}

impl Deref for Stack {
    type Target = Bare;

    fn deref(&self) -> &Bare {
        &self.bare
    }
}

impl Stack {
    /// Starts everything on free ports, deploys the template with the functions as tests have them, which log from this level up, and puts the suite
    /// configuration into its bucket.
    pub(crate) async fn start(log_level: &str) -> anyhow::Result<Self> {
        Self::with(&Functions::debug(), log_level).await
    }

    /// The same with other binaries of the functions.
    pub(crate) async fn with(functions: &Functions, log_level: &str) -> anyhow::Result<Self> {
        let mut stack = Self {
            bare: Bare::start(log_level).await?,
            outputs: BTreeMap::new(),
            wake_topic: String::new(),
            timer_queue: String::new(),
        };
        stack.deploy(functions).await?;
        let mut resources = stack.resources().await?;
        let mut id = |name: &str| {
            resources
                .remove(name)
                .with_context(|| format!("infra/template.yaml has no resource {name}"))
        };
        (stack.wake_topic, stack.timer_queue) = (id("WakeTopic")?, id("TimerQueue")?);
        stack.configure(CONFIGURATION).await?;
        Ok(stack)
    }

    /// Puts a suite configuration, a file of `tests/local`, into its bucket.
    pub(crate) async fn configure(&self, file: &str) -> anyhow::Result<()> {
        let configuration = root().join("tests/local").join(file);
        let text = std::fs::read_to_string(&configuration).with_context(|| format!("cannot read {}", configuration.display()))?;
        self.aws.put_object(self.output("BucketName")?, CONFIG_KEY, text).await
    }

    /// An output of the template.
    pub(crate) fn output(&self, name: &str) -> anyhow::Result<&str> {
        self.outputs
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("infra/template.yaml has no output {name}"))
    }

    /// The ids of the resources, by their names in the template.
    pub(crate) async fn resources(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let listed = self
            .cli("Reading the stack's resources", |cli| {
                cli.args(["cloudformation", "list-stack-resources", "--stack-name", STACK])
                    .args(["--output", "json"])
            })
            .await?;
        let listed: Value = serde_json::from_str(&listed).context("the stack's resources are no JSON")?;
        let summaries = listed["StackResourceSummaries"].as_array().into_iter().flatten();
        Ok(summaries
            .filter_map(|resource| {
                let text = |key: &str| resource[key].as_str().map(ToOwned::to_owned);
                Some((text("LogicalResourceId")?, text("PhysicalResourceId")?))
            })
            .collect())
    }

    /// What a program has to find in its environment to use this stack as a deployed function would: name and value.
    pub(crate) fn environment(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut all = credentials();
        all.extend([
            ("AWS_ENDPOINT_URL", self.stand_in.endpoint()),
            ("BELLHOP_TABLE", self.output("TableName")?.to_owned()),
            ("BELLHOP_BUCKET", self.output("BucketName")?.to_owned()),
            ("BELLHOP_TOPIC_ARN", self.output("TopicArn")?.to_owned()),
            ("BELLHOP_WAKE_TOPIC_ARN", self.wake_topic.clone()),
            ("BELLHOP_TIMER_QUEUE_URL", self.timer_queue.clone()),
            ("BELLHOP_SUITE", STACK.to_owned()),
        ]);
        Ok(all)
    }

    /// Whether no task is live and the ledger waits for nothing.
    pub(crate) async fn is_at_rest(&self) -> anyhow::Result<bool> {
        if self.stand_in.ecs().tasks().iter().any(|task| task.last_status != "STOPPED") {
            return Ok(false);
        }
        let items = self.aws.scan(self.output("TableName")?).await?;
        Ok(items.iter().all(|item| item.get("due_shard").is_none()))
    }

    async fn deploy(&mut self, functions: &Functions) -> anyhow::Result<()> {
        let packaged = self.folder().join("packaged.yaml");
        let template = self.folder().join("template.yaml");
        let mut text = std::fs::read_to_string(root().join("infra/template.yaml")).context("cannot read infra/template.yaml")?;
        for (name, package) in functions.pack(self.venv()).await? {
            let deployed = format!("../target/lambda/{name}/");
            ensure!(
                text.contains(&deployed),
                "infra/template.yaml does not accept {name} from {deployed}"
            );
            text = text.replace(&deployed, &package.display().to_string());
        }
        std::fs::write(&template, text).with_context(|| format!("cannot write {}", template.display()))?;
        self.cli("Creating a bucket for the functions' code", |cli| {
            cli.args(["s3", "mb", &format!("s3://{PACKAGES}")])
        })
        .await?;
        self.cli("Uploading the functions", |cli| {
            cli.args(["cloudformation", "package", "--s3-bucket", PACKAGES, "--template-file"])
                .arg(&template)
                .arg("--output-template-file")
                .arg(&packaged)
        })
        .await?;
        // The architecture of this machine: its binaries run here.
        let architecture = format!("Architecture={}", if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" });
        let suite = format!("Suite={STACK}");
        self.cli("Deploying infra/template.yaml", |cli| {
            cli.args([
                "cloudformation",
                "deploy",
                "--stack-name",
                STACK,
                "--capabilities",
                "CAPABILITY_IAM",
            ])
            .args([
                "--no-fail-on-empty-changeset",
                // A template larger than 50 KiB goes through a bucket.
                "--s3-bucket",
                PACKAGES,
                "--parameter-overrides",
                &architecture,
                &suite,
                // People try alarms of their own here.
                "AlarmRule=all",
                "--template-file",
            ])
            .arg(&packaged)
        })
        .await?;
        let outputs = self
            .cli("Reading the stack's outputs", |cli| {
                cli.args(["cloudformation", "describe-stacks", "--stack-name", STACK]).args([
                    "--query",
                    "Stacks[0].Outputs",
                    "--output",
                    "json",
                ])
            })
            .await?;
        let outputs: Value = serde_json::from_str(&outputs).context("the stack's outputs are no JSON")?;
        for output in outputs.as_array().into_iter().flatten() {
            if let (Some(name), Some(value)) = (output["OutputKey"].as_str(), output["OutputValue"].as_str()) {
                self.outputs.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }
}
