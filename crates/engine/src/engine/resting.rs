//! Repositories that are not in memory, and how they leave it and come back.
//!
//! Members of a fork family share a pool, so they leave and come back together. A family leaves
//! when nobody holds any of its repositories but the catalogue, and all of it is saved: both are
//! looked at while the catalogue is locked, so nobody can take one up meanwhile.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use govc_git::ObjectId;

use super::Engine;
use crate::journal::{Floor, Journal, Moment, PastRefs, Shelf};
use crate::{
    Entry, Hooks, Lfs, Place, RefName, RepoKey, Repository, RepositoryRecord, Seq, Snapshot,
    Storage, Time, Usage,
};

/// A repository as the catalogue has it.
#[derive(Clone)]
pub enum Found {
    /// In memory.
    Here(Arc<Repository>),
    /// On the disk: [`Engine::bring_back`] brings it.
    Resting(Arc<Resting>),
}

impl Found {
    /// What names it for ever.
    pub fn key(&self) -> RepoKey {
        match self {
            Found::Here(repository) => repository.key(),
            Found::Resting(resting) => resting.key,
        }
    }

    /// What is known of it.
    pub fn record(&self) -> Arc<RepositoryRecord> {
        match self {
            Found::Here(repository) => Arc::clone(&repository.snapshot().record),
            Found::Resting(resting) => Arc::clone(&resting.summary.record),
        }
    }

    /// When its newest change was.
    pub fn time(&self) -> Time {
        match self {
            Found::Here(repository) => repository.snapshot().time,
            Found::Resting(resting) => resting.summary.time,
        }
    }

    /// Its large files and their locks.
    pub fn lfs(&self) -> Lfs {
        match self {
            Found::Here(repository) => repository.snapshot().lfs.clone(),
            Found::Resting(resting) => resting.summary.lfs.clone(),
        }
    }

    /// Its webhooks.
    pub fn hooks(&self) -> Hooks {
        match self {
            Found::Here(repository) => repository.snapshot().hooks.clone(),
            Found::Resting(resting) => resting.summary.hooks.clone(),
        }
    }

    /// The number of its newest change.
    pub fn seq(&self) -> Seq {
        match self {
            Found::Here(repository) => repository.snapshot().seq,
            Found::Resting(resting) => resting.summary.seq,
        }
    }

    /// Why nothing may be written to it, if something of it was found damaged.
    pub fn damage(&self) -> Option<Arc<str>> {
        match self {
            Found::Here(repository) => repository.damage(),
            Found::Resting(_) => None,
        }
    }

    /// It, if it is in memory.
    pub fn here(self) -> Option<Arc<Repository>> {
        match self {
            Found::Here(repository) => Some(repository),
            Found::Resting(_) => None,
        }
    }

    /// As [`Repository::entries`].
    ///
    /// # Errors
    /// Whatever reading them met.
    pub fn entries(&self, after: Option<Seq>, limit: usize) -> io::Result<Vec<Arc<Entry>>> {
        match self {
            Found::Here(repository) => repository.entries(after, limit),
            Found::Resting(resting) => resting.journal.entries(resting.key, after, limit),
        }
    }

    /// The entry at `place` of it, or of the reality `reality` that was made in it, without the
    /// bytes of its objects; of steps of staging those that answer their requests again.
    ///
    /// # Errors
    /// Whatever reading it met.
    pub fn entry(&self, reality: Option<RepoKey>, place: Place) -> io::Result<Option<Arc<Entry>>> {
        let key = self.key();
        let (repo, host) = match reality {
            Some(reality) => (reality, Some(key)),
            None => (key, None),
        };
        self.journal().entry(repo, host, place)
    }

    /// Gives `take` its entries from `since` on, and those of its realities, that answer their
    /// requests again; in no order.
    ///
    /// # Errors
    /// Whatever reading them met.
    pub fn answered(&self, since: Time, take: &mut dyn FnMut(&Arc<Entry>)) -> io::Result<()> {
        self.journal().answered(self.key(), since, take)
    }

    fn journal(&self) -> &dyn Journal {
        match self {
            Found::Here(repository) => &*repository.journal,
            Found::Resting(resting) => &*resting.journal,
        }
    }

