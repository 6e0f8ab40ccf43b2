//! A share of the seeds with every test run; `cargo xtask simulate` takes as many as one likes.

use bellhop_simulation::{Mutant, Options, mutants, run, simulate};

fn half_an_hour() -> Options {
    Options {
        minutes: 30,
        ..Options::default()
    }
}

#[test]
fn nothing_is_violated_in_400_worlds() {
    let summary = simulate(0..400, &half_an_hour(), 2, |_| {});
    let stories: Vec<String> = summary.violations.iter().map(ToString::to_string).collect();
    assert!(stories.is_empty(), "{}", stories.join("\n\n"));
    let counts = summary.statistics;
    let happened = [
        counts.builds / 3000,
        counts.retries / 100,
        counts.cancelled / 100,
        counts.waited / 10,
        counts.actions / 100,
        counts.continued / 50,
        counts.withdrawn,
        counts.unanswered,
        counts.requested / 100,
        counts.on_codebuild / 10,
        counts.on_step_functions / 10,
        counts.children / 10,
        counts.on_instances / 100,
        counts.taken_away / 10,
        counts.alarms / 100,
        counts.restarts / 10,
        counts.backup_jobs / 100,
        counts.backup_alerts / 100,
        counts.removed / 10,
        counts.forged / 1000,
        counts.imitations / 100,
        counts.tokens_taken / 10,
        counts.guarded / 10,
        counts.off_refs / 10,
        counts.refusals / 100,
        counts.refused_for_good,
        counts.denials,
        counts.given_up,
        counts.interruptions / 100,
        counts.deaths / 100,
        counts.errors / 100,
        counts.dead_letters,
        counts.events_lost / 100,
        counts.events_repeated / 100,
        counts.faults / 100,
        counts.conflicts / 100,
    ];
    assert!(!happened.contains(&0), "the worlds are too quiet: {counts:?}");
}

#[test]
fn none_of_40_000_made_up_events_is_believed() {
    let options = Options {
        forgeries: 1500,
        ..half_an_hour()
    };
    let summary = simulate(1000..1060, &options, 2, |_| {});
    let stories: Vec<String> = summary.violations.iter().map(ToString::to_string).collect();
    assert!(stories.is_empty(), "{}", stories.join("\n\n"));
    let counts = summary.statistics;
    assert!(
        counts.forged > 40_000 && counts.imitations > 4000 && counts.forged_reports > 1000,
        "{counts:?}"
    );
}

#[test]
fn a_peaceful_world_has_no_faults_and_loses_nothing() {
    let options = Options {
        hostility: 0.0,
        ..half_an_hour()
    };
    let summary = simulate(0..20, &options, 2, |_| {});
    let stories: Vec<String> = summary.violations.iter().map(ToString::to_string).collect();
    assert!(stories.is_empty(), "{}", stories.join("\n\n"));
    let counts = summary.statistics;
    assert_eq!(
        (
            counts.faults,
            counts.deaths,
            counts.events_lost,
            counts.interruptions,
            counts.forged
        ),
        (0, 0, 0, 0, 0)
    );
}

#[test]
fn the_same_seed_gives_the_same_simulation() {
    for seed in 0..30 {
        let options = Options { seed, ..half_an_hour() };
        let (one, two) = (run(&options), run(&options));
        assert_eq!((one.digest, one.statistics), (two.digest, two.statistics), "seed {seed}");
        let other = run(&Options { seed: seed + 1, ..options });
        assert_ne!(one.digest, other.digest, "seed {seed}");
    }
}

#[test]
fn every_mistake_made_on_purpose_is_found() {
    let missed: Vec<String> = mutants(&Mutant::all(), 2, |_| {})
        .into_iter()
        .filter(|result| result.found_at_seed.is_none())
        .map(|result| format!("{} within {} seeds", result.name, result.within))
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
