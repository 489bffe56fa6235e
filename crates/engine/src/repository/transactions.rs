//! Transactions: changes to one branch that nobody else sees before they are committed.

use govc_git::ObjectId;

use super::named::NamedMap;
use crate::pool::Kept;
use crate::{Entry, EntryEdit, RefName, Seq, Time};

/// The transactions of a repository by id, those that are over included until they are removed.
pub type Transactions = NamedMap<Transaction>;

/// A transaction: it reads its base, whatever happens meanwhile, and what was done in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The branch that it is to be committed to.
    pub branch: RefName,
    /// The branch's head when it began; `None` where the branch was unborn.
    pub base: Option<ObjectId>,
    /// The files as they are in it.
    pub tree: ObjectId,
    /// The repository's number when it began: what it reads of other refs.
    pub seq: Seq,
    /// When it began.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Time,
    /// What became of it.
    pub state: TransactionState,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionState {
    /// It can be worked in, until it expires.
    Open,
    /// It became this commit.
    Committed(ObjectId),
    /// It was given up.
    RolledBack,
}

impl TransactionState {
    /// The word that answers use.
    pub fn name(self) -> &'static str {
        match self {
            TransactionState::Open => "open",
            TransactionState::Committed(_) => "committed",
            TransactionState::RolledBack => "rolled_back",
        }
    }
}

impl Transaction {
    /// The objects that it holds itself.
    pub fn roots(&self) -> Vec<ObjectId> {
        [self.tree].into_iter().chain(self.base).collect()
    }

    /// What it keeps: its tree is mostly like its base's.
    pub fn kept(&self) -> Kept {
        let committed = match self.state {
            TransactionState::Committed(id) => Some(id),
            TransactionState::Open | TransactionState::RolledBack => None,
        };
        Kept {
            objects: self.base.into_iter().chain(committed).collect(),
            trees: vec![(self.tree, self.base)],
        }
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Time) -> bool {
        self.state == TransactionState::Open && self.expires_at <= now
    }
}

/// Makes `transactions` what they are after `entry`.
pub fn apply(transactions: &mut Transactions, entry: &Entry) {
    for edit in &entry.edits {
        if let EntryEdit::Transaction { id, after, .. } = edit {
            transactions.set(id, after.clone());
        }
    }
}
