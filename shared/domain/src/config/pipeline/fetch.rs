//! Jobs whose files other jobs take: a job must come after them, and they must keep files.

use std::collections::HashMap;

use super::model::{Job, Work};
use crate::ids::JobName;
use crate::yaml::{FieldPath, FileError, Source, suggestion};

/// Checks the jobs that each job takes files of. `order` has the jobs' indexes, each after those of the jobs that it needs.
pub(super) fn check(source: &Source, jobs: &[Job], order: &[usize]) -> Result<(), FileError> {
    let index: HashMap<&JobName, usize> = jobs.iter().enumerate().map(|(i, job)| (&job.name, i)).collect();
    // The jobs that come before each job, however far.
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
    for &i in order {
        let direct = jobs[i].needs.iter().filter_map(|need| index.get(need).copied());
        let mut all: Vec<usize> = direct.flat_map(|need| before[need].iter().copied().chain([need])).collect();
        all.sort_unstable();
        all.dedup();
        before[i] = all;
    }
    for (i, job) in jobs.iter().enumerate() {
        for (at, taken) in job.takes() {
            let Some(&found) = index.get(taken) else {
                let known = suggestion(taken.as_str(), jobs.iter().map(|job| job.name.as_str()));
                return Err(source.error(&at, format!("there is no job `{taken}`{known}")));
            };
            if !before[i].contains(&found) {
                let message = format!("the job does not come after `{taken}`: expected `{taken}` in `needs`");
                return Err(source.error(&at, message));
            }
            if jobs[found].artifacts.is_empty() {
                let message = format!("the job `{taken}` keeps no files: expected `artifacts` in it");
                return Err(source.error(&at, message));
            }
        }
    }
    Ok(())
}

impl Job {
    /// The jobs whose files it takes, and where the file says so.
    fn takes(&self) -> Vec<(FieldPath, &JobName)> {
        let fetch = self.path().key("fetch");
        let fetched = self.fetch.iter().enumerate().map(|(i, job)| (fetch.clone().index(i), job));
        let given = match &self.work {
            Work::Deploy { given, .. } => given.files(),
            Work::Run { .. } | Work::Buildspec { .. } => Vec::new(),
        };
        let given = given.into_iter().map(|(key, file)| (self.path().key(key).key("from"), &file.from));
        fetched.chain(given).collect()
    }
}
