//! What differs between the three trees, folder by folder.
//!
//! A folder that one side left as it was is put off: the other side's version of it can be taken
//! whole, unless files may have been renamed into it or out of it. That is only known at the end.

use std::mem;
use std::rc::Rc;

use bytes::Bytes;
use govc_git::object::ParseError;
use govc_git::object::tree::{MODE_TREE, TreeEntries, TreeEntry, canonical_mode, entries};
use govc_git::{ObjectId, oid};
use smallvec::SmallVec;

use super::renames::{Candidate, Put};
use super::state::{
    ALL, BASE, Directory, DirectoryIndex, Mask, Merge, Node, NodeIndex, OURS, Ours, Path, THEIRS,
    Version, bit, join,
};
use super::table_order::table_order;
use super::{MergeError, conflict::ConflictKind};
use crate::work::diff::renames::{DirectoryRelevance, SourceRelevance};
use crate::work::tree;

/// Folders are not nested deeper than this.
const DEPTH_MAX: usize = 400;

/// A folder that is taken whole from `side`, or looked into later.
pub(super) struct PutOff {
    node: NodeIndex,
    /// What was asked of renames of folders there.
    asked: Mask,
    depth: usize,
}

/// A name that not all have alike.
struct Item<'t> {
    name: &'t [u8],
    entries: [Option<TreeEntry<'t>>; 3],
}

