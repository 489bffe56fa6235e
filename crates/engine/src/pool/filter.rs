//! Which objects a partial clone is sent: filters as they are applied to what a fetch needs.
//!
//! A filter is a conjunction: all of its parts must let an object through. What it says about
//! kinds and sizes is asked of a finished set, of which nothing is inflated. Where depth or path
//! matter, the trees of the new commits are walked beside their parents' instead.
//!
//! git decides some overlaps by the order in which it happens to walk: a wanted blob that is also
//! in a wanted tree, a blob that one part of a combined filter meets at another path first. Here
//! what is wanted is always sent, and an object that passes at one of its paths is sent.

use std::sync::Arc;

use bytes::Bytes;
use govc_git::ignore::{PatternList, Verdict};
use govc_git::{ObjectId, ObjectKind};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::introduced::Cursor;
use super::object_set::SetBuilder;
use super::{CommitNumber, ObjectSet, Pool, PoolError};

/// Which objects are sent beside those that are named.
#[derive(Debug, Clone)]
pub struct ObjectFilter {
    /// Kinds that are sent at all: a bit for each.
    kinds: u8,
    /// Blobs of so many bytes or more are not.
    blob_bytes_below: Option<u64>,
    /// Trees and blobs so far below a commit's root tree, or farther, are not.
    depth_below: Option<u64>,
    /// Blobs at paths that one of these does not name are not.
    sparse: SmallVec<[Arc<PatternList>; 1]>,
}

impl Default for ObjectFilter {
    fn default() -> ObjectFilter {
        ObjectFilter {
            kinds: ALL_KINDS,
            blob_bytes_below: None,
            depth_below: None,
            sparse: SmallVec::new(),
        }
    }
}

const ALL_KINDS: u8 = 0b1111;

fn bit(kind: ObjectKind) -> u8 {
    match kind {
        ObjectKind::Commit => 1,
        ObjectKind::Tree => 2,
        ObjectKind::Blob => 4,
        ObjectKind::Tag => 8,
    }
}

/// So much work, in bytes of patterns and paths compared, is done for the paths of one request,
const STEPS_MAX: u64 = 1 << 26;
/// and so much more for each commit: a long history has many paths, a bomb needs none.
const STEPS_PER_COMMIT: u64 = 1 << 16;
/// A visit of a tree's entry costs as much as comparing so many bytes.
const STEPS_PER_ENTRY: u64 = 8;

impl ObjectFilter {
    /// No blobs.
    pub fn without_blobs(&mut self) {
        self.kinds &= !bit(ObjectKind::Blob);
    }

    /// Only blobs of less than `bytes`.
    pub fn blobs_below(&mut self, bytes: u64) {
        if bytes == 0 {
            return self.without_blobs();
        }
        let below = self.blob_bytes_below.map_or(bytes, |now| now.min(bytes));
        self.blob_bytes_below = Some(below);
    }

    /// Only trees and blobs less than `depth` below a commit's root tree, which is at 0.
    pub fn trees_above(&mut self, depth: u64) {
        if depth == 0 {
            self.kinds &= !(bit(ObjectKind::Tree) | bit(ObjectKind::Blob));
            return;
        }
        let below = self.depth_below.map_or(depth, |now| now.min(depth));
        self.depth_below = Some(below);
    }

    /// Only objects of `kind`.
    pub fn only(&mut self, kind: ObjectKind) {
        self.kinds &= bit(kind);
    }

    /// Only blobs at paths that `patterns` name.
    pub fn blobs_at(&mut self, patterns: Arc<PatternList>) {
        self.sparse.push(patterns);
    }

    /// Whether everything passes.
    pub fn is_open(&self) -> bool {
        self.kinds == ALL_KINDS
            && self.blob_bytes_below.is_none()
            && self.depth_below.is_none()
            && self.sparse.is_empty()
    }

