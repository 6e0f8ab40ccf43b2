//! What a build takes from other builds: their records say it, and the list for the agent goes into the bucket.

use bellhop_domain::agent::script_key;
use bellhop_domain::build::{Build, Found};
use bellhop_domain::ids::BuildId;
use bellhop_domain::inputs::{self, Taken};
use bellhop_domain::results::found::Seal;
use bellhop_domain::spec::BuildSpec;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::advance::SIDE_BY_SIDE;
use crate::{Engine, Fault};

impl Engine {
    /// The files that a build takes, or why they cannot be had, for people.
    async fn taken(&self, spec: &BuildSpec) -> Result<Result<Vec<Taken>, String>, Fault> {
        let mut files = Vec::new();
        for job in spec.inputs.jobs() {
            let source = spec.source(job);
            let Some(build) = self.ledger.load::<Build>(&source).await? else {
                return Ok(Err(format!("build {source} has expired")));
            };
            match inputs::taken(&source, build.record.results.as_ref()) {
                Ok(taken) => files.extend(taken),
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Ok(files))
    }

    /// Lists what a build takes, and stores the list for its agent. Its key ends with its hash, as that of a script: an agent can check it, and only those
    /// who know the list can find it.
    pub(crate) async fn find_inputs(&self, spec: &BuildSpec) -> Result<Found, Fault> {
        let manifest = match self.taken(spec).await? {
            Ok(files) => inputs::manifest(&files),
            Err(why) => Err(why),
        };
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(why) => return Ok(Err(why)),
        };
        let key = script_key(&spec.repository, &manifest);
        self.store.put(&key, "application/json", manifest).await?;
        Ok(Ok(key))
    }

    /// Whether files that a build kept are gone, or never were: then its job has to run again. Files that are there, and cannot be taken for another reason,
    /// would be no others.
    pub(crate) async fn lacks_files(&self, source: &BuildId, build: &Build) -> Result<bool, Fault> {
        let Some(results) = build.results.as_ref().filter(|results| results.count > 0) else {
            return Ok(true);
        };
        let Ok(files) = inputs::taken(source, Some(results)) else {
            return Ok(false);
        };
        let gone = files.into_iter().map(|file| async move {
            let there = self.store.seal(&file.key, None).await?;
            // Without versions, S3 may say no more of an object than that it is there.
            let is_gone = there == Seal::default() && self.store.object(&file.key, 1).await?.is_none();
            Ok(is_gone || there.version != file.object_version)
        });
        let gone: Vec<_> = gone.collect();
        let gone: Vec<bool> = stream::iter(gone).buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(gone.contains(&true))
    }
}
