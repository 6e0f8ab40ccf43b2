//! Who a task is to AWS: the credentials of its role, and what STS says about them
//! (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::tasks::Task;

impl Task {
    /// The id of its access key.
    pub(super) fn access_key(&self) -> String {
        let id: String = self.id.chars().take(16).collect();
        format!("ASIA{}", id.to_uppercase())
    }

    /// The id of its role, and its own: `aws:userid`.
    pub(super) fn user_id(&self) -> String {
        let mut hash = DefaultHasher::new();
        self.role().hash(&mut hash);
        format!("AROA{:016X}:{}", hash.finish(), self.id)
    }

    /// The name of its role.
    pub(super) fn role(&self) -> &str {
        let arn = self.plan.overrides["taskRoleArn"].as_str().unwrap_or(&self.plan.family);
        arn.rsplit('/').next().unwrap_or(arn)
    }

    /// The answer of STS to it.
    pub(super) fn caller_identity(&self) -> String {
        let (account, role, id) = (&self.plan.account, self.role(), &self.id);
        let user = self.user_id();
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:sts::{account}:assumed-role/{role}/{id}</Arn><UserId>{user}</UserId><Account>{account}</Account>\
             </GetCallerIdentityResult></GetCallerIdentityResponse>"
        )
    }
}