    /// Whether it is known to let the same through as `other`. Of patterns nobody knows.
    pub(super) fn is_same(&self, other: &ObjectFilter) -> bool {
        self.kinds == other.kinds
            && self.blob_limit() == other.blob_limit()
            && self.depth_below == other.depth_below
            && self.patterns().is_empty()
            && other.patterns().is_empty()
    }

    /// Whether objects of this kind may pass.
    pub(super) fn passes(&self, kind: ObjectKind) -> bool {
        self.kinds & bit(kind) != 0
    }

    /// The limit of blobs in bytes, where blobs pass and have one.
    pub(super) fn blob_limit(&self) -> Option<u64> {
        self.blob_bytes_below
            .filter(|_| self.passes(ObjectKind::Blob))
    }

    /// Whether it depends on where an object is, not on what it is alone.
    pub(super) fn needs_paths(&self) -> bool {
        self.depth_below.is_some() && self.needs_lists() || !self.patterns().is_empty()
    }

    /// Whether anything but commits and tags may pass.
    pub(super) fn needs_lists(&self) -> bool {
        self.passes(ObjectKind::Blob) || self.passes(ObjectKind::Tree)
    }

    /// Whether anything at this depth or below may pass.
    fn reaches(&self, depth: u64) -> bool {
        self.depth_below.is_none_or(|below| depth < below) && self.needs_lists()
    }

    /// The patterns that matter: without blobs none does.
    fn patterns(&self) -> &[Arc<PatternList>] {
        match self.passes(ObjectKind::Blob) {
            true => &self.sparse,
            false => &[],
        }
    }
}

/// What the patterns of a filter say about a folder: it holds for what is in it, where they say
/// nothing else.
type Inherited = SmallVec<[bool; 1]>;

/// A tree that is to be looked into.
struct Folder {
    tree: ObjectId,
    /// What is at its path in trees that are there already, or that the receiver has.
    before: SmallVec<[ObjectId; 2]>,
    /// How deep its entries are.
    depth: u64,
    /// Its path, with a slash behind it but for a root; empty where no pattern asks.
    path: Vec<u8>,
    inherited: Inherited,
}

/// What a commit's tree is compared with.
pub(super) struct Edge {
    /// Trees that are there already, or that the receiver has: those of its parents, most often.
    pub(super) before: SmallVec<[ObjectId; 2]>,
    /// The receiver has all of them.
    pub(super) had: bool,
}

/// Applies a filter to the trees of commits, one after the other.
struct FilteredWalk<'f> {
    filter: &'f ObjectFilter,
    steps: u64,
    steps_max: u64,
    /// The receiver has what was there before.
    before_had: bool,
}

impl<'f> FilteredWalk<'f> {
    fn new(filter: &'f ObjectFilter, commits: usize) -> FilteredWalk<'f> {
        FilteredWalk {
            filter,
            steps: 0,
            steps_max: STEPS_MAX.saturating_add(STEPS_PER_COMMIT.saturating_mul(commits as u64)),
            before_had: false,
        }
    }
}

impl FilteredWalk<'_> {
    fn count(&mut self, steps: u64) -> Result<(), PoolError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.steps_max {
            return Err(PoolError::FilterTooCostly);
        }
        Ok(())
    }

    /// What the patterns say about something in a folder that inherits `inherited`.
    fn judge(
        &mut self,
        inherited: &Inherited,
        path: &[u8],
        name_at: usize,
        is_folder: bool,
    ) -> Result<Inherited, PoolError> {
        let (filter, mut steps) = (self.filter, 0);
        let lists = filter.patterns().iter().zip(inherited);
        let judged = lists.map(|(list, &inherited)| {
            match list.verdict(path, name_at, is_folder, &mut steps) {
                Some(Verdict::Matched) => true,
                Some(Verdict::Excepted) => false,
                None => inherited,
            }
        });
        let judged = judged.collect();
        self.count(steps)?;
        Ok(judged)
    }
}

