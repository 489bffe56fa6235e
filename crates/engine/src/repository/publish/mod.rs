//! The one door: the only way in which a repository changes.
//!
//! *Decide*: in turn, against the newest pending state, in microseconds; this is where a belief
//! that no longer holds is refused. *Durable*: one append for all that is waiting. *Visible*: the
//! snapshot is swapped. *Known*: listeners get the entry. An append that fails takes back what was
//! decided with it.
//!
//! `turns` decides on threads of its own, and one of these is the one that appends: see
//! `committer`. While it waits for the disk the others decide, for other repositories: whoever
//! comes to the same one gathers for its next turn. Nothing of it happens on the runtime that
//! serves requests.

mod answers;
mod committer;
mod decide;
mod together;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use govc_git::ObjectId;

use crate::journal::AppendError;
use crate::pool::Pool;
use crate::{Change, Entry, Expected, RefName, Repository, Seq, Snapshot, Time};

use answers::{Answers, Reply};
pub(crate) use committer::Committer;
pub(crate) use decide::Door;
pub use together::{AnswerTogether, TogetherError, publish_together};
pub(crate) use turns::{Turn, Turns};

/// Something that wants to change a repository, and says how when its turn comes.
///
/// A fixed [`Change`] is one; so is a function of the newest state: a commit "onto whatever the
/// branch is" learns its parent in its turn, and never fails because others commit.
pub trait Proposal: Send {
    /// Says what to change, given the newest state, decided but perhaps not durable yet. `None`:
    /// nothing. Called in turn, so for microseconds; called again when another writer moved the
    /// repository meanwhile.
    ///
    /// # Errors
    /// A refusal, which reaches the proposer as [`PublishError::Refused`].
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal>;
}

/// Why a proposal is withdrawn by itself; the proposer knows its type.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// What a proposal is decided against.
pub struct Pending<'a> {
    /// The repository after everything decided so far.
    pub snapshot: &'a Snapshot,
    /// Its objects, those of decided changes included.
    pub pool: &'a Arc<Pool>,
    /// The time that the entry will have.
    pub time: Time,
}

impl Proposal for Change {
    fn decide(&mut self, _: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        Ok(Some(self.clone()))
    }
}

impl<F> Proposal for F
where
    F: FnMut(&Pending<'_>) -> Result<Option<Change>, Refusal> + Send,
{
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        self(now)
    }
}

/// A change that is done.
#[derive(Debug, Clone)]
pub struct Published {
    /// The repository's number after it: that of the change, or where nothing was to be changed,
    /// the one there was.
    pub seq: Seq,
    /// What was decided; `None` where nothing was to be changed.
    pub entry: Option<Arc<Entry>>,
}

/// Why a proposal did not become a change.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A belief about a ref does not hold.
    #[error("{name} moved: expected {expected}, found {}", found(current.as_ref()))]
    RefMoved {
        /// The ref.
        name: RefName,
        /// What its writer believed.
        expected: Expected,
        /// What it is.
        current: Option<ObjectId>,
    },
    /// Git does not allow this name, or not for what it is to point at.
    #[error("{name} is not a valid ref: {why}")]
    RefInvalid {
        /// The name.
        name: RefName,
        /// Which rule it breaks.
        why: String,
    },
    /// One name is a folder of the other.
    #[error("{name} cannot be made while {with} exists")]
    RefConflict {
        /// The ref to be made.
        name: RefName,
        /// The one in its way.
        with: RefName,
    },
    /// The branch that HEAD names is not deleted.
    #[error("{name} is the default branch, which cannot be deleted")]
    CurrentBranch {
        /// The branch.
        name: RefName,
    },
    /// The proposal withdrew itself.
    #[error("{0}")]
    Refused(#[source] Refusal),
    /// The repository is deleted.
    #[error("the repository was deleted")]
    Deleted,
    /// It is a reality that was promoted: it can only be read.
    #[error("the reality was promoted, and is closed")]
    Closed,
    /// It is a reality that was discarded.
    #[error("the reality was discarded")]
    Discarded,
    /// What is on disk of the repository is damaged: nothing is written over it.
    #[error("the repository is damaged: {0}")]
    Damaged(Arc<str>),
    /// No room. Nothing was changed.
    #[error("there is no room for the change; nothing was changed")]
    Full,
    /// Nothing was changed, and trying again may help.
    #[error("the change could not be made durable, nothing was changed: {0}")]
    Unavailable(Arc<str>),
    /// Nobody knows whether the change became durable.
    #[error("it is not known whether the change became durable; read before trying again")]
    Unknown,
}

