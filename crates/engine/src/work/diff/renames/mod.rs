//! Which added files were moved, or copied, from which: git 2.39's `diffcore-rename`, pair by pair.
//!
//! First identical files find each other, with a preference for the same last name; then files
//! whose last name is the only one of its kind on both sides; then all that are left are
//! estimated against each other, and the best pairs win. A merge says more ([`MergeGuide`]): which
//! sources matter to it and which folders are gone, and is told how folders moved.

mod directories;
mod similarity;

use std::cmp::Ordering;
use std::rc::Rc;

use bytes::Bytes;
use govc_git::object::tree::{MODE_EXECUTABLE, MODE_FILE, canonical_mode};
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};
use hashbrown::HashMap;

use crate::pool::{Pool, PoolError};

pub use directories::{DirectoryCounts, DirectoryRelevance, MergeGuide, SourceRelevance};
pub use similarity::{BIG_FILE_BYTES, Spans, is_binary};

use directories::Directories;

/// The score of files that are the same; others are parts of it.
pub const SCORE_MAX: u32 = 60_000;
/// From which score on two files are one that was moved: 50 %.
pub const SCORE_DEFAULT: u32 = 30_000;
/// `diff.renameLimit` as it is unless set.
pub const LIMIT_DEFAULT: usize = 1000;
/// So many identical sources are looked at for one destination.
const IDENTICAL_MAX: usize = 100;
/// So many of the best sources of a destination are kept.
const CANDIDATES: usize = 4;
/// What comparing may cost, in hashes looked at and bytes hashed: seconds, on texts made for it.
/// Past it no further pairs are estimated.
const WORK_MAX: u64 = 6_000_000_000;

/// Blobs, wherever they are.
pub trait Blobs {
    /// The content of a blob.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    fn content(&self, id: &oid) -> Result<Bytes, PoolError>;

    /// Its size in bytes.
    ///
    /// # Errors
    /// As [`Blobs::content`].
    fn size(&self, id: &oid) -> Result<u64, PoolError>;

    /// The hash that names them.
    fn format(&self) -> ObjectFormat;
}

impl Blobs for Pool {
    fn content(&self, id: &oid) -> Result<Bytes, PoolError> {
        self.get_kind(id, ObjectKind::Blob)
    }

    fn size(&self, id: &oid) -> Result<u64, PoolError> {
        let (_, size) = self
            .header(id)?
            .ok_or(PoolError::Missing { id: id.to_owned() })?;
        Ok(size)
    }

    fn format(&self) -> ObjectFormat {
        Pool::format(self)
    }
}

/// A file that may have been moved.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Where it was.
    pub path: &'a [u8],
    /// Its mode.
    pub mode: u32,
    /// What it was.
    pub id: ObjectId,
    /// It is still there: what comes from it is a copy. Only with [`RenameOptions::copies`].
    pub is_kept: bool,
}

/// A file that is new at its path.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// Where it is.
    pub path: &'a [u8],
    /// Its mode.
    pub mode: u32,
    /// What it is.
    pub id: ObjectId,
}

/// What counts as moved.
#[derive(Debug, Clone)]
pub struct RenameOptions {
    /// The least score of a pair, of [`SCORE_MAX`].
    pub score_min: u32,
    /// No estimates where more than the square of this had to be made; 0 is no limit.
    pub limit: usize,
    /// One source may have several destinations.
    pub copies: bool,
    /// Empty files are paired too.
    pub rename_empty: bool,
}

impl Default for RenameOptions {
    /// As `git diff -M`.
    fn default() -> RenameOptions {
        RenameOptions {
            score_min: SCORE_DEFAULT,
            limit: LIMIT_DEFAULT,
            copies: false,
            rename_empty: true,
        }
    }
}

/// One file that came from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Its place among the sources.
    pub source: usize,
    /// Its place among the destinations.
    pub destination: usize,
    /// How alike the two are, of [`SCORE_MAX`].
    pub score: u32,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    /// Pairs, in the order of the destinations; each of these is in one at most.
    pub pairs: Vec<Pair>,
    /// Not all were compared; this limit would have been needed.
    pub limit_needed: Option<usize>,
}