impl Pool {
    /// Adds what `filter` leaves of the set of exactly these commits, parents first. `edge` says
    /// of each what is left out of its tree where it is at the same path.
    pub(super) fn add_filtered(
        &self,
        set: &mut SetBuilder<'_>,
        commits: &[u32],
        filter: &ObjectFilter,
        edge: &mut dyn FnMut(CommitNumber) -> Edge,
    ) -> Result<(), PoolError> {
        let mut walk = FilteredWalk::new(filter, commits.len());
        for n in commits.iter().copied().map(CommitNumber) {
            if filter.passes(ObjectKind::Commit) {
                set.add(&self.graph.id(n), ObjectKind::Commit)?;
            }
            let tree = self.graph.tree(n);
            let Edge { before, had } = edge(n);
            walk.before_had = had;
            if before.contains(&tree) || !filter.reaches(0) {
                continue;
            }
            if filter.passes(ObjectKind::Tree) {
                set.add(&tree, ObjectKind::Tree)?;
            }
            let nothing = filter.patterns().iter().map(|_| false).collect();
            let inherited = walk.judge(&nothing, b"", 0, true)?;
            self.walk_filtered(
                set,
                &mut walk,
                Folder {
                    tree,
                    before,
                    depth: 1,
                    path: Vec::new(),
                    inherited,
                },
            )?;
        }
        Ok(())
    }

    /// Adds a tree that is wanted by name, and what `filter` leaves of what is in it: its entries
    /// are at depth 0, and nothing is inherited from it.
    pub(super) fn add_wanted_tree(
        &self,
        set: &mut SetBuilder<'_>,
        tree: ObjectId,
        filter: &ObjectFilter,
    ) -> Result<(), PoolError> {
        set.add(&tree, ObjectKind::Tree)?;
        let mut walk = FilteredWalk::new(filter, 0);
        let inherited = filter.patterns().iter().map(|_| false).collect();
        let folder = Folder {
            tree,
            before: SmallVec::new(),
            depth: 0,
            path: Vec::new(),
            inherited,
        };
        self.walk_filtered(set, &mut walk, folder)
    }

