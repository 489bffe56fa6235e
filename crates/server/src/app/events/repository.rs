//! What happens in one repository.

use std::collections::VecDeque;
use std::sync::Arc;

use govc_api::events::{Event, Types};
use govc_engine::{Entry, Found, RepoKey, Seq};

use super::super::App;
use super::super::error::AppError;
use super::hub::{Heard, News};
use super::{CHUNK, Told};

/// The changes of a repository after one of them, and then those that come.
pub struct OfRepository {
    app: App,
    repo: RepoKey,
    news: News,
    /// The last change that was read.
    after: Seq,
    types: Types,
    /// Read, and not told yet.
    read: VecDeque<Arc<Entry>>,
}

impl OfRepository {
    pub(super) fn new(
        app: App,
        repo: RepoKey,
        news: News,
        after: Seq,
        types: Types,
    ) -> OfRepository {
        OfRepository {
            app,
            repo,
            news,
            after,
            types,
            read: VecDeque::new(),
        }
    }

    /// The next event. `None`: the server stops, or the repository is gone for good.
    ///
    /// # Errors
    /// When history cannot be read.
    pub async fn next(&mut self) -> Result<Option<Told>, AppError> {
        loop {
            while let Some(entry) = self.read.pop_front() {
                if self.types.include(entry.cause.kind.name()) {
                    let id = Some(entry.seq.to_string());
                    return Ok(Some(self.told(id, &entry)?));
                }
            }
            if self.read_on().await? {
                continue;
            }
            match self.news.next().await {
                Heard::Changed => {}
                Heard::Staged(entry) if self.types.include(entry.cause.kind.name()) => {
                    return Ok(Some(self.told(None, &entry)?));
                }
                Heard::Staged(_) => {}
                Heard::Closing => return Ok(None),
            }
        }
    }

    fn told(&self, id: Option<String>, entry: &Entry) -> Result<Told, AppError> {
        let record = self.app.engine()?.find_by_key(self.repo);
        let name = record.map_or_else(String::new, |found| found.record().id.to_string());
        Ok(Told {
            id,
            event: Event::new(&name, entry),
        })
    }

    /// Reads the next changes. Whether there were any.
    async fn read_on(&mut self) -> Result<bool, AppError> {
        let Some(found) = self.app.engine()?.find_by_key(self.repo) else {
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
