//! Services that answer too late for the function that asked. They take their time, so that two functions wait at once.

use std::time::Duration;

use bellhop_stand_in::{Fault, Times};

use super::table::Table;

/// Longer than a function waits for any service.
const TOO_LONG: Duration = Duration::from_secs(25);

impl Table<'_> {
    /// Time-outs, which take their time: two functions are kept waiting at once.
    pub(super) async fn time_outs(&self) -> anyhow::Result<()> {
        let slow = || Fault::Delay(TOO_LONG);
        for (of_push, of_agent) in [
            (
                ("push-codecommit", "codecommit", "*"),
                Some(("agent-ledger", "dynamodb", "GetItem")),
            ),
            (("push-bucket", "s3", "*"), Some(("tell", "sns", "Publish"))),
            (("push-ledger", "dynamodb", "*"), None),
            (("launch", "ecs", "RunTask"), None),
        ] {
            let mut rules = Vec::new();
            let (key, service, operation) = of_push;
            let of_agent = match of_agent {
                Some(of_agent) => Some((of_agent, self.ended_build("Slow services").await?)),
                None => None,
            };
            let push = self.push("A slow service").await?;
            rules.push(self.inject("push", service, operation, slow(), Times::Always));
            let what = format!("{service}: a time-out");
            let pushed = self.row(key, &what, "push", push, "timed out");
            if let Some(((key, service, operation), (run, event))) = of_agent {
                rules.push(self.inject("task-state", service, operation, slow(), Times::Always));
                let what = format!("{service}: a time-out");
                let taken = self.row(key, &what, "task-state", event, "timed out");
                let (pushed, taken) = tokio::join!(pushed, taken);
                pushed.and(taken)?;
                // What SNS was asked is worked on late, more than once, as it may.
                if service != "sns" {
                    self.mended(&what, &run, "succeeded", 1);
                }
            } else {
                pushed.await?;
            }
            for rule in rules {
                self.stack.stand_in.faults().remove(rule);
            }
            if service == "ecs" {
                // The first launch is worked on when nobody waits any more, and the sweep's comes under the same token.
                self.mended(&what, &self.newest_run().await?, "succeeded", 1);
            }
        }
        Ok(())
    }
}
