//! Edits trees path by path, and makes the new ones as deltas on the old.
//!
//! Folders are loaded when a path first leads into them, edited as raw bytes, and written bottom
//! up. An editor that was written can be used again for the next change on top: the folders it
//! holds are those of the tree that it made. [`TipTrees`](super::tip_trees::TipTrees) keeps such editors.

mod folder;
mod keep;
mod raw_tree;
mod write;

use govc_git::object::tree::MODE_TREE;
use govc_git::object_id::Collision;
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};
use smallvec::SmallVec;

use crate::pool::{Pool, PoolError};
use folder::{Child, Folder};
use raw_tree::{Entry, RawTree};
pub(super) use write::Placed;

/// A name in a folder. Most are short.
type Name = SmallVec<[u8; 24]>;

/// Why a tree could not be edited.
#[derive(Debug, thiserror::Error)]
pub enum TreeEditError {
    /// A file is where a folder is needed, or the other way round, or something is where nothing
    /// may be.
    #[error("{:?} is in the way of {:?}", String::from_utf8_lossy(.with), String::from_utf8_lossy(.path))]
    Conflict {
        /// What was to be put there.
        path: Vec<u8>,
        /// What is there.
        with: Vec<u8>,
    },
    /// Nothing is at that path.
    #[error("there is nothing at {:?}", String::from_utf8_lossy(.path))]
    NotFound {
        /// The path.
        path: Vec<u8>,
    },
    /// A tree that the edited one names is not there, or is no tree.
    #[error("tree {0} is missing")]
    Missing(ObjectId),
    /// A tree cannot be read.
    #[error("tree {0} is malformed")]
    Malformed(ObjectId),
    /// The new tree would collide with another under SHA-1.
    #[error(transparent)]
    Collision(#[from] Collision),
    /// The pool could not be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A blob, a symbolic link's text, or a submodule's commit.
    File {
        /// Its mode, as the tree has it.
        mode: u32,
        /// Its id.
        id: ObjectId,
    },
    /// A folder.
    Folder,
}

/// A tree that is being edited: see the module's text.
#[derive(Debug)]
pub struct TreeEditor {
    format: ObjectFormat,
    /// The folders that are loaded. The root is the first; the others are named by their index.
    folders: Vec<Folder>,
    /// Bytes of all trees held.
    bytes: usize,
    /// How many folders were cut off, and are only left because their index is taken.
    dead: usize,
    /// The number of the change that is being made, to tell which folders it used.
    round: u32,
    /// Files that the last write put into trees.
    placed: Vec<ObjectId>,
    /// Those of them whose names Git may read itself.
    special: Vec<Placed>,
}

type FolderIndex = usize;
const ROOT: FolderIndex = 0;

impl TreeEditor {
    /// An editor of the tree `root`.
    ///
    /// # Errors
    /// [`TreeEditError::Missing`] or [`TreeEditError::Pool`] when it cannot be read.
    pub fn open(pool: &Pool, root: &oid) -> Result<TreeEditor, TreeEditError> {
        let mut editor = TreeEditor::empty(pool.format());
        editor.folders.clear();
        editor.load(pool, root, ROOT, Name::new())?;
        Ok(editor)
    }

    /// An editor of the tree without entries.
    pub fn empty(format: ObjectFormat) -> TreeEditor {
        let root = Folder::new(
            ROOT,
            Name::new(),
            ObjectId::empty_tree(format),
            RawTree::default(),
        );
        TreeEditor {
            format,
            folders: vec![root],
            bytes: 0,
            dead: 0,
            round: 0,
            placed: Vec::new(),
            special: Vec::new(),
        }
    }

