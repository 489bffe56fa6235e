//! Changes that somebody is asked about before they are made.
//!
//! What is asked about has its real ids, so it is decided first, as a rehearsal; then those are
//! asked; then exactly that is made, if all that it replaces is still as it was. If not, all of it
//! is done again.

use std::sync::{Arc, Mutex, PoisonError};

use govc_engine::{
    Change, Edit, Entry, EntryEdit, Expected, Pending, Proposal, PublishError, Published, RefEdit,
    Refusal, Repository, Seq, Snapshot, Target,
};

use super::App;
use super::error::AppError;
use super::hooks::any_asks;
use super::programs::Passage;
use super::publish::refused;

/// How often a change is decided anew because others moved the repository while it was asked about.
const TRIES_MAX: usize = 8;

impl App {
    /// Whether anybody may want to be asked about a change of this repository.
    pub(super) fn asks_somebody(&self, repository: &Repository) -> bool {
        let settings = &self.config().hooks;
        settings.from_repositories
            || !settings.path.as_os_str().is_empty()
            || any_asks(&repository.snapshot().hooks)
    }

    /// Publishes what `proposal` says, once those who are asked let it pass.
    ///
    /// # Errors
    /// As [`App::publish_answering`]; [`AppError::HookRefused`], [`AppError::HookUnreachable`],
    /// [`AppError::ProgramRefused`].
    pub(super) async fn publish_asked(
        &self,
        repository: &Arc<Repository>,
        dry_run: bool,
        proposal: impl Proposal + 'static,
        passage: Option<Passage>,
    ) -> Result<Published, AppError> {
        let told = |error| refused(repository, error);
        let programs = self.programs(repository).map(Arc::new);
        let passage = passage.unwrap_or_default();
        let shared = Shared(Arc::new(Mutex::new(proposal)));
        for _ in 0..TRIES_MAX {
            let rehearsed = repository.rehearse(shared.clone()).await.map_err(told)?;
            let Some(entry) = rehearsed.entry.clone() else {
                if let (Some(programs), Some(entry)) = (&programs, passage.nothing(repository))
                    && !dry_run
                {
                    let entry = programs.ask(entry, &passage).await?;
                    Arc::clone(programs).tell(entry, passage).await;
                }
                return Ok(rehearsed);
            };
            if entry.step != 0 {
                // What is only staged nobody is asked about.
                return match dry_run {
                    true => Ok(rehearsed),
                    false => repository.publish(shared).await.map_err(told),
                };
            }
            self.ask_policies(repository, &entry).await?;
            if dry_run {
                return Ok(rehearsed);
            }
            let entry = match &programs {
                Some(programs) => programs.ask(entry, &passage).await?,
                None => entry,
            };
            let published = repository.publish(Exactly(Arc::clone(&entry))).await;
            if let (Err(_), Some(programs)) = (&published, &programs) {
                programs.take_back(entry, &passage).await;
            }
            let published = match published {
                Err(PublishError::Refused(refusal)) if refusal.is::<Moved>() => continue,
                published => published.map_err(told)?,
            };
            if let Some(programs) = programs {
                let made = published.entry.clone();
                if let Some(entry) = made.or_else(|| passage.nothing(repository)) {
                    programs.tell(entry, passage).await;
                }
            }
            return Ok(published);
        }
        Err(AppError::Unavailable {
            why: "the repository kept being moved by others while hooks were asked".to_owned(),
        })
    }
}

/// A proposal that is decided more than once.
struct Shared<P>(Arc<Mutex<P>>);

impl<P> Clone for Shared<P> {
    fn clone(&self) -> Shared<P> {
        Shared(Arc::clone(&self.0))
    }
}

impl<P: Proposal> Proposal for Shared<P> {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.decide(now)
    }
}

/// What was decided before, if it can still be.
struct Exactly(Arc<Entry>);

/// What is to be replaced is not what it was.
#[derive(Debug, thiserror::Error)]
#[error("the repository was moved")]
struct Moved;

impl Proposal for Exactly {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let edits = self.0.edits.iter();
        let again = |edit| again(edit, now.snapshot, self.0.seq);
        let edits: Option<Vec<Edit>> = edits.map(again).collect();
        Ok(Some(Change {
            objects: self.0.objects.clone(),
            edits: edits.ok_or(Moved)?,
            cause: self.0.cause.clone(),
        }))
    }
}

/// The edit that leads to `edit` once more; `None` where what it replaces was moved.
fn again(edit: &EntryEdit, now: &Snapshot, seq: Seq) -> Option<Edit> {
    match edit {
        EntryEdit::Ref {
            name,
            before,
            after,
        } => {
            let there = now.refs.get(name.as_bytes()).unwrap_or(&Target::Gone);
            (there == before).then(|| {
                Edit::Ref(RefEdit {
                    name: name.clone(),
                    expected: Expected::Anything,
                    target: after.clone(),
                })
            })
        }
        EntryEdit::Repository { before, after } => {
            (before.as_deref() == Some(&*now.record)).then(|| Edit::Repository(after.clone()))
        }
        EntryEdit::LfsObjects(objects) => Some(Edit::LfsObjects(objects.to_vec())),
        EntryEdit::LfsLock {
            path,
            before,
            after,
        } => (now.lfs.lock(path) == before.as_ref()).then(|| Edit::LfsLock {
            path: Arc::clone(path),
            after: after.clone(),
        }),
        EntryEdit::Workspace {
            name,
            before,
            after,
            is_staging,
        } => (now.workspaces.get(name) == before.as_ref()).then(|| Edit::Workspace {
            name: Arc::clone(name),
            after: after.clone(),
            is_staging: *is_staging,
        }),
        EntryEdit::Transaction { id, before, after } => {
            (now.transactions.get(id) == before.as_ref()).then(|| Edit::Transaction {
                id: Arc::clone(id),
                after: after.clone(),
            })
        }
        EntryEdit::Hook { id, before, after } => {
            (now.hooks.get(id) == before.as_ref()).then(|| Edit::Hook {
                id: Arc::clone(id),
                after: after.clone(),
            })
        }
        // Whoever proposes these has looked at all of the repository.
        EntryEdit::Reality(edit) => (now.seq + 1 == seq).then(|| Edit::Reality(edit.clone())),
        _ => None,
    }
}
