//! Transactions on one branch: what is done in them, and their commit.

use std::sync::Arc;

use bytes::Bytes;
use govc_git::object::Signature;
use govc_git::object::commit::NewCommit;
use govc_git::object_id::hash_object;
use govc_git::{ObjectId, ObjectKind, message};

use super::diff::{TreeFilter, changed_files};
use super::merge::{Labels, MergeOptions, TreeMerge, merge_trees};
use super::workspace::state::tree_or_empty;
use super::workspace::{OpenWorkspace, WorkspaceError, commit::introduced};
use crate::pool::Pool;
use crate::{NewObject, ObjectBody, Transaction, Workspace};

/// A commit that a transaction is to become.
#[derive(Debug, Clone)]
pub struct TransactionCommit {
    /// The message as it was given.
    pub message: Vec<u8>,
    /// Who wrote the change.
    pub author: Signature,
    /// Who commits.
    pub committer: Signature,
    /// Its changes are merged onto a head that is not its base any more.
    pub merge: bool,
}

/// A commit that a transaction became.
#[derive(Debug, Clone)]
pub struct TransactionCommitMade {
    /// Its id.
    pub id: ObjectId,
    /// Its bytes.
    pub data: Bytes,
    /// What it brings.
    pub objects: Vec<NewObject>,
    /// How many files differ from the parent's.
    pub files_changed: u64,
}

/// Why a transaction is not committed.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The branch is not what it was.
    #[error("the branch has moved")]
    Moved,
    /// Its changes cannot be merged onto the head.
    #[error("its changes conflict with the branch")]
    Conflict(Box<TreeMerge>),
    /// As in a workspace.
    #[error(transparent)]
    Work(#[from] WorkspaceError),
}

/// A transaction as something whose files are edited as a workspace's are: all is staged.
///
/// # Errors
/// When its base cannot be read.
pub fn as_workspace(
    pool: &Pool,
    id: &Arc<str>,
    transaction: &Transaction,
) -> Result<OpenWorkspace, WorkspaceError> {
    let base_tree = tree_or_empty(pool, transaction.base)?;
    Ok(OpenWorkspace {
        name: Arc::clone(id),
        stored: None,
        now: Workspace::clean(
            Some(transaction.branch.clone()),
            transaction.base,
            transaction.tree,
            transaction.created_at,
        ),
        base_tree,
        head: transaction.base,
    })
}

/// What its changes and those that `head` has since its base come to; `None` where the head is
/// its base.
///
/// # Errors
/// When they cannot be merged at all.
pub fn merged_onto(
    pool: &Pool,
    transaction: &Transaction,
    head: Option<ObjectId>,
) -> Result<Option<TreeMerge>, WorkspaceError> {
    if head == transaction.base {
        return Ok(None);
    }
    let base = tree_or_empty(pool, transaction.base)?;
    let ours = tree_or_empty(pool, head)?;
    let labels = Labels {
        ancestor: b"base",
        ours: b"branch",
        theirs: b"transaction",
    };
    let options = MergeOptions::default();
    let merged = merge_trees(pool, &base, &ours, &transaction.tree, &labels, &options)?;
    Ok(Some(merged))
}

/// The commit of a transaction on its branch, which is at `head` now.
///
/// # Errors
/// [`TransactionError`].
pub fn commit(
    pool: &Pool,
    transaction: &Transaction,
    head: Option<ObjectId>,
    new: &TransactionCommit,
) -> Result<TransactionCommitMade, TransactionError> {
    let message = message::clean(&new.message);
    if message.is_empty() {
        return Err(WorkspaceError::MessageEmpty.into());
    }
    let base = tree_or_empty(pool, transaction.base).map_err(WorkspaceError::from)?;
    if transaction.tree == base {
        return Err(WorkspaceError::NothingToCommit.into());
    }
    if head != transaction.base && !new.merge {
        return Err(TransactionError::Moved);
    }
    let files_changed = changed_files(
        pool,
        Some(&base),
        Some(&transaction.tree),
        &TreeFilter::default(),
    );
    let files_changed = files_changed.map_err(WorkspaceError::from)?.len() as u64;
    let (tree, mut objects) = match merged_onto(pool, transaction, head)? {
        Some(merged) if !merged.is_clean => {
            return Err(TransactionError::Conflict(Box::new(merged)));
        }
        Some(merged) => {
            let ours = tree_or_empty(pool, head).map_err(WorkspaceError::from)?;
            if merged.tree == ours {
                // Others did the same.
                return Err(WorkspaceError::NothingToCommit.into());
            }
            (merged.tree, merged.objects)
        }
        None => {
            let objects = introduced(pool, &base, &transaction.tree)?;
            (transaction.tree, objects)
        }
    };
    let format = pool.format();
    if tree == ObjectId::empty_tree(format) {
        objects.push(NewObject {
            id: tree,
            kind: ObjectKind::Tree,
            body: ObjectBody::Whole(Bytes::new()),
        });
    }
    let parents: Vec<ObjectId> = head.into_iter().collect();
    let data = NewCommit {
        tree,
        parents: &parents,
        author: &new.author,
        committer: &new.committer,
        encoding: None,
        message: &message,
    }
    .encode();
    let id = hash_object(format, ObjectKind::Commit, &data).map_err(WorkspaceError::from)?;
    let data = Bytes::from(data);
    objects.push(NewObject {
        id,
        kind: ObjectKind::Commit,
        body: ObjectBody::Whole(data.clone()),
    });
    Ok(TransactionCommitMade {
        id,
        data,
        objects,
        files_changed,
    })
}
