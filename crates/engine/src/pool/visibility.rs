//! Who may see what: the objects that one state of one repository reaches.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;
use govc_git::{ObjectId, ObjectKind, oid};
use hashbrown::HashSet;
use smallvec::SmallVec;

use super::{CommitNumber, Graph, Pool, PoolError};
use crate::Refs;

/// What one state of one repository reaches. Made lazily, as far as the questions need, and
/// cheap to take to the next state.
pub struct Visibility {
    pool: Arc<Pool>,
    roots: Roots,
    /// An earlier state, all of which this one reaches.
    earlier: Option<Earlier>,
    /// This state's commits, once anybody asked.
    reach: ArcSwapOption<Reach>,
    /// Held to make `reach`, so that a busy repository makes it once.
    making: Mutex<()>,
    named: OnceLock<Arc<Named>>,
}

/// The objects that a state begins with.
#[derive(Clone)]
pub enum Roots {
    /// These.
    Ids(Arc<[ObjectId]>),
    /// The targets of these refs.
    Refs(Refs),
}

/// What became of a state's refs on the way to a later one.
#[derive(Debug, Clone)]
pub enum Moves {
    /// Refs were made or moved forwards, to these objects, and nothing else.
    Added(Vec<ObjectId>),
    /// Refs were made or moved forwards, and nothing else.
    Forwards,
    /// A ref was deleted, or moved otherwise.
    Any,
}

/// An earlier state, as far as it was looked at.
struct Earlier {
    reach: Arc<Reach>,
    named: Option<Arc<Named>>,
    /// All that roots were added since; `None` where nobody counted.
    added: Option<Vec<ObjectId>>,
}

/// What refs name that is not reached through commits: tags, and trees and blobs that refs or tags
/// name themselves.
type Named = HashSet<ObjectId>;

/// Commits that are reachable, and what follows from that.
struct Reach {
    commits: CommitSet,
    /// The graph's [`mended`](super::Graph::mended) when this was made.
    mended: u32,
    /// All commits from this number on have their introduced objects noted.
    searched_from: AtomicU32,
    /// Serial numbers of packs of which all is reached.
    whole_packs: Mutex<SmallVec<[u32; 4]>>,
}

/// A set of commits, as bits in chunks that later sets share.
#[derive(Clone, Default)]
pub(super) struct CommitSet {
    chunks: Vec<Option<Arc<[u64; CHUNK_WORDS]>>>,
}

const CHUNK_WORDS: usize = 64;
const CHUNK_COMMITS: u32 = 64 * CHUNK_WORDS as u32;

impl CommitSet {
    pub(super) fn contains(&self, n: CommitNumber) -> bool {
        let chunk = self.chunks.get((n.0 / CHUNK_COMMITS) as usize);
        chunk.and_then(Option::as_ref).is_some_and(|chunk| {
            let bit = n.0 % CHUNK_COMMITS;
            chunk[(bit / 64) as usize] >> (bit % 64) & 1 == 1
        })
    }

    /// Adds `n`; returns whether it was new.
    fn insert(&mut self, n: CommitNumber) -> bool {
        let number = (n.0 / CHUNK_COMMITS) as usize;
        if number >= self.chunks.len() {
            self.chunks.resize(number + 1, None);
        }
        let chunk = self.chunks[number].get_or_insert_with(|| Arc::new([0; CHUNK_WORDS]));
        let (word, bit) = ((n.0 % CHUNK_COMMITS / 64) as usize, n.0 % 64);
        if chunk[word] >> bit & 1 == 1 {
            return false;
        }
        Arc::make_mut(chunk)[word] |= 1 << bit;
        true
    }

    /// Adds `tips` and all their ancestors; with each commit that is here all of its are.
    pub(super) fn add_ancestors(
        &mut self,
        graph: &Graph,
        tips: impl Iterator<Item = CommitNumber>,
    ) {
        let mut open: Vec<CommitNumber> = Vec::new();
        for tip in tips {
            if self.insert(tip) {
                open.push(tip);
            }
        }
        while let Some(n) = open.pop() {
            graph.each_parent(n.0, |parent| {
                if self.insert(CommitNumber(parent)) {
                    open.push(CommitNumber(parent));
                }
            });
        }
    }

