//! A workspace while it is being changed.

use govc_git::ObjectId;
use govc_git::object::tree::canonical_mode;
use hashbrown::HashSet;

use super::{OpenWorkspace, WorkspaceError};
use crate::pool::Pool;
use crate::work::commit::check_special_file;
use crate::work::tree::{self, Found};
use crate::work::tree_editor::{TreeEditError, TreeEditor};
use crate::{NewObject, Unmerged, Workspace};

/// One change to the files of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEdit {
    /// This file is there, whatever was.
    Put {
        /// Where.
        path: Vec<u8>,
        /// Its mode.
        mode: u32,
        /// Its content.
        id: ObjectId,
    },
    /// Nothing is there, whatever was.
    Remove {
        /// Where.
        path: Vec<u8>,
    },
}

impl TreeEdit {
    /// Makes `path` be what was found elsewhere.
    pub fn to(path: &[u8], found: Option<Found>) -> TreeEdit {
        match found {
            Some(Found { mode, id }) => TreeEdit::Put {
                path: path.to_vec(),
                mode,
                id,
            },
            None => TreeEdit::Remove {
                path: path.to_vec(),
            },
        }
    }
}

/// What became of a workspace, and the objects that this needs.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The workspace as it is to be.
    pub after: Workspace,
    /// New trees, and whatever else was made.
    pub objects: Vec<NewObject>,
    /// The files that were written or taken away, in order, where that was said path by path.
    pub edits: Vec<(Vec<u8>, Option<Found>)>,
}

impl Changed {
    /// The workspace became `after`, and nothing new is needed.
    pub fn to(after: Workspace) -> Changed {
        Changed {
            after,
            objects: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// The file that was written at `path`, if one was.
    pub fn written(&self, path: &[u8]) -> Option<Found> {
        let edits = self.edits.iter().rev();
        edits.filter(|edit| edit.0 == path).find_map(|edit| edit.1)
    }
}

/// Applies edits to the tree `root`; new trees go to `objects`. What stands in the way of a file
/// that is put goes.
///
/// # Errors
/// [`WorkspaceError::FileRefused`], and when a tree cannot be read.
pub fn edit_tree(
    pool: &Pool,
    root: &ObjectId,
    edits: &[TreeEdit],
    objects: &mut Vec<NewObject>,
) -> Result<ObjectId, WorkspaceError> {
    if edits.is_empty() {
        return Ok(*root);
    }
    let mut editor = pool.tip_trees().take(pool, root)?;
    for edit in edits {
        match edit {
            TreeEdit::Put { path, mode, id } => put(pool, &mut editor, path, *mode, *id)?,
            TreeEdit::Remove { path } => match editor.remove(pool, path) {
                Ok(()) | Err(TreeEditError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
    let made = editor.write(objects)?;
    for file in editor.special() {
        check_special_file(pool, file, objects)?;
    }
    pool.tip_trees().put(editor);
    Ok(made)
}

fn put(
    pool: &Pool,
    editor: &mut TreeEditor,
    path: &[u8],
    mode: u32,
    id: ObjectId,
) -> Result<(), WorkspaceError> {
    loop {
        match editor.put(pool, path, canonical_mode(mode), id) {
            // Each round takes something away that was there.
            Err(TreeEditError::Conflict { with, .. }) => editor.remove(pool, &with)?,
            done => return Ok(done?),
        }
    }
}

impl OpenWorkspace {
    /// What is at `path` in the index.
    ///
    /// # Errors
    /// When a tree cannot be read.
    pub fn in_index(&self, pool: &Pool, path: &[u8]) -> Result<Option<Found>, WorkspaceError> {
        Ok(tree::lookup(pool, &self.now.index, path)?)
    }

    /// What is at `path` in the working copy.
    ///
    /// # Errors
    /// When a tree cannot be read.
    pub fn in_files(&self, pool: &Pool, path: &[u8]) -> Result<Option<Found>, WorkspaceError> {
        Ok(tree::lookup(pool, &self.now.files, path)?)
    }

    /// Edits index and files. `objects` are those that the edits bring. Conflicts at paths that
    /// the index's edits touch are solved by that.
    ///
    /// # Errors
    /// As [`edit_tree`].
    pub fn edited(
        &self,
        pool: &Pool,
        in_index: &[TreeEdit],
        in_files: &[TreeEdit],
        mut objects: Vec<NewObject>,
    ) -> Result<Changed, WorkspaceError> {
        let mut after = self.now.clone();
        after.index = edit_tree(pool, &self.now.index, in_index, &mut objects)?;
        let is_twin = self.now.index == self.now.files && in_index == in_files;
        after.files = match is_twin {
            true => after.index,
            false => edit_tree(pool, &self.now.files, in_files, &mut objects)?,
        };
        if !after.unmerged.is_empty() {
            let solved = |path: &Unmerged| in_index.iter().any(|edit| touches(edit, &path.path));
            let left = after.unmerged.iter().filter(|path| !solved(path)).cloned();
            after.unmerged = left.collect();
        }
        let edits = in_files.iter().map(|edit| match edit {
            TreeEdit::Put { path, mode, id } => (
                path.clone(),
                Some(Found {
                    mode: *mode,
                    id: *id,
                }),
            ),
            TreeEdit::Remove { path } => (path.clone(), None),
        });
        Ok(Changed {
            after,
            objects: once(objects),
            edits: edits.collect(),
        })
    }
}

/// Whether an edit is at `path`, or at a folder that it is in.
fn touches(edit: &TreeEdit, path: &[u8]) -> bool {
    let (TreeEdit::Put { path: at, .. } | TreeEdit::Remove { path: at }) = edit;
    path.strip_prefix(&at[..])
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Each object once: two trees may have needed the same new folder.
pub(super) fn once(mut objects: Vec<NewObject>) -> Vec<NewObject> {
    let mut seen = HashSet::with_capacity(objects.len());
    objects.retain(|object| seen.insert(object.id));
    objects
}
