//! The local AWS, kept running.

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;

use crate::functions;
use crate::python::Venv;
use crate::shop::Shop;
use crate::stack::Stack;
use crate::workspace::{root, target};

/// Starts the local AWS and keeps it running until Ctrl-C.
///
/// # Errors
/// Something could not be set up.
pub(crate) async fn run() -> anyhow::Result<()> {
    let venv = Venv::local_aws().await?;
    let stack = Stack::start(&venv, &functions::build().await?, "INFO").await?;
    let shop = Shop::create(&stack).await?;
    shop.push().await?;
    println!("The local AWS is up, with infra/template.yaml deployed.");
    stay(&stack, &venv, &shop).await
}

/// Says how to use a stack, and waits for ever.
pub(crate) async fn stay(stack: &Stack, venv: &Venv, shop: &Shop) -> anyhow::Result<()> {
    let event = push_event(shop).await?;
    let clone = shop.folder().display();
    let cargo_lambda = Venv::cargo_lambda().await?;
    let file = target().join("local.env");
    let path = std::env::join_paths([cargo_lambda.programs(), venv.programs()])?;
    let mut text = format!("export PATH={}:$PATH\nexport AWS_PAGER=\n", path.to_string_lossy());
    for (name, value) in stack.environment()? {
        text.push_str(&format!("export {name}={value}\n"));
    }
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let file = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
    println!(
        "
In another terminal, here:

  source {file}                 # where the local AWS is, and what the functions need
  cargo lambda watch --ignore-changes      # serves the functions; the first call of each builds it
  cargo lambda invoke push --data-file {event}     # a push of the shop's last commit
  cargo lambda invoke push --data-file events/codecommit/push.json
  cargo lambda invoke task-state --data-file events/ecs/spot-warning.json
  cargo lambda invoke build-state --data-file events/codebuild/succeeded.json
  cargo lambda invoke spot-interruption --data-file events/ec2/spot-warning.json
  cargo lambda invoke alarm --data-file events/alarm/alarm.json
  cargo lambda invoke backup --data-file events/backup/check.json
  cargo lambda invoke control --data-file events/control/list.json
  cargo lambda invoke sweep --data-file events/schedule/sweep.json
  aws dynamodb scan --table-name $BELLHOP_TABLE
  aws logs tail /aws/lambda/bellhop-push
  curl -X POST $AWS_ENDPOINT_URL/_stand-in/reclaim-spot     # take all Spot capacity back
  curl $AWS_ENDPOINT_URL/_stand-in/tasks
  git -C {clone} commit --allow-empty -m again && git -C {clone} push origin HEAD:main

Ctrl-C ends it."
    );
    std::future::pending::<()>().await;
    Ok(())
}

/// Writes a push event of the shop's last commit, with an id of its own. Gives the file's path, from the workspace's root where that is above it.
async fn push_event(shop: &Shop) -> anyhow::Result<String> {
    let sample = root().join("events/codecommit/push.json");
    let text = std::fs::read_to_string(&sample).with_context(|| format!("cannot read {}", sample.display()))?;
    let mut event: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", sample.display()))?;
    let commit = shop.git(["rev-parse", "HEAD"]).await?;
    event["id"] = format!("by-hand-{}", Timestamp::now().as_millisecond()).into();
    event["detail"]["commitId"] = commit.trim().into();
    let file = target().join("push.json");
    std::fs::write(&file, format!("{event:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file.strip_prefix(root()).unwrap_or(&file).display().to_string())
}
