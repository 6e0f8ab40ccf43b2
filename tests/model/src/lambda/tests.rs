//! Each rule, on a function whose time is counted in seconds. An update takes 10 of them, and a new version 5.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

use super::*;

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:shop";
const UPDATE: u64 = 10;
const PUBLISHING: u64 = 5;

fn package(sha256: &str) -> Snapshot {
    Snapshot {
        code: Code {
            sha256: sha256.to_owned(),
            size: 1,
        },
        settings: Settings {
            role: "arn:aws:iam::123456789012:role/shop".to_owned(),
            dead_letter_target: None,
            architecture: "arm64".to_owned(),
            description: "Sells bread".to_owned(),
            memory_size: 128,
        },
    }
}

fn function() -> Function<u64> {
    Function::new(ARN, package("first"), &0)
}

/// Version 1 of the first package, version 2 of the second, and the alias `live` at version 1, at second 100.
fn with_two_versions() -> Function<u64> {
    let mut function = function();
    function.publish(&0, None, None, None, PUBLISHING).unwrap();
    function.update(&10, package("second"), None, 10 + UPDATE, None).unwrap();
    function.publish(&20, None, None, None, 20 + PUBLISHING).unwrap();
    function.create_alias("live", "1", BTreeMap::new()).unwrap();
    function
}

fn to(version: &str, weights: &[(&str, f64)]) -> AliasUpdate {
    AliasUpdate {
        version: Some(version.to_owned()),
        weights: Some(weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight)).collect()),
        ..AliasUpdate::default()
    }
}

/// Changes the settings of the newest version's package, and publishes.
fn publish_with(function: &mut Function<u64>, change: impl FnOnce(&mut Settings)) -> String {
    let mut has = function.latest(&100).has.clone();
    change(&mut has.settings);
    function.update(&100, has, None, 100, None).unwrap();
    function.publish(&100, None, None, None, 100).unwrap().version.number
}

#[test]
fn an_update_is_in_progress_until_its_time_has_come() {
    let mut function = function();
    let begun = function.update(&100, package("second"), None, 100 + UPDATE, None).unwrap();
    assert_eq!((begun.status.name(), begun.has.code.sha256.as_str()), ("InProgress", "second"));
    assert_eq!(function.running(&109).code.sha256, "first");
    assert_eq!(function.latest(&109).status, UpdateStatus::InProgress);
    assert_eq!(function.latest(&110).status, UpdateStatus::Successful);
    assert_eq!(function.running(&110).code.sha256, "second");
    assert_eq!(function.latest(&110).modified, 100);
}

#[test]
fn nothing_changes_latest_while_an_update_is_in_progress() {
    let mut function = function();
    function.update(&0, package("second"), None, UPDATE, None).unwrap();
    let in_progress = LambdaError::InProgress(ARN.to_owned());
    assert_eq!(in_progress.code(), ("ResourceConflictException", 409));
    let before = function.latest(&1).clone();
    assert_eq!(
        function.update(&1, package("third"), None, 1 + UPDATE, None).unwrap_err(),
        in_progress
    );
    assert_eq!(function.publish(&1, None, None, None, 1).unwrap_err(), in_progress);
    assert_eq!(*function.latest(&1), before);
    // Also with the revision id of the update itself.
    let revision = Some(before.revision.as_str());
    assert_eq!(function.check_update(&9, revision), Err(in_progress));
    assert_eq!(function.check_update(&10, None), Ok(()));
}

#[test]
fn what_was_there_is_there_again_when_an_update_fails() {
    let mut function = function();
    let failure = Failure {
        code: "InvalidRuntime".to_owned(),
        reason: "no such runtime".to_owned(),
    };
    function.update(&0, package("second"), None, UPDATE, Some(failure.clone())).unwrap();
    let latest = function.latest(&10);
    assert_eq!((&latest.status, &latest.has), (&UpdateStatus::Failed(failure), &package("first")));
    assert_eq!(function.running(&10), &package("first"));
    assert_eq!(function.check_update(&10, None), Ok(()));
}

