//! What a repository has beside its record, its refs and its objects.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use govc_engine::repository::realities::KeyPrefix;
use govc_engine::repository::{hooks, transactions, workspaces};
use govc_engine::{
    Entry, EntryEdit, Fate, Hooks, Lfs, MadeBatch, Realities, RealityId, RefName, Refs, RepoKey,
    Seq, Target, Time, Transactions, Workspaces,
};

/// What a repository has beside its record, its refs and its objects. The store does not keep it
/// in memory: the engine has it, and the checkpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Holdings {
    /// Large files and locks.
    pub(crate) lfs: Lfs,
    /// Workspaces that were touched.
    pub(crate) workspaces: Workspaces,
    /// Transactions.
    pub(crate) transactions: Transactions,
    /// Webhooks.
    pub(crate) hooks: Hooks,
    /// What was made from it, and what became of that.
    pub(crate) realities: Realities,
    /// Realities that were made in it, and written to.
    pub(crate) written: BTreeMap<RepoKey, SavedReality>,
}

/// A reality that was written to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SavedReality {
    pub(crate) seq: Seq,
    pub(crate) step: u32,
    pub(crate) time: Time,
    /// How often the node's numbers had jumped when the entry `seq` was made.
    pub(crate) epoch: u64,
    /// The refs that it changed, and what they are.
    pub(crate) overlay: BTreeMap<RefName, Target>,
    /// What else it has. What was made in it is held by the repository, not here.
    pub(crate) holdings: Box<Holdings>,
    /// Since when a checkpoint knows that it was discarded.
    pub(crate) gone_since: Option<Time>,
}

type Batches<'a> = HashMap<KeyPrefix, &'a MadeBatch>;

/// Where git sees the refs of realities.
pub(crate) const REALITY_REFS: &[u8] = b"refs/govc/realities/";

impl Holdings {
    /// The stashes that `git stash list` shows, oldest first.
    pub(crate) fn stashes(&self) -> Vec<govc_git::ObjectId> {
        let workspace = self.workspaces.get(govc_engine::DEFAULT_WORKSPACE);
        workspace.map_or_else(Vec::new, |workspace| workspace.stashes.to_vec())
    }

    /// Becomes what it is after `entry`, which was made when numbers had jumped `epoch` times.
    pub(crate) fn apply(&mut self, entry: &Entry, epoch: u64) {
        if entry.host.is_some() {
            let reality = self.written.entry(entry.repo).or_default();
            reality.apply(entry, epoch);
            return;
        }
        self.apply_own(entry);
    }

    fn apply_own(&mut self, entry: &Entry) {
        self.lfs.apply(entry);
        workspaces::apply(&mut self.workspaces, entry);
        transactions::apply(&mut self.transactions, entry);
        hooks::apply(&mut self.hooks, entry);
        self.realities.apply(entry, None);
    }

    /// Lets go of the realities that are known to have been discarded for as long as `keep`.
    pub(crate) fn forget_gone(&mut self, now: Time, keep: Duration) {
        let batches = self.batches();
        let here = self.written.keys().copied();
        let gone: Vec<RepoKey> = here.filter(|key| self.is_gone(&batches, *key)).collect();
        for key in gone {
            let Some(reality) = self.written.get_mut(&key) else {
                continue;
            };
            let since = *reality.gone_since.get_or_insert(now);
            if passed(since, now) >= keep {
                self.written.remove(&key);
            }
        }
        self.realities = self.realities.without_what_is_gone();
    }

    /// Since when the first of those is discarded that are not forgotten.
    pub(crate) fn first_gone(&self) -> Option<Time> {
        let written = self.written.values();
        written.filter_map(|reality| reality.gone_since).min()
    }

    /// The batches by the beginnings of their keys.
    fn batches(&self) -> Batches<'_> {
        let batches = self.realities.batches(0);
        batches.map(|made| (made.batch.keys, &**made)).collect()
    }

    /// Whether the reality `key` is gone, of which an entry was found that follows nothing.
    pub(crate) fn is_of_the_past(&self, key: RepoKey) -> bool {
        self.is_gone(&self.batches(), key)
    }

    /// Whether the reality `key` was discarded, or one that it was made from.
    fn is_gone(&self, batches: &Batches<'_>, key: RepoKey) -> bool {
        let mut next = made(batches, key);
        if next.is_none() {
            return true;
        }
        while let Some((made, id)) = next {
            if self.realities.fate(id) == Fate::Discarded {
                return true;
            }
            let Some(parent) = made.batch.parent else {
                return false;
            };
            // A parent was made before its children.
            let Some(of) = self
                .realities
                .batch(parent.made)
                .filter(|of| of.seq < made.seq)
            else {
                return true;
            };
            let recorded = self.written.get(&of.batch.key(parent.index));
            if recorded.is_some_and(|parent| parent.holdings.realities.fate(id) == Fate::Discarded)
            {
                return true;
            }
            next = Some((&**of, parent));
        }
        false
    }

    /// All refs that git is to see: those of the repository, and those that realities changed.
    pub(crate) fn shown(&self, refs: &Refs) -> Refs {
        if self.written.is_empty() {
            return refs.clone();
        }
        let mut of_realities = Vec::new();
        let batches = self.batches();
        for (key, reality) in &self.written {
            if reality.gone_since.is_some() {
                continue;
            }
            let Some((made, id)) = made(&batches, *key) else {
                continue;
            };
            let Some(name) = made.batch.names.get(id.index) else {
                continue;
            };
            for (full, target) in &reality.overlay {
                let bytes = full.as_bytes();
                let short = bytes.strip_prefix(b"refs/").unwrap_or(bytes);
                if let Target::At(_) = target {
                    let there = [REALITY_REFS, name.as_bytes(), b"/", short].concat();
                    of_realities.push((RefName::new(there), target.clone()));
                }
            }
        }
        if of_realities.is_empty() {
            return refs.clone();
        }
        let own = refs
            .iter()
            .map(|(name, target)| (name.clone(), target.clone()));
        Refs::from_entries(own.chain(of_realities))
    }
}

/// How long it is from `since` to `now`; nothing where a clock was set back.
pub(crate) fn passed(since: Time, now: Time) -> Duration {
    let micros = now.0.saturating_sub(since.0);
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn made<'a>(batches: &Batches<'a>, key: RepoKey) -> Option<(&'a MadeBatch, RealityId)> {
    let made = *batches.get(key.0.get(..12)?)?;
    let index = made.batch.index_of(key)?;
    Some((
        made,
        RealityId {
            made: made.seq,
            index,
        },
    ))
}

impl SavedReality {
    fn apply(&mut self, entry: &Entry, epoch: u64) {
        (self.seq, self.step, self.time) = (entry.seq, entry.step, entry.time);
        if entry.step == 0 {
            self.epoch = epoch;
        }
        for edit in &entry.edits {
            if let EntryEdit::Ref { name, after, .. } = edit {
                self.overlay.insert(name.clone(), after.clone());
            }
        }
        self.holdings.apply_own(entry);
    }
}
