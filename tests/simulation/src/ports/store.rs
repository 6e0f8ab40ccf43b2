//! S3: the suite's configuration, reports and artifacts.

use async_trait::async_trait;
use bellhop_domain::executor::observation::Report;
use bellhop_domain::executor::{Folder, Place};
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::results::found::{Artifact, Seal};
use bellhop_engine::Fault;
use bellhop_engine::ports::Store;
use jiff::Timestamp;

use super::fate::Service;
use super::port::Port;
use crate::mutant::{self, Mutant};
use crate::world::{Subject, lock};

#[async_trait]
impl Store for Port {
    fn bucket(&self) -> &'static str {
        "suite"
    }

    fn configuration_place(&self) -> String {
        "s3://suite/config/bellhop.yaml".to_owned()
    }

    async fn configuration(&self) -> Result<Option<String>, Fault> {
        let way = self.way;
        self.call(Service::Other, "GetObject", Subject::World, move |world| {
            let suite = world.repository.suite_at(world.now);
            Some(mutant::read_suite(world, way, suite))
        })
        .await
    }

    async fn earlier_configurations(&self) -> Result<Vec<(Timestamp, String)>, Fault> {
        Err(Fault::permanent("the configuration here is never broken"))
    }

    async fn earlier_configuration(&self, _: &str) -> Result<Option<String>, Fault> {
        Err(Fault::permanent("the configuration here is never broken"))
    }

    async fn put(&self, key: &str, _: &str, text: String) -> Result<(), Fault> {
        let key = key.to_owned();
        self.call(Service::Other, "PutObject", Subject::World, move |world| {
            if world.is(Mutant::REPORTS_DROPPED) {
                return;
            }
            world.bucket.texts.insert(key.clone(), text.clone());
        })
        .await
    }

    async fn folder(&self, place: &Place, agent: &AgentId) -> Result<Option<Folder>, Fault> {
        let about = lock(&self.world).attempt_of_agent(agent);
        let subject = about.as_ref().map_or(Subject::World, |attempt| Subject::from(&attempt.build));
        let (place, agent) = (place.clone(), agent.clone());
        let folder = self
            .call(Service::Other, "ListFolders", subject, move |world| {
                mutant::folder_of(world, &place, &agent).or_else(|| place.folder_of(&agent, world.bucket.folders_at(&place)))
            })
            .await;
        self.note_look(about.as_ref(), folder)
    }

    async fn agent_report(&self, folder: &Folder) -> Result<Option<Report>, Fault> {
        let attempt = lock(&self.world).bucket.left.get(folder).map(|left| left.attempt.clone());
        let Some(attempt) = attempt else { return Ok(None) };
        let folder = folder.clone();
        self.call(Service::Other, "GetReport", &attempt.build.clone(), move |world| {
            if world.is(Mutant::EXIT_CODE_IS_PROOF) {
                return mutant::report_from_exit_code(world, &attempt);
            }
            let report = world.bucket.left.get(&folder).and_then(|left| left.report.clone());
            world.note("report read", &attempt.build, || format!("{attempt}: {report:?}"));
            report
        })
        .await
    }

    async fn artifacts(&self, folder: &Folder, _: usize) -> Result<(Vec<Artifact>, u64), Fault> {
        let about = self.attempt_at(&folder.artifacts());
        let folder = folder.clone();
        let subject = about.as_ref().map_or(Subject::World, |attempt| Subject::from(&attempt.build));
        let listed = self
            .call(Service::Other, "ListObjectsV2", subject, move |world| {
                world.bucket.artifacts_in(&folder)
            })
            .await;
        self.note_look(about.as_ref(), listed)
    }

    /// The content is not looked at: it costs no call here.
    async fn seal(&self, _: &str, _: Option<u64>) -> Result<Seal, Fault> {
        Ok(Seal::default())
    }

    async fn object(&self, key: &str, _: u64) -> Result<Option<Vec<u8>>, Fault> {
        let about = self.attempt_at(key);
        let subject = about.as_ref().map_or(Subject::World, |attempt| Subject::from(&attempt.build));
        let key = key.to_owned();
        let text = self
            .call(Service::Other, "GetObject", subject, move |world| world.bucket.object(&key))
            .await;
        self.note_look(about.as_ref(), text)
    }
}

impl Port {
    fn attempt_at(&self, key: &str) -> Option<AttemptId> {
        lock(&self.world).bucket.attempt_of(key).cloned()
    }

    /// Takes note of a look at artifacts that was in vain.
    fn note_look<T>(&self, attempt: Option<&AttemptId>, looked: Result<T, Fault>) -> Result<T, Fault> {
        if let (Err(_), Some(attempt)) = (&looked, attempt) {
            *lock(&self.world).bucket.vain_looks.entry(attempt.build.clone()).or_default() += 1;
        }
        looked
    }
}
