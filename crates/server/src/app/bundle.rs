//! Bundles: a repository, or what is new in it, as one file.

use axum::body::Bytes;
use futures_util::Stream;
use futures_util::stream;
use govc_engine::RepoId;
use govc_engine::pool::{PackStream, PoolError};
use govc_engine::work::hidden::HiddenRefs;
use govc_engine::work::{bundle, revision};
use govc_git::bundle::BundleHeader;
use govc_git::object_id::hash_object;
use govc_git::{ObjectId, ObjectKind};

use super::App;
use super::error::AppError;
use super::state::State;
use crate::http::ask::Reading;
use crate::http::caller::Caller;

/// Pieces of a bundle are made so many bytes ahead of what the client has taken.
const AHEAD_BYTES: usize = 512 << 10;

/// A bundle that can be sent.
pub struct Bundle {
    /// The state that it is of.
    pub state: State,
    /// HEAD's commit there.
    pub head: Option<ObjectId>,
    /// What changes when the bundle does.
    pub digest: ObjectId,
    header: BundleHeader,
}

impl App {
    /// The bundle of the ref `name`, or of all that are shown, without what the commit `since`
    /// reaches.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`AppError::RefNotFound`], what a revision's resolution meets.
    pub async fn bundle(
        &self,
        caller: &Caller,
        id: &RepoId,
        reading: &Reading,
        name: Option<String>,
        since: Option<String>,
    ) -> Result<Bundle, AppError> {
        let state = self.state(caller, id, reading, None).await?;
        self.offload(move || {
            let view = &state.view;
            let since = since.map(|since| revision::resolve_commit(view, since));
            let since = Vec::from_iter(since.transpose()?);
            let record = state.repository.snapshot();
            let hidden = HiddenRefs::of(&record.record.settings);
            let named = name.as_ref().map(String::as_bytes);
            let header = bundle::header(view, hidden, named, &since)?;
            let header = header.ok_or_else(|| AppError::RefNotFound {
                name: name.unwrap_or_else(|| "HEAD".to_owned()),
            })?;
            let format = view.pool.format();
            let digest = hash_object(format, ObjectKind::Blob, &header.write(format));
            Ok(Bundle {
                head: view.refs.resolve(b"HEAD"),
                digest: digest.map_err(AppError::internal)?,
                header,
                state,
            })
        })
        .await?
    }
}

impl Bundle {
    /// Its bytes, piece by piece, made as they are taken. The pieces are those of the packs in
    /// memory wherever these can be sent as they are.
    ///
    /// # Errors
    /// When what is to be sent cannot be found.
    pub async fn into_stream(
        self,
        app: &App,
    ) -> Result<impl Stream<Item = Result<Bytes, PoolError>> + Send + 'static, AppError> {
        let head = Bytes::from(self.header.write(self.state.view.pool.format()));
        let pack = app.offload(move || bundle::pack(&self.state.view, &self.header));
        let begun = (vec![Ok(head)], Some(pack.await??));
        let batches = stream::unfold(begun, |(ready, pack)| async move {
            if !ready.is_empty() {
                return Some((stream::iter(ready), (Vec::new(), pack)));
            }
            let pack = pack?;
            // Nobody waits for an answer if the thread is gone.
            let (ready, pack) = tokio::task::spawn_blocking(move || fill(pack)).await.ok()?;
            Some((stream::iter(ready), (Vec::new(), pack)))
        });
        Ok(futures_util::StreamExt::flatten(batches))
    }
}

/// The next pieces, and the rest if there is any.
fn fill(mut pack: PackStream) -> (Vec<Result<Bytes, PoolError>>, Option<PackStream>) {
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while bytes < AHEAD_BYTES {
        match pack.next() {
            Some(Ok(piece)) => {
                bytes += piece.len();
                pieces.push(Ok(piece));
            }
            Some(Err(error)) => {
                pieces.push(Err(error));
                return (pieces, None);
            }
            None => return (pieces, None),
        }
    }
    (pieces, Some(pack))
}
