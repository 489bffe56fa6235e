//! What a merge knows while it runs.

use std::rc::Rc;

use bytes::Bytes;
use govc_git::object::tree::{self, MODE_EXECUTABLE, MODE_FILE};
use govc_git::{ObjectFormat, ObjectId};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::conflict::{ConflictKind, Message, MessageKind};
use super::renames::SideRenames;
use super::{Labels, MergeError, MergeOptions};
use crate::NewObject;
use crate::pool::Pool;

/// A path from the root, shared by all that speak of it.
pub(super) type Path = Rc<[u8]>;
pub(super) type Paths<V> = HashMap<Path, V, foldhash::fast::RandomState>;

/// The three trees, as places in arrays of three.
pub(super) const BASE: usize = 0;
pub(super) const OURS: usize = 1;
pub(super) const THEIRS: usize = 2;

/// Which of the three, as bits.
pub(super) type Mask = u8;
pub(super) const ALL: Mask = 7;

pub(super) fn bit(side: usize) -> Mask {
    1 << side
}

/// What is at a path in one tree; mode 0 is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) mode: u32,
    pub(super) id: ObjectId,
}

impl Version {
    pub(super) fn none(format: ObjectFormat) -> Version {
        Version {
            mode: 0,
            id: ObjectId::null(format),
        }
    }

    pub(super) fn exists(&self) -> bool {
        self.mode != 0
    }

    pub(super) fn is_regular(&self) -> bool {
        matches!(self.mode, MODE_FILE | MODE_EXECUTABLE)
    }

    /// The part of the mode that says what kind of thing it is.
    pub(super) fn kind_bits(&self) -> u32 {
        self.mode & 0o170_000
    }
}

/// A folder whose entries were looked at.
pub(super) struct Directory {
    /// The trees, empty where a side has no folder there.
    pub(super) trees: [Bytes; 3],
    /// How many entries the merged folder has, as far as is decided.
    pub(super) entries: usize,
}

pub(super) type DirectoryIndex = usize;
pub(super) type NodeIndex = usize;

/// A path about which something is to be decided.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) path: Path,
    /// The folder that it is in.
    pub(super) parent: DirectoryIndex,
    /// The folder that it is, if it is one on some side and was looked into.
    pub(super) directory: Option<DirectoryIndex>,
    /// What the three have there, or have elsewhere under the names below.
    pub(super) stages: [Version; 3],
    pub(super) names: [Path; 3],
    /// Who has a file there, who a folder, and who the same as another.
    pub(super) files: Mask,
    pub(super) folders: Mask,
    pub(super) matches: Mask,
    /// It is a file here and a folder there.
    pub(super) is_file_and_folder: bool,
    /// A rename makes it a conflict, whatever its content.
    pub(super) is_path_conflict: bool,
    /// Why it is a conflict, where renames know.
    pub(super) reason: Option<ConflictKind>,
    /// It is decided: with a result, or with nothing.
    pub(super) is_clean: bool,
    pub(super) result: Version,
}

/// What ours has at a path that was met: the tree is made of its edits.
pub(super) struct Ours {
    pub(super) path: Path,
    pub(super) version: Version,
    /// A folder that nobody looked into.
    pub(super) is_whole_folder: bool,
}