/// Finds which of `destinations` came from which of `sources`. Both are in the order in which a
/// comparison of two trees meets them; of equally good pairs the first one wins.
///
/// `guide` is for merges; not with [`RenameOptions::copies`].
///
/// # Errors
/// When a blob cannot be read.
pub fn detect(
    blobs: &dyn Blobs,
    sources: &[Source<'_>],
    destinations: &[Destination<'_>],
    options: &RenameOptions,
    guide: Option<&mut MergeGuide<'_>>,
) -> Result<Renames, PoolError> {
    let empty = ObjectId::empty_blob(blobs.format());
    let counts = |id: ObjectId| options.rename_empty || id != empty;
    let left = (0..sources.len()).filter(|at| counts(sources[*at].id));
    let open = (0..destinations.len()).filter(|at| counts(destinations[*at].id));
    let mut detection = Detection {
        blobs,
        sources,
        destinations,
        options,
        left: left.collect(),
        open: open.collect(),
        used: sources.iter().map(|source| source.is_kept).collect(),
        found: vec![None; destinations.len()],
        source_spans: vec![None; sources.len()],
        destination_spans: vec![None; destinations.len()],
        work: 0,
        limit_needed: None,
    };
    if !detection.left.is_empty() && !detection.open.is_empty() {
        detection.run(guide)?;
    }
    let found = detection.found.iter().enumerate();
    let pairs = found.filter_map(|(destination, found)| {
        let (source, score) = (*found)?;
        Some(Pair {
            source,
            destination,
            score,
        })
    });
    Ok(Renames {
        pairs: pairs.collect(),
        limit_needed: detection.limit_needed,
    })
}

/// A file's size in bytes, and its hashes once somebody asked for them.
type Measured = (u64, Option<Rc<Spans>>);

struct Detection<'a> {
    blobs: &'a dyn Blobs,
    sources: &'a [Source<'a>],
    destinations: &'a [Destination<'a>],
    options: &'a RenameOptions,
    /// The sources that are still looked at, in their order.
    left: Vec<usize>,
    /// The destinations that are looked at at all, in their order.
    open: Vec<usize>,
    /// Whether something came from a source, or it stays.
    used: Vec<bool>,
    /// Where each destination came from, and the score.
    found: Vec<Option<(usize, u32)>>,
    source_spans: Vec<Option<Measured>>,
    destination_spans: Vec<Option<Measured>>,
    work: u64,
    limit_needed: Option<usize>,
}

