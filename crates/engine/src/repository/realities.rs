//! Parallel realities, as the repository that they were made in records them.
//!
//! A reality is a repository of its own, over its parent's pool: `engine/realities.rs` makes that of
//! it when somebody needs it. What is here is all that there is of one before: a *batch*, what one
//! call made, has its names, its base and the beginning of all its keys once, and everything about
//! a single reality is computed from its number in the batch. So ten thousand of them are one edit
//! of some bytes, and cost nothing until they are written to.
//!
//! Making and discarding are recorded in the repository itself, promoting in the parent: that is
//! the repository, or, for a nested one, another reality.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use govc_git::ObjectId;

use super::shared_map::SharedMap;
use crate::{Entry, EntryEdit, RefName, Refs, RepoKey, RepositoryRecord, Seq, Time};

/// The beginning of the keys of a batch; the number of a reality in it is the rest.
pub type KeyPrefix = [u8; 12];

/// Names a reality in the repository that it was made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealityId {
    /// The change that made it, with all of its batch.
    pub made: Seq,
    /// Which of the batch it is, from 0.
    pub index: u32,
}

/// What one call made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealityBatch {
    /// How their keys begin.
    pub keys: KeyPrefix,
    /// What they are called.
    pub names: RealityNames,
    /// The reality that they were made from; `None`: from the repository itself.
    pub parent: Option<RealityId>,
    /// The change of the parent whose refs they begin with.
    pub base: Seq,
    /// The branch that their HEAD names.
    pub head: RefName,
    /// What that branch is in them, where it is not what the base has there.
    pub tip: Option<ObjectId>,
    /// The commit that their HEAD leads to when they are made.
    pub oid: Option<ObjectId>,
    /// Whether what is done in them is lost at a restart, and costs no sync.
    pub in_memory: bool,
    /// When they go by themselves, if they do.
    pub expires_at: Option<Time>,
}

/// The names of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealityNames {
    /// `prefix1` to `prefixN`.
    Counted {
        /// What they begin with.
        prefix: Arc<str>,
        /// How many there are.
        count: u32,
    },
    /// These.
    Listed(Arc<[Box<str>]>),
}

/// Realities of one batch that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RealityRange {
    /// The change that made them.
    pub made: Seq,
    /// The first of them.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

/// What happened to realities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealityEdit {
    /// They were made.
    Made(Arc<RealityBatch>),
    /// One was promoted, by the change that this is part of: it is closed.
    Promoted {
        /// Which.
        reality: RealityId,
        /// The ref that it moved.
        into: RefName,
        /// What that ref became.
        commit: ObjectId,
    },
    /// They were discarded.
    Discarded(Arc<[RealityRange]>),
    /// What somebody measured in the reality whose own entry this is.
    Results(Arc<RealityResults>),
}

/// What somebody measured in a reality.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RealityResults {
    /// Figures by name.
    pub metrics: BTreeMap<Arc<str>, Metric>,
    /// Whether it passed, if somebody said so.
    pub passed: Option<bool>,
    /// The commit that HEAD led to then.
    pub commit: Option<ObjectId>,
    /// When it was said.
    pub at: Time,
}

/// A finite number, compared by its bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Metric(u64);

/// How a reality was promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// When.
    pub at: Time,
    /// The change of the parent that promoted it.
    pub seq: Seq,
    /// The ref that it moved.
    pub into: RefName,
    /// What that ref became.
    pub commit: ObjectId,
}

/// What became of a reality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It can be written to.
    Open,
    /// It was promoted: it can be read.
    Promoted(Promotion),
    /// It is gone.
    Discarded,
}

/// A batch, with when it was made and what is found out about it when it is needed.
pub struct MadeBatch {
    /// The change that made it.
    pub seq: Seq,
    /// When that was.
    pub time: Time,
    /// What it made.
    pub batch: Arc<RealityBatch>,
    /// The refs that its realities begin with, before HEAD and its branch are set.
    base: OnceLock<Refs>,
    /// The record that its realities share.
    record: OnceLock<Arc<RepositoryRecord>>,
}

