//! Undoing a change, and going back to a moment.

use std::sync::Arc;

use govc_api::history::ref_updates;
use govc_api::refs::{RefUpdate, RefUpdates};
use govc_engine::journal::Moment;
use govc_engine::work::undo::{Rewind, Undo, UndoError};
use govc_engine::{
    CauseKind, Change, Edit, Pending, Proposal, RefName, Refusal, RepoId, Repository, Seq, Target,
    Via,
};

use super::answers::Logged;
use super::error::{AppError, SaidIn};
use super::history;
use super::publish::{Answering, cause};
use super::{Action, App};
use crate::http::ask::Terms;
use crate::http::caller::Caller;

impl App {
    /// Gives every ref that the change `seq` moved its old value back.
    ///
    /// # Errors
    /// [`AppError::SeqNotFound`]; [`AppError::HistoryExpired`]; [`AppError::RefMoved`] when one of them was moved again;
    /// [`AppError::Impossible`] when the change moved none.
    pub async fn undo(
        &self,
        caller: &Caller,
        id: &RepoId,
        seq: Seq,
        terms: &Terms,
    ) -> Result<(Vec<RefUpdate>, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        if let Some(before) = seq.checked_sub(1) {
            // What it replaced is the state before it.
            history::kept(&repository, Moment::Seq(before), &seq.to_string())?;
        }
        let reading = Arc::clone(&repository);
        let entries = self
            .offload(move || reading.entries(seq.checked_sub(1), 1))
            .await?
            .map_err(AppError::internal)?;
        let entry = entries
            .into_iter()
            .find(|entry| entry.seq == seq)
            .ok_or_else(|| AppError::SeqNotFound {
                at: seq.to_string(),
            })?;
        let undo = Undo::new(entry, cause(caller, CauseKind::Undo, Via::Rest))?;
        let about = undo.refs();
        self.go_back(&repository, about, Told(undo), terms).await
    }

    /// Puts all refs as they were at a moment.
    ///
    /// # Errors
    /// [`AppError::SeqNotFound`], [`AppError::HistoryExpired`].
    pub async fn rewind(
        &self,
        caller: &Caller,
        id: &RepoId,
        (moment, text): (Moment, String),
        terms: &Terms,
    ) -> Result<(Vec<RefUpdate>, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        let not_found = || AppError::SeqNotFound { at: text.clone() };
        if matches!(moment, Moment::Seq(seq) if seq > repository.snapshot().seq) {
            return Err(not_found());
        }
        history::kept(&repository, moment, &text)?;
        let reading = Arc::clone(&repository);
        let past = self
            .offload(move || reading.refs_at(moment))
            .await?
            .map_err(AppError::internal)?
            .ok_or_else(not_found)?;
        let rewind = Rewind::new(past, cause(caller, CauseKind::Undo, Via::Rest));
        // It is about all refs; whoever has seen one has seen HEAD's.
        let about = vec![RefName::head()];
        self.go_back(&repository, about, rewind, terms).await
    }

    async fn go_back(
        &self,
        repository: &Arc<Repository>,
        about: Vec<RefName>,
        proposal: impl Proposal + 'static,
        terms: &Terms,
    ) -> Result<(Vec<RefUpdate>, Seq), AppError> {
        let answering = Answering::about(about, |change: &Change, now: &Pending<'_>| {
            let moved = change.edits.iter().filter_map(|edit| match edit {
                Edit::Ref(edit) => super::refs::update(now, &edit.name, &edit.target),
                _ => None,
            });
            let updates: Vec<RefUpdate> = moved.collect();
            let body = RefUpdates {
                ref_updates: updates,
            };
            Logged::body(200, Some(body))
        });
        let published = self
            .publish_answering(repository, terms, answering, proposal)
            .await?;
        let entry = published.entry.as_ref();
        let updates = entry.map(|entry| ref_updates(entry)).unwrap_or_default();
        Ok((updates, published.seq))
    }
}

/// An [`Undo`] whose refusals are told as the use cases tell them.
struct Told(Undo);

impl Proposal for Told {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let told = |refusal: Refusal| match refusal.downcast::<UndoError>() {
            Ok(error) => AppError::from(*error).into(),
            Err(other) => other,
        };
        self.0.decide(now).map_err(told)
    }
}

impl From<UndoError> for AppError {
    fn from(error: UndoError) -> AppError {
        let id = |target: &Target| match target {
            Target::At(id) => Some(*id),
            Target::Symbolic(_) | Target::Gone => None,
        };
        match &error {
            UndoError::NothingToUndo { .. } => AppError::Impossible {
                code: "NOTHING_TO_UNDO",
                detail: error.to_string(),
            },
            UndoError::Moved {
                name,
                expected,
                current,
            } => AppError::RefMoved {
                name: name.to_text(),
                expected: id(expected),
                current: id(current),
                said_in: SaidIn::Request,
            },
        }
    }
}