#[test]
fn an_update_changes_the_revision_at_its_begin_and_at_its_end() {
    let mut function = function();
    let first = function.latest(&0).revision.clone();
    let begun = function.update(&0, package("second"), Some(&first), UPDATE, None).unwrap();
    let begun = begun.revision.clone();
    let ended = function.latest(&10).revision.clone();
    assert!(first != begun && begun != ended && first != ended);
    for stale in [&first, &begun] {
        let refused = function.update(&10, package("third"), Some(stale), 10 + UPDATE, None).unwrap_err();
        assert_eq!(
            (&refused, refused.code()),
            (&LambdaError::OtherRevision, ("PreconditionFailedException", 412))
        );
        assert_eq!(function.publish(&10, None, None, Some(stale), 10), Err(LambdaError::OtherRevision));
    }
    assert_eq!(function.latest(&10).has, package("second"));
    assert!(function.update(&10, package("third"), Some(&ended), 10 + UPDATE, None).is_ok());
}

#[test]
fn a_version_keeps_what_latest_had() {
    let mut function = function();
    let published = function.publish(&0, Some("first"), Some("Run 1"), None, PUBLISHING).unwrap();
    assert!(published.is_new);
    assert_eq!(
        (published.version.number.as_str(), published.version.description.as_str()),
        ("1", "Run 1")
    );
    function.update(&0, package("second"), None, UPDATE, None).unwrap();
    let second = function.publish(&10, None, None, None, 15).unwrap().version;
    assert_eq!((second.number.as_str(), second.description.as_str()), ("2", "Sells bread"));
    assert_eq!(function.version("1").unwrap().has, package("first"));
    assert_eq!(function.versions().len(), 2);
    let unknown = function.version("3").unwrap_err();
    assert_eq!(unknown.code(), ("ResourceNotFoundException", 404));
    assert_eq!(unknown.to_string(), format!("Function not found: {ARN}:3"));
}

#[test]
fn what_has_not_changed_is_not_published_again() {
    let mut function = function();
    let first = function.publish(&0, None, Some("Run 1"), None, PUBLISHING).unwrap().version;
    let again = function.publish(&1, Some("first"), Some("Run 2"), None, 9).unwrap();
    assert_eq!(
        again,
        Published {
            version: first.clone(),
            is_new: false
        }
    );
    // The same package once more, as from another key in S3.
    function.update(&1, package("first"), None, 1 + UPDATE, None).unwrap();
    assert_eq!(function.publish(&11, None, None, None, 16).unwrap().version, first);
    // Settings count like code.
    assert_eq!(publish_with(&mut function, |settings| settings.memory_size = 256), "2");
    // What an older version had is new again.
    function.update(&200, package("first"), None, 200, None).unwrap();
    assert_eq!(function.publish(&200, None, None, None, 200).unwrap().version.number, "3");
}

#[test]
fn other_code_than_asked_for_is_not_published() {
    let mut function = function();
    let refused = function.publish(&0, Some("second"), None, None, PUBLISHING).unwrap_err();
    assert_eq!(refused.code(), ("InvalidParameterValueException", 400));
    let text =
        "CodeSHA256 (second) is different from current CodeSHA256 in $LATEST (first). Please try again with the CodeSHA256 in $LATEST.";
    assert_eq!(refused.to_string(), text);
    assert_eq!(function.versions(), []);
}

#[test]
fn a_new_version_changes_the_revision_of_latest_and_has_its_own() {
    let mut function = function();
    let before = function.latest(&0).revision.clone();
    let published = function.publish(&0, None, None, Some(&before), PUBLISHING).unwrap().version;
    let after = function.latest(&0).revision.clone();
    assert!(before != after && published.revision != after);
    assert_eq!(function.version("1").unwrap().revision, published.revision);
    function.publish(&0, None, None, Some(&after), PUBLISHING).unwrap();
    assert_eq!(function.latest(&0).revision, after, "nothing was published");
}

