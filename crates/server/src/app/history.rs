//! The log of changes.

use std::sync::Arc;

use govc_api::history::Change;
use govc_engine::journal::Moment;
use govc_engine::{Entry, RepoId, Repository, Seq};

use super::error::AppError;
use super::{Action, App};
use crate::http::ask::Reading;
use crate::http::caller::Caller;
use crate::http::page::{Cursor, Page, PageQuery};

impl App {
    /// Changes, the newest first, and the number of the repository's newest.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`AppError::SeqNotFound`], [`AppError::SeqNotReached`],
    /// [`AppError::HistoryExpired`].
    pub async fn history(
        &self,
        caller: &Caller,
        id: &RepoId,
        reading: &Reading,
        page: PageQuery,
    ) -> Result<(Page<Change>, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        let newest = repository.snapshot().seq;
        let at = reading.at.clone();
        self.offload(move || {
            let not_found = |text: &str| AppError::SeqNotFound {
                at: text.to_owned(),
            };
            let end = match (&page.cursor, &at) {
                // Before the last one of the page before.
                (Some(cursor), _) => match cursor.seq.checked_sub(1) {
                    Some(end) => end,
                    None => return Err(PageQuery::not_a_cursor()),
                },
                (None, None) => newest,
                (None, Some(at)) => match at.moment {
                    Moment::Seq(seq) if seq > newest => return Err(not_found(&at.text)),
                    moment => {
                        kept(&repository, moment, &at.text)?;
                        let past = repository.refs_at(moment).map_err(AppError::internal)?;
                        past.ok_or_else(|| not_found(&at.text))?.seq
                    }
                },
            };
            let (entries, more) = newest_first(&repository, end, page.limit)?;
            let next = entries.last().filter(|_| more).map(|last| Cursor {
                seq: last.seq,
                after: Vec::new(),
            });
            let items = entries.iter().map(|entry| Change::from(&**entry)).collect();
            Ok((Page { items, next }, newest))
        })
        .await?
    }
}

/// Whether a moment is still kept.
///
/// # Errors
/// [`AppError::HistoryExpired`], with `said` for what was asked for.
pub(super) fn kept(repository: &Repository, moment: Moment, said: &str) -> Result<(), AppError> {
    match repository.is_over(moment) {
        None => Ok(()),
        Some(oldest) => Err(AppError::HistoryExpired {
            at: said.to_owned(),
            oldest: oldest.seq,
        }),
    }
}

/// Up to `limit` entries with numbers up to `end`, the newest first, and whether there are more.
/// Numbers may have gaps, so the window that is read grows until it holds enough.
fn newest_first(
    repository: &Arc<Repository>,
    end: Seq,
    limit: usize,
) -> Result<(Vec<Arc<Entry>>, bool), AppError> {
    let mut window = limit as u64 + 1;
    loop {
        let after = (end + 1)
            .checked_sub(window)
            .and_then(|first| first.checked_sub(1));
        let count = usize::try_from(window).unwrap_or(usize::MAX);
        let mut entries = repository
            .entries(after, count)
            .map_err(AppError::internal)?;
        entries.retain(|entry| entry.seq <= end);
        let floor = repository.floor().map(|floor| floor.seq);
        if entries.len() > limit || after <= floor {
            let more = entries.len() > limit;
            entries.reverse();
            entries.truncate(limit);
            return Ok((entries, more));
        }
        window = window.saturating_mul(4);
    }
}
