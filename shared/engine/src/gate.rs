//! Agents with `refs` serve only commits on the run's branch or tag. The repository says whether a commit is on it, and is asked only for such agents.

use bellhop_domain::config::{OffRef, SuiteConfig, gated, off_ref};
use bellhop_domain::ids::CommitId;
use bellhop_domain::run::trigger::Push;

use crate::Fault;
use crate::plan::Plan;
use crate::ports::{Ancestry, Revision};
use crate::start::RunStarter;

impl RunStarter {
    /// Rejects a plan with a build whose agent has `refs`, if the run's commit is not on the run's branch or tag. `tip` is the tip of the branch, if it
    /// was just read. If the repository cannot be asked now, that is a fault: without an answer, no such build starts.
    pub(crate) async fn gate(&self, plan: Plan, push: &Push, suite: &SuiteConfig, tip: Option<&CommitId>) -> Result<Plan, Fault> {
        let Plan::Builds { specs, .. } = &plan else { return Ok(plan) };
        let Some(spec) = gated(specs, suite) else { return Ok(plan) };
        Ok(match self.off_ref(push, tip).await? {
            None => plan,
            Some(why) => Plan::Rejected(off_ref(spec, why)),
        })
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