#[test]
fn a_version_can_be_invoked_once_it_is_active() {
    let mut function = function();
    function.publish(&0, None, None, None, PUBLISHING).unwrap();
    function.create_alias("live", "1", BTreeMap::new()).unwrap();
    for qualifier in ["1", "live"] {
        let pending = function.route(&4, Some(qualifier), 0.5).unwrap_err();
        assert_eq!((&pending, pending.code().1), (&LambdaError::Pending, 409));
        assert_eq!(function.route(&5, Some(qualifier), 0.5), Ok("1"));
    }
    assert_eq!(function.route(&4, None, 0.5), Ok(LATEST));
    let unknown = LambdaError::NoVersion(format!("{ARN}:other"));
    assert_eq!(function.route(&5, Some("other"), 0.5), Err(unknown));
}

#[test]
fn an_update_can_publish_what_it_brings() {
    let mut function = function();
    function.publish(&0, None, None, None, PUBLISHING).unwrap();
    let published = function.update_and_publish(&10, package("second"), None, 10 + UPDATE).unwrap();
    assert_eq!((published.version.number.as_str(), published.is_new), ("2", true));
    assert_eq!(function.route(&19, Some("2"), 0.5), Err(LambdaError::Pending));
    assert_eq!(function.route(&20, Some("2"), 0.5), Ok("2"));
    let again = function.update_and_publish(&20, package("second"), None, 20 + UPDATE).unwrap();
    assert_eq!((again.version.number.as_str(), again.is_new), ("2", false));
    assert!(function.update_and_publish(&21, package("third"), None, 31).is_err());
}

#[test]
fn an_alias_is_compared_and_set() {
    let mut function = with_two_versions();
    let latest = function.latest(&100).revision.clone();
    let read = function.alias("live").unwrap().revision.clone();
    let shifted = AliasUpdate {
        revision: Some(read.clone()),
        ..to("1", &[("2", 0.1)])
    };
    let first = function.update_alias("live", shifted.clone()).unwrap().clone();
    assert_ne!(first.revision, read);
    assert_eq!(function.update_alias("live", shifted), Err(LambdaError::OtherRevision));
    assert_eq!(*function.alias("live").unwrap(), first);
    // Without a revision id, the last request wins. An update of nothing is an update as well.
    let same = function.update_alias("live", AliasUpdate::default()).unwrap().clone();
    assert_ne!(same.revision, first.revision);
    assert_eq!((same.version, same.weights), (first.version, first.weights));
    assert_eq!(function.latest(&100).revision, latest, "of $LATEST it is another one");
    let unknown = function.update_alias("beta", to("1", &[])).unwrap_err();
    assert_eq!(unknown.to_string(), format!("Cannot find alias arn: {ARN}:beta"));
    assert_eq!(unknown.code().1, 404);
    let exists = function.create_alias("live", "1", BTreeMap::new()).unwrap_err();
    assert_eq!(exists.code().1, 409);
}

#[test]
fn an_alias_can_be_moved_while_an_update_is_in_progress() {
    let mut function = with_two_versions();
    function.update(&100, package("third"), None, 100 + UPDATE, None).unwrap();
    assert_eq!(function.update_alias("live", to("2", &[])).unwrap().version, "2");
}

