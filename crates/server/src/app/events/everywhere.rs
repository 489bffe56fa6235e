//! What happens in all repositories.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::time::Duration;

use govc_api::events::{Event, Types};
use govc_engine::journal::Moment;
use govc_engine::{RepoKey, Seq, Time};
use tokio::sync::watch;

use super::super::error::AppError;
use super::super::{Action, App};
use super::hub::Place;
use super::{CHUNK, Told};
use crate::http::caller::Caller;

/// Changes are decided in the order of their times and become visible in another, which differs by
/// no more than this: a stream that resumes in another run of the server, or after more changes
/// than are known in order, begins so much earlier and tells some of them again.
const OVERLAP: Duration = Duration::from_secs(10);

/// Where a stream over all repositories resumes. To clients it is opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    run: u32,
    /// The position after the event.
    position: u64,
    time: Time,
}

impl EventId {
    /// Reads what [`EventId`]'s `Display` wrote.
    ///
    /// # Errors
    /// [`AppError::Query`] when it is none.
    pub fn parse(text: &str) -> Result<EventId, AppError> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().unwrap_or_default();
        let mut id = || {
            Some(EventId {
                run: u32::from_str_radix(part(), 16).ok()?,
                position: u64::from_str_radix(part(), 16).ok()?,
                time: Time(i64::from_str_radix(part(), 16).ok()?),
            })
        };
        id().ok_or_else(|| AppError::query("since", "it is no id of an event of `/events`"))
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.run, self.position, self.time.0)
    }
}

/// The changes of all repositories, in the order in which they became visible.
pub struct Everywhere {
    app: App,
    caller: Caller,
    changed: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    types: Types,
    /// Changes of before the order that is known, oldest first.
    earlier: VecDeque<Place>,
    /// The position of the next change.
    position: u64,
    /// Known, and not told yet.
    known: VecDeque<Place>,
    /// Of `earlier` those that may come once more, because they became visible meanwhile.
    twice: HashSet<(RepoKey, Seq)>,
}

impl Everywhere {
    pub(super) async fn begin(
        app: App,
        caller: Caller,
        since: Option<EventId>,
        types: Types,
    ) -> Result<Everywhere, AppError> {
        // First listened, then looked: nothing falls between.
        let (changed, closing) = app.hub().watch();
        let mut position = app.hub().next_position();
        let mut earlier = VecDeque::new();
        let mut twice = HashSet::new();
        if let Some(since) = since {
            let same_run = since.run == app.hub().run() && since.position <= position;
            if same_run && app.hub().from(since.position, 0).is_some() {
                position = since.position;
            } else {
                let recent = before(app.engine()?.clock().now());
                earlier = search(&app, before(since.time)).await?;
                let late = earlier.iter().filter(|place| place.time > recent);
                twice = late.map(|place| (place.repo, place.seq)).collect();
            }
        }
        Ok(Everywhere {
            app,
            caller,
            changed,
            closing,
            types,
            earlier,
            position,
            known: VecDeque::new(),
            twice,
        })
    }

    /// The next event. `None`: the server stops, or the reader fell too far behind: it resumes
    /// with the last id that it has.
    ///
    /// # Errors
    /// When history cannot be read.
    pub async fn next(&mut self) -> Result<Option<Told>, AppError> {
        loop {
            if let Some(place) = self.earlier.pop_front() {
                // Nothing that comes after has a later position than those that are known.
                let id = EventId {
                    run: 0,
                    position: 0,
                    time: place.time,
                };
                if let Some(told) = self.tell(place, id).await? {
                    return Ok(Some(told));
                }
                continue;
            }
            if let Some(place) = self.known.pop_front() {
                self.position += 1;
                if self.twice.remove(&(place.repo, place.seq)) {
                    continue;
                }
                let id = EventId {
                    run: self.app.hub().run(),
                    position: self.position,
                    time: place.time,
                };
                if let Some(told) = self.tell(place, id).await? {
                    return Ok(Some(told));
                }
                continue;
            }
            self.changed.mark_unchanged();
            let Some(known) = self.app.hub().from(self.position, CHUNK) else {
                return Ok(None);
            };
            if !known.is_empty() {
                self.known.extend(known);
                continue;
            }
            tokio::select! {
                biased;
                _ = self.closing.wait_for(|closing| *closing) => return Ok(None),
                _ = self.changed.changed() => {}
            }
        }
    }

    async fn tell(&self, place: Place, id: EventId) -> Result<Option<Told>, AppError> {
        if !self.caller.may(Action::Read) {
            return Ok(None);
        }
        let Some(found) = self.app.engine()?.find_by_key(place.repo) else {
            return Ok(None);
        };
        let name = found.record().id.to_string();
        let reading = move || found.entries(place.seq.checked_sub(1), 1);
        let entries = self
            .app
            .offload(reading)
            .await?
            .map_err(AppError::internal)?;
        let entry = entries.first().filter(|entry| entry.seq == place.seq);
        let wanted = entry.filter(|entry| self.types.include(entry.cause.kind.name()));
        Ok(wanted.map(|entry| Told {
            id: Some(id.to_string()),
            event: Event::new(&name, entry),
        }))
    }
}

/// So much earlier that whatever became visible later is after it.
fn before(time: Time) -> Time {
    let overlap = i64::try_from(OVERLAP.as_micros()).unwrap_or(i64::MAX);
    Time(time.0.saturating_sub(overlap))
}

/// The changes of all repositories after a time, in the order of their times.
///
/// # Errors
/// [`AppError::HistoryExpired`] where one has changed since and what it did is no longer kept.
async fn search(app: &App, after: Time) -> Result<VecDeque<Place>, AppError> {
    let engine = std::sync::Arc::clone(app.engine()?);
    let searching = move || -> Result<VecDeque<Place>, AppError> {
        let mut places = BinaryHeap::new();
        for found in engine.all() {
            if found.time() < after {
                continue;
            }
            let repo = found.key();
            let moment = Moment::Time(after);
            if let Some(oldest) = found.is_over(moment) {
                return Err(AppError::HistoryExpired {
                    at: found.record().id.to_string(),
                    oldest: oldest.seq,
                });
            }
            let past = found.refs_at(moment).map_err(AppError::internal)?;
            let mut last: Option<Seq> = past.map(|past| past.seq);
            loop {
                let entries = found.entries(last, CHUNK).map_err(AppError::internal)?;
                let Some(newest) = entries.last() else { break };
                last = Some(newest.seq);
                for entry in &entries {
                    places.push(Reverse((entry.time, repo, entry.seq)));
                }
            }
        }
        let sorted = std::iter::from_fn(|| places.pop());
        Ok(sorted
            .map(|Reverse((time, repo, seq))| Place { repo, seq, time })
            .collect())
    };
    app.offload(searching).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back() {
        let id = EventId {
            run: 7,
            position: 500,
            time: Time(1_700_000_000_000_000),
        };
        assert_eq!(EventId::parse(&id.to_string()).unwrap(), id);
        for wrong in ["", "7", "x-y-z", "1-2", "1-2-3-4"] {
            assert!(EventId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
