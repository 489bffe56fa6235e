//! Merging commits: finding what they come from, and merging that where it is more than one.

use govc_git::{ObjectId, oid};

use super::{Labels, MergeError, MergeOptions, TreeMerge, merge_at_depth};
use crate::pool::{CommitNumber, Pool, PoolError};
use crate::work::commit::tree_of;
use crate::{NewObject, ObjectBody};

/// Merges of merge bases are not nested deeper than this, nor are there more.
const DEPTH_MAX: u32 = 64;
const MERGES_MAX: usize = 1_000;

/// What is merged on the way to a merge: a commit, or what a merge of merge bases made.
#[derive(Clone)]
struct Side {
    tree: ObjectId,
    /// The commits that it comes from: itself, or what was merged.
    commits: Vec<CommitNumber>,
}

/// The objects of merges of merge bases, in the pool while they are needed. Nothing refers to them.
pub(in crate::work) struct Scratch<'p> {
    pool: &'p Pool,
    ids: Vec<ObjectId>,
    merges: usize,
}

impl<'p> Scratch<'p> {
    pub(in crate::work) fn new(pool: &'p Pool) -> Scratch<'p> {
        Scratch {
            pool,
            ids: Vec::new(),
            merges: 0,
        }
    }

    /// Keeps these objects, none of which is a commit.
    pub(in crate::work) fn keep(&mut self, objects: &[NewObject]) -> Result<(), PoolError> {
        self.pool.insert(objects)?;
        let here = objects
            .iter()
            .filter(|object| object.body != ObjectBody::Elsewhere);
        self.ids.extend(here.map(|object| object.id));
        Ok(())
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        self.pool.forget(&self.ids);
    }
}

/// The best common ancestors of two commits, as `git merge-base --all` lists them.
///
/// # Errors
/// When one is not in the graph.
pub fn merge_bases(pool: &Pool, a: &oid, b: &oid) -> Result<Vec<ObjectId>, PoolError> {
    let graph = pool.graph();
    let number = |id: &oid| number_of(pool, id);
    let bases = graph.merge_bases(number(a)?, number(b)?);
    Ok(bases.into_iter().map(|base| graph.id(base)).collect())
}

fn number_of(pool: &Pool, id: &oid) -> Result<CommitNumber, PoolError> {
    let number = pool.graph().number(id);
    number.ok_or(PoolError::Missing { id: id.to_owned() })
}

/// Merges the commit `theirs` into the commit `ours`. What both come from is found; where that is
/// more than one commit, these are merged first, and where there is none it is the empty tree.
///
/// `labels.ancestor` is not looked at: it is made as git makes it.
///
/// # Errors
/// [`MergeError`].
pub fn merge_commits(
    pool: &Pool,
    ours: &oid,
    theirs: &oid,
    labels: &Labels<'_>,
    options: &MergeOptions,
) -> Result<TreeMerge, MergeError> {
    let side = |id: &oid| -> Result<Side, PoolError> {
        Ok(Side {
            tree: tree_of(pool, id.to_owned())?,
            commits: vec![number_of(pool, id)?],
        })
    };
    let mut scratch = Scratch::new(pool);
    let (ours, theirs) = (side(ours)?, side(theirs)?);
    merge_sides(&mut scratch, &ours, &theirs, labels, options, 0)
}

fn merge_sides(
    scratch: &mut Scratch<'_>,
    ours: &Side,
    theirs: &Side,
    labels: &Labels<'_>,
    options: &MergeOptions,
    depth: u32,
) -> Result<TreeMerge, MergeError> {
    let pool = scratch.pool;
    let graph = pool.graph();
    // The oldest first.
    let mut bases = graph
        .merge_bases_of(&ours.commits, &theirs.commits)
        .into_iter()
        .rev()
        .map(|base| Side {
            tree: graph.tree(base),
            commits: vec![base],
        });
    let mut base = match bases.next() {
        Some(base) => base,
        None => Side {
            tree: ObjectId::empty_tree(pool.format()),
            commits: Vec::new(),
        },
    };
    let mut ancestor = match &base.commits[..] {
        [commit] => graph.id(*commit).to_hex_with_len(7).to_string(),
        _ => "empty tree".to_owned(),
    };
    for next in bases {
        ancestor = "merged common ancestors".to_owned();
        scratch.merges += 1;
        if depth >= DEPTH_MAX || scratch.merges > MERGES_MAX {
            let what = "merge bases of merge bases";
            return Err(MergeError::TooDeep { what });
        }
        let labels = Labels {
            ancestor: b"",
            ours: b"Temporary merge branch 1",
            theirs: b"Temporary merge branch 2",
        };
        let merged = merge_sides(scratch, &base, &next, &labels, options, depth + 1)?;
        scratch.keep(&merged.objects)?;
        let mut commits = base.commits;
        commits.extend(next.commits);
        base = Side {
            tree: merged.tree,
            commits,
        };
    }
    let labels = Labels {
        ancestor: ancestor.as_bytes(),
        ..*labels
    };
    let trees = [&*base.tree, &*ours.tree, &*theirs.tree];
    merge_at_depth(pool, trees, &labels, options, depth)
}
