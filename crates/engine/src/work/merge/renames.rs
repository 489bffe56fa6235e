//! Files that moved on one side, and files that follow their folders.

use std::collections::BTreeSet;
use std::mem;

use hashbrown::HashMap;

use super::conflict::{ConflictKind, MessageKind};
use super::state::{
    BASE, Directory, Merge, Node, NodeIndex, OURS, Path, THEIRS, Version, bit, split,
};
use super::{MergeError, content::Contents};
use crate::work::diff::renames::{
    self, Destination, DirectoryCounts, DirectoryRelevance, MergeGuide, RenameOptions,
    SourceRelevance,
};

/// `merge.renameLimit` as it is unless set.
const LIMIT: usize = 7_000;

/// A path that is gone on one side, or new there.
pub(super) struct Candidate {
    pub(super) path: Path,
    pub(super) version: Version,
    pub(super) put: Put,
}

/// Which of the two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Source,
    Destination,
}

/// What one side may have renamed, and what it did.
#[derive(Default)]
pub(super) struct SideRenames {
    /// Paths that are gone and whose whereabouts matter.
    pub(super) sources: HashMap<Vec<u8>, SourceRelevance>,
    /// Folders that are gone.
    pub(super) directories_gone: HashMap<Vec<u8>, DirectoryRelevance>,
    /// All paths that are gone or new, in the order in which they were met.
    pub(super) candidates: Vec<Candidate>,
    /// Folders that only this side changed are looked into.
    pub(super) looks_everywhere: bool,
    /// Where files of folders went.
    counts: DirectoryCounts,
    /// Where folders went.
    directories: HashMap<Vec<u8>, Vec<u8>>,
}

/// A file that is new on a side, or came from elsewhere.
#[derive(Clone)]
struct Moved {
    side: usize,
    /// Where it was; `None` for one that is new.
    from: Option<Path>,
    to: Path,
}

/// Which paths would follow their folders to one place.
#[derive(Default)]
struct Collision {
    sources: BTreeSet<Path>,
    is_reported: bool,
}

type Collisions = HashMap<Vec<u8>, Collision>;

