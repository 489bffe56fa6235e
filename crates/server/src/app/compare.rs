//! How one commit stands to another.

use govc_api::diff::Comparison;
use govc_git::ObjectId;

use super::commits;
use super::diff::{Compared, DiffQuery};
use super::error::AppError;
use super::state::State;

/// Two commits that are compared, and what they have in common.
pub struct Standing {
    /// The files that the head changed since the two parted.
    pub compared: Compared,
    /// The commit that is compared with.
    pub base: ObjectId,
    /// The commit that is compared.
    pub head: ObjectId,
    merge_base: ObjectId,
    ahead: u64,
    behind: u64,
    commits: Vec<ObjectId>,
}

impl State {
    /// How `head` stands to `base`, with at most `limit` of its commits.
    ///
    /// # Errors
    /// As [`State::diff`].
    pub fn compare(
        self,
        base: &str,
        head: &str,
        query: &DiffQuery,
        limit: usize,
    ) -> Result<Standing, AppError> {
        let base = super::state::commit(&self.view, base)?;
        let head = super::state::commit(&self.view, head)?;
        let merge_base = self.merge_base(base, head)?;
        let graph = self.view.pool.graph();
        let (mut ahead, mut behind, mut commits) = (0, 0, Vec::new());
        if let (Some(base), Some(head)) = (graph.number(&base), graph.number(&head)) {
            ahead = graph.count_new(&[head], &[base]) as u64;
            behind = graph.count_new(&[base], &[head]) as u64;
            let walk = govc_engine::pool::DateWalk::new(graph, &[head], &[base]);
            commits = walk.take(limit).map(|commit| graph.id(commit)).collect();
        }
        Ok(Standing {
            compared: self.compare_trees(Some(merge_base), Some(head), query)?,
            base,
            head,
            merge_base,
            ahead,
            behind,
            commits,
        })
    }
}

impl Standing {
    /// All of it, as [`Compared::body`].
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn body(&self, bytes_max: usize) -> Result<Comparison, AppError> {
        let pool = &self.compared.state.view.pool;
        let commits = self.commits.iter().map(|id| commits::read(pool, *id));
        Ok(Comparison {
            base: self.base.to_string(),
            head: self.head.to_string(),
            merge_base: self.merge_base.to_string(),
            ahead: self.ahead,
            behind: self.behind,
            commits: commits.collect::<Result<_, _>>()?,
            diff: self.compared.body(bytes_max)?,
        })
    }
}
