//! A repository: one versioned map of refs over a pool of objects, and the door that changes it.

pub mod edit;
pub mod fetch_rules;
pub mod history;
pub mod hooks;
pub mod key;
pub mod lfs;
pub mod listings;
pub mod named;
pub mod publish;
pub mod quarantine;
pub mod realities;
pub mod record;
pub mod refs;
pub mod shared_map;
pub mod snapshot;
pub mod transactions;
mod unpacked;
pub mod workspaces;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use govc_git::ObjectId;
use hashbrown::HashSet;
use tokio::sync::watch;

use crate::journal::{Floor, Journal, Moment, PackBytes, PackId, Packs, PastRefs};
use crate::pool::{GraphSource, Moves, Pool, PoolError, Visibility};
use crate::{
    Entry, EntryEdit, Fate, NewObject, ObjectBody, Place, RealityId, RepoKey, Seq, Snapshot, Target,
};
use publish::{Door, PublishError, Turn, Turns, Visible};
pub use unpacked::Unpacked;

/// A repository, shared by every request that names it.
///
/// Readers take the current snapshot and keep it for as long as they like; they never wait. The
/// one writer builds the next snapshot beside it and swaps it in, so a reader sees the moment
/// before a change or the moment after, and nothing between.
pub struct Repository {
    key: RepoKey,
    /// The objects of its fork family.
    pool: Arc<Pool>,
    /// Keeps its order and answers for its past.
    pub(crate) journal: Arc<dyn Journal>,
    /// Keeps its packs.
    packs: Arc<dyn Packs>,
    /// What readers see. Swapped whole; only `publish` can.
    visible: Visible,
    /// Whether its entry 0 is durable.
    made: AtomicBool,
    /// What has been decided and is not yet durable. Held to decide, for microseconds, and never
    /// over an append: a std mutex.
    door: Mutex<Door>,
    /// Proposals that wait for their turn. Held to push and to take.
    turn: Mutex<Turn>,
    /// Told when as many wait for it as somebody waits for.
    gathered: Condvar,
    pub(crate) turns: Arc<Turns>,
    /// The newest number that readers see, for those who wait for one.
    seen: watch::Sender<Seq>,
    /// What is reachable, for the newest snapshot that somebody asked about.
    visibility: Mutex<Reachable>,
    /// What was said of its refs lately.
    listings: listings::Listings,
    /// What a checkpoint has to write. Held to push and to take.
    to_keep: Mutex<ToKeep>,
    /// Packs that no entry names yet, and how many pushes brought each.
    quarantined: Arc<Quarantine>,
    /// What it is a reality of, if it is one.
    reality: Option<RealityOf>,
    /// Whether it is one that was promoted or discarded: see [`Repository::close`].
    closed: AtomicU8,
    /// Why nothing may be written any more, once something on disk was found damaged.
    damage: OnceLock<Arc<str>>,
    /// When it was asked for last, by the engine's count.
    pub(crate) used: AtomicU64,
}

/// Packs that no entry names yet, and how many pushes brought each. Realities have one with the
/// repository that they were made in, because they have its files too.
pub(crate) type Quarantine = Mutex<HashMap<PackId, usize>>;

/// Which reality of which repository one is.
#[derive(Clone)]
pub struct RealityOf {
    /// The repository that it was made in.
    pub host: RepoKey,
    /// Which one it is.
    pub id: RealityId,
    /// What it is called.
    pub name: Arc<str>,
    /// That repository, while it is in memory.
    pub(crate) made_in: Weak<Repository>,
}

impl RealityOf {
    /// The repository that it was made in, while that is in memory.
    pub fn made_in(&self) -> Option<Arc<Repository>> {
        self.made_in.upgrade()
    }
}

const PROMOTED: u8 = 1;
const DISCARDED: u8 = 2;

/// Objects and packs that are part of a repository's history.
#[derive(Debug, Clone, Default)]
pub struct ToKeep {
    /// All packs that its changes brought, and those of the repository it was forked from.
    pub packs: Vec<PackId>,
    /// Inline objects that are in no pack of its own yet, with the change that brought them.
    pub unpacked: Unpacked,
    /// How much those are, change by change.
    weights: VecDeque<(Place, Usage)>,
    /// The sum of `weights`.
    weight: Usage,
}

/// How much a repository has of its own history: what its directory would hold, if it were alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Objects. One that is in two packs counts twice.
    pub objects: u64,
    /// Bytes of packs with their indexes, and of objects that are in none yet.
    pub bytes: u64,
    /// Those of them that are in packs.
    pub packed_bytes: u64,
}

