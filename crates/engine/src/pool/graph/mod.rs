//! The commit graph: commits as dense numbers, with what walks need of them.

mod cut;
mod date_walk;
mod marks;
mod reach;
mod topology;

use std::borrow::Borrow;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use govc_git::{ObjectFormat, ObjectId, oid};
use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

use super::chunks::Chunks;
use super::id_hash::IdHash;

pub use cut::CutHistory;
pub use date_walk::DateWalk;
pub use govc_git::object::commit::CommitFacts;
pub(super) use marks::Marks;
use marks::MarksPool;
pub(super) use reach::NEW;
pub(super) use topology::parents_first;

/// A commit of one pool's graph. Numbers are given out in the order in which commits arrive and
/// mean nothing outside the pool and after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitNumber(pub u32);

/// There is no such parent.
const NONE: u32 = 0x7fff_ffff;
/// There is such a parent, and the pool lacks it.
const MISSING: u32 = 0x7fff_fffe;
/// In a second parent's place: the rest is the index of a list of more parents. In such a list:
/// this is its last one.
const MORE: u32 = 0x8000_0000;
/// Numbers beyond would be taken for the marks above.
const COMMITS_MAX: u32 = 0x7fff_0000;

const INDEX_SHARDS: usize = 16;

/// All commits of a pool: about 70 bytes each, as a struct of arrays.
///
/// Commits are only ever added, and readers never wait for whoever adds them: arrays grow without
/// moving, in chunks of atomics, and the number of commits is published last. The only locks a
/// reader meets are those of the index from ids to numbers, which are held for one insertion.
///
/// Parents mostly have smaller numbers than their children. Where a child came first (packs that
/// were added newest first), the edge is mended when the parent comes: then generations are
/// raised, descendants first, and only after that the edge appears. So at no moment does a reader
/// see a parent whose generation is not below its child's.
pub struct Graph {
    /// Ids are bytes, as long as this says.
    format: ObjectFormat,
    hash: IdHash,
    chunks: Chunks<Chunk>,
    len: AtomicU32,
    /// From ids to numbers; the shard is chosen by the hash.
    index: [RwLock<HashTable<u32>>; INDEX_SHARDS],
    /// Third and further parents, in lists that end with a marked one.
    more_parents: RwLock<Vec<u32>>,
    /// For commits with parents that the pool lacks: those, in the order of the parents.
    missing: RwLock<HashMap<u32, Vec<ObjectId>>>,
    /// How often parents came after their children.
    mended: AtomicU32,
    /// Held to append.
    writer: Mutex<Writer>,
    /// Visited sets that walks borrow.
    marks: MarksPool,
}

/// What only appending needs.
#[derive(Default)]
struct Writer {
    /// Parents that the pool lacks, and who waits for them.
    awaited: HashMap<ObjectId, Vec<u32>>,
}

/// Columns of one chunk of commits.
struct Chunk {
    /// Words of ids: five or eight each.
    ids: Box<[AtomicU32]>,
    trees: Box<[AtomicU32]>,
    times: Box<[AtomicI64]>,
    generations: Box<[AtomicU32]>,
    parents: Box<[[AtomicU32; 2]]>,
}

impl Chunk {
    fn new(len: usize, words: usize) -> Chunk {
        let zeros = |count: usize| (0..count).map(|_| AtomicU32::new(0)).collect();
        Chunk {
            ids: zeros(len * words),
            trees: zeros(len * words),
            times: (0..len).map(|_| AtomicI64::new(0)).collect(),
            generations: zeros(len),
            parents: (0..len)
                .map(|_| [AtomicU32::new(NONE), AtomicU32::new(NONE)])
                .collect(),
        }
    }
}

/// Bytes of one commit in the columns and the index, for estimates.
pub(super) fn bytes_per_commit(format: ObjectFormat) -> u64 {
    (2 * format.len_in_bytes() + 8 + 4 + 8 + 9) as u64
}

fn store_id(words: &[AtomicU32], id: &oid) {
    let (fours, _) = id.as_bytes().as_chunks();
    for (word, four) in words.iter().zip(fours) {
        word.store(u32::from_ne_bytes(*four), Ordering::Relaxed);
    }
}

fn load_id(words: &[AtomicU32], format: ObjectFormat) -> ObjectId {
    let mut id = ObjectId::null(format);
    let (fours, _) = id.as_mut_slice().as_chunks_mut();
    for (four, word) in fours.iter_mut().zip(words) {
        *four = word.load(Ordering::Relaxed).to_ne_bytes();
    }
    id
}

fn is_id(words: &[AtomicU32], id: &oid) -> bool {
    let (fours, _) = id.as_bytes().as_chunks();
    let mut pairs = words.iter().zip(fours);
    pairs.all(|(word, four)| word.load(Ordering::Relaxed) == u32::from_ne_bytes(*four))
}

