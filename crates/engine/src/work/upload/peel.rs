//! What is under tags.

use govc_git::object::tag::TagRef;
use govc_git::{ObjectId, ObjectKind, oid};

use crate::pool::{Pool, PoolError};

/// Tags that point at tags that point at tags: more than this nobody follows.
const TAG_DEPTH_MAX: usize = 64;

/// The object under a tag, or tags; `None` where `id` is no tag.
///
/// # Errors
/// As [`Pool::find`].
pub fn peel(pool: &Pool, id: &oid) -> Result<Option<ObjectId>, PoolError> {
    if pool.graph().number(id).is_some() {
        return Ok(None);
    }
    let mut at = id.to_owned();
    for depth in 0..TAG_DEPTH_MAX {
        match pool.header(&at)? {
            Some((ObjectKind::Tag, _)) => {}
            Some(_) if depth > 0 => return Ok(Some(at)),
            _ => return Ok(None),
        }
        let Some(object) = pool.find(&at)? else {
            return Ok(None);
        };
        match TagRef::parse(&object.data, pool.format()) {
            Ok(tag) => at = tag.target,
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}
