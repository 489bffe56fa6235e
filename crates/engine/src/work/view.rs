//! One state of a repository, to read from.

use std::io;
use std::sync::Arc;

use crate::journal::Moment;
use crate::pool::{Pool, Visibility};
use crate::{Refs, Repository, Seq, Time};

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
    /// What the state reaches.
    pub visibility: Arc<Visibility>,
}

impl View {
    /// The repository as it is now.
    pub fn of(repository: &Repository) -> View {
        let snapshot = repository.snapshot();
        View {
            pool: Arc::clone(repository.pool()),
            refs: snapshot.refs.clone(),
            seq: snapshot.seq,
            time: snapshot.time,
            visibility: repository.visibility(),
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
        let pool = Arc::clone(repository.pool());
        Ok(repository.refs_at(moment)?.map(|past| {
            let visibility = Visibility::new(Arc::clone(&pool), past.refs.objects());
            let visibility = Arc::new(visibility);
            View {
                pool,
                refs: past.refs,
                seq: past.seq,
                time: past.time,
                visibility,
            }
        }))
    }
}
