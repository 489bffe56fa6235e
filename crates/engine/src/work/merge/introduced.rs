//! What a commit has that none of its parents has at the same path.

use govc_git::object::tree::{TreeEntry, entries};
use govc_git::{ObjectId, ObjectKind, oid};
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::pool::{Pool, PoolError};
use crate::work::tree;

/// What parents have under one name, and whether it is a folder.
type Known<'t> = SmallVec<[(&'t oid, bool); 2]>;

/// Trees and blobs of `root` that none of `parents` has at their paths.
pub(super) fn introduced(
    pool: &Pool,
    root: ObjectId,
    parents: &[ObjectId],
) -> Result<Vec<(ObjectId, ObjectKind)>, PoolError> {
    let format = pool.format();
    let mut found = Vec::new();
    let mut open: Vec<(ObjectId, SmallVec<[ObjectId; 2]>)> = vec![(root, parents.into())];
    while let Some((id, before)) = open.pop() {
        if before.contains(&id) {
            continue;
        }
        found.push((id, ObjectKind::Tree));
        let data = tree::read(pool, &id)?;
        let mut trees = SmallVec::<[_; 2]>::new();
        for tree in &before {
            trees.push((*tree, tree::read(pool, tree)?));
        }
        let mut known: HashMap<&[u8], Known<'_>> = HashMap::new();
        for (tree, data) in &trees {
            for entry in entries(data, format) {
                let entry = entry.map_err(|error| tree::damaged(*tree, &error))?;
                let known = known.entry(entry.name).or_default();
                known.push((entry.id, entry.is_tree()));
            }
        }
        for entry in entries(&data, format) {
            let entry: TreeEntry<'_> = entry.map_err(|error| tree::damaged(id, &error))?;
            if entry.is_submodule() {
                continue;
            }
            let there = known.get(entry.name).map_or(&[][..], |known| known);
            if there.iter().any(|(id, _)| *id == entry.id) {
                continue;
            }
            if entry.is_tree() {
                let folders = there.iter().filter(|(_, is_tree)| *is_tree);
                let folders = folders.map(|(id, _)| (*id).to_owned()).collect();
                open.push((entry.id.to_owned(), folders));
            } else {
                found.push((entry.id.to_owned(), ObjectKind::Blob));
            }
        }
    }
    Ok(found)
}
