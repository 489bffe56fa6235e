//! Workspaces: Git's index and working tree, as values of a snapshot.
//!
//! What a workspace holds are Git objects of the pool, so a state is a few ids: a copy costs
//! nothing, and what was only staged is kept, packed and recovered as everything else is.

use std::sync::Arc;

use bytes::Bytes;
use govc_git::ObjectId;

use super::named::NamedMap;
use crate::pool::Kept;
use crate::{Entry, EntryEdit, RefName, Time};

/// The workspaces of a repository that are not what they would be if nobody had touched them, by
/// name.
pub type Workspaces = NamedMap<Workspace>;

/// The workspace that every repository has. It is not listed while it is a clean checkout of the
/// branch that HEAD names.
pub const DEFAULT_WORKSPACE: &str = "default";

/// The state of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The branch that is checked out, which may be unborn; `None`: a commit is (a detached HEAD).
    pub branch: Option<RefName>,
    /// The commit that index and files were made from; `None` where the branch was unborn.
    pub base: Option<ObjectId>,
    /// The tree of the index's entries that are merged.
    pub index: ObjectId,
    /// The tree of the working copy's files, untracked ones included. Contents are as `git add`
    /// would take them in.
    pub files: ObjectId,
    /// Paths whose merge is not done, in order. The index has none of them.
    pub unmerged: Arc<[Unmerged]>,
    /// A merge, cherry-pick, revert or rebase that is not finished.
    pub operation: Option<Arc<Operation>>,
    /// The stashes that were made in it and are still there, oldest first.
    pub stashes: Arc<[ObjectId]>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub used_at: Time,
}

/// A path with a conflict: the index's stages 1 to 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmerged {
    /// The path.
    pub path: Arc<[u8]>,
    /// What the common ancestor, ours and theirs have there: a mode and an object.
    pub stages: [Option<(u32, ObjectId)>; 3],
}

/// An operation that stopped at a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which.
    pub kind: OperationKind,
    /// The workspace's head before it began.
    pub original: Option<ObjectId>,
    /// The branch that it moves when it is done; `None` where HEAD was detached.
    pub branch: Option<RefName>,
    /// The commit that stopped it: the one that is merged, picked, reverted or rebased.
    pub commit: ObjectId,
    /// The commits that come after it.
    pub todo: Arc<[ObjectId]>,
    /// The commits that were made. The last one is where it stopped; nothing was made where that
    /// is the original head.
    pub done: Arc<[ObjectId]>,
    /// Which parent of a merge is the mainline, from 1; 0: none was named.
    pub mainline: u32,
    /// The message that the commit will have.
    pub message: Bytes,
}

/// An operation that can stop at a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// `git merge`
    Merge,
    /// `git cherry-pick`
    CherryPick,
    /// `git revert`
    Revert,
    /// `git rebase`
    Rebase,
}

impl Operation {
    /// Where HEAD was when it stopped. It is elsewhere once somebody commits.
    pub fn stopped_at(&self) -> Option<ObjectId> {
        self.done.last().copied().or(self.original)
    }

    /// Whether it is not at its end when the commit that stopped it was made.
    pub fn goes_on(&self) -> bool {
        self.kind == OperationKind::Rebase || !self.todo.is_empty()
    }
}

impl OperationKind {
    /// The word that status and answers use.
    pub fn name(self) -> &'static str {
        match self {
            OperationKind::Merge => "merge",
            OperationKind::CherryPick => "cherry-pick",
            OperationKind::Revert => "revert",
            OperationKind::Rebase => "rebase",
        }
    }
}

impl Workspace {
    /// A workspace at `base`, whose tree is `tree`, with nothing changed.
    pub fn clean(
        branch: Option<RefName>,
        base: Option<ObjectId>,
        tree: ObjectId,
        now: Time,
    ) -> Workspace {
        Workspace {
            branch,
            base,
            index: tree,
            files: tree,
            unmerged: Arc::default(),
            operation: None,
            stashes: Arc::default(),
            created_at: now,
            used_at: now,
        }
    }

    /// Whether nothing is changed or untracked, where the base's tree is `tree`.
    pub fn is_clean(&self, tree: &ObjectId) -> bool {
        self.index == *tree
            && self.files == *tree
            && self.unmerged.is_empty()
            && self.operation.is_none()
    }

    /// The objects that it holds itself: what its scope sees beyond what the refs reach.
    pub fn roots(&self) -> Vec<ObjectId> {
        let stages = self.unmerged.iter().flat_map(|path| path.stages);
        let operation = self.operation.iter().flat_map(|operation| {
            let listed = operation.todo.iter().chain(operation.done.iter()).copied();
            listed.chain([operation.commit]).chain(operation.original)
        });
        [self.index, self.files]
            .into_iter()
            .chain(self.base)
            .chain(stages.flatten().map(|(_, id)| id))
            .chain(operation)
            .collect()
    }
}

impl Workspace {
    /// What it keeps: its trees are mostly like its base's.
    pub fn kept(&self) -> Kept {
        let trees = [self.index, self.files];
        let others = self.roots().into_iter().chain(self.stashes.iter().copied());
        let operation = self.operation.iter().filter_map(|o| o.original);
        Kept {
            objects: others
                .chain(operation)
                .filter(|id| !trees.contains(id))
                .collect(),
            trees: trees.map(|tree| (tree, self.base)).to_vec(),
        }
    }
}

/// Makes `workspaces` what they are after `entry`.
pub fn apply(workspaces: &mut Workspaces, entry: &Entry) {
    for edit in &entry.edits {
        if let EntryEdit::Workspace { name, after, .. } = edit {
            workspaces.set(name, after.clone());
        }
    }
}
