//! Objects, packs, the commit graph, and who may see what of them.
//!
//! A [`Pool`] serves one fork family: repositories are ref maps over it. It only grows. That the
//! pool has an object never means that somebody may see it: [`Visibility`] answers that, for one
//! state of one repository.

mod cache;
mod chunks;
mod closure;
mod delta_chain;
mod error;
mod filter;
mod graph;
mod hot;
mod id_hash;
mod introduced;
mod lists;
mod live;
mod object_set;
mod pack_list;
mod planner;
mod ready;
mod ready_pack;
mod receiver;
mod records;
mod scan;
mod shallow;
mod stream;
mod streamed;
mod tags;
mod visibility;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use govc_git::object::commit;
use govc_git::pack::{DeltaBaseCache, Pack, PackIndex, delta};
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

pub use error::PoolError;
pub use filter::ObjectFilter;
pub use graph::{CommitFacts, CommitNumber, CutHistory, DateWalk, Graph};
pub use lists::{ListBuilder, ListsToRead, SavedLists};
pub use live::{Kept, Reference};
pub use object_set::ObjectSet;
pub use shallow::Cuts;
pub use stream::{PackOptions, PackStream};
pub use tags::Peeled;
pub use visibility::{Moves, Roots, Visibility};

use crate::journal::{PackBytes, PackId};
use crate::work::search::SearchIndex;
use crate::work::tip_trees::TipTrees;
use crate::{NewObject, ObjectBody};
use cache::ReadCache;
use hot::{Grown, Hot, HotDelta, HotMap, HotSize};
use id_hash::IdHash;
use introduced::Introduced;
use pack_list::{PackList, PoolPack, locate};
use ready::{ReadyPacks, ReadySets};

/// What a pool may spend.
#[derive(Debug, Clone)]
pub struct PoolLimits {
    /// Bytes of re-made and inflated objects that are kept because they were read lately.
    pub read_cache_bytes: usize,
    /// Bytes of delta bases that are kept while packs are read.
    pub delta_base_cache_bytes: usize,
    /// Bytes of what is known of blobs and trees so that they are searched fast.
    pub search_index_bytes: usize,
    /// The largest object that a hot delta may make, in bytes.
    pub object_bytes_max: u64,
}

impl Default for PoolLimits {
    fn default() -> PoolLimits {
        PoolLimits {
            read_cache_bytes: 16 << 20,
            delta_base_cache_bytes: 16 << 20,
            search_index_bytes: 256 << 20,
            object_bytes_max: 2 << 30,
        }
    }
}

/// Where the commits of a new pack are learnt from.
#[derive(Debug, Clone)]
pub enum GraphSource {
    /// Whoever indexed the pack saw them. In any order.
    Commits(Vec<(ObjectId, CommitFacts)>),
    /// A commit-graph file (gitformat-commit-graph(5)). Packs that it does not say to have all
    /// commits of are looked through, and commits that it lacks are read. A file that cannot be
    /// read is passed over.
    CommitGraph(Bytes),
    /// They are read from the pack.
    Scan,
}

/// What a pool holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Objects in packs and hot ones; one that is in two places counts twice.
    pub objects: u64,
    /// Bytes of packs and their indexes.
    pub packed_bytes: u64,
    /// Bytes of everything else: hot objects, graph, lists, caches. An estimate.
    pub memory_bytes: u64,
    /// Commits in the graph.
    pub commits: u64,
}

/// The objects of one fork family.
pub struct Pool {
    format: ObjectFormat,
    limits: PoolLimits,
    hot: HotMap,
    /// Swapped whole: readers never wait.
    packs: ArcSwap<PackList>,
    /// Held to swap `packs`: for each pack how often it was added and not removed.
    packs_writer: Mutex<HashMap<PackId, usize>>,
    /// Numbers packs in the order in which they came.
    next_serial: AtomicU32,
    /// All their commits are in the graph: a commit-graph file says so.
    graphed: Mutex<HashSet<PackId>>,
    read_cache: ReadCache,
    /// Hot objects as they were sent lately: their content is deflated.
    deflated: ReadCache,
    base_cache: DeltaBaseCache,
    graph: Graph,
    introduced: Introduced,
    /// Lists of earlier runs that nobody has looked at yet.
    saved_lists: lists::Saved,
    ready: ReadySets,
    ready_packs: ReadyPacks,
    /// What receivers of thin packs had.
    reached: receiver::ReachedSets,
    /// What tags name. They never change.
    tag_targets: RwLock<HashMap<ObjectId, ObjectId>>,
    /// The trees of the newest commits, open for the next one's edits.
    tip_trees: TipTrees,
    /// What searches know.
    search_index: Arc<SearchIndex>,
}

