//! What a build takes from other builds: found out once, before its first launch.

use jiff::Timestamp;

use super::effect::BuildEffect;
use super::record::Build;
use super::state::BuildState;
use crate::decision::Ignored;
use crate::outcome::Outcome;

/// What a build takes, or why it cannot be had, for people.
pub type Found = Result<String, String>;

impl Build {
    /// Asks for the list of what it takes.
    pub(super) fn find_inputs(&mut self, now: Timestamp) {
        if !self.outbox.any(|effect| *effect == BuildEffect::FindInputs) {
            self.outbox.push(BuildEffect::FindInputs, now);
        }
    }

    /// The list of what it takes is known, or cannot be made.
    pub(super) fn inputs_found(&mut self, found: &Found, now: Timestamp) -> Result<(), Ignored> {
        if self.state != BuildState::Waiting || !self.spec.inputs.are_open() {
            return Err(Ignored::NothingNew);
        }
        self.outbox.remove_where(|pending| pending.effect == BuildEffect::FindInputs);
        match found {
            Ok(manifest) => {
                self.spec.inputs.manifest = Some(manifest.clone());
                self.take_turns(now);
            }
            Err(why) => self.finish(Outcome::Failed, Some(format!("its files of other jobs cannot be had: {why}")), now),
        }
        Ok(())
    }
}