/// A merge of three trees while it runs.
pub(super) struct Merge<'a> {
    pub(super) pool: &'a Pool,
    pub(super) format: ObjectFormat,
    pub(super) labels: &'a Labels<'a>,
    pub(super) options: &'a MergeOptions,
    pub(super) depth: u32,
    pub(super) nodes: Vec<Node>,
    /// Where the nodes are. `None`: it was there and has moved.
    pub(super) by_path: Paths<Option<NodeIndex>>,
    pub(super) directories: Vec<Directory>,
    pub(super) directory_at: Paths<DirectoryIndex>,
    pub(super) ours: Vec<Ours>,
    /// Paths that are decided already, and are not as ours has them.
    pub(super) outcome: Vec<(Path, Version)>,
    /// What each side may have renamed; the first one is nobody's.
    pub(super) renames: [SideRenames; 3],
    pub(super) conflicted: Paths<NodeIndex>,
    pub(super) messages: HashMap<Vec<u8>, Vec<Message>>,
    pub(super) is_clean: bool,
    /// Blobs that were merged.
    pub(super) blobs: Vec<NewObject>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        pool: &'a Pool,
        labels: &'a Labels<'a>,
        options: &'a MergeOptions,
        depth: u32,
    ) -> Merge<'a> {
        Merge {
            pool,
            format: pool.format(),
            labels,
            options,
            depth,
            nodes: Vec::new(),
            by_path: Paths::default(),
            directories: Vec::new(),
            directory_at: Paths::default(),
            ours: Vec::new(),
            outcome: Vec::new(),
            renames: Default::default(),
            conflicted: Paths::default(),
            messages: HashMap::new(),
            is_clean: true,
            blobs: Vec::new(),
        }
    }

    pub(super) fn none(&self) -> Version {
        Version::none(self.format)
    }

    /// The label of a side.
    pub(super) fn branch(&self, side: usize) -> &'a [u8] {
        match side {
            OURS => self.labels.ours,
            _ => self.labels.theirs,
        }
    }

    pub(super) fn node_at(&self, path: &[u8]) -> Option<NodeIndex> {
        self.by_path.get(path).copied().flatten()
    }

    /// The node at a path that a rename names.
    pub(super) fn node_named(&self, path: &[u8]) -> Result<NodeIndex, MergeError> {
        self.node_at(path)
            .ok_or_else(|| MergeError::Lost { path: path.into() })
    }

    /// Whether the merge has met something at `path`.
    pub(super) fn has_met(&self, path: &[u8]) -> bool {
        if let Some(found) = self.by_path.get(path) {
            return found.is_some();
        }
        self.is_settled(path)
    }

    /// Whether something is at `path` that is decided, for all have it alike.
    fn is_settled(&self, path: &[u8]) -> bool {
        let (folder, name) = split(path);
        let Some(&directory) = self.directory_at.get(folder) else {
            return false;
        };
        let trees = &self.directories[directory].trees;
        trees.iter().any(|data| {
            let found = tree::find_entry(data, self.format, name);
            matches!(found, Ok(Some(_)))
        })
    }

    /// Whether a file that follows its folder to `path` finds something there, on its own side or
    /// decided.
    pub(super) fn is_in_way(&self, path: &[u8], side: usize) -> bool {
        match self.by_path.get(path) {
            Some(None) => false,
            Some(Some(index)) => {
                let node = &self.nodes[*index];
                node.is_clean || bit(side) & (node.files | node.folders) != 0
            }
            None => self.is_settled(path),
        }
    }

    /// A path beside `path` that nothing has.
    pub(super) fn unique_path(&self, path: &[u8], branch: &[u8]) -> Path {
        let mut unique = path.to_vec();
        unique.push(b'~');
        unique.extend(branch.iter().map(|byte| match byte {
            b'/' => b'_',
            byte => *byte,
        }));
        let length = unique.len();
        let mut suffix = 0u32;
        while self.has_met(&unique) {
            unique.truncate(length);
            unique.extend_from_slice(format!("_{suffix}").as_bytes());
            suffix += 1;
        }
        unique.into()
    }

    /// Says something about `paths`, the first of which it is about.
    pub(super) fn say(&mut self, kind: MessageKind, paths: &[&[u8]], text: &[&[u8]]) {
        if self.depth > 0 {
            return;
        }
        let Some(first) = paths.first() else { return };
        let message = Message {
            kind,
            paths: paths.iter().map(|path| path.to_vec()).collect(),
            text: text.concat(),
        };
        self.messages.entry_ref(*first).or_default().push(message);
    }
}

/// A path's folder and last name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// `name` in `folder`.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Path {
    if folder.is_empty() {
        return name.into();
    }
    let mut path: SmallVec<[u8; 128]> = SmallVec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    path.push(b'/');
    path.extend_from_slice(name);
    path[..].into()
}
