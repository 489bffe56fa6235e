//! What the store knows of one repository.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use govc_engine::journal::{Floor, PackId};
use govc_engine::{Entry, EntryEdit, Place, RepoKey, RepositoryRecord, Seq, Time};

use crate::history::HistoryIndex;
use crate::history::realities::RealityHistory;
use crate::projection::Seen;

/// One repository. Refs are not here: the engine has them, and the directory.
pub(crate) struct Repo {
    pub(crate) key: RepoKey,
    /// What changes with every entry. Held for moments, never over the disk.
    pub(crate) state: Mutex<RepoState>,
    /// Where its directory is, if it has one yet. Held to be read for as long as somebody works
    /// in it, to be written to move it.
    pub(crate) place: RwLock<Option<PathBuf>>,
    /// It was moved there, and that is not known to be durable.
    pub(crate) unsettled: AtomicBool,
    /// One checkpoint at a time; a fork's waits for its parent's, never the other way round.
    pub(crate) checkpointing: Mutex<()>,
    /// Held while its directory is made. Taken before the store's `moving`.
    pub(crate) making: Mutex<()>,
    /// One compaction at a time. Taken before `checkpointing`.
    pub(crate) compacting: Mutex<()>,
    /// Packs that have arrived, and that no entry names yet. Held while files of packs get their
    /// names or are removed, so that a pack which is pushed once more is not the one that goes.
    naming: Mutex<HashSet<PackId>>,
    /// It is not compacted by itself before that moment.
    calm: Mutex<Option<Instant>>,
    /// The greatest number of a file of history that may have been written.
    pub(crate) history_top: AtomicU64,
}

pub(crate) struct RepoState {
    pub(crate) record: Arc<RepositoryRecord>,
    pub(crate) seq: Seq,
    pub(crate) step: u32,
    pub(crate) time: Time,
    /// How often the node's numbers had jumped when the entry `seq` was made.
    pub(crate) epoch: u64,
    /// Oldest first, those of entries beyond the checkpoint too.
    pub(crate) packs: Vec<PackId>,
    /// Packs that were merged into others, and since when. One that is listed again does not count
    /// as replaced, though it is here.
    pub(crate) replaced: Vec<(PackId, Time)>,
    /// Entries beyond the checkpoint, oldest first.
    pub(crate) recent: VecDeque<Recent>,
    /// Bytes of their objects.
    pub(crate) recent_bytes: usize,
    /// When the oldest of them came, by the process's clock.
    pub(crate) recent_since: Option<Instant>,
    /// The last checkpoint.
    pub(crate) saved: Option<Saved>,
    /// The next checkpoint begins this file of history, and of its realities': the last one may
    /// not be written any more.
    pub(crate) history_anew: Option<u64>,
    /// `packed-refs` and HEAD are behind the checkpoint.
    pub(crate) projection_due: bool,
    /// Writing them failed half way: nobody knows what of it is durable.
    pub(crate) projection_doubtful: bool,
    /// Packs were found that the checkpoint does not list.
    pub(crate) packs_due: bool,
    /// What nobody keeps any more.
    pub(crate) retained: Retained,
    /// The same as its litter, since a collection began that may be going on.
    pub(crate) new_litter: bool,
    /// The next checkpoint cuts history so that it begins with this state, and forgets realities
    /// whose time is over.
    pub(crate) cut: Option<Cut>,
    /// Why nothing is written to it any more.
    pub(crate) damage: Option<String>,
    /// The oldest segment of the log that is kept because of its damage.
    pub(crate) pinned: Option<u64>,
    /// Removed for good; what still arrives is refused.
    pub(crate) purged: bool,
}

/// An entry beyond the checkpoint, and the segment that it is in.
#[derive(Clone)]
pub(crate) struct Recent {
    pub(crate) entry: Arc<Entry>,
    pub(crate) segment: u64,
    /// How often the node's numbers had jumped.
    pub(crate) epoch: u64,
    /// Where the repository itself was then: a reality's entries have numbers of their own.
    pub(crate) at: (Place, Time),
}

/// What is kept of the past, and what was looked for that nothing kept reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Retained {
    /// The oldest state that may be asked for; all where there is none.
    pub(crate) floor: Option<Floor>,
    /// The floor when objects were looked for that nothing reaches.
    pub(crate) collected: Option<Seq>,
    /// Something may have lost its last reference since then, whatever the floor is.
    pub(crate) litter: bool,
}

/// What the next checkpoint is to let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The oldest state that may be asked for from then on.
    pub(crate) floor: Option<Floor>,
    /// The state that history is to begin with: that one, or an older one that something was made
    /// from. `None`: history stays as it is.
    pub(crate) base: Option<Floor>,
}

