//! The bills against an example that was reckoned by hand.

use std::collections::BTreeMap;

use bellhop_domain::backup::Definition;
use serde_json::json;

use crate::cost::bill::{Bills, GB, Line, Notify, total};
use crate::cost::input::{self, Measured, Prices, Team};
use crate::cost::inventory::{self, Inventory, Keys, Types};

/// The names of the real file, with numbers of the test's own, so that the file may change.
fn prices() -> Prices {
    let mut prices: Prices = input::read(&input::prices_file()).unwrap();
    let assumed = [
        ("hours", 730.0),
        ("vcpu-mb", 1024.0),
        ("cold-share", 1.0),
        ("cold-share-sweep", 0.01),
        ("load-ms", 30.0),
        ("connection-ms", 10.0),
        ("latency-dynamodb-ms", 10.0),
        ("latency-sns-ms", 40.0),
        ("latency-ecs-ms", 500.0),
        ("platform-log-lines", 2.0),
        ("platform-log-bytes", 348.0),
        ("platform-start-log-bytes", 74.0),
        ("log-line-overhead", 26.0),
        ("looks", 1.0),
        ("busy-hours", 146.0),
        ("busy-metrics", 10.0),
        ("metrics-at-rest", 1.0),
        ("kms-requests-a-message", 2.0),
        ("kms-requests-an-object", 0.01),
        ("kms-requests-a-pull", 5.0),
        ("kms-table-minutes", 5.0),
        ("emails", 1.0),
        ("keep-months", 3.0),
        ("log-months", 1.0),
        ("efs-gb", 10.0),
        ("fargate-vcpu", 2.0),
        ("fargate-gb", 4.0),
        ("image-gb", 0.5),
        ("days", 20.0),
        ("builds-a-day", 5.0),
        ("build-minutes", 5.5),
        ("start-minutes", 0.5),
        ("share-small", 0.5),
        ("share-medium", 0.25),
        ("share-large", 0.25),
        ("share-on-demand", 0.25),
        ("share-codebuild", 0.2),
        ("agent-log-kb", 1024.0),
        ("download-gb", 0.5),
        ("endpoint-gb", 0.125),
        ("refused-kb-an-hour", 1024.0),
    ];
    for (name, value) in assumed {
        prices.assumptions.get_mut(name).unwrap().value = value;
    }
    let charged = [
        ("lambda-request", 0.2, 1e6),
        ("lambda-gb-second-arm64", 0.000_013_333_4, 1.0),
        ("dynamodb-write", 0.625, 1e6),
        ("dynamodb-read", 0.125, 1e6),
        ("dynamodb-storage", 0.25, 1.0),
        ("dynamodb-recovery", 0.2, 1.0),
        ("backup-dynamodb", 0.1, 1.0),
        ("s3-put", 0.005, 1e3),
        ("s3-get", 0.0004, 1e3),
        ("s3-storage", 0.023, 1.0),
        ("sns-publish", 0.5, 1e6),
        ("sns-email", 2.0, 1e5),
        ("kms-request", 0.03, 1e4),
        ("kms-key", 1.0, 1.0),
        ("cloudwatch-alarm", 0.1, 1.0),
        ("cloudwatch-metric", 0.3, 1.0),
        ("logs-ingestion", 0.5, 1.0),
        ("logs-storage", 0.03, 1.0),
        ("eventbridge-event", 0.0, 1.0),
        ("ecr-storage", 0.1, 1.0),
        ("endpoint-hour", 0.01, 1.0),
        ("endpoint-gb", 0.01, 1.0),
        ("nat-hour", 0.045, 1.0),
        ("nat-gb", 0.045, 1.0),
        ("public-ipv4-hour", 0.005, 1.0),
        ("fargate-vcpu-hour-arm64", 0.03, 1.0),
        ("fargate-gb-hour-arm64", 0.004, 1.0),
        ("fargate-spot-vcpu-hour-arm64", 0.01, 1.0),
        ("fargate-spot-gb-hour-arm64", 0.001, 1.0),
        ("fargate-disk-gb-hour", 0.0001, 1.0),
        ("codebuild-small-minute-arm64", 0.0034, 1.0),
        ("fargate-vcpu-hour", 0.04048, 1.0),
        ("fargate-gb-hour", 0.004445, 1.0),
        ("alb-hour", 0.0225, 1.0),
        ("efs-storage", 0.3, 1.0),
        ("m4-large-hour", 0.1, 1.0),
    ];
    for (name, usd, per) in charged {
        let price = prices.prices.get_mut(name).unwrap();
        (price.usd, price.per) = (usd, per);
    }
    prices.teams = vec![Team { developers: 10 }];
    prices
}

