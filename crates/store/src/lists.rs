//! Introduced lists in a repository's directory, so that a start need not make them again.
//!
//! They are no part of a checkpoint, and may be there before the first one: what they say follows from the packs, and whoever reads them
//! believes them only as far as they speak of packs that are there. Damaged or without them
//! everything works, and lists are made anew.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use govc_engine::RepoKey;
use govc_engine::journal::PackId;
use govc_engine::pool::{ListsToRead, SavedLists};

use crate::directory;
use crate::disk::{self, Disk};
use crate::format;
use crate::repo::Repo;
use crate::store::Store;

const LISTS_BYTES_MAX: u64 = 8 << 30;

impl Store {
    /// Writes the lists that `make` makes into the directory of `key`. It is told the packs whose
    /// commits' lists are to be saved, and others that these may speak of: the lists of packs that a
    /// fork shares with its parent are in the parent's directory. Beside them goes the commit-graph,
    /// where it is due. Whether there were any.
    ///
    /// # Errors
    /// Whatever the disk met. Nothing is lost: lists can be made again.
    pub fn save_lists(
        &self,
        key: RepoKey,
        make: impl FnOnce(&[PackId], &[PackId]) -> Option<SavedLists>,
    ) -> io::Result<bool> {
        let repo = self.repo(key)?;
        let (packs, from, format) = {
            let state = repo.state();
            if state.damage.is_some() || state.purged {
                return Ok(false);
            }
            let from = state.record.forked_from.as_ref().map(|from| from.key);
            (state.packs.clone(), from, state.record.object_format)
        };
        let parent = from.and_then(|key| self.repo(key).ok());
        let shared = parent.map_or_else(Vec::new, |parent| parent.state().packs.clone());
        let (besides, own): (Vec<PackId>, Vec<PackId>) =
            packs.into_iter().partition(|pack| shared.contains(pack));
        if own.is_empty() {
            return Ok(false);
        }
        let Some(lists) = make(&own, &besides) else {
            return Ok(false);
        };
        let file = format::encode_lists(&lists, format);
        let file = file.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let written = self.in_directory(&repo, |dir| {
            disk::replace(&*self.disk, &dir.join(directory::LISTS), &file)
        });
        match written {
            // Its first checkpoint makes one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            written => written?,
        }
        // Both are for the next start, and what was adopted may never have another checkpoint.
        let checkpointing = repo.checkpointing.lock();
        let _alone = checkpointing.unwrap_or_else(PoisonError::into_inner);
        if repo.state().saved.is_some() {
            self.save_commit_graph(&repo)?;
        }
        Ok(true)
    }

    /// The lists in the directory of `repo`, to be read when they are needed.
    pub(crate) fn lists_to_read(&self, repo: &Arc<Repo>) -> ListsToRead {
        let (disk, repo) = (Arc::clone(&self.disk), Arc::clone(repo));
        ListsToRead::new(move || {
            let place = repo.place.read().unwrap_or_else(PoisonError::into_inner);
            match read(&*disk, place.as_ref()?) {
                Ok(lists) => lists,
                Err(error) => {
                    tracing::warn!(repository = %repo.key, %error, "introduced lists are made anew");
                    None
                }
            }
        })
    }
}

fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<SavedLists>> {
    let path = dir.join(directory::LISTS);
    let Some(file) = disk::read_if_any(disk, &path, LISTS_BYTES_MAX)? else {
        return Ok(None);
    };
    let lists = format::decode_lists(Bytes::from(file));
    lists
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
