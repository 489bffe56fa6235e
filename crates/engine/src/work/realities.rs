//! What is proposed about realities: making, discarding and promoting them.

use std::collections::HashSet;
use std::sync::Arc;

use govc_git::{ObjectId, ObjectKind};

use crate::pool::{Pool, PoolError};
use crate::repository::realities::extend_ranges;
use crate::{
    Cause, Change, Edit, Fate, NewObject, NewObjects, ObjectBody, Pending, Proposal, Realities,
    RealityBatch, RealityEdit, RealityId, RealityNames, RealityRange, Refs, Refusal, Seq,
};

/// Why nothing was done about realities.
#[derive(Debug, thiserror::Error)]
pub enum RealityError {
    /// One of that name is there.
    #[error("the reality {name:?} exists already")]
    Exists {
        /// The name.
        name: String,
    },
    /// There would be more than is allowed.
    #[error("there would be more than {limit} realities")]
    TooMany {
        /// How many are allowed.
        limit: u64,
    },
    /// It was promoted.
    #[error("the reality was promoted, and is closed")]
    Closed,
    /// It was discarded.
    #[error("the reality was discarded")]
    Discarded,
}

/// A batch to be made.
pub struct MakeRealities {
    /// What is made. Where [`MakeRealities::of_now`] is set, its base and its commit are said in
    /// turn.
    pub batch: RealityBatch,
    /// They begin with the refs that there are when their turn comes.
    pub of_now: bool,
    /// So many may be there.
    pub limit: u64,
    /// Who asked.
    pub cause: Cause,
}

impl Proposal for MakeRealities {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let there = &now.snapshot.realities;
        let new = u64::from(self.batch.names.len());
        if there.there() + new > self.limit {
            return Err(RealityError::TooMany { limit: self.limit }.into());
        }
        check_names(there, &self.batch.names)?;
        if let Some(parent) = self.batch.parent
            && there.fate(parent) == Fate::Discarded
        {
            return Err(RealityError::Discarded.into());
        }
        if self.of_now {
            self.batch.base = now.snapshot.seq;
            self.batch.oid = self
                .batch
                .tip
                .or_else(|| now.snapshot.refs.resolve(self.batch.head.as_bytes()));
        }
        let made = RealityEdit::Made(Arc::new(self.batch.clone()));
        Ok(Some(change(vec![Edit::Reality(made)], self.cause.clone())))
    }
}

/// None of `names` is taken.
fn check_names(there: &Realities, names: &RealityNames) -> Result<(), RealityError> {
    if there.is_empty() {
        return Ok(());
    }
    for index in 0..names.len() {
        let Some(name) = names.get(index) else {
            continue;
        };
        let is_there = |id: &RealityId| there.fate(*id) != Fate::Discarded;
        if there.called(&name).iter().any(is_there) {
            return Err(RealityError::Exists {
                name: name.into_owned(),
            });
        }
    }
    Ok(())
}

/// Realities to be discarded, with all that were made from them.
pub struct DiscardRealities {
    /// Which.
    pub ids: Vec<RealityId>,
    /// Who asked.
    pub cause: Cause,
}

impl Proposal for DiscardRealities {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let ranges = with_descendants(&now.snapshot.realities, &self.ids);
        if ranges.is_empty() {
            return Err(RealityError::Discarded.into());
        }
        let gone = RealityEdit::Discarded(ranges.into());
        Ok(Some(change(vec![Edit::Reality(gone)], self.cause.clone())))
    }
}

/// Those of `ids` that are not discarded, and all that were made from them.
pub fn with_descendants(there: &Realities, ids: &[RealityId]) -> Vec<RealityRange> {
    let is_there = |id: &RealityId| there.fate(*id) != Fate::Discarded;
    let mut gone: HashSet<RealityId> = ids.iter().copied().collect();
    let first = ids.iter().map(|id| id.made).min().unwrap_or(Seq::MAX);
    // Children come after their parents.
    for made in there.batches(first) {
        if made
            .batch
            .parent
            .is_some_and(|parent| gone.contains(&parent))
        {
            gone.extend((0..made.batch.names.len()).map(|index| RealityId {
                made: made.seq,
                index,
            }));
        }
    }
    let mut gone: Vec<RealityId> = gone.into_iter().filter(is_there).collect();
    gone.sort_unstable();
    let mut ranges = Vec::new();
    extend_ranges(&mut ranges, gone);
    ranges
}