impl ToKeep {
    /// What has to be kept of a repository that was found with these packs and objects.
    pub(crate) fn found(packs: Vec<PackId>, unpacked: &[(Place, NewObject)]) -> ToKeep {
        let mut found = ToKeep {
            packs,
            ..ToKeep::default()
        };
        for (place, object) in unpacked {
            found.add(*place, std::slice::from_ref(object));
        }
        found
    }

    /// The same, for a fork that is being made: all of it is of the fork's change 0.
    pub(crate) fn of_making(mut self) -> ToKeep {
        self.unpacked = self.unpacked.brought_by((0, 0));
        self.weights = VecDeque::from([((0, 0), self.weight)]);
        self
    }

    /// Keeps what `other` has to keep, too.
    pub(crate) fn extend(&mut self, other: ToKeep) {
        self.packs.extend(other.packs);
        other
            .unpacked
            .iter()
            .for_each(|(place, id)| self.unpacked.add(place, [id]));
        self.weights.extend(other.weights);
        self.weight.objects += other.weight.objects;
        self.weight.bytes += other.weight.bytes;
    }

    fn add(&mut self, place: Place, objects: &[NewObject]) {
        self.unpacked
            .add(place, objects.iter().map(|object| object.id));
        let weight = Usage::of(objects);
        self.weight.objects += weight.objects;
        self.weight.bytes += weight.bytes;
        self.weights.push_back((place, weight));
    }

    /// The objects of entries up to `place`, which are kept otherwise now.
    fn take_until(&mut self, place: Place) -> Vec<ObjectId> {
        while let Some((of, weight)) = self.weights.front()
            && *of <= place
        {
            self.weight.objects -= weight.objects;
            self.weight.bytes -= weight.bytes;
            self.weights.pop_front();
        }
        self.unpacked.take_until(place)
    }
}

impl Usage {
    /// What a change with these inline objects adds. What is elsewhere is counted there.
    pub fn of(inline: &[NewObject]) -> Usage {
        let here = |object: &&NewObject| object.body != ObjectBody::Elsewhere;
        let here = inline.iter().filter(here);
        here.fold(Usage::default(), |sum, object| Usage {
            objects: sum.objects + 1,
            bytes: sum.bytes + object.body.len() as u64,
            ..sum
        })
    }
}

#[derive(Default)]
struct Reachable {
    known: Option<KnownVisibility>,
    /// The newest change that was noted.
    noted: Seq,
}

/// What is reachable at one change, and what is known of the changes after it.
struct KnownVisibility {
    seq: Seq,
    visibility: Arc<Visibility>,
    /// How refs moved since. Changes are noted before they are visible: the newest may belong to
    /// a snapshot that is still to come.
    moves: Vec<Move>,
    /// There were more than is worth counting: whatever they were is looked at anew.
    lost_count: bool,
}

/// One step of one ref.
struct Move {
    seq: Seq,
    before: Option<ObjectId>,
    after: Option<ObjectId>,
}

/// More steps of refs than this are not counted.
const MOVES_MAX: usize = 1024;

impl KnownVisibility {
    fn new(seq: Seq, visibility: Visibility) -> KnownVisibility {
        KnownVisibility {
            seq,
            visibility: Arc::new(visibility),
            moves: Vec::new(),
            lost_count: false,
        }
    }

    fn note(&mut self, seq: Seq, before: &Target, after: &Target) {
        if self.lost_count {
            return;
        }
        if self.moves.len() == MOVES_MAX {
            self.moves = Vec::new();
            self.lost_count = true;
            return;
        }
        let id = |target: &Target| match target {
            Target::At(id) => Some(*id),
            Target::Symbolic(_) | Target::Gone => None,
        };
        let (before, after) = (id(before), id(after));
        self.moves.push(Move { seq, before, after });
    }

    /// The visibility of the later state `snapshot`.
    fn advance(self, pool: &Pool, snapshot: &Snapshot) -> KnownVisibility {
        let is_now = |step: &Move| step.seq <= snapshot.seq;
        let (now, later): (Vec<Move>, Vec<Move>) = self.moves.into_iter().partition(is_now);
        let moves = if self.lost_count || now.iter().any(|step| step.loses(pool)) {
            Moves::Any
        } else {
            Moves::Added(now.iter().filter_map(|step| step.after).collect())
        };
        let visibility = self.visibility.advance(&snapshot.refs, moves);
        KnownVisibility {
            moves: later,
            ..KnownVisibility::new(snapshot.seq, visibility)
        }
    }
}

