//! What a build takes from other builds: their records say it, and the list for the agent goes into the bucket.

use bellhop_domain::agent::script_key;
use bellhop_domain::build::{Build, Found};
use bellhop_domain::ids::JobName;
use bellhop_domain::inputs::{self, Taken};
use bellhop_domain::results::found::Seal;
use bellhop_domain::spec::BuildSpec;

use crate::{Engine, Fault};

impl Engine {
    /// The files that a build takes of some jobs, or why they cannot be had, for people.
    async fn taken(&self, spec: &BuildSpec, of: impl Fn(&JobName) -> bool) -> Result<Result<Vec<Taken>, String>, Fault> {
        let mut files = Vec::new();
        for job in spec.inputs.jobs().filter(|job| of(job)) {
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
        let manifest = match self.taken(spec, |_| true).await? {
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

    /// Why what a build takes of these jobs cannot be had any more; `None` if it is all there, unchanged.
    pub(crate) async fn lacks(&self, spec: &BuildSpec, of: &[JobName]) -> Result<Option<String>, Fault> {
        let files = match self.taken(spec, |job| of.contains(job)).await? {
            Ok(files) => files,
            Err(why) => return Ok(Some(why)),
        };
        for file in files {
            let there = self.store.seal(&file.key, None).await?;
            // Without versions, S3 may say no more of an object than that it is there.
            let is_gone = there == Seal::default() && self.store.object(&file.key, 1).await?.is_none();
            if is_gone || there.version != file.object_version {
                return Ok(Some(format!("`{}` of job `{}` is no longer in the bucket", file.path, file.from)));
            }
        }
        Ok(None)
    }
}
