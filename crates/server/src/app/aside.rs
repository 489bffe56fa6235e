//! Objects that are too large for an entry.

use std::sync::Arc;

use govc_engine::{NewObject, NewObjects, ObjectBody, Quarantined, Repository};
use govc_git::ObjectId;
use hashbrown::HashSet;

use super::error::AppError;

/// What was put into a pack because it is too large for an entry.
#[derive(Default)]
pub(super) struct Aside {
    pack: Option<Quarantined>,
    ids: HashSet<ObjectId>,
}

impl Aside {
    /// Puts what is too large of `objects` into a pack.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn put(
        &mut self,
        repository: &Arc<Repository>,
        objects: &mut Vec<NewObject>,
    ) -> Result<(), AppError> {
        let mut all = NewObjects {
            inline: std::mem::take(objects),
            packs: Vec::new(),
        };
        let whole = all.inline.iter().filter(|object| is_whole(object));
        let whole: HashSet<ObjectId> = whole.map(|object| object.id).collect();
        let pack = repository.put_aside(&mut all);
        *objects = all.inline;
        self.pack = pack.map_err(AppError::internal)?;
        if self.pack.is_some() {
            self.ids = whole;
        }
        Ok(())
    }

    /// `objects` as a change brings them. They may have been made anew since some were put aside.
    pub(super) fn with(&self, objects: &[NewObject]) -> NewObjects {
        let mut inline = objects.to_vec();
        for object in &mut inline {
            if is_whole(object) && self.ids.contains(&object.id) {
                object.body = ObjectBody::Elsewhere;
            }
        }
        NewObjects {
            inline,
            packs: self.pack.iter().map(Quarantined::pack).collect(),
        }
    }
}

fn is_whole(object: &NewObject) -> bool {
    matches!(object.body, ObjectBody::Whole(_))
}
