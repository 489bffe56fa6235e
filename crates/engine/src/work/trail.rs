//! Where a file is in the trees of a history: mostly where it was in the tree before.

use govc_git::object::tree::{MODE_SUBMODULE, MODE_TREE, canonical_mode, find_entry};
use govc_git::{ObjectFormat, ObjectId, oid};
use memchr::memmem;
use smallvec::SmallVec;

use crate::pool::{Pool, PoolError};
use crate::work::tree::{damaged, read};

/// The folders from the root to a file, and the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trail {
    /// The root tree first, the file last.
    ids: SmallVec<[ObjectId; 6]>,
    mode: u32,
}

/// A name of so many bytes is not in an object's id by chance, nor can somebody put it there.
const NAME_BYTES_MIN: usize = 8;

impl Trail {
    /// What is at `path` in the tree `root`.
    pub(super) fn of(pool: &Pool, root: ObjectId, path: &[u8]) -> Result<Option<Trail>, PoolError> {
        Trail::walk(pool, root, path, None)
    }

    /// What is at the same path in another tree. What is the same is not looked into.
    pub(super) fn in_tree(
        &self,
        pool: &Pool,
        root: ObjectId,
        path: &[u8],
    ) -> Result<Option<Trail>, PoolError> {
        Trail::walk(pool, root, path, Some(self))
    }

    fn walk(
        pool: &Pool,
        root: ObjectId,
        path: &[u8],
        beside: Option<&Trail>,
    ) -> Result<Option<Trail>, PoolError> {
        let mut ids = SmallVec::from_iter([root]);
        let mut mode = MODE_TREE;
        let mut at = root;
        for name in path.split(|byte| *byte == b'/') {
            let depth = ids.len() - 1;
            if let Some(beside) = beside
                && beside.ids.get(depth) == Some(&at)
            {
                // From here on it is the same.
                ids.extend(beside.ids.iter().skip(depth + 1).copied());
                mode = beside.mode;
                break;
            }
            if mode != MODE_TREE || name.is_empty() {
                return Ok(None);
            }
            let tree = read(pool, &at)?;
            let Some((found, id)) =
                entry(&tree, pool.format(), name).map_err(|error| damaged(at, &error))?
            else {
                return Ok(None);
            };
            (mode, at) = (found, id);
            ids.push(id);
        }
        Ok(Some(Trail { ids, mode }))
    }

    /// The id of what is at the end.
    pub(super) fn id(&self) -> ObjectId {
        // There is a root at least.
        self.ids[self.ids.len() - 1]
    }

    /// Its mode, one of the five that Git knows.
    pub(super) fn mode(&self) -> u32 {
        self.mode
    }

    /// Whether a file or a link is there.
    pub(super) fn is_blob(&self) -> bool {
        self.mode != MODE_TREE && self.mode != MODE_SUBMODULE
    }

    /// Whether both are files, or both links.
    pub(super) fn is_like(&self, other: &Trail) -> bool {
        (self.mode ^ other.mode) & 0o170_000 == 0
    }
}

/// Mode and id of the entry called `name`.
fn entry(
    tree: &[u8],
    format: ObjectFormat,
    name: &[u8],
) -> Result<Option<(u32, ObjectId)>, govc_git::object::ParseError> {
    if name.len() >= NAME_BYTES_MIN {
        let wanted = [b" ", name, b"\0"].concat();
        let Some(at) = memmem::find(tree, &wanted) else {
            return Ok(None);
        };
        let id_bytes = format.len_in_bytes();
        // The mode is at the front, or behind a NUL and an id: else this is the end of a longer name.
        let is_start = |at: usize| {
            let nul = at.checked_sub(id_bytes + 1).and_then(|nul| tree.get(nul));
            at == 0 || nul == Some(&0)
        };
        let starts = [6, 5].map(|digits| at.checked_sub(digits).filter(|at| is_start(*at)));
        let mode = starts.into_iter().flatten().find_map(|start| {
            let digits = std::str::from_utf8(&tree[start..at]).ok()?;
            u32::from_str_radix(digits, 8).ok()
        });
        let id = tree.get(at + wanted.len()..at + wanted.len() + id_bytes);
        if let (Some(mode), Some(Ok(id))) = (mode, id.map(oid::try_from_bytes)) {
            return Ok(Some((canonical_mode(mode), id.to_owned())));
        }
    }
    let found = find_entry(tree, format, name)?;
    Ok(found.map(|(entry, _)| (canonical_mode(entry.mode), entry.id.to_owned())))
}
