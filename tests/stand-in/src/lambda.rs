//! Lambda's deployments: functions with their code, versions and aliases, and which version an invocation runs.
//!
//! No code runs: an invocation answers which version it is. What AWS says of versions and aliases is in `tests/model`. Functions that were not created here
//! are the upstream's.

mod api;
mod names;
mod views;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bellhop_model::lambda::{AliasUpdate, Code, Failure, Function, Settings, Snapshot};
use data_encoding::BASE64;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

pub(crate) use names::{has_parameters, operation};
pub use views::{AliasView, Change, Effect, EffectKind, FunctionView, InvocationView, VersionView};

use crate::Options;
use crate::proxy::Upstream;
use crate::support::{self, lock};

/// The functions of the stand-in. Clones are handles to the same ones.
#[derive(Clone)]
pub struct Lambda {
    inner: Arc<Inner>,
}

struct Inner {
    region: String,
    account: String,
    upstream: Upstream,
    state: Mutex<State>,
    /// Counts the changes, for those who wait for one.
    changes: watch::Sender<u64>,
}

struct State {
    functions: BTreeMap<String, Held>,
    objects: Vec<Object>,
    interferences: Vec<Interference>,
    /// How long an update is in progress.
    update: Duration,
    /// How long a new version is Pending.
    publishing: Duration,
    /// How the next updates of code end.
    failures: Vec<Failure>,
    is_full: bool,
    seed: u64,
}

/// A function with what became of it.
struct Held {
    function: Function<Timestamp>,
    history: Vec<Effect>,
    invocations: Vec<InvocationView>,
}

/// An object of S3 that a test gave.
struct Object {
    bucket: String,
    key: String,
    version: Option<String>,
    content: Vec<u8>,
}

/// What somebody else does before the next request of an operation.
struct Interference {
    operation: String,
    function: String,
    change: Change,
}

/// The hash of a deployment package, as Lambda gives it: SHA-256 in Base64
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html>).
pub fn code_sha256(package: &[u8]) -> String {
    BASE64.encode(&Sha256::digest(package))
}

/// A deployment package, as Lambda knows it.
fn code_of(package: &[u8]) -> Code {
    Code {
        sha256: code_sha256(package),
        // A package is in memory, and far smaller.
        size: package.len() as u64,
    }
}