    /// The id of the tree as it was opened or last written.
    pub fn id(&self) -> ObjectId {
        self.folders[ROOT].id
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// [`TreeEditError::Missing`], [`TreeEditError::Malformed`] or [`TreeEditError::Pool`].
    pub fn find(&mut self, pool: &Pool, path: &[u8]) -> Result<Option<Found>, TreeEditError> {
        let (folder_path, name) = split(path);
        let Some(folder) = self.descend(pool, folder_path)? else {
            return Ok(None);
        };
        Ok(match self.folders[folder].child(name, self.format)? {
            Child::Nothing => None,
            Child::File(entry) => Some(Found::File {
                mode: entry.mode,
                id: entry.id,
            }),
            Child::Tree(_) | Child::Loaded(_) => Some(Found::Folder),
        })
    }

    /// Puts a file at `path`, with the folders that it needs; what was a file there is replaced.
    ///
    /// # Errors
    /// [`TreeEditError::Conflict`] when there is a folder, or a file where a folder is needed.
    pub fn put(
        &mut self,
        pool: &Pool,
        path: &[u8],
        mode: u32,
        id: ObjectId,
    ) -> Result<(), TreeEditError> {
        self.put_with(pool, path, id, |_| mode)
    }

    /// As [`TreeEditor::put`]; `mode` says the file's mode, given that of the file that is there.
    ///
    /// # Errors
    /// As [`TreeEditor::put`].
    pub fn put_with(
        &mut self,
        pool: &Pool,
        path: &[u8],
        id: ObjectId,
        mode: impl FnOnce(Option<u32>) -> u32,
    ) -> Result<(), TreeEditError> {
        let (folder_path, name) = split(path);
        let folder = self.make_folders(pool, folder_path, path)?;
        let there = match self.folders[folder].child(name, self.format)? {
            Child::Nothing => None,
            Child::File(entry) => Some(entry.mode),
            Child::Tree(_) | Child::Loaded(_) => {
                return Err(TreeEditError::Conflict {
                    path: path.into(),
                    with: path.into(),
                });
            }
        };
        let mode = mode(there);
        self.folders[folder].set(name, Some(Entry { mode, id }), there.is_none());
        self.mark_dirty(folder);
        Ok(())
    }

    /// Puts the tree `id` at `path`, with the folders that it needs; what was a folder there is
    /// replaced as a whole.
    ///
    /// # Errors
    /// [`TreeEditError::Conflict`] when there is a file, or one where a folder is needed.
    pub fn put_folder(
        &mut self,
        pool: &Pool,
        path: &[u8],
        id: ObjectId,
    ) -> Result<(), TreeEditError> {
        let (folder_path, name) = split(path);
        let folder = self.make_folders(pool, folder_path, path)?;
        let child = self.folders[folder].child(name, self.format)?;
        let is_new = match child {
            Child::Nothing => true,
            Child::Tree(_) => false,
            Child::Loaded(child) => {
                self.folders[folder].children.remove(name);
                self.cut_off(child);
                false
            }
            Child::File(_) => {
                return Err(TreeEditError::Conflict {
                    path: path.into(),
                    with: path.into(),
                });
            }
        };
        let entry = Entry {
            mode: MODE_TREE,
            id,
        };
        self.folders[folder].set(name, Some(entry), is_new);
        self.mark_dirty(folder);
        Ok(())
    }

    /// Removes the file or folder at `path`, and the folders that this leaves empty.
    ///
    /// # Errors
    /// [`TreeEditError::NotFound`] when there is nothing.
    pub fn remove(&mut self, pool: &Pool, path: &[u8]) -> Result<(), TreeEditError> {
        let not_found = || TreeEditError::NotFound { path: path.into() };
        let (folder_path, name) = split(path);
        let folder = self.descend(pool, folder_path)?.ok_or_else(not_found)?;
        match self.folders[folder].child(name, self.format)? {
            Child::Nothing => return Err(not_found()),
            Child::File(_) | Child::Tree(_) => {}
            Child::Loaded(child) => {
                self.folders[folder].children.remove(name);
                self.cut_off(child);
            }
        }
        self.forget(folder, name)
    }

    /// Moves the file or folder at `from` to `to`, where nothing may be.
    ///
    /// # Errors
    /// [`TreeEditError::NotFound`] when there is nothing at `from`; [`TreeEditError::Conflict`]
    /// when something is at `to`, a file is where it needs a folder, or it is inside `from`.
    pub fn rename(&mut self, pool: &Pool, from: &[u8], to: &[u8]) -> Result<(), TreeEditError> {
        let not_found = || TreeEditError::NotFound { path: from.into() };
        let (from_folder_path, from_name) = split(from);
        let (to_folder_path, to_name) = split(to);
        let from_folder = self
            .descend(pool, from_folder_path)?
            .ok_or_else(not_found)?;
        let what = self.folders[from_folder].child(from_name, self.format)?;
        if matches!(what, Child::Nothing) {
            return Err(not_found());
        }
        let is_inside = to
            .strip_prefix(from)
            .is_some_and(|rest| rest.first() == Some(&b'/'));
        if is_inside {
            return Err(TreeEditError::Conflict {
                path: to.into(),
                with: from.into(),
            });
        }
        let to_folder = self.make_folders(pool, to_folder_path, to)?;
        match self.folders[to_folder].child(to_name, self.format)? {
            Child::Nothing => {}
            _ => {
                return Err(TreeEditError::Conflict {
                    path: to.into(),
                    with: to.into(),
                });
            }
        }
        match what {
            Child::Nothing => {}
            Child::File(entry) | Child::Tree(entry) => {
                self.folders[to_folder].set(to_name, Some(entry), true);
                self.mark_dirty(to_folder);
            }
            Child::Loaded(child) => {
                self.folders[from_folder].children.remove(from_name);
                self.adopt(to_folder, to_name, child);
            }
        }
        self.forget(from_folder, from_name)
    }

    /// The folder at `path`, loaded; `None` when there is none.
    fn descend(&mut self, pool: &Pool, path: &[u8]) -> Result<Option<FolderIndex>, TreeEditError> {
        let mut at = ROOT;
        for name in components(path) {
            at = match self.folders[at].child(name, self.format)? {
                Child::Nothing | Child::File(_) => return Ok(None),
                Child::Loaded(child) => child,
                Child::Tree(entry) => self.load_child(pool, at, name, entry)?,
            };
            self.folders[at].round = self.round;
        }
        Ok(Some(at))
    }

    /// The folder at `path`, made where there is none, to hold `whole`.
    fn make_folders(
        &mut self,
        pool: &Pool,
        path: &[u8],
        whole: &[u8],
    ) -> Result<FolderIndex, TreeEditError> {
        let mut at = ROOT;
        let mut length = 0;
        for name in components(path) {
            length += name.len();
            at = match self.folders[at].child(name, self.format)? {
                Child::Loaded(child) => child,
                Child::Tree(entry) => self.load_child(pool, at, name, entry)?,
                Child::File(_) => {
                    return Err(TreeEditError::Conflict {
                        path: whole.into(),
                        with: path[..length].into(),
                    });
                }
                Child::Nothing => {
                    let empty = ObjectId::empty_tree(self.format);
                    let mut folder = Folder::new(at, name.into(), empty, RawTree::default());
                    folder.live = Some(0);
                    self.folders.push(folder);
                    let child = self.folders.len() - 1;
                    self.adopt(at, name, child);
                    child
                }
            };
            self.folders[at].round = self.round;
            length += 1;
        }
        Ok(at)
    }

    /// Hangs the folder `child` under `parent` as `name`, where nothing is.
    fn adopt(&mut self, parent: FolderIndex, name: &[u8], child: FolderIndex) {
        self.folders[child].parent = parent;
        self.folders[child].name = name.into();
        self.folders[child].place = None;
        self.folders[child].dirty = true;
        let parent_folder = &mut self.folders[parent];
        parent_folder.changes.remove(name);
        parent_folder.children.insert(name.into(), child);
        parent_folder.dirty_children.push(child);
        if let Some(live) = &mut parent_folder.live {
            *live += 1;
        }
        self.mark_dirty(parent);
    }

    /// Takes `name` out of a folder, and the folder out of its parent if that was the last.
    fn forget(&mut self, folder: FolderIndex, name: &[u8]) -> Result<(), TreeEditError> {
        let mut at = folder;
        let mut name = Name::from(name);
        loop {
            let live = self.folders[at].live_with(&name, self.format)?;
            self.folders[at].live = Some(live - 1);
            self.folders[at].changes.insert(name, None);
            self.mark_dirty(at);
            if live > 1 || at == ROOT {
                return Ok(());
            }
            let parent = self.folders[at].parent;
            name = self.folders[at].name.clone();
            self.folders[parent].children.remove(&name[..]);
            self.cut_off(at);
            at = parent;
        }
    }

    /// What hangs on `at` is no part of the tree any more.
    fn cut_off(&mut self, at: FolderIndex) {
        self.folders[at].parent = FolderIndex::MAX;
        self.dead += 1;
    }

    fn mark_dirty(&mut self, folder: FolderIndex) {
        let mut at = folder;
        while !self.folders[at].dirty {
            self.folders[at].dirty = true;
            if at == ROOT {
                return;
            }
            let parent = self.folders[at].parent;
            self.folders[parent].dirty_children.push(at);
            at = parent;
        }
    }

    /// Loads the folder that `name` in `parent` names.
    fn load_child(
        &mut self,
        pool: &Pool,
        parent: FolderIndex,
        name: &[u8],
        entry: Entry,
    ) -> Result<FolderIndex, TreeEditError> {
        let child = self.load(pool, &entry.id, parent, name.into())?;
        let folder = &mut self.folders[parent];
        let was_moved_here = folder.changes.remove(name).is_some();
        let place = folder.found.clone().map(|place| (place, folder.layout));
        folder.children.insert(name.into(), child);
        if was_moved_here {
            folder.dirty_children.push(child);
            self.folders[child].dirty = true;
        }
        self.folders[child].place = place;
        Ok(child)
    }

    fn load(
        &mut self,
        pool: &Pool,
        id: &oid,
        parent: FolderIndex,
        name: Name,
    ) -> Result<FolderIndex, TreeEditError> {
        let mut folder = Folder::new(parent, name, id.to_owned(), RawTree::default());
        if folder.id != ObjectId::empty_tree(self.format) {
            let object = pool
                .find(id)?
                .filter(|object| object.kind == ObjectKind::Tree)
                .ok_or(TreeEditError::Missing(id.to_owned()))?;
            folder.tree = RawTree::new(object.data.to_vec());
        }
        folder.round = self.round;
        self.bytes += folder.tree.memory();
        self.folders.push(folder);
        Ok(self.folders.len() - 1)
    }
}

/// The folders on the way to a path, and the name in the last of them.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
}
