//! All files of a commit in one file.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use govc_engine::work::archive::{Archive, ArchiveFormat};
use govc_git::ObjectId;

use super::App;
use super::error::AppError;
use super::state::State;

/// An archive that can be sent.
pub struct CommitArchive {
    /// The commit that it is of.
    pub commit: ObjectId,
    state: State,
    archive: Archive,
}

impl State {
    /// The archive of the commit that `reference` names.
    ///
    /// # Errors
    /// As [`State::commit`].
    pub fn archive(
        self,
        reference: &str,
        format: ArchiveFormat,
    ) -> Result<CommitArchive, AppError> {
        let commit = super::state::commit(&self.view, reference)?;
        Ok(CommitArchive {
            commit,
            archive: Archive::new(&self.view.pool, &self.view.refs, commit, format)?,
            state: self,
        })
    }
}

impl CommitArchive {
    /// Its bytes, made as they are taken.
    pub fn into_stream(
        self,
        app: &App,
    ) -> impl Stream<Item = Result<Bytes, AppError>> + Send + 'static {
        let app = app.clone();
        stream::unfold(Some(self), move |archive| {
            let app = app.clone();
            async move {
                let mut archive = archive?;
                let made = app.offload(move || {
                    let piece = archive.archive.piece(&archive.state.view.pool);
                    (piece, archive)
                });
                match made.await {
                    Ok((Ok(Some(piece)), archive)) => Some((Ok(piece), Some(archive))),
                    Ok((Ok(None), _)) => None,
                    Ok((Err(error), _)) => Some((Err(error.into()), None)),
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
    }
}
