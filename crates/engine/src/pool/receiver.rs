//! What the receiver of a thin pack has, besides what lies at the paths that changed.
//!
//! A pack that git made has deltas whose bases are anywhere in history. Whoever has a commit has
//! all that its ancestors introduced: such a delta can be sent as it is.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use govc_git::oid;

use super::pack_list::PoolPack;
use super::visibility::CommitSet;
use super::{CommitNumber, ObjectSet, Pool};

/// So many sets of commits are remembered: clients that fetch often have nearly the same.
const KEPT_MAX: usize = 4;

/// A receiver that has some commits and all that they reach.
pub(super) struct Receiver {
    /// Sorted.
    haves: Vec<CommitNumber>,
    /// They and all their ancestors, once anybody asked.
    commits: OnceLock<Arc<CommitSet>>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.haves).finish()
    }
}

impl Receiver {
    /// One that has `haves`.
    pub(super) fn new(mut haves: Vec<CommitNumber>) -> Receiver {
        haves.sort_unstable();
        haves.dedup();
        Receiver {
            haves,
            commits: OnceLock::new(),
        }
    }

    fn commits(&self, pool: &Pool) -> &CommitSet {
        self.commits.get_or_init(|| pool.reached_by(&self.haves))
    }

    /// Whether it is known to have `id`, a tree or a blob.
    pub(super) fn has(&self, pool: &Pool, id: &oid) -> bool {
        let commits = self.commits(pool);
        pool.is_introduced_by(id, |commit| commits.contains(commit))
    }

    /// Whether it is at once known to have what is at a position of a pack.
    pub(super) fn has_at(&self, pool: &Pool, pack: &PoolPack, position: u32) -> bool {
        let commits = self.commits(pool);
        let noted = pack.introducer(position).map(CommitNumber);
        noted.is_some_and(|commit| commits.contains(commit))
    }

    /// Whether it has the same as `other`.
    pub(super) fn is_same(&self, other: &Receiver) -> bool {
        self.haves == other.haves
    }
}

/// Commits and all their ancestors, those that were asked for last first.
#[derive(Default)]
pub(super) struct ReachedSets(Mutex<Vec<ReachedSet>>);

#[derive(Clone)]
struct ReachedSet {
    tips: Vec<CommitNumber>,
    commits: Arc<CommitSet>,
    /// The graph's [`mended`](super::Graph::mended) when it was made.
    mended: u32,
}

impl Pool {
    /// Takes out of `set` the trees and blobs that its receiver is known to have: contents that came
    /// back.
    pub(super) fn leave_out_known(&self, set: &mut ObjectSet) {
        let Some(receiver) = set.receiver.clone() else {
            return;
        };
        let commits = receiver.commits(self);
        self.introduced.each_of_others(|others| {
            for part in &mut set.parts {
                let pack = Arc::clone(&part.pack);
                part.retain_each(
                    |_| u64::MAX,
                    |position| {
                        let Some(first) = pack.introducer(position).map(CommitNumber) else {
                            return true;
                        };
                        let id = pack.pack.index().id(position);
                        let mut more = others.get(id).into_iter().flatten();
                        !commits.contains(first)
                            && !more.any(|&commit| commits.contains(CommitNumber(commit)))
                    },
                );
            }
        });
        set.parts.retain(|part| part.count > 0);
    }

    /// `tips`, which are sorted, and all their ancestors: made from a set that was made before
    /// where they reach all of that.
    fn reached_by(&self, tips: &[CommitNumber]) -> Arc<CommitSet> {
        let mended = self.graph.mended();
        let mut all = self
            .reached
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        all.retain(|set| set.mended == mended);
        if let Some(known) = all.iter().find(|set| set.tips == tips) {
            return Arc::clone(&known.commits);
        }
        let newest = tips.iter().max_by_key(|&&tip| self.graph.generation(tip));
        let reaches_all = |set: &&ReachedSet| {
            let reaches = |old: &CommitNumber| {
                tips.binary_search(old).is_ok()
                    || newest.is_some_and(|&newest| self.graph.is_ancestor(*old, newest))
            };
            set.tips.iter().all(reaches)
        };
        let part = all.iter().find(reaches_all);
        let mut commits = part.map_or_else(CommitSet::default, |set| (*set.commits).clone());
        commits.add_ancestors(&self.graph, tips.iter().copied());
        let commits = Arc::new(commits);
        let mut kept = self
            .reached
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.retain(|set| set.mended == mended && set.tips != tips);
        kept.insert(
            0,
            ReachedSet {
                tips: tips.to_vec(),
                commits: Arc::clone(&commits),
                mended,
            },
        );
        kept.truncate(KEPT_MAX);
        commits
    }
}
