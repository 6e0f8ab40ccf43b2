//! The last results of branches and tags, and the messages that depend on them.

use bellhop_domain::ids::{JobName, Reference, RepositoryName};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::run::standing::Standing;
use bellhop_domain::run::{Origin, Run, RunState};
use bellhop_domain::spec::Successes;
use jiff::Timestamp;

use super::{Stored, Versioned};
use crate::ports::{Key, Written};
use crate::{Engine, Fault};

/// How often a record is written again after a write conflict: runs of one branch may end at the same time.
const CONFLICTS: u32 = 8;

impl Stored for Standing {
    type Id<'a> = (&'a RepositoryName, Origin, &'a Reference);

    fn key_of((repository, origin, reference): Self::Id<'_>) -> Key {
        let origin = match origin {
            Origin::PipelineFile => "pipeline-file",
            Origin::Suite => "suite",
            Origin::Action => "action",
        };
        // A reference may contain a `#`, so it comes last.
        Key::new(format!("STANDING#{repository}#{origin}#{reference}"), "STANDING")
    }

    fn id(&self) -> Self::Id<'_> {
        (&self.repository, self.origin, &self.reference)
    }

    fn expires(&self) -> Option<Timestamp> {
        Standing::expires(self)
    }
}

/// Whether a run counts for its branch or tag. A script in a CodePipeline action does not: CodePipeline shows the action's state, and Bellhop cannot
/// distinguish two actions.
fn counts(run: &Run) -> bool {
    !run.off_tip && run.origin != Origin::Action
}

impl Engine {
    /// Whether the end of a run is reported, and which jobs of its branch or tag are then failing. Everything except a success is reported; the
    /// configuration decides about successes.
    pub(crate) async fn news_of(&self, run: &Run) -> Result<Option<Vec<JobName>>, Fault> {
        let succeeded = matches!(
            run.state,
            RunState::Finished {
                outcome: Outcome::Succeeded,
                ..
            }
        );
        if !counts(run) {
            return Ok((!succeeded || run.successes == Successes::All).then(Vec::new));
        }
        let stored = self.ledger.load::<Standing>(Standing::of(run).id()).await?;
        let mut standing = stored.map_or_else(|| Standing::of(run), |stored| stored.record);
        standing.note(run);
        let is_news = !succeeded
            || match run.successes {
                Successes::All => true,
                Successes::Changes => standing.is_mended_by(&run.id),
                Successes::None => false,
            };
        Ok(is_news.then(|| standing.broken().cloned().collect()))
    }

    /// Records the results of a run, after they were reported: if the report of a recovery failed, the next success is reported. Recording a run
    /// repeatedly changes nothing.
    pub(crate) async fn note(&self, run: &Run) -> Result<(), Fault> {
        if !counts(run) {
            return Ok(());
        }
        let new = Standing::of(run);
        for _ in 0..=CONFLICTS {
            let stored = self.ledger.load::<Standing>(new.id()).await?;
            let Versioned { version, record } = stored.unwrap_or_else(|| Versioned::new(new.clone()));
            let mut next = record.clone();
            next.note(run);
            if next == record || matches!(self.ledger.store(version, &next).await?, Written::Stored(_)) {
                return Ok(());
            }
        }
        Err(Fault::transient(format!("{} had {CONFLICTS} write conflicts in a row", new.key())))
    }

    /// Whether a job's success in a run is reported.
    pub(crate) async fn is_recovery(&self, job: &JobName, run: &Run) -> Result<bool, Fault> {
        if !counts(run) {
            return Ok(false);
        }
        let standing = self.ledger.load::<Standing>(Standing::of(run).id()).await?;
        Ok(standing.is_some_and(|standing| standing.record.is_recovery(job, run)))
    }
}
