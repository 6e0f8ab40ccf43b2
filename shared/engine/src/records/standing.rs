//! The last results of branches and tags, and the messages that depend on them.

use bellhop_domain::agent::report_key;
use bellhop_domain::build::Build;
use bellhop_domain::ids::{JobName, Reference, RepositoryName};
use bellhop_domain::message;
use bellhop_domain::run::standing::Standing;
use bellhop_domain::run::{Origin, Run, RunClass};
use bellhop_domain::spec::{BuildSpec, Successes};
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

/// The news of a run, if its end is reported, and the failing jobs of its branch or tag.
fn news_of(run: &Run, noted: Option<&Standing>) -> Option<Vec<JobName>> {
    let succeeded = run.class() == RunClass::Succeeded;
    let is_news = match run.successes {
        _ if !succeeded => true,
        Successes::All => true,
        Successes::Changes => noted.is_some_and(|noted| noted.is_mended_by(&run.id)),
        Successes::None => false,
    };
    let broken = || noted.map(|noted| noted.broken().cloned().collect());
    is_news.then(|| broken().unwrap_or_default())
}

impl Engine {
    /// Reports the end of a run, if it is news, and then records its results: if the report of a recovery failed, the next success is reported.
    /// Everything except a success is reported; the configuration decides about successes. Recording a run repeatedly changes nothing.
    pub(crate) async fn announce(&self, run: &Run) -> Result<(), Fault> {
        if !run.bearing().counts() {
            return self.publish_end(run, news_of(run, None)).await;
        }
        let new = Standing::of(run);
        let mut read = self.recent.take(&run.id, self.clock.now());
        let mut is_published = false;
        for _ in 0..=CONFLICTS {
            let stored = match read.take() {
                Some(stored) => stored,
                None => self.ledger.load::<Standing>(new.id()).await?,
            };
            let Versioned { version, record } = stored.unwrap_or_else(|| Versioned::new(new.clone()));
            let mut next = record.clone();
            next.note(run);
            // Another run may have been recorded since these results were read, and this one be news only beside that.
            if !is_published && let Some(broken) = news_of(run, Some(&next)) {
                self.publish_end(run, Some(broken)).await?;
                is_published = true;
            }
            if next == record || matches!(self.ledger.store(version, &next).await?, Written::Stored(_)) {
                return Ok(());
            }
        }
        Err(Fault::transient(format!("{} had {CONFLICTS} write conflicts in a row", new.key())))
    }

    async fn publish_end(&self, run: &Run, broken: Option<Vec<JobName>>) -> Result<(), Fault> {
        let Some(broken) = broken else { return Ok(()) };
        let builds = self.builds_of(run).await?;
        match message::about_run(run, &builds, &broken, &links(self, run, &builds)) {
            Some(message) => self.notifier.publish(&message).await,
            None => Ok(()),
        }
    }

    /// Whether the success of a build is reported as its job's first after another outcome.
    pub(crate) async fn is_recovery(&self, build: &Build) -> Result<bool, Fault> {
        let BuildSpec {
            id,
            repository,
            reference,
            bearing,
            ..
        } = &build.spec;
        if !bearing.counts() {
            return Ok(false);
        }
        let stored = self.ledger.load::<Standing>((repository, bearing.origin, reference)).await?;
        let standing = stored.as_ref().map(|stored| &stored.record);
        let is_recovery = standing.is_some_and(|standing| standing.is_recovery(id, bearing, build.created));
        self.recent.keep(&id.run, stored, self.clock.now());
        Ok(is_recovery)
    }
}

/// Links for people: the run's report, and the agent and the log of the job that decided the run's outcome.
fn links(engine: &Engine, run: &Run, builds: &[Build]) -> Vec<(&'static str, String)> {
    let mut links = vec![("report", format!("s3://{}/{}", engine.store.bucket(), report_key(&run.id)))];
    let decisive = message::decisive_job(run).and_then(|job| builds.iter().find(|build| build.spec.id.job == *job));
    if let Some(build) = decisive {
        let newest = build.attempts.iter().rev().find(|attempt| attempt.agent.is_some());
        links.extend(
            newest
                .map(|attempt| bellhop_domain::links::links(&build.spec, attempt))
                .unwrap_or_default(),
        );
    }
    links
}
