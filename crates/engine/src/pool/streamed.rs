//! Large objects, read piece by piece.

use govc_git::oid;
use govc_git::pack::ObjectStream;

use super::{Pool, PoolError};

impl Pool {
    /// The content of the object `id` in pieces, where it lies whole in a pack; `None` where it is
    /// a delta, or in no pack: then [`Pool::find`] has it.
    ///
    /// # Errors
    /// [`PoolError::Damaged`].
    pub fn streamed(&self, id: &oid) -> Result<Option<ObjectStream>, PoolError> {
        if self.hot.contains(id) {
            return Ok(None);
        }
        let packs = self.packs.load();
        let mut failed = None;
        for pack in packs.iter().rev() {
            let Some(position) = pack.position(id) else {
                continue;
            };
            match pack.pack.stream_at(position) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => failed = Some(pack.damaged(id, &error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }
}
