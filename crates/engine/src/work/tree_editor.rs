//! Edits trees path by path, and makes the new ones as deltas on the old.
//!
//! Folders are loaded when a path first leads into them, edited as raw bytes, and written bottom
//! up. An editor that was written can be used again for the next change on top: the folders it
//! holds are those of the tree that it made. [`TipTrees`](super::tip_trees::TipTrees) keeps such editors.

use std::cmp::Ordering;
use std::ops::Range;

use bytes::Bytes;
use govc_git::object::ParseError;
use govc_git::object::tree::{TreeEntry, compare_names, entries, write_entry};
use govc_git::object_id::{Collision, hash_object};
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};
use hashbrown::HashMap;
use smallvec::{SmallVec, smallvec};

use super::splice::{Splicer, splice};
use crate::pool::{Pool, PoolError};
use crate::{NewObject, ObjectBody};

type Names<V> = HashMap<Box<[u8]>, V, foldhash::fast::RandomState>;

/// The mode of a folder in a tree.
pub(super) const MODE_TREE: u32 = 0o040_000;
/// The bits of a mode that say what kind of thing it is.
const MODE_KIND: u32 = 0o170_000;

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

#[derive(Debug)]
struct Folder {
    parent: FolderIndex,
    name: Box<[u8]>,
    /// The tree as it was loaded or last written.
    id: ObjectId,
    /// Its bytes.
    tree: Vec<u8>,
    /// Subfolders that are loaded: what they hold is newer than what `tree` says of them.
    children: Names<FolderIndex>,
    /// Names whose entry in `tree` no longer holds, and what does. Never one of `children`.
    changes: Names<Option<Entry>>,
    /// Which of `children` may differ from what `tree` says of them.
    dirty_children: Vec<FolderIndex>,
    dirty: bool,
    /// How many names there are, once somebody had to know.
    live: Option<usize>,
    round: u32,
    /// Counts how often entries of `tree` got other places.
    layout: u32,
    /// The entry of `tree` that was found last.
    found: Option<Range<usize>>,
    /// The folder's entry in its parent's tree, and the layout in which it is there.
    place: Option<(Range<usize>, u32)>,
    /// How many trees were made as deltas since the last that was not.
    deltas: u8,
}

/// A file that was put into a tree.
#[derive(Debug)]
pub(super) struct Placed {
    /// Its name in its folder.
    pub(super) name: Box<[u8]>,
    pub(super) mode: u32,
    pub(super) id: ObjectId,
}

/// Whether some file system may take `name` for `.gitmodules` or its like: HFS+ ignores some code
/// points, NTFS has short names that begin with `gi`.
fn may_be_special(name: &[u8]) -> bool {
    name.first()
        .is_some_and(|first| matches!(first, b'.' | b'g' | b'G') || !first.is_ascii())
}

/// What a name in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    mode: u32,
    id: ObjectId,
}

impl Entry {
    fn of(entry: &TreeEntry<'_>) -> Entry {
        Entry {
            mode: entry.mode,
            id: entry.id.to_owned(),
        }
    }

    fn is_folder(self) -> bool {
        self.mode & MODE_KIND == MODE_TREE
    }
}

/// What a name in a folder leads to.
enum Child {
    Nothing,
    File(Entry),
    /// A folder that is not loaded.
    Tree(Entry),
    /// A folder that is.
    Loaded(FolderIndex),
}

impl TreeEditor {
    /// An editor of the tree `root`.
    ///
    /// # Errors
    /// [`TreeEditError::Missing`] or [`TreeEditError::Pool`] when it cannot be read.
    pub fn open(pool: &Pool, root: &oid) -> Result<TreeEditor, TreeEditError> {
        let mut editor = TreeEditor::empty(pool.format());
        editor.folders.clear();
        editor.load(pool, root, ROOT, Box::default())?;
        Ok(editor)
    }