    /// As [`Repository::refs_at`].
    ///
    /// # Errors
    /// Whatever reading them met.
    pub fn refs_at(&self, moment: Moment) -> io::Result<Option<PastRefs>> {
        match self {
            Found::Here(repository) => repository.refs_at(moment),
            Found::Resting(resting) => match self.is_over(moment) {
                Some(_) => Ok(None),
                None => resting.journal.refs_at(resting.key, moment),
            },
        }
    }

    /// As [`Repository::is_over`].
    pub fn is_over(&self, moment: Moment) -> Option<Floor> {
        match self {
            Found::Here(repository) => repository.is_over(moment),
            Found::Resting(resting) => {
                let floor = resting.journal.floor(resting.key);
                floor.filter(|floor| floor.is_above(moment))
            }
        }
    }
}

/// What is kept in memory of a repository that rests.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// What the catalogue knows of it.
    pub record: Arc<RepositoryRecord>,
    /// The number of its newest change.
    pub seq: Seq,
    /// When that was.
    pub time: Time,
    /// The branch that HEAD names.
    pub default_branch: Option<RefName>,
    /// The commit that HEAD leads to.
    pub head: Option<ObjectId>,
    /// Its large files and their locks.
    pub lfs: Lfs,
    /// Its webhooks.
    pub hooks: Hooks,
}

impl From<&Snapshot> for Summary {
    fn from(snapshot: &Snapshot) -> Summary {
        Summary {
            record: Arc::clone(&snapshot.record),
            seq: snapshot.seq,
            time: snapshot.time,
            default_branch: snapshot.refs.head_branch().cloned(),
            head: snapshot.head(),
            lfs: snapshot.lfs.clone(),
            hooks: snapshot.hooks.clone(),
        }
    }
}

/// A repository that is not in memory.
pub struct Resting {
    key: RepoKey,
    summary: Summary,
    /// Once somebody asked.
    usage: OnceLock<Usage>,
    journal: Arc<dyn Journal>,
    shelf: Arc<dyn Shelf>,
}

impl Resting {
    /// What names it for ever.
    pub fn key(&self) -> RepoKey {
        self.key
    }

    /// What is known of it.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// How much of its own history it has. Reads the disk when nobody asked before.
    ///
    /// # Errors
    /// Whatever the disk met.
    pub fn usage(&self) -> io::Result<Usage> {
        match self.usage.get() {
            Some(usage) => Ok(*usage),
            None => {
                let usage = self.shelf.usage(self.key)?;
                Ok(*self.usage.get_or_init(|| usage))
            }
        }
    }
}

/// One family comes back at a time, each for itself.
pub(super) type Returning = Mutex<HashMap<RepoKey, Arc<Mutex<()>>>>;

impl Engine {
    /// Where repositories rest. Without one they stay in memory.
    pub fn rest_on(&self, shelf: Arc<dyn Shelf>) {
        // Only the first one counts; there is no second.
        let _ = self.shelf.set(shelf);
    }

    /// Lists repositories that are on the disk, and stay there until somebody asks for them.
    /// [`Engine::rest_on`] comes before.
    pub fn lay_down(&self, resting: Vec<(RepoKey, Summary)>) {
        let Some(shelf) = self.shelf.get() else {
            return;
        };
        let mut catalogue = self.write();
        for (key, summary) in resting {
            catalogue.list(Found::Resting(Arc::new(Resting {
                key,
                summary,
                usage: OnceLock::new(),
                journal: Arc::clone(&self.parts.journal),
                shelf: Arc::clone(shelf),
            })));
        }
    }

