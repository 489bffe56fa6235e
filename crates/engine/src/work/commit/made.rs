//! What is said of a commit that was made.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use govc_git::pack::delta;
use govc_git::{ObjectId, ObjectKind, oid};
use hashbrown::HashMap;

use crate::pool::{Pool, PoolError};
use crate::work::tree;
use crate::{NewObject, ObjectBody};

/// A commit that was made.
#[derive(Debug, Clone)]
pub struct CommitMade {
    /// Its id.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// The commit it continues; `None` for a root commit.
    pub parent: Option<ObjectId>,
    /// Its bytes.
    pub data: Bytes,
    /// The parent's tree; `None` for a root commit.
    pub parent_tree: Option<ObjectId>,
    /// How many files differ from the parent's, without renames; `None` where that could not be
    /// counted.
    pub files_changed: Option<u64>,
}

/// Where a [`NewCommitOnBranch`] says what it made, for whoever published it.
#[derive(Debug, Clone, Default)]
pub struct Receipt(Arc<Mutex<Option<CommitMade>>>);

impl Receipt {
    /// What the proposal made when it was last asked; `None` before, and when it refused.
    pub fn take(&self) -> Option<CommitMade> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn set(&self, made: Option<CommitMade>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = made;
    }
}

/// How many files differ between two trees, the newer of which may be among `objects`.
pub(super) fn count_changed(
    pool: &Pool,
    objects: &[NewObject],
    old: Option<ObjectId>,
    new: ObjectId,
) -> Option<u64> {
    let trees = objects.iter().filter(|o| o.kind == ObjectKind::Tree);
    let made: HashMap<&oid, &ObjectBody> = trees.map(|o| (&*o.id, &o.body)).collect();
    let read = |id: &oid| -> Result<Bytes, PoolError> {
        let mut deltas = Vec::new();
        let mut at = id.to_owned();
        let mut data = loop {
            match made.get(&*at) {
                Some(ObjectBody::Whole(data)) => break data.clone(),
                Some(ObjectBody::Delta { base, delta }) if deltas.len() <= made.len() => {
                    deltas.push(delta);
                    at = *base;
                }
                _ => break tree::read(pool, &at)?,
            }
        };
        for step in deltas.into_iter().rev() {
            let made = delta::apply(&data, step, u64::MAX);
            data = made
                .map_err(|error| PoolError::Damaged {
                    id: at,
                    pack: None,
                    what: error.to_string(),
                })?
                .into();
        }
        Ok(data)
    };
    // Nothing but an answer depends on it.
    tree::count_changed_files(pool.format(), &read, old, Some(new)).ok()
}
