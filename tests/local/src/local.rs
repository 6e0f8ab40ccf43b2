//! The local AWS, kept running, and how people use it.

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use xtask::python::Venv;
use xtask::workspace::{root, target};

use crate::shop::Shop;
use crate::stack::Stack;

/// Starts the local AWS and keeps it running until Ctrl-C.
///
/// # Errors
/// Something could not be set up.
pub(crate) async fn run() -> anyhow::Result<()> {
    let stack = Stack::start("INFO").await?;
    let shop = Shop::create(&stack).await?;
    shop.push().await?;
    println!("The local AWS is up, with infra/template.yaml deployed.");
    stay(&stack, &shop).await
}

/// Says how to use a stack, and waits for ever.
pub(crate) async fn stay(stack: &Stack, shop: &Shop) -> anyhow::Result<()> {
    println!("\nIn another terminal, in {}:\n", root().display());
    for Line { command, comment } in lines(stack, shop).await? {
        match comment {
            Some(comment) => println!("  {command:<40}     # {comment}"),
            None => println!("  {command}"),
        }
    }
    println!("\nWhile it runs, logs are also in files:\n");
    let logs = stack.logs();
    for (what, path) in [
        ("the functions and ministack", &logs.functions),
        ("the agents, one file each", &logs.agents),
        ("CodeBuild builds, one file each", &logs.builds),
    ] {
        println!("  {what:<40}     {}", path.display());
    }
    println!("\nCtrl-C ends it.");
    std::future::pending::<()>().await;
    Ok(())
}

/// A command to try at a terminal, in the workspace's root.
pub(crate) struct Line {
    /// What a shell is given.
    pub(crate) command: String,
    /// What it does, where it does not say so itself.
    pub(crate) comment: Option<&'static str>,
}

/// The command that puts into a shell what the others need.
pub(crate) const SOURCE: &str = "source target/local.env";
/// The command that serves the functions, and does not end.
pub(crate) const WATCH: &str = "cargo lambda watch --ignore-changes";

/// The command that leaves no capacity for agents.
const NO_CAPACITY: &str =
    r#"curl -fsS $AWS_ENDPOINT_URL/_stand-in/faults -d '{"service":"ecs","operation":"RunTask","fault":"no-capacity","times":"always"}'"#;
/// The commands that make an alarm and change its state.
const PUT_ALARM: &str = "aws cloudwatch put-metric-alarm --alarm-name controller-disk-full --namespace CWAgent \
    --metric-name disk_used_percent --statistic Maximum --period 60 --evaluation-periods 1 --threshold 90 \
    --comparison-operator GreaterThanThreshold";
pub(crate) const SET_ALARM: &str =
    "aws cloudwatch set-alarm-state --alarm-name controller-disk-full --state-value ALARM --state-reason '97 % are used'";
/// The command that has a schedule come now. Each has a name of its own, so that the command can be given again.
pub(crate) const SCHEDULE: &str = "aws scheduler create-schedule --name shop-$(date +%s) --schedule-expression \"at($(date -u +%FT%T))\" \
    --action-after-completion DELETE --flexible-time-window Mode=OFF --target file://target/schedule.json";

