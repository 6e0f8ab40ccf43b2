//! Values for the tests of this crate.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::executor::{EcsExecutor, Executor, Logs, Script};
use crate::ids::{BuildId, RunId};
use crate::inputs::Inputs;
use crate::run::trigger::Push;
use crate::spec::{Bearing, BuildSpec, Relaunch, RetryPolicy, Successes};

/// A moment some seconds into the tests' day.
pub(crate) fn t(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

pub(crate) fn push() -> Push {
    Push {
        trigger: "4f5c1a2e-0000-4000-8000-000000000001".to_owned(),
        repository: "shop".parse().unwrap(),
        reference: "refs/heads/main".parse().unwrap(),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        previous: None,
        at: None,
        by: Some("ada".to_owned()),
    }
}

pub(crate) fn spec() -> BuildSpec {
    spec_needing("test", &[])
}

pub(crate) fn spec_needing(job: &str, needs: &[&str]) -> BuildSpec {
    let run: RunId = "abcdefghij".parse().unwrap();
    let push = push();
    BuildSpec {
        id: BuildId {
            run,
            job: job.parse().unwrap(),
        },
        repository: push.repository,
        reference: push.reference,
        commit: push.commit,
        agent: "small".parse().unwrap(),
        executor: Executor::Ecs(EcsExecutor {
            spot_cluster: Some("ci-spot".to_owned()),
            on_demand_cluster: "ci-main".to_owned(),
            task_definition: "bellhop-agent-small".to_owned(),
            container: "agent".to_owned(),
            subnets: vec!["subnet-0a".to_owned()],
            security_groups: vec!["sg-0a".to_owned()],
            assign_public_ip: false,
            providers: None,
            logs: Some(Logs::of_container("/bellhop/agents".to_owned(), "small", "agent")),
        }),
        script: Script::Inline("make test".to_owned()),
        environment: BTreeMap::new(),
        secrets: BTreeMap::new(),
        critical: false,
        timeout: Duration::from_secs(3600),
        queue_timeout: Duration::from_secs(7200),
        relaunch: Relaunch::Warning,
        retry: RetryPolicy::default(),
        needs: needs.iter().map(|need| need.parse().unwrap()).collect(),
        successes: Successes::Changes,
        artifacts: Vec::new(),
        images: Vec::new(),
        inputs: Inputs::default(),
        limit: None,
        lock: None,
        pausable: false,
        role: None,
        bearing: Bearing::default(),
    }
}

/// A page of docs/reference, parts of which the code computes: each between a line `<!-- computed: NAME -->` and a line `<!-- end -->`.
pub(crate) struct Page {
    path: PathBuf,
    pub(crate) text: String,
}

#[expect(clippy::disallowed_methods, reason = "a test reads a document, and writes it where it is asked to")]
impl Page {
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        Self { path, text }
    }

    /// Fails unless the page has these parts. With `REWRITE` in the environment, they are written.
    pub(crate) fn holds(&self, parts: &[(String, String)]) {
        let mut current = self.text.clone();
        for (name, part) in parts {
            let opening = format!("<!-- computed: {name} -->\n");
            let found = current
                .split_once(&opening)
                .and_then(|(before, rest)| Some((before, rest.split_once("<!-- end -->")?.1)));
            let Some((before, after)) = found else {
                panic!("{} has no part {name}", self.path.display())
            };
            current = format!("{before}{opening}\n{part}\n\n<!-- end -->{after}");
        }
        if std::env::var_os("REWRITE").is_some() {
            std::fs::write(&self.path, current).unwrap();
        } else {
            assert!(
                current == self.text,
                "{} is not current: run this test with REWRITE=1 in its environment",
                self.path.display()
            );
        }
    }
}
