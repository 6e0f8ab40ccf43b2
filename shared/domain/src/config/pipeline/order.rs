//! The order of a file's jobs: each after the jobs that it needs.

use std::collections::HashMap;

use super::model::Job;
use crate::ids::JobName;
use crate::yaml::Source;
use crate::yaml::{FieldPath, FileError, suggestion};

/// Sorts the jobs so that each comes after the jobs that it needs.
pub(super) fn order(source: &Source, jobs: &[Job]) -> Result<Vec<usize>, FileError> {
    let index: HashMap<&JobName, usize> = jobs.iter().enumerate().map(|(i, job)| (&job.name, i)).collect();
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut needed = Vec::with_capacity(job.needs.len());
        for (i, need) in job.needs.iter().enumerate() {
            match index.get(need) {
                Some(&found) => needed.push(found),
                None => {
                    let known = suggestion(need.as_str(), jobs.iter().map(|job| job.name.as_str()));
                    return Err(source.error(&job.path().key("needs").index(i), format!("there is no job `{need}`{known}")));
                }
            }
        }
        needs.push(needed);
    }

    let mut order = Vec::with_capacity(jobs.len());
    let mut done = vec![false; jobs.len()];
    for start in 0..jobs.len() {
        // The path from `start`: each entry is a job, and how many of its needs have been visited.
        let mut way: Vec<(usize, usize)> = if done[start] { Vec::new() } else { vec![(start, 0)] };
        while let Some((job, seen)) = way.last_mut() {
            let job = *job;
            let Some(&need) = needs[job].get(*seen) else {
                done[job] = true;
                order.push(job);
                way.pop();
                continue;
            };
            *seen += 1;
            if let Some(begin) = way.iter().position(|(on_way, _)| *on_way == need) {
                return Err(cycle(source, jobs, way[begin..].iter().map(|(job, _)| *job)));
            }
            if !done[need] {
                way.push((need, 0));
            }
        }
    }
    Ok(order)
}

fn cycle(source: &Source, jobs: &[Job], members: impl Iterator<Item = usize>) -> FileError {
    let mut names: Vec<&str> = members.map(|i| jobs[i].name.as_str()).collect();
    let first = names.first().copied().unwrap_or_default();
    let at = FieldPath::top("jobs").key(first).key("needs");
    if names.len() == 1 {
        return source.error(&at, "the job waits for itself");
    }
    // A longer list would fill the notification and not help.
    if names.len() > 20 {
        names.truncate(20);
        names.push("…");
    }
    names.push(first);
    source.error(&at, format!("the jobs wait for each other: {}", names.join(" → ")))
}
