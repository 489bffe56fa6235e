//! Merges, picks, reverts and rebases.

use govc_engine::work::merge::Strategy;
use govc_engine::{Expected, RefName};
use govc_git::refname;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::commits::Commit;
use crate::people::NewPerson;
use crate::{Invalid, belief, no_nul, present, ref_name};

/// The body of `POST /repos/{repo}/merge`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMerge {
    /// The revision that is taken in.
    #[schemars(extend("format" = "revision"))]
    from: String,
    /// The branch that takes it in, short; that of the workspace, where it is absent.
    #[schemars(extend("format" = "branch-name"))]
    to: Option<String>,
    /// How.
    #[serde(default)]
    strategy: MergeStrategy,
    /// Leave conflicts in the workspace that `workspace` names.
    #[serde(default)]
    keep_conflicts: bool,
    /// The message of the commit that is made; git's own, where it is absent.
    #[schemars(extend("minLength" = 1))]
    message: Option<String>,
    /// Who wrote it; who asks, where it is absent.
    author: Option<NewPerson>,
    /// Who commits it; the author, where it is absent.
    committer: Option<NewPerson>,
    /// The commit that the branch is believed to be at; `null`: that it does not exist yet. 409
    /// where it is not.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
}

/// How a branch takes another one in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeStrategy {
    /// A commit with two parents, always.
    #[default]
    Merge,
    /// By moving forward where that is enough.
    Ff,
    /// By moving forward or not at all.
    FfOnly,
    /// One commit with one parent.
    Squash,
    /// The other's commits, made again.
    Rebase,
}

impl From<MergeStrategy> for Strategy {
    fn from(strategy: MergeStrategy) -> Strategy {
        match strategy {
            MergeStrategy::Merge => Strategy::Merge,
            MergeStrategy::Ff => Strategy::FastForward,
            MergeStrategy::FfOnly => Strategy::FastForwardOnly,
            MergeStrategy::Squash => Strategy::Squash,
            MergeStrategy::Rebase => Strategy::Rebase,
        }
    }
}

/// A merge that was asked for, as far as it can be checked without looking at the repository.
#[derive(Debug)]
pub struct MergeOrder {
    /// The revision that is taken in.
    pub from: String,
    /// The branch that takes it in, short; `None`: that of the workspace.
    pub to: Option<String>,
    /// How.
    pub strategy: MergeStrategy,
    /// Leave conflicts in a workspace.
    pub keep_conflicts: bool,
    /// The message as it was sent.
    pub message: Option<String>,
    /// Who wrote it, if that was said.
    pub author: Option<NewPerson>,
    /// Who commits it, if that was said.
    pub committer: Option<NewPerson>,
    /// What the branch is believed to be.
    pub expected: Expected,
}

impl TryFrom<NewMerge> for MergeOrder {
    type Error = Invalid;

    fn try_from(new: NewMerge) -> Result<MergeOrder, Invalid> {
        if let Some(to) = &new.to {
            ref_name(to, refname::check_branch)?;
        }
        if let Some(message) = &new.message {
            no_nul("message", message)?;
            if message.trim().is_empty() {
                return Err(Invalid::field("message", "is empty"));
            }
        }
        Ok(MergeOrder {
            from: new.from,
            to: new.to,
            strategy: new.strategy,
            keep_conflicts: new.keep_conflicts,
            message: new.message,
            author: new.author,
            committer: new.committer,
            expected: belief("expected_head", new.expected_head.as_ref())?,
        })
    }
}

/// The body of `POST /repos/{repo}/cherry-pick` and `/revert`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPick {
    /// Revisions, and ranges of them (`a..b`).
    #[schemars(extend("minItems" = 1))]
    commits: Option<Vec<String>>,
    /// One revision, instead of `commits`.
    #[schemars(extend("format" = "revision"))]
    commit: Option<String>,
    /// The branch that gets the commits, short; the default one, where it is absent.
    #[schemars(extend("format" = "branch-name"))]
    branch: Option<String>,
    /// The parent that a merge is compared with, from 1.
    #[schemars(extend("minimum" = 1))]
    mainline: Option<usize>,
    /// Leave the result in the workspace that `workspace` names, staged.
    #[serde(default)]
    no_commit: bool,
    /// Leave conflicts in the workspace that `workspace` names.
    #[serde(default)]
    keep_conflicts: bool,
    /// Who wrote it; a pick keeps its author.
    author: Option<NewPerson>,
    /// Who commits it.
    committer: Option<NewPerson>,
    /// The commit that the branch is believed to be at; `null`: that it does not exist yet. 409
    /// where it is not.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
}

/// A pick or revert that was asked for.
#[derive(Debug)]
pub struct PickOrder {
    /// Revisions, and ranges of them.
    pub commits: Vec<String>,
    /// The branch's full name; `None`: the default one.
    pub branch: Option<RefName>,
    /// The parent that merges are compared with, from 1.
    pub mainline: Option<usize>,
    /// Leave the result in a workspace.
    pub no_commit: bool,
    /// Leave conflicts in a workspace.
    pub keep_conflicts: bool,
    /// Who wrote it, if that was said; a pick keeps its author.
    pub author: Option<NewPerson>,
    /// Who commits it, if that was said.
    pub committer: Option<NewPerson>,
    /// What the branch is believed to be.
    pub expected: Expected,
}

impl TryFrom<NewPick> for PickOrder {
    type Error = Invalid;

