//! Filters of partial clones, from what a client asks for to what the pool applies.

use std::sync::Arc;

use govc_git::ignore::{PatternList, TooManyPatterns};
use govc_git::wire::filter::FilterSpec;
use govc_git::{ObjectId, ObjectKind};

use super::View;
use super::revision::{self, RevisionError};
use crate::pool::{ObjectFilter, PoolError};

/// Why a filter cannot be applied, in git's words where it has some.
#[derive(Debug, thiserror::Error)]
pub enum FilterProblem {
    /// A pattern file has a name that nothing here has.
    #[error("unable to access sparse blob in '{}'", .0.escape_ascii())]
    NoPatterns(Vec<u8>),
    /// What is to be a pattern file is no file.
    #[error("unable to parse sparse filter data in {0}")]
    NotPatterns(ObjectId),
    /// A pattern file is too long.
    #[error("the sparse filter has {0}")]
    TooManyPatterns(#[from] TooManyPatterns),
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// The filter that `spec` asks for. Names of pattern files are looked up in `view`, which must see
/// what they name.
///
/// # Errors
/// [`FilterProblem`].
pub fn resolve(view: &View, spec: &FilterSpec) -> Result<ObjectFilter, FilterProblem> {
    let mut filter = ObjectFilter::default();
    let mut open = vec![spec];
    while let Some(spec) = open.pop() {
        match spec {
            FilterSpec::BlobNone => filter.without_blobs(),
            FilterSpec::BlobLimit(bytes) => filter.blobs_below(*bytes),
            FilterSpec::TreeDepth(depth) => filter.trees_above(*depth),
            FilterSpec::ObjectType(kind) => filter.only(*kind),
            FilterSpec::SparseOid(name) => filter.blobs_at(Arc::new(patterns(view, name)?)),
            FilterSpec::Combine(parts) => open.extend(parts),
        }
    }
    Ok(filter)
}

fn patterns(view: &View, name: &[u8]) -> Result<PatternList, FilterProblem> {
    let id = match revision::resolve(view, name) {
        Ok(id) => id,
        Err(RevisionError::Pool(error)) => return Err(error.into()),
        Err(_) => return Err(FilterProblem::NoPatterns(name.to_vec())),
    };
    match view.pool.find(&id)? {
        Some(object) if object.kind == ObjectKind::Blob => Ok(PatternList::parse(&object.data)?),
        _ => Err(FilterProblem::NotPatterns(id)),
    }
}
