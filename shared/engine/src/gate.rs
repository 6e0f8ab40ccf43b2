//! Agents with `refs` serve only commits on the run's branch or tag, and only such commits get the role of protected branches and tags. The repository says
//! whether a commit is on it, and is asked only if it matters.

use bellhop_domain::config::{OffRef, SuiteConfig, gated, is_protected, off_ref, unprotect};
use bellhop_domain::ids::CommitId;
use bellhop_domain::run::trigger::Push;

use crate::Fault;
use crate::plan::Plan;
use crate::ports::{Ancestry, Revision};
use crate::start::RunStarter;

impl RunStarter {
    /// Rejects a plan with a build whose agent has `refs`, if the run's commit is not on the run's branch or tag. Without such a build, all builds lose the
    /// role of protected branches and tags then. `tip` is the tip of the branch, if it was just read. If the repository cannot be asked now, that is a
    /// fault: without an answer, no such build starts.
    pub(crate) async fn gate(&self, mut plan: Plan, push: &Push, suite: &SuiteConfig, tip: Option<&CommitId>) -> Result<Plan, Fault> {
        let Plan::Builds { specs, .. } = &mut plan else { return Ok(plan) };
        let gated = gated(specs, suite);
        if gated.is_none() && !is_protected(specs, suite) {
            return Ok(plan);
        }
        let Some(why) = self.off_ref(push, tip).await? else {
            return Ok(plan);
        };
        if let Some(spec) = gated {
            return Ok(Plan::Rejected(off_ref(spec, why)));
        }
        tracing::warn!(repository = %push.repository, commit = %push.commit, reference = %push.reference, ?why, "no protected role: the commit is not known to be on the branch or tag");
        unprotect(specs, suite);
        Ok(plan)
    }

    /// Why a push's commit is not on its branch or tag; `None` if it is.
    async fn off_ref(&self, push: &Push, tip: Option<&CommitId>) -> Result<Option<OffRef>, Fault> {
        let Push { repository, commit, .. } = push;
        let Some(branch) = push.reference.branch() else {
            // A tag stands for one commit, and not for those before it.
            let at = Revision::Reference(push.reference.clone());
            return Ok(match self.source.root(repository, &at).await? {
                Some(root) if root.commit == *commit => None,
                Some(_) => Some(OffRef::Elsewhere),
                None => Some(OffRef::NoRef),
            });
        };
        let tip = match tip {
            Some(tip) => tip.clone(),
            None => match self.source.tip(repository, branch).await? {
                Some(tip) => tip,
                None => return Ok(Some(OffRef::NoRef)),
            },
        };
        if tip == *commit {
            return Ok(None);
        }
        Ok(match self.source.ancestry(repository, commit, &tip).await? {
            Ancestry::Ancestor => None,
            Ancestry::Elsewhere => Some(OffRef::Elsewhere),
            Ancestry::Incomparable => Some(OffRef::Incomparable),
        })
    }
}
