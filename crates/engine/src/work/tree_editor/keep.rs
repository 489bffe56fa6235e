//! What of an editor is kept for the next change.

use hashbrown::HashMap;

use super::folder::Folder;
use super::{FolderIndex, ROOT, TreeEditor};

/// Above this much an editor keeps only what its last change used, or is not kept.
const EDITOR_BYTES_MAX: usize = 4 << 20;
const EDITOR_FOLDERS_MAX: usize = 4096;
const DEAD_MAX: usize = 256;

impl TreeEditor {
    /// Whether there are no edits that were not written.
    pub(in crate::work) fn is_written(&self) -> bool {
        !self.folders[ROOT].dirty
    }

    /// Bytes of the trees that it holds.
    pub(in crate::work) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets go of what is not worth keeping for the next change; `false` when nothing is.
    pub(in crate::work) fn shrink(&mut self) -> bool {
        if self.dead > DEAD_MAX {
            return false;
        }
        if self.bytes <= EDITOR_BYTES_MAX && self.folders.len() <= EDITOR_FOLDERS_MAX {
            return true;
        }
        // Keep the folders that the last change used: the next one is often beside it.
        let last = self.round.wrapping_sub(1);
        let mut kept = TreeEditor {
            format: self.format,
            folders: Vec::new(),
            bytes: 0,
            dead: 0,
            round: self.round,
            placed: Vec::new(),
            special: Vec::new(),
        };
        let mut new_index: HashMap<FolderIndex, FolderIndex> = HashMap::new();
        let mut waiting = vec![ROOT];
        while let Some(at) = waiting.pop() {
            let tree = std::mem::take(&mut self.folders[at].tree);
            let from = &self.folders[at];
            let parent = new_index.get(&from.parent).copied().unwrap_or(ROOT);
            let mut folder = Folder::new(parent, from.name.clone(), from.id, tree);
            folder.round = from.round;
            kept.bytes += folder.tree.memory();
            kept.folders.push(folder);
            let index = kept.folders.len() - 1;
            new_index.insert(at, index);
            if index != ROOT {
                let name = from.name.clone();
                kept.folders[parent].children.insert(name, index);
            }
            let children = from.children.values().copied();
            waiting.extend(children.filter(|child| self.folders[*child].round == last));
        }
        *self = kept;
        self.bytes <= EDITOR_BYTES_MAX
    }
}
