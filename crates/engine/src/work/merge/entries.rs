//! Deciding path by path, folders after what is in them.

use std::cmp::Ordering;

use govc_git::object::tree::{MODE_SUBMODULE, MODE_TREE};

use super::MergeError;
use super::conflict::{ConflictKind, MessageKind};
use super::content::Contents;
use super::state::{BASE, Merge, NodeIndex, OURS, Path, THEIRS, Version, bit};

impl Merge<'_> {
    /// Decides everything that is not.
    pub(super) fn decide(&mut self) -> Result<(), MergeError> {
        let mut order: Vec<(Path, NodeIndex)> = Vec::with_capacity(self.nodes.len());
        for (path, index) in &self.by_path {
            if let Some(index) = index
                && (!self.nodes[*index].is_clean || self.nodes[*index].directory.is_some())
            {
                order.push((path.clone(), *index));
            }
        }
        order.sort_by(|(a, _), (b, _)| beside_their_children(a, b));
        for (_, index) in order.into_iter().rev() {
            self.decide_one(index)?;
        }
        Ok(())
    }

    /// What the merged folder has of a path.
    fn record(&mut self, parent: usize, path: &Path, version: Version) {
        if version.exists() {
            self.directories[parent].entries += 1;
            self.outcome.push((path.clone(), version));
        }
    }

    fn decide_one(&mut self, at: NodeIndex) -> Result<(), MergeError> {
        let mut index = at;
        let parent = self.nodes[index].parent;
        let mut moved_side = None;
        if self.nodes[index].folders != 0 {
            let directory = self.nodes[index].directory;
            let has_entries = directory.is_some_and(|at| self.directories[at].entries > 0);
            if has_entries {
                // Its own entries are recorded.
                self.directories[parent].entries += 1;
            }
            // What was a file there may have moved elsewhere.
            if self.nodes[index].files == 0 || self.nodes[index].is_clean {
                return Ok(());
            }
            let none = self.none();
            if has_entries {
                if self.nodes[index].files == bit(BASE) {
                    return Ok(());
                }
                let side = match self.nodes[index].folders & bit(OURS) {
                    0 => OURS,
                    _ => THEIRS,
                };
                moved_side = Some(side);
                index = self.move_out_of_way(index, side);
            }
            let node = &mut self.nodes[index];
            if !has_entries {
                node.is_file_and_folder = false;
            }
            node.matches &= !node.folders;
            node.folders = 0;
            for side in [BASE, OURS, THEIRS] {
                if node.files & bit(side) == 0 {
                    node.stages[side] = none;
                }
            }
        }
        self.decide_file(index, parent, moved_side)
    }

    /// A folder is where a file of `side` is to be: the file gets a path of its own.
    fn move_out_of_way(&mut self, index: NodeIndex, side: usize) -> NodeIndex {
        let old = self.nodes[index].path.clone();
        let branch = self.branch(side);
        let path = self.unique_path(&old, branch);
        let mut node = self.nodes[index].clone();
        node.path = path.clone();
        node.directory = None;
        node.reason = Some(ConflictKind::DirectoryFile);
        let new = self.nodes.len();
        self.nodes.push(node);
        self.by_path.insert(path.clone(), Some(new));
        self.say(
            MessageKind::FileDirectory,
            &[&path, &old],
            &[
                b"CONFLICT (file/directory): directory in the way of ",
                &old,
                b" from ",
                branch,
                b"; moving it to ",
                &path,
                b" instead.",
            ],
        );
        new
    }

    fn decide_file(
        &mut self,
        index: NodeIndex,
        parent: usize,
        moved_side: Option<usize>,
    ) -> Result<(), MergeError> {
        let node = &self.nodes[index];
        let (files, matches) = (node.files, node.matches);
        let is_conflict_anyway = node.is_file_and_folder || node.is_path_conflict;
        let [base, ours, theirs] = node.stages;
        let path = node.path.clone();
        let none = self.none();
        let mut kind = ConflictKind::Content;
        let (mut result, mut is_clean) = (none, true);
        if matches != 0 {
            is_clean = !is_conflict_anyway;
            if matches == 6 {
                result = ours;
            } else {
                result = if matches == 3 { theirs } else { ours };
                is_clean |= !result.exists();
            }
            kind = ConflictKind::FileLocation;
        } else if files >= 6 && ours.kind_bits() != theirs.kind_bits() {
            if self.depth == 0 {
                return self.decide_kinds(index, parent);
            }
            (result, is_clean) = (base, false);
        } else if files >= 6 {
            let names = node.names.clone();
            let merged = self.merge_contents(&Contents {
                path: &path,
                versions: [base, ours, theirs],
                names: &names,
                marker_size_more: 2 * self.depth,
            })?;
            result = merged.version;
            is_clean = merged.is_clean && !is_conflict_anyway;
            if merged.is_clean
                && self.nodes[index].is_file_and_folder
                && let Some(side) = moved_side
            {
                let node = &mut self.nodes[index];
                node.files = bit(side);
                node.stages[side] = merged.version;
            }
            if merged.is_clean {
                kind = ConflictKind::FileLocation;
            } else {
                let (reason, what): (&[u8], _) = if result.mode == MODE_SUBMODULE {
                    (b"submodule", ConflictKind::Submodule)
                } else if files == 6 {
                    (b"add/add", ConflictKind::AddAdd)
                } else {
                    (b"content", ConflictKind::Content)
                };
                kind = what;
                if kind != ConflictKind::Submodule {
                    if merged.is_binary {
                        kind = ConflictKind::Binary;
                    } else if merged.is_mode {
                        kind = ConflictKind::Mode;
                    }
                }
                self.say(
                    MessageKind::Contents,
                    &[&path],
                    &[b"CONFLICT (", reason, b"): Merge conflict in ", &path],
                );
            }
        } else if files == 3 || files == 5 {
            let side = if files == 5 { THEIRS } else { OURS };
            let changed = self.nodes[index].stages[side];
            (result, is_clean) = (if self.depth > 0 { base } else { changed }, false);
            kind = ConflictKind::ModifyDelete;
            // A rename that met a deletion says more.
            if !(self.nodes[index].is_path_conflict && base.id == changed.id) {
                let changer = self.branch(side);
                let deleter = self.branch(OURS + THEIRS - side);
                self.say(
                    MessageKind::ModifyDelete,
                    &[&path],
                    &[
                        b"CONFLICT (modify/delete): ",
                        &path,
                        b" deleted in ",
                        deleter,
                        b" and modified in ",
                        changer,
                        b".  Version ",
                        changer,
                        b" of ",
                        &path,
                        b" left in tree.",
                    ],
                );
            }
        } else if files == 2 || files == 4 {
            result = if files == 4 { theirs } else { ours };
            is_clean = !is_conflict_anyway;
            kind = ConflictKind::FileLocation;
        } else if files == 1 {
            is_clean = !self.nodes[index].is_path_conflict;
            kind = ConflictKind::RenameRename;
        }
        let node = &mut self.nodes[index];
        node.is_clean = is_clean;
        node.result = result;
        if !is_clean {
            let is_stronger = matches!(
                kind,
                ConflictKind::Binary | ConflictKind::Mode | ConflictKind::Submodule
            );
            match node.reason {
                Some(_) if is_stronger => node.reason = Some(kind),
                Some(ConflictKind::FileLocation) if kind != ConflictKind::FileLocation => {
                    node.reason = Some(kind);
                }
                Some(_) => {}
                None => node.reason = Some(kind),
            }
            self.conflicted.insert(path.clone(), index);
        }
        self.record(parent, &path, result);
        Ok(())
    }

    /// It became different kinds of things: each gets a path, the file one of its own.
    fn decide_kinds(&mut self, index: NodeIndex, parent: usize) -> Result<(), MergeError> {
        let path = self.nodes[index].path.clone();
        let [base, ours, theirs] = self.nodes[index].stages;
        let none = self.none();
        let (mut moves_ours, mut moves_theirs) = (ours.is_regular(), false);
        if !moves_ours {
            moves_theirs = theirs.is_regular();
            if !moves_theirs {
                (moves_ours, moves_theirs) = (true, true);
            }
        }
        let ours_path = match moves_ours {
            true => self.unique_path(&path, self.labels.ours),
            false => path.clone(),
        };
        let theirs_path = match moves_theirs {
            true => self.unique_path(&path, self.labels.theirs),
            false => path.clone(),
        };
        let (paths, what): (Vec<&[u8]>, &[u8]) = if moves_ours && moves_theirs {
            (
                vec![&path, &ours_path, &theirs_path],
                b" had different types on each side; renamed both of them so each can be recorded \
                  somewhere.",
            )
        } else {
            let moved = if moves_ours { &ours_path } else { &theirs_path };
            (
                vec![&path, moved],
                b" had different types on each side; renamed one of them so each can be recorded \
                  somewhere.",
            )
        };
        let text: [&[u8]; 3] = [b"CONFLICT (distinct types): ", &path, what];
        self.say(MessageKind::DistinctModes, &paths, &text);
        let is_deeper = self.nodes[index].is_file_and_folder;
        let mut other = self.nodes[index].clone();
        other.path = theirs_path.clone();
        other.result = theirs;
        other.reason = Some(match is_deeper {
            true => ConflictKind::DirectoryFile,
            false => ConflictKind::Mode,
        });
        other.stages[OURS] = none;
        other.files = 5;
        if theirs.kind_bits() != base.kind_bits() {
            other.stages[BASE] = none;
            other.files = bit(THEIRS);
        }
        let new = self.nodes.len();
        let reason = other.reason;
        self.nodes.push(other);
        let node = &mut self.nodes[index];
        node.path = ours_path.clone();
        node.result = ours;
        node.reason = reason;
        node.stages[THEIRS] = none;
        node.files = 3;
        if ours.kind_bits() != base.kind_bits() {
            node.stages[BASE] = none;
            node.files = bit(OURS);
        }
        if moves_ours && moves_theirs {
            self.by_path.insert(path, None);
        }
        self.by_path.insert(ours_path.clone(), Some(index));
        self.by_path.insert(theirs_path.clone(), Some(new));
        for (path, index, version) in [(theirs_path, new, theirs), (ours_path, index, ours)] {
            self.conflicted.insert(path.clone(), index);
            self.record(parent, &path, version);
        }
        debug_assert!(ours.mode != MODE_TREE && theirs.mode != MODE_TREE);
        Ok(())
    }
}

/// The order of paths in which a folder stands directly before what is in it.
fn beside_their_children(a: &[u8], b: &[u8]) -> Ordering {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let next = |path: &[u8]| path.get(same).copied().unwrap_or(b'/');
    next(a).cmp(&next(b)).then_with(|| a.len().cmp(&b.len()))
}
