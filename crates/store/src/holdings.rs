//! What a repository has beside its record, its refs and its objects.

use govc_engine::repository::{transactions, workspaces};
use govc_engine::{Entry, Lfs, Transactions, Workspaces};

/// What a repository has beside its record, its refs and its objects. The store does not keep it
/// in memory: the engine has it, and the checkpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Holdings {
    /// Large files and locks.
    pub(crate) lfs: Lfs,
    /// Workspaces that were touched.
    pub(crate) workspaces: Workspaces,
    /// Transactions.
    pub(crate) transactions: Transactions,
}

impl Holdings {
    /// Becomes what it is after `entry`.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        self.lfs.apply(entry);
        workspaces::apply(&mut self.workspaces, entry);
        transactions::apply(&mut self.transactions, entry);
    }
}
