//! A push whose objects travel in the entry.

use std::collections::HashMap;

use govc_git::pack::ParsedObject;
use govc_git::{Object, ObjectId, ObjectKind, oid};

use super::connectivity::Arrived;
use crate::pool::{Pool, PoolError};
use crate::{NewObject, ObjectBody};

/// The objects of a small push, in memory.
#[derive(Default)]
pub(super) struct Small {
    objects: Vec<ParsedObject>,
    places: HashMap<ObjectId, usize>,
}

/// A tree that came as a delta is kept as one if its chain is not longer than this.
const TREE_DEPTH_MAX: u32 = 32;
/// The same for a blob, which is read whole more often than it is looked into.
const BLOB_DEPTH_MAX: u32 = 8;
/// A blob that is larger is kept whole: it would be made anew for each reader.
const BLOB_BYTES_MAX: usize = 1 << 20;

impl Small {
    pub(super) fn new(objects: Vec<ParsedObject>) -> Small {
        let places = objects.iter().enumerate();
        let places = places.map(|(at, object)| (object.id, at)).collect();
        Small { objects, places }
    }

    fn get(&self, id: &oid) -> Option<&ParsedObject> {
        self.objects.get(*self.places.get(id)?)
    }

    /// What its deltas start from that did not come with it, each once.
    pub(super) fn outside_bases(&self) -> Vec<ObjectId> {
        let bases = self
            .objects
            .iter()
            .filter_map(|object| object.delta.as_ref());
        let mut outside: Vec<ObjectId> = bases
            .map(|(base, _)| *base)
            .filter(|base| !self.places.contains_key(base))
            .collect();
        outside.sort_unstable();
        outside.dedup();
        outside
    }

    /// The objects as the entry takes them. What came as a small delta stays one: a commit in a
    /// folder of ten thousand files then costs tens of bytes, not hundreds of kilobytes, and
    /// whoever fetches a small edit of a large file gets what was pushed.
    pub(super) fn into_new_objects(self, pool: &Pool) -> Vec<NewObject> {
        let places = self.places;
        let mut depths = vec![0; self.objects.len()];
        let mut new = Vec::with_capacity(self.objects.len());
        for (at, object) in self.objects.into_iter().enumerate() {
            let mut body = ObjectBody::Whole(object.data);
            if let (Some((base, delta)), ObjectBody::Whole(data)) = (object.delta, &body) {
                let depth_max = match object.kind {
                    ObjectKind::Tree => TREE_DEPTH_MAX,
                    ObjectKind::Blob if data.len() <= BLOB_BYTES_MAX => BLOB_DEPTH_MAX,
                    _ => 0,
                };
                let depth = match places.get(&base) {
                    Some(before) if *before < at => Some(depths[*before]),
                    Some(_) => None,
                    None => Some(pool.delta_depth(&base)),
                };
                if let Some(depth) = depth
                    && depth < depth_max
                    && delta.len() * 4 < data.len()
                {
                    depths[at] = depth + 1;
                    body = ObjectBody::Delta { base, delta };
                }
            }
            let (id, kind) = (object.id, object.kind);
            new.push(NewObject { id, kind, body });
        }
        new
    }
}

impl Arrived for Small {
    fn kind(&self, id: &oid) -> Option<ObjectKind> {
        self.get(id).map(|object| object.kind)
    }

    fn find(&self, id: &oid) -> Result<Option<Object>, PoolError> {
        Ok(self.get(id).map(|object| Object {
            kind: object.kind,
            data: object.data.clone(),
        }))
    }
}
