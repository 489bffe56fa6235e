//! All repositories of one node, and the threads behind their doors.

mod catalogue;
mod realities;
mod resting;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use bytes::Bytes;
use govc_git::ObjectFormat;

use crate::journal::memory::{MemoryJournal, MemoryPacks};
use crate::journal::{Journal, Moment, PackBytes, PackId, Packs, Shelf};
use crate::pool::{GraphSource, ListsToRead, Pool, PoolError, PoolLimits};
use crate::repository::publish::{Committer, Pending, PublishError, Published, Refusal, Turns};
use crate::repository::{Start, ToKeep};
use crate::{
    Cause, Change, Clock, Edit, Entry, Expected, ForkedFrom, Hooks, Lfs, LfsObject, NewObject,
    NewObjects, Place, Realities, RefEdit, RefName, Refs, RepoId, RepoKey, Repository,
    RepositoryRecord, Seq, Settings, Snapshot, Storage, Target, Time, Transactions, Workspaces,
};

use catalogue::{Catalogue, Reservation};
use realities::Guests;
pub use realities::{Reality, RecoveredReality};
use resting::Returning;
pub use resting::{Found, Resting, Summary};

/// What an engine is made of.
pub struct EngineParts {
    /// Orders the changes of all repositories that are not `memory`.
    pub journal: Arc<dyn Journal>,
    /// Keeps their packs.
    pub packs: Arc<dyn Packs>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Names new repositories: never gives the same key twice.
    pub new_key: Arc<dyn Fn() -> RepoKey + Send + Sync>,
    /// How many threads decide.
    pub turn_threads: usize,
    /// What each pool may spend.
    pub pool_limits: PoolLimits,
}

/// All repositories of one node.
pub struct Engine {
    catalogue: RwLock<Catalogue>,
    parts: EngineParts,
    memory_journal: Arc<MemoryJournal>,
    memory_packs: Arc<MemoryPacks>,
    committer: Arc<Committer>,
    turns: Arc<Turns>,
    /// They decide, and append.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Where repositories are that are not in memory.
    shelf: OnceLock<Arc<dyn Shelf>>,
    /// Held while a family comes back.
    returning: Returning,
    /// Counts who was asked for, so that it is known who was not for long.
    uses: AtomicU64,
    /// Realities that somebody needed.
    guests: Guests,
}

/// Hears of every change after it is visible, in order, on the thread that appends: it must not
/// block.
pub trait Listener: Send + Sync {
    /// `entry` is durable and visible.
    fn known(&self, entry: &Arc<Entry>);

    /// The repository `repo`, which rested, is in memory again. Told on the thread that brought it.
    fn came_back(&self, repo: RepoKey) {
        let _ = repo;
    }
}

/// What somebody wants to make.
#[derive(Debug, Clone)]
pub struct NewRepository {
    /// Its id.
    pub id: RepoId,
    /// A sentence for people.
    pub description: String,
    /// The branch that HEAD names; it need not exist.
    pub default_branch: RefName,
    /// Where it lives.
    pub storage: Storage,
    /// Which hash names its objects.
    pub object_format: ObjectFormat,
    /// When it goes by itself.
    pub expires_at: Option<Time>,
}

/// Why the catalogue refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The id is taken, perhaps in another spelling.
    #[error("there is a repository \"{0}\" already")]
    Exists(RepoId),
    /// The moment is before the repository was made, or after its newest change.
    #[error("the repository has no state at that moment")]
    NoSuchMoment,
    /// The moment is before what is kept.
    #[error("that is no longer kept: the oldest state that is left is {oldest}")]
    Expired {
        /// The number of the oldest state that is kept.
        oldest: Seq,
    },
    /// The change was refused.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The past could not be read.
    #[error("history cannot be read: {0}")]
    History(#[source] io::Error),
}

