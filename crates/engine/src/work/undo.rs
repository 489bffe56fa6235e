//! Going back: one change undone, or all refs put as they were. Either is a new change; history
//! keeps what it replaced.

use std::sync::Arc;

use crate::journal::PastRefs;
use crate::repository::publish::{Pending, Proposal, Refusal};
use crate::work::hidden::is_internal;
use crate::{
    Cause, Change, Edit, Entry, EntryEdit, Expected, NewObjects, RefEdit, RefName, Refs, Target,
};

/// Why a change is not undone.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// It moved no ref.
    #[error("change {seq} moved no ref: there is nothing to undo")]
    NothingToUndo {
        /// Its number.
        seq: u64,
    },
    /// A ref that it moved was moved again.
    #[error("{name} was moved again since")]
    Moved {
        /// The ref.
        name: RefName,
        /// What the change made it.
        expected: Target,
        /// What it is.
        current: Target,
    },
}

/// Gives every ref that a change moved its old value back, all or none.
pub struct Undo {
    /// The change.
    entry: Arc<Entry>,
    cause: Cause,
}

/// Puts all refs as they were at a moment.
pub struct Rewind {
    past: PastRefs,
    cause: Cause,
}

impl Undo {
    /// Undoes `entry`, of the same repository.
    ///
    /// # Errors
    /// [`UndoError::NothingToUndo`].
    pub fn new(entry: Arc<Entry>, cause: Cause) -> Result<Undo, UndoError> {
        if moved(&entry).next().is_none() {
            return Err(UndoError::NothingToUndo { seq: entry.seq });
        }
        Ok(Undo { entry, cause })
    }

    /// The refs that are moved back.
    pub fn refs(&self) -> Vec<RefName> {
        moved(&self.entry)
            .map(|(name, _, _)| name.clone())
            .collect()
    }
}

impl Rewind {
    /// Goes back to `past`, of the same repository.
    pub fn new(past: PastRefs, cause: Cause) -> Rewind {
        Rewind { past, cause }
    }
}

impl Proposal for Undo {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let mut edits = Vec::new();
        for (name, before, after) in moved(&self.entry) {
            let current = value(&now.snapshot.refs, name);
            if current != after {
                return Err(UndoError::Moved {
                    name: name.clone(),
                    expected: after.clone(),
                    current: current.clone(),
                }
                .into());
            }
            edits.push(back(name, before));
        }
        Ok(Some(change(edits, &self.cause)))
    }
}

impl Proposal for Rewind {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let (refs, past) = (&now.snapshot.refs, &self.past.refs);
        let gone = refs
            .iter()
            .filter(|(name, _)| past.get(name.as_bytes()).is_none());
        let moved = past
            .iter()
            .filter(|(name, target)| refs.get(name.as_bytes()) != Some(target));
        let edits: Vec<Edit> = gone
            .map(|(name, _)| (name, &Target::Gone))
            .chain(moved)
            .filter(|(name, _)| is_somebodys(name))
            .map(|(name, target)| back(name, target))
            .collect();
        Ok((!edits.is_empty()).then(|| change(edits, &self.cause)))
    }
}

/// The refs that an entry moved, before and after. That HEAD was made with the repository is not
/// undone.
fn moved(entry: &Entry) -> impl Iterator<Item = (&RefName, &Target, &Target)> {
    entry.edits.iter().filter_map(|edit| match edit {
        EntryEdit::Ref {
            name,
            before,
            after,
        } if is_somebodys(name) && (name.as_bytes() != b"HEAD" || *before != Target::Gone) => {
            Some((name, before, after))
        }
        _ => None,
    })
}

/// Whether it is a ref that somebody moves: stashes are their workspaces', and follow those.
fn is_somebodys(name: &RefName) -> bool {
    !is_internal(name.as_bytes()) && name.as_bytes() != b"refs/stash"
}

fn value<'a>(refs: &'a Refs, name: &RefName) -> &'a Target {
    refs.get(name.as_bytes()).unwrap_or(&Target::Gone)
}

/// The turn has looked at what is there: nothing is left to expect.
fn back(name: &RefName, target: &Target) -> Edit {
    Edit::Ref(RefEdit {
        name: name.clone(),
        expected: Expected::Anything,
        target: target.clone(),
    })
}

fn change(edits: Vec<Edit>, cause: &Cause) -> Change {
    Change {
        objects: NewObjects::default(),
        edits,
        cause: cause.clone(),
    }
}