/// Writes the files that the commands need, and gives the commands, in their order.
pub(crate) async fn lines(stack: &Stack, shop: &Shop) -> anyhow::Result<Vec<Line>> {
    write_environment(stack).await?;
    write_push_event(shop).await?;
    write_schedule(stack)?;
    let with = |command: &str, comment| Line {
        command: command.to_owned(),
        comment: Some(comment),
    };
    let mut all = vec![
        with(SOURCE, "sets the endpoint of the local AWS and the functions' environment"),
        with(WATCH, "serves the functions; the first call of a function builds it"),
        with(
            "cargo lambda invoke push --data-file target/push.json",
            "a push of the shop's last commit",
        ),
    ];
    let clone = shop.folder().display();
    let commands = [
        "cargo lambda invoke push --data-file events/codecommit/push.json".to_owned(),
        "cargo lambda invoke task-state --data-file events/ecs/spot-warning.json".to_owned(),
        "cargo lambda invoke build-state --data-file events/codebuild/succeeded.json".to_owned(),
        "cargo lambda invoke spot-interruption --data-file events/ec2/spot-warning.json".to_owned(),
        "cargo lambda invoke alarm --data-file events/alarm/alarm.json".to_owned(),
        "cargo lambda invoke backup --data-file events/backup/check.json".to_owned(),
        "cargo lambda invoke control --data-file events/control/list.json".to_owned(),
        "cargo lambda invoke sweep --data-file events/schedule/sweep.json".to_owned(),
        "aws dynamodb scan --table-name $BELLHOP_TABLE".to_owned(),
        format!("git -C {clone} commit --allow-empty -m again && git -C {clone} push origin HEAD:main"),
    ];
    all.extend(commands.map(|command| Line { command, comment: None }));
    all.extend([
        with(
            "aws logs filter-log-events --log-group-name /aws/lambda/bellhop-push --query 'events[].[message]' --output text",
            "the log of a function of the deployed stack",
        ),
        Line {
            command: format!("tail -n 20 {}/*.log", stack.logs().agents.display()),
            comment: Some("the output of the agents"),
        },
        with("curl -fsS $AWS_ENDPOINT_URL/_stand-in/tasks", "the agents"),
        with(
            "curl -fsS -X POST $AWS_ENDPOINT_URL/_stand-in/reclaim-spot",
            "reclaims all Spot capacity",
        ),
        with(NO_CAPACITY, "agents find no capacity: builds of new pushes wait"),
        with(
            "curl -fsS $AWS_ENDPOINT_URL/_stand-in/faults",
            "the active faults; docs/contributing/local-aws.md lists all kinds",
        ),
        with("curl -fsS -X DELETE $AWS_ENDPOINT_URL/_stand-in/faults", "clears all faults"),
        with(PUT_ALARM, "an alarm"),
        with(SET_ALARM, "the alarm changes state, and Bellhop publishes a message"),
        with(SCHEDULE, "an EventBridge Scheduler schedule that is delivered once, now"),
    ]);
    Ok(all)
}

/// Writes what [`SOURCE`] reads.
async fn write_environment(stack: &Stack) -> anyhow::Result<()> {
    let (cargo_lambda, local_aws) = (Venv::cargo_lambda().await?, Venv::local_aws().await?);
    let path = std::env::join_paths([cargo_lambda.programs(), local_aws.programs()])?;
    let mut text = format!("export PATH={}:$PATH\nexport AWS_PAGER=\n", path.to_string_lossy());
    for (name, value) in stack.environment()? {
        text.push_str(&format!("export {name}={value}\n"));
    }
    let file = target().join("local.env");
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Writes the target of a schedule that asks for a run of the shop, with an id of its own each time.
fn write_schedule(stack: &Stack) -> anyhow::Result<()> {
    let start = json!({ "start": { "repository": "shop", "id": "<aws.scheduler.execution-id>" } });
    let target = json!({
        "Arn": stack.output("ControlFunctionArn")?,
        "RoleArn": "arn:aws:iam::000000000000:role/schedule",
        "Input": start.to_string(),
    });
    write_json("schedule.json", &target)
}

/// Writes a push event of the shop's last commit, with an id of its own.
async fn write_push_event(shop: &Shop) -> anyhow::Result<()> {
    let sample = root().join("events/codecommit/push.json");
    let text = std::fs::read_to_string(&sample).with_context(|| format!("cannot read {}", sample.display()))?;
    let mut event: Value = serde_json::from_str(&text).with_context(|| format!("{} is not valid JSON", sample.display()))?;
    let commit = shop.git(["rev-parse", "HEAD"]).await?;
    event["id"] = format!("by-hand-{}", Timestamp::now().as_millisecond()).into();
    event["detail"]["commitId"] = commit.trim().into();
    write_json("push.json", &event)
}

/// Writes a file into the folder of what is built.
fn write_json(name: &str, document: &Value) -> anyhow::Result<()> {
    let file = target().join(name);
    std::fs::write(&file, format!("{document:#}\n")).with_context(|| format!("cannot write {}", file.display()))
}