impl Graph {
    pub(super) fn new(format: ObjectFormat, hash: IdHash) -> Graph {
        Graph {
            format,
            hash,
            chunks: Chunks::new(),
            len: AtomicU32::new(0),
            index: [const { RwLock::new(HashTable::new()) }; INDEX_SHARDS],
            more_parents: RwLock::default(),
            missing: RwLock::default(),
            mended: AtomicU32::new(0),
            writer: Mutex::default(),
            marks: MarksPool::default(),
        }
    }

    fn words(&self) -> usize {
        self.format.len_in_bytes() / 4
    }

    fn id_words(&self, n: u32) -> Option<&[AtomicU32]> {
        let words = self.words();
        let (chunk, place) = self.chunks.get(n)?;
        chunk.ids.get(place * words..(place + 1) * words)
    }

    /// The number of commit `id`.
    pub fn number(&self, id: &oid) -> Option<CommitNumber> {
        if id.kind() != self.format {
            return None;
        }
        let hash = self.hash.of(id);
        let shard = self
            .shard(hash)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let found = shard.find(hash, |&n| {
            self.id_words(n).is_some_and(|words| is_id(words, id))
        });
        found.map(|&n| CommitNumber(n))
    }

    fn shard(&self, hash: u64) -> &RwLock<HashTable<u32>> {
        // Neither the bits that choose a bucket in the table nor those that it compares first.
        &self.index[(hash >> 48) as usize % INDEX_SHARDS]
    }

    /// The id of a commit.
    pub fn id(&self, n: CommitNumber) -> ObjectId {
        match self.id_words(n.0) {
            Some(words) => load_id(words, self.format),
            None => ObjectId::null(self.format),
        }
    }

    /// Its tree.
    pub fn tree(&self, n: CommitNumber) -> ObjectId {
        let words = self.words();
        let found = self
            .chunks
            .get(n.0)
            .and_then(|(chunk, place)| chunk.trees.get(place * words..(place + 1) * words));
        match found {
            Some(words) => load_id(words, self.format),
            None => ObjectId::null(self.format),
        }
    }

    /// The two places of parents, as they are kept.
    #[inline]
    fn slots(&self, n: u32) -> [u32; 2] {
        let Some((chunk, place)) = self.chunks.get(n) else {
            return [NONE; 2];
        };
        chunk.parents.get(place).map_or([NONE; 2], |slots| {
            [
                slots[0].load(Ordering::Acquire),
                slots[1].load(Ordering::Acquire),
            ]
        })
    }

    /// Calls `f` with each parent that is here, in order.
    #[inline]
    pub(super) fn each_parent(&self, n: u32, mut f: impl FnMut(u32)) {
        let [first, second] = self.slots(n);
        if first < MISSING {
            f(first);
        }
        if second < MISSING {
            f(second);
        } else if second & MORE != 0 {
            self.each_more_parent(second, f);
        }
    }

    #[cold]
    fn each_more_parent(&self, slot: u32, mut f: impl FnMut(u32)) {
        let list: SmallVec<[u32; 8]> = {
            let all = self
                .more_parents
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let rest = all.get((slot & !MORE) as usize..).unwrap_or_default();
            let len = rest
                .iter()
                .position(|p| p & MORE != 0)
                .map_or(rest.len(), |last| last + 1);
            rest[..len].into()
        };
        list.iter()
            .map(|p| p & !MORE)
            .filter(|&p| p < MISSING)
            .for_each(&mut f);
    }

    /// Its parents in order, without those that the pool lacks.
    pub fn parents(&self, n: CommitNumber) -> SmallVec<[CommitNumber; 2]> {
        let mut parents = SmallVec::new();
        self.each_parent(n.0, |p| parents.push(CommitNumber(p)));
        parents
    }

    /// Its first parent; `None` when it has none, or the pool lacks it.
    pub fn first_parent(&self, n: CommitNumber) -> Option<CommitNumber> {
        let [first, _] = self.slots(n.0);
        (first < MISSING).then_some(CommitNumber(first))
    }

    /// Its parents that the pool lacks: at a shallow boundary.
    pub fn missing_parents(&self, n: CommitNumber) -> Vec<ObjectId> {
        let missing = self.missing.read().unwrap_or_else(PoisonError::into_inner);
        missing.get(&n.0).cloned().unwrap_or_default()
    }

    /// Whether all its parents are here.
    pub fn has_all_parents(&self, n: CommitNumber) -> bool {
        let [first, second] = self.slots(n.0);
        let is_there = |slot: u32| slot != MISSING;
        if second != NONE && second & MORE != 0 {
            return self.missing_parents(n).is_empty();
        }
        is_there(first) && is_there(second)
    }

    /// The committer's seconds since 1970.
    pub fn time(&self, n: CommitNumber) -> i64 {
        let found = self
            .chunks
            .get(n.0)
            .and_then(|(chunk, place)| chunk.times.get(place));
        found.map_or(0, |time| time.load(Ordering::Relaxed))
    }

