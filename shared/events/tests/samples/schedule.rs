//! What comes at a time: sweeps, timers and backups.

use bellhop_domain::record::Key;
use bellhop_events::Event;

use super::story::Row;

pub(super) fn rows() -> Vec<Row> {
    let slot = "2026-03-02T03:00:00Z".parse().unwrap();
    vec![
        (
            "schedule/sweep.json",
            vec![Event::Schedule(Some("2026-03-02T09:15:00Z".parse().unwrap()))],
            vec![],
        ),
        (
            "schedule/timers.json",
            vec![Event::WakeUp(vec![Key::new("RUN#tntzkamwvn", "BUILD#test")])],
            vec![],
        ),
        ("schedule/backups.json", vec![Event::Schedule(Some(slot))], vec![]),
        ("schedule/backups-scheduler.json", vec![Event::Schedule(Some(slot))], vec![]),
    ]
}