impl Move {
    /// Whether the ref moved other than forwards.
    fn loses(&self, pool: &Pool) -> bool {
        let graph = pool.graph();
        let Some(before) = &self.before else {
            return false;
        };
        let after = self.after.as_ref().and_then(|after| graph.number(after));
        let forwards = graph
            .number(before)
            .zip(after)
            .is_some_and(|(before, after)| graph.is_ancestor(before, after));
        !forwards
    }
}

/// What a repository is when it enters the engine: just made, forked or recovered.
pub(crate) struct Start {
    pub(crate) key: RepoKey,
    pub(crate) pool: Arc<Pool>,
    pub(crate) snapshot: Snapshot,
    /// The number of its next change; 0 where it is still to be made.
    pub(crate) next: Seq,
    pub(crate) to_keep: ToKeep,
    /// What it is a reality of, and the packs that no entry names yet of what it was made in.
    pub(crate) reality: Option<(RealityOf, Arc<Quarantine>)>,
}

impl Repository {
    pub(crate) fn new(
        start: Start,
        journal: Arc<dyn Journal>,
        packs: Arc<dyn Packs>,
        turns: Arc<Turns>,
    ) -> Arc<Repository> {
        let Start {
            key,
            pool,
            snapshot,
            next,
            to_keep,
            reality,
        } = start;
        let (reality, quarantined) = reality.unzip();
        Arc::new(Repository {
            key,
            pool,
            journal,
            packs,
            made: AtomicBool::new(next > 0),
            seen: watch::Sender::new(snapshot.seq),
            door: Mutex::new(Door::new(snapshot.clone(), next)),
            visible: Visible::new(snapshot),
            turn: Mutex::default(),
            gathered: Condvar::new(),
            turns,
            visibility: Mutex::default(),
            listings: listings::Listings::default(),
            to_keep: Mutex::new(to_keep),
            quarantined: quarantined.unwrap_or_default(),
            reality,
            closed: AtomicU8::new(0),
            damage: OnceLock::new(),
            used: AtomicU64::new(0),
        })
    }

    /// What names it for ever.
    pub fn key(&self) -> RepoKey {
        self.key
    }

    /// What it is a reality of; `None` for what is no reality.
    pub fn reality(&self) -> Option<&RealityOf> {
        self.reality.as_ref()
    }

    /// For a reality what names the repository that it was made in.
    pub(crate) fn host(&self) -> Option<RepoKey> {
        self.reality.as_ref().map(|reality| reality.host)
    }

    pub(crate) fn quarantine(&self) -> Arc<Quarantine> {
        Arc::clone(&self.quarantined)
    }

    /// From now on it changes no more, because of what became of it as a reality.
    pub(crate) fn close(&self, fate: &Fate) {
        let closed = match fate {
            Fate::Open => 0,
            Fate::Promoted(_) => PROMOTED,
            Fate::Discarded => DISCARDED,
        };
        self.closed.fetch_max(closed, Ordering::AcqRel);
    }

    /// Why it does not change, if it does not.
    fn is_closed(&self) -> Option<PublishError> {
        match self.closed.load(Ordering::Acquire) {
            0 => self.damage().map(PublishError::Damaged),
            PROMOTED => Some(PublishError::Closed),
            _ => Some(PublishError::Discarded),
        }
    }

    /// A reality that was discarded lets go of what it had in the pool and nobody else keeps.
    pub(crate) fn let_go(&self) {
        let mut to_keep = lock(&self.to_keep);
        let ids = to_keep.take_until((Seq::MAX, u32::MAX));
        let packs = std::mem::take(&mut to_keep.packs);
        drop(to_keep);
        self.pool.forget(&ids);
        packs.into_iter().for_each(|id| self.pool.remove_pack(id));
    }

    /// It goes for good, and lets go of its packs. Inline objects that are in none may be what
    /// others of its family stand on: they leave with the family.
    pub(crate) fn let_packs_go(&self) -> Vec<PackId> {
        let packs = std::mem::take(&mut lock(&self.to_keep).packs);
        packs.iter().for_each(|id| self.pool.remove_pack(*id));
        packs
    }

