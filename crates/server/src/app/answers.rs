//! Answers that are found again in the log: a write with an `Idempotency-Key` has in its entry
//! what gives the same answer again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use govc_engine::{
    Entry, EntryEdit, Found, Listener, Place, RealityEdit, RepoKey, Repository, Time,
};
use hashbrown::HashMap;

use super::App;
use super::error::AppError;
use super::realities::body::Bodies;
use super::repos::RepositoryState;
use crate::http::idempotency::{Answer, KEPT, Key};

pub use super::logged::{Logged, LoggedRealities, LoggedRepository};

/// Where the writes of the last day are that have an answer in them, by key.
#[derive(Debug, Default)]
pub struct LoggedAnswers(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    places: HashMap<[u8; 32], AnswerPlace>,
    /// Keys with the time of their writes, about in their order.
    order: VecDeque<(Time, [u8; 32])>,
}

/// Where an entry is that has an answer in it.
#[derive(Debug, Clone, Copy)]
struct AnswerPlace {
    repo: RepoKey,
    /// The reality of that repository that it is in.
    reality: Option<RepoKey>,
    place: Place,
}

impl AnswerPlace {
    fn of(entry: &Entry) -> AnswerPlace {
        AnswerPlace {
            repo: entry.host.unwrap_or(entry.repo),
            reality: entry.host.map(|_| entry.repo),
            place: (entry.seq, entry.step),
        }
    }
}

impl LoggedAnswers {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, key: &Key) -> Option<AnswerPlace> {
        self.lock().places.get(&key.key).copied()
    }
}

impl Listener for LoggedAnswers {
    fn known(&self, entry: &Arc<Entry>) {
        let Some(kept) = &entry.cause.idempotency else {
            return;
        };
        let mut index = self.lock();
        index.places.insert(kept.key, AnswerPlace::of(entry));
        index.order.push_back((entry.time, kept.key));
        let oldest = Time(entry.time.0 - micros(KEPT));
        while let Some((_, key)) = index.order.pop_front_if(|(time, _)| *time < oldest) {
            index.places.remove(&key);
        }
    }
}

impl App {
    /// The answer of a write that was logged, by this run of the server or one before.
    pub async fn logged_answer(&self, key: &Key) -> Option<Result<Answer, AppError>> {
        match self.find_logged(key).await {
            Ok(found) => found.map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    async fn find_logged(&self, key: &Key) -> Result<Option<Answer>, AppError> {
        self.read_logged().await?;
        let Some(there) = self.0.logged.place(key) else {
            return Ok(None);
        };
        let Some(found) = self.engine()?.find_by_key(there.repo) else {
            return Ok(None);
        };
        let repository = self.in_memory(found).await?;
        let key = key.clone();
        self.offload(move || {
            let found = Found::Here(Arc::clone(&repository));
            let entry = found.entry(there.reality, there.place);
            let Some(entry) = entry.map_err(AppError::internal)? else {
                return Ok(None);
            };
            let Some(kept) = entry
                .cause
                .idempotency
                .as_ref()
                .filter(|kept| kept.key == key.key)
            else {
                return Ok(None);
            };
            if kept.request != key.request {
                return Err(AppError::IdempotencyKeyReused);
            }
            again(&repository, &entry, &Logged::read(&kept.answer)?).map(Some)
        })
        .await?
    }

    /// Looks once for what runs before this one logged.
    async fn read_logged(&self) -> Result<(), AppError> {
        let engine = Arc::clone(self.engine()?);
        let answers = Arc::clone(&self.0.logged);
        let read = || async move {
            let since = Time(engine.clock().now().0 - micros(KEPT));
            self.offload(move || {
                for repository in engine.all() {
                    let read = repository.answered(since, &mut |entry| answers.known(entry));
                    read.map_err(AppError::internal)?;
                }
                Ok(())
            })
            .await?
        };
        self.0.logged_read.get_or_try_init(read).await.copied()
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// The realities that an entry made, as they were answered.
fn made_realities(
    repository: &Arc<Repository>,
    entry: &Entry,
    rest: &LoggedRealities,
) -> Result<Option<Vec<u8>>, AppError> {
    let snapshot = repository.snapshot();
    let bodies = Bodies::of(&snapshot.record.id, &rest.origin);
    let made = entry.edits.iter().find_map(|edit| match edit {
        EntryEdit::Reality(RealityEdit::Made(batch)) => Some((entry.seq, entry.time, batch)),
        _ => None,
    });
    let body = made.map(|made| bodies.made(&snapshot.realities, made, || rest.elapsed_us));
    Ok(body.transpose()?.map(Vec::from))
}

/// The answer once more.
fn again(repository: &Arc<Repository>, entry: &Entry, logged: &Logged) -> Result<Answer, AppError> {
    let state = match (&logged.body, &logged.repository) {
        (None, Some(rest)) => {
            let state = RepositoryState::after(repository, entry, rest.size)?;
            let body = state.body(&rest.origin);
            Some(serde_json::to_vec(&body).map_err(AppError::internal)?)
        }
        (None, None) => match &logged.realities {
            Some(rest) => made_realities(repository, entry, rest)?,
            None => None,
        },
        (Some(_), _) => None,
    };
    logged.again(entry.seq, state)
}
