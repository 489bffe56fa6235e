//! Stashes: changes that were put away.

use govc_engine::RefName;
use govc_git::ObjectId;

/// The hidden ref that holds a stash.
pub fn stash_ref(id: &ObjectId) -> RefName {
    RefName::new(format!("refs/govc/stash/{id}"))
}
