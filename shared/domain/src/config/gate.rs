//! Agents with `refs`, which serve some branches and tags only, and roles of protected branches and tags.
//!
//! Two questions decide. Is the run's branch or tag among the `refs`? The files answer that. Is the run's commit on that branch or tag? Only the
//! repository answers that, and the caller asks it if [`gated`] finds a build, or [`is_protected`]: a request can name any commit of the repository, also one of another
//! branch that nobody has reviewed.

use crate::executor::AgentTemplate;
use crate::ids::{AgentName, Reference};
use crate::spec::BuildSpec;
use crate::yaml::{SUITE_FILE, quoted};

use super::suite::SuiteConfig;

/// Why a commit does not count as being on a branch or tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffRef {
    /// It is elsewhere, or does not exist.
    Elsewhere,
    /// The branch or tag does not exist.
    NoRef,
    /// The service refuses to compare the commit with the branch, because they differ too much.
    Incomparable,
}

/// The error if an agent does not serve runs on a branch or tag.
pub(super) fn unserved(name: &AgentName, agent: &AgentTemplate, reference: &Reference) -> Option<String> {
    let refs = agent.refs.as_ref().filter(|refs| !refs.include(reference))?;
    Some(format!(
        "the agent `{name}` does not serve runs on {}: `refs` in {SUITE_FILE} allows {refs}",
        quoted(&reference.full())
    ))
}

/// The first of these builds whose agent has `refs`. It may only start if the run's commit is on the run's branch or tag.
#[must_use]
pub fn gated<'a>(specs: &'a [BuildSpec], config: &SuiteConfig) -> Option<&'a BuildSpec> {
    let has_refs = |spec: &&BuildSpec| config.agents.get(&spec.agent).is_some_and(|agent| agent.refs.is_some());
    specs.iter().find(has_refs)
}

/// Whether one of these builds has the role of protected branches and tags. It may only have it if the run's commit is on the run's branch or tag.
#[must_use]
pub fn is_protected(specs: &[BuildSpec], config: &SuiteConfig) -> bool {
    specs.iter().any(|spec| spec.role.as_ref() != config.role(&spec.repository, None))
}

/// Gives builds whose commit is not known to be on their branch or tag the role that all others have.
pub fn unprotect(specs: &mut [BuildSpec], config: &SuiteConfig) {
    for spec in specs {
        spec.role = config.role(&spec.repository, None).cloned();
    }
}

/// The error about a build whose agent has `refs`, and whose commit is not known to be on its branch or tag.
#[must_use]
pub fn off_ref(spec: &BuildSpec, why: OffRef) -> String {
    let (commit, reference) = (spec.commit.short(), quoted(&spec.reference.full()));
    let why = match why {
        OffRef::Elsewhere => format!("commit {commit} is not on {reference}"),
        OffRef::NoRef => format!("{reference} does not exist, so commit {commit} is not on it"),
        OffRef::Incomparable => {
            format!("CodeCommit cannot tell whether commit {commit} is on {reference}, because they differ too much: start a newer commit")
        }
    };
    let (job, agent) = (&spec.id.job, &spec.agent);
    format!("job `{job}`: the agent `{agent}` has `refs` in {SUITE_FILE} and serves only commits on the run's branch or tag: {why}")
}