impl Pool {
    /// An empty pool.
    pub fn new(format: ObjectFormat, limits: PoolLimits) -> Arc<Pool> {
        let hash = IdHash::random();
        let search_index_bytes = limits.search_index_bytes;
        Arc::new(Pool {
            format,
            hot: HotMap::new(format, hash),
            packs: ArcSwap::default(),
            packs_writer: Mutex::default(),
            graphed: Mutex::default(),
            read_cache: ReadCache::new(limits.read_cache_bytes),
            deflated: ReadCache::new(limits.read_cache_bytes / 4),
            base_cache: DeltaBaseCache::new(limits.delta_base_cache_bytes),
            graph: Graph::new(format, hash),
            introduced: Introduced::default(),
            saved_lists: lists::Saved::default(),
            ready: ReadySets::default(),
            ready_packs: ReadyPacks::default(),
            reached: receiver::ReachedSets::default(),
            tag_targets: RwLock::default(),
            next_serial: AtomicU32::new(0),
            limits,
            tip_trees: TipTrees::default(),
            search_index: Arc::new(SearchIndex::new(search_index_bytes)),
        })
    }

    /// The hash that names its objects.
    pub fn format(&self) -> ObjectFormat {
        self.format
    }

    /// The trees of the newest commits, open for the next one's edits.
    pub fn tip_trees(&self) -> &TipTrees {
        &self.tip_trees
    }

    /// What searches know of its blobs.
    pub fn search_index(&self) -> &Arc<SearchIndex> {
        &self.search_index
    }

    /// The object `id`, whole; `None` where there is none.
    ///
    /// # Errors
    /// [`PoolError::Damaged`] and [`PoolError::BaseMissing`], when what there is cannot be read.
    pub fn find(&self, id: &oid) -> Result<Option<Object>, PoolError> {
        self.find_in(&self.read_cache, id)
    }

    fn find_in(&self, cache: &ReadCache, id: &oid) -> Result<Option<Object>, PoolError> {
        match self.hot.get(id) {
            Some(Hot::Whole(kind, data)) => Ok(Some(Object { kind, data })),
            Some(Hot::Delta(delta)) => match cache.get(id) {
                Some(object) => Ok(Some(object)),
                None => self.make(cache, id, delta).map(Some),
            },
            None => self.find_packed(cache, id),
        }
    }

    /// The object `id`, which something that exists refers to. The empty tree need not be stored
    /// for that: git has it built in.
    ///
    /// # Errors
    /// As [`Pool::find`], and [`PoolError::Missing`].
    pub fn get(&self, id: &oid) -> Result<Object, PoolError> {
        self.get_in(&self.read_cache, id)
    }

    fn get_in(&self, cache: &ReadCache, id: &oid) -> Result<Object, PoolError> {
        match self.find_in(cache, id)? {
            Some(object) => Ok(object),
            None if self.is_empty_tree(id) => Ok(Object {
                kind: ObjectKind::Tree,
                data: Bytes::new(),
            }),
            None => Err(PoolError::Missing { id: id.to_owned() }),
        }
    }

    /// Whether `id` is that of the tree that has nothing.
    pub fn is_empty_tree(&self, id: &oid) -> bool {
        *id == *ObjectId::empty_tree(self.format)
    }

    /// The content of `id`, which something that exists says is of this kind.
    ///
    /// # Errors
    /// As [`Pool::get`], and [`PoolError::WrongKind`].
    pub fn get_kind(&self, id: &oid, expected: ObjectKind) -> Result<Bytes, PoolError> {
        self.get_kind_in(&self.read_cache, id, expected)
    }

