//! Pushes: files that are refused, launches that ECS refuses, and faults between a push and its run.

use bellhop_stand_in::{Fault, Rule, Times};

use super::inputs::{passes, permanent, run_of, transient};
use super::table::Table;
use crate::stack::{CONFIG_KEY, CONFIGURATION};

impl Table<'_> {
    pub(super) async fn refused_files(&self) -> anyhow::Result<()> {
        self.write("version: 1\njobs:\n  test: { agent: smal, run: 'true' }\n")?;
        self.rejected("mistake", "did you mean `small`?").await?;
        self.write("version: 1\njobs:\n  'a;id': { agent: small, run: 'true' }\n")?;
        self.rejected("mistake", "is not a valid job name").await?;
        self.write("version: 1\njobs:\n  test: { agent: small, run: 'true', task-role: admin }\n")?;
        self.rejected("mistake", "unknown key `task-role`").await?;

        self.write(&passes())?;
        let bucket = self.stack.output("BucketName")?;
        self.stack.aws.delete_object(bucket, CONFIG_KEY).await?;
        self.rejected("no-configuration", "does not exist: an administrator").await?;
        for (key, rest, expected) in [
            (
                "not-allowed",
                "repositories:\n  other: { agents: [small] }\n",
                "is not listed in `repositories`",
            ),
            (
                "not-allowed",
                "repositories:\n  shop: { agents: [] }\n",
                "does not let `shop` use the agent `small`",
            ),
        ] {
            self.configure_with(rest).await?;
            self.rejected(key, expected).await?;
        }
        self.stack.configure(CONFIGURATION).await?;
        self.configure_with("repos: {}\n").await?;
        self.write(&passes())?;
        let push = self.push("The version before serves").await?;
        let started = self.row("bad-configuration", "a push", "push", push, "\"builds\":1").await?;
        self.mended("the version before serves", &run_of(&started)?, "succeeded", 1);
        self.stack.configure(CONFIGURATION).await
    }

    pub(super) async fn launches(&self) -> anyhow::Result<()> {
        for (what, fault) in [
            ("no capacity", Fault::NoCapacity),
            ("a throttle of RunTask", Fault::Throttle),
            ("a throttle of RunTask in disguise", Fault::DisguisedThrottle),
            ("an account limit", Fault::AccountLimit),
            (
                "a missing permission",
                Fault::Error {
                    status: 400,
                    code: "AccessDeniedException".to_owned(),
                    message: "This launch is not allowed.".to_owned(),
                },
            ),
        ] {
            let run = self.launch("no-launch-now", what, fault, "queued").await?;
            self.mended(what, &run, "succeeded", 1);
        }
        self.configure_with("notify: { successes: changes }\n").await?;
        for code in ["ClusterNotFoundException", "InvalidParameterException"] {
            let fault = Fault::Error {
                status: 400,
                code: code.to_owned(),
                message: "This launch is wrong.".to_owned(),
            };
            let run = self.launch("no-launch-ever", code, fault, "infrastructure-failed").await?;
            self.mended(code, &run, "infrastructure-failed", 0);
        }
        self.stack.configure(CONFIGURATION).await?;
        // On Spot alone: on-demand takes its place within the same invocation.
        let push = self.push("No Spot capacity").await?;
        let rule = Rule::new("ecs", "RunTask", Fault::NoCapacity).capacity("FARGATE_SPOT");
        self.stack.stand_in.faults().inject(rule);
        let started = self.row("push", "no Spot capacity", "push", push, "\"builds\":1").await?;
        self.mended("a build without Spot capacity", &run_of(&started)?, "succeeded", 1);
        Ok(())
    }

    /// Before a run is stored, nothing is there for the sweep to mend: the dead letter is all there is of the push.
    pub(super) async fn faults_of_a_push(&self) -> anyhow::Result<()> {
        for (key, service) in [
            ("push-ledger", "dynamodb"),
            ("push-bucket", "s3"),
            ("push-codecommit", "codecommit"),
        ] {
            for (what, fault) in transient() {
                let push = self.push(what).await?;
                let rule = self.inject("push", service, "*", fault, Times::Always);
                let what = format!("{service}: {what}");
                if what.ends_with("5xx") {
                    self.failing(key, &what, "push", push, "failed to").await?;
                } else {
                    self.row(key, &what, "push", push, "failed to").await?;
                }
                self.stack.stand_in.faults().remove(rule);
            }
        }
        for (service, code) in [
            ("dynamodb", "AccessDeniedException"),
            ("dynamodb", "ResourceNotFoundException"),
            ("s3", "AccessDenied"),
            ("s3", "NoSuchBucket"),
            ("codecommit", "AccessDeniedException"),
        ] {
            let push = self.push(code).await?;
            let rule = self.inject("push", service, "*", permanent(code), Times::Always);
            let what = format!("{service}: {code}");
            if code == "ResourceNotFoundException" {
                self.failing("push-permanent", &what, "push", push, code).await?;
            } else {
                self.row("push-permanent", &what, "push", push, code).await?;
            }
            self.stack.stand_in.faults().remove(rule);
        }
        Ok(())
    }

    /// A push whose launch leaves open what came of it.
    pub(super) async fn lost_launch(&self, what: &str, fault: Fault) -> anyhow::Result<()> {
        let push = self.push(what).await?;
        let rule = self.inject("push", "ecs", "RunTask", fault, Times::Always);
        let what = format!("ecs: {what}");
        self.failing("launch", &what, "push", push, "failed to launch").await?;
        self.stack.stand_in.faults().remove(rule);
        let run = self.newest_run().await?;
        self.mended(&what, &run, "succeeded", 1);
        Ok(())
    }
}
