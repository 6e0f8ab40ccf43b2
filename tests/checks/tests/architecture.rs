//! The arrows between the crates, and what must never be behind some of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a check may stop at what should not be")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand};

/// What each crate of `shared/`, and the tests' model of AWS, may name of the others.
const ARROWS: [(&str, &[&str]); 6] = [
    ("bellhop-domain", &[]),
    ("bellhop-events", &["bellhop-domain"]),
    ("bellhop-engine", &["bellhop-domain"]),
    ("bellhop-aws", &["bellhop-domain", "bellhop-engine", "bellhop-events"]),
    (
        "bellhop-runtime",
        &["bellhop-aws", "bellhop-domain", "bellhop-engine", "bellhop-events"],
    ),
    ("bellhop-model", &["bellhop-domain"]),
];

/// What a function may name of `shared/`.
const OF_FUNCTIONS: [&str; 5] = [
    "bellhop-aws",
    "bellhop-domain",
    "bellhop-engine",
    "bellhop-events",
    "bellhop-runtime",
];

/// The agent is in every image of every project: nothing of the functions is behind it.
const AGENT: &str = "bellhop-agent";

/// The application that Bellhop deploys in solution 4, as a project of its own would be: nothing of Bellhop is behind it, so it names its SDKs itself.
const APPLICATION: &str = "bellhop-pdf-index";

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .exec()
        .unwrap()
}

/// What each member of the workspace names directly, without what only its tests do.
fn named(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let names = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == DependencyKind::Normal)
                .map(|dependency| dependency.name.clone());
            (package.name.to_string(), names.collect())
        })
        .collect()
}

/// Everything behind a package, however far, without what only tests need.
fn behind(metadata: &Metadata, package: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata.packages.iter().find(|candidate| *candidate.name == package).unwrap();
    let (mut todo, mut found) = (vec![&start.id], BTreeSet::new());
    while let Some(id) = todo.pop() {
        for dependency in &nodes[id].deps {
            let is_normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if is_normal && found.insert(&dependency.pkg) {
                todo.push(&dependency.pkg);
            }
        }
    }
    found.into_iter().map(|id| metadata[id].name.to_string()).collect()
}

#[test]
fn the_arrows_between_the_crates_run_one_way() {
    let named = named(&metadata());
    for (package, allowed) in ARROWS {
        let ours: Vec<&str> = named[package]
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with("bellhop-"))
            .collect();
        for name in ours {
            assert!(allowed.contains(&name), "{package} must not depend on {name}");
        }
    }
}

#[test]
fn functions_name_shared_crates_and_no_other_function() {
    let metadata = metadata();
    let functions: Vec<String> = metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| package.manifest_path.as_str().contains("/functions/"))
        .map(|package| package.name.to_string())
        .collect();
    assert!(functions.len() >= 3, "{functions:?}");
    let named = named(&metadata);
    for function in &functions {
        for name in named[function].iter().filter(|name| name.starts_with("bellhop-")) {
            assert!(OF_FUNCTIONS.contains(&name.as_str()), "{function} must not depend on {name}");
        }
    }
}

#[test]
fn the_domain_has_no_aws_no_runtime_and_no_clock_behind_it() {
    let metadata = metadata();
    for name in behind(&metadata, "bellhop-domain") {
        let is_barred =
            name.starts_with("aws") || ["tokio", "async-std", "chrono", "time", "reqwest", "hyper", "tracing"].contains(&name.as_str());
        assert!(!is_barred, "bellhop-domain must not have {name} behind it");
    }
    // jiff reads the clock only in functions that clippy.toml bars here.
    let clippy = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/domain/clippy.toml")).unwrap();
    for barred in [
        "jiff::Timestamp::now",
        "jiff::Zoned::now",
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "std::env::var",
    ] {
        assert!(clippy.contains(barred), "shared/domain/clippy.toml must bar {barred}");
    }
}

#[test]
fn the_agent_and_the_application_stand_alone() {
    for package in [AGENT, APPLICATION] {
        let ours: Vec<String> = behind(&metadata(), package)
            .into_iter()
            .filter(|name| name.starts_with("bellhop-"))
            .collect();
        assert_eq!(ours, [""; 0], "{package}");
    }
}