impl Merge<'_> {
    /// Looks at the three trees.
    pub(super) fn walk(&mut self, roots: [&oid; 3]) -> Result<(), MergeError> {
        let root: Path = Rc::from(&b""[..]);
        let roots = roots.map(|id| Some(id.to_owned()));
        let index = self.open_directory(root.clone(), roots)?;
        let mut put_off = [Vec::new(), Vec::new(), Vec::new()];
        self.walk_directory(index, &root, 0, 0, &mut put_off)?;
        for side in [OURS, THEIRS] {
            let is_whole = self.renames[side].sources.is_empty();
            let found = mem::take(&mut put_off[side]);
            if is_whole {
                found
                    .iter()
                    .for_each(|found| self.take_whole(found.node, side));
                continue;
            }
            let paths = found.iter().map(|found| &*self.nodes[found.node].path);
            for at in table_order(paths) {
                let found = &found[at];
                self.renames[side].looks_everywhere = true;
                let node = &self.nodes[found.node];
                let (path, stages, folders) = (node.path.clone(), node.stages, node.folders);
                self.nodes[found.node].matches &= self.nodes[found.node].files;
                let ids =
                    [BASE, OURS, THEIRS].map(|at| (folders & bit(at) != 0).then(|| stages[at].id));
                let index = self.open_directory(path.clone(), ids)?;
                self.nodes[found.node].directory = Some(index);
                self.walk_directory(index, &path, found.asked, found.depth, &mut put_off)?;
            }
        }
        // What was left as it was is left so below: nothing is put off for the other side.
        for side in [OURS, THEIRS] {
            for found in mem::take(&mut put_off[side]) {
                self.take_whole(found.node, side);
            }
        }
        Ok(())
    }

    /// Decides that the node, a folder somewhere, is what `side` has there.
    fn take_whole(&mut self, index: NodeIndex, side: usize) {
        let node = &mut self.nodes[index];
        node.result = node.stages[side];
        node.matches = 0;
        node.is_clean = true;
        let (parent, path, result) = (node.parent, node.path.clone(), node.result);
        let ours = node.stages[OURS];
        if result.exists() {
            self.directories[parent].entries += 1;
            self.outcome.push((path.clone(), result));
        }
        if ours.mode == MODE_TREE {
            self.ours.push(Ours {
                path,
                version: ours,
                is_whole_folder: true,
            });
        }
    }

    fn open_directory(
        &mut self,
        path: Path,
        ids: [Option<ObjectId>; 3],
    ) -> Result<DirectoryIndex, MergeError> {
        let mut trees = [Bytes::new(), Bytes::new(), Bytes::new()];
        for at in [BASE, OURS, THEIRS] {
            let Some(id) = ids[at] else { continue };
            trees[at] = match (0..at).find(|before| ids[*before] == Some(id)) {
                Some(before) => trees[before].clone(),
                None => tree::read(self.pool, &id)?,
            };
        }
        let index = self.directories.len();
        self.directories.push(Directory { trees, entries: 0 });
        self.directory_at.insert(path, index);
        Ok(index)
    }

    /// Looks at one folder. `asked` is what is asked of renames of folders here: 0 nothing, all
    /// that files are noted which may say where it went, and one side's bit that it is if that
    /// side has a new file here.
    fn walk_directory(
        &mut self,
        index: DirectoryIndex,
        path: &Path,
        mut asked: Mask,
        depth: usize,
        put_off: &mut [Vec<PutOff>; 3],
    ) -> Result<(), MergeError> {
        if depth > DEPTH_MAX {
            return Err(MergeError::TooDeep { what: "folders" });
        }
        let trees = self.directories[index].trees.clone();
        let items = self.compare(index, path, &trees)?;
        if asked != 0 && asked != ALL {
            let has_new = items.iter().any(|item| item.files() == asked);
            if has_new {
                asked = ALL;
            }
        }
        for item in items {
            self.look_at(index, path, &item, asked, depth, put_off)?;
        }
        Ok(())
    }

    /// The names in a folder that not all have alike; the others are counted.
    fn compare<'t>(
        &mut self,
        index: DirectoryIndex,
        path: &Path,
        trees: &'t [Bytes; 3],
    ) -> Result<Vec<Item<'t>>, MergeError> {
        let mut readers = [BASE, OURS, THEIRS].map(|at| Reader {
            walk: entries(&trees[at], self.format),
            head: None,
            taken: SmallVec::new(),
        });
        let null = ObjectId::null(self.format);
        let damaged = |error| tree::damaged(null, &error);
        for reader in &mut readers {
            reader.advance().map_err(damaged)?;
        }
        let mut items: Vec<Item<'t>> = Vec::new();
        let mut settled = 0;
        while let Some(name) = readers.iter().filter_map(Reader::name).min() {
            let mut found: [Option<TreeEntry<'t>>; 3] = [None; 3];
            for (reader, found) in readers.iter_mut().zip(&mut found) {
                *found = reader.take(name).map_err(damaged)?;
            }
            if let [Some(base), Some(ours), Some(theirs)] = &found {
                let is_same = |other: &TreeEntry<'t>| {
                    other.id == base.id && canonical_mode(other.mode) == canonical_mode(base.mode)
                };
                if is_same(ours) && is_same(theirs) {
                    settled += 1;
                    self.keep_canonical(path, ours);
                    continue;
                }
            }
            items.push(Item {
                name,
                entries: found,
            });
        }
        self.directories[index].entries += settled;
        Ok(items)
    }

    /// git writes trees anew, with the modes of today.
    fn keep_canonical(&mut self, folder: &Path, ours: &TreeEntry<'_>) {
        let mode = canonical_mode(ours.mode);
        if mode != ours.mode {
            let (path, id) = (join(folder, ours.name), ours.id.to_owned());
            let raw = Version {
                mode: ours.mode,
                id,
            };
            self.outcome.push((path.clone(), Version { mode, id }));
            self.ours.push(Ours {
                path,
                version: raw,
                is_whole_folder: false,
            });
        }
    }

    /// Looks at one name that not all have alike.
    fn look_at(
        &mut self,
        parent: DirectoryIndex,
        folder: &Path,
        item: &Item<'_>,
        asked: Mask,
        depth: usize,
        put_off: &mut [Vec<PutOff>; 3],
    ) -> Result<(), MergeError> {
        let path = join(folder, item.name);
        let none = self.none();
        let stages = item.entries.map(|entry| match entry {
            None => none,
            Some(entry) => Version {
                mode: canonical_mode(entry.mode),
                id: entry.id.to_owned(),
            },
        });
        let (files, folders) = (item.files(), item.folders());
        let same = |a: usize, b: usize| stages[a].exists() && stages[a] == stages[b];
        let (ours_same, theirs_same) = (same(BASE, OURS), same(BASE, THEIRS));
        let mut matches = match (ours_same, theirs_same) {
            (true, true) => ALL,
            (true, false) => 3,
            (false, true) => 5,
            _ if same(OURS, THEIRS) => 6,
            _ => 0,
        };
        if let Some(ours) = item.entries[OURS].filter(|entry| !entry.is_tree()) {
            let version = Version {
                mode: ours.mode,
                id: ours.id.to_owned(),
            };
            self.ours.push(Ours {
                path: path.clone(),
                version,
                is_whole_folder: false,
            });
        }
        if matches == ALL || matches != 0 && files == ALL {
            let result = stages[if matches == 3 { THEIRS } else { OURS }];
            self.directories[parent].entries += 1;
            self.outcome.push((path, result));
            return Ok(());
        }
        let mut asked_below = asked;
        if !self.options.no_renames {
            if asked != ALL && (folders == 3 || folders == 5) {
                asked_below = folders & !1;
            }
            self.note_renames(folder, &path, files, folders, matches, asked_below, &stages);
        }
        let node = self.nodes.len();
        let mut side = match matches {
            3 => THEIRS,
            5 => OURS,
            _ => BASE,
        };
        if files == 0 && (folders == 2 || folders == 4) {
            matches = ALL - folders;
            side = usize::from(folders / 2);
        }
        let is_put_off = folders != 0
            && asked_below != ALL
            && side != BASE
            && !self.renames[side].looks_everywhere;
        self.nodes.push(Node {
            path: path.clone(),
            parent,
            directory: None,
            stages,
            names: [path.clone(), path.clone(), path.clone()],
            files,
            folders,
            matches: if folders != 0 && !is_put_off {
                matches & files
            } else {
                matches
            },
            is_file_and_folder: files != 0 && folders != 0,
            is_path_conflict: false,
            reason: None::<ConflictKind>,
            is_clean: false,
            result: none,
        });
        self.by_path.insert(path.clone(), Some(node));
        if folders == 0 {
            return Ok(());
        }
        if is_put_off {
            put_off[side].push(PutOff {
                node,
                asked: asked_below,
                depth: depth + 1,
            });
            return Ok(());
        }
        let ids = [BASE, OURS, THEIRS].map(|at| (folders & bit(at) != 0).then(|| stages[at].id));
        let index = self.open_directory(path.clone(), ids)?;
        self.nodes[node].directory = Some(index);
        self.walk_directory(index, &path, asked_below, depth + 1, put_off)
    }

    /// Notes what a path may have to do with renames of files and folders.
    #[expect(clippy::too_many_arguments, reason = "all that is known of a path")]
    fn note_renames(
        &mut self,
        folder: &Path,
        path: &Path,
        files: Mask,
        folders: Mask,
        matches: Mask,
        asked: Mask,
        stages: &[Version; 3],
    ) {
        if matches!(folders, 1 | 3 | 5) {
            let relevance = match asked {
                ALL => DirectoryRelevance::ForAncestor,
                _ => DirectoryRelevance::NotRelevant,
            };
            for side in [OURS, THEIRS] {
                if folders & bit(side) == 0 {
                    let gone = &mut self.renames[side].directories_gone;
                    gone.insert(path.to_vec(), relevance);
                }
            }
        }
        if asked == ALL && (files == bit(OURS) || files == bit(THEIRS)) {
            let other = if files == bit(OURS) { THEIRS } else { OURS };
            let gone = &mut self.renames[other].directories_gone;
            gone.insert(folder.to_vec(), DirectoryRelevance::ForSelf);
        }
        if files == 0 || files == ALL {
            return;
        }
        let matches = matches & files;
        for side in [OURS, THEIRS] {
            let (in_base, in_side) = (files & 1 != 0, files & bit(side) != 0);
            let renames = &mut self.renames[side];
            if in_base && !in_side {
                if matches == 0 || asked == ALL {
                    let relevance = match matches {
                        0 => SourceRelevance::Content,
                        _ => SourceRelevance::Location,
                    };
                    renames.sources.insert(path.to_vec(), relevance);
                }
                renames.candidates.push(Candidate {
                    path: path.clone(),
                    version: stages[BASE],
                    put: Put::Source,
                });
            }
            if !in_base && in_side {
                renames.candidates.push(Candidate {
                    path: path.clone(),
                    version: stages[side],
                    put: Put::Destination,
                });
            }
        }
    }
}

