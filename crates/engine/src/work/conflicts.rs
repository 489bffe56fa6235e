//! Whether two states conflict, asked of many pairs of states that have much in common.
//!
//! The answer is that of [`merge_trees`]; most pairs get it without a merge. Two sides that touch no
//! path in common, and between which no rename can be, do not conflict. Where both only changed
//! contents, the files that both changed are merged one by one, and a merge of the same three
//! texts is made once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use govc_git::xdiff::{self, XdiffError};
use govc_git::{ObjectId, ObjectKind};

use super::diff::{FileChange, TreeFilter, changed_files};
use super::merge::{Labels, MergeError, MergeOptions, merge_bases, merge_commits, merge_trees};
use crate::pool::{Pool, PoolError};

/// What one side made of a tree.
pub struct SideChanges {
    base: ObjectId,
    tree: ObjectId,
    /// In the order of their paths.
    files: Vec<FileChange>,
    has_gone: bool,
    has_new: bool,
}

/// What was found out before, for as long as it fits.
#[derive(Default)]
pub struct ConflictCache {
    /// Paths in conflict, by the two commits.
    pairs: Mutex<HashMap<(ObjectId, ObjectId), Paths>>,
    /// The same by base and both trees: other commits have the same ones.
    trees: Mutex<HashMap<[ObjectId; 3], Paths>>,
    /// Whether three texts merge.
    texts: Mutex<HashMap<[ObjectId; 3], bool>>,
    changes: Mutex<HashMap<(ObjectId, ObjectId), Arc<SideChanges>>>,
}

/// Paths, in order.
pub type Paths = Arc<[Vec<u8>]>;

const PAIRS_MAX: usize = 600_000;
const TEXTS_MAX: usize = 200_000;
const CHANGES_MAX: usize = 4_096;

const LABELS: Labels<'static> = Labels {
    ancestor: b"base",
    ours: b"ours",
    theirs: b"theirs",
};

/// Looks into one of the maps, or makes what is not there.
fn remember<K: std::hash::Hash + Eq, V: Clone, E>(
    map: &Mutex<HashMap<K, V>>,
    most: usize,
    key: K,
    make: impl FnOnce() -> Result<V, E>,
) -> Result<V, E> {
    let lock = || map.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(&key) {
        return Ok(known.clone());
    }
    let made = make()?;
    let mut map = lock();
    if map.len() >= most {
        // What is asked for again is made again, once.
        map.clear();
    }
    map.insert(key, made.clone());
    Ok(made)
}

impl ConflictCache {
    /// The paths at which the commits `a` and `b`, with the trees `trees`, cannot be merged.
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn conflicts(
        &self,
        pool: &Pool,
        (a, b): (ObjectId, ObjectId),
        trees: (ObjectId, ObjectId),
    ) -> Result<Paths, MergeError> {
        // Which is ours and which is theirs makes no difference to whether they conflict.
        let ((a, b), trees) = match a <= b {
            true => ((a, b), trees),
            false => ((b, a), (trees.1, trees.0)),
        };
        if a == b || trees.0 == trees.1 {
            return Ok(Arc::default());
        }
        remember(&self.pairs, PAIRS_MAX, (a, b), || {
            let bases = merge_bases(pool, &a, &b)?;
            let base = match &bases[..] {
                [base] if *base == a || *base == b => return Ok(Arc::default()),
                [base] => tree_of(pool, *base)?,
                [] => ObjectId::empty_tree(pool.format()),
                _ => {
                    let merged = merge_commits(pool, &a, &b, &LABELS, &MergeOptions::default())?;
                    return Ok(paths_of(&merged));
                }
            };
            remember(&self.trees, PAIRS_MAX, [base, trees.0, trees.1], || {
                let ours = self.changes(pool, base, trees.0)?;
                let theirs = self.changes(pool, base, trees.1)?;
                self.between(pool, &ours, &theirs)
            })
        })
    }

    fn changes(
        &self,
        pool: &Pool,
        base: ObjectId,
        tree: ObjectId,
    ) -> Result<Arc<SideChanges>, PoolError> {
        remember(&self.changes, CHANGES_MAX, (base, tree), || {
            let mut files = changed_files(pool, Some(&base), Some(&tree), &TreeFilter::default())?;
            files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            Ok(Arc::new(SideChanges {
                base,
                tree,
                has_gone: files.iter().any(|file| file.new.is_none()),
                has_new: files.iter().any(|file| file.old.is_none()),
                files,
            }))
        })
    }

