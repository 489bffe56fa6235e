//! Reading trees: one path, a folder, everything below it, who touched it last, what differs.

use std::collections::BinaryHeap;

use bytes::Bytes;
use govc_git::object::tree::{MODE_TREE, TreeEntry, canonical_mode, compare_names, entries};
use govc_git::object::{ParseError, tree::find_entry};
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::log::Queued;
use crate::pool::{CommitNumber, Pool, PoolError};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// One of the five modes that Git knows.
    pub mode: u32,
    /// What is there.
    pub id: ObjectId,
}

impl Found {
    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.mode == MODE_TREE
    }

    pub(super) fn of(entry: &TreeEntry<'_>) -> Found {
        Found {
            mode: canonical_mode(entry.mode),
            id: entry.id.to_owned(),
        }
    }
}

/// How deep to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// The folder's own entries: `git ls-tree`.
    #[default]
    One,
    /// All files below it: `git ls-tree -r`.
    Files,
    /// All files and folders below it: `git ls-tree -r -t`.
    FilesAndFolders,
}

/// Which part of a folder to list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// The folder; empty for the root.
    pub path: Vec<u8>,
    /// How deep.
    pub depth: Depth,
    /// Begin behind the entry with this path, from the root.
    pub after: Option<Vec<u8>>,
    /// At most so many entries.
    pub limit: usize,
}

/// One file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path from the root.
    pub path: Vec<u8>,
    /// One of the five modes that Git knows.
    pub mode: u32,
    /// What is there.
    pub id: ObjectId,
    /// Bytes of a file's content or a link's target.
    pub size: Option<u64>,
}

