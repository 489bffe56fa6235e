//! A repository: one versioned map of refs over a pool of objects, and the door that changes it.

pub mod edit;
pub mod history;
pub mod key;
pub mod record;
pub mod refs;
pub mod snapshot;
