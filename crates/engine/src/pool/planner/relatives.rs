//! New bases for deltas whose own base is not sent.
//!
//! Deltas of one pack hang together: who has the same base somewhere down its chain is another
//! version of the same file. Where the base of a delta is not sent, such a relative that is sent
//! is the best base that can be had without a search.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;
use govc_git::object::tree;
use govc_git::pack::Pack;
use govc_git::pack::entry::{EntryKind, parse_header};
use govc_git::{Object, ObjectFormat, ObjectKind};
use hashbrown::HashMap;

/// Chains are followed so far: git's are no longer, unless somebody asked for it.
const CHAIN_MAX: usize = 64;
/// Bytes of relatives that are at hand.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// Deltas of relatives lead so far at most: a client follows each of them.
const DEPTH_MAX: u32 = 24;

/// Entries of a pack that were written anew, the last of each kin.
#[derive(Default)]
pub(super) struct Relatives {
    /// By where an entry begins that is down their chains.
    by_base: HashMap<u64, Relative>,
    /// Folders, by the names that their trees begin and end with.
    by_folder: HashMap<u64, Relative>,
    /// Contents of some of them.
    kept: HashMap<u32, Object>,
    kept_bytes: usize,
}

/// What was sent and is another version of something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relative {
    /// Its position in the index of its pack.
    pub(super) position: u32,
    /// How many deltas of relatives lead to it.
    pub(super) depth: u32,
}

impl Clone for Relatives {
    /// It is nothing that a clone shares: what is not known is sent whole.
    fn clone(&self) -> Relatives {
        Relatives::default()
    }
}

/// Where to look for a new base.
pub(super) struct Chain {
    /// Where the bases begin, the nearest first.
    bases: Vec<u64>,
}

impl Chain {
    /// That of the entry at `source`.
    pub(super) fn of(pack: &Pack, source: u64) -> Chain {
        let (index, data) = (pack.index(), pack.bytes());
        let mut bases = Vec::new();
        let mut at = source;
        while bases.len() < CHAIN_MAX {
            let bytes = usize::try_from(at).ok().and_then(|at| data.get(at..));
            let header = bytes.and_then(|bytes| parse_header(bytes, index.format()).ok());
            let base = header.and_then(|header| match header.kind {
                EntryKind::Whole(_) => None,
                EntryKind::OfsDelta { base_distance } => at.checked_sub(base_distance),
                EntryKind::RefDelta { base } => index.lookup(&base).map(|base| index.offset(base)),
            });
            let Some(base) = base else { break };
            bases.push(base);
            at = base;
        }
        Chain { bases }
    }

    /// Where its bases begin, the nearest first.
    pub(super) fn bases(&self) -> &[u64] {
        &self.bases
    }
}

/// What versions of a folder have in common, mostly. `None` for what is no tree.
pub(super) fn folder_of(object: &Object, format: ObjectFormat) -> Option<u64> {
    if object.kind != ObjectKind::Tree {
        return None;
    }
    let mut entries = tree::entries(&object.data, format).map_while(Result::ok);
    let first = entries.next()?.name;
    let last = entries.last().map_or(first, |last| last.name);
    let mut hasher = FixedState::default().build_hasher();
    first.hash(&mut hasher);
    last.hash(&mut hasher);
    Some(hasher.finish())
}

impl Relatives {
    /// What has a base in common.
    pub(super) fn of_chain(&self, chain: &Chain) -> Option<Relative> {
        let mut bases = chain.bases.iter();
        bases.find_map(|base| self.by_base.get(base).copied())
    }

    /// What seems to be the same folder.
    pub(super) fn of_folder(&self, folder: u64) -> Option<Relative> {
        self.by_folder.get(&folder).copied()
    }

    /// Notes that `relative`, with this chain, was written anew: as `object`.
    pub(super) fn note(
        &mut self,
        chain: &Chain,
        folder: Option<u64>,
        relative: Relative,
        object: &Object,
    ) {
        if relative.depth >= DEPTH_MAX {
            return;
        }
        for base in &chain.bases {
            self.by_base.insert(*base, relative);
        }
        if let Some(folder) = folder {
            self.by_folder.insert(folder, relative);
        }
        self.keep(relative.position, object);
    }

    /// What is at `position`, where it is at hand.
    pub(super) fn object(&self, position: u32) -> Option<Object> {
        self.kept.get(&position).cloned()
    }

    /// Has `object` at hand.
    pub(super) fn keep(&mut self, position: u32, object: &Object) {
        let bytes = object.data.len();
        if bytes > KEPT_BYTES_MAX / 8 {
            return;
        }
        if self.kept_bytes + bytes > KEPT_BYTES_MAX {
            self.kept.clear();
            self.kept_bytes = 0;
        }
        if self.kept.insert(position, object.clone()).is_none() {
            self.kept_bytes += bytes;
        }
    }

    /// Forgets all: another pack begins.
    pub(super) fn clear(&mut self) {
        *self = Relatives::default();
    }
}