fn found(current: Option<&ObjectId>) -> String {
    current.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::Anything => f.write_str("anything"),
            Expected::Absent => f.write_str("nothing"),
            Expected::At(id) => id.fmt(f),
        }
    }
}

impl From<&AppendError> for PublishError {
    fn from(error: &AppendError) -> PublishError {
        match error {
            AppendError::Full => PublishError::Full,
            AppendError::Unknown => PublishError::Unknown,
            AppendError::Moved { .. } | AppendError::Failed(_) => {
                PublishError::Unavailable(error.to_string().into())
            }
        }
    }
}

/// What readers see of a repository. Swapped whole, never edited; only this module can.
pub(crate) struct Visible(ArcSwap<Shown>);

/// What readers see.
enum Shown {
    /// This.
    One(Arc<Snapshot>),
    /// One of these: several repositories change together once their shared flag is set.
    Either {
        before: Arc<Snapshot>,
        after: Arc<Snapshot>,
        is_after: Arc<AtomicBool>,
    },
}

impl Visible {
    pub(crate) fn new(first: Snapshot) -> Visible {
        Visible(ArcSwap::from_pointee(Shown::One(Arc::new(first))))
    }

    pub(crate) fn load(&self) -> Arc<Snapshot> {
        match &**self.0.load() {
            Shown::One(snapshot) => Arc::clone(snapshot),
            Shown::Either {
                before,
                after,
                is_after,
            } => match is_after.load(Ordering::Acquire) {
                true => Arc::clone(after),
                false => Arc::clone(before),
            },
        }
    }

    fn store(&self, next: Arc<Snapshot>) {
        self.0.store(Arc::new(Shown::One(next)));
    }

    /// Readers go on seeing what they see, until `is_after` is set.
    fn prepare(&self, after: Arc<Snapshot>, is_after: Arc<AtomicBool>) {
        let before = self.load();
        self.0.store(Arc::new(Shown::Either {
            before,
            after,
            is_after,
        }));
    }
}

/// A proposal on its way through the door.
pub(crate) struct Waiting {
    proposal: Box<dyn Proposal>,
    reply: Reply,
    /// Decide, and change nothing.
    rehearsal: bool,
    /// How often it was decided.
    tries: u8,
}

/// How often a proposal is decided before it is given up: once, and once more after another
/// writer moved the repository or an append that it was built on failed.
const TRIES_MAX: u8 = 3;

impl Waiting {
    fn answer(self, result: Result<Published, PublishError>) {
        self.reply.send(result);
    }
}

impl Repository {
    /// Changes the repository as `proposal` says when its turn comes. Returns when the change is
    /// as durable as the journal makes it, and visible.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was changed then, [`PublishError::Unknown`] excepted.
    pub async fn publish(
        self: &Arc<Self>,
        proposal: impl Proposal + 'static,
    ) -> Result<Published, PublishError> {
        self.propose(Box::new(proposal), false).await
    }

    /// What [`Repository::publish`] would answer. Changes nothing; the entry that it gives has
    /// the number that the change would have got.
    ///
    /// # Errors
    /// As [`Repository::publish`].
    pub async fn rehearse(
        self: &Arc<Self>,
        proposal: impl Proposal + 'static,
    ) -> Result<Published, PublishError> {
        self.propose(Box::new(proposal), true).await
    }

    async fn propose(
        self: &Arc<Self>,
        proposal: Box<dyn Proposal>,
        rehearsal: bool,
    ) -> Result<Published, PublishError> {
        let (reply, answer) = Reply::new();
        self.turns.enqueue(
            self,
            Waiting {
                proposal,
                reply,
                rehearsal,
                tries: 0,
            },
        );
        answer
            .await
            .unwrap_or_else(|_| Err(PublishError::Unavailable("shutting down".into())))
    }
}

impl Repository {
    /// Lets readers see `after`, which `entries` led to.
    fn show(&self, after: Arc<Snapshot>, entries: &[Arc<Entry>]) {
        self.note(entries);
        self.show_noted(after, entries);
    }

    /// Gets ready to let readers see `after`, which `entries` led to, once the flag is set.
    fn prepare(&self, after: Arc<Snapshot>, entries: &[Arc<Entry>], is_after: &Arc<AtomicBool>) {
        self.note(entries);
        self.visible.prepare(after, Arc::clone(is_after));
    }

    /// As [`Repository::show`], of entries that were noted.
    fn show_noted(&self, after: Arc<Snapshot>, entries: &[Arc<Entry>]) {
        let seq = after.seq;
        self.visible.store(after);
        if !entries.is_empty() {
            self.made.store(true, Ordering::Release);
        }
        self.seen.send_replace(seq);
    }
}