    /// Adds what the filter leaves of what is in `root`. Without recursion. Where paths do not
    /// matter each tree is opened once at its least depth; where they do, at each of its paths, and
    /// it is the steps that have an end.
    fn walk_filtered(
        &self,
        set: &mut SetBuilder<'_>,
        walk: &mut FilteredWalk<'_>,
        root: Folder,
    ) -> Result<(), PoolError> {
        let filter = walk.filter;
        let by_path = !filter.patterns().is_empty();
        let mut opened: HashMap<ObjectId, u64> = HashMap::new();
        let mut open = vec![root];
        while let Some(folder) = open.pop() {
            if !filter.reaches(folder.depth) {
                continue;
            }
            let data = self.get_kind(&folder.tree, ObjectKind::Tree)?;
            let mut olds: SmallVec<[(ObjectId, Bytes); 2]> = SmallVec::new();
            for id in &folder.before {
                olds.push((*id, self.get_kind(id, ObjectKind::Tree)?));
            }
            let mut cursors: SmallVec<[Cursor<'_>; 2]> = olds
                .iter()
                .map(|(_, data)| Cursor::new(data, self.format))
                .collect();
            let mut rest = Cursor::new(&data, self.format);
            loop {
                if let [only] = &mut cursors[..] {
                    only.skip_same(&mut rest);
                }
                let Some(entry) = rest.next() else { break };
                let entry = entry.map_err(|what| self.damaged_tree(&folder.tree, &what))?;
                if by_path {
                    walk.count(STEPS_PER_ENTRY)?;
                }
                let kind = entry.kind();
                if kind == ObjectKind::Commit {
                    continue;
                }
                let mut before: SmallVec<[ObjectId; 2]> = SmallVec::new();
                let mut known = false;
                for (cursor, (old_id, _)) in cursors.iter_mut().zip(&olds) {
                    let old = cursor
                        .seek(&entry)
                        .map_err(|what| self.damaged_tree(old_id, &what))?;
                    let Some(old) = old.filter(|old| old.kind() == kind) else {
                        continue;
                    };
                    known |= old.id == entry.id;
                    before.push(old.id.to_owned());
                }
                if known {
                    continue;
                }
                let (mut path, mut inherited) = (Vec::new(), Inherited::new());
                if by_path {
                    path.reserve(folder.path.len() + entry.name.len() + 1);
                    path.extend_from_slice(&folder.path);
                    path.extend_from_slice(entry.name);
                    let (name_at, is_folder) = (folder.path.len(), kind == ObjectKind::Tree);
                    inherited = walk.judge(&folder.inherited, &path, name_at, is_folder)?;
                }
                let passes = filter.passes(kind)
                    && match kind {
                        ObjectKind::Blob => {
                            inherited.iter().all(|&named| named)
                                && self.is_below(entry.id, filter.blob_limit())?
                        }
                        _ => true,
                    };
                if passes {
                    set.add(entry.id, kind)?;
                    // What was here before passed too, unless it was too large.
                    if let Some(before) = before.first() {
                        if walk.before_had && self.is_below(before, filter.blob_limit())? {
                            set.note_had(before);
                        }
                        if kind == ObjectKind::Tree {
                            set.note_before(entry.id, before);
                        }
                    }
                }
                if kind != ObjectKind::Tree {
                    continue;
                }
                let depth = folder.depth + 1;
                if by_path {
                    path.push(b'/');
                } else {
                    let least = opened.entry(entry.id.to_owned()).or_insert(u64::MAX);
                    if *least <= depth {
                        continue;
                    }
                    *least = depth;
                }
                open.push(Folder {
                    tree: entry.id.to_owned(),
                    before,
                    depth,
                    path,
                    inherited,
                });
            }
        }
        Ok(())
    }

    /// Whether an object has fewer bytes than a limit, if there is one and it is a blob.
    fn is_below(&self, id: &govc_git::oid, limit: Option<u64>) -> Result<bool, PoolError> {
        let Some(limit) = limit else { return Ok(true) };
        let header = self.header(id)?;
        Ok(header.is_none_or(|(kind, size)| kind != ObjectKind::Blob || size < limit))
    }

    /// Leaves in `set` what a filter by kind and size lets through.
    pub(super) fn retain(
        &self,
        set: &mut ObjectSet,
        filter: &ObjectFilter,
    ) -> Result<(), PoolError> {
        for part in &mut set.parts {
            let pack = Arc::clone(&part.pack);
            let kinds = pack.kinds();
            part.retain_words(|word| kinds.of_word(word, |kind| filter.passes(kind)));
            let Some(limit) = filter.blob_limit() else {
                continue;
            };
            let mut failed = None;
            part.retain_each(
                |word| kinds.of_word(word, |kind| kind == ObjectKind::Blob),
                |position| {
                    let header = pack.pack.header_at(position, &|_| None);
                    match header {
                        Ok((_, size)) => size < limit,
                        Err(error) => {
                            let id = pack.object_id(position);
                            failed.get_or_insert(pack.damaged(&id, &error));
                            true
                        }
                    }
                },
            );
            failed.map_or(Ok(()), Err)?;
        }
        set.parts.retain(|part| part.count > 0);
        let mut kept = Vec::with_capacity(set.hot.objects.len());
        for &(id, kind) in &set.hot.objects {
            if filter.passes(kind)
                && (kind != ObjectKind::Blob || self.is_below(&id, filter.blob_limit())?)
            {
                kept.push((id, kind));
            }
        }
        set.hot.replace(kept);
        // A base must be something that the receiver was sent.
        let mut failed = None;
        set.had.retain(|id| match self.header(id) {
            Ok(Some((ObjectKind::Blob, size))) => {
                filter.passes(ObjectKind::Blob)
                    && filter.blob_limit().is_none_or(|limit| size < limit)
            }
            Ok(Some((kind, _))) => filter.passes(kind),
            Ok(None) => false,
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
        failed.map_or(Ok(()), Err)
    }
}