fn measured() -> Measured {
    serde_json::from_value(json!({
        "date": "2026-01-01", "machine": "m", "profile": "release", "builds": 10, "interrupted": 0, "failed": 1, "repaired": 1,
        "script": "true",
        "init_cpu_ms": { "push": 5.0, "sweep": 5.0, "backup": 5.0 },
        "build": {
            "times": 10,
            "functions": { "push": {
                "invocations": 20, "processes": 2, "cpu_ms": 110.0, "log_lines": 10, "log_bytes": 740,
                "calls": { "dynamodb PutItem": 30, "sns Publish": 10 },
            } },
            "agents": { "s3 PutObject": 10, "s3 GetObject": 20 },
            "write_units": 60.0, "read_units": 15.0,
        },
        "sweep": {
            "times": 2,
            "functions": { "sweep": { "invocations": 2, "processes": 0, "cpu_ms": 1.0, "log_lines": 0, "log_bytes": 0,
                "calls": { "dynamodb Query": 8 } } },
            "agents": {}, "write_units": 0.0, "read_units": 4.0,
        },
        "check": { "times": 2, "functions": {}, "agents": {}, "write_units": 12.0, "read_units": 0.0 },
        "backup": { "times": 1, "functions": {}, "agents": {}, "write_units": 24.0, "read_units": 0.0 },
        "left": { "table_bytes": 40960, "build_item_bytes": 1500.0, "objects": 20, "object_bytes": 10240, "largest_message_bytes": 4000 },
    }))
    .unwrap()
}

/// Nine alarms and an image by default. 30 backups by the function and five by the plan.
fn found() -> Inventory {
    let kept = Definition::of_suite_table("", "", "").delete_after.unwrap().as_secs_f64() / 86_400.0;
    let none = json!({ "table": false, "topic": false, "bucket": false, "images": true });
    let all = json!({ "table": true, "topic": true, "bucket": true, "images": true });
    serde_json::from_value(json!({
        "types": types().keys().collect::<Vec<_>>(),
        "memory_mb": 256.0, "backup_every_days": kept / 30.0, "plan_copies": 5.0,
        "agents": {
            "a-small": { "vcpu": 1.0, "gb": 2.0, "billed_disk_gb": 0 },
            "a-medium": { "vcpu": 2.0, "gb": 4.0, "billed_disk_gb": 0 },
            "a-large": { "vcpu": 4.0, "gb": 8.0, "billed_disk_gb": 20 },
        },
        "resources": { "AWS::CloudWatch::Alarm": 9, "AWS::IAM::Role": 3, "AWS::ECR::Repository": 1 },
        "choices": [
            { "name": "default", "what": "", "parameters": {}, "keys": none, "public_addresses": true, "more": {} },
            { "name": "nat", "beside": "default", "what": "", "parameters": {}, "keys": none, "public_addresses": false,
                "more": { "AWS::EC2::NatGateway": 1, "AWS::EC2::EIP": 1, "AWS::EC2::Route": 1 } },
            { "name": "endpoints", "beside": "default", "what": "", "parameters": {}, "keys": none, "public_addresses": false,
                "more": { "AWS::EC2::VPCEndpoint Interface": 8 } },
            { "name": "records", "beside": "default", "what": "", "parameters": {}, "keys": none, "public_addresses": true,
                "more": { "AWS::EC2::FlowLog": 1 } },
            { "name": "key", "beside": "default", "what": "", "parameters": {}, "keys": all, "public_addresses": true,
                "more": { "AWS::KMS::Key": 1 } },
        ],
    }))
    .unwrap()
}