impl Merge<'_> {
    /// Finds what moved, lets files follow their folders, and brings what belongs to one file
    /// together at one path.
    pub(super) fn follow_renames(&mut self) -> Result<(), MergeError> {
        let may_have = |side: &SideRenames| !side.candidates.is_empty() && !side.sources.is_empty();
        if !self.renames.iter().any(may_have) {
            return Ok(());
        }
        let mut moved = [Vec::new(), Vec::new(), Vec::new()];
        for side in [OURS, THEIRS] {
            moved[side] = self.detect(side, may_have(&self.renames[side]))?;
        }
        if self.depth == 0 {
            self.find_moved_folders(OURS);
            self.find_moved_folders(THEIRS);
            // What both moved nobody follows.
            let (ours, theirs) = {
                let [_, ours, theirs] = &mut self.renames;
                (&mut ours.directories, &mut theirs.directories)
            };
            let both: Vec<Vec<u8>> = ours
                .keys()
                .filter(|folder| theirs.contains_key(*folder))
                .cloned()
                .collect();
            for folder in &both {
                ours.remove(folder);
                theirs.remove(folder);
            }
        }
        let mut collisions = [Collisions::new(), Collisions::new(), Collisions::new()];
        for side in [OURS, THEIRS] {
            collisions[side] = collisions_of(&self.renames[other(side)].directories, &moved[side]);
        }
        let mut all = Vec::new();
        for side in [OURS, THEIRS] {
            for mut file in mem::take(&mut moved[side]) {
                let to = self.follow_folder(&file.to, side, &mut collisions);
                if file.from.is_none() && to.is_none() {
                    continue;
                }
                if let Some(to) = to {
                    self.move_along(&mut file, to)?;
                }
                // A new file is where it belongs now: there is nothing to bring it together with.
                if file.from.is_some() {
                    all.push(file);
                }
            }
        }
        all.sort_by(|a, b| a.from.cmp(&b.from));
        self.bring_together(&all)
    }

    /// What moved on a side, and what is new there.
    fn detect(&mut self, side: usize, is_wanted: bool) -> Result<Vec<Moved>, MergeError> {
        let renames = &mut self.renames[side];
        let candidates = mem::take(&mut renames.candidates);
        let mut sources = Vec::new();
        let mut destinations = Vec::new();
        for candidate in &candidates {
            let (path, Version { mode, id }) = (&*candidate.path, candidate.version);
            match candidate.put {
                Put::Source => sources.push(renames::Source {
                    path,
                    mode,
                    id,
                    is_kept: false,
                }),
                Put::Destination => destinations.push(Destination { path, mode, id }),
            }
        }
        let mut from: Vec<Option<usize>> = vec![None; destinations.len()];
        if is_wanted {
            let options = RenameOptions {
                limit: LIMIT,
                rename_empty: false,
                ..RenameOptions::default()
            };
            let mut guide = MergeGuide {
                sources: Some(mem::take(&mut renames.sources)),
                directories: Some(mem::take(&mut renames.directories_gone)),
                ..MergeGuide::default()
            };
            let found = renames::detect(
                self.pool,
                &sources,
                &destinations,
                &options,
                Some(&mut guide),
            )?;
            renames.counts = guide.counts;
            for pair in found.pairs {
                from[pair.destination] = Some(pair.source);
            }
        }
        let old: Vec<&Candidate> = candidates
            .iter()
            .filter(|candidate| candidate.put == Put::Source)
            .collect();
        let new = candidates
            .iter()
            .filter(|candidate| candidate.put == Put::Destination);
        let moved = new.zip(from).map(|(candidate, from)| Moved {
            side,
            from: from.map(|at| old[at].path.clone()),
            to: candidate.path.clone(),
        });
        Ok(moved.collect())
    }

    /// Decides where each folder went: to where most of its files did.
    fn find_moved_folders(&mut self, side: usize) {
        for (folder, counts) in mem::take(&mut self.renames[side].counts) {
            let Some(most) = counts.values().copied().max().filter(|most| *most > 0) else {
                continue;
            };
            let mut to = counts.iter().filter(|(_, count)| **count == most);
            let (first, second) = (to.next(), to.next());
            match (first, second) {
                (Some((to, _)), None) => {
                    let to = to.clone();
                    self.renames[side].directories.insert(folder, to);
                }
                _ => {
                    self.say(
                        MessageKind::DirectoryRenameSplit,
                        &[&folder],
                        &[
                            b"CONFLICT (directory rename split): Unclear where to rename ",
                            &folder,
                            b" to; it was renamed to multiple other directories, with no \
                              destination getting a majority of the files.",
                        ],
                    );
                    self.is_clean = false;
                }
            }
        }
    }

    /// Where the file at `path`, new on `side`, goes because the other side moved its folder.
    fn follow_folder(
        &mut self,
        path: &Path,
        side: usize,
        collisions: &mut [Collisions; 3],
    ) -> Option<Path> {
        let other = other(side);
        if self.renames[other].directories.is_empty() {
            return None;
        }
        // It is where a file of the other side would go: there the two meet.
        if collisions[other].contains_key(&path[..]) {
            return None;
        }
        let (folder, to) = moved_folder(&self.renames[other].directories, path)?;
        let (folder, to) = (folder.to_vec(), to.to_vec());
        if self.renames[side].directories.contains_key(&to) {
            self.say(
                MessageKind::DirectoryRenameSkipped,
                &[&folder, path, &to],
                &[
                    b"WARNING: Avoiding applying ",
                    &folder,
                    b" -> ",
                    &to,
                    b" rename to ",
                    path,
                    b", because ",
                    &to,
                    b" itself was renamed.",
                ],
            );
            return None;
        }
        let new = path_in_moved(&folder, &to, path);
        let collision = collisions[side].get_mut(&new[..])?;
        if collision.is_reported {
            self.is_clean = false;
            return None;
        }
        let is_in_way = self.is_in_way(&new, side);
        if !is_in_way && collision.sources.len() <= 1 {
            return Some(new);
        }
        collision.is_reported = true;
        let sources: Vec<&[u8]> = collision.sources.iter().map(|path| &**path).collect();
        let list = sources.join(&b", "[..]);
        let mut paths: Vec<&[u8]> = vec![&new];
        paths.extend(&sources);
        if is_in_way {
            self.say(
                MessageKind::DirectoryRenameInWay,
                &paths,
                &[
                    b"CONFLICT (implicit dir rename): Existing file/dir at ",
                    &new,
                    b" in the way of implicit directory rename(s) putting the following path(s) \
                      there: ",
                    &list,
                    b".",
                ],
            );
        } else {
            self.say(
                MessageKind::DirectoryRenameCollision,
                &paths,
                &[
                    b"CONFLICT (implicit dir rename): Cannot map more than one path to ",
                    &new,
                    b"; implicit directory renames tried to put these paths there: ",
                    &list,
                ],
            );
        }
        self.is_clean = false;
        None
    }

    /// Moves a file that is new on one side to where its folder went, as a conflict: git only
    /// suggests it.
    fn move_along(&mut self, file: &mut Moved, to: Path) -> Result<(), MergeError> {
        let old = file.to.clone();
        let index = self.node_named(&old)?;
        let files = self.nodes[index].files;
        let parent = self.make_folders(&to, files);
        let moving = if self.nodes[index].folders == 0 {
            self.by_path.insert(old.clone(), None);
            index
        } else {
            // The base has a folder there, which stays behind.
            let mut copy = self.nodes[index].clone();
            copy.folders = 0;
            copy.directory = None;
            copy.stages[BASE] = self.none();
            for side in [OURS, THEIRS] {
                if files & bit(side) == 0 {
                    copy.stages[side] = self.none();
                }
            }
            let none = self.none();
            let node = &mut self.nodes[index];
            node.files = 0;
            for side in [BASE, OURS, THEIRS] {
                if node.folders & bit(side) == 0 {
                    node.stages[side] = none;
                }
            }
            self.nodes.push(copy);
            self.nodes.len() - 1
        };
        let side = if files == bit(OURS) { OURS } else { THEIRS };
        let target = match self.node_at(&to) {
            None => {
                self.by_path.insert(to.clone(), Some(moving));
                let node = &mut self.nodes[moving];
                node.path = to.clone();
                node.parent = parent;
                moving
            }
            Some(there) => {
                let (name, version) = {
                    let moving = &self.nodes[moving];
                    (moving.names[side].clone(), moving.stages[side])
                };
                let node = &mut self.nodes[there];
                node.files |= bit(side);
                node.is_file_and_folder |= node.folders != 0;
                node.names[side] = name;
                node.stages[side] = version;
                there
            }
        };
        let node = &mut self.nodes[target];
        node.is_path_conflict = true;
        node.reason.get_or_insert(ConflictKind::FileLocation);
        let (mine, theirs) = (self.branch(side), self.branch(other(side)));
        let mut text: Vec<&[u8]> = vec![b"CONFLICT (file location): "];
        match &file.from {
            None => text.extend_from_slice(&[&old, b" added in ", mine]),
            Some(from) => text.extend_from_slice(&[from, b" renamed to ", &old, b" in ", mine]),
        }
        let is_new = file.from.is_none();
        text.push(if is_new { b" inside" } else { b", inside" });
        text.extend_from_slice(&[
            b" a directory that was renamed in ",
            theirs,
            b", suggesting it should perhaps be moved to ",
            &to,
            b".",
        ]);
        self.say(MessageKind::DirectoryRenameSuggested, &[&to, &old], &text);
        file.to = to;
        Ok(())
    }

    /// The folder that `path` is to be in, met before or not.
    fn make_folders(&mut self, path: &Path, folders: u8) -> usize {
        let (folder, _) = split(path);
        if let Some(&index) = self.directory_at.get(folder) {
            return index;
        }
        let folder: Path = folder.into();
        let parent = if folder.is_empty() {
            0
        } else {
            self.make_folders(&folder, folders)
        };
        let index = self.directories.len();
        self.directories.push(Directory {
            trees: Default::default(),
            entries: 0,
        });
        self.directory_at.insert(folder.clone(), index);
        if !self.has_met(&folder) {
            let none = self.none();
            let node = self.nodes.len();
            self.nodes.push(Node {
                path: folder.clone(),
                parent,
                directory: Some(index),
                stages: [none; 3],
                names: [folder.clone(), folder.clone(), folder.clone()],
                files: 0,
                folders,
                matches: 0,
                is_file_and_folder: false,
                is_path_conflict: false,
                reason: None,
                is_clean: false,
                result: none,
            });
            self.by_path.insert(folder, Some(node));
        }
        index
    }

    /// Brings each renamed file together with what the other side did to it.
    fn bring_together(&mut self, all: &[Moved]) -> Result<(), MergeError> {
        let mut at = 0;
        while let Some(file) = all.get(at) {
            at += 1;
            let Some(from) = &file.from else { continue };
            let Some(old) = self.node_at(from).filter(|old| !self.nodes[*old].is_clean) else {
                continue;
            };
            let next = all.get(at).filter(|next| next.from.as_ref() == Some(from));
            if let Some(next) = next {
                at += 1;
                self.renamed_twice(old, from, &file.to, &next.to)?;
            } else {
                let new = self.node_named(&file.to)?;
                self.renamed_once(old, new, file.side, from, &file.to)?;
            }
        }
        Ok(())
    }

    /// Both renamed the file.
    fn renamed_twice(
        &mut self,
        old: NodeIndex,
        from: &Path,
        ours_to: &Path,
        theirs_to: &Path,
    ) -> Result<(), MergeError> {
        let base = self.nodes[old].stages[BASE];
        let (ours, theirs) = (self.node_named(ours_to)?, self.node_named(theirs_to)?);
        if ours_to == theirs_to {
            // To the same name: there it is a file that all have.
            let node = &mut self.nodes[ours];
            node.stages[BASE] = base;
            node.files |= bit(BASE);
            self.settle_gone(old);
            return Ok(());
        }
        let names = [from.clone(), ours_to.clone(), theirs_to.clone()];
        let versions = Contents {
            path: from,
            versions: [
                base,
                self.nodes[ours].stages[OURS],
                self.nodes[theirs].stages[THEIRS],
            ],
            names: &names,
            marker_size_more: 1 + 2 * self.depth,
        };
        let merged = self.merge_contents(&versions)?;
        self.is_clean &= merged.is_clean;
        let mut theirs_version = merged.version;
        // What could not be merged stays as each has it.
        if !merged.is_clean && merged.version == self.nodes[ours].stages[OURS] {
            theirs_version = self.nodes[theirs].stages[THEIRS];
        }
        self.nodes[ours].stages[OURS] = merged.version;
        self.nodes[theirs].stages[THEIRS] = theirs_version;
        for node in [old, ours, theirs] {
            self.nodes[node].is_path_conflict = true;
            self.nodes[node].reason = Some(ConflictKind::RenameRename);
        }
        let (mine, other) = (self.branch(OURS), self.branch(THEIRS));
        self.say(
            MessageKind::RenameRename,
            &[from, ours_to, theirs_to],
            &[
                b"CONFLICT (rename/rename): ",
                from,
                b" renamed to ",
                ours_to,
                b" in ",
                mine,
                b" and to ",
                theirs_to,
                b" in ",
                other,
                b".",
            ],
        );
        Ok(())
    }

    /// `side` renamed the file.
    fn renamed_once(
        &mut self,
        old: NodeIndex,
        new: NodeIndex,
        side: usize,
        from: &Path,
        to: &Path,
    ) -> Result<(), MergeError> {
        let other = other(side);
        let is_deleted = self.nodes[old].files == bit(BASE);
        let mut is_collision = self.nodes[new].files & bit(other) != 0;
        let is_other_kind = !is_deleted
            && self.nodes[old].stages[other].is_regular()
                != self.nodes[new].stages[side].is_regular();
        if is_other_kind {
            is_collision = false;
        }
        if is_collision && !is_deleted {
            let mut names = [from.clone(), from.clone(), from.clone()];
            names[side] = to.clone();
            let mut versions = self.nodes[old].stages;
            versions[side] = self.nodes[new].stages[side];
            let merged = self.merge_contents(&Contents {
                path: from,
                versions,
                names: &names,
                marker_size_more: 1 + 2 * self.depth,
            })?;
            let node = &mut self.nodes[new];
            node.stages[side] = merged.version;
            node.reason.get_or_insert(ConflictKind::RenameAdd);
            if !merged.is_clean {
                self.say(
                    MessageKind::RenameCollides,
                    &[to, from],
                    &[
                        b"CONFLICT (rename involved in collision): rename of ",
                        from,
                        b" -> ",
                        to,
                        b" has content conflicts AND collides with another path; this may result \
                          in nested conflict markers.",
                    ],
                );
            }
        } else if is_collision {
            self.renamed_and_deleted(new, side, from, to);
        } else {
            let (base, there) = {
                let old = &self.nodes[old];
                (old.stages[BASE], old.stages[other])
            };
            let node = &mut self.nodes[new];
            node.stages[BASE] = base;
            node.files |= bit(BASE);
            node.names[BASE] = from.clone();
            if is_other_kind {
                let none = self.none();
                let node = &mut self.nodes[old];
                node.stages[BASE] = none;
                node.files &= !bit(BASE);
            } else if is_deleted {
                self.renamed_and_deleted(new, side, from, to);
            } else {
                node.stages[other] = there;
                node.files |= bit(other);
                node.names[other] = from.clone();
            }
        }
        if !is_other_kind {
            self.settle_gone(old);
        }
        Ok(())
    }

    fn renamed_and_deleted(&mut self, new: NodeIndex, side: usize, from: &Path, to: &Path) {
        let node = &mut self.nodes[new];
        node.is_path_conflict = true;
        node.reason = Some(ConflictKind::RenameDelete);
        let (mine, theirs) = (self.branch(side), self.branch(other(side)));
        self.say(
            MessageKind::RenameDelete,
            &[to, from],
            &[
                b"CONFLICT (rename/delete): ",
                from,
                b" renamed to ",
                to,
                b" in ",
                mine,
                b", but deleted in ",
                theirs,
                b".",
            ],
        );
    }

    /// Nothing is left at the path that a file was renamed from.
    fn settle_gone(&mut self, index: NodeIndex) {
        let none = self.none();
        let node = &mut self.nodes[index];
        node.is_clean = true;
        node.result = none;
    }
}

