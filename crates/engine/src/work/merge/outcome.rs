//! The tree that a merge makes, as edits of ours: what ours has already costs nothing, and what is
//! new is a delta on it.

use govc_git::object::tree::MODE_TREE;
use govc_git::{ObjectId, ObjectKind, oid};
use hashbrown::HashSet;

use super::conflict::{Conflict, ConflictKind, PathVersion, Stage};
use super::state::{BASE, Merge, OURS, Paths, THEIRS, Version, bit};
use super::{MergeError, TreeMerge};
use crate::work::tree_editor::{Found, TreeEditor};
use crate::{NewObject, ObjectBody};

impl Merge<'_> {
    /// Makes the tree, and says what is to be solved.
    pub(super) fn into_tree(mut self, ours: &oid) -> Result<TreeMerge, MergeError> {
        let mut objects = std::mem::take(&mut self.blobs);
        let tree = self.make_tree(ours, &mut objects)?;
        let is_clean = self.is_clean && self.conflicted.is_empty();
        let mut conflicts = self.conflicts();
        conflicts.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let mut messages: Vec<_> = std::mem::take(&mut self.messages).into_iter().collect();
        messages.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(TreeMerge {
            tree,
            objects,
            is_clean,
            conflicts,
            messages: messages
                .into_iter()
                .flat_map(|(_, messages)| messages)
                .collect(),
        })
    }

    fn make_tree(&self, ours: &oid, objects: &mut Vec<NewObject>) -> Result<ObjectId, MergeError> {
        let outcome: Paths<Version> = self.outcome.iter().cloned().collect();
        let mut there: Paths<Version> = Paths::default();
        let mut gone = Vec::new();
        for found in &self.ours {
            there.insert(found.path.clone(), found.version);
            let left = outcome.get(&found.path);
            // A folder that was looked into goes entry by entry.
            let stays = left.is_some_and(|left| {
                let is_folder = left.mode == MODE_TREE;
                is_folder == found.is_whole_folder
            });
            if !stays {
                gone.push(&found.path);
            }
        }
        let mut put: Vec<(&[u8], Version)> = outcome
            .iter()
            .filter(|(path, version)| there.get(*path) != Some(*version))
            .map(|(path, version)| (&**path, *version))
            .collect();
        if gone.is_empty() && put.is_empty() {
            keep_placed(objects, &HashSet::new());
            return Ok(ours.to_owned());
        }
        let mut editor = TreeEditor::open(self.pool, ours)?;
        gone.sort_unstable();
        for path in gone.iter().rev() {
            editor.remove(self.pool, path)?;
        }
        // A folder before what is put into it.
        put.sort_unstable_by_key(|(path, _)| *path);
        for (path, version) in put {
            // Folders that moved may meet a file. As git has it the file stays.
            if is_below_a_file(&outcome, path) {
                continue;
            }
            if version.mode == MODE_TREE {
                editor.put_folder(self.pool, path, version.id)?;
                continue;
            }
            if let Some(Found::Folder) = editor.find(self.pool, path)? {
                editor.remove(self.pool, path)?;
            }
            editor.put(self.pool, path, version.mode, version.id)?;
        }
        let blobs = objects.len();
        let tree = editor.write(objects)?;
        let placed: HashSet<ObjectId> = editor.placed().iter().copied().collect();
        let trees = objects.split_off(blobs);
        keep_placed(objects, &placed);
        objects.extend(trees);
        Ok(tree)
    }

    fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::with_capacity(self.conflicted.len());
        for (path, &index) in &self.conflicted {
            let node = &self.nodes[index];
            let stage = |version: Version| Stage {
                mode: version.mode,
                id: version.id,
            };
            let has = |side: usize| node.files & bit(side) != 0;
            let stages =
                [BASE, OURS, THEIRS].map(|side| has(side).then(|| stage(node.stages[side])));
            let versions = [BASE, OURS, THEIRS].map(|side| {
                let version = node.stages[side];
                has(side).then(|| PathVersion {
                    path: node.names[side].to_vec(),
                    mode: version.mode,
                    id: version.id,
                })
            });
            conflicts.push(Conflict {
                path: path.to_vec(),
                kind: node.reason.unwrap_or(ConflictKind::Content),
                stages,
                versions,
                merged: node.result.exists().then(|| stage(node.result)),
            });
        }
        conflicts
    }
}

/// Whether what is around `path` is a file.
fn is_below_a_file(outcome: &Paths<Version>, path: &[u8]) -> bool {
    let mut around = path;
    while let Some(slash) = memchr::memrchr(b'/', around) {
        around = &around[..slash];
        if let Some(found) = outcome.get(around)
            && found.mode != MODE_TREE
        {
            return true;
        }
    }
    false
}

/// Drops blobs that were merged on the way to others.
fn keep_placed(objects: &mut Vec<NewObject>, placed: &HashSet<ObjectId>) {
    let mut seen = HashSet::new();
    objects.retain(|object| {
        debug_assert!(
            object.kind == ObjectKind::Blob && object.body != ObjectBody::Elsewhere,
            "only merged texts"
        );
        placed.contains(&object.id) && seen.insert(object.id)
    });
}
