//! Making the trees that edits ask for, as deltas on those before.

use bytes::Bytes;
use govc_git::{ObjectId, ObjectKind};

use super::folder::Edits;
use super::raw_tree::{Entry, MODE_TREE};
use super::{FolderIndex, Name, ROOT, TreeEditError, TreeEditor};
use crate::{NewObject, ObjectBody};

/// What a delta costs beside its bytes: the id of its base, and being applied.
const DELTA_OVERHEAD_BYTES: usize = 32;
/// A tree up to this size is made whole after so many deltas.
const SMALL_TREE_BYTES: usize = 512;
const SMALL_TREE_DELTAS: u8 = 7;

/// A file that was put into a tree.
#[derive(Debug)]
pub(in crate::work) struct Placed {
    /// Its name in its folder.
    pub(in crate::work) name: Name,
    pub(in crate::work) mode: u32,
    pub(in crate::work) id: ObjectId,
}

/// Whether some file system may take `name` for `.gitmodules` or its like: HFS+ ignores some code
/// points, NTFS has short names that begin with `gi`.
fn may_be_special(name: &[u8]) -> bool {
    name.first()
        .is_some_and(|first| matches!(first, b'.' | b'g' | b'G') || !first.is_ascii())
}

impl TreeEditor {
    /// Makes the trees that the edits ask for, appends them to `out`, deepest first, and answers
    /// the root's id. Where nothing was changed nothing is made.
    ///
    /// # Errors
    /// [`TreeEditError::Collision`]; [`TreeEditError::Malformed`].
    pub fn write(&mut self, out: &mut Vec<NewObject>) -> Result<ObjectId, TreeEditError> {
        self.placed.clear();
        self.special.clear();
        // Folder, and how many of its dirty children have been written.
        let mut open: Vec<(FolderIndex, usize)> = vec![(ROOT, 0)];
        while let Some((folder, written)) = open.last_mut() {
            let at = *folder;
            if let Some(&child) = self.folders[at].dirty_children.get(*written) {
                *written += 1;
                // One that has moved elsewhere since is written there.
                if self.folders[child].parent == at && self.folders[child].dirty {
                    open.push((child, 0));
                }
                continue;
            }
            open.pop();
            self.write_folder(at, out)?;
        }
        self.round = self.round.wrapping_add(1);
        Ok(self.id())
    }

    /// The files that the last [`TreeEditor::write`] put into trees: a blob that is not among them
    /// was replaced or removed by a later edit.
    pub fn placed(&self) -> &[ObjectId] {
        &self.placed
    }

    /// Those of them whose names may be those of files that Git itself reads, disguises included.
    pub(in crate::work) fn special(&self) -> &[Placed] {
        &self.special
    }

    /// Writes one folder whose children are written.
    fn write_folder(
        &mut self,
        at: FolderIndex,
        out: &mut Vec<NewObject>,
    ) -> Result<(), TreeEditError> {
        let mut dirty_children = std::mem::take(&mut self.folders[at].dirty_children);
        let mut edits: Edits = self.folders[at].changes.drain().collect();
        let layout = self.folders[at].layout;
        let mut place = self.folders[at].found.take();
        let mut single_child = None;
        for (name, entry) in &edits {
            let Some(file) = entry.filter(|entry| !entry.is_folder()) else {
                continue;
            };
            self.placed.push(file.id);
            if may_be_special(name) {
                self.special.push(Placed {
                    name: name.clone(),
                    mode: file.mode,
                    id: file.id,
                });
            }
        }
        for &index in &dirty_children {
            let child = &mut self.folders[index];
            if child.parent == at && child.dirty {
                child.dirty = false;
                let entry = Entry {
                    mode: MODE_TREE,
                    id: child.id,
                };
                edits.push((child.name.clone(), Some(entry)));
                let child_place = child.place.take().filter(|(_, then)| *then == layout);
                place = child_place.map(|(place, _)| place);
                single_child = Some(index);
            }
        }
        dirty_children.clear();
        let format = self.format;
        let folder = &mut self.folders[at];
        folder.dirty_children = dirty_children;
        if at == ROOT {
            folder.dirty = false;
        }
        if edits.is_empty() {
            return Ok(());
        }
        let (bytes_before, memory_before) = (folder.tree.len(), folder.tree.memory());
        let base = folder.id;
        let malformed = |_| TreeEditError::Malformed(base);
        let change = match &edits[..] {
            [(name, entry)] => folder
                .splice(name, *entry, place, format)
                .map_err(malformed)?,
            _ => folder.merge(edits, format).map_err(malformed)?,
        };
        let found = folder.found.clone().map(|place| (place, folder.layout));
        if let (Some(child), Some(_)) = (single_child, &found) {
            self.folders[child].place = found;
        }
        let Some(change) = change else {
            return Ok(());
        };
        let folder = &mut self.folders[at];
        let id = folder.tree.hash(format)?;
        self.bytes = self.bytes + folder.tree.memory() - memory_before;
        if id == base {
            return Ok(());
        }
        // However long the chain becomes: the pool keeps it short. It makes one delta of several,
        // which for a small tree is no smaller than the tree.
        let is_delta = bytes_before > 0
            && change.len() + DELTA_OVERHEAD_BYTES < folder.tree.len()
            && (folder.deltas < SMALL_TREE_DELTAS || folder.tree.len() > SMALL_TREE_BYTES);
        let body = if is_delta {
            folder.deltas = folder.deltas.saturating_add(1);
            ObjectBody::Delta {
                base,
                delta: change,
            }
        } else {
            folder.deltas = 0;
            ObjectBody::Whole(Bytes::copy_from_slice(folder.tree.bytes()))
        };
        folder.id = id;
        out.push(NewObject {
            id,
            kind: ObjectKind::Tree,
            body,
        });
        Ok(())
    }
}
