//! A repository while it is put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use govc_engine::{Entry, Refs, RepositoryRecord};

use super::JUMP;
use crate::holdings::Holdings;
use crate::projection::Seen;
use crate::repo::{RepoState, Saved};
use crate::{checkpoint, format, history};

/// A repository while it is put together.
pub(super) struct Loading {
    pub(super) state: RepoState,
    pub(super) refs: Refs,
    pub(super) holdings: Holdings,
    pub(super) dir: Option<PathBuf>,
    /// What the files of refs may be, though nobody else has touched them.
    pub(super) projected: Option<Projected>,
    /// Entries of it may be missing here, and why.
    pub(super) suspicion: Option<(String, u64)>,
}

/// What we made of the refs' files, when there was a checkpoint.
pub(super) struct Projected {
    /// The refs of the checkpoint: what the files are to show.
    pub(super) refs: Refs,
    /// So they look then.
    pub(super) to_come: Seen,
    /// So they looked before.
    pub(super) before: Seen,
}

impl Loading {
    pub(super) fn from(found: format::Checkpoint, dir: &Path) -> Loading {
        let to_come = Seen {
            packed: found.packed_to_come,
            loose: checkpoint::projection(&found.holdings.shown(&found.refs), &[]).loose,
        };
        let mut state = RepoState::new(Arc::new(found.record));
        state.seq = found.seq;
        state.step = found.step;
        state.time = found.time;
        state.epoch = found.epoch;
        state.packs = found.packs;
        state.replaced = found.replaced;
        state.retained = found.retained;
        state.saved = Some(Saved {
            seq: found.seq,
            history: Arc::new(found.history),
            reality_history: Arc::new(found.reality_history),
            // Recovery looks, and says what is there.
            on_disk: Seen::default(),
            graph_commits: found.graph_commits,
            first_gone: found.holdings.first_gone(),
        });
        Loading {
            state,
            refs: found.refs.clone(),
            holdings: found.holdings,
            dir: Some(dir.to_owned()),
            projected: Some(Projected {
                refs: found.refs,
                to_come,
                before: found.before,
            }),
            suspicion: None,
        }
    }

    pub(super) fn new(record: RepositoryRecord, dir: Option<PathBuf>) -> Loading {
        Loading {
            state: RepoState::new(Arc::new(record)),
            refs: Refs::default(),
            holdings: Holdings::default(),
            dir,
            projected: None,
            suspicion: None,
        }
    }

    pub(super) fn damage(&mut self, why: String, segment: u64) {
        self.state.damage.get_or_insert(why);
        self.state.pinned.get_or_insert(segment);
    }
}

impl Loading {
    pub(super) fn entry(&mut self, entry: Entry, segment: u64, epoch: u64) {
        if entry.host.is_some() {
            self.entry_of_reality(entry, segment, epoch);
            return;
        }
        let is_new = self.state.saved.is_none() && self.state.recent.is_empty();
        let (seq, step) = (self.state.seq, self.state.step);
        let number = (entry.seq, entry.step);
        if !is_new && number <= (seq, step) {
            // The checkpoint has it, and all before it.
            self.suspicion = None;
            return;
        }
        let jump = JUMP * epoch.saturating_sub(self.state.epoch);
        let follows = match is_new {
            true => number == (0, 0),
            false => {
                number == (seq, step + 1) || number == (seq + 1, 0) || number == (seq + 1 + jump, 0)
            }
        };
        if !follows {
            let why = match self.suspicion.take() {
                Some((why, _)) => why,
                None => "the log has a gap".to_owned(),
            };
            let why = format!("{why}: change {} follows change {seq}", entry.seq);
            self.damage(why, segment);
            return;
        }
        self.suspicion = None;
        history::apply(&mut self.refs, &entry);
        self.holdings.apply(&entry, epoch);
        self.state.push(Arc::new(entry), segment, epoch);
    }

    /// An entry of one of its realities.
    fn entry_of_reality(&mut self, entry: Entry, segment: u64, epoch: u64) {
        let number = (entry.seq, entry.step);
        let follows = match self.holdings.written.get(&entry.repo) {
            Some(known) if number <= (known.seq, known.step) => {
                // The checkpoint has it.
                self.suspicion = None;
                return;
            }
            Some(known) => {
                let jump = JUMP * epoch.saturating_sub(known.epoch);
                number == (known.seq, known.step + 1)
                    || number == (known.seq + 1, 0)
                    || number == (known.seq + 1 + jump, 0)
            }
            None => number == (1, 0) || number == (0, 1),
        };
        if self.holdings.is_of_the_past(entry.repo) {
            // Its checkpoint knows that it was discarded, and has forgotten what it was.
            return;
        }
        if !follows {
            let why = match self.suspicion.take() {
                Some((why, _)) => why,
                None => "the log has a gap".to_owned(),
            };
            let (seq, reality) = (entry.seq, entry.repo);
            self.damage(
                format!("{why}: change {seq} of the reality {reality} follows nothing"),
                segment,
            );
            return;
        }
        self.holdings.apply(&entry, epoch);
        self.state.push(Arc::new(entry), segment, epoch);
    }
}
