//! Which pushes start a job.

use crate::ids::Reference;
use crate::patterns::Globs;

/// `on.push` of a job. Without `branches` and `tags`: every branch and no tag. With only one of the two: nothing of the other.
#[derive(Debug, Clone, Default)]
pub(super) struct PushFilter {
    /// No push starts the job.
    pub(super) never: bool,
    pub(super) branches: Option<Globs>,
    pub(super) tags: Option<Globs>,
    pub(super) paths: Option<Globs>,
}

impl PushFilter {
    /// A filter that no push passes.
    pub(super) fn never() -> Self {
        Self {
            never: true,
            ..Self::default()
        }
    }

    /// Whether a push to the reference starts the job, as far as the reference tells.
    pub(super) fn wants(&self, reference: &Reference) -> bool {
        match reference {
            _ if self.never => false,
            Reference::Branch(name) => match &self.branches {
                Some(branches) => branches.matches(name),
                None => self.tags.is_none(),
            },
            Reference::Tag(name) => self.tags.as_ref().is_some_and(|tags| tags.matches(name)),
        }
    }

    /// Whether `paths` applies to this reference. It does not apply to tags.
    pub(super) fn asks_for_changes(&self, reference: &Reference) -> bool {
        self.paths.is_some() && reference.branch().is_some()
    }

    /// Whether the changed files let the job start. `None` means that they are not known: for a new branch, or past the limit of a comparison. The
    /// job starts then, because a superfluous build does less harm than an untested change. It also starts if no file changed: an empty commit asks
    /// for a build, and the comparison does not show everything, such as a submodule's commit.
    pub(super) fn wants_changes(&self, reference: &Reference, changed: Option<&[String]>) -> bool {
        match (&self.paths, changed) {
            (Some(paths), Some(changed)) if self.asks_for_changes(reference) && !changed.is_empty() => {
                changed.iter().any(|path| paths.matches(path))
            }
            _ => true,
        }
    }
}

/// Whether a commit's message asks for no run: `[skip ci]`, `[ci skip]` or `[no ci]` anywhere in it, in any case, also with `-` or `_` for the space. The
/// subject of a revert does not count: it quotes the reverted commit's.
#[must_use]
pub fn skips(message: &str) -> bool {
    let message = message.to_ascii_lowercase().replace(['-', '_'], " ");
    let said = match message.split_once('\n') {
        Some((subject, rest)) if subject.starts_with(REVERT) => rest,
        None if message.starts_with(REVERT) => "",
        _ => &message,
    };
    ["[skip ci]", "[ci skip]", "[no ci]"].iter().any(|token| said.contains(token))
}

/// How the subject begins that Git gives to a revert, in lower case.
const REVERT: &str = "revert \"";