    /// Its topological level: 1 without parents, else one more than its highest parent's.
    #[inline]
    pub fn generation(&self, n: CommitNumber) -> u32 {
        let found = self
            .chunks
            .get(n.0)
            .and_then(|(chunk, place)| chunk.generations.get(place));
        found.map_or(0, |generation| generation.load(Ordering::Acquire))
    }

    /// How many commits there are: their numbers are 0 to this.
    pub fn len(&self) -> u32 {
        self.len.load(Ordering::Acquire)
    }

    /// How often parents came after their children: what was computed by a walk over the graph
    /// before may lack something.
    pub(super) fn mended(&self) -> u32 {
        self.mended.load(Ordering::Acquire)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds commits; those that are here already are passed over. Costs least when parents come
    /// before their children.
    ///
    /// Returns how many it was given that there was no number left for.
    pub(super) fn append(
        &self,
        commits: impl Iterator<Item = (ObjectId, impl Borrow<CommitFacts>)>,
    ) -> usize {
        let mut refused = 0;
        self.append_each(commits, |number| refused += usize::from(number.is_none()));
        refused
    }

    /// Adds a commit, if it is not here already; returns its number, if there was one left.
    pub(super) fn append_one(&self, id: &ObjectId, facts: &CommitFacts) -> Option<CommitNumber> {
        let mut number = None;
        self.append_each(std::iter::once((*id, facts)), |given| number = given);
        number
    }

    fn append_each(
        &self,
        commits: impl Iterator<Item = (ObjectId, impl Borrow<CommitFacts>)>,
        mut given: impl FnMut(Option<CommitNumber>),
    ) {
        let mut writer = self.lock_writer();
        let mut arrived = Vec::new();
        for (id, facts) in commits {
            match self.append_to(&mut writer, &id, facts.borrow()) {
                Appended::New(n) => {
                    given(Some(CommitNumber(n)));
                    if !writer.awaited.is_empty()
                        && let Some(children) = writer.awaited.remove(&id)
                    {
                        arrived.push((n, id, children));
                    }
                }
                Appended::Known(n) => given(Some(n)),
                Appended::Full => given(None),
            }
        }
        if !arrived.is_empty() {
            self.mend(&arrived);
            self.mended.fetch_add(1, Ordering::Release);
        }
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_to(&self, writer: &mut Writer, id: &oid, facts: &CommitFacts) -> Appended {
        if let Some(known) = self.number(id) {
            return Appended::Known(known);
        }
        if id.kind() != self.format {
            return Appended::Full;
        }
        let n = self.len.load(Ordering::Relaxed);
        let words = self.words();
        let made = self.chunks.get_or_make(n, |len| Chunk::new(len, words));
        let Some((chunk, place)) = made.filter(|_| n < COMMITS_MAX) else {
            return Appended::Full;
        };

        let mut generation = 0;
        let mut missing = Vec::new();
        let mut numbers = SmallVec::<[u32; 2]>::new();
        for parent in &facts.parents {
            match self.number(parent) {
                Some(p) => {
                    generation = generation.max(self.generation(p));
                    numbers.push(p.0);
                }
                None => {
                    missing.push(*parent);
                    numbers.push(MISSING);
                }
            }
        }
        store_id(&chunk.ids[place * words..(place + 1) * words], id);
        store_id(
            &chunk.trees[place * words..(place + 1) * words],
            &facts.tree,
        );
        chunk.times[place].store(facts.committer_time, Ordering::Relaxed);
        chunk.generations[place].store(generation + 1, Ordering::Relaxed);
        let first = numbers.first().copied().unwrap_or(NONE);
        let second = match numbers.get(1..) {
            None | Some([]) => NONE,
            Some([second]) => *second,
            Some([rest @ .., last]) => {
                let mut more = self
                    .more_parents
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                let at = more.len() as u32;
                more.extend_from_slice(rest);
                more.push(last | MORE);
                at | MORE
            }
        };
        chunk.parents[place][0].store(first, Ordering::Relaxed);
        chunk.parents[place][1].store(second, Ordering::Relaxed);

        if !missing.is_empty() {
            for parent in &missing {
                let waiting = writer.awaited.entry(*parent).or_default();
                if waiting.last() != Some(&n) {
                    waiting.push(n);
                }
            }
            let mut all = self.missing.write().unwrap_or_else(PoisonError::into_inner);
            all.insert(n, missing);
        }
        let hash = self.hash.of(id);
        let mut shard = self
            .shard(hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let rehash = |&n: &u32| match self.id_words(n) {
            Some(words) => self.hash.of(&load_id(words, self.format)),
            None => 0,
        };
        shard.insert_unique(hash, n, rehash);
        drop(shard);
        self.len.store(n + 1, Ordering::Release);
        Appended::New(n)
    }
}

enum Appended {
    New(u32),
    Known(CommitNumber),
    Full,
}
