//! S3: the suite's configuration, reports and artifacts.

use async_trait::async_trait;
use bellhop_domain::agent::result_key;
use bellhop_domain::executor::observation::Report;
use bellhop_domain::ids::AttemptId;
use bellhop_domain::results::found::Artifact;
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

    async fn agent_report(&self, attempt: &AttemptId) -> Result<Option<Report>, Fault> {
        let attempt = attempt.clone();
        self.call(Service::Other, "GetReport", &attempt.build.clone(), move |world| {
            if world.is(Mutant::EXIT_CODE_IS_PROOF) {
                return mutant::report_from_exit_code(world, &attempt);
            }
            let report = world.bucket.reports.get(&result_key(&attempt)).cloned();
            world.note("report read", &attempt.build, || format!("{attempt}: {report:?}"));
            report
        })
        .await
    }

    async fn artifacts(&self, attempt: &AttemptId, _: usize) -> Result<(Vec<Artifact>, u64), Fault> {
        let attempt = mutant::looked_through(&lock(&self.world), attempt);
        let about = Subject::from(&attempt.build);
        let of = attempt.clone();
        let listed = self
            .call(Service::Other, "ListObjectsV2", about, move |world| world.bucket.artifacts_of(&of))
            .await;
        self.note_look(&attempt, listed)
    }

    async fn artifact(&self, attempt: &AttemptId, path: &str, _: u64) -> Result<Option<Vec<u8>>, Fault> {
        let attempt = mutant::looked_through(&lock(&self.world), attempt);
        let about = Subject::from(&attempt.build);
        let (of, path) = (attempt.clone(), path.to_owned());
        let text = self
            .call(Service::Other, "GetObject", about, move |world| world.bucket.artifact(&of, &path))
            .await;
        self.note_look(&attempt, text)
    }
}

impl Port {
    /// Takes note of a look at artifacts that was in vain.
    fn note_look<T>(&self, attempt: &AttemptId, looked: Result<T, Fault>) -> Result<T, Fault> {
        if looked.is_err() {
            *lock(&self.world).bucket.vain_looks.entry(attempt.build.clone()).or_default() += 1;
        }
        looked
    }
}
