//! Following annotated tags.

use std::sync::PoisonError;

use govc_git::object::tag::TagRef;
use govc_git::{ObjectId, ObjectKind, oid};

use super::{Pool, PoolError, hot_damaged};

/// Nobody nests tags deeper than this.
const TAG_DEPTH_MAX: usize = 64;

/// Where a tag leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeled {
    /// The tags on the way, the first one first; empty when it was no tag.
    pub tags: Vec<ObjectId>,
    /// What the last one names.
    pub target: ObjectId,
    /// What that is.
    pub kind: ObjectKind,
}

impl Pool {
    /// What the tag `tag` names, itself. Remembered.
    ///
    /// # Errors
    /// As [`Pool::get`]; [`PoolError::Damaged`] for a malformed tag.
    fn tag_target(&self, tag: &oid) -> Result<ObjectId, PoolError> {
        let known = {
            let targets = self
                .tag_targets
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            targets.get(tag).copied()
        };
        if let Some(target) = known {
            return Ok(target);
        }
        let data = self.get_kind(tag, ObjectKind::Tag)?;
        let parsed = TagRef::parse(&data, self.format);
        let target = parsed.map_err(|error| hot_damaged(tag, &error))?.target;
        let mut targets = self
            .tag_targets
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        targets.insert(tag.to_owned(), target);
        Ok(target)
    }

    /// Follows `id` through tags to what is none. `None` when `id`, or what a tag names, is not
    /// here.
    ///
    /// # Errors
    /// [`PoolError::TooDeep`]; others as [`Pool::find`].
    pub fn peel(&self, id: &oid) -> Result<Option<Peeled>, PoolError> {
        let mut peeled = Peeled {
            tags: Vec::new(),
            target: id.to_owned(),
            kind: ObjectKind::Commit,
        };
        loop {
            if self.graph.number(&peeled.target).is_some() && self.contains(&peeled.target) {
                return Ok(Some(peeled));
            }
            let Some((kind, _)) = self.header(&peeled.target)? else {
                return Ok(None);
            };
            if kind != ObjectKind::Tag {
                peeled.kind = kind;
                return Ok(Some(peeled));
            }
            if peeled.tags.len() >= TAG_DEPTH_MAX {
                return Err(PoolError::TooDeep {
                    id: id.to_owned(),
                    max: TAG_DEPTH_MAX,
                });
            }
            peeled.tags.push(peeled.target);
            peeled.target = self.tag_target(&peeled.target)?;
        }
    }
}