    /// Brings back the repository `key` with all its family, and returns those of them that are
    /// in memory then. Blocks, for as long as reading packs' indexes and the graph takes; who asks
    /// for the same family meanwhile waits for it.
    ///
    /// # Errors
    /// Whatever the disk met: they rest on then.
    pub fn bring_back(&self, key: RepoKey) -> io::Result<Vec<Arc<Repository>>> {
        let Some(family) = self.read().by_key(key).map(|found| found.record().family) else {
            return Ok(Vec::new());
        };
        let one_at_a_time = {
            let mut returning = lock(&self.returning);
            Arc::clone(returning.entry(family).or_default())
        };
        let guard = lock(&one_at_a_time);
        let members = self.read().family(family);
        let is_resting = |found: &&Found| matches!(found, Found::Resting(_));
        let resting: Vec<RepoKey> = members.iter().filter(is_resting).map(Found::key).collect();
        let opened = match self.shelf.get() {
            Some(shelf) if !resting.is_empty() => {
                shelf.open(&resting, &mut |recovered| self.load(recovered))
            }
            _ => Ok(()),
        };
        drop(guard);
        let mut returning = lock(&self.returning);
        // One for this function and one in the map: nobody else waits.
        if Arc::strong_count(&one_at_a_time) <= 2 {
            returning.remove(&family);
        }
        drop(returning);
        opened?;
        resting
            .iter()
            .for_each(|key| self.committer.came_back(*key));
        let members = self.read().family(family);
        Ok(members.into_iter().filter_map(Found::here).collect())
    }

    /// How many repositories are in memory and could leave it.
    pub fn residents(&self) -> usize {
        let catalogue = self.read();
        let here = catalogue.here();
        here.filter(|repository| may_leave(repository)).count()
    }

    /// The families that are in memory and could leave it, those that nobody asked for the longest
    /// first: the family, and how many repositories it has.
    pub fn leavers(&self) -> Vec<(RepoKey, usize)> {
        let mut families: HashMap<RepoKey, (u64, usize)> = HashMap::new();
        for repository in self
            .read()
            .here()
            .filter(|repository| may_leave(repository))
        {
            let family = repository.snapshot().record.family;
            let known = families.entry(family).or_default();
            known.0 = known.0.max(repository.used.load(Ordering::Relaxed));
            known.1 += 1;
        }
        let mut order: Vec<_> = families.into_iter().collect();
        order.sort_unstable_by_key(|(key, (used, _))| (*used, *key));
        order
            .into_iter()
            .map(|(key, (_, count))| (key, count))
            .collect()
    }

    /// Lets a family leave memory, if nobody has anything to do with it: it is saved first. How
    /// many bytes of memory were let go; `None`: it stays. Blocks.
    ///
    /// # Errors
    /// Whatever saving met; it stays.
    pub fn lay_to_rest(&self, family: RepoKey) -> io::Result<Option<u64>> {
        let Some(shelf) = self.shelf.get() else {
            return Ok(None);
        };
        let members: Vec<RepoKey> = self.read().family(family).iter().map(Found::key).collect();
        {
            let catalogue = self.read();
            if !members.iter().all(|key| catalogue.is_idle(*key)) {
                return Ok(None);
            }
        }
        for key in &members {
            shelf.save(*key)?;
        }
        let mut left = Vec::new();
        let mut catalogue = self.write();
        // Who works in a reality has taken up its repository too, before.
        let may_go = |key: &RepoKey| {
            catalogue.is_idle(*key) && shelf.is_saved(*key) && self.guests.may_leave(*key)
        };
        // One that was forked meanwhile is among them too.
        if catalogue.family_len(family) != members.len() || !members.iter().all(may_go) {
            return Ok(None);
        }
        for found in catalogue.family(family) {
            let Found::Here(repository) = found else {
                continue;
            };
            let resting = Resting {
                key: repository.key(),
                summary: Summary::from(&*repository.snapshot()),
                usage: OnceLock::from(repository.usage(&[])),
                journal: Arc::clone(&self.parts.journal),
                shelf: Arc::clone(shelf),
            };
            self.guests.leave(repository.key());
            catalogue.list(Found::Resting(Arc::new(resting)));
            left.push(repository);
        }
        drop(catalogue);
        let bytes = left.first().map(|one| one.pool().stats().memory_bytes);
        // Here their memory goes, not under the lock.
        drop(left);
        Ok(bytes)
    }
}

/// Whether it could be somewhere else than in memory.
pub(super) fn may_leave(repository: &Repository) -> bool {
    repository.damage().is_none()
        && repository.is_made()
        && repository.snapshot().record.storage != Storage::Memory
        && !repository.snapshot().realities.has_in_memory()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
