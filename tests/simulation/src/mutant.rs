//! Mistakes on purpose: each is one that the code under test could have, made at its ports, and has to be found by the checks.
//!
//! One file holds the mistakes of one subject: an entry in its `mutants!`, and beside it where the mistake is made. A mistake of one line in a port, such as a
//! request that is dropped, is asked for there, with [`World::is`]. A new mistake is one entry; [`Mutant::all`] finds it by its subject's list.

#[macro_use]
mod kind;

mod actions;
mod agents;
mod alarms;
mod attacks;
mod backups;
mod builds;
mod guarded;
mod instances;
mod launcher;
mod messages;
mod outbox;
mod places;
mod runs;

use bellhop_engine::ports::Key;

use crate::world::World;
use crate::{Options, run};
pub(crate) use actions::{delivered_job, sent_answer};
pub(crate) use agents::{
    attempt_of_execution, before_commit, delivered_event, drops_stop, launch_capacity, overlooks, report_from_exit_code, token, unknown,
};
pub(crate) use alarms::{delivered_alarm, drops_document, told_at_most_every};
use alarms::{read_alarm, read_claim, read_pauses};
pub(crate) use attacks::{adopts_holder, believed, believed_account, takes_for_own, writable_folder};
use backups::read_backup;
pub(crate) use backups::{backup_token, before_write_of_document, delivered_slot, removed_resource};
pub(crate) use builds::{before_write_of_build, folder_of, read_build};
pub(crate) use guarded::read_suite;
use instances::read_instance;
pub(crate) use instances::{delivered_notice, seen_occupants};
pub use kind::{Mutant, MutantResult};
use launcher::read_launcher;
pub(crate) use launcher::{drops_wake_up, overlooks_lane, overwrites};
pub(crate) use messages::drops_message;
pub(crate) use places::{PUT_LATE, before_write_of_pool, drops_pool_write};
pub(crate) use runs::{acknowledges_errors, before_write_of_run, delivered_push, drops_run_write, read_run, trigger_of};

/// The mistakes of every subject.
const SUBJECTS: [&[Mutant]; 12] = [
    agents::ALL,
    attacks::ALL,
    builds::ALL,
    runs::ALL,
    guarded::ALL,
    places::ALL,
    launcher::ALL,
    messages::ALL,
    actions::ALL,
    instances::ALL,
    alarms::ALL,
    backups::ALL,
];

impl Mutant {
    /// Every one of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        SUBJECTS.concat()
    }

    /// Tries seeds until one shows it.
    pub(crate) fn search(self) -> MutantResult {
        let found = (0..self.within).find_map(|seed| {
            let options = Options {
                seed,
                minutes: 30,
                mutant: Some(self),
                ..Options::default()
            };
            run(&options).violation.map(|violation| (seed, violation.invariant))
        });
        MutantResult {
            name: self.name,
            mistake: self.mistake,
            within: self.within,
            found_at_seed: found.map(|(seed, _)| seed),
            invariant: found.map(|(_, invariant)| invariant),
        }
    }
}

/// The text of a document as it is read.
pub(crate) fn read_document(world: &World, key: &Key, text: &str) -> String {
    let read = match key.sort.as_str() {
        "BACKUP" => read_backup(world, text),
        "ALARM" => read_alarm(world, text),
        "CLAIM" => read_claim(world, text),
        "PAUSE" => read_pauses(world),
        "LAUNCHER" => read_launcher(world, text),
        "INSTANCE" => read_instance(world, text),
        _ => None,
    };
    read.unwrap_or_else(|| text.to_owned())
}
