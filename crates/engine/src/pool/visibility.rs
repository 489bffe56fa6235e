//! Who may see what: the objects that one state of one repository reaches.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;
use govc_git::{ObjectId, ObjectKind, oid};
use hashbrown::HashSet;
use smallvec::SmallVec;

use super::{CommitNumber, Pool, PoolError};

/// What one state of one repository reaches. Made lazily, as far as the questions need, and
/// cheap to take to the next state.
pub struct Visibility {
    pool: Arc<Pool>,
    roots: Arc<[ObjectId]>,
    /// An earlier state's commits, all of which this state reaches.
    earlier: Option<Arc<Reach>>,
    /// This state's commits, once anybody asked.
    reach: ArcSwapOption<Reach>,
    /// Held to make `reach`, so that a busy repository makes it once.
    making: Mutex<()>,
    /// What refs name that is not reached through commits: tags, and trees and blobs that refs or
    /// tags name themselves.
    named: OnceLock<HashSet<ObjectId>>,
}

/// Commits that are reachable, and what follows from that.
struct Reach {
    commits: CommitSet,
    /// The graph's [`mended`](super::Graph::mended) when this was made.
    mended: u32,
    /// All commits from this number on have their introduced objects noted.
    searched_from: AtomicU32,
}

/// A set of commits, as bits in chunks that later sets share.
#[derive(Clone, Default)]
struct CommitSet {
    chunks: Vec<Option<Arc<[u64; CHUNK_WORDS]>>>,
}

const CHUNK_WORDS: usize = 64;
const CHUNK_COMMITS: u32 = 64 * CHUNK_WORDS as u32;

impl CommitSet {
    fn contains(&self, n: CommitNumber) -> bool {
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

    /// Those below `end`, greatest number first.
    fn below(&self, end: u32) -> impl Iterator<Item = CommitNumber> + '_ {
        let words = self
            .chunks
            .iter()
            .enumerate()
            .rev()
            .flat_map(|(number, chunk)| {
                let chunk = chunk.as_deref().into_iter();
                let first = number as u32 * CHUNK_COMMITS;
                chunk.flat_map(move |words| {
                    let words = words.iter().enumerate().rev();
                    words.map(move |(word, &bits)| (first + 64 * word as u32, bits))
                })
            });
        let commits = words
            .filter(|&(_, bits)| bits != 0)
            .flat_map(|(first, bits)| {
                let set = (0..64).rev().filter(move |bit| bits >> bit & 1 == 1);
                set.map(move |bit| CommitNumber(first + bit))
            });
        commits.filter(move |n| n.0 < end)
    }
}

impl Visibility {
    /// Everything reachable from `roots`, the targets of all refs of a state. Ids that the pool
    /// lacks reach nothing.
    pub fn new(pool: Arc<Pool>, roots: Vec<ObjectId>) -> Visibility {
        Visibility::with_earlier(pool, roots, None)
    }

    fn with_earlier(
        pool: Arc<Pool>,
        roots: Vec<ObjectId>,
        earlier: Option<Arc<Reach>>,
    ) -> Visibility {
        Visibility {
            pool,
            roots: roots.into(),
            earlier,
            reach: ArcSwapOption::empty(),
            making: Mutex::default(),
            named: OnceLock::new(),
        }
    }

    /// The visibility of a later state. `roots` are all targets of its refs; `removed` says that
    /// a ref was deleted or moved other than forwards since this state. Where none was, only what
    /// is new is walked.
    pub fn advance(&self, roots: Vec<ObjectId>, removed: bool) -> Visibility {
        let earlier = match removed {
            true => None,
            // Were states that nobody asked about kept, they would pile up.
            false => self.reach.load_full().or_else(|| self.earlier.clone()),
        };
        Visibility::with_earlier(self.pool.clone(), roots, earlier)
    }

    /// The pool that it looks at.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The targets of all refs that it began with.
    pub fn roots(&self) -> &[ObjectId] {
        &self.roots
    }

    /// Whether the state reaches the object `id`: commits, tags, trees and blobs alike. An object
    /// that is not there is not seen.
    ///
    /// Costs little for commits, tags and what was asked about before. For others history may be
    /// searched, newest commits first, for the one that brought the object; what that finds is
    /// remembered in the pool.
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
        let known = self.pool.introducers(id);
        if known.into_iter().any(|n| reach.commits.contains(n)) {
            return Ok(true);
        }
        let end = reach.searched_from.load(Ordering::Acquire);
        let mut failed = None;
        for n in reach.commits.below(end) {
            if !self.pool.introduced.is_noted(n) {
                match self.pool.note_introduced(n) {
                    Ok(ids) if ids.iter().any(|new| **new == *id) => return Ok(true),
                    Ok(_) => {}
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            if failed.is_none() {
                reach.searched_from.fetch_min(n.0, Ordering::AcqRel);
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // Another search may have noted it after this one had looked.
        let known = self.pool.introducers(id);
        Ok(known.into_iter().any(|n| reach.commits.contains(n)))
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
        let mut tips: Vec<ObjectId> = Vec::with_capacity(self.roots.len());
        for root in self.roots.iter() {
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
        let earlier = self
            .earlier
            .as_ref()
            .filter(|earlier| earlier.mended == mended);
        let mut commits = earlier
            .map(|earlier| earlier.commits.clone())
            .unwrap_or_default();
        let mut open: Vec<CommitNumber> = Vec::new();
        for tip in tips.iter().filter_map(|tip| graph.number(tip)) {
            if commits.insert(tip) {
                open.push(tip);
            }
        }
        while let Some(n) = open.pop() {
            graph.each_parent(n.0, |parent| {
                if commits.insert(CommitNumber(parent)) {
                    open.push(CommitNumber(parent));
                }
            });
        }
        Ok(Reach {
            commits,
            mended,
            searched_from: AtomicU32::new(u32::MAX),
        })
    }

    fn named(&self) -> Result<&HashSet<ObjectId>, PoolError> {
        if let Some(named) = self.named.get() {
            return Ok(named);
        }
        let mut named = HashSet::new();
        for root in self.roots.iter() {
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
        Ok(self.named.get_or_init(|| named))
    }
}