    fn try_from(new: NewPick) -> Result<PickOrder, Invalid> {
        let commits = match (new.commits, new.commit) {
            (Some(commits), None) => commits,
            (None, Some(commit)) => vec![commit],
            (Some(_), Some(_)) => {
                let why = "either `commits` or `commit`, not both";
                return Err(Invalid::field("commit", why));
            }
            (None, None) => return Err(Invalid::field("commits", "is missing")),
        };
        if commits.is_empty() {
            return Err(Invalid::field("commits", "is empty"));
        }
        if new.mainline == Some(0) {
            return Err(Invalid::field("mainline", "parents are counted from 1"));
        }
        Ok(PickOrder {
            commits,
            branch: branch(new.branch)?,
            mainline: new.mainline,
            no_commit: new.no_commit,
            keep_conflicts: new.keep_conflicts,
            author: new.author,
            committer: new.committer,
            expected: belief("expected_head", new.expected_head.as_ref())?,
        })
    }
}

/// The body of `POST /repos/{repo}/rebase`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRebase {
    /// The branch, short; the default one, where it is absent.
    #[schemars(extend("format" = "branch-name"))]
    branch: Option<String>,
    /// The revision that the commits are made again on.
    #[schemars(extend("format" = "revision"))]
    onto: String,
    /// The revision whose commits are not made again; `onto`, where it is absent.
    #[schemars(extend("format" = "revision"))]
    upstream: Option<String>,
    /// Bring `fixup!` and `squash!` commits to where they belong.
    #[serde(default)]
    autosquash: bool,
    /// Leave conflicts in the workspace that `workspace` names.
    #[serde(default)]
    keep_conflicts: bool,
    /// Who asks; the commits keep their authors.
    author: Option<NewPerson>,
    /// Who commits them.
    committer: Option<NewPerson>,
    /// The commit that the branch is believed to be at; `null`: that it does not exist yet. 409
    /// where it is not.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
}

/// A rebase that was asked for.
#[derive(Debug)]
pub struct RebaseOrder {
    /// The branch's full name; `None`: the default one.
    pub branch: Option<RefName>,
    /// The revision that the commits are made again on.
    pub onto: String,
    /// The revision whose commits are not; `None`: `onto`.
    pub upstream: Option<String>,
    /// Bring `fixup!` and the like to where they belong.
    pub autosquash: bool,
    /// Leave conflicts in a workspace.
    pub keep_conflicts: bool,
    /// Who asks, if that was said; the commits keep their authors.
    pub author: Option<NewPerson>,
    /// Who commits them, if that was said.
    pub committer: Option<NewPerson>,
    /// What the branch is believed to be.
    pub expected: Expected,
}

impl TryFrom<NewRebase> for RebaseOrder {
    type Error = Invalid;

    fn try_from(new: NewRebase) -> Result<RebaseOrder, Invalid> {
        Ok(RebaseOrder {
            branch: branch(new.branch)?,
            onto: new.onto,
            upstream: new.upstream,
            autosquash: new.autosquash,
            keep_conflicts: new.keep_conflicts,
            author: new.author,
            committer: new.committer,
            expected: belief("expected_head", new.expected_head.as_ref())?,
        })
    }
}

/// The body of `POST /repos/{repo}/continue`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewContinue {
    /// The message of the commit that was stopped; the one that is ready without it.
    #[schemars(extend("minLength" = 1))]
    message: Option<String>,
    /// That commit is left out.
    #[serde(default)]
    skip: bool,
    /// Who wrote it; what is taken over keeps its author.
    author: Option<NewPerson>,
    /// Who commits it; who asks, where it is absent.
    committer: Option<NewPerson>,
    /// The commit that the workspace's branch is believed to be at.
    #[serde(default, deserialize_with = "present")]
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    expected_head: Option<Option<String>>,
}

/// How an operation is to be gone on with.
#[derive(Debug)]
pub struct GoOnOrder {
    /// The message as it was sent.
    pub message: Option<String>,
    /// The commit that was stopped is left out.
    pub skip: bool,
    /// Who wrote it, if that was said; what is taken over keeps its author.
    pub author: Option<NewPerson>,
    /// Who commits, if that was said.
    pub committer: Option<NewPerson>,
    /// What the workspace's branch is believed to be.
    pub expected: Expected,
}

impl TryFrom<NewContinue> for GoOnOrder {
    type Error = Invalid;

    fn try_from(new: NewContinue) -> Result<GoOnOrder, Invalid> {
        if let Some(message) = &new.message {
            no_nul("message", message)?;
            if message.trim().is_empty() {
                return Err(Invalid::field("message", "is empty"));
            }
            if new.skip {
                let why = "what is left out (`skip`) has no message";
                return Err(Invalid::field("message", why));
            }
        }
        Ok(GoOnOrder {
            message: new.message,
            skip: new.skip,
            author: new.author,
            committer: new.committer,
            expected: belief("expected_head", new.expected_head.as_ref())?,
        })
    }
}

/// The body of `POST /repos/{repo}/abort`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAbort {
    /// The commit that the workspace's branch is believed to be at.
    #[serde(default, deserialize_with = "present")]
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    expected_head: Option<Option<String>>,
}

impl NewAbort {
    /// What the workspace's branch is believed to be.
    ///
    /// # Errors
    /// [`Invalid::Field`].
    pub fn expected(&self) -> Result<Expected, Invalid> {
        belief("expected_head", self.expected_head.as_ref())
    }
}

fn branch(short: Option<String>) -> Result<Option<RefName>, Invalid> {
    short
        .map(|short| {
            ref_name(&short, refname::check_branch)?;
            Ok(RefName::branch(&short))
        })
        .transpose()
}

/// What came of picks, reverts and rebases.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Replayed {
    /// The branch's head.
    pub head: String,
    /// The commits that were made, in their order.
    pub commits: Vec<Commit>,
}

/// The answer to `GET /repos/{repo}/merge-base`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MergeBase {
    /// The best common ancestor; `null` where there is none.
    pub oid: Option<String>,
    /// All that are equally good, as `git merge-base --all`.
    pub all: Vec<String>,
}
