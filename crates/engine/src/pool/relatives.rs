//! New bases for deltas whose own base is not sent.
//!
//! Deltas of one pack hang together: who has the same base somewhere down its chain is another
//! version of the same file. Where the base of a delta is not sent, such a relative that is sent
//! is the best base that can be had without a search.

use govc_git::Object;
use govc_git::pack::Pack;
use govc_git::pack::entry::{EntryKind, parse_header};
use hashbrown::HashMap;

/// Chains are followed so far: git's are no longer, unless somebody asked for it.
const CHAIN_MAX: usize = 64;
/// Bytes of relatives that are at hand.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// Entries of a pack that were sent whole although they are deltas, by the bases down their chains.
#[derive(Default)]
pub(super) struct Relatives {
    /// Where an entry begins that is in the chain of one that was sent: that one's position.
    by_base: HashMap<u64, u32>,
    /// Contents of some of them.
    kept: HashMap<u32, Object>,
    kept_bytes: usize,
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

impl Relatives {
    /// The position of an entry that was sent and has a base in common.
    pub(super) fn find(&self, chain: &Chain) -> Option<u32> {
        let mut bases = chain.bases.iter();
        bases.find_map(|base| self.by_base.get(base).copied())
    }

    /// Notes that the entry at `position`, with this chain, was sent whole: as `object`.
    pub(super) fn note(&mut self, chain: &Chain, position: u32, object: &Object) {
        for base in &chain.bases {
            self.by_base.entry(*base).or_insert(position);
        }
        self.keep(position, object);
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
