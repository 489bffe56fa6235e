//! What is known of blobs before they are read, and which files trees have.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use govc_git::ObjectId;
use govc_git::object::tree::{canonical_mode, entries};
use hashbrown::HashMap;

use super::trigrams::Signature;
use crate::pool::{Pool, PoolError};
use crate::work::diff::changes::{DEPTH_MAX, FILES_MAX};
use crate::work::diff::renames::is_binary;
use crate::work::tree::{damaged, read};

/// The files of so many trees are remembered.
const TABLES_MAX: usize = 8;

/// The signatures of blobs, and the files of trees that were searched lately, of one pool.
#[derive(Debug)]
pub struct SearchIndex {
    known: Mutex<Known>,
    bytes_max: usize,
    /// Somebody indexes a tree for those who come later.
    is_busy: AtomicBool,
}

/// The turn to index a tree for those who come later. One has it at a time.
#[derive(Debug)]
pub struct IndexTurn(Arc<SearchIndex>);

impl Drop for IndexTurn {
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Release);
    }
}

#[derive(Debug, Default)]
struct Known {
    /// In two generations: what is asked for again moves to the young one, and when that has half
    /// the budget the old one is dropped.
    young: HashMap<ObjectId, Arc<Signature>>,
    old: HashMap<ObjectId, Arc<Signature>>,
    young_bytes: usize,
    old_bytes: usize,
    /// The one that was asked for last is the last.
    tables: Vec<(ObjectId, Arc<FileTable>)>,
}

impl SearchIndex {
    /// An empty one that may have so many bytes.
    pub(crate) fn new(bytes_max: usize) -> SearchIndex {
        SearchIndex {
            known: Mutex::default(),
            bytes_max,
            is_busy: AtomicBool::new(false),
        }
    }

    /// The turn to index, unless somebody has it.
    pub fn take_turn(self: &Arc<SearchIndex>) -> Option<IndexTurn> {
        let was_busy = self.is_busy.swap(true, Ordering::Acquire);
        (!was_busy).then(|| IndexTurn(Arc::clone(self)))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it costs in memory. Signatures that only a table holds on to are not counted.
    pub fn bytes(&self) -> u64 {
        let known = self.lock();
        let tables: usize = known.tables.iter().map(|(_, table)| table.bytes()).sum();
        (known.young_bytes + known.old_bytes + tables) as u64
    }

    /// Forgets all of it.
    pub fn clear(&self) {
        *self.lock() = Known::default();
    }

    /// The files of the tree `root`.
    ///
    /// # Errors
    /// When a tree cannot be read, or has too many files.
    pub fn table(&self, pool: &Pool, root: ObjectId) -> Result<Arc<FileTable>, PoolError> {
        {
            let mut known = self.lock();
            if let Some(at) = known.tables.iter().position(|(id, _)| *id == root) {
                let found = known.tables.remove(at);
                let table = Arc::clone(&found.1);
                known.tables.push(found);
                return Ok(table);
            }
        }
        let table = Arc::new(FileTable::read(pool, root)?);
        let mut known = self.lock();
        known.tables.retain(|(id, _)| *id != root);
        known.tables.push((root, Arc::clone(&table)));
        let mut bytes: usize = known.tables.iter().map(|(_, table)| table.bytes()).sum();
        while known.tables.len() > TABLES_MAX
            || bytes > self.bytes_max / 4 && known.tables.len() > 1
        {
            let (_, gone) = known.tables.remove(0);
            bytes = bytes.saturating_sub(gone.bytes());
        }
        Ok(table)
    }

    fn signature(&self, id: &ObjectId) -> Option<Arc<Signature>> {
        let mut known = self.lock();
        if let Some(signature) = known.young.get(id) {
            return Some(Arc::clone(signature));
        }
        let signature = known.old.remove(id)?;
        known.old_bytes = known.old_bytes.saturating_sub(signature.bytes());
        self.put(&mut known, *id, Arc::clone(&signature));
        Some(signature)
    }

    fn put(&self, known: &mut Known, id: ObjectId, signature: Arc<Signature>) {
        if known.young_bytes + signature.bytes() > self.bytes_max / 2 {
            known.old = mem::take(&mut known.young);
            known.old_bytes = mem::take(&mut known.young_bytes);
            // They hold on to what was dropped.
            known.tables.clear();
        }
        known.young_bytes += signature.bytes();
        known.young.insert(id, signature);
    }
}

/// The files of a tree, in Git's order.
#[derive(Debug, Default)]
pub struct FileTable {
    /// All paths, one behind the other.
    paths: Vec<u8>,
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    path_end: usize,
    mode: u32,
    id: ObjectId,
    /// Found once, so that a search of many files looks nothing up.
    signature: OnceLock<Arc<Signature>>,
}

impl FileTable {
    fn read(pool: &Pool, root: ObjectId) -> Result<FileTable, PoolError> {
        let format = pool.format();
        let mut table = FileTable::default();
        let mut open: Vec<(ObjectId, Bytes, usize, Vec<u8>)> =
            vec![(root, read(pool, &root)?, 0, Vec::new())];
        while let Some((id, data, at, prefix)) = open.last_mut() {
            let mut rest = entries(&data[*at..], format);
            let Some(entry) = rest.next() else {
                open.pop();
                continue;
            };
            let entry = entry.map_err(|error| damaged(*id, &error))?;
            *at += rest.offset();
            if entry.is_tree() {
                let prefix = [&prefix[..], entry.name, b"/"].concat();
                let id = entry.id.to_owned();
                if open.len() >= DEPTH_MAX {
                    return Err(PoolError::TooDeep { id, max: DEPTH_MAX });
                }
                open.push((id, read(pool, &id)?, 0, prefix));
                continue;
            }
            if table.files.len() >= FILES_MAX {
                return Err(PoolError::TooManyFiles {
                    id: root,
                    max: FILES_MAX,
                });
            }
            table.paths.extend_from_slice(prefix);
            table.paths.extend_from_slice(entry.name);
            table.files.push(File {
                path_end: table.paths.len(),
                mode: canonical_mode(entry.mode),
                id: entry.id.to_owned(),
                signature: OnceLock::new(),
            });
        }
        Ok(table)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A file's path, mode and blob.
    pub fn file(&self, at: usize) -> (&[u8], u32, ObjectId) {
        let file = &self.files[at];
        let start = at
            .checked_sub(1)
            .map_or(0, |before| self.files[before].path_end);
        (&self.paths[start..file.path_end], file.mode, file.id)
    }

    /// Which file is at `path`.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        (0..self.len()).find(|at| self.file(*at).0 == path)
    }

    /// What is known of a file's blob.
    pub(super) fn signature(&self, at: usize, index: &SearchIndex) -> Option<&Signature> {
        let file = &self.files[at];
        if file.signature.get().is_none()
            && let Some(signature) = index.signature(&file.id)
        {
            // Somebody else may have been faster, with the same.
            let _ = file.signature.set(signature);
        }
        file.signature.get().map(|signature| &**signature)
    }

    /// Says what is known of a file's blob, now that it is read.
    pub(super) fn index(&self, at: usize, index: &SearchIndex, data: &[u8]) -> &Signature {
        let file = &self.files[at];
        file.signature.get_or_init(|| {
            let signature = Arc::new(Signature::of(data, is_binary(data)));
            index.put(&mut index.lock(), file.id, Arc::clone(&signature));
            signature
        })
    }

    fn bytes(&self) -> usize {
        self.paths.len() + self.files.len() * size_of::<File>()
    }
}