/// What of the last checkpoint is asked for often.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    pub(crate) seq: Seq,
    pub(crate) history: Arc<HistoryIndex>,
    pub(crate) reality_history: Arc<RealityHistory>,
    /// What `packed-refs` and HEAD are.
    pub(crate) on_disk: Seen,
    pub(crate) graph_commits: u64,
    /// Since when the first of those realities is discarded that are not forgotten.
    pub(crate) first_gone: Option<Time>,
}

impl Repo {
    pub(crate) fn new(key: RepoKey, state: RepoState, place: Option<PathBuf>) -> Arc<Repo> {
        Arc::new(Repo {
            key,
            state: Mutex::new(state),
            place: RwLock::new(place),
            unsettled: AtomicBool::new(false),
            checkpointing: Mutex::default(),
            making: Mutex::default(),
            compacting: Mutex::default(),
            naming: Mutex::default(),
            calm: Mutex::default(),
            history_top: AtomicU64::new(0),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, RepoState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The packs that no entry names yet. Taken before `state`, never the other way round.
    pub(crate) fn naming(&self) -> MutexGuard<'_, HashSet<PackId>> {
        self.naming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when it is not compacted by itself.
    pub(crate) fn calm(&self) -> MutexGuard<'_, Option<Instant>> {
        self.calm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where its directory is now, for messages and comparisons.
    pub(crate) fn where_now(&self) -> Option<PathBuf> {
        self.place
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl RepoState {
    /// A repository that its first entry makes.
    pub(crate) fn new(record: Arc<RepositoryRecord>) -> RepoState {
        RepoState {
            record,
            seq: 0,
            step: 0,
            time: Time::default(),
            epoch: 0,
            packs: Vec::new(),
            replaced: Vec::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            recent_since: None,
            saved: None,
            history_anew: None,
            projection_due: false,
            projection_doubtful: false,
            packs_due: false,
            retained: Retained::default(),
            new_litter: false,
            cut: None,
            damage: None,
            pinned: None,
            purged: false,
        }
    }

    /// Takes the next entry.
    pub(crate) fn push(&mut self, entry: Arc<Entry>, segment: u64, epoch: u64) {
        if entry.host.is_none() {
            if let Some(record) = record_after(&entry) {
                self.record = Arc::new(record.clone());
            }
            self.seq = entry.seq;
            self.step = entry.step;
            self.time = entry.time;
            if entry.step == 0 {
                // A step has the number that there was: where numbers jumped, the next one still does.
                self.epoch = epoch;
            }
        }
        for pack in &entry.objects.packs {
            if !self.packs.contains(pack) {
                self.packs.push(*pack);
            }
        }
        if litters(&entry) {
            self.retained.litter = true;
            self.new_litter = true;
        }
        self.recent_bytes += entry.objects.inline_bytes();
        self.recent_since.get_or_insert_with(Instant::now);
        self.recent.push_back(Recent {
            entry,
            segment,
            epoch,
            at: ((self.seq, self.step), self.time),
        });
    }

    /// Notes that the packs `old` were merged into another.
    pub(crate) fn replace(&mut self, old: &[PackId], now: Time) {
        self.replaced.retain(|(pack, _)| !old.contains(pack));
        self.replaced.extend(old.iter().map(|pack| (*pack, now)));
    }

    /// Whether a checkpoint has something to do.
    pub(crate) fn is_due(&self) -> bool {
        !self.recent.is_empty() || self.projection_due || self.packs_due || self.cut.is_some()
    }

    /// The oldest segment of the log that is needed because of it.
    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        let recent = self.recent.front().map(|recent| recent.segment);
        recent.into_iter().chain(self.pinned).min()
    }
}

/// Whether something may have lost its last reference by an entry, though it is not in the past of
/// refs: what was staged, in workspaces, transactions and realities.
fn litters(entry: &Entry) -> bool {
    let of_staging = |edit: &EntryEdit| {
        matches!(
            edit,
            EntryEdit::Workspace { .. } | EntryEdit::Transaction { .. } | EntryEdit::Reality(_)
        )
    };
    entry.step > 0 || entry.host.is_some() || entry.edits.iter().any(of_staging)
}

/// The record that an entry leads to, if it changes it.
pub(crate) fn record_after(entry: &Entry) -> Option<&RepositoryRecord> {
    entry.edits.iter().rev().find_map(|edit| match edit {
        EntryEdit::Repository { after, .. } => Some(&**after),
        _ => None,
    })
}

/// Whether an entry makes its repository.
pub(crate) fn makes(entry: &Entry) -> bool {
    let made = |edit: &EntryEdit| matches!(edit, EntryEdit::Repository { before: None, .. });
    entry.edits.iter().any(made)
}
