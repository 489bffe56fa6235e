//! Fetching: which refs are shown, what client and server have in common, and the pack between.

mod negotiate;
mod pack;
mod peel;
mod refs;
mod shallow;

use govc_git::ObjectId;

use super::filter::FilterProblem;
use crate::pool::PoolError;

pub use negotiate::{Conversation, Plan, Turn, UnshownWants, answer};
pub use pack::pack;
pub use peel::peel;
pub use refs::{list_refs, shown_refs, wanted_refs};
pub use shallow::{Shallow, shallow};

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
    /// It wants its history cut by depth and by commits at once.
    #[error("git upload-pack: deepen and deepen-since (or deepen-not) cannot be used together")]
    DepthTwice,
    /// It wants its history cut in such a way that none is left.
    #[error("no commits selected for shallow requests")]
    NothingSelected,
    /// It wants its history cut at a ref that is none, or more than one.
    #[error("git upload-pack: ambiguous deepen-not: deepen-not {}", .0.escape_ascii())]
    AmbiguousRef(Vec<u8>),
    /// It says that its history is cut at what is no commit.
    #[error("invalid shallow object {0}")]
    ShallowNoCommit(ObjectId),
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
