//! A repository at one moment.

use std::sync::Arc;

use govc_git::ObjectId;

use crate::pool::Kept;

use super::{hooks, transactions, workspaces};
use crate::{
    Entry, EntryEdit, Hooks, Lfs, Realities, Refs, RepositoryRecord, Seq, Time, Transactions,
    Workspaces,
};

/// A repository at one moment. It never changes: whoever holds one sees that moment for as long
/// as they like. A copy costs a few pointers.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// What the catalogue knows of it.
    pub record: Arc<RepositoryRecord>,
    /// The number of the change that made it so.
    pub seq: Seq,
    /// How many steps of staging came after that change.
    pub step: u32,
    /// When that change was decided.
    pub time: Time,
    /// All refs, HEAD included.
    pub refs: Refs,
    /// The large files that it references, and its locks.
    pub lfs: Lfs,
    /// Its workspaces.
    pub workspaces: Workspaces,
    /// Its transactions.
    pub transactions: Transactions,
    /// What was made from it, and what became of that.
    pub realities: Realities,
    /// Its webhooks.
    pub hooks: Hooks,
}

impl Snapshot {
    /// The commit that HEAD leads to; `None` while its branch is unborn.
    pub fn head(&self) -> Option<ObjectId> {
        self.refs.resolve(b"HEAD")
    }

    /// What its workspaces and transactions keep.
    pub fn workspaces_keep(&self) -> Kept {
        let mut kept = Kept::default();
        for (_, workspace) in self.workspaces.iter() {
            kept.extend(workspace.kept());
        }
        for (_, transaction) in self.transactions.iter() {
            kept.extend(transaction.kept());
        }
        kept
    }

    /// The snapshot after `entry`. It was decided, so it cannot be refused. This one is left as
    /// it was.
    #[must_use]
    pub fn after(&self, entry: &Entry) -> Snapshot {
        let mut next = self.clone();
        next.apply(entry);
        next
    }

    /// Becomes the snapshot after `entry`.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        self.realities.apply(entry, Some((self.seq, &self.refs)));
        for edit in &entry.edits {
            match edit {
                EntryEdit::Ref { name, after, .. } => self.refs.set(name.clone(), after.clone()),
                EntryEdit::Repository { after, .. } => self.record = Arc::from(after.clone()),
                EntryEdit::LfsObjects(_)
                | EntryEdit::LfsLock { .. }
                | EntryEdit::Workspace { .. }
                | EntryEdit::Transaction { .. }
                | EntryEdit::Hook { .. }
                | EntryEdit::Reality(_) => {}
            }
        }
        self.lfs.apply(entry);
        workspaces::apply(&mut self.workspaces, entry);
        transactions::apply(&mut self.transactions, entry);
        hooks::apply(&mut self.hooks, entry);
        self.seq = entry.seq;
        self.step = entry.step;
        self.time = entry.time;
    }
}
