//! AWS Backup and Cloud Control, with every call.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bellhop_domain::backup::{Definition, JobKind, JobObservation, Point, RemovalObservation};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Backups, JobStart};

use super::values::take;

/// AWS Backup and Cloud Control, with every call.
#[derive(Default)]
pub(crate) struct FakeBackups {
    pub(crate) calls: Mutex<Vec<String>>,
    /// So many calls to come fail.
    failing: AtomicUsize,
    started: AtomicUsize,
    jobs: Mutex<Vec<JobObservation>>,
    /// The answer to every start of a job, instead of a new job.
    pub(crate) answer: Mutex<Option<JobStart>>,
    pub(crate) newest: Mutex<Option<Point>>,
    /// How removals go; they are underway where nothing else is said.
    pub(crate) removal: Mutex<Option<RemovalObservation>>,
}

impl FakeBackups {
    pub(crate) fn fail(&self, calls: usize) {
        self.failing.store(calls, Ordering::SeqCst);
    }

    pub(crate) fn show(&self, job: JobObservation) {
        self.jobs.lock().unwrap().push(job);
    }

    async fn call(&self, words: String) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.calls.lock().unwrap().push(words);
        if take(&self.failing) {
            return Err(Fault::transient("a throttle"));
        }
        Ok(())
    }

    async fn begin(&self, kind: &str, words: String) -> Result<JobStart, Fault> {
        self.call(words).await?;
        let answer = self.answer.lock().unwrap().clone();
        let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(answer.unwrap_or_else(|| JobStart::Started(format!("{kind}-{number}"))))
    }

    fn removing(&self) -> RemovalObservation {
        let request = "request".to_owned();
        self.removal
            .lock()
            .unwrap()
            .clone()
            .unwrap_or(RemovalObservation::Underway { request })
    }
}

#[async_trait]
impl Backups for FakeBackups {
    async fn back_up(&self, definition: &Definition, token: &str) -> Result<JobStart, Fault> {
        self.begin("backup", format!("back up {} under {token}", definition.resource)).await
    }

    async fn copy(&self, _: &Definition, point: &str, _: &str) -> Result<JobStart, Fault> {
        self.begin("copy", format!("copy {point}")).await
    }

    async fn restore(&self, _: &Definition, point: &str, name: &str, _: &str) -> Result<JobStart, Fault> {
        self.begin("restore", format!("restore {point} to {name}")).await
    }

    async fn job(&self, _: JobKind, id: &str) -> Result<Option<JobObservation>, Fault> {
        self.call(format!("job {id}")).await?;
        Ok(self.jobs.lock().unwrap().iter().find(|job| job.id == id).cloned())
    }

    async fn newest(&self, resource: &str, _: &str) -> Result<Option<Point>, Fault> {
        self.call(format!("newest of {resource}")).await?;
        Ok(self.newest.lock().unwrap().clone())
    }

    async fn remove(&self, resource: &str, _: &str) -> Result<RemovalObservation, Fault> {
        self.call(format!("remove {resource}")).await?;
        Ok(self.removing())
    }

    async fn removal(&self, request: &str) -> Result<RemovalObservation, Fault> {
        self.call(format!("removal {request}")).await?;
        Ok(self.removing())
    }
}