impl Detection<'_> {
    fn run(&mut self, mut guide: Option<&mut MergeGuide<'_>>) -> Result<(), PoolError> {
        self.pair_identical();
        let score_min = self.options.score_min;
        if score_min >= SCORE_MAX {
            return Ok(());
        }
        let mut directories = None;
        if !self.options.copies {
            self.left.retain(|at| !self.used[*at]);
            directories = guide.as_deref().map(|guide| {
                let pairs = self.open.iter().map(|at| {
                    let from = self.found[*at].map(|(source, _)| self.sources[source].path);
                    (*at, self.destinations[*at].path, from)
                });
                Directories::new(guide, pairs)
            });
            let least = score_min + (SCORE_MAX - score_min) / 2;
            self.pair_by_last_names(least, guide.as_deref(), directories.as_mut())?;
            self.left.retain(|at| !self.used[*at]);
        }
        if let Some(relevant) = guide.as_deref().and_then(|guide| guide.sources.as_ref()) {
            self.left
                .retain(|at| relevant.contains_key(self.sources[*at].path));
        }
        if let (Some(guide), Some(directories)) = (guide.as_deref_mut(), directories.as_mut()) {
            let paths = self.left.iter().map(|at| self.sources[*at].path).collect();
            let kept = directories.leave_out_known(guide, paths);
            let mut kept = kept.into_iter();
            self.left.retain(|_| kept.next().unwrap_or(true));
        }
        self.pair_by_estimates(directories.as_mut(), guide.as_deref())?;
        if let (Some(guide), Some(directories)) = (guide, directories) {
            directories.hand_over(guide);
        }
        Ok(())
    }

    fn record(&mut self, destination: usize, source: usize, score: u32) {
        self.used[source] = true;
        self.found[destination] = Some((source, score));
    }

    /// Files that did not change on their way.
    fn pair_identical(&mut self) {
        let mut by_id: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        for &at in &self.left {
            by_id.entry(self.sources[at].id).or_default().push(at);
        }
        for destination in self.open.clone() {
            let target = &self.destinations[destination];
            let Some(same) = by_id.get(&target.id) else {
                continue;
            };
            let mut best: Option<(usize, u8)> = None;
            let fits = |source: &&usize| {
                let mode = self.sources[**source].mode;
                let is_allowed = !self.used[**source] || self.options.copies;
                is_allowed && (is_regular(mode) && is_regular(target.mode) || mode == target.mode)
            };
            for &source in same.iter().filter(fits).take(IDENTICAL_MAX) {
                let has_same_name = same_last_name(self.sources[source].path, target.path);
                let score = u8::from(!self.used[source]) + u8::from(has_same_name);
                if best.is_none_or(|(_, best)| score > best) {
                    best = Some((source, score));
                }
                if score == 2 {
                    break;
                }
            }
            if let Some((source, _)) = best {
                self.record(destination, source, SCORE_MAX);
            }
        }
    }

    /// Files whose last name is there once on both sides, or that folders point to.
    fn pair_by_last_names(
        &mut self,
        score_min: u32,
        guide: Option<&MergeGuide<'_>>,
        mut directories: Option<&mut Directories>,
    ) -> Result<(), PoolError> {
        // Only one file has this last name, or several do.
        let (sources, destinations) = (self.sources, self.destinations);
        let mut from: HashMap<&[u8], Option<usize>> = HashMap::new();
        for &at in &self.left {
            let entry = from.entry(last_name(sources[at].path));
            entry.and_modify(|only| *only = None).or_insert(Some(at));
        }
        let mut to: HashMap<&[u8], Option<usize>> = HashMap::new();
        for &at in self.open.iter().filter(|at| self.found[**at].is_none()) {
            let entry = to.entry(last_name(destinations[at].path));
            entry.and_modify(|only| *only = None).or_insert(Some(at));
        }
        let relevant = guide.and_then(|guide| guide.sources.as_ref());
        for source in self.left.clone() {
            let path = sources[source].path;
            if relevant.is_some_and(|relevant| !relevant.contains_key(path)) {
                continue;
            }
            let Some(only) = to.get(last_name(path)) else {
                continue;
            };
            let destination = match (from.get(last_name(path)), only) {
                (Some(Some(_)), Some(only)) => Some(*only),
                _ => directories
                    .as_deref()
                    .and_then(|directories| directories.guess(path)),
            };
            let Some(destination) = destination.filter(|at| self.found[*at].is_none()) else {
                continue;
            };
            let score = self.estimate(source, destination, score_min)?;
            if score < score_min {
                continue;
            }
            self.record(destination, source, score);
            if let (Some(directories), Some(guide)) = (directories.as_deref_mut(), guide) {
                directories.count(guide, path, destinations[destination].path);
            }
        }
        Ok(())
    }

    /// All that are left, each against each.
    fn pair_by_estimates(
        &mut self,
        mut directories: Option<&mut Directories>,
        guide: Option<&MergeGuide<'_>>,
    ) -> Result<(), PoolError> {
        let score_min = self.options.score_min;
        self.open.retain(|at| self.found[*at].is_none());
        let (to, from) = (self.open.len(), self.left.len());
        if to == 0 || from == 0 {
            return Ok(());
        }
        let limit = self.options.limit;
        if limit > 0 && to.saturating_mul(from) > limit.saturating_mul(limit) {
            self.limit_needed = Some(to.max(from));
            return Ok(());
        }
        let mut matrix: Vec<Candidate> = Vec::with_capacity(to.saturating_mul(CANDIDATES));
        for destination in self.open.clone() {
            let mut best = [Candidate::NONE; CANDIDATES];
            for &source in &self.left.clone() {
                if self.work > WORK_MAX {
                    self.limit_needed = Some(to.max(from));
                    return Ok(());
                }
                let candidate = Candidate {
                    score: self.estimate(source, destination, score_min)?,
                    has_same_name: same_last_name(
                        self.sources[source].path,
                        self.destinations[destination].path,
                    ),
                    pair: Some((source, destination)),
                };
                candidate.take_place(&mut best);
            }
            matrix.extend(best);
            self.destination_spans[destination] = None;
        }
        matrix.sort_by(Candidate::compare);
        for may_copy in [false, true] {
            if may_copy && !self.options.copies {
                break;
            }
            for candidate in &matrix {
                let Some((source, destination)) = candidate.pair else {
                    break;
                };
                if candidate.score < score_min {
                    break;
                }
                if self.found[destination].is_some() || self.used[source] && !may_copy {
                    continue;
                }
                self.record(destination, source, candidate.score);
                if let (Some(directories), Some(guide)) = (directories.as_deref_mut(), guide) {
                    let paths = (
                        self.sources[source].path,
                        self.destinations[destination].path,
                    );
                    directories.count(guide, paths.0, paths.1);
                }
            }
        }
        Ok(())
    }

    /// How alike two files are; 0 where they cannot reach `score_min`.
    fn estimate(
        &mut self,
        source: usize,
        destination: usize,
        score_min: u32,
    ) -> Result<u32, PoolError> {
        let (from, to) = (&self.sources[source], &self.destinations[destination]);
        if !is_regular(from.mode) || !is_regular(to.mode) {
            return Ok(0);
        }
        self.work += 1;
        let from_size = size(self.blobs, &mut self.source_spans[source], &from.id)?;
        let to_size = size(self.blobs, &mut self.destination_spans[destination], &to.id)?;
        let (larger, smaller) = (from_size.max(to_size), from_size.min(to_size));
        let score_max = u64::from(SCORE_MAX);
        let may_differ = larger.saturating_mul(score_max - u64::from(score_min));
        if may_differ < (larger - smaller).saturating_mul(score_max) {
            return Ok(0);
        }
        let from = spans(
            self.blobs,
            &mut self.source_spans[source],
            &from.id,
            &mut self.work,
        )?;
        let place = &mut self.destination_spans[destination];
        let to = spans(self.blobs, place, &to.id, &mut self.work)?;
        self.work += (from.len() + to.len()) as u64;
        if to_size == 0 {
            return Ok(0);
        }
        let copied = from.copied_to(&to).saturating_mul(score_max) / larger;
        Ok(copied.min(score_max) as u32)
    }
}