/// What became of the realities of one batch.
#[derive(Clone, Default, PartialEq)]
struct Fates {
    /// One bit for each that was discarded.
    discarded: Vec<u64>,
    discarded_count: u32,
    promoted: BTreeMap<u32, Promotion>,
}

/// The realities of a repository at one moment. None at all cost nothing; a copy costs a pointer.
#[derive(Clone, Default)]
pub struct Realities(Option<Arc<Inner>>);

#[derive(Clone, Default)]
struct Inner {
    batches: SharedMap<Seq, Arc<MadeBatch>>,
    /// Names that were listed, by their hashes.
    listed: SharedMap<(u64, Seq, u32), ()>,
    /// Prefixes of names that were counted, and how far.
    counted: SharedMap<(Arc<str>, Seq), u32>,
    /// What became of realities that were made here, or whose parent this is.
    fates: SharedMap<Seq, Arc<Fates>>,
    /// How many of the batches are not discarded.
    there: u64,
    results: Option<Arc<RealityResults>>,
}

impl Metric {
    /// The number, which must be finite.
    pub fn new(number: f64) -> Option<Metric> {
        number.is_finite().then_some(Metric(number.to_bits()))
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl RealityNames {
    /// How many there are.
    pub fn len(&self) -> u32 {
        match self {
            RealityNames::Counted { count, .. } => *count,
            RealityNames::Listed(names) => u32::try_from(names.len()).unwrap_or(u32::MAX),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of number `index`, from 0.
    pub fn get(&self, index: u32) -> Option<Cow<'_, str>> {
        match self {
            RealityNames::Counted { prefix, count } => {
                (index < *count).then(|| Cow::Owned(format!("{prefix}{}", u64::from(index) + 1)))
            }
            RealityNames::Listed(names) => {
                let name = names.get(index as usize)?;
                Some(Cow::Borrowed(&**name))
            }
        }
    }
}

impl RealityBatch {
    /// The key of number `index`.
    pub fn key(&self, index: u32) -> RepoKey {
        let mut key = [0; 16];
        key[..12].copy_from_slice(&self.keys);
        key[12..].copy_from_slice(&index.to_be_bytes());
        RepoKey(key)
    }

    /// The number of the reality whose key this is.
    pub fn index_of(&self, key: RepoKey) -> Option<u32> {
        let rest = key.0.strip_prefix(&self.keys)?;
        let index = u32::from_be_bytes(rest.try_into().ok()?);
        (index < self.names.len()).then_some(index)
    }
}

impl MadeBatch {
    /// What the change `seq` made.
    pub fn new(seq: Seq, time: Time, batch: Arc<RealityBatch>) -> MadeBatch {
        MadeBatch {
            seq,
            time,
            batch,
            base: OnceLock::new(),
            record: OnceLock::new(),
        }
    }

    /// The refs of the parent that they begin with, if somebody has looked.
    pub(crate) fn base(&self) -> Option<&Refs> {
        self.base.get()
    }

    /// Those are the refs. The first who says so is believed.
    pub(crate) fn set_base(&self, refs: Refs) -> &Refs {
        self.base.get_or_init(|| refs)
    }

    /// The record that its realities share, made once from their repository's.
    pub(crate) fn record(&self, make: impl FnOnce() -> RepositoryRecord) -> &Arc<RepositoryRecord> {
        self.record.get_or_init(|| Arc::new(make()))
    }

    /// The refs of a reality before it was written to.
    pub(crate) fn refs(&self, base: &Refs) -> Refs {
        use crate::Target;
        let mut refs = base.clone();
        let RealityBatch { head, tip, .. } = &*self.batch;
        if refs.head_branch() != Some(head) {
            refs.set(RefName::head(), Target::Symbolic(head.clone()));
        }
        if let Some(tip) = tip
            && refs.get(head.as_bytes()) != Some(&Target::At(*tip))
        {
            refs.set(head.clone(), Target::At(*tip));
        }
        refs
    }
}

impl fmt::Debug for MadeBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeBatch")
            .field("seq", &self.seq)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

impl PartialEq for MadeBatch {
    fn eq(&self, other: &MadeBatch) -> bool {
        (self.seq, self.time, &self.batch) == (other.seq, other.time, &other.batch)
    }
}

impl Fates {
    fn is_discarded(&self, index: u32) -> bool {
        let word = self.discarded.get((index / 64) as usize);
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn discard(&mut self, index: u32) {
        let word = (index / 64) as usize;
        if self.discarded.len() <= word {
            self.discarded.resize(word + 1, 0);
        }
        if !self.is_discarded(index) {
            self.discarded[word] |= 1 << (index % 64);
            self.discarded_count += 1;
        }
    }
}

fn hash_of(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

impl Realities {
    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many were made here and not discarded.
    pub fn there(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.there)
    }

    /// The batches that were made here, in the order of the changes that made them, from change
    /// `seq` on.
    pub fn batches(&self, from: Seq) -> impl Iterator<Item = &Arc<MadeBatch>> {
        let batches = self
            .0
            .iter()
            .flat_map(move |inner| inner.batches.from(&from));
        batches.map(|(_, batch)| batch)
    }

    /// The batch that the change `seq` made.
    pub fn batch(&self, seq: Seq) -> Option<&Arc<MadeBatch>> {
        self.0.as_ref()?.batches.get(&seq)
    }

    /// The batch of the reality with this key, and its number in it.
    pub fn by_key(&self, key: RepoKey) -> Option<(&Arc<MadeBatch>, RealityId)> {
        self.batches(0).find_map(|made| {
            let index = made.batch.index_of(key)?;
            let made_at = made.seq;
            Some((
                made,
                RealityId {
                    made: made_at,
                    index,
                },
            ))
        })
    }

    /// All that were ever called `name` and are remembered, oldest first.
    pub fn called(&self, name: &str) -> Vec<RealityId> {
        let Some(inner) = &self.0 else {
            return Vec::new();
        };
        let hash = hash_of(name);
        let listed = inner
            .listed
            .from(&(hash, 0, 0))
            .take_while(|((other, ..), ())| *other == hash);
        let ids = listed.map(|((_, made, index), ())| RealityId {
            made: *made,
            index: *index,
        });
        let is_it = |id: &RealityId| {
            let batch = inner.batches.get(&id.made);
            batch.is_some_and(|made| made.batch.names.get(id.index).as_deref() == Some(name))
        };
        let mut found: Vec<RealityId> = ids.filter(is_it).collect();
        // The digits at its end may be all a number, or begin in a prefix that ends in digits.
        let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
        for digits in 1..=digits.min(10) {
            let (prefix, number) = name.split_at(name.len() - digits);
            if number.starts_with('0') {
                continue;
            }
            let Ok(number) = number.parse::<u32>() else {
                continue;
            };
            let prefix: Arc<str> = prefix.into();
            let counted = inner.counted.from(&(Arc::clone(&prefix), 0));
            let counted = counted.take_while(|((other, _), _)| **other == *prefix);
            found.extend(
                counted
                    .filter(|(_, count)| number <= **count)
                    .map(|((_, made), _)| RealityId {
                        made: *made,
                        index: number - 1,
                    }),
            );
        }
        found.sort_unstable();
        found
    }

    /// What is recorded here of what became of a reality.
    pub fn fate(&self, id: RealityId) -> Fate {
        let fates = self.0.as_ref().and_then(|inner| inner.fates.get(&id.made));
        match fates {
            Some(fates) if fates.is_discarded(id.index) => Fate::Discarded,
            Some(fates) => match fates.promoted.get(&id.index) {
                Some(promotion) => Fate::Promoted(promotion.clone()),
                None => Fate::Open,
            },
            None => Fate::Open,
        }
    }

    /// Whether all of a batch were discarded here.
    pub fn all_discarded(&self, made: &MadeBatch) -> bool {
        let fates = self.0.as_ref().and_then(|inner| inner.fates.get(&made.seq));
        fates.is_some_and(|fates| fates.discarded_count >= made.batch.names.len())
    }

    /// What was measured in the reality whose own snapshot this is of.
    pub fn results(&self) -> Option<&Arc<RealityResults>> {
        self.0.as_ref()?.results.as_ref()
    }

    /// All that is recorded of what became of realities: those discarded, as ranges, and those
    /// promoted.
    pub fn fates(&self) -> (Vec<RealityRange>, Vec<(RealityId, Promotion)>) {
        let (mut ranges, mut promoted): (Vec<RealityRange>, Vec<_>) = (Vec::new(), Vec::new());
        for (made, fates) in self.0.iter().flat_map(|inner| inner.fates.iter()) {
            let indices = (0..64 * fates.discarded.len() as u32).filter(|i| fates.is_discarded(*i));
            extend_ranges(
                &mut ranges,
                indices.map(|index| RealityId { made: *made, index }),
            );
            promoted.extend(fates.promoted.iter().map(|(index, promotion)| {
                let id = RealityId {
                    made: *made,
                    index: *index,
                };
                (id, promotion.clone())
            }));
        }
        (ranges, promoted)
    }

    /// What was there: batches, in the order of their changes, what became of some, and results.
    pub fn from_parts(
        batches: impl IntoIterator<Item = MadeBatch>,
        discarded: &[RealityRange],
        promoted: impl IntoIterator<Item = (RealityId, Promotion)>,
        results: Option<Arc<RealityResults>>,
    ) -> Realities {
        let mut inner = Inner::default();
        for made in batches {
            inner.add(made);
        }
        inner.discard(discarded);
        for (id, promotion) in promoted {
            inner.change_fates(id.made, |fates| {
                fates.promoted.insert(id.index, promotion);
            });
        }
        inner.results = results;
        let nothing = inner.batches.is_empty() && inner.fates.is_empty() && inner.results.is_none();
        Realities((!nothing).then(|| Arc::new(inner)))
    }

    /// Becomes what it is after `entry`. `refs` are those before it, where they are known: what is
    /// made from them shares them.
    pub fn apply(&mut self, entry: &Entry, refs: Option<(Seq, &Refs)>) {
        for edit in &entry.edits {
            let EntryEdit::Reality(edit) = edit else {
                continue;
            };
            let inner = Arc::make_mut(self.0.get_or_insert_default());
            match edit {
                RealityEdit::Made(batch) => {
                    let made = MadeBatch::new(entry.seq, entry.time, Arc::clone(batch));
                    if let Some((seq, refs)) = refs
                        && batch.parent.is_none()
                        && batch.base == seq
                    {
                        made.set_base(refs.clone());
                    }
                    inner.add(made);
                }
                RealityEdit::Promoted {
                    reality,
                    into,
                    commit,
                } => {
                    let promotion = Promotion {
                        at: entry.time,
                        seq: entry.seq,
                        into: into.clone(),
                        commit: *commit,
                    };
                    inner.change_fates(reality.made, |fates| {
                        fates.promoted.insert(reality.index, promotion);
                    });
                }
                RealityEdit::Discarded(ranges) => inner.discard(ranges),
                RealityEdit::Results(results) => inner.results = Some(Arc::clone(results)),
            }
        }
    }

    /// Whether some are kept in memory only, and not discarded.
    pub fn has_in_memory(&self) -> bool {
        let mut batches = self.batches(0);
        batches.any(|made| made.batch.in_memory && !self.all_discarded(made))
    }

    /// Without those that were kept in memory only: what there is after a restart.
    #[must_use]
    pub fn without_in_memory(&self) -> Realities {
        match self.has_in_memory() {
            true => self.with_only(|made| !made.batch.in_memory),
            false => self.clone(),
        }
    }

    /// Without the batches of which nothing is left: nobody asks for them any more.
    #[must_use]
    pub fn without_what_is_gone(&self) -> Realities {
        match self.batches(0).any(|made| self.all_discarded(made)) {
            true => self.with_only(|made| !self.all_discarded(made)),
            false => self.clone(),
        }
    }

    /// Those whose batches stay, and what is recorded of batches that are none of these.
    fn with_only(&self, stays: impl Fn(&MadeBatch) -> bool) -> Realities {
        let (stay, gone): (Vec<&Arc<MadeBatch>>, Vec<_>) =
            self.batches(0).partition(|made| stays(made));
        let gone: Vec<Seq> = gone.into_iter().map(|made| made.seq).collect();
        let is_left = |made: Seq| gone.binary_search(&made).is_err();
        let (mut discarded, mut promoted) = self.fates();
        discarded.retain(|range| is_left(range.made));
        promoted.retain(|(id, _)| is_left(id.made));
        let copy = |made: &Arc<MadeBatch>| {
            let copy = MadeBatch::new(made.seq, made.time, Arc::clone(&made.batch));
            if let Some(base) = made.base.get() {
                copy.set_base(base.clone());
            }
            copy
        };
        let results = self.results().cloned();
        Realities::from_parts(stay.into_iter().map(copy), &discarded, promoted, results)
    }
}

/// Adds realities, which come in order, to ranges.
pub fn extend_ranges(ranges: &mut Vec<RealityRange>, ids: impl IntoIterator<Item = RealityId>) {
    for RealityId { made, index } in ids {
        match ranges.last_mut() {
            Some(last) if last.made == made && last.first + last.count == index => last.count += 1,
            _ => ranges.push(RealityRange {
                made,
                first: index,
                count: 1,
            }),
        }
    }
}

impl Inner {
    fn add(&mut self, made: MadeBatch) {
        let seq = made.seq;
        self.there += u64::from(made.batch.names.len());
        match &made.batch.names {
            RealityNames::Counted { prefix, count } => {
                self.counted.insert((Arc::clone(prefix), seq), *count);
            }
            RealityNames::Listed(names) => {
                for (index, name) in (0..).zip(names.iter()) {
                    self.listed.insert((hash_of(name), seq, index), ());
                }
            }
        }
        self.batches.insert(seq, Arc::new(made));
    }

    fn discard(&mut self, ranges: &[RealityRange]) {
        for range in ranges {
            let here = self.batches.get(&range.made);
            // Of a batch that is not known here nobody knows how many there are.
            let count = here.map_or(u32::MAX, |made| made.batch.names.len());
            let end = range.first.saturating_add(range.count).min(count);
            let is_here = here.is_some();
            let mut gone = 0;
            self.change_fates(range.made, |fates| {
                let before = fates.discarded_count;
                (range.first..end).for_each(|index| fates.discard(index));
                gone = fates.discarded_count - before;
            });
            if is_here {
                self.there = self.there.saturating_sub(u64::from(gone));
            }
        }
    }

    fn change_fates(&mut self, made: Seq, change: impl FnOnce(&mut Fates)) {
        let mut fates = self.fates.get(&made).cloned().unwrap_or_default();
        change(Arc::make_mut(&mut fates));
        self.fates.insert(made, fates);
    }
}

impl PartialEq for Realities {
    fn eq(&self, other: &Realities) -> bool {
        self.batches(0).eq(other.batches(0))
            && self.fates() == other.fates()
            && self.results() == other.results()
    }
}

impl fmt::Debug for Realities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (discarded, promoted) = self.fates();
        f.debug_struct("Realities")
            .field("batches", &self.batches(0).collect::<Vec<_>>())
            .field("discarded", &discarded)
            .field("promoted", &promoted)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, CauseKind, NewObjects, Via};

    fn batch(names: RealityNames) -> Arc<RealityBatch> {
        Arc::new(RealityBatch {
            keys: [7; 12],
            names,
            parent: None,
            base: 0,
            head: RefName::branch("main"),
            tip: None,
            oid: None,
            in_memory: false,
            expires_at: None,
        })
    }

    fn counted(prefix: &str, count: u32) -> RealityNames {
        RealityNames::Counted {
            prefix: prefix.into(),
            count,
        }
    }

    fn entry(seq: Seq, edit: RealityEdit) -> Entry {
        Entry {
            repo: RepoKey([1; 16]),
            host: None,
            seq,
            step: 0,
            time: Time(0),
            cause: Cause {
                kind: CauseKind::RealityCreated,
                actor: "".into(),
                via: Via::Rest,
                request_id: "".into(),
                reason: None,
                idempotency: None,
            },
            edits: vec![EntryEdit::Reality(edit)],
            objects: NewObjects::default(),
        }
    }

    fn id(made: Seq, index: u32) -> RealityId {
        RealityId { made, index }
    }

    #[test]
    fn names_are_computed_and_found() {
        let mut all = Realities::default();
        all.apply(
            &entry(1, RealityEdit::Made(batch(counted("a", 100_000)))),
            None,
        );
        all.apply(&entry(2, RealityEdit::Made(batch(counted("b1", 20)))), None);
        let names = RealityNames::Listed(["x".into(), "b7".into()].into());
        all.apply(&entry(3, RealityEdit::Made(batch(names))), None);
        assert_eq!(all.there(), 100_022);
        assert_eq!(all.called("a1"), [id(1, 0)]);
        assert_eq!(all.called("a100000"), [id(1, 99_999)]);
        assert_eq!(all.called("b120"), [id(2, 19)]);
        assert_eq!(all.called("b7"), [id(3, 1)]);
        for nobody in [
            "a",
            "a0",
            "a01",
            "a100001",
            "b121",
            "b1",
            "",
            "7",
            "a99999999999",
        ] {
            assert_eq!(all.called(nobody), [], "{nobody}");
        }
        let first = all.batch(1).unwrap();
        let key = first.batch.key(99_999);
        assert_eq!(first.batch.index_of(key), Some(99_999));
        assert_eq!(first.batch.index_of(first.batch.key(100_000)), None);
    }

    #[test]
    fn what_was_discarded_is_gone_and_what_was_promoted_is_closed() {
        let mut all = Realities::default();
        all.apply(&entry(5, RealityEdit::Made(batch(counted("a", 130)))), None);
        let before = all.clone();
        let ranges = [RealityRange {
            made: 5,
            first: 60,
            count: 10,
        }];
        all.apply(&entry(6, RealityEdit::Discarded(ranges.into())), None);
        let commit = ObjectId::from_bytes_or_panic(&[1; 20]);
        let promoted = RealityEdit::Promoted {
            reality: id(5, 3),
            into: RefName::branch("main"),
            commit,
        };
        all.apply(&entry(7, promoted), None);
        assert_eq!(all.there(), 120);
        assert_eq!(all.fate(id(5, 59)), Fate::Open);
        assert_eq!(all.fate(id(5, 60)), Fate::Discarded);
        assert_eq!(all.fate(id(5, 69)), Fate::Discarded);
        assert_eq!(all.fate(id(5, 70)), Fate::Open);
        assert!(matches!(all.fate(id(5, 3)), Fate::Promoted(promotion) if promotion.seq == 7));
        assert_eq!(before.fate(id(5, 60)), Fate::Open);
        let (discarded, promoted) = all.fates();
        assert_eq!(discarded, ranges);
        let batches = all.batches(0);
        let batches = batches.map(|b| MadeBatch::new(b.seq, b.time, Arc::clone(&b.batch)));
        let same = Realities::from_parts(batches, &discarded, promoted, None);
        assert_eq!(same, all);
        assert_eq!(same.there(), 120);

        let rest = [RealityRange {
            made: 5,
            first: 0,
            count: 130,
        }];
        all.apply(&entry(8, RealityEdit::Discarded(rest.into())), None);
        assert_eq!(all.there(), 0);
        assert_eq!(all.without_what_is_gone().batches(0).count(), 0);
    }
}