/// A promotion: what moves the parent's branch, with the record of it.
pub struct PromoteReality<P> {
    /// What moves the branch: as a merge would.
    pub inner: P,
    /// The reality.
    pub reality: RealityId,
    /// The branch.
    pub into: crate::RefName,
    /// The others, which are discarded with it.
    pub siblings: Option<Siblings>,
    /// Whether the proposal goes to the repository that the realities were made in.
    pub in_host: bool,
    /// Who asked.
    pub cause: Cause,
}

/// The others of one parent.
#[derive(Debug, Clone, Copy)]
pub struct Siblings {
    /// The parent that they have; `None`: the repository itself.
    pub parent: Option<RealityId>,
}

impl<P: Proposal> Proposal for PromoteReality<P> {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let there = &now.snapshot.realities;
        match there.fate(self.reality) {
            Fate::Open if self.in_host && there.batch(self.reality.made).is_none() => {
                return Err(RealityError::Discarded.into());
            }
            Fate::Open => {}
            Fate::Promoted(_) => return Err(RealityError::Closed.into()),
            Fate::Discarded => return Err(RealityError::Discarded.into()),
        }
        // What was contained already is promoted all the same.
        let mut change = match self.inner.decide(now)? {
            Some(change) => change,
            None => change(Vec::new(), self.cause.clone()),
        };
        let moved = change.edits.iter().find_map(|edit| match edit {
            Edit::Ref(edit) if edit.name == self.into => match &edit.target {
                crate::Target::At(id) => Some(*id),
                _ => None,
            },
            _ => None,
        });
        let commit = moved.or_else(|| now.snapshot.refs.resolve(self.into.as_bytes()));
        let Some(commit) = commit else {
            return Err(RealityError::Discarded.into());
        };
        change.edits.push(Edit::Reality(RealityEdit::Promoted {
            reality: self.reality,
            into: self.into.clone(),
            commit,
        }));
        if let Some(Siblings { parent }) = self.siblings
            && self.in_host
        {
            let ids = siblings(there, parent, self.reality);
            let ranges = with_descendants(there, &ids);
            if !ranges.is_empty() {
                let gone = RealityEdit::Discarded(ranges.into());
                change.edits.push(Edit::Reality(gone));
            }
        }
        change.cause = self.cause.clone();
        Ok(Some(change))
    }
}

/// The open realities that have the parent `parent`, without `but`.
pub fn siblings(there: &Realities, parent: Option<RealityId>, but: RealityId) -> Vec<RealityId> {
    let of_parent = there.batches(0).filter(|made| made.batch.parent == parent);
    let all = of_parent.flat_map(|made| {
        (0..made.batch.names.len()).map(|index| RealityId {
            made: made.seq,
            index,
        })
    });
    all.filter(|id| *id != but && there.fate(*id) == Fate::Open)
        .collect()
}

/// All objects that `tip` reaches and none of `refs` does, whole: what a repository needs of
/// another that keeps nothing.
///
/// # Errors
/// When one cannot be read.
pub fn brought(pool: &Pool, tip: ObjectId, refs: &Refs) -> Result<NewObjects, PoolError> {
    let mut haves = Vec::new();
    for id in refs.objects() {
        let peeled = pool.peel(&id)?;
        haves.extend(peeled.map(|peeled| peeled.target));
    }
    let haves: Vec<ObjectId> = haves
        .into_iter()
        .filter(|id| pool.graph().number(id).is_some())
        .collect();
    let set = pool.closure(&[tip], &haves)?;
    let mut objects = NewObjects::default();
    for id in set.ids() {
        let object = pool.get(&id)?;
        objects.inline.push(NewObject {
            id,
            kind: object.kind,
            body: ObjectBody::Whole(object.data),
        });
    }
    // Trees and blobs before the commits that introduce them; the oldest commit first.
    let rank = |object: &NewObject| match object.kind {
        ObjectKind::Blob => (0, 0),
        ObjectKind::Tree => (1, 0),
        ObjectKind::Commit => (2, pool.graph().number(&object.id).map_or(0, |n| n.0)),
        ObjectKind::Tag => (3, 0),
    };
    objects.inline.sort_by_key(rank);
    Ok(objects)
}

fn change(edits: Vec<Edit>, cause: Cause) -> Change {
    Change {
        objects: NewObjects::default(),
        edits,
        cause,
    }
}
