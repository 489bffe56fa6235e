//! One state of a repository, to read from.

use std::io;
use std::sync::{Arc, OnceLock};

use govc_git::ObjectId;

use crate::journal::Moment;
use crate::pool::{Pool, Visibility};
use crate::{RefName, Refs, Repository, Seq, Snapshot, Target, Time};

/// One state of a repository, now or in its past: what every read reads from.
#[derive(Clone)]
pub struct View {
    /// The objects. That one is there does not mean that this state sees it.
    pub pool: Arc<Pool>,
    /// All refs of the state.
    pub refs: Refs,
    /// The number of the change that made it.
    pub seq: Seq,
    /// When that was.
    pub time: Time,
    /// What a scope holds beyond what the refs reach.
    beyond: Vec<ObjectId>,
    /// What the state reaches. Most reads never ask: it is made when one does.
    visibility: OnceLock<Arc<Visibility>>,
    /// Whose state of now it is; `None` for the past.
    now_of: Option<Arc<Repository>>,
}

impl View {
    /// The repository as it is now.
    pub fn of(repository: &Arc<Repository>) -> View {
        View::of_snapshot(repository, &repository.snapshot())
    }

    /// The repository as it is now, or was a moment ago, in `snapshot`.
    pub fn of_snapshot(repository: &Arc<Repository>, snapshot: &Snapshot) -> View {
        View {
            pool: Arc::clone(repository.pool()),
            refs: snapshot.refs.clone(),
            seq: snapshot.seq,
            time: snapshot.time,
            beyond: Vec::new(),
            visibility: OnceLock::new(),
            now_of: Some(Arc::clone(repository)),
        }
    }

    /// The repository as it was; `None` where `moment` is before its making, or names a change
    /// that has not happened yet.
    ///
    /// # Errors
    /// Whatever reading its history met.
    pub fn at(repository: &Repository, moment: Moment) -> io::Result<Option<View>> {
        if matches!(moment, Moment::Seq(seq) if seq > repository.snapshot().seq) {
            return Ok(None);
        }
        Ok(repository.refs_at(moment)?.map(|past| {
            let pool = Arc::clone(repository.pool());
            View::of_refs(pool, past.refs, past.seq, past.time)
        }))
    }

    /// `refs` over `pool`, whosever they are.
    pub fn of_refs(pool: Arc<Pool>, refs: Refs, seq: Seq, time: Time) -> View {
        View {
            pool,
            refs,
            seq,
            time,
            beyond: Vec::new(),
            visibility: OnceLock::new(),
            now_of: None,
        }
    }

    /// The same state as a scope sees it: HEAD is `head`, and all that `roots` reach is visible
    /// too.
    #[must_use]
    pub fn within(mut self, head: Target, roots: Vec<ObjectId>) -> View {
        self.refs.set(RefName::head(), head);
        self.beyond = roots;
        self.visibility = OnceLock::new();
        self
    }

    /// What the state reaches.
    pub fn visibility(&self) -> &Visibility {
        self.visibility.get_or_init(|| match &self.now_of {
            // Shared by all readers. It may be that of a later state: then it is what one may
            // see by now.
            Some(repository) if self.beyond.is_empty() => repository.visibility(),
            _ if self.beyond.is_empty() => {
                Arc::new(Visibility::new(Arc::clone(&self.pool), &self.refs))
            }
            _ => {
                let mut roots = self.refs.objects();
                roots.extend(&self.beyond);
                Arc::new(Visibility::new(Arc::clone(&self.pool), roots))
            }
        })
    }
}
