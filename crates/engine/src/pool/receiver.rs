//! What the receiver of a thin pack has, besides what lies at the paths that changed.
//!
//! A pack that git made has deltas whose bases are anywhere in history. Whoever has a commit has
//! all that its ancestors introduced: such a delta can be sent as it is.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use govc_git::oid;

use super::visibility::CommitSet;
use super::{CommitNumber, Pool};

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

    /// Whether it is known to have `id`, a tree or a blob.
    pub(super) fn has(&self, pool: &Pool, id: &oid) -> bool {
        let commits = self.commits.get_or_init(|| pool.reached_by(&self.haves));
        pool.is_introduced_by(id, |commit| commits.contains(commit))
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