fn types() -> Types {
    input::read(&inventory::types_file()).unwrap()
}

/// Gives the bills of the example to a test.
fn with_bills(test: impl FnOnce(&Bills<'_>)) {
    let (measured, found, types, prices) = (measured(), found(), types(), prices());
    test(&Bills::of(&measured, &found, &types, &prices).unwrap());
}

fn amounts(lines: &[Line]) -> BTreeMap<&str, f64> {
    lines.iter().map(|line| (line.what.as_str(), line.amount)).collect()
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= expected.abs() * 1e-9, "{found} instead of {expected}");
}

const NO_KEYS: Keys = Keys {
    table: false,
    topic: false,
    bucket: false,
    images: false,
};

/// 100 times what was measured, since ten builds were measured and the bill is for a thousand.
#[test]
fn a_thousand_builds() {
    with_bills(|bills| {
        let lines = bills.builds(NO_KEYS, Notify::Changes, 1.0).unwrap();
        let amount = amounts(&lines);
        near(amount["calls of functions"], 2000.0);
        // Own time: 110 ms less two starts of 5 ms, four times as long with a quarter of a vCPU: 400 ms. Calls: 30 × 10 + 10 × 40 = 700 ms. Rounding: 20 ms.
        // Cold starts: 20 × (5 × 4 + 30 + 2 × 10) = 1,400 ms. Together 2,520 ms, and 252,000 ms for a thousand builds.
        // One look each: 1,000 × (2 × 10 + 500) = 520,000 ms. 772 s at a quarter of a GB.
        near(amount["time of functions"], 193.0);
        // 6 a build, and for the look 2 for an item of 1,500 bytes and 2 of the index.
        near(amount["writes to the table"], 10_000.0);
        // 1.5 a build, and 1 for the look.
        near(amount["reads of the table"], 2500.0);
        near(amount["writes and lists of the bucket"], 1000.0);
        near(amount["reads of the bucket"], 2000.0);
        near(amount["messages"], 1000.0);
        near(amount["e-mails"], 1000.0);
        // 740 + 10 × 26 + 20 × (348 + 2 × 26 + 74 + 26) = 11,000 bytes of ten builds.
        near(amount["logs written"], 1_100_000.0 / GB);
        near(amount["runs and builds kept"], 4096.0 * 1000.0 * 3.0 / GB);
        near(amount["backups of runs and builds"], 35.0 * 4096.0 * 1000.0 * 3.0 / GB);
        near(amount["reports kept"], 1024.0 * 1000.0 * 3.0 / GB);
        assert!(!amount.keys().any(|what| what.ends_with("key")), "no key is paid for: {amount:?}");
        // Writes, at 0.625 a million.
        near(lines.iter().find(|line| line.price == "dynamodb-write").unwrap().usd, 0.00625);
        // Nothing was left out of the sum.
        let sum = 2000.0 * 0.2e-6
            + 193.0 * 0.000_013_333_4
            + 0.00625
            + 2500.0 * 0.125e-6
            + 1000.0 * 0.005e-3
            + 2000.0 * 0.0004e-3
            + 1000.0 * 0.5e-6
            + 1000.0 * 2e-5
            + 1.1e6 / GB * 0.53
            + 12_288_000.0 / GB * (0.25 + 0.20 + 35.0 * 0.10)
            + 3_072_000.0 / GB * 0.023;
        near(total(&lines), sum);
        near(bills.builds_usd().unwrap(), sum);
        // Without cold starts 1,400 ms and 20 × 100 bytes of logs less of ten builds.
        let warm = bills.builds(NO_KEYS, Notify::Changes, 0.0).unwrap();
        near(sum - total(&warm), 35.0 * 0.000_013_333_4 + 2e5 / GB * 0.53);
    });
}

