//! A journal that fails when told to, so that every way of failing is tested.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{AppendError, Batch, Floor, Journal, Moment, PastRefs, Position};
use crate::{Entry, RepoKey, Seq};

/// Passes everything on to another journal, except for the appends that it was told to fail.
pub struct FailingJournal<J> {
    inner: J,
    planned: Mutex<VecDeque<Failure>>,
}

/// How an append fails.
#[derive(Debug)]
pub enum Failure {
    /// It does not fail: the next one may.
    Pass,
    /// It is refused with this error, and nothing is written.
    Refuse(AppendError),
    /// It is written, and nobody is told.
    WriteAndForget,
}

impl<J> FailingJournal<J> {
    /// Passes on to `inner`.
    pub fn new(inner: J) -> FailingJournal<J> {
        FailingJournal {
            inner,
            planned: Mutex::default(),
        }
    }

    /// The journal behind it.
    pub fn inner(&self) -> &J {
        &self.inner
    }

    /// Plans what happens to the next appends, in order; after them all pass.
    pub fn plan(&self, failures: impl IntoIterator<Item = Failure>) {
        self.planned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(failures);
    }
}

impl<J: Journal> Journal for FailingJournal<J> {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Position, AppendError>> {
        let planned = self
            .planned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        match planned {
            None | Some(Failure::Pass) => self.inner.append(batch),
            Some(Failure::Refuse(error)) => async move { Err(error) }.boxed(),
            Some(Failure::WriteAndForget) => async move {
                self.inner
                    .append(batch)
                    .await
                    .and(Err(AppendError::Unknown))
            }
            .boxed(),
        }
    }

    fn entries(
        &self,
        repo: RepoKey,
        after: Option<Seq>,
        limit: usize,
    ) -> io::Result<Vec<Arc<Entry>>> {
        self.inner.entries(repo, after, limit)
    }

    fn refs_at(&self, repo: RepoKey, moment: Moment) -> io::Result<Option<PastRefs>> {
        self.inner.refs_at(repo, moment)
    }

    fn floor(&self, repo: RepoKey) -> Option<Floor> {
        self.inner.floor(repo)
    }
}