    /// The repository now. Never waits.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.visible.load()
    }

    /// The objects of its fork family. That one is there does not mean that it is visible here.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Where packs that are pushed to it go.
    pub fn packs(&self) -> &Arc<dyn Packs> {
        &self.packs
    }

    /// Up to `limit` entries with numbers greater than `after`, oldest first, without the bytes
    /// of their objects.
    ///
    /// # Errors
    /// Whatever reading them met.
    pub fn entries(&self, after: Option<Seq>, limit: usize) -> io::Result<Vec<Arc<Entry>>> {
        self.journal.entries(self.key, after, limit)
    }

    /// All refs as they were at a moment; `None` when that is before the repository was made, or
    /// before its [`Repository::floor`].
    ///
    /// # Errors
    /// Whatever reading them met.
    pub fn refs_at(&self, moment: Moment) -> io::Result<Option<PastRefs>> {
        match self.is_over(moment) {
            Some(_) => Ok(None),
            None => self.journal.refs_at(self.key, moment),
        }
    }

    /// The oldest state that is kept, where older ones went because their time was over.
    pub fn floor(&self) -> Option<Floor> {
        self.journal.floor(self.key)
    }

    /// The oldest state that is kept, where `moment` is before it.
    pub fn is_over(&self, moment: Moment) -> Option<Floor> {
        self.floor().filter(|floor| floor.is_above(moment))
    }

    /// What is visible in the current snapshot.
    pub fn visibility(&self) -> Arc<Visibility> {
        let mut reachable = lock(&self.visibility);
        // Taken under the lock: moves that are noted later belong to a later snapshot.
        let snapshot = self.snapshot();
        if let Some(KnownVisibility {
            seq, visibility, ..
        }) = &reachable.known
            && *seq >= snapshot.seq
        {
            return Arc::clone(visibility);
        }
        let older = reachable.known.take();
        let uncounted = older.as_ref().is_none_or(|older| older.lost_count);
        let mut next = match older {
            Some(older) => older.advance(&self.pool, &snapshot),
            None => {
                let visibility = Visibility::new(Arc::clone(&self.pool), &snapshot.refs);
                KnownVisibility::new(snapshot.seq, visibility)
            }
        };
        // Of a change that was noted and is still to come nothing else may be known.
        next.lost_count = uncounted && reachable.noted > snapshot.seq;
        let visibility = Arc::clone(&next.visibility);
        reachable.known = Some(next);
        visibility
    }

    /// Waits until readers see change `seq`, for at most `patience`. Whether they do.
    pub async fn wait_for(&self, seq: Seq, patience: Duration) -> bool {
        let mut seen = self.seen.subscribe();
        let reached = seen.wait_for(|now| *now >= seq);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Why nothing may be written to it, if something of it was found damaged.
    pub fn damage(&self) -> Option<Arc<str>> {
        self.damage.get().cloned()
    }

    /// From now on it refuses to change, and says why.
    pub fn mark_damaged(&self, why: &str) {
        if self.damage.set(why.into()).is_ok() {
            tracing::error!(repository = %self.key, why, "repository is damaged");
        }
    }

    /// What a checkpoint has to write. Take the snapshot first: then this lists all that the
    /// snapshot's history needs, and perhaps more.
    pub fn to_keep(&self) -> ToKeep {
        lock(&self.to_keep).clone()
    }

    /// As [`Repository::to_keep`], each pack held in the pool once more, for a fork.
    pub(crate) fn held(&self) -> ToKeep {
        // A compaction changes the list and then lets go of the old packs: not meanwhile.
        let to_keep = lock(&self.to_keep);
        for id in &to_keep.packs {
            self.pool.hold_pack(*id);
        }
        to_keep.clone()
    }

    /// How much of its fork family's objects it has itself: those that its own changes brought,
    /// and those that were there when it was forked. `with` are packs that it is about to have.
    pub fn usage(&self, with: &[PackId]) -> Usage {
        let to_keep = lock(&self.to_keep);
        let packs: HashSet<PackId> = to_keep.packs.iter().chain(with).copied().collect();
        let weight = to_keep.weight;
        drop(to_keep);
        let (objects, packed_bytes) = self.pool.packs_hold(&packs);
        Usage {
            objects: weight.objects + objects,
            bytes: weight.bytes + packed_bytes,
            packed_bytes,
        }
    }

    /// The inline objects of entries up to `place` are in `pack` now, which is durable.
    pub fn packed(&self, place: Place, pack: Option<PackId>) {
        let mut to_keep = lock(&self.to_keep);
        to_keep.packs.extend(pack);
        let ids = to_keep.take_until(place);
        drop(to_keep);
        self.pool.packed(&ids);
    }

    /// Its directory has these packs by now, which were of what it was forked from: those that it
    /// does not hold yet are held in the pool, or taken in as `open` opens them.
    pub fn linked(
        &self,
        packs: &[PackId],
        open: &dyn Fn(PackId) -> io::Result<PackBytes>,
    ) -> io::Result<()> {
        let mut to_keep = lock(&self.to_keep);
        for id in packs {
            if to_keep.packs.contains(id) {
                continue;
            }
            if !self.pool.hold_pack(*id) {
                let graph = GraphSource::Commits(Vec::new());
                let added = self.pool.add_pack(*id, open(*id)?, graph);
                added.map_err(io::Error::other)?;
            }
            to_keep.packs.push(*id);
        }
        Ok(())
    }

    /// The packs `old` were merged into `new`, which is durable: it takes their place here and in
    /// the pool. Readers that have begun keep what they read from.
    ///
    /// # Errors
    /// [`PoolError::PackUnreadable`]; the old ones stay then.
    pub fn compacted(
        &self,
        old: &[PackId],
        new: PackId,
        bytes: PackBytes,
    ) -> Result<(), PoolError> {
        // Its commits are in the graph: they came with the packs that it was made of.
        let graph = GraphSource::Commits(Vec::new());
        self.pool.add_pack(new, bytes, graph)?;
        self.replace_packs(old, &[new]);
        Ok(())
    }

    /// As [`Repository::compacted`], of packs that were written again without what nothing reaches:
    /// `new` may be none.
    ///
    /// # Errors
    /// [`PoolError::PackUnreadable`]; the old ones stay then.
    pub fn collected(
        &self,
        old: &[PackId],
        new: Vec<(PackId, PackBytes)>,
    ) -> Result<(), PoolError> {
        let mut added = Vec::with_capacity(new.len());
        for (id, bytes) in new {
            if let Err(error) = self
                .pool
                .add_pack(id, bytes, GraphSource::Commits(Vec::new()))
            {
                added.iter().for_each(|id| self.pool.remove_pack(*id));
                return Err(error);
            }
            added.push(id);
        }
        self.replace_packs(old, &added);
        Ok(())
    }

    fn replace_packs(&self, old: &[PackId], new: &[PackId]) {
        let mut to_keep = lock(&self.to_keep);
        // One that was pushed several times is held as often.
        let (gone, mut stay): (Vec<PackId>, Vec<PackId>) =
            to_keep.packs.iter().partition(|id| old.contains(id));
        stay.splice(0..0, new.iter().copied());
        to_keep.packs = stay;
        drop(to_keep);
        gone.iter().for_each(|id| self.pool.remove_pack(*id));
    }

    /// These packs stay: an entry that may be durable names them.
    fn hold(&self, packs: &[PackId]) {
        lock(&self.to_keep).packs.extend(packs);
    }

    fn enter_quarantine(&self, pack: PackId) {
        *lock(&self.quarantined).entry(pack).or_default() += 1;
    }

    /// One push that brought `pack` is over. Whether it stays, because an entry names it; where
    /// none does and no other push brought it too, `remove` is called. Nobody enters meanwhile:
    /// a file that has just arrived under the same name is never the one that is removed.
    fn leave_quarantine(&self, pack: PackId, remove: impl FnOnce()) -> bool {
        let mut quarantined = lock(&self.quarantined);
        let last = match quarantined.get_mut(&pack) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            _ => quarantined.remove(&pack).is_some(),
        };
        let stays = lock(&self.to_keep).packs.contains(&pack);
        if last && !stays {
            remove();
        }
        stays
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        lock(&self.door)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        lock(&self.turn)
    }

    /// Whether its entry 0 is durable.
    pub(crate) fn is_made(&self) -> bool {
        self.made.load(Ordering::Acquire)
    }

    /// Notes what `entries` bring. Visible is the step after: a checkpoint that sees the snapshot
    /// sees all that it needs.
    fn note(&self, entries: &[Arc<Entry>]) {
        let mut to_keep = lock(&self.to_keep);
        for entry in entries {
            to_keep.packs.extend(&entry.objects.packs);
            if !entry.objects.inline.is_empty() {
                to_keep.add((entry.seq, entry.step), &entry.objects.inline);
            }
        }
        drop(to_keep);
        let mut reachable = lock(&self.visibility);
        for entry in entries {
            reachable.noted = reachable.noted.max(entry.seq);
            for edit in &entry.edits {
                if let (EntryEdit::Ref { before, after, .. }, Some(known)) =
                    (edit, &mut reachable.known)
                {
                    known.note(entry.seq, before, after);
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