/// A repository as it was found on disk.
#[derive(Debug)]
pub struct Recovered {
    /// What names it.
    pub key: RepoKey,
    /// Its newest durable state.
    pub snapshot: Snapshot,
    /// The number of its next change.
    pub next: Seq,
    /// Its packs, in any order.
    pub packs: Vec<(PackId, PackBytes)>,
    /// A commit-graph file over commits of those packs, where there is one.
    pub commit_graph: Option<Bytes>,
    /// Introduced lists of an earlier run, where there may be some.
    pub lists: Option<ListsToRead>,
    /// Inline objects that no pack has yet, oldest first, with where their entries are.
    pub unpacked: Vec<(Place, NewObject)>,
    /// Its realities that were written to.
    pub realities: Vec<RecoveredReality>,
    /// Why it may be read and not written: what of it is damaged.
    pub damage: Option<String>,
}

impl Engine {
    /// An engine without repositories; its threads run until [`Engine::shut_down`].
    ///
    /// # Errors
    /// Whatever starting threads met.
    pub fn new(parts: EngineParts) -> io::Result<Arc<Engine>> {
        let memory_journal = Arc::new(MemoryJournal::default());
        let committer = Committer::new(Arc::clone(&parts.journal), Arc::clone(&memory_journal));
        let turns = Turns::new(Arc::clone(&parts.clock), Arc::clone(&committer));
        let threads = turns.start(parts.turn_threads.max(1))?;
        Ok(Arc::new(Engine {
            catalogue: RwLock::default(),
            parts,
            memory_journal,
            memory_packs: Arc::default(),
            committer,
            turns,
            threads: Mutex::new(threads),
            shelf: OnceLock::new(),
            returning: Returning::default(),
            uses: AtomicU64::new(0),
            guests: Guests::default(),
        }))
    }

