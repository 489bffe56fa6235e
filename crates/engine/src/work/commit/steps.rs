//! The actions of a commit: what of them is done ahead, and doing the rest in turn.

use bytes::Bytes;
use govc_git::object::tree::{MODE_SUBMODULE, canonical_mode};
use govc_git::object_id::hash_object;
use govc_git::{ObjectId, ObjectKind, path};

use super::{CommitError, NewCommitOnBranch, tree_of};
use crate::pool::{Pool, PoolError};
use crate::work::action::{Action, Content, FileMode, TextEdit};
use crate::work::tree_editor::{Found, TreeEditor};
use crate::work::view::View;
use crate::{NewObject, ObjectBody};

/// An action, with what could be done ahead done.
pub(super) enum Step {
    Put {
        path: Vec<u8>,
        id: ObjectId,
        mode: Option<FileMode>,
        is_blob: bool,
    },
    Edit {
        path: Vec<u8>,
        edits: Vec<TextEdit>,
    },
    Delete {
        path: Vec<u8>,
    },
    Move {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Chmod {
        path: Vec<u8>,
        mode: FileMode,
    },
}

impl NewCommitOnBranch {
    pub(super) fn prepare(&mut self, view: &View, action: Action) -> Result<Step, CommitError> {
        Ok(match action {
            Action::Put {
                path,
                content,
                mode,
            } => {
                check_path(&path)?;
                let (id, is_blob) = match content {
                    Content::Bytes(_) if mode == Some(FileMode::Submodule) => {
                        return Err(CommitError::ModeInvalid {
                            path,
                            mode: FileMode::Submodule.bits(),
                            why: "a submodule is a commit's id, not content",
                        });
                    }
                    Content::Bytes(data) => {
                        let id = hash_object(view.pool.format(), ObjectKind::Blob, &data)?;
                        self.blobs.push(NewObject {
                            id,
                            kind: ObjectKind::Blob,
                            body: ObjectBody::Whole(data),
                        });
                        (id, true)
                    }
                    // Another hash's id would make a tree that nobody can read.
                    Content::Object(id) if id.kind() != view.pool.format() => {
                        return Err(CommitError::BlobNotFound { id });
                    }
                    Content::Object(id) if mode == Some(FileMode::Submodule) => (id, false),
                    Content::Object(id) => {
                        let is_blob = view.visibility().sees(&id)?
                            && matches!(view.pool.header(&id)?, Some((ObjectKind::Blob, _)));
                        if !is_blob && mode.is_some() {
                            return Err(CommitError::BlobNotFound { id });
                        }
                        if is_blob {
                            // The branch may not have it yet: the commit introduces it then.
                            self.blobs.push(NewObject {
                                id,
                                kind: ObjectKind::Blob,
                                body: ObjectBody::Elsewhere,
                            });
                        }
                        (id, is_blob)
                    }
                };
                Step::Put {
                    path,
                    id,
                    mode,
                    is_blob,
                }
            }
            Action::Edit { path, edits } => {
                check_path(&path)?;
                if let Some(edit) = edits.iter().position(|edit| edit.old.is_empty()) {
                    return Err(CommitError::EditEmpty { path, edit });
                }
                Step::Edit { path, edits }
            }
            Action::Delete { path } => {
                check_path(&path)?;
                Step::Delete { path }
            }
            Action::Move { from, path: to } => {
                check_path(&from)?;
                check_path(&to)?;
                Step::Move { from, to }
            }
            Action::Chmod { path, mode } => {
                check_path(&path)?;
                if mode == FileMode::Submodule {
                    return Err(CommitError::ModeInvalid {
                        path,
                        mode: mode.bits(),
                        why: "a file does not become a submodule",
                    });
                }
                Step::Chmod { path, mode }
            }
        })
    }

    /// Runs the edits on the branch as it is: in the turn only those are run again whose files
    /// have changed since.
    pub(super) fn edit_ahead(&mut self, view: &View) {
        let pool = &*view.pool;
        // What goes wrong here will go wrong in the turn again, and be reported there.
        let _ = self.parent(&view.refs).and_then(|parent| {
            let mut editor = match parent {
                Some(parent) => TreeEditor::open(pool, &tree_of(pool, parent)?)?,
                None => TreeEditor::empty(pool.format()),
            };
            self.apply(pool, &mut editor, &mut Vec::new())
        });
    }

    /// How many files change if the tree does, where that can be said without comparing trees.
    pub(super) fn files_touched(
        &self,
        pool: &Pool,
        editor: &mut TreeEditor,
    ) -> Result<Option<u64>, CommitError> {
        let (path, files) = match &self.steps[..] {
            [Step::Put { .. } | Step::Edit { .. } | Step::Chmod { .. }] => return Ok(Some(1)),
            [Step::Delete { path }] => (path, 1),
            // One that goes and one that comes.
            [Step::Move { from, .. }] => (from, 2),
            _ => return Ok(None),
        };
        let is_file = matches!(editor.find(pool, path)?, Some(Found::File { .. }));
        Ok(is_file.then_some(files))
    }

