//! Editors of the newest commits' trees, kept for the next commit.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use govc_git::{ObjectId, oid};
use hashbrown::HashMap;

use super::tree_editor::{TreeEditError, TreeEditor};
use crate::pool::Pool;

/// The trees of the newest commits, open for editing: the next commit on one of them does not
/// make its folders anew from deltas.
///
/// An editor is taken out by the id of its root and put back under the id of the root that it
/// made. It is content: whichever branch or repository of the pool asks gets what it would have
/// loaded.
#[derive(Default)]
pub struct TipTrees {
    kept: Mutex<Kept>,
}

/// Editors by the id of their root.
#[derive(Default)]
struct Kept {
    editors: HashMap<ObjectId, (u64, TreeEditor), foldhash::fast::RandomState>,
    /// In the order in which they were put in; those that were taken since are skipped.
    order: VecDeque<(ObjectId, u64)>,
    next: u64,
    bytes: usize,
}

const TIPS_MAX: usize = 256;
const TIPS_BYTES_MAX: usize = 32 << 20;

impl TipTrees {
    /// An editor of the tree `root`, taken out of those that are kept, or made.
    ///
    /// # Errors
    /// As [`TreeEditor::open`].
    pub fn take(&self, pool: &Pool, root: &oid) -> Result<TreeEditor, TreeEditError> {
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, editor)) = kept.editors.remove(root) {
                kept.bytes -= editor.bytes();
                return Ok(editor);
            }
        }
        TreeEditor::open(pool, root)
    }

    /// Keeps an editor that has no edits which are not written.
    pub fn put(&self, mut editor: TreeEditor) {
        if !editor.is_written() || !editor.shrink() {
            return;
        }
        let root = editor.id();
        let bytes = editor.bytes();
        let mut guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *guard;
        let number = kept.next;
        kept.next += 1;
        kept.bytes += bytes;
        if let Some((_, old)) = kept.editors.insert(root, (number, editor)) {
            kept.bytes -= old.bytes();
        }
        kept.order.push_back((root, number));
        while let Some((oldest, number)) = kept.order.front().copied() {
            let is_there =
                matches!(kept.editors.get(&oldest), Some((there, _)) if *there == number);
            let is_over = kept.editors.len() > TIPS_MAX || kept.bytes > TIPS_BYTES_MAX;
            if is_there && !is_over {
                break;
            }
            if is_there && let Some((_, editor)) = kept.editors.remove(&oldest) {
                kept.bytes -= editor.bytes();
            }
            kept.order.pop_front();
        }
        if kept.order.len() > 4 * TIPS_MAX {
            let editors = &kept.editors;
            kept.order.retain(
                |(root, number)| matches!(editors.get(root), Some((there, _)) if there == number),
            );
        }
    }
}
