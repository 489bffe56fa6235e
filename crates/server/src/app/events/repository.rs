//! What happens in one repository.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use govc_api::events::{CONFLICTS, Event, Types};
use govc_api::realities::ConflictingPair;
use govc_engine::{Entry, EntryEdit, Fate, Found, RealityOf, RepoKey, Repository, Seq};

use super::super::App;
use super::super::error::AppError;
use super::hub::{Heard, News};
use super::matrix::Matrix;
use super::{CHUNK, Told};

/// The changes of a repository after one of them, and then those that come.
pub struct OfRepository {
    app: App,
    repo: RepoKey,
    /// It, if it is a reality, which is here only while somebody holds it; and what happens where
    /// it was made.
    reality: Option<(Arc<Repository>, News)>,
    news: News,
    /// The last change that was read.
    after: Seq,
    types: Types,
    /// Read, and not told yet.
    read: VecDeque<Arc<Entry>>,
    /// What was told of conflicts between its realities, where somebody wants to know.
    matrix: Option<Matrix>,
    /// They may be others by now.
    matrix_is_old: bool,
}

impl OfRepository {
    pub(super) fn new(
        app: App,
        repository: Arc<Repository>,
        news: News,
        of_host: Option<News>,
        after: Seq,
        types: Types,
    ) -> OfRepository {
        let wants_matrix = types.include(CONFLICTS) && of_host.is_none();
        OfRepository {
            app,
            repo: repository.key(),
            reality: of_host.map(|of_host| (repository, of_host)),
            news,
            after,
            types,
            read: VecDeque::new(),
            matrix: wants_matrix.then(Matrix::default),
            matrix_is_old: false,
        }
    }

    /// Looks at what conflicts now: what is told later is what changed since.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] while the server is starting.
    pub(super) async fn begin(&mut self) -> Result<(), AppError> {
        self.conflicts().await.map(drop)
    }

    /// The next event. `None`: the server stops, or the repository is gone for good.
    ///
    /// # Errors
    /// When history cannot be read.
    pub async fn next(&mut self) -> Result<Option<Told>, AppError> {
        loop {
            while let Some(entry) = self.read.pop_front() {
                let in_realities = |edit: &EntryEdit| matches!(edit, EntryEdit::Reality(_));
                self.matrix_is_old |= entry.edits.iter().any(in_realities);
                if self.types.include(entry.cause.kind.name()) {
                    let id = Some(entry.seq.to_string());
                    let name = self.name()?;
                    let event = Event::new(&name, &entry);
                    return Ok(Some(Told { id, event }));
                }
            }
            if self.read_on().await? {
                continue;
            }
            if mem::take(&mut self.matrix_is_old)
                && let Some(told) = self.conflicts().await?
            {
                return Ok(Some(told));
            }
            if self.is_discarded()? {
                return Ok(None);
            }
            let wants_matrix = self.matrix.is_some();
            let heard = match &mut self.reality {
                None => self.news.next(wants_matrix).await,
                Some((_, of_host)) => tokio::select! {
                    biased;
                    heard = self.news.next(false) => heard,
                    heard = of_host.next(false) => match heard {
                        Heard::Closing => Heard::Closing,
                        // It may have been discarded.
                        _ => continue,
                    },
                },
            };
            match heard {
                Heard::Changed => {}
                Heard::InReality => self.matrix_is_old = true,
                Heard::Staged(entry) if self.types.include(entry.cause.kind.name()) => {
                    let name = self.name()?;
                    let event = Event::new(&name, &entry);
                    return Ok(Some(Told { id: None, event }));
                }
                Heard::Staged(_) => {}
                Heard::Closing => return Ok(None),
            }
        }
    }

    fn found(&self) -> Result<Option<Found>, AppError> {
        match &self.reality {
            Some((reality, _)) => Ok(Some(Found::Here(Arc::clone(reality)))),
            None => Ok(self.app.engine()?.find_by_key(self.repo)),
        }
    }

    /// What it is called now.
    fn name(&self) -> Result<String, AppError> {
        let found = self.found()?;
        Ok(found.map_or_else(String::new, |found| found.record().id.to_string()))
    }

    /// Whether it is a reality that was discarded.
    fn is_discarded(&self) -> Result<bool, AppError> {
        let Some((reality, _)) = &self.reality else {
            return Ok(false);
        };
        let engine = self.app.engine()?;
        let fate = |of: &RealityOf| {
            let host = of.made_in()?;
            let there = host.snapshot().realities.clone();
            let reality = engine.reality_by_id(&host, &there, of.id)?;
            Some(reality.fate)
        };
        let fate = reality.reality().map(fate);
        Ok(matches!(fate, Some(None | Some(Fate::Discarded))))
    }

    /// What changed in the matrix of conflicts since it was told last.
    async fn conflicts(&mut self) -> Result<Option<Told>, AppError> {
        let Some(mut matrix) = self.matrix.take() else {
            return Ok(None);
        };
        let Some(Found::Here(host)) = self.found()? else {
            // Where nobody is, nothing was changed.
            self.matrix = Some(matrix);
            return Ok(None);
        };
        let (app, engine) = (self.app.clone(), Arc::clone(self.app.engine()?));
        let (there, looked_at) = (Arc::clone(&host), host.snapshot());
        let (matrix, pairs) = self
            .app
            .offload(move || {
                let pairs = matrix.bring_up(&engine, &there, &app.0.conflicts);
                (matrix, pairs)
            })
            .await?;
        self.matrix = Some(matrix);
        let pairs: Vec<ConflictingPair> = pairs.unwrap_or_else(|error| {
            // Who asks for the matrix is told.
            tracing::warn!(%error, "realities cannot be held against each other");
            Vec::new()
        });
        if pairs.is_empty() {
            return Ok(None);
        }
        let now = self.app.engine()?.clock().now();
        let event = Event::conflicts(&self.name()?, looked_at.seq, now, pairs);
        Ok(Some(Told { id: None, event }))
    }

    /// Reads the next changes. Whether there were any.
    async fn read_on(&mut self) -> Result<bool, AppError> {
        let Some(found) = self.found()? else {
            return Ok(false);
        };
        let after = self.after;
        let visible = match &found {
            Found::Here(repository) => repository.snapshot().seq,
            Found::Resting(_) => Seq::MAX,
        };
        if visible <= after {
            return Ok(false);
        }
        let reading = move || found.entries(Some(after), CHUNK);
        let mut entries = self
            .app
            .offload(reading)
            .await?
            .map_err(AppError::internal)?;
        // What is durable and not visible yet is told when who hears of it can read it.
        entries.retain(|entry| entry.seq <= visible);
        if let Some(last) = entries.last() {
            self.after = last.seq;
        }
        self.read.extend(entries);
        Ok(!self.read.is_empty())
    }
}
