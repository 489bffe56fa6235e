//! What a fetch needs: everything reachable from some objects and not from others.

use govc_git::{ObjectId, oid};

use super::{CommitNumber, Pool, PoolError};

/// Objects to be sent, in the order in which they are sent: commits, tags, trees, blobs.
#[derive(Debug, Clone)]
pub struct ObjectSet {}

impl ObjectSet {
    /// How many.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `id` is among them.
    pub fn contains(&self, id: &oid) -> bool {
        let _ = id;
        unimplemented!()
    }

    /// Their ids.
    pub fn ids(&self) -> Box<dyn Iterator<Item = ObjectId> + '_> {
        unimplemented!()
    }
}

impl Pool {
    /// Everything reachable from `wants` and not from `haves`. Both may be commits, tags, trees
    /// and blobs; haves that are not here are passed over. The caller has checked that the wants
    /// may be seen.
    ///
    /// Now and then something is in the set that the haves reach too: a content that came back.
    ///
    /// # Errors
    /// [`PoolError::Missing`] for a want, or something that a want reaches, that is not here;
    /// others as [`Pool::find`].
    pub fn closure(&self, wants: &[ObjectId], haves: &[ObjectId]) -> Result<ObjectSet, PoolError> {
        let _ = (wants, haves);
        unimplemented!()
    }

    /// Adds the annotated tags among `tags` whose target the set has (`include-tag`).
    ///
    /// # Errors
    /// As [`Pool::find`].
    pub fn include_tags(&self, set: &mut ObjectSet, tags: &[ObjectId]) -> Result<(), PoolError> {
        let _ = (set, tags);
        unimplemented!()
    }

    /// The objects of exactly these commits, for histories that are cut: the whole trees of those
    /// in `boundary` (their parents are cut), the introduced objects of the others.
    ///
    /// `client_has` are commits whose whole trees the client has; what they hold at the same
    /// path is left out.
    ///
    /// # Errors
    /// As [`Pool::closure`].
    pub fn closure_shallow(
        &self,
        commits: &[CommitNumber],
        boundary: &[CommitNumber],
        client_has: &[CommitNumber],
    ) -> Result<ObjectSet, PoolError> {
        let _ = (commits, boundary, client_has);
        unimplemented!()
    }
}