/// Why a folder cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Nothing is at that path.
    #[error("there is nothing at {:?}", String::from_utf8_lossy(.path))]
    NotFound {
        /// The path.
        path: Vec<u8>,
    },
    /// A file is.
    #[error("{:?} is no folder", String::from_utf8_lossy(.path))]
    NotAFolder {
        /// The path.
        path: Vec<u8>,
    },
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// What is at `path` in the tree `root`. The empty path is the root itself.
///
/// # Errors
/// When a tree on the way cannot be read.
pub fn lookup(pool: &Pool, root: &oid, path: &[u8]) -> Result<Option<Found>, PoolError> {
    let mut found = Found {
        mode: MODE_TREE,
        id: root.to_owned(),
    };
    if path.is_empty() {
        return Ok(Some(found));
    }
    for name in path.split(|byte| *byte == b'/') {
        if !found.is_folder() || name.is_empty() {
            return Ok(None);
        }
        let tree = read(pool, &found.id)?;
        let entry =
            find_entry(&tree, pool.format(), name).map_err(|error| damaged(found.id, &error))?;
        match entry {
            Some((entry, _)) => found = Found::of(&entry),
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// The entries of a folder of the tree `root`, in Git's order, and whether there are more.
///
/// # Errors
/// [`ListError`].
pub fn list(pool: &Pool, root: &oid, query: &ListQuery) -> Result<(Vec<Listed>, bool), ListError> {
    let path = &query.path;
    let folder =
        lookup(pool, root, path)?.ok_or_else(|| ListError::NotFound { path: path.clone() })?;
    if !folder.is_folder() {
        return Err(ListError::NotAFolder { path: path.clone() });
    }
    let mut walk = TreeWalk::new(pool, folder.id, path, query.depth)?;
    if let Some(after) = &query.after {
        walk.go_behind(after)?;
    }
    let mut listed = Vec::new();
    while let Some(mut entry) = walk.next()? {
        if listed.len() == query.limit {
            return Ok((listed, true));
        }
        if matches!(entry.mode & 0o170_000, 0o100_000 | 0o120_000) {
            entry.size = pool.header(&entry.id)?.map(|(_, size)| size);
        }
        listed.push(entry);
    }
    Ok((listed, false))
}

/// Walks a folder in Git's order.
struct TreeWalk<'p> {
    pool: &'p Pool,
    depth: Depth,
    /// The folders that are open, outermost first.
    open: Vec<OpenTree>,
}

struct OpenTree {
    id: ObjectId,
    data: Bytes,
    /// Where the next entry begins.
    at: usize,
    /// The folder's path from the root, with a slash at its end; empty for the root.
    prefix: Vec<u8>,
}

impl OpenTree {
    fn next(&mut self, format: ObjectFormat) -> Result<Option<(Vec<u8>, Found)>, PoolError> {
        let mut rest = entries(&self.data[self.at..], format);
        let Some(entry) = rest.next() else {
            return Ok(None);
        };
        let entry = entry.map_err(|error| damaged(self.id, &error))?;
        let found = (entry.name.to_vec(), Found::of(&entry));
        self.at += rest.offset();
        Ok(Some(found))
    }
}

impl<'p> TreeWalk<'p> {
    fn new(
        pool: &'p Pool,
        folder: ObjectId,
        path: &[u8],
        depth: Depth,
    ) -> Result<TreeWalk<'p>, PoolError> {
        let mut walk = TreeWalk {
            pool,
            depth,
            open: Vec::new(),
        };
        let mut prefix = path.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        walk.enter(folder, prefix)?;
        Ok(walk)
    }

    fn enter(&mut self, id: ObjectId, prefix: Vec<u8>) -> Result<(), PoolError> {
        let data = read(self.pool, &id)?;
        self.open.push(OpenTree {
            id,
            data,
            at: 0,
            prefix,
        });
        Ok(())
    }

    /// Skips all entries up to and with `path`, which need not be there.
    fn go_behind(&mut self, path: &[u8]) -> Result<(), PoolError> {
        let format = self.pool.format();
        let start = self.open.first().map_or(0, |root| root.prefix.len());
        let Some(relative) = path.get(start..) else {
            return Ok(());
        };
        let mut names = relative.split(|byte| *byte == b'/').peekable();
        while let Some(name) = names.next() {
            let is_last = names.peek().is_none();
            let Some(folder) = self.open.last_mut() else {
                return Ok(());
            };
            // A name that is not there was a file or a folder, which are sorted differently.
            let mut first_behind = None;
            let entered = loop {
                let at = folder.at;
                let Some((here, found)) = folder.next(format)? else {
                    break None;
                };
                if here == name && (is_last || found.is_folder()) {
                    break Some(found);
                }
                let behind =
                    |is_folder| compare_names(&here, found.is_folder(), name, is_folder).is_gt();
                if behind(!is_last) && first_behind.is_none() {
                    first_behind = Some(at);
                }
                if behind(true) {
                    break None;
                }
            };
            if entered.is_none() {
                folder.at = first_behind.unwrap_or(folder.data.len());
            }
            let Some(found) = entered.filter(Found::is_folder) else {
                return Ok(());
            };
            // Behind a folder that was listed itself comes what is in it.
            if is_last && self.depth != Depth::FilesAndFolders {
                return Ok(());
            }
            let prefix = [&folder.prefix, name, b"/"].concat();
            self.enter(found.id, prefix)?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Listed>, PoolError> {
        let format = self.pool.format();
        while let Some(folder) = self.open.last_mut() {
            let Some((name, found)) = folder.next(format)? else {
                self.open.pop();
                continue;
            };
            let path = [&folder.prefix[..], &name].concat();
            if found.is_folder() && self.depth != Depth::One {
                let prefix = [&path[..], b"/"].concat();
                self.enter(found.id, prefix)?;
                if self.depth == Depth::Files {
                    continue;
                }
            }
            return Ok(Some(Listed {
                path,
                mode: found.mode,
                id: found.id,
                size: None,
            }));
        }
        Ok(None)
    }
}

/// For each of `names` in `folder` of the commit `tip`, the newest commit that touched it, as
/// `git log -1 TIP -- folder/name` says; `None` for a name that is not there.
///
/// All names walk together. A commit waits in the queue once for each group of names that met it
/// at the same time, so each name sees commits in the order in which it would alone.
///
/// # Errors
/// When a tree cannot be read.
pub fn last_commits(
    pool: &Pool,
    tip: CommitNumber,
    folder: &[u8],
    names: &[&[u8]],
) -> Result<Vec<Option<ObjectId>>, PoolError> {
    let graph = pool.graph();
    let mut touched = vec![None; names.len()];
    let mut tip_state = TipState::new(pool, tip, folder, names)?;
    let mut waiting = Waiting::default();
    let all = (0..names.len())
        .filter(|name| tip_state.entries[*name].is_some())
        .collect();
    waiting.arrive(pool, tip, all);
    while let Some((commit, mut group)) = waiting.pop() {
        group.retain(|name| touched[*name].is_none());
        for parent in graph.parents(commit) {
            if group.is_empty() {
                break;
            }
            let same = tip_state.same(graph.tree(parent))?;
            let (follow, rest) = group.into_iter().partition(|name| same.has(*name));
            group = rest;
            waiting.arrive(pool, parent, follow);
        }
        for name in group {
            touched[name] = Some(graph.id(commit));
        }
    }
    Ok(touched)
}

/// What names are in one folder of a tip, and in which other trees they are the same.
///
/// A name is followed only to where it is what it is in the tip, so this is all there is to ask.
struct TipState<'a> {
    pool: &'a Pool,
    folder: &'a [u8],
    index: HashMap<&'a [u8], usize>,
    /// What each name is in the tip.
    entries: Vec<Option<Found>>,
    /// The folders of root trees, asked lately.
    folders: HashMap<ObjectId, Option<ObjectId>>,
    /// The names that are the same in folders, asked lately.
    same: HashMap<Option<ObjectId>, Names>,
}

/// Answers that are remembered; beyond this all are forgotten.
const REMEMBERED_MAX: usize = 10_000;

impl<'a> TipState<'a> {
    fn new(
        pool: &'a Pool,
        tip: CommitNumber,
        folder: &'a [u8],
        names: &[&'a [u8]],
    ) -> Result<TipState<'a>, PoolError> {
        let mut state = TipState {
            pool,
            folder,
            index: names
                .iter()
                .enumerate()
                .map(|(n, name)| (*name, n))
                .collect(),
            entries: Vec::new(),
            folders: HashMap::new(),
            same: HashMap::new(),
        };
        let id = state.folder_of(pool.graph().tree(tip))?;
        state.entries = state.entries_of(id)?;
        Ok(state)
    }

    /// The names that are in the tree `root` as they are in the tip.
    fn same(&mut self, root: ObjectId) -> Result<&Names, PoolError> {
        let folder = self.folder_of(root)?;
        if !self.same.contains_key(&folder) {
            let mut same = Names::default();
            for (name, entry) in self.entries_of(folder)?.iter().enumerate() {
                if *entry == self.entries[name] {
                    same.add(name);
                }
            }
            if self.same.len() == REMEMBERED_MAX {
                self.same.clear();
            }
            self.same.insert(folder, same);
        }
        Ok(&self.same[&folder])
    }

    fn folder_of(&mut self, root: ObjectId) -> Result<Option<ObjectId>, PoolError> {
        if let Some(folder) = self.folders.get(&root) {
            return Ok(*folder);
        }
        let found = lookup(self.pool, &root, self.folder)?;
        let folder = found.filter(Found::is_folder).map(|found| found.id);
        if self.folders.len() == REMEMBERED_MAX {
            self.folders.clear();
        }
        self.folders.insert(root, folder);
        Ok(folder)
    }

    /// What each name is in a folder.
    fn entries_of(&self, folder: Option<ObjectId>) -> Result<Vec<Option<Found>>, PoolError> {
        let mut found = vec![None; self.index.len()];
        let Some(folder) = folder else {
            return Ok(found);
        };
        let tree = read(self.pool, &folder)?;
        for entry in entries(&tree, self.pool.format()) {
            let entry = entry.map_err(|error| damaged(folder, &error))?;
            if let Some(name) = self.index.get(entry.name) {
                found[*name] = Some(Found::of(&entry));
            }
        }
        Ok(found)
    }
}

/// A set of names, by their numbers.
#[derive(Debug, Default, Clone)]
struct Names(SmallVec<[u64; 2]>);

impl Names {
    fn has(&self, name: usize) -> bool {
        self.0
            .get(name / 64)
            .is_some_and(|word| word >> (name % 64) & 1 == 1)
    }

    /// Adds a name; whether it is new.
    fn add(&mut self, name: usize) -> bool {
        if self.0.len() <= name / 64 {
            self.0.resize(name / 64 + 1, 0);
        }
        let is_new = !self.has(name);
        self.0[name / 64] |= 1 << (name % 64);
        is_new
    }
}

/// Commits that groups of names have met and that were not looked at yet, in the order of
/// `git log`.
#[derive(Default)]
struct Waiting {
    queue: BinaryHeap<Queued>,
    /// By the order in which they arrived.
    groups: HashMap<u64, Vec<usize>>,
    arrived: u64,
    /// Which names have met a commit.
    met: HashMap<CommitNumber, Names>,
}

impl Waiting {
    fn arrive(&mut self, pool: &Pool, commit: CommitNumber, mut group: Vec<usize>) {
        let met = self.met.entry(commit).or_default();
        group.retain(|name| met.add(*name));
        if !group.is_empty() {
            let time = pool.graph().time(commit);
            self.queue.push(Queued::new(time, self.arrived, commit));
            self.groups.insert(self.arrived, group);
            self.arrived += 1;
        }
    }

    fn pop(&mut self) -> Option<(CommitNumber, Vec<usize>)> {
        let next = self.queue.pop()?;
        let group = self.groups.remove(&next.order()).unwrap_or_default();
        Some((next.commit(), group))
    }
}

/// How many files differ between two trees, without renames: `git diff-tree -r --no-renames`.
/// `read` gives the bytes of trees; `None` is the tree without entries.
///
/// # Errors
/// Whatever `read` says, and trees that are malformed.
pub fn count_changed_files(
    format: ObjectFormat,
    read: &dyn Fn(&oid) -> Result<Bytes, PoolError>,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
) -> Result<u64, PoolError> {
    let read_some = |id: Option<ObjectId>| match id {
        Some(id) if id != ObjectId::empty_tree(format) => read(&id),
        _ => Ok(Bytes::new()),
    };
    let mut changed = 0;
    let mut waiting = vec![(old, new)];
    while let Some((old, new)) = waiting.pop() {
        if old == new {
            continue;
        }
        let (old_data, new_data) = (read_some(old)?, read_some(new)?);
        let mut olds = HashMap::new();
        for entry in entries(&old_data, format) {
            let entry = entry.map_err(|error| damaged(old.unwrap_or(format.null()), &error))?;
            olds.insert(entry.name, Found::of(&entry));
        }
        let mut differ = |old: Option<Found>, new: Option<Found>| {
            if old == new {
                return;
            }
            let is_file = |found: &Option<Found>| found.is_some_and(|found| !found.is_folder());
            changed += u64::from(is_file(&old) || is_file(&new));
            let folder =
                |found: Option<Found>| found.filter(Found::is_folder).map(|found| found.id);
            if folder(old).is_some() || folder(new).is_some() {
                waiting.push((folder(old), folder(new)));
            }
        };
        for entry in entries(&new_data, format) {
            let entry = entry.map_err(|error| damaged(new.unwrap_or(format.null()), &error))?;
            differ(olds.remove(entry.name), Some(Found::of(&entry)));
        }
        for old in olds.into_values() {
            differ(Some(old), None);
        }
    }
    Ok(changed)
}

/// The bytes of the tree `id`.
///
/// # Errors
/// [`PoolError::Missing`], [`PoolError::WrongKind`], and whatever reading it met.
pub(super) fn read(pool: &Pool, id: &oid) -> Result<Bytes, PoolError> {
    if *id == *ObjectId::empty_tree(pool.format()) {
        return Ok(Bytes::new());
    }
    let object = pool.get(id)?;
    if object.kind != ObjectKind::Tree {
        return Err(PoolError::WrongKind {
            id: id.to_owned(),
            found: object.kind,
            expected: ObjectKind::Tree,
        });
    }
    Ok(object.data)
}

pub(super) fn damaged(id: ObjectId, error: &ParseError) -> PoolError {
    PoolError::Damaged {
        id,
        pack: None,
        what: error.to_string(),
    }
}
