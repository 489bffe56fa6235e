//! Changes that somebody is asked about before they are made.
//!
//! What is asked about has its real ids, so it is decided first, as a rehearsal; then those are
//! asked; then exactly that is made, if all that it replaces is still as it was. If not, all of it
//! is done again.

use std::sync::{Arc, Mutex, PoisonError};

use govc_engine::{
    AnswerTogether, Change, Edit, Entry, EntryEdit, Expected, Pending, Proposal, PublishError,
    Published, RefEdit, Refusal, Repository, Seq, Snapshot, Target, TogetherError,
};

use super::App;
use super::error::AppError;
use super::hooks::any_asks;
use super::programs::{Passage, Programs};
use super::publish::{refused, refused_by, through_the_door};

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

    /// Publishes what the members' proposals say, all or none, once those who are asked let it pass.
    ///
    /// # Errors
    /// As [`App::publish_answering`]; [`AppError::HookRefused`], [`AppError::HookUnreachable`],
    /// [`AppError::ProgramRefused`].
    pub(super) async fn publish_asked(
        &self,
        members: Vec<Asked>,
        dry_run: bool,
        answer: Option<AnswerTogether>,
    ) -> Result<Vec<Published>, AppError> {
        let members: Vec<Member> = members
            .into_iter()
            .map(|asked| Member {
                programs: self.programs(&asked.repository).map(Arc::new),
                repository: asked.repository,
                proposal: Shared(Arc::new(Mutex::new(asked.proposal))),
                passage: asked.passage,
            })
            .collect();
        let told = |refused: TogetherError| refused_of(&members, refused);
        for _ in 0..TRIES_MAX {
            let all = members.iter().map(Member::shared).collect();
            let rehearsed = through_the_door(all, true, answer.clone()).await;
            let rehearsed = rehearsed.map_err(told)?;
            let is_staged = |done: &Published| done.entry.as_ref().is_none_or(|it| it.step != 0);
            if rehearsed.iter().all(is_staged) {
                // What is only staged nobody is asked about.
                if dry_run {
                    return Ok(rehearsed);
                }
                if rehearsed.iter().any(|done| done.entry.is_some()) {
                    let all = members.iter().map(Member::shared).collect();
                    return through_the_door(all, false, answer).await.map_err(told);
                }
                for member in &members {
                    member.say_nothing().await?;
                }
                return Ok(rehearsed);
            }
            for (member, done) in members.iter().zip(&rehearsed) {
                if let Some(entry) = &done.entry {
                    self.ask_policies(&member.repository, entry).await?;
                }
            }
            if dry_run {
                return Ok(rehearsed);
            }
            let passed = ask_programs(&members, &rehearsed).await?;
            let all = members.iter().zip(&passed).map(Member::exactly).collect();
            let published = match through_the_door(all, false, answer.clone()).await {
                Ok(published) => published,
                Err(refused) => {
                    take_back(&members, &passed).await;
                    match &refused.error {
                        PublishError::Refused(refusal) if refusal.is::<Moved>() => continue,
                        _ => return Err(told(refused)),
                    }
                }
            };
            for (member, done) in members.into_iter().zip(&published) {
                member.tell(done).await;
            }
            return Ok(published);
        }
        Err(AppError::Unavailable {
            why: "the repository kept being moved by others while hooks were asked".to_owned(),
        })
    }
}

/// A change that somebody is asked about, of one repository.
pub(super) struct Asked {
    pub(super) repository: Arc<Repository>,
    pub(super) proposal: Box<dyn Proposal>,
    pub(super) passage: Passage,
}

/// One repository of a change, and its programs.
struct Member {
    repository: Arc<Repository>,
    proposal: Shared,
    programs: Option<Arc<Programs>>,
    passage: Passage,
}

impl Member {
    fn shared(&self) -> (Arc<Repository>, Box<dyn Proposal>) {
        let proposal = Box::new(self.proposal.clone());
        (Arc::clone(&self.repository), proposal)
    }

    fn exactly(
        (member, passed): (&Member, &Option<Arc<Entry>>),
    ) -> (Arc<Repository>, Box<dyn Proposal>) {
        let proposal: Box<dyn Proposal> = match passed {
            Some(entry) => Box::new(Exactly(Arc::clone(entry))),
            None => Box::new(|_: &Pending<'_>| Ok(None)),
        };
        (Arc::clone(&member.repository), proposal)
    }

    /// Its programs hear of a push that changes nothing.
    async fn say_nothing(&self) -> Result<(), AppError> {
        if let Some(programs) = &self.programs
            && let Some(entry) = self.passage.nothing(&self.repository)
        {
            let entry = programs.ask(entry, &self.passage).await?;
            Arc::clone(programs).tell(entry, self.passage.clone()).await;
        }
        Ok(())
    }

    async fn tell(self, done: &Published) {
        if let Some(programs) = self.programs {
            let made = done.entry.clone();
            if let Some(entry) = made.or_else(|| self.passage.nothing(&self.repository)) {
                programs.tell(entry, self.passage).await;
            }
        }
    }
}

/// What is left of what was decided once the programs of each repository were asked.
async fn ask_programs(
    members: &[Member],
    rehearsed: &[Published],
) -> Result<Vec<Option<Arc<Entry>>>, AppError> {
    let mut passed = Vec::with_capacity(members.len());
    for (member, done) in members.iter().zip(rehearsed) {
        let entry = match (&done.entry, &member.programs) {
            (Some(entry), Some(programs)) => {
                match programs.ask(Arc::clone(entry), &member.passage).await {
                    Ok(entry) => Some(entry),
                    Err(error) => {
                        take_back(members, &passed).await;
                        return Err(error);
                    }
                }
            }
            (entry, _) => entry.clone(),
        };
        passed.push(entry);
    }
    Ok(passed)
}

/// Programs that let something pass hear that it was not made.
async fn take_back(members: &[Member], passed: &[Option<Arc<Entry>>]) {
    for (member, entry) in members.iter().zip(passed) {
        if let (Some(programs), Some(entry)) = (&member.programs, entry) {
            programs.take_back(Arc::clone(entry), &member.passage).await;
        }
    }
}

fn refused_of(members: &[Member], refusal: TogetherError) -> AppError {
    let TogetherError { at, error } = refusal;
    match members.get(at) {
        Some(member) => refused(&member.repository, error),
        None => refused_by(error, ""),
    }
}

/// A proposal that is decided more than once.
#[derive(Clone)]
struct Shared(Arc<Mutex<Box<dyn Proposal>>>);

impl Proposal for Shared {
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