fn size(blobs: &dyn Blobs, place: &mut Option<Measured>, id: &oid) -> Result<u64, PoolError> {
    if let Some((size, _)) = place {
        return Ok(*size);
    }
    let size = blobs.size(id)?;
    *place = Some((size, None));
    Ok(size)
}

fn spans(
    blobs: &dyn Blobs,
    place: &mut Option<Measured>,
    id: &oid,
    work: &mut u64,
) -> Result<Rc<Spans>, PoolError> {
    if let Some((_, Some(spans))) = place {
        return Ok(Rc::clone(spans));
    }
    let data = blobs.content(id)?;
    *work += data.len() as u64;
    let spans = Rc::new(Spans::of(&data));
    *place = Some((data.len() as u64, Some(Rc::clone(&spans))));
    Ok(spans)
}

/// A pair that may be.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    score: u32,
    has_same_name: bool,
    /// `None` is an empty place.
    pair: Option<(usize, usize)>,
}

impl Candidate {
    const NONE: Candidate = Candidate {
        score: 0,
        has_same_name: false,
        pair: None,
    };

    /// The better one first, empty places last.
    fn compare(&self, other: &Candidate) -> Ordering {
        let rank = |c: &Candidate| (c.pair.is_some(), c.score, c.has_same_name);
        match (self.pair, other.pair) {
            (None, None) => Ordering::Equal,
            _ => rank(other).cmp(&rank(self)),
        }
    }

    /// Takes the place of the worst of `best` if it is better.
    fn take_place(self, best: &mut [Candidate; CANDIDATES]) {
        let mut worst = 0;
        for at in 1..CANDIDATES {
            // An empty place gives way to another one behind it, as in git.
            let is_worse = match (best[at].pair, best[worst].pair) {
                (None, None) => false,
                _ => best[at].compare(&best[worst]).is_gt(),
            };
            if is_worse {
                worst = at;
            }
        }
        if best[worst].compare(&self).is_gt() {
            best[worst] = self;
        }
    }
}

fn is_regular(mode: u32) -> bool {
    matches!(canonical_mode(mode), MODE_FILE | MODE_EXECUTABLE)
}

/// The part of a path behind its last slash.
fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

fn same_last_name(a: &[u8], b: &[u8]) -> bool {
    last_name(a) == last_name(b)
}