#[test]
fn keys_cost_by_the_request() {
    with_bills(|bills| {
        let keys = bills.inventory.choice("key").unwrap().keys;
        let lines = bills.builds(keys, Notify::Changes, 1.0).unwrap();
        let amount = amounts(&lines);
        near(amount["the topic's key"], 2000.0);
        near(amount["the bucket's key"], 30.0);
        near(amount["the table's key"], 2000.0);
        near(total(&lines) - bills.builds_usd().unwrap(), 4030.0 * 3e-6);
    });
}

/// Of ten builds, one failure and one repair have messages. Each of the other eight adds two.
#[test]
fn every_success_costs_two_messages() {
    with_bills(|bills| {
        let lines = bills.builds(NO_KEYS, Notify::All, 1.0).unwrap();
        let amount = amounts(&lines);
        near(amount["messages"], 2600.0);
        near(amount["e-mails"], 2600.0);
        // 1,600 × 40 ms at a quarter of a GB.
        near(amount["time of functions"], 193.0 + 16.0);
        near(
            total(&lines) - bills.builds_usd().unwrap(),
            1600.0 * (0.5e-6 + 2e-5) + 16.0 * 0.000_013_333_4,
        );
    });
}

#[test]
fn a_month_at_rest() {
    with_bills(|bills| {
        let default = bills.default().unwrap();
        let lines = bills.rest(default).unwrap();
        let amount = amounts(&lines);
        near(amount["sweep each minute: calls of functions"], 43_800.0);
        near(amount["sweep each minute: reads of the table"], 87_600.0);
        // A sweep: half a millisecond four times as long, four queries of 10 ms, 1 ms, and for one in a hundred 5 × 4 + 30 + 10 ms.
        near(
            amount["sweep each minute: time of functions"],
            43_800.0 * (2.0 + 40.0 + 1.0 + 0.6) / 1000.0 / 4.0,
        );
        // Two lines of the platform, and for one in a hundred a third.
        near(amount["sweep each minute: logs written"], 43_800.0 * (400.0 + 1.0) / GB);
        // 730 / 6 checks with 6 units each, and as many backups as are kept 30 at a time, with 24 each.
        let backups = 730.0 / 24.0 / bills.inventory.backup_every_days;
        near(amount["backups and their checks: writes to the table"], 730.0 + backups * 24.0);
        near(amount["sweep each minute: metrics"], 1.0);
        near(amount["alarms"], 9.0);
        near(amount["image of the agents"], 0.5);
        assert!(!amount.keys().any(|what| what.ends_with("key")), "no key is paid for: {amount:?}");
        assert!(total(&lines) > 1.20 && total(&lines) < 1.40, "{}", total(&lines));
    });
}

#[test]
fn choices_cost_more_than_what_they_add_to() {
    with_bills(|bills| {
        let more = |name: &str| {
            let choice = bills.inventory.choice(name).unwrap();
            bills.more(choice, bills.default().unwrap()).unwrap()
        };
        // 800 builds on Fargate of 6 minutes are 80 hours with a public address by default.
        let (rest, builds) = more("nat");
        near(rest, 730.0 * (0.045 + 0.005));
        near(builds, 800.0 * 0.5 * 0.045 - 80.0 * 0.005);
        let (rest, builds) = more("endpoints");
        near(rest, 8.0 * 730.0 * 0.01);
        near(builds, 800.0 * 0.125 * 0.01 - 80.0 * 0.005);
        let (rest, builds) = more("records");
        near(rest + 1.0, 1.0);
        near(builds, 80.0 / 1024.0 * 0.5);
        let (rest, builds) = more("key");
        near(rest, 1.0 + 8760.0 * 3e-6);
        near(builds, 4030.0 * 3e-6);
    });
}

