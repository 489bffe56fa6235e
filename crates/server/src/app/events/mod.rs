//! Events: history as streams that go on. A stream is a cursor into a repository's history, not a
//! queue: what a slow reader has not read yet waits there, so nothing is ever left out.

mod everywhere;
mod hub;
mod matrix;
mod repository;

pub use everywhere::{EventId, Everywhere};
pub use hub::Hub;
pub use repository::OfRepository;

use std::sync::Arc;

use govc_api::events::Types;
use govc_engine::journal::Moment;
use govc_engine::{RepoId, Seq};

use super::error::AppError;
use super::history;
use super::{Action, App};
use crate::http::ask::Reading;
use crate::http::caller::Caller;

/// How many entries are read at once.
const CHUNK: usize = 256;

/// One thing that a stream tells.
#[derive(Debug, Clone)]
pub struct Told {
    /// Where a stream resumes that ended after it. Staging has none: it is not told again.
    pub id: Option<String>,
    /// What it is.
    pub event: govc_api::events::Event,
}

impl App {
    /// What happens in a repository after the change `since`, or from now on, and the number after
    /// which it begins.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`]; [`AppError::SeqNotFound`] when `since` has not happened yet;
    /// [`AppError::HistoryExpired`] when what followed it is no longer kept.
    pub async fn events_of(
        &self,
        caller: &Caller,
        id: &RepoId,
        reading: &Reading,
        since: Option<Seq>,
        types: Types,
    ) -> Result<(OfRepository, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        // First listened, then looked: nothing falls between.
        let news = self.hub().listen_to(repository.key());
        let newest = repository.snapshot().seq;
        let after = since.unwrap_or(newest);
        if after > newest {
            return Err(AppError::SeqNotFound {
                at: after.to_string(),
            });
        }
        history::kept(&repository, Moment::Seq(after), &after.to_string())?;
        let of_host = repository
            .reality()
            .map(|reality| self.hub().listen_to(reality.host));
        let mut stream = OfRepository::new(self.clone(), repository, news, of_host, after, types);
        stream.begin().await?;
        Ok((stream, after))
    }

    /// What happens in all repositories that the caller may read, after what `since` stands for or from now on.
    ///
    /// # Errors
    /// [`AppError::Query`] when `since` is no id of such an event.
    pub async fn events_everywhere(
        &self,
        caller: &Caller,
        since: Option<&str>,
        types: Types,
    ) -> Result<Everywhere, AppError> {
        let since = since.map(EventId::parse).transpose()?;
        self.engine()?;
        Everywhere::begin(self.clone(), caller.clone(), since, types).await
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }
}