    /// As [`Pool::get_kind`]; what is read from packs or made is kept in `cache`.
    fn get_kind_in(
        &self,
        cache: &ReadCache,
        id: &oid,
        expected: ObjectKind,
    ) -> Result<Bytes, PoolError> {
        let object = self.get_in(cache, id)?;
        if object.kind != expected {
            let (id, found) = (id.to_owned(), object.kind);
            return Err(PoolError::WrongKind {
                id,
                found,
                expected,
            });
        }
        Ok(object.data)
    }

    /// Looks in the packs, newest first. A pack that is damaged where the object is hides no other
    /// that has it too.
    ///
    /// What leaves the hot map was in a pack before, and what leaves a pack in another: the list
    /// that is read after a miss in the hot map has it.
    fn find_packed(&self, cache: &ReadCache, id: &oid) -> Result<Option<Object>, PoolError> {
        if let Some(object) = cache.get(id) {
            return Ok(Some(object));
        }
        let list = self.packs.load();
        let mut failed = None;
        for pack in list.iter().rev() {
            let Some(position) = pack.position(id) else {
                continue;
            };
            match pack.pack.object_at(position, &|_| None, &self.base_cache) {
                Ok(object) => {
                    cache.put(id.to_owned(), object.clone());
                    return Ok(Some(object));
                }
                Err(error) => failed = Some(pack.damaged(id, &error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// Makes a hot object from its delta and what that leads to.
    fn make(&self, cache: &ReadCache, id: &oid, delta: HotDelta) -> Result<Object, PoolError> {
        let kind = delta.kind;
        let mut base = delta.base;
        let mut deltas: SmallVec<[(ObjectId, SmallVec<[u8; 128]>); 8]> = SmallVec::new();
        deltas.push((id.to_owned(), delta.delta));
        let mut data = loop {
            if deltas.len() > delta_chain::CHAIN_MAX {
                let max = delta_chain::CHAIN_MAX;
                return Err(PoolError::TooDeep {
                    id: id.to_owned(),
                    max,
                });
            }
            if let Some(object) = cache.get(&base) {
                break object.data;
            }
            match self.hot.get(&base) {
                Some(Hot::Whole(_, data)) => break data,
                Some(Hot::Delta(next)) => {
                    deltas.push((base, next.delta));
                    base = next.base;
                }
                None => match self.find_packed(cache, &base)? {
                    Some(object) => break object.data,
                    None => {
                        let id = deltas.last().map_or(id.to_owned(), |(id, _)| *id);
                        return Err(PoolError::BaseMissing {
                            id,
                            base,
                            pack: None,
                        });
                    }
                },
            }
        };
        for (id, step) in deltas.iter().rev() {
            let made = delta::apply(&data, step, self.limits.object_bytes_max);
            data = made.map_err(|error| hot_damaged(id, &error))?.into();
        }
        let object = Object { kind, data };
        cache.put(id.to_owned(), object.clone());
        Ok(object)
    }

    /// What `id` is and its size in bytes, mostly without inflating it.
    ///
    /// # Errors
    /// As [`Pool::find`].
    pub fn header(&self, id: &oid) -> Result<Option<(ObjectKind, u64)>, PoolError> {
        match self.hot.header(id) {
            Some((kind, HotSize::Whole(size))) => return Ok(Some((kind, size))),
            Some((kind, HotSize::DeltaFront(front))) => {
                let (_, size) = delta::sizes(&front).map_err(|error| hot_damaged(id, &error))?;
                return Ok(Some((kind, size)));
            }
            None => {}
        }
        let list = self.packs.load();
        let mut failed = None;
        for pack in list.iter().rev() {
            let Some(position) = pack.position(id) else {
                continue;
            };
            match pack.pack.header_at(position, &|_| None) {
                Ok(header) => return Ok(Some(header)),
                Err(error) => failed = Some(pack.damaged(id, &error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// Whether there is an object `id`. Not whether anybody may see it.
    pub fn contains(&self, id: &oid) -> bool {
        self.hot.contains(id) || locate(&self.packs.load(), id).is_some()
    }

    /// Up to `max` ids that begin with `hex_prefix` (4 digits or more, any case), sorted, for
    /// abbreviations. Not whether anybody may see them.
    pub fn candidates(&self, hex_prefix: &str, max: usize) -> Vec<ObjectId> {
        const HEX_LEN_MIN: usize = 4;
        let hex_len = hex_prefix.len();
        let Some(prefix) = decode_hex_prefix(hex_prefix) else {
            return Vec::new();
        };
        if !(HEX_LEN_MIN..=self.format.len_in_hex()).contains(&hex_len) {
            return Vec::new();
        }
        let mut found = Vec::new();
        self.hot.with_prefix(&prefix, hex_len, &mut found);
        for pack in self.packs.load().iter() {
            let range = pack.pack.index().prefix_range(&prefix, hex_len);
            found.extend(range.take(max).map(|position| pack.object_id(position)));
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(max);
        found
    }

    /// Takes the new objects of a change in. A delta's base comes before it or is here already.
    /// The ids are believed: whoever calls this computed them.
    ///
    /// An object that is hot already is kept once, and leaves when as many changes were refused
    /// ([`Pool::forget`]) as brought it.
    ///
    /// # Errors
    /// [`PoolError::BaseMissing`] for a delta on nothing, [`PoolError::Damaged`] for a commit
    /// that cannot be parsed or a delta that cannot be applied; nothing was taken in then.
    pub fn insert(&self, objects: &[NewObject]) -> Result<(), PoolError> {
        let mut grown = Grown::default();
        let taken = self.insert_objects(objects, &mut grown);
        self.hot.count(grown);
        if let Err((error, count)) = taken {
            let before = objects.get(..count).unwrap_or_default().iter();
            let here = before.filter(|object| object.body != ObjectBody::Elsewhere);
            here.for_each(|object| self.release(&object.id));
            return Err(error);
        }
        Ok(())
    }

    /// As [`Pool::insert`]; the error says how many were taken in.
    fn insert_objects(
        &self,
        objects: &[NewObject],
        grown: &mut Grown,
    ) -> Result<(), (PoolError, usize)> {
        let mut commits: SmallVec<[(ObjectId, CommitFacts); 1]> = SmallVec::new();
        for object in objects
            .iter()
            .filter(|object| object.kind == ObjectKind::Commit)
        {
            if let ObjectBody::Whole(data) = &object.body {
                let facts = self.facts(&object.id, data).map_err(|error| (error, 0))?;
                commits.push((object.id, facts));
            }
        }
        // A number says nothing before a ref reaches it: the graph may know it first. What a
        // single commit brings it introduces.
        let introducer = match &commits[..] {
            [] => None,
            [(id, facts)] => self.graph.append_one(id, facts).map(|n| n.0),
            many => {
                self.append_commits(many);
                None
            }
        };
        for (count, object) in objects.iter().enumerate() {
            let of = match object.kind {
                ObjectKind::Tree | ObjectKind::Blob => introducer,
                ObjectKind::Commit | ObjectKind::Tag => None,
            };
            self.insert_one(object, of, grown)
                .map_err(|error| (error, count))?;
        }
        let deltas = objects
            .iter()
            .filter(|object| matches!(object.body, ObjectBody::Delta { .. }));
        for commit in deltas.filter(|object| object.kind == ObjectKind::Commit) {
            self.learn(&[commit.id])
                .map_err(|error| (error, objects.len()))?;
        }
        Ok(())
    }

    fn insert_one(
        &self,
        object: &NewObject,
        introducer: Option<u32>,
        grown: &mut Grown,
    ) -> Result<(), PoolError> {
        let NewObject { id, kind, body } = object;
        let (base, step) = match body {
            ObjectBody::Whole(data) => {
                self.hot.insert(id, *kind, None, data, introducer, grown);
                return Ok(());
            }
            ObjectBody::Delta { base, delta } => (base, delta),
            ObjectBody::Elsewhere => {
                if let Some(commit) = introducer {
                    self.note_introducer(id, CommitNumber(commit));
                }
                return Ok(());
            }
        };
        let Some(version) = self.hot.version(base).map(|version| version + 1) else {
            if !self.contains(base) {
                let (id, base) = (*id, *base);
                return Err(PoolError::BaseMissing {
                    id,
                    base,
                    pack: None,
                });
            }
            self.hot
                .insert(id, *kind, Some((base, 1)), step, introducer, grown);
            return Ok(());
        };
        // What comes again after something was made of it stays what that was made of: it is in a
        // pack, and here it is kept whole.
        let comes_again = version > 1 && self.is_made_of(base, id);
        if delta_chain::span(version) == 1 && !comes_again {
            self.hot
                .insert(id, *kind, Some((base, version)), step, introducer, grown);
            return Ok(());
        }
        let composed = match comes_again {
            true => None,
            false => self.compose(id, *base, step, version)?,
        };
        match composed {
            Some((base, version, composed)) => {
                self.hot.insert(
                    id,
                    *kind,
                    Some((&base, version)),
                    &composed,
                    introducer,
                    grown,
                );
            }
            None => {
                let data = self.get(base)?.data;
                let whole = delta::apply(&data, step, self.limits.object_bytes_max);
                let whole = whole.map_err(|error| hot_damaged(id, &error))?;
                self.hot.insert(id, *kind, None, &whole, introducer, grown);
            }
        }
        Ok(())
    }

    /// Whether the hot object `from` is a delta of `id`, or of what is a delta of it.
    fn is_made_of(&self, from: &oid, id: &oid) -> bool {
        let mut base = self.hot.base(from);
        for _ in 0..delta_chain::CHAIN_MAX {
            match base {
                Some(base) if *base == *id => return true,
                Some(next) => base = self.hot.base(&next),
                None => return false,
            }
        }
        // Nothing is made of so many: it is kept whole all the same.
        true
    }

    /// The delta from the base that a version is to have; `None` when it is better kept whole.
    fn compose(
        &self,
        id: &oid,
        base: ObjectId,
        step: &[u8],
        version: u16,
    ) -> Result<Option<(ObjectId, u16, Vec<u8>)>, PoolError> {
        if version >= delta_chain::VERSIONS {
            return Ok(None);
        }
        let (_, size) = delta::sizes(step).map_err(|error| hot_damaged(id, &error))?;
        let aim = version - delta_chain::span(version);
        let mut composed = step.to_vec();
        let mut base = base;
        let mut at = version - 1;
        while at > aim {
            let Some(Hot::Delta(before)) = self.hot.get(&base) else {
                // It went into a pack meanwhile: a good base, too.
                at = 0;
                break;
            };
            match delta_chain::compose(&before.delta, &composed) {
                Some(both) => composed = both,
                None => return Ok(None),
            }
            if composed.len() as u64 >= size / 2 {
                return Ok(None);
            }
            base = before.base;
            at = at.saturating_sub(delta_chain::span(at));
        }
        let version = if at == aim && self.hot.version(&base) == Some(aim) {
            version
        } else {
            1
        };
        Ok(Some((base, version, composed)))
    }

    fn facts(&self, id: &oid, data: &[u8]) -> Result<CommitFacts, PoolError> {
        commit::facts(data, self.format).map_err(|error| hot_damaged(id, &error))
    }

    /// Keeps `object` among the recently read ones: whoever made a tree as a delta will soon want
    /// it whole.
    pub fn remember(&self, id: ObjectId, object: &Object) {
        self.read_cache.put(id, object.clone());
    }

    /// How many deltas must be applied to read the hot object `id`: 0 for one that is whole, in a
    /// pack or not there.
    pub fn delta_depth(&self, id: &oid) -> u32 {
        self.hot.version(id).map_or(0, delta_chain::depth)
    }

    /// Drops hot objects: a change was refused after [`Pool::insert`].
    pub fn forget(&self, ids: &[ObjectId]) {
        ids.iter().for_each(|id| self.release(id));
    }

    fn release(&self, id: &oid) {
        if let Some(introducer) = self.hot.release(id) {
            self.read_cache.remove(id);
            // A pack may have it as well.
            let lost = introducer.filter(|&commit| !self.note_introducer(id, CommitNumber(commit)));
            if lost.is_some() {
                self.introduced.forget(lost);
            }
        }
    }

    /// Takes a pack in. It is safe to add a pack before its push was accepted: nothing in it is
    /// visible before a ref reaches it. A refused one leaves by [`Pool::remove_pack`].
    ///
    /// Repositories of the family may bring the same pack: it is kept once, and leaves when it
    /// was removed as often as it was added.
    ///
    /// # Errors
    /// [`PoolError::PackUnreadable`]; nothing was taken in then.
    pub fn add_pack(
        &self,
        id: PackId,
        bytes: PackBytes,
        graph: GraphSource,
    ) -> Result<(), PoolError> {
        let unreadable = |what: String| PoolError::PackUnreadable { id, what };
        let index = PackIndex::parse(bytes.index, self.format);
        let index = index.map_err(|error| unreadable(error.to_string()))?;
        let pack = Pack::new(id.0, bytes.pack, index);
        let pack = pack.map_err(|error| unreadable(error.to_string()))?;
        let serial = self.next_serial.fetch_add(1, Ordering::Relaxed);
        let pack = Arc::new(PoolPack::new(id, serial, pack));
        let scan = || {
            let is_known = self.graphed().contains(&id);
            match is_known {
                true => Vec::new(),
                false => scan::commits(&pack, &self.graph, &self.base_cache),
            }
        };
        let commits = match graph {
            GraphSource::Commits(commits) => commits,
            GraphSource::Scan => scan(),
            GraphSource::CommitGraph(file) => {
                if let Err(error) = self.load_commit_graph(file) {
                    tracing::warn!(%error, "a commit-graph file is passed over");
                }
                scan()
            }
        };
        let mut holders = self.pack_holders();
        let count = holders.entry(id).or_default();
        *count += 1;
        if *count == 1 {
            self.swap_packs(|list| list.push(pack));
        }
        drop(holders);
        self.append_commits(&commits);
        Ok(())
    }

    fn graphed(&self) -> MutexGuard<'_, HashSet<PackId>> {
        self.graphed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that `sources`, objects of the pack `id`, reach all of it, and nothing that is not in
    /// it: who may see them may see all of it. The caller has checked that.
    pub fn note_sources(&self, id: PackId, sources: Vec<ObjectId>) {
        if let Some(pack) = self.packs.load().iter().find(|pack| pack.id == id) {
            pack.set_sources(sources);
        }
    }

    /// Adds a pack once more that is here already; whether it is.
    pub fn hold_pack(&self, id: PackId) -> bool {
        match self.pack_holders().get_mut(&id) {
            Some(count) => {
                *count += 1;
                true
            }
            None => false,
        }
    }

    /// Drops a pack whose objects nobody needs, or that other packs hold by now, if nobody else
    /// added it too. Readers that have begun keep it until they are done.
    pub fn remove_pack(&self, id: PackId) {
        let mut holders = self.pack_holders();
        if let Some(count) = holders.get_mut(&id).filter(|count| **count > 1) {
            *count -= 1;
            return;
        }
        holders.remove(&id);
        let mut without = PackList::clone(&self.packs.load());
        let Some(at) = without.iter().position(|pack| pack.id == id) else {
            return;
        };
        let pack = without.remove(at);
        // What is known of its objects goes to where they are besides, before nobody finds it here.
        self.hand_introducers_on(&pack, &without);
        self.swap_packs(|list| list.retain(|pack| pack.id != id));
        drop(holders);
        self.introduced.forget_lists(self.graph.len());
        self.lists_are_stale();
        self.forget_ready();
        let lost = self.hand_introducers_on(&pack, &self.packs.load());
        if !lost.is_empty() {
            self.introduced.forget(lost);
        }
    }

    /// Notes at the other objects of that name who introduced those of `pack`. Returns the commits
    /// that introduced something that is nowhere else.
    fn hand_introducers_on(&self, pack: &PoolPack, to: &PackList) -> HashSet<u32> {
        let mut lost = HashSet::new();
        for (position, commit) in pack.introducers() {
            let id = pack.pack.index().id(position);
            if !self.note_introducer_among(to, id, CommitNumber(commit)) {
                lost.insert(commit);
            }
        }
        lost
    }

    fn pack_holders(&self) -> MutexGuard<'_, HashMap<PackId, usize>> {
        self.packs_writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called while the holders of packs are locked.
    fn swap_packs(&self, edit: impl FnOnce(&mut PackList)) {
        let mut list = PackList::clone(&self.packs.load());
        edit(&mut list);
        self.packs.store(Arc::new(list));
    }

    /// The packs, oldest first.
    pub fn packs(&self) -> Vec<PackId> {
        self.packs.load().iter().map(|pack| pack.id).collect()
    }

    /// How many objects these packs hold, and how many bytes they and their indexes have.
    pub fn packs_hold(&self, ids: &HashSet<PackId>) -> (u64, u64) {
        let list = self.packs.load();
        let packs = list.iter().filter(|pack| ids.contains(&pack.id));
        packs.fold((0, 0), |(objects, bytes), pack| {
            let index = pack.pack.index().bytes().len();
            (
                objects + u64::from(pack.len()),
                bytes + (pack.pack.bytes().len() + index) as u64,
            )
        })
    }

    /// These hot objects are in a pack by now, which was added: they leave the hot map. One that
    /// is in no pack stays.
    pub fn packed(&self, ids: &[ObjectId]) {
        let list = self.packs.load_full();
        for id in ids {
            let Some((pack, position)) = locate(&list, id) else {
                continue;
            };
            if let Some(Some(commit)) = self.hot.introducer(id) {
                self.note_introducer_at(pack, position, CommitNumber(commit));
            }
            // Somebody may have noted an introducer a moment ago.
            if let Some(Some(commit)) = self.hot.remove(id) {
                self.note_introducer_at(pack, position, CommitNumber(commit));
            }
        }
        // They would be deflated again, where the pack has them deflated.
        self.forget_ready();
    }

    /// A hot object as it is kept, a delta or whole; `None` when it is not hot.
    pub fn hot_body(&self, id: &oid) -> Option<NewObject> {
        self.hot.body(id)
    }

    /// Lets go of all that is only kept because it may be asked for again. How many bytes that
    /// were.
    pub fn shed_caches(&self) -> u64 {
        let bytes = self.read_cache.bytes()
            + self.deflated.bytes()
            + self.base_cache.used_bytes() as u64
            + self.ready_packs.bytes()
            + self.search_index.bytes();
        self.forget_ready();
        self.search_index.clear();
        self.read_cache.clear();
        self.deflated.clear();
        self.base_cache.clear();
        bytes
    }

    /// What it holds.
    pub fn stats(&self) -> PoolStats {
        let commits = u64::from(self.graph.len());
        let mut stats = PoolStats {
            objects: self.hot.objects(),
            packed_bytes: 0,
            memory_bytes: self.hot.bytes()
                + commits * graph::bytes_per_commit(self.format)
                + self.read_cache.bytes()
                + self.deflated.bytes()
                + self.base_cache.used_bytes() as u64
                + self.introduced.bytes()
                + self.search_index.bytes()
                + self.ready_packs.bytes(),
            commits,
        };
        for pack in self.packs.load().iter() {
            stats.objects += u64::from(pack.len());
            stats.packed_bytes +=
                (pack.pack.bytes().len() + pack.pack.index().bytes().len()) as u64;
            stats.memory_bytes += pack.memory_bytes();
        }
        stats
    }

    /// The commit graph. Commits that are added later are seen through it too.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
}

fn hot_damaged(id: &oid, error: &dyn std::error::Error) -> PoolError {
    PoolError::Damaged {
        id: id.to_owned(),
        pack: None,
        what: error.to_string(),
    }
}

/// The bytes of a prefix in hexadecimal digits; the last one's lower half may be 0.
fn decode_hex_prefix(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let pairs = digits?;
    let pairs = pairs.chunks(2);
    Some(
        pairs
            .map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0))
            .collect(),
    )
}
