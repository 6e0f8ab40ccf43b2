//! Messages that are not sent.

use super::kind::Mutant;
use crate::world::World;

mutants! {
    /// Messages are not sent.
    MESSAGES_DROPPED: "messages-dropped" within 20,
    /// Nobody is told that a launch is refused for a reason nobody knows.
    UNKNOWN_UNTOLD: "unknown-untold" within 200,
    /// Nobody is told of what is given up.
    ABANDONED_UNTOLD: "abandoned-untold" within 200,
    /// Nobody is told that a build waits.
    WAITING_UNTOLD: "waiting-untold" within 200,
    /// Nobody is told that the agent of a build which was cancelled has stopped.
    AGENTS_END_UNTOLD: "agents-end-untold" within 200,
    /// Nobody is told of tasks of others on an instance.
    FOREIGN_UNTOLD: "foreign-untold" within 200,
    /// Nobody is told of alarms.
    ALARMS_UNTOLD: "alarms-untold" within 200,
    /// Nobody is told of backups.
    BACKUPS_UNTOLD: "backups-untold" within 200,
}

/// Whether a message is not sent.
pub(crate) fn drops_message(world: &World, id: &str) -> bool {
    match world.mutant {
        Some(Mutant::UNKNOWN_UNTOLD) => return id.contains("/refused/"),
        Some(Mutant::ABANDONED_UNTOLD) => return id.contains("/abandoned/"),
        Some(Mutant::WAITING_UNTOLD) => return id.ends_with("/waiting"),
        Some(Mutant::AGENTS_END_UNTOLD) => return id.ends_with("/stopped"),
        _ => {}
    }
    let of = match world.mutant {
        Some(Mutant::FOREIGN_UNTOLD) => "instance/",
        Some(Mutant::ALARMS_UNTOLD) => "alarm/",
        Some(Mutant::BACKUPS_UNTOLD) => "backup/",
        _ => return false,
    };
    id.starts_with(of)
}