fn other(side: usize) -> usize {
    OURS + THEIRS - side
}

/// The innermost folder around `path` that moved, and where it went.
fn moved_folder<'f>(
    moved: &'f HashMap<Vec<u8>, Vec<u8>>,
    path: &[u8],
) -> Option<(&'f [u8], &'f [u8])> {
    let mut folder = path;
    while let Some(slash) = memchr::memrchr(b'/', folder) {
        folder = &folder[..slash];
        if let Some((from, to)) = moved.get_key_value(folder) {
            return Some((from, to));
        }
    }
    None
}

/// Where `path` is after `folder`, which it is in, went to `to`.
fn path_in_moved(folder: &[u8], to: &[u8], path: &[u8]) -> Path {
    let rest = path.get(folder.len()..).unwrap_or_default();
    match to {
        // The root: no slash is left in front.
        [] => rest.get(1..).unwrap_or_default().into(),
        to => [to, rest].concat().into(),
    }
}

/// Which paths would go where because the other side moved their folders.
fn collisions_of(moved: &HashMap<Vec<u8>, Vec<u8>>, files: &[Moved]) -> Collisions {
    let mut collisions = Collisions::new();
    if moved.is_empty() {
        return collisions;
    }
    for file in files {
        if let Some((folder, to)) = moved_folder(moved, &file.to) {
            let new = path_in_moved(folder, to, &file.to);
            let collision = collisions.entry_ref(&new[..]).or_default();
            collision.sources.insert(file.to.clone());
        }
    }
    collisions
}
