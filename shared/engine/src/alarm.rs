//! State changes of alarms: from an event to the alarm's record, with the remedy of the suite configuration.

use bellhop_domain::alarm::{Alarm, AlarmChange, AlarmEvent, AlarmState, ConfiguredRemedy};
use bellhop_domain::decision::Decision;
use bellhop_domain::record::Decides as _;

use crate::advance::Overdue;
use crate::records::Versioned;
use crate::{Engine, Fault, Handled, NoConfiguration};

impl Engine {
    /// Handles a state change of an alarm. The remedy is read from the suite configuration once, here; if that fails, the alarm is reported
    /// nevertheless.
    ///
    /// # Errors
    /// As [`Engine::build`], or if the suite configuration cannot be read now.
    pub async fn alarm(&self, change: AlarmChange) -> Result<Handled, Fault> {
        let current = {
            let stored = self.ledger.load::<Alarm>(&change.id).await?;
            stored.unwrap_or_else(|| Versioned::new(Alarm::new(change.id.clone())))
        };
        let change = Box::new(change);
        let nothing = AlarmEvent::Changed {
            change: change.clone(),
            wanted: ConfiguredRemedy::Nothing,
        };
        let known = matches!(current.record.decide(&nothing, self.clock.now()), Decision::Ignored(_));
        let wanted = match change.state {
            AlarmState::Alarm if !known && change.quiet.is_none() => self.wanted(&change.id.name).await?,
            _ => ConfiguredRemedy::Nothing,
        };
        self.advance(current, vec![AlarmEvent::Changed { change, wanted }], Overdue::Perform)
            .await
    }

    async fn wanted(&self, alarm: &str) -> Result<ConfiguredRemedy, Fault> {
        Ok(match self.configuration().await?.map_err(NoConfiguration::into_message) {
            Ok(suite) => suite
                .remedy(alarm)
                .cloned()
                .map_or(ConfiguredRemedy::Nothing, ConfiguredRemedy::Remedy),
            Err(why) => ConfiguredRemedy::Unknown(why),
        })
    }
}