    /// Those in `range`, greatest number first.
    fn within(&self, range: Range<u32>) -> impl Iterator<Item = CommitNumber> + '_ {
        let first = (range.start / CHUNK_COMMITS) as usize;
        let last = range.end.div_ceil(CHUNK_COMMITS) as usize;
        let last = last.min(self.chunks.len());
        let chunks = self.chunks.get(first..last).unwrap_or_default();
        let words = chunks
            .iter()
            .enumerate()
            .rev()
            .flat_map(move |(at, chunk)| {
                let chunk = chunk.as_deref().into_iter();
                let start = (first + at) as u32 * CHUNK_COMMITS;
                chunk.flat_map(move |words| {
                    let words = words.iter().enumerate().rev();
                    words.map(move |(word, &bits)| (start + 64 * word as u32, bits))
                })
            });
        let commits = words
            .filter(|&(_, bits)| bits != 0)
            .flat_map(|(start, bits)| {
                let set = (0..64).rev().filter(move |bit| bits >> bit & 1 == 1);
                set.map(move |bit| CommitNumber(start + bit))
            });
        commits.filter(move |n| range.contains(&n.0))
    }
}

impl Roots {
    fn ids(&self) -> Cow<'_, [ObjectId]> {
        match self {
            Roots::Ids(ids) => Cow::Borrowed(ids),
            Roots::Refs(refs) => Cow::Owned(refs.objects()),
        }
    }
}

impl From<Vec<ObjectId>> for Roots {
    fn from(ids: Vec<ObjectId>) -> Roots {
        Roots::Ids(ids.into())
    }
}

impl From<&Refs> for Roots {
    fn from(refs: &Refs) -> Roots {
        Roots::Refs(refs.clone())
    }
}

impl Visibility {
    /// Everything reachable from `roots`, the targets of all refs of a state. Ids that the pool
    /// lacks reach nothing.
    pub fn new(pool: Arc<Pool>, roots: impl Into<Roots>) -> Visibility {
        Visibility::with_earlier(pool, roots.into(), None)
    }

    fn with_earlier(pool: Arc<Pool>, roots: Roots, earlier: Option<Earlier>) -> Visibility {
        Visibility {
            pool,
            roots,
            earlier,
            reach: ArcSwapOption::empty(),
            making: Mutex::default(),
            named: OnceLock::new(),
        }
    }

    /// The visibility of a later state. `roots` are all that it begins with, `moves` what became
    /// of this one's. Where nothing was lost, only what is new is walked.
    pub fn advance(&self, roots: impl Into<Roots>, moves: Moves) -> Visibility {
        let added = match moves {
            Moves::Any => return Visibility::new(self.pool.clone(), roots),
            Moves::Added(ids) => Some(ids),
            Moves::Forwards => None,
        };
        // Were states that nobody asked about kept, they would pile up.
        let earlier = match (self.reach.load_full(), &self.earlier) {
            (Some(reach), _) => Some(Earlier {
                reach,
                named: self.named.get().cloned(),
                added,
            }),
            (None, Some(earlier)) => Some(Earlier {
                reach: Arc::clone(&earlier.reach),
                named: earlier.named.clone(),
                added: earlier.added.clone().zip(added).map(|(mut all, added)| {
                    all.extend(added);
                    all
                }),
            }),
            (None, None) => None,
        };
        let pool = Arc::clone(&self.pool);
        Visibility::with_earlier(pool, roots.into(), earlier)
    }

