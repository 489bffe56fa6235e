//! Objects, packs, the commit graph, and who may see what of them.
//!
//! A [`Pool`] serves one fork family: repositories are ref maps over it. It only grows. That the
//! pool has an object never means that somebody may see it: [`Visibility`] answers that, for one
//! state of one repository.

mod closure;
mod error;
mod graph;
mod introduced;
mod stream;
mod visibility;

use std::sync::Arc;

use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

pub use closure::ObjectSet;
pub use error::PoolError;
pub use graph::{CommitFacts, CommitNumber, DateWalk, Graph};
pub use stream::{PackOptions, PackStream};
pub use visibility::Visibility;

use crate::NewObject;
use crate::journal::{PackBytes, PackId};
use crate::work::tree_editor::TipTrees;

/// What a pool may spend.
#[derive(Debug, Clone)]
pub struct PoolLimits {
    /// Bytes of re-made and inflated objects that are kept because they were read lately.
    pub read_cache_bytes: usize,
    /// Bytes of delta bases that are kept while packs are read.
    pub delta_base_cache_bytes: usize,
    /// The largest object that is inflated, in bytes.
    pub object_bytes_max: u64,
}

impl Default for PoolLimits {
    fn default() -> PoolLimits {
        PoolLimits {
            read_cache_bytes: 16 << 20,
            delta_base_cache_bytes: 16 << 20,
            object_bytes_max: 2 << 30,
        }
    }
}

/// Where the commits of a new pack are learnt from.
#[derive(Debug, Clone)]
pub enum GraphSource {
    /// Whoever indexed the pack saw them. In any order.
    Commits(Vec<(ObjectId, CommitFacts)>),
    /// A commit-graph file (gitformat-commit-graph(5)); commits of the pack that it lacks are
    /// read from the pack.
    CommitGraph(bytes::Bytes),
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
    tip_trees: TipTrees,
}

impl Pool {
    /// An empty pool.
    pub fn new(format: ObjectFormat, limits: PoolLimits) -> Arc<Pool> {
        let _ = limits;
        Arc::new(Pool {
            format,
            tip_trees: TipTrees::default(),
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

    /// The object `id`, whole; `None` where there is none.
    ///
    /// # Errors
    /// [`PoolError::Damaged`] and [`PoolError::BaseMissing`], when what there is cannot be read.
    pub fn find(&self, id: &oid) -> Result<Option<Object>, PoolError> {
        let _ = id;
        unimplemented!()
    }

    /// The object `id`, which something that exists refers to.
    ///
    /// # Errors
    /// As [`Pool::find`], and [`PoolError::Missing`].
    pub fn get(&self, id: &oid) -> Result<Object, PoolError> {
        self.find(id)?
            .ok_or(PoolError::Missing { id: id.to_owned() })
    }

    /// What `id` is and its size in bytes, mostly without inflating it.
    ///
    /// # Errors
    /// As [`Pool::find`].
    pub fn header(&self, id: &oid) -> Result<Option<(ObjectKind, u64)>, PoolError> {
        let _ = id;
        unimplemented!()
    }

    /// Whether there is an object `id`. Not whether anybody may see it.
    pub fn contains(&self, id: &oid) -> bool {
        let _ = id;
        unimplemented!()
    }

    /// Up to `max` ids that begin with `hex_prefix` (4 digits or more, any case), sorted, for
    /// abbreviations. Not whether anybody may see them.
    pub fn candidates(&self, hex_prefix: &str, max: usize) -> Vec<ObjectId> {
        let _ = (hex_prefix, max);
        unimplemented!()
    }

    /// Takes the new objects of a change in. A delta's base comes before it or is here already.
    /// The ids are believed: whoever calls this computed them.
    ///
    /// Objects that are here already are no error, and are kept once.
    ///
    /// # Errors
    /// [`PoolError::BaseMissing`] for a delta on nothing, [`PoolError::Damaged`] for a commit
    /// that cannot be parsed; objects before it were taken in.
    pub fn insert(&self, objects: &[NewObject]) -> Result<(), PoolError> {
        let _ = objects;
        unimplemented!()
    }

    /// Keeps `object` among the recently read ones: whoever made a tree as a delta will soon want
    /// it whole.
    pub fn remember(&self, id: ObjectId, object: &Object) {
        let _ = (id, object);
    }

    /// How many deltas must be applied to read the hot object `id`: 0 for one that is whole, in a
    /// pack or not there.
    pub fn delta_depth(&self, id: &oid) -> u32 {
        let _ = id;
        unimplemented!()
    }

    /// Drops hot objects: a change was refused after [`Pool::insert`].
    pub fn forget(&self, ids: &[ObjectId]) {
        let _ = ids;
        unimplemented!()
    }

    /// Takes a pack in. It is safe to add a pack before its push was accepted: nothing in it is
    /// visible before a ref reaches it. A refused one leaves by [`Pool::remove_pack`].
    ///
    /// # Errors
    /// [`PoolError::PackUnreadable`]; nothing was taken in then.
    pub fn add_pack(
        &self,
        id: PackId,
        bytes: PackBytes,
        graph: GraphSource,
    ) -> Result<(), PoolError> {
        let _ = (id, bytes, graph);
        unimplemented!()
    }

    /// Drops a pack whose objects nobody needs, or that other packs hold by now. Readers that
    /// have begun keep it until they are done.
    pub fn remove_pack(&self, id: PackId) {
        let _ = id;
        unimplemented!()
    }

    /// The packs, oldest first.
    pub fn packs(&self) -> Vec<PackId> {
        unimplemented!()
    }

    /// These hot objects are in a pack by now, which was added: they leave the hot map.
    pub fn packed(&self, ids: &[ObjectId]) {
        let _ = ids;
        unimplemented!()
    }

    /// A hot object as it is kept, a delta or whole; `None` when it is not hot.
    pub fn hot_body(&self, id: &oid) -> Option<NewObject> {
        let _ = id;
        unimplemented!()
    }

    /// What it holds.
    pub fn stats(&self) -> PoolStats {
        unimplemented!()
    }

    /// The commit graph. Commits that are added later are seen through the same handle.
    pub fn graph(&self) -> &Graph {
        unimplemented!()
    }
}
