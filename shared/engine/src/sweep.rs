//! The one timer and the one repairer.

use std::collections::HashMap;
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::ids::{AgentId, AgentName, BuildId, Reference, RepositoryName, RunId};
use bellhop_domain::measure::{self, Measure};
use bellhop_domain::observation::{AgentStatus, Observation, Stop, StopCause};
use bellhop_domain::pool::PoolEvent;
use bellhop_domain::run::{Run, RunEvent};
use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use crate::engine::Overdue;
use crate::ports::{DocumentKey, DueItem, Versioned};
use crate::{Engine, Fault, Handled};

/// How many due records one sweep takes on; what is left is due a minute later still.
const LIMIT: usize = 1000;
/// How many records are worked on side by side.
const SIDE_BY_SIDE: usize = 16;
/// How many agents ECS describes in one call.
const DESCRIBE: usize = 100;

/// A due record that is no build.
enum Other {
    Run(RunId),
    Pool(AgentName),
    Branch(RepositoryName, Reference),
    Document(DocumentKey),
}

/// What a sweep did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Records that were due.
    pub due: usize,
    /// Records that changed, or had something overdue performed.
    pub advanced: usize,
    /// Records left for the next sweep, because time ran out.
    pub left: usize,
    /// Records that could not be worked on, and questions about agents that got no answer; what they were about stays due.
    pub faults: usize,
}

impl Engine {
    /// Looks at everything that is due: launches what waited long enough, stops what ran too long, performs what others left unperformed, and asks for
    /// agents that were not heard of for a while. Starts nothing new after `until`.
    ///
    /// # Errors
    /// When the ledger cannot tell what is due, or at least one record could not be worked on: the first such fault, after all others were tried.
    pub async fn sweep(&self, until: Timestamp) -> Result<Swept, Fault> {
        let now = self.clock.now();
        let due = self.ledger.due(now, LIMIT).await?;
        let overdue = due.first().map_or(Duration::ZERO, |(since, _)| measure::between(*since, now));
        self.meter.count(None, &[Measure::Overdue(overdue)]);
        let mut swept = Swept {
            due: due.len(),
            ..Swept::default()
        };
        let mut fault = None;
        let (mut ids, mut others) = (Vec::new(), Vec::new());
        for (_, item) in due {
            match item {
                DueItem::Build(id) => ids.push(id),
                DueItem::Run(id) => others.push(Other::Run(id)),
                DueItem::Pool(agent) => others.push(Other::Pool(agent)),
                DueItem::Branch(repository, reference) => others.push(Other::Branch(repository, reference)),
                DueItem::Document(key) => others.push(Other::Document(key)),
            }
        }
        // In portions, so that what was asked of ECS is still true when it is decided upon.
        for portion in ids.chunks(DESCRIBE) {
            if self.clock.now() >= until {
                swept.left += portion.len();
                continue;
            }
            let builds = self.load(portion, &mut swept, &mut fault).await;
            let work = self.look(builds, &mut swept, &mut fault).await;
            let work = work.into_iter().map(async |(build, events)| {
                if self.clock.now() >= until {
                    return None;
                }
                Some(self.advance(build, events, Overdue::Perform).await)
            });
            let mut work = stream::iter(work).buffer_unordered(SIDE_BY_SIDE);
            while let Some(result) = work.next().await {
                match result {
                    Some(result) => swept.count(result, &mut fault),
                    None => swept.left += 1,
                }
            }
        }
        for item in others {
            if self.clock.now() >= until {
                swept.left += 1;
                continue;
            }
            swept.count(self.sweep_other(item).await, &mut fault);
        }
        tracing::info!(
            due = swept.due,
            advanced = swept.advanced,
            left = swept.left,
            faults = swept.faults,
            "swept"
        );
        fault.map_or(Ok(swept), Err)
    }

    /// Works on a due record that is no build.
    async fn sweep_other(&self, item: Other) -> Result<Handled, Fault> {
        match item {
            Other::Run(id) => match self.ledger.run(&id).await? {
                Some(run) => self.advance::<Run>(run, vec![RunEvent::Tick], Overdue::Perform).await,
                None => Ok(Handled::Unknown),
            },
            Other::Pool(agent) => {
                let pool = self.load_pool(&agent).await?;
                self.advance(pool, vec![PoolEvent::Tick], Overdue::Perform).await
            }
            Other::Branch(repository, reference) => {
                let branch = self.load_branch(&repository, &reference).await?;
                self.advance(branch, Vec::new(), Overdue::Perform).await
            }
            Other::Document(key) => self.sweep_document(&key).await,
        }
    }

    /// Reads builds. One that cannot be read holds up none of the others.
    async fn load(&self, ids: &[BuildId], swept: &mut Swept, fault: &mut Option<Fault>) -> Vec<Versioned<Build>> {
        let mut loading = stream::iter(ids.iter().map(|id| self.ledger.build(id))).buffered(SIDE_BY_SIDE);
        let mut builds = Vec::with_capacity(ids.len());
        while let Some(loaded) = loading.next().await {
            match loaded {
                Ok(build) => builds.extend(build),
                Err(other) => swept.count(Err(other), fault),
            }
        }
        builds
    }

    /// Asks for those agents of builds that should be asked for. Each build comes with the events to take to it: none where its agents could not be
    /// asked for, because time may only be held against an agent that was looked at. What is overdue is performed all the same.
    async fn look(
        &self,
        builds: Vec<Versioned<Build>>,
        swept: &mut Swept,
        fault: &mut Option<Fault>,
    ) -> Vec<(Versioned<Build>, Vec<BuildEvent>)> {
        let now = self.clock.now();
        let wanted: Vec<AgentId> = builds
            .iter()
            .flat_map(|build| build.record.agents_to_check(now).into_iter().map(|(_, agent)| agent))
            .collect();
        let mut seen: HashMap<AgentId, Option<Observation>> = HashMap::new();
        for agents in wanted.chunks(DESCRIBE) {
            let (described, unanswered) = self.agents.describe(agents).await;
            seen.extend(described);
            if let Some(other) = unanswered {
                swept.count(Err(other), fault);
            }
        }
        builds
            .into_iter()
            .map(|build| {
                let looked: Option<Vec<BuildEvent>> = build
                    .record
                    .agents_to_check(now)
                    .into_iter()
                    .map(|(attempt, agent)| {
                        let observation = seen.get(&agent)?.clone().unwrap_or_else(|| vanished(agent));
                        Some(BuildEvent::Agent { attempt, observation })
                    })
                    .collect();
                let events = looked.map_or_else(Vec::new, |mut events| {
                    events.push(BuildEvent::Tick { looked: now });
                    events
                });
                (build, events)
            })
            .collect()
    }
}

impl Swept {
    fn count(&mut self, result: Result<Handled, Fault>, first: &mut Option<Fault>) {
        match result {
            Ok(Handled::Done) => self.advanced += 1,
            Ok(Handled::Ignored(_) | Handled::Unknown) => {}
            Err(fault) => {
                self.faults += 1;
                first.get_or_insert(fault);
            }
        }
    }
}

/// ECS forgets a task about an hour after it stopped. What its script did may still stand in the agent's report.
fn vanished(agent: AgentId) -> Observation {
    Observation {
        agent,
        version: None,
        capacity: None,
        status: AgentStatus::Stopped(Stop {
            cause: StopCause::Other,
            reason: Some("the service does not know the agent any more".to_owned()),
            containers: Vec::new(),
            report: None,
            at: None,
        }),
    }
}