    /// Applies the steps in order; new blobs go to `objects`.
    pub(super) fn apply(
        &mut self,
        pool: &Pool,
        editor: &mut TreeEditor,
        objects: &mut Vec<NewObject>,
    ) -> Result<(), CommitError> {
        for (number, step) in self.steps.iter().enumerate() {
            match step {
                Step::Put {
                    path,
                    id,
                    mode,
                    is_blob,
                } => match mode {
                    Some(mode) => editor.put(pool, path, mode.bits(), *id)?,
                    None if *is_blob => editor.put_with(pool, path, *id, mode_to_keep)?,
                    None => put_submodule(pool, editor, path, *id)?,
                },
                Step::Edit { path, edits } => {
                    let (mode, id) = find_file(pool, editor, path)?;
                    let key = (id, number);
                    let blob = match self.edited.get(&key) {
                        Some(blob) => blob.clone(),
                        None => {
                            let blob = edit_blob(
                                pool,
                                File { path, mode, id },
                                edits,
                                self.request.file_bytes_max,
                                &[&self.blobs, objects],
                            )?;
                            self.edited.insert(key, blob.clone());
                            blob
                        }
                    };
                    editor.put(pool, path, mode, blob.id)?;
                    objects.push(blob);
                }
                Step::Delete { path } => editor.remove(pool, path)?,
                Step::Move { from, to } => editor.rename(pool, from, to)?,
                Step::Chmod { path, mode } => {
                    let (old, id) = find_file(pool, editor, path)?;
                    if is_submodule(old) {
                        return Err(CommitError::ModeInvalid {
                            path: path.clone(),
                            mode: mode.bits(),
                            why: "it is a submodule",
                        });
                    }
                    editor.put(pool, path, mode.bits(), id)?;
                }
            }
        }
        Ok(())
    }
}

/// The mode of a blob that is put without one: that of the file that is there, if it fits.
fn mode_to_keep(there: Option<u32>) -> u32 {
    match there {
        Some(mode) if !is_submodule(mode) => canonical_mode(mode),
        _ => FileMode::File.bits(),
    }
}

/// Puts what is no blob here without a mode: only a submodule's commit can be meant.
fn put_submodule(
    pool: &Pool,
    editor: &mut TreeEditor,
    path: &[u8],
    id: ObjectId,
) -> Result<(), CommitError> {
    match editor.find(pool, path)? {
        Some(Found::File { mode, .. }) if is_submodule(mode) => {
            Ok(editor.put(pool, path, MODE_SUBMODULE, id)?)
        }
        _ => Err(CommitError::BlobNotFound { id }),
    }
}

fn find_file(
    pool: &Pool,
    editor: &mut TreeEditor,
    path: &[u8],
) -> Result<(u32, ObjectId), CommitError> {
    match editor.find(pool, path)? {
        Some(Found::File { mode, id }) => Ok((canonical_mode(mode), id)),
        Some(Found::Folder) => Err(CommitError::PathConflict {
            path: path.into(),
            with: path.into(),
        }),
        None => Err(CommitError::PathNotFound { path: path.into() }),
    }
}

/// A file that is to be edited.
struct File<'a> {
    path: &'a [u8],
    mode: u32,
    id: ObjectId,
}

/// Applies `edits` to a file, whose blob may be among `new`.
fn edit_blob(
    pool: &Pool,
    file: File<'_>,
    edits: &[TextEdit],
    bytes_max: u64,
    new: &[&[NewObject]],
) -> Result<NewObject, CommitError> {
    let path = file.path;
    if is_submodule(file.mode) {
        return Err(CommitError::ModeInvalid {
            path: path.into(),
            mode: file.mode,
            why: "a submodule has no text to edit",
        });
    }
    let mut text = blob(pool, file.id, new)?;
    for (number, edit) in edits.iter().enumerate() {
        let bytes = edit
            .size_after(&text)
            .map_err(|found| CommitError::EditNotFound {
                path: path.into(),
                edit: number,
                found,
                count: edit.count,
            })?;
        if bytes > bytes_max {
            return Err(CommitError::FileTooLarge {
                path: path.into(),
                bytes,
                max: bytes_max,
            });
        }
        text = edit.apply(&text).into();
    }
    Ok(NewObject {
        id: hash_object(pool.format(), ObjectKind::Blob, &text)?,
        kind: ObjectKind::Blob,
        body: ObjectBody::Whole(text),
    })
}

/// The content of a blob, which may be among `new`.
pub(super) fn blob(pool: &Pool, id: ObjectId, new: &[&[NewObject]]) -> Result<Bytes, PoolError> {
    let new = new
        .iter()
        .copied()
        .flatten()
        .filter(|object| object.id == id);
    for object in new {
        if let ObjectBody::Whole(data) = &object.body {
            return Ok(data.clone());
        }
    }
    Ok(pool.get(&id)?.data)
}

fn is_submodule(mode: u32) -> bool {
    canonical_mode(mode) == MODE_SUBMODULE
}

fn check_path(path: &[u8]) -> Result<(), CommitError> {
    path::check(path).map_err(|source| CommitError::PathInvalid {
        path: path.into(),
        source,
    })
}
