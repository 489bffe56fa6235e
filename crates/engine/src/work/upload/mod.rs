//! Fetching: which refs are shown, what client and server have in common, and the pack between.

mod negotiate;
mod pack;
mod peel;
mod refs;

use govc_git::ObjectId;

use super::filter::FilterProblem;
use crate::pool::PoolError;

pub use negotiate::{Common, converse, negotiate};
pub use pack::pack;
pub use peel::peel;
pub use refs::{list_refs, shown_refs, wanted_refs};

/// Why a client does not get what it wants.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It wants what this repository does not show it.
    #[error("upload-pack: not our ref {0}")]
    NotOurRef(ObjectId),
    /// It wants a ref that is not there, or hidden.
    #[error("unknown ref {}", .0.escape_ascii())]
    UnknownRef(Vec<u8>),
    /// Its filter cannot be applied.
    #[error(transparent)]
    Filter(FilterProblem),
    /// What it wants cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

impl From<FilterProblem> for UploadError {
    fn from(problem: FilterProblem) -> UploadError {
        match problem {
            FilterProblem::Pool(error) => UploadError::Pool(error),
            other => UploadError::Filter(other),
        }
    }
}