// The test's side.
impl Lambda {
    pub(crate) fn new(options: &Options, upstream: Upstream) -> Self {
        Self {
            inner: Arc::new(Inner {
                region: options.region.clone(),
                account: options.account.clone(),
                upstream,
                state: Mutex::new(State {
                    functions: BTreeMap::new(),
                    objects: Vec::new(),
                    interferences: Vec::new(),
                    update: options.timing.function_update,
                    publishing: options.timing.version_publishing,
                    failures: Vec::new(),
                    is_full: false,
                    seed: 0,
                }),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// Creates a function with this package, without versions and aliases, and returns its ARN. It takes the place of one of the same name.
    pub fn create_function(&self, name: &str, package: &[u8]) -> String {
        let Inner { region, account, .. } = &*self.inner;
        let arn = format!("arn:aws:lambda:{region}:{account}:function:{name}");
        let has = Snapshot {
            code: code_of(package),
            settings: Settings {
                role: format!("arn:aws:iam::{account}:role/{name}"),
                dead_letter_target: None,
                architecture: "arm64".to_owned(),
                description: String::new(),
                memory_size: 128,
            },
        };
        let held = Held {
            function: Function::new(&arn, has, &Timestamp::now()),
            history: Vec::new(),
            invocations: Vec::new(),
        };
        lock(&self.inner.state).functions.insert(name.to_owned(), held);
        self.changed();
        arn
    }

    /// The names of all functions.
    pub fn names(&self) -> Vec<String> {
        lock(&self.inner.state).functions.keys().cloned().collect()
    }

    /// A function as it is now, with what became of it.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn function(&self, name: &str) -> anyhow::Result<FunctionView> {
        let mut state = lock(&self.inner.state);
        let held = state.functions.get_mut(name).with_context(|| format!("no function {name}"))?;
        Ok(held.view(name))
    }

    /// Waits until something can be found in a function.
    ///
    /// # Errors
    /// It was not found in time; the text has the function.
    pub async fn wait_for<T>(&self, name: &str, within: Duration, mut find: impl FnMut(&FunctionView) -> Option<T>) -> anyhow::Result<T> {
        let found = support::wait_for(&self.inner.changes, within, || find(&self.function(name).ok()?)).await;
        match found {
            Some(found) => Ok(found),
            None => bail!("not found within {within:?}; the function is {:?}", self.function(name)),
        }
    }

    /// Puts an object where UpdateFunctionCode finds it, before it asks the upstream's S3.
    pub fn put_object(&self, bucket: &str, key: &str, version: Option<&str>, content: &[u8]) {
        lock(&self.inner.state).objects.push(Object {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: version.map(str::to_owned),
            content: content.to_owned(),
        });
    }

    /// How long each update from now on is in progress, and how long each new version is Pending, instead of what [`Timing`](crate::Timing) says.
    pub fn set_times(&self, update: Duration, publishing: Duration) {
        let mut state = lock(&self.inner.state);
        (state.update, state.publishing) = (update, publishing);
    }

    /// Lets the next update of code that is accepted fail, with this code and reason. Called twice, the next two.
    pub fn fail_next_update(&self, code: &str, reason: &str) {
        lock(&self.inner.state).failures.push(Failure {
            code: code.to_owned(),
            reason: reason.to_owned(),
        });
    }

    /// Whether the account's code storage is full, so that neither code nor versions can be added.
    pub fn fill_storage(&self, is_full: bool) {
        lock(&self.inner.state).is_full = is_full;
    }

    /// What the choice between two versions begins from: the same seed gives the same choices. It is 0 unless this is called.
    pub fn set_seed(&self, seed: u64) {
        lock(&self.inner.state).seed = seed;
    }

    /// Somebody else changes a function now.
    ///
    /// # Errors
    /// There is no such function, or Lambda refuses the change. Nothing has changed then.
    pub fn change(&self, name: &str, change: Change) -> anyhow::Result<()> {
        lock(&self.inner.state).change(name, change)?;
        self.changed();
        Ok(())
    }

    /// Somebody else changes a function just before the next request of this operation about it takes effect. A change that Lambda would refuse then is
    /// left out.
    pub fn change_before(&self, operation: &str, name: &str, change: Change) {
        lock(&self.inner.state).interferences.push(Interference {
            operation: operation.to_owned(),
            function: name.to_owned(),
            change,
        });
    }

    fn changed(&self) {
        self.inner.changes.send_modify(|changes| *changes += 1);
    }
}

impl State {
    /// Applies what somebody else does before this request.
    fn interfere(&mut self, operation: &str, function: &str) {
        let is_due = |one: &Interference| one.operation == operation && one.function == function;
        let Some(place) = self.interferences.iter().position(is_due) else {
            return;
        };
        let interference = self.interferences.remove(place);
        if let Err(error) = self.change(function, interference.change) {
            tracing::warn!("somebody else could not change {function} before {operation}: {error:#}");
        }
    }

    fn change(&mut self, name: &str, change: Change) -> anyhow::Result<()> {
        if change == Change::Delete {
            return match self.functions.remove(name) {
                Some(_) => Ok(()),
                None => bail!("no function {name}"),
            };
        }
        let held = self.functions.get_mut(name).with_context(|| format!("no function {name}"))?;
        let kind = held.change(change, Timestamp::now())?;
        held.history.extend(kind.map(|kind| Effect {
            at: Timestamp::now(),
            by_somebody_else: true,
            kind,
        }));
        Ok(())
    }
}

impl Held {
    /// What a change did, if it did anything.
    fn change(&mut self, change: Change, now: Timestamp) -> anyhow::Result<Option<EffectKind>> {
        let function = &mut self.function;
        let mut has = function.latest(&now).has.clone();
        Ok(match change {
            Change::Code { sha256, takes } => {
                has.code.sha256.clone_from(&sha256);
                function.update(&now, has, None, now + takes, None)?;
                Some(EffectKind::Code { code_sha256: sha256 })
            }
            Change::Settings {
                role,
                dead_letter_target,
                memory_size,
                takes,
            } => {
                let settings = &mut has.settings;
                settings.role = role.unwrap_or_else(|| settings.role.clone());
                settings.dead_letter_target = dead_letter_target.or_else(|| settings.dead_letter_target.clone());
                settings.memory_size = memory_size.unwrap_or(settings.memory_size);
                function.update(&now, has, None, now + takes, None)?;
                Some(EffectKind::Settings)
            }
            Change::Publish => {
                let published = function.publish(&now, None, None, None, now)?;
                published.is_new.then(|| EffectKind::of_version(&published.version))
            }
            Change::Alias { name, version, weights } => {
                if function.aliases().contains_key(&name) {
                    let update = AliasUpdate {
                        version: Some(version),
                        weights: Some(weights),
                        ..AliasUpdate::default()
                    };
                    function.update_alias(&name, update)?;
                } else {
                    function.create_alias(&name, &version, weights)?;
                }
                Some(EffectKind::of_alias(&name, function.alias(&name)?))
            }
            Change::Delete => None,
        })
    }

    fn view(&mut self, name: &str) -> FunctionView {
        let latest = self.function.latest(&Timestamp::now()).clone();
        let versions = self.function.versions().iter().map(|version| VersionView {
            version: version.number.clone(),
            code_sha256: version.has.code.sha256.clone(),
            description: version.description.clone(),
            published: version.published,
        });
        let aliases = self.function.aliases().iter().map(|(name, alias)| {
            let view = AliasView {
                version: alias.version.clone(),
                weights: alias.weights.clone(),
                revision_id: alias.revision.clone(),
            };
            (name.clone(), view)
        });
        FunctionView {
            name: name.to_owned(),
            arn: self.function.arn().to_owned(),
            code_sha256: latest.has.code.sha256,
            revision_id: latest.revision,
            last_update_status: latest.status.name(),
            versions: versions.collect(),
            aliases: aliases.collect(),
            history: self.history.clone(),
            invocations: self.invocations.clone(),
        }
    }
}