    /// The pool that it looks at.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Whether the state reaches the object `id`: commits, tags, trees and blobs alike. An object
    /// that is not there is not seen.
    ///
    /// Costs little for commits and tags, for what was asked about before, and for all history
    /// whose introduced lists were made ([`Pool::build_lists`]). Other history is searched, newest
    /// commits first, for the one that brought the object; what that finds is remembered in the
    /// pool.
    ///
    /// # Errors
    /// When a tree that had to be looked into cannot be read, and nothing else brought the object.
    pub fn sees(&self, id: &oid) -> Result<bool, PoolError> {
        if !self.pool.contains(id) {
            return Ok(false);
        }
        let reach = self.reach()?;
        if let Some(n) = self.pool.graph.number(id) {
            return Ok(reach.commits.contains(n));
        }
        if self.named()?.contains(id) {
            return Ok(true);
        }
        match self.pool.header(id)? {
            // Commits that a state reaches are in the graph; tags are named.
            None | Some((ObjectKind::Commit | ObjectKind::Tag, _)) => Ok(false),
            Some((ObjectKind::Tree | ObjectKind::Blob, _)) => self.is_introduced(&reach, id),
        }
    }

    /// Whether the state reaches this commit. Not, when what its refs name cannot be read:
    /// [`Visibility::sees`] says why.
    pub fn sees_commit(&self, commit: CommitNumber) -> bool {
        self.reach()
            .is_ok_and(|reach| reach.commits.contains(commit))
    }

    fn is_introduced(&self, reach: &Reach, id: &oid) -> Result<bool, PoolError> {
        let pool = &*self.pool;
        let known = || pool.is_introduced_by(id, |n| reach.commits.contains(n));
        if known() || self.is_in_whole_pack(reach, id)? {
            return Ok(true);
        }
        if pool.load_saved_lists() && known() {
            return Ok(true);
        }
        let mut failed = None;
        let mut search = |commits: &mut dyn Iterator<Item = CommitNumber>| -> bool {
            for n in commits {
                if pool.introduced.is_noted(n) {
                    continue;
                }
                match pool.note_introduced(n, &pool.read_cache) {
                    Ok(ids) if ids.iter().any(|new| **new == *id) => return true,
                    Ok(_) => {}
                    Err(error) => failed = failed.take().or(Some(error)),
                }
            }
            false
        };
        // One search is enough: it is of use for all who ask.
        let searching = pool.introduced.lock_searching();
        if known() {
            return Ok(true);
        }
        let searched = pool.introduced.searched();
        let end = reach.searched_from.load(Ordering::Acquire);
        let unreadable = pool.introduced.unreadable();
        let unreadable = unreadable.into_iter().map(CommitNumber);
        let commits = &reach.commits;
        if search(&mut commits.within(searched.end..end))
            || search(&mut commits.within(0..searched.start.min(end)))
            || search(&mut unreadable.filter(|n| commits.contains(*n)))
        {
            return Ok(true);
        }
        drop(searching);
        if let Some(error) = failed {
            return Err(error);
        }
        reach.searched_from.store(0, Ordering::Release);
        // Another one may have noted it after this one had looked.
        Ok(known())
    }

