//! Which commits `git log` shows, and in which order.

use govc_git::ObjectId;

use super::view::View;
use crate::pool::{CommitNumber, PoolError};

/// Which commits to list. The default is all that the tips reach.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Where to start: commits, in the order in which `git log` would be given them.
    pub tips: Vec<ObjectId>,
    /// Only commits that changed this file or folder, with history simplified as `git log` does
    /// by default.
    pub path: Option<Vec<u8>>,
    /// Not older than this, by committer date in seconds since 1970. As in git, what lies behind
    /// an older commit is not looked at.
    pub since: Option<i64>,
    /// Not newer than this.
    pub until: Option<i64>,
    /// Only commits whose author, as `Name <email>`, contains this in any case.
    pub author: Option<String>,
    /// Follow only the first parent of merges.
    pub first_parent: bool,
}

impl LogQuery {
    /// The tips of `git log --all`: what all refs lead to, in their order, then HEAD.
    pub fn all_tips(view: &View) -> Vec<ObjectId> {
        let _ = view;
        unimplemented!()
    }
}

/// Commits in the order of `git log`: newest committer date first; of equals the one that was met
/// first. The order depends on nothing but the query.
pub struct Log<'v> {
    view: &'v View,
}

impl<'v> Log<'v> {
    /// The commits that `query` selects. Tips that the pool lacks are left out.
    pub fn new(view: &'v View, query: LogQuery) -> Log<'v> {
        let _ = query;
        Log { view }
    }

    /// Goes behind the first `count` commits of the list, without reading more of them than is
    /// needed to know which they are.
    ///
    /// # Errors
    /// What is stored cannot be read.
    pub fn skip_commits(&mut self, count: u64) -> Result<(), PoolError> {
        let _ = count;
        unimplemented!()
    }
}

impl Iterator for Log<'_> {
    type Item = Result<CommitNumber, PoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = self.view;
        unimplemented!()
    }
}
