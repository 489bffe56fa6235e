//! What differs in a workspace: `git status`.

use govc_engine::Unmerged;
use govc_engine::work::diff::{FileDiff, Status as DiffStatus};
use govc_engine::work::workspace::{OpenWorkspace, WorkspaceStatus};
use schemars::JsonSchema;
use serde::Serialize;

use crate::files::mode_text;
use crate::text::text;
use crate::workspaces::branch;

/// The answer of `GET /repos/{repo}/status`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Status {
    /// The workspace.
    pub workspace: String,
    /// The branch that is checked out, in short; `null` where a commit is.
    pub branch: Option<String>,
    /// The commit that it was made from; `null` where the branch has none yet.
    pub head: Option<String>,
    /// Whether the branch was moved by others while something is changed here.
    pub behind: bool,
    /// The operation that is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The index beside the head.
    pub staged: Vec<Changed>,
    /// The tracked files beside the index.
    pub unstaged: Vec<Changed>,
    /// Files that are not tracked, and not ignored.
    pub untracked: Vec<String>,
    /// Conflicts that are not solved.
    pub conflicts: Vec<Conflict>,
}

/// An operation that stopped at a conflict.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Operation {
    /// `merge`, `cherry-pick`, `revert` or `rebase`.
    pub kind: &'static str,
    /// The commit that stopped it.
    pub commit: String,
    /// The head before it began.
    pub original: Option<String>,
    /// The branch that it moves; `null` where a commit is checked out.
    pub branch: Option<String>,
    /// The commits that come after it.
    pub todo: Vec<String>,
    /// The message that its commit will have.
    pub message: String,
}

/// A file that differs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Changed {
    /// Its path.
    pub path: String,
    /// `added`, `modified`, `deleted`, `renamed`, `copied` or `type_changed`.
    pub status: &'static str,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
}

/// A path with a conflict: what base, ours and theirs have.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Conflict {
    /// The path.
    pub path: String,
    /// What the common ancestor has.
    pub base: Option<Stage>,
    /// What the workspace had.
    pub ours: Option<Stage>,
    /// What comes in.
    pub theirs: Option<Stage>,
}

/// One side of a conflict.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Stage {
    /// Its blob.
    pub oid: String,
    /// Six octal digits.
    pub mode: String,
}

impl From<&Unmerged> for Conflict {
    fn from(path: &Unmerged) -> Conflict {
        let stage = |number: usize| {
            path.stages[number].map(|(mode, id)| Stage {
                oid: id.to_string(),
                mode: mode_text(mode),
            })
        };
        Conflict {
            path: text(&path.path).0,
            base: stage(0),
            ours: stage(1),
            theirs: stage(2),
        }
    }
}

impl From<&FileDiff> for Changed {
    fn from(file: &FileDiff) -> Changed {
        Changed {
            path: text(&file.path).0,
            status: status_name(file.status),
            old_path: file.old_path.as_deref().map(|path| text(path).0),
        }
    }
}

/// What happened to a file, as answers say it.
pub fn status_name(status: DiffStatus) -> &'static str {
    match status {
        DiffStatus::Added => "added",
        DiffStatus::Deleted => "deleted",
        DiffStatus::Modified => "modified",
        DiffStatus::Renamed => "renamed",
        DiffStatus::Copied => "copied",
        DiffStatus::TypeChanged => "type_changed",
    }
}

impl Status {
    /// The status of a workspace.
    pub fn of(open: &OpenWorkspace, status: &WorkspaceStatus) -> Status {
        let operation = open.now.operation.as_deref().map(|operation| Operation {
            kind: operation.kind.name(),
            commit: operation.commit.to_string(),
            original: operation.original.map(|id| id.to_string()),
            branch: branch(operation.branch.as_ref()),
            todo: operation.todo.iter().map(ToString::to_string).collect(),
            message: text(&operation.message).0,
        });
        Status {
            workspace: open.name.to_string(),
            branch: branch(open.now.branch.as_ref()),
            head: open.now.base.map(|id| id.to_string()),
            behind: open.is_behind(),
            operation,
            staged: status.staged.iter().map(Changed::from).collect(),
            unstaged: status.unstaged.iter().map(Changed::from).collect(),
            untracked: status.untracked.iter().map(|path| text(path).0).collect(),
            conflicts: status.unmerged.iter().map(Conflict::from).collect(),
        }
    }
}
