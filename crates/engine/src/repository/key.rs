//! What names a repository for ever, and what numbers its changes.

use std::fmt;

/// Names a repository internally: 128 random bits, never reused, whatever its id becomes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoKey(pub [u8; 16]);

/// The number of a change in its repository. The first change, its making, is number 0.
pub type Seq = u64;

/// A change's number, and the count of staging steps since: where an entry is in its repository.
pub type Place = (Seq, u32);

impl fmt::Display for RepoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RepoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoKey({self})")
    }
}
