//! Work that is done before its turn comes, beside that of others; in its turn it is done again
//! only where what it is a function of has moved meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use govc_engine::pool::Pool;
use govc_engine::{Change, Pending, Proposal, RefName, Repository, Seq, Snapshot, Time};

use super::App;
use super::answers::Logged;
use super::error::AppError;
use super::publish::Answering;
use crate::http::ask::Terms;

/// What such work comes to, once it was decided.
pub(super) type Said<T> = Arc<Mutex<Option<T>>>;

/// A proposal that can be worked out before its turn.
pub(super) trait Ahead: Proposal + Send + 'static {
    /// What is answered.
    type Answer: Send + 'static;

    /// Works it out, if that was not done for this state already.
    fn work_out(&mut self, snapshot: &Snapshot, pool: &Pool, now: Time) -> Result<(), AppError>;

    /// Puts what is too large for an entry into a pack.
    fn put_aside(&mut self, repository: &Arc<Repository>) -> Result<(), AppError>;

    /// The refs that `If-Match` is about, where working it out does not ask that itself.
    fn about(&self) -> Vec<RefName>;

    /// Where its last turn leaves the answer.
    fn said(&self) -> &Said<Self::Answer>;
}

impl App {
    /// Works `proposal` out and publishes it; `logged` is what gives its answer again.
    pub(super) async fn publish_ahead<P: Ahead>(
        &self,
        repository: &Arc<Repository>,
        terms: &Terms,
        mut proposal: P,
        logged: impl Fn(&P::Answer) -> Logged + Send + 'static,
    ) -> Result<(P::Answer, Seq), AppError> {
        let (repo, dry_run) = (Arc::clone(repository), terms.dry_run);
        let now = self.engine()?.clock().now();
        let proposal = self
            .offload(move || -> Result<_, AppError> {
                proposal.work_out(&repo.snapshot(), repo.pool(), now)?;
                if !dry_run {
                    proposal.put_aside(&repo)?;
                }
                Ok(proposal)
            })
            .await??;
        let said = Arc::clone(proposal.said());
        let answer = Arc::clone(&said);
        let about = proposal.about();
        let answering = Answering::about(about, move |_: &Change, _: &Pending<'_>| {
            let answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
            answer.as_ref().map_or_else(Logged::default, &logged)
        });
        let published = self
            .publish_answering(repository, terms, answering, proposal)
            .await?;
        let answer = said.lock().unwrap_or_else(PoisonError::into_inner).take();
        let answer = answer.ok_or_else(|| AppError::Internal("nothing was answered".into()))?;
        Ok((answer, published.seq))
    }
}