    /// An editor of the tree without entries.
    pub fn empty(format: ObjectFormat) -> TreeEditor {
        let root = Folder::new(
            ROOT,
            Box::default(),
            ObjectId::empty_tree(format),
            Vec::new(),
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
        let (folder_path, name) = split(path);
        let folder = self.make_folders(pool, folder_path, path)?;
        let is_new = match self.folders[folder].child(name, self.format)? {
            Child::Nothing => true,
            Child::File(_) => false,
            Child::Tree(_) | Child::Loaded(_) => {
                return Err(TreeEditError::Conflict {
                    path: path.into(),
                    with: path.into(),
                });
            }
        };
        self.folders[folder].set(name, Some(Entry { mode, id }), is_new);
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
    pub(super) fn special(&self) -> &[Placed] {
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
        let bytes_before = folder.tree.len();
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
        let id = hash_object(format, ObjectKind::Tree, &folder.tree)?;
        self.bytes = self.bytes + folder.tree.len() - bytes_before;
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
            ObjectBody::Whole(Bytes::copy_from_slice(&folder.tree))
        };
        folder.id = id;
        out.push(NewObject {
            id,
            kind: ObjectKind::Tree,
            body,
        });
        Ok(())
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
                    let mut folder = Folder::new(at, name.into(), empty, Vec::new());
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
        let mut name: Box<[u8]> = name.into();
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
            self.folders[parent].children.remove(&name);
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
        name: Box<[u8]>,
    ) -> Result<FolderIndex, TreeEditError> {
        let mut folder = Folder::new(parent, name, id.to_owned(), Vec::new());
        if folder.id != ObjectId::empty_tree(self.format) {
            let object = pool
                .find(id)?
                .filter(|object| object.kind == ObjectKind::Tree)
                .ok_or(TreeEditError::Missing(id.to_owned()))?;
            folder.tree = object.data.to_vec();
        }
        folder.round = self.round;
        self.bytes += folder.tree.len();
        self.folders.push(folder);
        Ok(self.folders.len() - 1)
    }

    /// Whether there are no edits that were not written.
    pub(super) fn is_written(&self) -> bool {
        !self.folders[ROOT].dirty
    }

    /// Bytes of the trees that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets go of what is not worth keeping for the next change; `false` when nothing is.
    pub(super) fn shrink(&mut self) -> bool {
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
            kept.bytes += folder.tree.len();
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

/// What a delta costs beside its bytes: the id of its base, and being applied.
const DELTA_OVERHEAD_BYTES: usize = 32;
/// A tree up to this size is made whole after so many deltas.
const SMALL_TREE_BYTES: usize = 512;
const SMALL_TREE_DELTAS: u8 = 7;

/// Above this much an editor keeps only what its last change used, or is not kept.
const EDITOR_BYTES_MAX: usize = 4 << 20;
const EDITOR_FOLDERS_MAX: usize = 4096;
const DEAD_MAX: usize = 256;

impl Folder {
    fn new(parent: FolderIndex, name: Box<[u8]>, id: ObjectId, tree: Vec<u8>) -> Folder {
        Folder {
            parent,
            name,
            id,
            tree,
            children: Names::default(),
            changes: Names::default(),
            dirty_children: Vec::new(),
            dirty: false,
            live: None,
            round: 0,
            layout: 0,
            found: None,
            place: None,
            deltas: 0,
        }
    }

    fn child(&mut self, name: &[u8], format: ObjectFormat) -> Result<Child, TreeEditError> {
        if let Some(&child) = self.children.get(name) {
            return Ok(Child::Loaded(child));
        }
        let entry = match self.changes.get(name) {
            Some(entry) => *entry,
            None => self.stored(name, format)?,
        };
        Ok(match entry {
            None => Child::Nothing,
            Some(entry) if entry.is_folder() => Child::Tree(entry),
            Some(entry) => Child::File(entry),
        })
    }

    /// What the stored tree says of `name`.
    fn stored(
        &mut self,
        name: &[u8],
        format: ObjectFormat,
    ) -> Result<Option<Entry>, TreeEditError> {
        let mut walk = entries(&self.tree, format);
        loop {
            let start = walk.offset();
            let Some(entry) = walk.next() else {
                return Ok(None);
            };
            let entry = entry.map_err(|_| TreeEditError::Malformed(self.id))?;
            if entry.name == name {
                let entry = Entry::of(&entry);
                self.found = Some(start..walk.offset());
                return Ok(Some(entry));
            }
        }
    }

    fn set(&mut self, name: &[u8], entry: Option<Entry>, is_new: bool) {
        match self.changes.get_mut(name) {
            Some(change) => *change = entry,
            None => {
                self.changes.insert(name.into(), entry);
            }
        }
        if let (true, Some(live)) = (is_new, &mut self.live) {
            *live += 1;
        }
    }

    /// How many names there are, one of which is `leaving`, though it may have left `children`.
    fn live_with(&self, leaving: &[u8], format: ObjectFormat) -> Result<usize, TreeEditError> {
        if let Some(live) = self.live {
            return Ok(live);
        }
        let mut live = self.changes.values().flatten().count() + self.children.len();
        for entry in entries(&self.tree, format) {
            let name = entry.map_err(|_| TreeEditError::Malformed(self.id))?.name;
            let is_overridden = self.changes.contains_key(name) || self.children.contains_key(name);
            live += usize::from(!is_overridden && name != leaving);
        }
        let is_counted = self.children.contains_key(leaving)
            || matches!(self.changes.get(leaving), Some(Some(_)));
        Ok(live + usize::from(!is_counted))
    }

    /// The entry at `place`, if it is `name`'s. The place must be one of an entry.
    fn at_place(
        &self,
        place: Option<Range<usize>>,
        name: &[u8],
        format: ObjectFormat,
    ) -> Option<(Range<usize>, Entry)> {
        let place = place?;
        let entry = entries(self.tree.get(place.clone())?, format)
            .next()?
            .ok()?;
        (entry.name == name).then(|| (place, Entry::of(&entry)))
    }

    /// Where the entry of `name` is, or where it would go.
    #[allow(clippy::type_complexity)]
    fn search(
        &self,
        name: &[u8],
        is_folder: bool,
        format: ObjectFormat,
    ) -> Result<(Option<(usize, usize, Entry)>, usize), ParseError> {
        let mut insert_at = None;
        let mut walk = entries(&self.tree, format);
        loop {
            let start = walk.offset();
            let Some(here) = walk.next().transpose()? else {
                return Ok((None, insert_at.unwrap_or(self.tree.len())));
            };
            let old = Entry::of(&here);
            if here.name == name {
                return Ok((Some((start, walk.offset(), old)), start));
            }
            if insert_at.is_none() && order((here.name, old.is_folder()), (name, is_folder)).is_gt()
            {
                insert_at = Some(start);
            }
        }
    }

    /// Applies one edit to the tree's bytes; answers the delta, or `None` when nothing changed.
    /// `place` is where the entry was seen last, if that still holds.
    fn splice(
        &mut self,
        name: &[u8],
        entry: Option<Entry>,
        place: Option<Range<usize>>,
        format: ObjectFormat,
    ) -> Result<Option<Bytes>, ParseError> {
        let (found, insert_at) = match self.at_place(place, name, format) {
            Some((place, old)) => (Some((place.start, place.end, old)), place.start),
            None => self.search(name, entry.is_some_and(Entry::is_folder), format)?,
        };
        let length = self.tree.len();
        let change = match (found, entry) {
            (None, None) => return Ok(None),
            (Some((_, _, old)), Some(new)) if old == new => return Ok(None),
            (Some((start, end, old)), Some(new)) if old.mode == new.mode => {
                let id_start = end - format.len_in_bytes();
                self.found = Some(start..end);
                splice(&mut self.tree, id_start..end, new.id.as_slice())
            }
            (Some((start, end, old)), Some(new)) if old.is_folder() == new.is_folder() => {
                splice(&mut self.tree, start..end, &encode(name, new))
            }
            (Some(_), Some(new)) => {
                let edits = smallvec![(name.into(), Some(new))];
                return self.merge(edits, format);
            }
            (Some((start, end, _)), None) => splice(&mut self.tree, start..end, &[]),
            (None, Some(new)) => splice(&mut self.tree, insert_at..insert_at, &encode(name, new)),
        };
        if self.tree.len() != length {
            self.layout = self.layout.wrapping_add(1);
        }
        Ok(Some(change))
    }

    /// Applies many edits to the tree's bytes in one pass; answers the delta, or `None` when
    /// nothing changed.
    fn merge(
        &mut self,
        mut edits: Edits,
        format: ObjectFormat,
    ) -> Result<Option<Bytes>, ParseError> {
        let edited: Names<Option<Entry>> = edits.iter().cloned().collect();
        edits.retain(|(_, entry)| entry.is_some());
        edits.sort_by(|(a, entry_a), (b, entry_b)| {
            let is_folder = |entry: &Option<Entry>| entry.is_some_and(Entry::is_folder);
            order((a, is_folder(entry_a)), (b, is_folder(entry_b)))
        });
        let mut waiting = edits.into_iter().peekable();
        let mut splicer = Splicer::new(&self.tree);
        let mut is_changed = false;
        let mut walk = entries(&self.tree, format);
        loop {
            let start = walk.offset();
            let Some(here) = walk.next().transpose()? else {
                break;
            };
            let old = Entry::of(&here);
            let here_order = (here.name, old.is_folder());
            while let Some((name, entry)) = waiting.peek() {
                let Some(entry) = *entry else { break };
                if order((name, entry.is_folder()), here_order).is_ge() {
                    break;
                }
                splicer.replace(start..start, &encode(name, entry));
                is_changed = true;
                waiting.next();
            }
            let Some(edit) = edited.get(here.name) else {
                continue;
            };
            // In its place only if it is of the same kind: folders are sorted otherwise.
            let is_replaced = waiting.next_if(|(name, new)| {
                **name == *here.name && new.is_some_and(Entry::is_folder) == old.is_folder()
            });
            match (is_replaced, edit) {
                (Some(_), Some(new)) if *new == old => {}
                (Some((name, Some(new))), _) => {
                    splicer.replace(start..walk.offset(), &encode(&name, new));
                    is_changed = true;
                }
                _ => {
                    splicer.replace(start..walk.offset(), &[]);
                    is_changed = true;
                }
            }
        }
        let end = self.tree.len();
        for (name, entry) in waiting {
            if let Some(entry) = entry {
                splicer.replace(end..end, &encode(&name, entry));
                is_changed = true;
            }
        }
        if !is_changed {
            return Ok(None);
        }
        let (tree, change) = splicer.finish();
        self.tree = tree;
        self.layout = self.layout.wrapping_add(1);
        self.found = None;
        Ok(Some(change))
    }
}

/// Names, and what they become.
type Edits = SmallVec<[(Box<[u8]>, Option<Entry>); 1]>;

/// Compares two names as trees are sorted: folders as if their names ended in a slash.
fn order(a: (&[u8], bool), b: (&[u8], bool)) -> Ordering {
    compare_names(a.0, a.1, b.0, b.1)
}

/// An entry as it is in a tree's bytes.
fn encode(name: &[u8], entry: Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENTRY_BYTES_ROUGHLY + name.len());
    write_entry(&mut bytes, entry.mode, name, &entry.id);
    bytes
}

const ENTRY_BYTES_ROUGHLY: usize = 48;

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
