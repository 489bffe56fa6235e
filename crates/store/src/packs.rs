//! Packs in the repositories' directories.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use govc_engine::RepoKey;
use govc_engine::journal::{PackBytes, PackId, PackSpool, Packs};

use crate::directory;
use crate::disk::{Disk, DiskFile, Open};
use crate::objects::pack_path;
use crate::repo::Repo;
use crate::store::Store;

/// Packs that are arriving are called so, as git's own: its `gc` knows them for leftovers.
pub(crate) const TEMPORARY: &str = "tmp_pack_govc_";

static SPOOLS: AtomicU64 = AtomicU64::new(0);

impl Packs for Store {
    fn receive(&self, repo: RepoKey) -> io::Result<Box<dyn PackSpool>> {
        let repo = self.repo(repo)?;
        self.settle(&repo)?;
        let name = format!("{TEMPORARY}{}", SPOOLS.fetch_add(1, Ordering::Relaxed));
        let file = self.in_directory(&repo, |dir| {
            let path = dir.join(directory::PACKS).join(&name);
            self.disk.open(&path, Open::Replace)
        })?;
        Ok(Box::new(Spool {
            disk: Arc::clone(&self.disk),
            repo,
            name,
            file,
            len: 0,
            buffer: Vec::new(),
            kept: false,
        }))
    }

    fn open(&self, repo: RepoKey, pack: PackId) -> io::Result<PackBytes> {
        // A fork has its parent's packs from its first checkpoint on; until then they are there.
        let mut next = Some(repo);
        while let Some(key) = next {
            let Ok(repo) = self.repo(key) else { break };
            let opened = self.in_directory(&repo, |dir| {
                let map = |extension| {
                    let path = pack_path(dir, pack, extension);
                    self.disk.open(&path, Open::Read)?.map()
                };
                Ok(PackBytes {
                    index: map("idx")?,
                    pack: map("pack")?,
                })
            });
            match opened {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened,
            }
            let record = Arc::clone(&repo.state().record);
            next = record.forked_from.as_ref().map(|from| from.key);
        }
        let why = format!("repository {repo} has no pack {}", pack.0);
        Err(io::Error::new(io::ErrorKind::NotFound, why))
    }

    fn remove(&self, repo: RepoKey, pack: PackId) -> io::Result<()> {
        let repo = self.repo(repo)?;
        let mut naming = repo.naming();
        naming.remove(&pack);
        let listed = |repo: &Repo| repo.state().packs.contains(&pack);
        if listed(&repo) {
            let why = format!("pack {} is in the list of {}", pack.0, repo.key);
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
        }
        self.in_directory(&repo, |dir| {
            // Without its index git does not see the pack.
            for extension in ["idx", "pack"] {
                match self.disk.remove(&pack_path(dir, pack, extension)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            self.disk.sync_dir(&dir.join(directory::PACKS))
        })
    }
}

const BUFFER_BYTES: usize = 256 << 10;
/// An arriving pack is read when it is this small, and mapped when it is larger.
const COPIED_BYTES: u64 = 1 << 20;

/// A pack that is arriving.
struct Spool {
    disk: Arc<dyn Disk>,
    repo: Arc<Repo>,
    name: String,
    file: Box<dyn DiskFile>,
    /// Bytes in the file and in the buffer.
    len: u64,
    /// The last of them.
    buffer: Vec<u8>,
    kept: bool,
}

impl Spool {
    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            let at = self.len - self.buffer.len() as u64;
            self.file.write_at(at, &self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn folder(&self) -> io::Result<PathBuf> {
        let place = self.repo.where_now().ok_or(io::ErrorKind::NotFound)?;
        Ok(place.join(directory::PACKS))
    }
}

impl PackSpool for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.flush()?;
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.file.write_at(offset, bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.flush()?;
        if len < self.len {
            self.file.truncate(len)?;
            self.len = len;
        }
        Ok(())
    }

    fn bytes(&mut self) -> io::Result<Bytes> {
        self.flush()?;
        if self.len > COPIED_BYTES {
            return self.file.map();
        }
        let mut bytes = vec![0; self.len as usize];
        let got = self.file.read_at(0, &mut bytes)?;
        bytes.truncate(got);
        Ok(Bytes::from(bytes))
    }

    fn keep(mut self: Box<Self>, pack: PackId, index: &[u8]) -> io::Result<PackBytes> {
        self.flush()?;
        self.file.sync()?;
        // The directory stays where it is meanwhile.
        let repo = Arc::clone(&self.repo);
        let place = repo.place.read().unwrap_or_else(PoisonError::into_inner);
        let dir = place.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let folder = dir.join(directory::PACKS);
        let aside = folder.join(&self.name);
        let index_aside = folder.join(format!("{}.idx", self.name));
        let idx = self.disk.open(&index_aside, Open::Replace)?;
        let name = || {
            // From here on a compaction leaves files of this name alone.
            let mut naming = repo.naming();
            naming.insert(pack);
            let named = self
                .disk
                .rename(&aside, &pack_path(dir, pack, "pack"))
                .and_then(|()| self.disk.rename(&index_aside, &pack_path(dir, pack, "idx")));
            if named.is_err() {
                naming.remove(&pack);
            }
            named
        };
        let named = idx
            .write_at(0, index)
            .and_then(|()| idx.sync())
            .and_then(|()| name())
            .and_then(|()| self.disk.sync_dir(&folder));
        if named.is_err() {
            let _ = self.disk.remove(&index_aside);
        }
        drop(place);
        named?;
        self.kept = true;
        Ok(PackBytes {
            pack: self.file.map()?,
            index: idx.map()?,
        })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if !self.kept
            && let Ok(folder) = self.folder()
        {
            // What cannot be removed now is removed when the store opens next.
            let _ = self.disk.remove(&folder.join(&self.name));
        }
    }
}