impl Item<'_> {
    fn mask(&self, wanted: impl Fn(&TreeEntry<'_>) -> bool) -> Mask {
        let sides = self.entries.iter().enumerate();
        let wanted = sides.filter(|(_, entry)| entry.as_ref().is_some_and(&wanted));
        wanted.fold(0, |mask, (side, _)| mask | bit(side))
    }

    fn files(&self) -> Mask {
        self.mask(|entry| !entry.is_tree())
    }

    fn folders(&self) -> Mask {
        self.mask(|entry| entry.is_tree())
    }
}

/// Reads one tree, name by name. A file and a folder of one name meet, though in trees they may be
/// apart: `a`, `a-b`, `a/`.
struct Reader<'t> {
    walk: TreeEntries<'t>,
    head: Option<TreeEntry<'t>>,
    /// Names that were taken before it was their turn.
    taken: SmallVec<[&'t [u8]; 1]>,
}

impl<'t> Reader<'t> {
    fn name(&self) -> Option<&'t [u8]> {
        self.head.as_ref().map(|head| head.name)
    }

    fn advance(&mut self) -> Result<(), ParseError> {
        loop {
            self.head = self.walk.next().transpose()?;
            let Some(head) = &self.head else {
                return Ok(());
            };
            match self.taken.iter().position(|name| *name == head.name) {
                None => return Ok(()),
                Some(at) => drop(self.taken.swap_remove(at)),
            }
        }
    }

    /// The entry `name`, which is not after the next one by its name alone.
    fn take(&mut self, name: &[u8]) -> Result<Option<TreeEntry<'t>>, ParseError> {
        let Some(head) = self.head else {
            return Ok(None);
        };
        if head.name == name {
            self.advance()?;
            return Ok(Some(head));
        }
        // A folder may stand behind names that it begins.
        let may_follow = |entry: &TreeEntry<'_>| {
            let rest = entry.name.strip_prefix(name);
            rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte < b'/'))
        };
        if !may_follow(&head) {
            return Ok(None);
        }
        for entry in self.walk.clone() {
            let entry = entry?;
            if entry.name == name {
                self.taken.push(entry.name);
                return Ok(Some(entry));
            }
            if !may_follow(&entry) {
                break;
            }
        }
        Ok(None)
    }
}
