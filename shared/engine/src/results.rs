//! The results of an attempt in the bucket: its artifacts, and the counts of its test reports.

use bellhop_domain::agent;
use bellhop_domain::executor::Place;
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::results::found::{Artifact, Image, MOST_ARTIFACTS, Results, Tests};
use bellhop_domain::results::junit::{self, Counted, JunitError};
use bellhop_domain::spec::BuildSpec;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::{Engine, Fault};

/// The most artifacts that are searched for test reports.
const LISTED: usize = 10_000;
/// The most XML files that are read: some seconds of work.
const MOST_REPORTS: usize = 1_000;
/// The most bytes that are read of all XML files together: some seconds of work.
const MOST_BYTES: u64 = 128 * 1024 * 1024;
/// How many are read in parallel. The largest reports then need 64 MiB of a function's memory.
const SIDE_BY_SIDE: usize = 4;
/// How many artifacts are sealed in parallel: these are small requests.
const SEALED_SIDE_BY_SIDE: usize = 16;
/// The most bytes of all artifacts together that are read for their SHA-256, because S3 does not keep it: some seconds of work.
const MOST_HASHED: u64 = 256 * 1024 * 1024;

/// What a build's deciding agent left: its artifacts, and the images that the job says it pushes.
pub(crate) async fn collect(engine: &Engine, spec: &BuildSpec, attempt: &AttemptId, by: &AgentId) -> Result<Results, Fault> {
    let mut results = if spec.artifacts.is_empty() {
        Results::default()
    } else {
        in_bucket(engine, &agent::place(spec, attempt), by).await?
    };
    for image in &spec.images {
        let digest = match image.split_once(':') {
            Some((repository, tag)) => engine.images()?.digest(repository, tag).await?,
            None => None,
        };
        let image = image.clone();
        results.images.push(Image { image, digest });
    }
    Ok(results)
}

/// Lists the artifacts that an agent left at a place, and counts the tests in its JUnit reports. Other XML files are skipped; a report that is not fully
/// counted is recorded.
async fn in_bucket(engine: &Engine, place: &Place, agent: &AgentId) -> Result<Results, Fault> {
    let Some(folder) = engine.store.folder(place, agent).await? else {
        return Ok(Results::default());
    };
    let prefix = folder.artifacts();
    let (mut artifacts, count) = engine.store.artifacts(&folder, LISTED).await?;
    let _turn = engine.reading.lock().await;
    let limit = u64::try_from(junit::LARGEST).unwrap_or(u64::MAX);
    let (mut reports, mut left_out) = (Vec::new(), Vec::new());
    let mut bytes = 0_u64;
    for artifact in artifacts.iter().filter(|artifact| may_be_report(&artifact.path)) {
        let size = artifact.size.min(limit);
        if reports.len() < MOST_REPORTS && bytes.saturating_add(size) <= MOST_BYTES {
            bytes = bytes.saturating_add(size);
            reports.push(artifact.path.clone());
        } else {
            left_out.push(artifact.path.clone());
        }
    }
    let mut tests: Option<Tests> = None;
    let mut others = Vec::new();
    // In order, so that the same files always list the same failures.
    let reports: Vec<_> = reports.into_iter().map(|path| (format!("{prefix}{path}"), path)).collect();
    let mut counting = stream::iter(reports)
        .map(|(key, path)| async move {
            // One byte more than is counted shows that there is more.
            let content = engine.store.object(&key, limit.saturating_add(1)).await?;
            Ok::<_, Fault>((path, content.map(|content| junit::count(&content))))
        })
        .buffered(SIDE_BY_SIDE);
    while let Some((path, counted)) = counting.try_next().await? {
        match counted {
            Some(Ok(Counted { tests: more, incomplete })) => {
                let tests = tests.get_or_insert_default();
                tests.add(more);
                if let Some(why) = incomplete {
                    tests.note_unread(&path, &format!("counted only in part: {why}"));
                }
            }
            Some(Err(JunitError::OtherKind(_))) => {}
            Some(Err(why @ JunitError::OtherReport(_))) => others.push((path, why)),
            Some(Err(why)) => tests.get_or_insert_default().note_unread(&path, &why.to_string()),
            None => tests.get_or_insert_default().note_unread(&path, "it no longer exists"),
        }
    }
    // If there is also a JUnit report, it contains the same tests.
    for (path, why) in others.into_iter().filter(|_| tests.is_none()).collect::<Vec<_>>() {
        tests.get_or_insert_default().note_unread(&path, &why.to_string());
    }
    for path in left_out {
        let why = format!(
            "Bellhop reads at most {MOST_REPORTS} XML files, and {} MiB in all",
            MOST_BYTES / 1024 / 1024
        );
        tests.get_or_insert_default().note_unread(&path, &why);
    }
    artifacts.truncate(MOST_ARTIFACTS);
    let artifacts = sealed(engine, &prefix, artifacts).await?;
    let folder = (count > 0).then_some(prefix);
    Ok(Results {
        artifacts,
        count,
        folder,
        images: Vec::new(),
        tests,
    })
}

/// Adds what names the content of each artifact. The agent has stopped, and no other may write into its folder: what is there now is what it left.
async fn sealed(engine: &Engine, prefix: &str, artifacts: Vec<Artifact>) -> Result<Vec<Artifact>, Fault> {
    let mut room = MOST_HASHED;
    let sealing = artifacts.into_iter().map(|artifact| {
        let readable = (artifact.size <= room).then_some(artifact.size);
        room = room.saturating_sub(readable.unwrap_or_default());
        let key = format!("{prefix}{}", artifact.path);
        async move {
            let seal = engine.store.seal(&key, readable).await?;
            Ok(Artifact { seal, ..artifact })
        }
    });
    let sealing: Vec<_> = sealing.collect();
    stream::iter(sealing).buffered(SEALED_SIDE_BY_SIDE).try_collect().await
}

/// By its name: `report.xml`, and `report.junit` of Xcode's tools.
fn may_be_report(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    matches!(extension.as_deref(), Some("xml" | "junit"))
}