/// Ten developers × five builds × 20 days. 800 of the thousand builds are on Fargate, for 80 hours, a quarter of them on demand.
#[test]
fn a_month_of_a_team() {
    with_bills(|bills| {
        let teams = bills.teams().unwrap();
        let [month] = teams.as_slice() else { panic!("one team") };
        near(month.builds, 1000.0);
        let amount = amounts(&month.agents);
        // The mean agent has 0.5 × 1 + 0.25 × 2 + 0.25 × 4 = 2 vCPU and 4 GB.
        near(amount["agents on Fargate Spot: vCPU"], 120.0);
        near(amount["agents on Fargate Spot: memory"], 240.0);
        near(amount["agents on Fargate: vCPU"], 40.0);
        near(amount["agents on Fargate: memory"], 80.0);
        // A quarter of them has 20 GB more.
        near(amount["disks of agents"], 400.0);
        near(amount["agents on CodeBuild"], 200.0 * 6.0);
        near(amount["public addresses of agents"], 80.0);
        near(amount["the images' key"], 4000.0);
        near(amount["logs of agents"], 1000.0 / 1024.0);
        let sum = 120.0 * 0.01
            + 240.0 * 0.001
            + 40.0 * 0.03
            + 80.0 * 0.004
            + 400.0 * 0.0001
            + 1200.0 * 0.0034
            + 80.0 * 0.005
            + 4000.0 * 3e-6
            + 1000.0 / 1024.0 * 0.53;
        near(total(&month.agents), sum);
        near(total(&month.suite), bills.month_with(1000.0).unwrap());
    });
}

/// Ten metrics in a fifth of the hours.
#[test]
fn a_month_with_builds() {
    with_bills(|bills| {
        let rest = total(&bills.rest(bills.default().unwrap()).unwrap());
        near(bills.metrics().unwrap().usd, 10.0 / 5.0 * 0.3);
        near(bills.month_with(0.0).unwrap(), rest);
        near(bills.month_with(1.0).unwrap(), rest + 0.6 + bills.builds_usd().unwrap() / 1000.0);
    });
}

#[test]
fn a_month_of_a_controller() {
    with_bills(|bills| {
        let controllers = bills.controllers().unwrap();
        let [(_, fargate), (_, instance)] = controllers.as_slice() else {
            panic!("two controllers")
        };
        near(total(fargate), 730.0 * (2.0 * 0.04048 + 4.0 * 0.004445 + 0.0225) + 10.0 * 0.30);
        near(total(instance), 73.0);
    });
}

#[test]
fn at_the_break_even_one_build_more_costs_more() {
    with_bills(|bills| {
        let builds = bills.break_even(73.0).unwrap();
        assert!(builds > 0.0);
        assert!(bills.month_with(builds).unwrap() <= 73.0);
        assert!(bills.month_with(builds + 1.0).unwrap() > 73.0);
        near(bills.break_even(0.5).unwrap() + 1.0, 1.0);
    });
}

/// What README.md promises.
#[test]
fn the_default_costs_at_most_a_dollar_and_a_quarter_at_rest_and_12_cents_for_a_thousand_builds() {
    let (measured, prices): (Measured, Prices) = (
        input::read(&input::measured_file()).unwrap(),
        input::read(&input::prices_file()).unwrap(),
    );
    let (found, types): (Inventory, Types) = (input::read(&inventory::inventory_file()).unwrap(), types());
    let bills = Bills::of(&measured, &found, &types, &prices).unwrap();
    let rest = total(&bills.rest(bills.default().unwrap()).unwrap());
    let builds = bills.builds_usd().unwrap();
    assert!(rest < 1.25, "{rest} a month at rest");
    assert!(builds < 0.12, "{builds} for a thousand builds");
}

/// Each line that a type names is in a bill: of builds, of a month at rest, or of agents, in the choice that has the resource.
#[test]
fn every_use_of_a_type_is_in_a_bill() {
    let (measured, prices) = (measured(), prices());
    let (found, types): (Inventory, Types) = (input::read(&inventory::inventory_file()).unwrap(), types());
    let bills = Bills::of(&measured, &found, &types, &prices).unwrap();
    let mut billed = Vec::new();
    for choice in &found.choices {
        billed.extend(bills.builds(choice.keys, Notify::Changes, 1.0).unwrap());
        billed.extend(bills.rest(choice).unwrap());
        billed.extend(bills.agents(choice, 1000.0).unwrap());
    }
    for (name, charge) in &types {
        let lines = charge.used.iter().chain(charge.month.iter().map(|month| &month.what));
        for line in lines {
            assert!(billed.iter().any(|one| one.what == *line), "{name}: no bill has a line {line}");
        }
    }
}
