//! What the sweep asks before it decides about builds: their records, and the states of their agents. When an agent is due for a poll is decided in
//! `bellhop_domain::build` (`due`, with the intervals of `deadline`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::executor::observation::{AgentStatus, Observation, Stop, StopCause};
use bellhop_domain::ids::AgentId;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use super::{SIDE_BY_SIDE, Tally};
use crate::ports::Key;
use crate::records::{Versioned, read};
use crate::{Engine, Fault};

/// How many agents one `describe` gets: as many as ECS and CodeBuild accept in a request.
pub(super) const DESCRIBE: usize = 100;
/// How long reads may take that others wait for: of records and of agents' states.
const ANSWER: Duration = Duration::from_secs(10);

impl Engine {
    /// Reads builds. If one cannot be read, the others are read nevertheless.
    pub(super) async fn load_builds(&self, keys: &[Key], tally: &mut Tally) -> Vec<Versioned<Build>> {
        let loading = keys.iter().map(async |key| {
            let loaded = self.within(ANSWER, self.ledger.get(key)).await;
            let late = || Err(Fault::transient(format!("{key} was not read within {} s", ANSWER.as_secs())));
            loaded.unwrap_or_else(late)?.as_ref().map(read::<Build>).transpose()
        });
        let mut loading = stream::iter(loading).buffered(SIDE_BY_SIDE);
        let mut builds = Vec::with_capacity(keys.len());
        while let Some(loaded) = loading.next().await {
            match loaded {
                Ok(build) => builds.extend(build),
                Err(fault) => tally.count(Err(fault)),
            }
        }
        builds
    }

    /// Polls the agents of builds that are due for it. Each build is returned with its events. If its agents could not be polled, the events say so:
    /// timeouts apply only to agents that were polled, or whose polls have failed for long.
    pub(super) async fn poll(&self, builds: Vec<Versioned<Build>>, tally: &mut Tally) -> Vec<(Versioned<Build>, Vec<BuildEvent>)> {
        let now = self.clock.now();
        // Each executor separately: if one service does not respond, the agents of the others are polled nevertheless.
        let mut wanted: BTreeMap<&'static str, Vec<AgentId>> = BTreeMap::new();
        for build in &builds {
            let agents = build.record.agents_to_check(now).into_iter().map(|(_, agent)| agent);
            wanted.entry(build.record.spec.executor.kind().name()).or_default().extend(agents);
        }
        let portions = wanted
            .iter()
            .flat_map(|(name, agents)| agents.chunks(DESCRIBE).map(|agents| (*name, agents)));
        let asking = portions.map(async |(name, agents)| {
            let executor = match self.executors().and_then(|executors| executors.named(name)) {
                Ok(executor) => executor,
                Err(fault) => return (Vec::new(), Some(fault)),
            };
            let answer = self.within(ANSWER, executor.describe(agents)).await;
            answer.unwrap_or_else(|| {
                let what = format!("{} agents were not described within {} s", agents.len(), ANSWER.as_secs());
                (Vec::new(), Some(Fault::transient(what)))
            })
        });
        let mut seen: HashMap<AgentId, Option<Observation>> = HashMap::new();
        for (described, unanswered) in join_all(asking).await {
            seen.extend(described);
            if let Some(fault) = unanswered {
                tally.count(Err(fault));
            }
        }
        builds
            .into_iter()
            .map(|build| {
                let (mut events, mut polled_at) = (Vec::new(), now);
                for (attempt, agent) in build.record.agents_to_check(now) {
                    match seen.get(&agent) {
                        Some(seen) => {
                            let observation = seen.clone().unwrap_or_else(|| vanished(agent));
                            events.push(BuildEvent::Agent { attempt, observation });
                        }
                        None => polled_at = Timestamp::MIN,
                    }
                }
                events.push(BuildEvent::Tick { polled_at });
                (build, events)
            })
            .collect()
    }
}

/// The end of an agent that its service no longer has: ECS removes a task about an hour after it stopped. The agent's report may still show how its script ended.
fn vanished(agent: AgentId) -> Observation {
    Observation {
        agent,
        version: None,
        capacity: None,
        status: AgentStatus::Stopped(Stop {
            cause: StopCause::Other,
            reason: Some("the service no longer lists the agent".to_owned()),
            containers: Vec::new(),
            report: None,
            at: None,
        }),
    }
}