    /// Whether a pack that has `id` is reached as a whole.
    fn is_in_whole_pack(&self, reach: &Reach, id: &oid) -> Result<bool, PoolError> {
        for pack in self.pool.packs.load().iter() {
            let Some(sources) = pack.sources() else {
                continue;
            };
            if pack.position(id).is_none() {
                continue;
            }
            if reach.has_whole(pack.serial) {
                return Ok(true);
            }
            let mut all = true;
            for source in sources {
                all = match self.pool.graph.number(source) {
                    Some(n) => reach.commits.contains(n),
                    None => self.named()?.contains(source),
                };
                if !all {
                    break;
                }
            }
            if all {
                reach.whole_packs().push(pack.serial);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn reach(&self) -> Result<Arc<Reach>, PoolError> {
        let mended = self.pool.graph.mended();
        let current = |reach: &Arc<Reach>| reach.mended == mended;
        if let Some(reach) = self.reach.load_full().filter(current) {
            return Ok(reach);
        }
        let _turn = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reach) = self.reach.load_full().filter(current) {
            return Ok(reach);
        }
        let reach = Arc::new(self.make_reach()?);
        self.reach.store(Some(reach.clone()));
        Ok(reach)
    }

    fn make_reach(&self) -> Result<Reach, PoolError> {
        let graph = &self.pool.graph;
        let is_current = |earlier: &&Earlier| earlier.reach.mended == graph.mended();
        let added = self.earlier.as_ref().filter(is_current);
        let added = added.and_then(|earlier| earlier.added.as_deref());
        let roots = added.map_or_else(|| self.roots.ids(), Cow::Borrowed);
        let mut tips: Vec<ObjectId> = Vec::with_capacity(roots.len());
        for root in roots.iter() {
            if graph.number(root).is_some() {
                tips.push(*root);
            } else if let Some(peeled) = self.pool.peel(root)?
                && peeled.kind == ObjectKind::Commit
            {
                tips.push(peeled.target);
            }
        }
        self.pool.learn(&tips)?;

        let mended = graph.mended();
        let earlier = self.earlier.as_ref();
        let earlier = earlier.filter(|earlier| earlier.reach.mended == mended);
        if earlier.is_none() && added.is_some() {
            // What was learnt mended the graph: all of it is walked.
            return self.make_whole_reach();
        }
        let (mut commits, whole_packs) = match earlier {
            Some(Earlier { reach, .. }) => (reach.commits.clone(), reach.whole_packs().clone()),
            None => Default::default(),
        };
        commits.add_ancestors(graph, tips.iter().filter_map(|tip| graph.number(tip)));
        Ok(Reach::new(commits, mended, whole_packs))
    }

    fn make_whole_reach(&self) -> Result<Reach, PoolError> {
        let roots = self.roots.ids().to_vec();
        Visibility::new(Arc::clone(&self.pool), roots).make_reach()
    }

    fn named(&self) -> Result<&Named, PoolError> {
        if let Some(named) = self.named.get() {
            return Ok(named);
        }
        let earlier = self.earlier.as_ref();
        let known = earlier.and_then(|e| e.named.as_ref().zip(e.added.as_deref()));
        let named = match known {
            Some((named, added)) => {
                let more = self.named_by(added)?;
                if more.iter().all(|id| named.contains(id)) {
                    Arc::clone(named)
                } else {
                    Arc::new(named.iter().copied().chain(more).collect())
                }
            }
            None => Arc::new(self.named_by(&self.roots.ids())?),
        };
        Ok(self.named.get_or_init(|| named))
    }

    /// What `roots` name that is not reached through commits.
    fn named_by(&self, roots: &[ObjectId]) -> Result<Named, PoolError> {
        let mut named = HashSet::new();
        for root in roots {
            if self.pool.graph.number(root).is_some() {
                continue;
            }
            let Some(peeled) = self.pool.peel(root)? else {
                continue;
            };
            named.extend(peeled.tags);
            match peeled.kind {
                ObjectKind::Blob => {
                    named.insert(peeled.target);
                }
                ObjectKind::Tree if !named.contains(&peeled.target) => {
                    let none = SmallVec::new();
                    self.pool.each_new(peeled.target, none, &mut |new| {
                        named.insert(new.id.to_owned());
                    })?;
                }
                _ => {}
            }
        }
        Ok(named)
    }
}

impl Reach {
    fn new(commits: CommitSet, mended: u32, whole_packs: SmallVec<[u32; 4]>) -> Reach {
        Reach {
            commits,
            mended,
            searched_from: AtomicU32::new(u32::MAX),
            whole_packs: Mutex::new(whole_packs),
        }
    }

    fn whole_packs(&self) -> MutexGuard<'_, SmallVec<[u32; 4]>> {
        self.whole_packs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn has_whole(&self, pack: u32) -> bool {
        self.whole_packs().contains(&pack)
    }
}
