//! The contents of large files: where they are, and when one goes.
//!
//! A content stays for as long as a repository references it, a deleted one too. One that nobody
//! references is of an upload that was not finished, or of repositories that are gone for good. An
//! upload holds its content from before it is there until its reference is visible; what is held
//! stays too.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use govc_engine::journal::contents::{Contents, MemoryContents};
use govc_engine::{Engine, LfsOid, Storage};
use hashbrown::HashMap;

/// The contents of all repositories of this server.
pub struct LargeFiles {
    /// Those of repositories that are kept on disk; `None`: nothing is.
    disk: Option<Arc<dyn Contents>>,
    memory: Arc<MemoryContents>,
    /// Contents of uploads that are not finished, and of how many. Held to look at all
    /// repositories while one goes: nobody can begin to upload it meanwhile.
    held: Mutex<HashMap<LfsOid, usize>>,
}

/// Keeps a content from going. Dropped, it may go if nobody references it.
#[must_use = "what nobody holds may go"]
pub struct Held {
    files: Arc<LargeFiles>,
    oid: LfsOid,
}

impl LargeFiles {
    /// Contents on the disk, where there is one, and in memory.
    pub fn new(disk: Option<Arc<dyn Contents>>) -> Arc<LargeFiles> {
        Arc::new(LargeFiles {
            disk,
            memory: Arc::default(),
            held: Mutex::default(),
        })
    }

    /// Where the contents of a repository are.
    pub fn of(&self, storage: Storage) -> Arc<dyn Contents> {
        match &self.disk {
            Some(disk) if storage != Storage::Memory => Arc::clone(disk),
            _ => Arc::clone(&self.memory) as Arc<dyn Contents>,
        }
    }

    /// Keeps `oid` from going for as long as the answer lives.
    pub fn hold(self: &Arc<Self>, oid: LfsOid) -> Held {
        *self.held().entry(oid).or_default() += 1;
        Held {
            files: Arc::clone(self),
            oid,
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<LfsOid, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes from `contents` what nobody references or holds: how many. Blocks on the disk.
    ///
    /// # Errors
    /// Whatever the disk met.
    fn collect_from(&self, contents: &dyn Contents, engine: &Engine) -> io::Result<usize> {
        let there = contents.list()?;
        if there.is_empty() {
            return Ok(0);
        }
        // Most are referenced: those are told apart at once, and the others looked at one by one.
        let mut referenced = HashSet::new();
        for repository in engine.all() {
            referenced.extend(repository.lfs().objects().map(|(oid, _)| oid));
        }
        let mut gone = 0;
        for oid in there.iter().filter(|oid| !referenced.contains(*oid)) {
            gone += usize::from(self.remove_if_unused(contents, engine, oid)?);
        }
        Ok(gone)
    }

    /// Removes everywhere what nobody references or holds: how many. Blocks on the disk.
    ///
    /// # Errors
    /// Whatever the disk met.
    pub fn collect(&self, engine: &Engine) -> io::Result<usize> {
        let mut gone = self.collect_from(&*self.memory, engine)?;
        if let Some(disk) = &self.disk {
            gone += self.collect_from(&**disk, engine)?;
        }
        Ok(gone)
    }

    /// Removes a content if nobody references or holds it: whether it did. Blocks on the disk.
    ///
    /// # Errors
    /// Whatever the disk met.
    pub fn remove_if_unused(
        &self,
        contents: &dyn Contents,
        engine: &Engine,
        oid: &LfsOid,
    ) -> io::Result<bool> {
        let held = self.held();
        let used = held.contains_key(oid)
            || engine.all().iter().any(|repository| {
                // What a damaged one references is not known.
                repository.damage().is_some() || repository.lfs().object(oid).is_some()
            });
        if used {
            return Ok(false);
        }
        contents.remove(oid)?;
        drop(held);
        Ok(true)
    }
}

impl Held {
    /// It stays held for as long as the server runs: nobody knows whether it is referenced.
    pub fn for_ever(self) {
        std::mem::forget(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.files.held();
        if let Some(count) = held.get_mut(&self.oid) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.oid);
            }
        }
    }
}