    fn between(
        &self,
        pool: &Pool,
        ours: &SideChanges,
        theirs: &SideChanges,
    ) -> Result<Paths, MergeError> {
        let common = common(&ours.files, &theirs.files);
        let may_move = |side: &SideChanges, other: &SideChanges| {
            side.has_gone && (!common.is_empty() || side.has_new && other.has_new)
        };
        let needs_all = may_move(ours, theirs)
            || may_move(theirs, ours)
            || ours.has_new && theirs.has_new && is_folder_of_other(ours, theirs);
        let whole = || {
            let [base, ours, theirs] = [&ours.base, &ours.tree, &theirs.tree];
            merge_trees(pool, base, ours, theirs, &LABELS, &MergeOptions::default())
                .map(|merged| paths_of(&merged))
        };
        if needs_all {
            return whole();
        }
        let mut conflicts = Vec::new();
        for (ours, theirs) in common {
            if ours.new == theirs.new {
                continue;
            }
            let (Some(base), Some(mine), Some(other)) = (ours.old, ours.new, theirs.new) else {
                return whole();
            };
            let is_text = |mode: u32| mode & 0o170_000 == 0o100_000;
            if !is_text(base.mode) || mine.mode != base.mode || other.mode != base.mode {
                return whole();
            }
            match self.texts_merge(pool, [base.id, mine.id, other.id])? {
                Some(true) => {}
                Some(false) => conflicts.push(ours.path.clone()),
                None => return whole(),
            }
        }
        Ok(conflicts.into())
    }

    /// Whether three texts merge; `None` for what is no text.
    fn texts_merge(
        &self,
        pool: &Pool,
        [base, ours, theirs]: [ObjectId; 3],
    ) -> Result<Option<bool>, PoolError> {
        let read = |id: &ObjectId| pool.get_kind(id, ObjectKind::Blob);
        let known = remember(&self.texts, TEXTS_MAX, [base, ours, theirs], || {
            let texts = [read(&base), read(&ours), read(&theirs)];
            let [base, ours, theirs] = texts;
            let (base, ours, theirs) = (
                base.map_err(Some)?,
                ours.map_err(Some)?,
                theirs.map_err(Some)?,
            );
            if [&base, &ours, &theirs].iter().any(|t| xdiff::is_binary(t)) {
                return Err(None);
            }
            let labels = xdiff::Labels {
                base: b"",
                ours: b"",
                theirs: b"",
            };
            let options = xdiff::MergeOptions::default();
            match xdiff::merge_text(&base, &ours, &theirs, &labels, &options) {
                Ok(merged) => Ok(merged.conflicts == 0),
                Err(XdiffError::TooLarge { .. }) => Err(None),
                Err(_) => Err(None),
            }
        });
        match known {
            Ok(merges) => Ok(Some(merges)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }
}

fn tree_of(pool: &Pool, commit: ObjectId) -> Result<ObjectId, PoolError> {
    let graph = pool.graph();
    let number = graph.number(&commit);
    let number = number.ok_or(PoolError::Missing { id: commit })?;
    Ok(graph.tree(number))
}

fn paths_of(merged: &super::merge::TreeMerge) -> Paths {
    let mut paths: Vec<Vec<u8>> = merged.conflicts.iter().map(|c| c.path.clone()).collect();
    paths.sort_unstable();
    paths.dedup();
    if paths.is_empty() && !merged.is_clean {
        // A folder that moved to two places is no path of the tree.
        paths.push(Vec::new());
    }
    paths.into()
}

/// The changes that both have at the same paths.
fn common<'a>(
    ours: &'a [FileChange],
    theirs: &'a [FileChange],
) -> Vec<(&'a FileChange, &'a FileChange)> {
    let mut found = Vec::new();
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
        match a.path.cmp(&b.path) {
            std::cmp::Ordering::Less => _ = ours.next(),
            std::cmp::Ordering::Greater => _ = theirs.next(),
            std::cmp::Ordering::Equal => {
                found.extend(ours.next().zip(theirs.next()));
            }
        }
    }
    found
}

/// Whether a file that is new on one side is where the other has a new file's folder.
fn is_folder_of_other(ours: &SideChanges, theirs: &SideChanges) -> bool {
    let lies_above = |a: &SideChanges, b: &SideChanges| {
        let new = |side: &FileChange| side.old.is_none();
        a.files.iter().filter(|file| new(file)).any(|file| {
            let folder = [&file.path[..], b"/"].concat();
            let at = b.files.partition_point(|other| other.path < folder);
            let mut below = b.files[at..].iter();
            below
                .by_ref()
                .take_while(|other| other.path.starts_with(&folder))
                .any(new)
        })
    };
    lies_above(ours, theirs) || lies_above(theirs, ours)
}
