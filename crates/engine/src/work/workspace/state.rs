//! The state of a workspace as it is now: what is stored of it, and what follows from its branch.

use std::sync::Arc;

use govc_git::ObjectId;

use crate::pool::{Pool, PoolError};
use crate::work::commit::tree_of;
use crate::{DEFAULT_WORKSPACE, RefName, Snapshot, Target, Time, Workspace};

/// A workspace as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenWorkspace {
    /// Its name.
    pub name: Arc<str>,
    /// What is stored of it; `None` for the default one that nobody touched.
    pub stored: Option<Arc<Workspace>>,
    /// What it is: a clean one has followed its branch.
    pub now: Workspace,
    /// The tree of the commit that it was made from.
    pub base_tree: ObjectId,
    /// The commit that its branch is at now, or its own where HEAD is detached.
    pub head: Option<ObjectId>,
}

impl OpenWorkspace {
    /// Whether its branch was moved by others while something is changed here.
    pub fn is_behind(&self) -> bool {
        self.head != self.now.base
    }

    /// Whether nothing is changed or untracked.
    pub fn is_clean(&self) -> bool {
        self.now.is_clean(&self.base_tree)
    }

    /// What HEAD is in it.
    pub fn head_target(&self) -> Target {
        match (&self.now.branch, self.now.base) {
            (Some(branch), _) if !self.is_behind() => Target::Symbolic(branch.clone()),
            (_, Some(base)) => Target::At(base),
            (Some(branch), None) => Target::Symbolic(branch.clone()),
            (None, None) => Target::Gone,
        }
    }

    /// What is to be stored where it became `after`: nothing of a default workspace that is what
    /// it would be without anybody's doing.
    pub fn to_store(
        &self,
        snapshot: &Snapshot,
        after: Workspace,
        tree: &ObjectId,
    ) -> Option<Arc<Workspace>> {
        let is_default = *self.name == *DEFAULT_WORKSPACE;
        let is_on_head = after.branch.as_ref() == snapshot.refs.head_branch();
        let is_plain = after.stashes.is_empty() && after.is_clean(tree);
        (!(is_default && is_on_head && after.branch.is_some() && is_plain)).then(|| Arc::new(after))
    }
}

/// The workspace `name` in `snapshot`, at the time `now`; `None` where there is none.
///
/// # Errors
/// When a commit cannot be read.
pub fn open(
    snapshot: &Snapshot,
    pool: &Pool,
    name: &str,
    now: Time,
) -> Result<Option<OpenWorkspace>, PoolError> {
    let at = |branch: &RefName| snapshot.refs.resolve(branch.as_bytes());
    let Some(stored) = snapshot.workspaces.get(name) else {
        if name != DEFAULT_WORKSPACE {
            return Ok(None);
        }
        let branch = snapshot.refs.head_branch().cloned();
        let head = snapshot.head();
        let tree = tree_or_empty(pool, head)?;
        return Ok(Some(OpenWorkspace {
            name: name.into(),
            stored: None,
            now: Workspace::clean(branch, head, tree, now),
            base_tree: tree,
            head,
        }));
    };
    let base_tree = tree_or_empty(pool, stored.base)?;
    let head = match &stored.branch {
        Some(branch) => at(branch),
        None => stored.base,
    };
    let mut open = OpenWorkspace {
        name: name.into(),
        stored: Some(Arc::clone(stored)),
        now: Workspace::clone(stored),
        base_tree,
        head,
    };
    if open.is_behind() && open.is_clean() {
        let tree = tree_or_empty(pool, head)?;
        open.now.base = head;
        open.now.index = tree;
        open.now.files = tree;
        open.base_tree = tree;
    }
    Ok(Some(open))
}

/// The tree of a commit; the one without entries where there is none.
///
/// # Errors
/// When the commit cannot be read.
pub fn tree_or_empty(pool: &Pool, commit: Option<ObjectId>) -> Result<ObjectId, PoolError> {
    match commit {
        Some(commit) => tree_of(pool, commit),
        None => Ok(ObjectId::empty_tree(pool.format())),
    }
}
