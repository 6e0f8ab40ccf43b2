//! DynamoDB: the ledger.

use async_trait::async_trait;
use bellhop_domain::branch::Branch;
use bellhop_domain::build::Build;
use bellhop_domain::ids::{AgentName, BuildId, Reference, RepositoryName, RunId};
use bellhop_domain::pool::Pool;
use bellhop_domain::run::Run;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Created, Document, DocumentKey, DueItem, Lane, Ledger, TRANSACTION, Versioned, Written};
use futures::future::join_all;
use jiff::Timestamp;

use super::fate::Service;
use super::port::Port;
use crate::mutant;
use crate::world::{Subject, lock};

#[async_trait]
impl Ledger for Port {
    async fn create(&self, run: &Run, builds: &[Build]) -> Result<Created, Fault> {
        if builds.len() < TRANSACTION {
            let (run, builds) = (run.clone(), builds.to_vec());
            return self
                .call(Service::Ledger, "TransactWriteItems", &run.id.clone(), move |world| {
                    if world.tables.runs.contains_key(&run.id)
                        || builds.iter().any(|build| world.tables.builds.contains_key(&build.spec.id))
                    {
                        return Created::AlreadyExists;
                    }
                    for build in &builds {
                        world.create_build(build);
                    }
                    world.create_run(&run)
                })
                .await;
        }
        for portion in builds.chunks(TRANSACTION) {
            let written = portion.iter().map(|build| {
                let build = build.clone();
                let about = Subject::from(&build.spec.id);
                self.call(Service::Ledger, "PutItem", about, move |world| world.create_build(&build))
            });
            join_all(written).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        let run = run.clone();
        self.call(Service::Ledger, "PutItem", &run.id.clone(), move |world| world.create_run(&run))
            .await
    }

    async fn run(&self, id: &RunId) -> Result<Option<Versioned<Run>>, Fault> {
        let id = id.clone();
        self.call(Service::Ledger, "GetItem", &id.clone(), move |world| world.read_run(&id))
            .await
    }

    async fn build(&self, id: &BuildId) -> Result<Option<Versioned<Build>>, Fault> {
        let id = id.clone();
        self.call(Service::Ledger, "GetItem", &id.clone(), move |world| world.read_build(&id))
            .await
    }

    async fn builds_of(&self, run: &RunId) -> Result<Vec<Versioned<Build>>, Fault> {
        let run = run.clone();
        self.call(Service::Ledger, "Query", &run.clone(), move |world| {
            let ids = world.tables.builds.keys().filter(|id| id.run == run);
            ids.filter_map(|id| world.read_build(id)).collect()
        })
        .await
    }

    async fn update_run(&self, expected: u64, next: &Run) -> Result<Written, Fault> {
        let next = next.clone();
        self.call(Service::Ledger, "PutItem", &next.id.clone(), move |world| {
            world.write_run(expected, &next)
        })
        .await
    }

    async fn update_build(&self, expected: u64, next: &Build) -> Result<Written, Fault> {
        let next = next.clone();
        mutant::before_commit(&mut lock(&self.world), &next);
        self.call(Service::Ledger, "PutItem", &next.spec.id.clone(), move |world| {
            world.write_build(expected, &next)
        })
        .await
    }

    async fn pool(&self, agent: &AgentName) -> Result<Option<Versioned<Pool>>, Fault> {
        let agent = agent.clone();
        self.call(Service::Ledger, "GetItem", Subject::World, move |world| world.read_pool(&agent))
            .await
    }

    async fn update_pool(&self, expected: u64, next: &Pool) -> Result<Written, Fault> {
        let next = next.clone();
        self.call(Service::Ledger, "PutItem", Subject::World, move |world| {
            world.write_pool(expected, &next)
        })
        .await
    }

    async fn branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Versioned<Branch>>, Fault> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.call(Service::Ledger, "GetItem", Subject::World, move |world| {
            world.read_branch(&repository, &reference)
        })
        .await
    }

    async fn update_branch(&self, expected: u64, next: &Branch) -> Result<Written, Fault> {
        let next = next.clone();
        self.call(Service::Ledger, "PutItem", Subject::World, move |world| {
            world.write_branch(expected, &next)
        })
        .await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Versioned<String>>, Fault> {
        let key = key.clone();
        self.call(Service::Ledger, "GetItem", Subject::World, move |world| world.read_document(&key))
            .await
    }

    async fn update_document(&self, expected: u64, next: &Document) -> Result<Written, Fault> {
        let next = next.clone();
        self.call(Service::Ledger, "PutItem", Subject::World, move |world| {
            world.write_document(expected, &next)
        })
        .await
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault> {
        self.call(Service::Ledger, "Query", Subject::World, move |world| world.due(lane, now, limit))
            .await
    }

    async fn runs_of(&self, _: &RepositoryName, _: Option<&str>, _: usize) -> Result<Vec<Versioned<Run>>, Fault> {
        Err(Fault::lasting("nobody here lists runs"))
    }
}