    /// From now on `listener` hears of every change.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.committer.listen(listener);
    }

    /// Lets what waits at the doors finish, and refuses what comes later. Blocks.
    pub fn shut_down(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        self.turns.close();
        for thread in threads.drain(..) {
            // A thread that panicked has said so; there is nothing to wait for.
            let _ = thread.join();
        }
    }

    /// The clock that changes are dated by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// The repository that users call `id`, in any spelling; not a deleted one.
    pub fn find(&self, id: &str) -> Option<Found> {
        let found = self.read().get(id);
        if let Some(Found::Here(repository)) = &found {
            self.use_now(repository);
        }
        found
    }

    /// The repository with this key, deleted ones too.
    pub fn find_by_key(&self, key: RepoKey) -> Option<Found> {
        let listed = self.read().by_key(key);
        listed.or_else(|| self.guests.by_key(key).map(Found::Here))
    }

    /// As [`Engine::find`]; `None` too for one that rests.
    pub fn get(&self, id: &str) -> Option<Arc<Repository>> {
        self.find(id)?.here()
    }

    /// As [`Engine::find_by_key`]; `None` too for one that rests.
    pub fn by_key(&self, key: RepoKey) -> Option<Arc<Repository>> {
        self.find_by_key(key)?.here()
    }

    /// All repositories, deleted ones too, in no order.
    pub fn all(&self) -> Vec<Found> {
        self.read().all()
    }

    /// How many repositories there are, deleted ones too.
    pub fn count(&self) -> usize {
        self.read().len()
    }

    /// Up to `limit` repositories that are not deleted, in the order of their ids without regard
    /// to case: those whose ids begin with `prefix` and come after `after`.
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Found> {
        self.read().list_from(prefix, after, limit)
    }

    /// The deleted repository that was called `id` when it was deleted; of several the one that
    /// was deleted last.
    pub fn deleted(&self, id: &str) -> Option<Found> {
        self.read().deleted(id)
    }

    /// Makes a repository, empty, its HEAD on a branch that does not exist yet. Its making is its
    /// change 0.
    ///
    /// # Errors
    /// [`CatalogueError::Exists`], [`CatalogueError::Publish`].
    pub async fn create(
        &self,
        new: NewRepository,
        cause: Cause,
        dry_run: bool,
    ) -> Result<(Arc<Repository>, Published), CatalogueError> {
        let reservation = self.reserve(&new.id)?;
        let key = (self.parts.new_key)();
        let record = RepositoryRecord {
            id: new.id,
            description: new.description,
            storage: new.storage,
            object_format: new.object_format,
            family: key,
            forked_from: None,
            created_at: self.parts.clock.now(),
            deleted_at: None,
            expires_at: new.expires_at,
            settings: Settings::default(),
        };
        let pool = Pool::new(new.object_format, self.parts.pool_limits.clone());
        let refs = [(RefName::head(), Target::Symbolic(new.default_branch))];
        self.make(
            reservation,
            key,
            record,
            pool,
            refs,
            Vec::new(),
            ToKeep::default(),
            cause,
            dry_run,
        )
        .await
    }

    /// Makes a copy of `parent`, which may be a reality, as it is, or was at a moment: refs are
    /// copied, objects shared.
    /// The making of the fork is the fork's change 0; nothing changes in the parent.
    ///
    /// # Errors
    /// [`CatalogueError`].
    pub async fn fork(
        &self,
        parent: &Arc<Repository>,
        id: RepoId,
        at: Option<Moment>,
        cause: Cause,
        dry_run: bool,
    ) -> Result<(Arc<Repository>, Published), CatalogueError> {
        let reservation = self.reserve(&id)?;
        let snapshot = parent.snapshot();
        let (seq, refs) = match at {
            None => (snapshot.seq, snapshot.refs.clone()),
            Some(Moment::Seq(seq)) if seq > snapshot.seq => {
                return Err(CatalogueError::NoSuchMoment);
            }
            Some(moment) => {
                if let Some(oldest) = parent.is_over(moment) {
                    return Err(CatalogueError::Expired { oldest: oldest.seq });
                }
                let past = parent.refs_at(moment).map_err(CatalogueError::History)?;
                let past = past.ok_or(CatalogueError::NoSuchMoment)?;
                (past.seq, past.refs)
            }
        };
        let key = (self.parts.new_key)();
        // What a reality has is in the directory of the repository that it was made in.
        let host = match parent.reality() {
            None => Arc::clone(parent),
            Some(reality) => reality.made_in().ok_or(CatalogueError::NoSuchMoment)?,
        };
        let there = host.snapshot();
        let record = RepositoryRecord {
            id,
            forked_from: Some(ForkedFrom {
                key: host.key(),
                id: there.record.id.clone(),
                seq: match parent.reality() {
                    None => seq,
                    Some(_) => there.seq,
                },
            }),
            created_at: self.parts.clock.now(),
            deleted_at: None,
            expires_at: None,
            ..RepositoryRecord::clone(&snapshot.record)
        };
        let refs = refs
            .iter()
            .map(|(name, target)| (name.clone(), target.clone()));
        let refs: Vec<_> = refs.collect();
        // What was uploaded since the last change belongs to whoever forks now, too.
        // Those of a reality are numbered as their host's are.
        let is_now = at.is_none() || parent.reality().is_some();
        let until = if is_now { Seq::MAX } else { seq };
        let lfs: Vec<LfsObject> = snapshot.lfs.objects_at(until).collect();
        // Taken after the snapshot: it has all that the snapshot needs. To the fork they are
        // objects of its change 0.
        let mut to_keep = host.held();
        if parent.reality().is_some() {
            let realities = self.realities_here(host.key());
            let held = realities.iter().map(|reality| reality.held());
            held.for_each(|held| to_keep.extend(held));
        }
        let to_keep = to_keep.of_making();
        let pool = Arc::clone(parent.pool());
        let held = HeldPacks {
            pool: Arc::clone(&pool),
            packs: to_keep.packs.clone(),
        };
        let made = self
            .make(
                reservation,
                key,
                record,
                pool,
                refs,
                lfs,
                to_keep,
                cause,
                dry_run,
            )
            .await;
        if made.is_ok() && !dry_run {
            held.stay();
        }
        made
    }

    /// Changes the record of `repository`, and refs with it, as one change, if `check` lets it pass
    /// when its turn comes.
    ///
    /// # Errors
    /// [`CatalogueError::Exists`] when the record gets an id that is taken;
    /// [`CatalogueError::Publish`].
    pub async fn update(
        &self,
        repository: &Arc<Repository>,
        change: impl Fn(&mut RepositoryRecord) + Send + 'static,
        check: impl Fn(&Pending<'_>) -> Result<(), Refusal> + Send + 'static,
        refs: Vec<RefEdit>,
        cause: Cause,
        dry_run: bool,
    ) -> Result<Published, CatalogueError> {
        let before = repository.snapshot();
        let mut after = RepositoryRecord::clone(&before.record);
        change(&mut after);
        let listed = before
            .record
            .deleted_at
            .is_none()
            .then(|| before.record.id.folded());
        let wanted = after.deleted_at.is_none().then(|| after.id.folded());
        let reservation = match wanted {
            Some(_) if wanted != listed => Some(self.reserve(&after.id)?),
            _ => None,
        };
        let proposal = move |now: &Pending<'_>| {
            check(now)?;
            let mut record = RepositoryRecord::clone(&now.snapshot.record);
            change(&mut record);
            let mut edits = vec![Edit::Repository(Box::new(record))];
            edits.extend(refs.iter().cloned().map(Edit::Ref));
            Ok(Some(Change {
                objects: NewObjects::default(),
                edits,
                cause: cause.clone(),
            }))
        };
        let published = if dry_run {
            repository.rehearse(proposal).await?
        } else {
            repository.publish(proposal).await?
        };
        if !dry_run {
            self.write().list_as_it_is(repository);
        }
        drop(reservation);
        Ok(published)
    }

    /// Takes in repositories that were found on disk. Members of one family share a pool.
    /// One whose objects cannot be taken in is loaded all the same, damaged.
    pub fn load(&self, recovered: Vec<Recovered>) {
        let mut pools: HashMap<RepoKey, Arc<Pool>> = HashMap::new();
        for Recovered {
            key,
            snapshot,
            next,
            packs,
            commit_graph,
            lists,
            unpacked,
            realities,
            damage,
        } in recovered
        {
            let family = snapshot.record.family;
            let pool = pools.entry(family).or_insert_with(|| {
                let here = self.read().family(family).into_iter().find_map(Found::here);
                match here {
                    Some(member) => Arc::clone(member.pool()),
                    None => Pool::new(
                        snapshot.record.object_format,
                        self.parts.pool_limits.clone(),
                    ),
                }
            });
            let packs_found = packs.iter().map(|(id, _)| *id).collect();
            let to_keep = ToKeep::found(packs_found, &unpacked);
            let filled = fill(pool, packs, commit_graph, unpacked, &snapshot.refs);
            if let Some(lists) = lists {
                pool.use_saved_lists(lists);
            }
            let start = Start {
                key,
                pool: Arc::clone(pool),
                snapshot,
                next,
                to_keep,
                reality: None,
            };
            let repository = self.start(start);
            self.guests.found(key, realities);
            if let Some(why) = damage {
                repository.mark_damaged(&why);
            }
            if let Err(error) = filled {
                repository.mark_damaged(&error.to_string());
            }
            self.use_now(&repository);
            self.write().list_as_it_is(&repository);
        }
    }

    /// Lets go of a deleted repository for good: it is as if it had never been here, and what of its
    /// family's objects nobody else has is no longer in memory. What of it is on the disk is the
    /// caller's to remove. Whether it went: not one that is not deleted, or that somebody works with.
    pub fn let_go(&self, key: RepoKey) -> bool {
        let mut catalogue = self.write();
        let Some(found) = catalogue.by_key(key) else {
            return false;
        };
        if found.record().deleted_at.is_none() {
            return false;
        }
        if let Found::Here(repository) = &found {
            // The catalogue's, and ours.
            const OURS: usize = 2;
            if Arc::strong_count(repository) > OURS || !self.guests.may_leave(key) {
                return false;
            }
            for reality in self.realities_here(key) {
                self.memory_journal.forget(reality.key());
            }
            let is_last = catalogue.family_len(repository.snapshot().record.family) == 1;
            for pack in repository.let_packs_go() {
                if is_last {
                    // Only a repository in memory has any there.
                    let _ = self.memory_packs.remove(key, pack);
                }
            }
        }
        self.guests.leave(key);
        self.memory_journal.forget(key);
        catalogue.forget(key);
        true
    }

    /// Publishes change 0 of a repository, and lists it.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one part of the new repository"
    )]
    async fn make(
        &self,
        reservation: Reservation<'_>,
        key: RepoKey,
        record: RepositoryRecord,
        pool: Arc<Pool>,
        refs: impl IntoIterator<Item = (RefName, Target)>,
        lfs: Vec<LfsObject>,
        to_keep: ToKeep,
        cause: Cause,
        dry_run: bool,
    ) -> Result<(Arc<Repository>, Published), CatalogueError> {
        let snapshot = Snapshot {
            record: Arc::new(record.clone()),
            seq: 0,
            step: 0,
            time: record.created_at,
            refs: Refs::default(),
            lfs: Lfs::default(),
            workspaces: Workspaces::default(),
            transactions: Transactions::default(),
            realities: Realities::default(),
            hooks: Hooks::default(),
        };
        let repository = self.start(Start {
            key,
            pool,
            snapshot,
            next: 0,
            to_keep,
            reality: None,
        });
        let mut edits = vec![Edit::Repository(Box::new(record))];
        edits.extend(refs.into_iter().map(|(name, target)| {
            Edit::Ref(RefEdit {
                name,
                expected: Expected::Absent,
                target,
            })
        }));
        if !lfs.is_empty() {
            edits.push(Edit::LfsObjects(lfs));
        }
        let change = Change {
            objects: NewObjects::default(),
            edits,
            cause,
        };
        let published = if dry_run {
            repository.rehearse(change).await?
        } else {
            let published = repository.publish(change).await?;
            self.use_now(&repository);
            self.write().list_as_it_is(&repository);
            published
        };
        drop(reservation);
        Ok((repository, published))
    }

    fn start(&self, start: Start) -> Arc<Repository> {
        let turns = Arc::clone(&self.turns);
        let (journal, packs) = self.seams(start.snapshot.record.storage);
        Repository::new(start, journal, packs, turns)
    }

    /// Where changes and packs of that storage go.
    fn seams(&self, storage: Storage) -> (Arc<dyn Journal>, Arc<dyn Packs>) {
        if storage == Storage::Memory {
            let journal = Arc::clone(&self.memory_journal) as Arc<dyn Journal>;
            (journal, Arc::clone(&self.memory_packs) as Arc<dyn Packs>)
        } else {
            (
                Arc::clone(&self.parts.journal),
                Arc::clone(&self.parts.packs),
            )
        }
    }

    fn use_now(&self, repository: &Repository) {
        let now = self.uses.fetch_add(1, Ordering::Relaxed) + 1;
        repository.used.store(now, Ordering::Relaxed);
    }

    fn reserve(&self, id: &RepoId) -> Result<Reservation<'_>, CatalogueError> {
        Reservation::new(&self.catalogue, id).ok_or_else(|| CatalogueError::Exists(id.clone()))
    }

    fn read(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Catalogue> {
        self.catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Packs that a fork which is being made holds in the pool. Dropped before it is made, it lets go
/// of them.
struct HeldPacks {
    pool: Arc<Pool>,
    packs: Vec<PackId>,
}

impl HeldPacks {
    fn stay(mut self) {
        self.packs.clear();
    }
}

impl Drop for HeldPacks {
    fn drop(&mut self) {
        self.packs.iter().for_each(|id| self.pool.remove_pack(*id));
    }
}

/// Puts packs and inline objects into a pool, and what `refs` reach into its graph.
fn fill(
    pool: &Pool,
    packs: Vec<(PackId, PackBytes)>,
    commit_graph: Option<Bytes>,
    unpacked: Vec<(Place, NewObject)>,
    refs: &Refs,
) -> Result<(), PoolError> {
    // The file saves reading most commits, not looking for those that it lacks: what only a past
    // state or a reality reaches is found from no ref of these.
    let mut graph = commit_graph.map_or(GraphSource::Scan, GraphSource::CommitGraph);
    for (id, bytes) in packs {
        if !pool.hold_pack(id) {
            let graph = std::mem::replace(&mut graph, GraphSource::Scan);
            pool.add_pack(id, bytes, graph)?;
        }
    }
    let objects: Vec<NewObject> = unpacked.into_iter().map(|(_, object)| object).collect();
    pool.insert(&objects)?;
    let mut tips = Vec::new();
    for id in refs.objects() {
        if pool.graph().number(&id).is_none() {
            tips.extend(pool.peel(&id)?.map(|peeled| peeled.target));
        }
    }
    pool.learn(&tips)
}