#[test]
fn what_an_update_of_an_alias_does_not_name_stays() {
    let mut function = with_two_versions();
    function.update_alias("live", to("1", &[("2", 0.25)])).unwrap();
    let described = AliasUpdate {
        description: Some("For customers".to_owned()),
        ..AliasUpdate::default()
    };
    let alias = function.update_alias("live", described).unwrap();
    assert_eq!(
        (alias.version.as_str(), alias.weights["2"], alias.description.as_str()),
        ("1", 0.25, "For customers")
    );
    // The weights stay, too, and name the version that would be the first one.
    let only_version = AliasUpdate {
        version: Some("2".to_owned()),
        ..AliasUpdate::default()
    };
    let refused = function.update_alias("live", only_version).unwrap_err();
    assert_eq!(refused, LambdaError::SameVersion("2".to_owned()));
    let whole = function.update_alias("live", to("2", &[])).unwrap();
    assert!(whole.version == "2" && whole.weights.is_empty());
}

#[test]
fn two_versions_have_to_go_together() {
    let mut function = with_two_versions();
    let other_role = publish_with(&mut function, |settings| settings.role.push('2'));
    let other_queue = publish_with(&mut function, |settings| {
        settings.role.pop();
        settings.dead_letter_target = Some("arn:aws:sqs:us-east-1:123456789012:lost".to_owned());
    });
    let before = function.alias("live").unwrap().clone();
    let unknown = LambdaError::NoVersion(format!("{ARN}:9"));
    let out_of_range = |weight| LambdaError::WeightOutOfRange {
        version: "2".to_owned(),
        weight,
    };
    for (update, error) in [
        (to("1", &[("2", 0.1), ("3", 0.1)]), LambdaError::TooManyVersions),
        (to("1", &[("2", -0.1)]), out_of_range(-0.1)),
        (to("1", &[("2", 1.1)]), out_of_range(1.1)),
        (to("1", &[("1", 0.1)]), LambdaError::SameVersion("1".to_owned())),
        (to(LATEST, &[("2", 0.1)]), LambdaError::LatestWithWeights),
        (to("1", &[(LATEST, 0.1)]), LambdaError::NotANumber(LATEST.to_owned())),
        (to("9", &[]), unknown.clone()),
        (to("1", &[("9", 0.1)]), unknown),
        (to("1", &[(&other_role, 0.1)]), LambdaError::OtherRole),
        (to("1", &[(&other_queue, 0.1)]), LambdaError::OtherDeadLetterTarget),
    ] {
        assert_eq!(function.update_alias("live", update.clone()), Err(error), "{update:?}");
        assert_eq!(*function.alias("live").unwrap(), before, "{update:?}");
    }
    for allowed in [
        to("1", &[("2", 0.0)]),
        to("1", &[("2", 1.0)]),
        to(LATEST, &[]),
        to(&other_role, &[]),
    ] {
        assert!(function.update_alias("live", allowed.clone()).is_ok(), "{allowed:?}");
    }
}

#[test]
fn weights_share_the_invocations() {
    let mut function = with_two_versions();
    let mut share = |weights: &[(&str, f64)]| {
        function.update_alias("live", to("1", weights)).unwrap();
        let draws = (0..1000).map(|place| draw(7, place));
        draws.filter(|draw| function.route(&100, Some("live"), *draw) == Ok("2")).count()
    };
    assert_eq!([share(&[]), share(&[("2", 0.0)]), share(&[("2", 1.0)])], [0, 0, 1000]);
    for (weight, around) in [(0.1, 100), (0.5, 500), (0.9, 900)] {
        let found = share(&[("2", weight)]);
        assert!(found.abs_diff(around) < 50, "{found} of 1000 with {weight}");
    }
}

#[test]
fn ids_and_draws_are_the_same_each_time() {
    assert_eq!(function().latest(&0).revision, function().latest(&0).revision);
    let other: Function<u64> = Function::new(&format!("{ARN}2"), package("first"), &0);
    assert_ne!(function().latest.revision, other.latest.revision);
    let revision = function().latest.revision;
    let groups: Vec<_> = revision.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{revision}");
    assert!(draw(1, 1).to_bits() == draw(1, 1).to_bits() && draw(1, 1).to_bits() != draw(2, 1).to_bits());
    assert!((0..1000).all(|place| (0.0..1.0).contains(&draw(0, place))));
}