#[test]
fn one_crate_of_the_suite_names_sdks() {
    for (package, names) in named(&metadata()) {
        for name in names.iter().filter(|name| name.starts_with("aws-")) {
            let may = ["bellhop-aws", AGENT, APPLICATION].contains(&package.as_str());
            assert!(
                may,
                "{package} must not name {name}: SDKs are bellhop-aws's, the agent's and the application's"
            );
        }
    }
}

#[test]
fn nothing_of_tests_is_behind_a_function() {
    let metadata = metadata();
    let functions = [
        "bellhop-push",
        "bellhop-task-state",
        "bellhop-backup",
        "bellhop-build-state",
        "bellhop-spot-interruption",
        "bellhop-alarm",
        "bellhop-pipeline",
        "bellhop-control",
        "bellhop-sweep",
        APPLICATION,
    ];
    for function in functions {
        for name in behind(&metadata, function) {
            if [
                "bellhop-model",
                "bellhop-stand-in",
                "bellhop-scenarios",
                "bellhop-checks",
                "bellhop-simulation",
                "bellhop-local",
                "bellhop-agent",
                "xtask",
                // What tests judge samples by, and the second library for time that comes with it.
                "aws_lambda_events",
                "chrono",
            ]
            .contains(&name.as_str())
            {
                panic!("{function} must not have {name} behind it");
            }
        }
    }
}

#[test]
fn a_main_is_a_page_at_most() {
    let functions = concat!(env!("CARGO_MANIFEST_DIR"), "/../../functions");
    let mut seen = 0;
    let entries = std::fs::read_dir(functions).unwrap().map(|entry| entry.unwrap().path());
    for folder in entries.filter(|entry| entry.is_dir()) {
        let main = folder.join("src/main.rs");
        let lines = std::fs::read_to_string(&main).unwrap().lines().count();
        assert!(lines <= 60, "{} has {lines} lines", main.display());
        seen += 1;
    }
    assert!(seen >= 7);
}

/// The features that each package is compiled with for these kinds of dependencies, as cargo resolves them for the whole workspace.
fn features(edges: &str, more: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let output = std::process::Command::new(env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .args(["tree", "--workspace", "--locked", "--prefix", "none"])
        .args(["--format", "{p}|{f}", "--edges", edges])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // A line without a package is between two members; "(*)" says that what is below stands further up.
    let lines = String::from_utf8(output.stdout).unwrap();
    for (package, features) in lines.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|')) {
        all.entry(package.to_owned()).or_default().insert(features.to_owned());
    }
    all
}

#[test]
fn tests_compile_nothing_again_that_the_functions_have() {
    let mut for_programs = features("normal,build", &[]);
    let mut for_tests = features("normal,build,dev", &["--all-features"]);
    assert!(for_programs.keys().any(|package| package.starts_with("aws-sdk-ecs ")));
    // The simulation's own feature is for the programs in it; no function has the simulation.
    for_tests.retain(|package, _| for_programs.contains_key(package) && !package.starts_with("bellhop-simulation "));
    for_programs.retain(|package, _| for_tests.contains_key(package));
    assert!(
        for_programs == for_tests,
        "tests need other features of a dependency; name what asks for them in tests/checks/Cargo.toml, beside the others: {:?}",
        for_tests
            .iter()
            .filter(|(package, features)| for_programs[*package] != **features)
            .collect::<Vec<_>>()
    );
}

/// Functions have no tests of their own: to link an empty one for each takes longer than most tests.
#[test]
fn a_target_that_is_not_tested_has_no_tests() {
    let mut seen = 0;
    for package in metadata().workspace_packages() {
        let untested = package
            .targets
            .iter()
            .filter(|target| !target.test && (target.is_lib() || target.is_bin()));
        for target in untested {
            let sources = if target.is_lib() {
                target.src_path.parent().unwrap()
            } else {
                &target.src_path
            };
            assert!(
                !has_tests(sources.as_std_path()),
                "{sources} has tests that nobody runs: see `test` in its Cargo.toml"
            );
            seen += 1;
        }
    }
    assert!(seen >= 18, "{seen}");
}

fn has_tests(sources: &std::path::Path) -> bool {
    if sources.is_dir() {
        return std::fs::read_dir(sources).unwrap().any(|entry| has_tests(&entry.unwrap().path()));
    }
    let text = std::fs::read_to_string(sources).unwrap();
    let has_examples = text.lines().any(|line| line.trim_start().starts_with("/// ```"));
    text.contains("#[test]") || text.contains("#[tokio::test") || has_examples
}
