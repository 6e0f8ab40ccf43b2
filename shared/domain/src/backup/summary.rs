//! The state of a backup, as a small document for people.

use serde_json::{Value, json};

use super::{Backup, End, ServiceJob};

impl Backup {
    /// Its newest job, the newest job that left a recovery point, and its problems.
    #[must_use]
    pub fn summary(&self) -> Value {
        let newest = self.jobs.last();
        let good = self
            .jobs
            .iter()
            .rev()
            .find(|job| job.work.end.as_ref().is_some_and(|end| end.how.is_good()));
        json!({
            "resource": self.definition.resource,
            "vault": self.definition.vault,
            "newest-job": newest.map(|job| of_work(&job.work)),
            "newest-copy": newest.and_then(|job| job.copy.as_ref()).map(of_work),
            "newest-good-job": good.map(|job| json!({ "since": job.work.since, "point": job.point })),
            "restore-test": self.test.as_ref().map(|test| of_work(&test.work)),
            "troubles": self.troubles,
        })
    }
}

fn of_work(work: &ServiceJob) -> Value {
    let status = work.end.as_ref().map_or("underway", |end| end.how.status());
    let end = |value: fn(&End) -> Value| work.end.as_ref().map(value);
    json!({
        "job": work.id,
        "since": work.since,
        "status": status,
        "message": end(|end| json!(end.message)),
        "ended": end(|end| json!(end.at)),
    })
}
