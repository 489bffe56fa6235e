//! Revisions, as gitrevisions(7) has them, without reflogs and ranges.

use govc_git::{ObjectId, ObjectKind};

use super::view::View;
use crate::pool::PoolError;

/// Why a text names no object.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// It cannot be read.
    #[error("{text:?} is not a revision: {why}")]
    Syntax {
        /// The revision.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing has this name, here.
    #[error("nothing is called {text:?}")]
    NotFound {
        /// The part of the revision that names nothing.
        text: String,
    },
    /// There is something, but no file or folder at the path behind the colon.
    #[error("there is no {path:?} in {text:?}")]
    PathNotFound {
        /// The part before the colon.
        text: String,
        /// The part behind it.
        path: String,
    },
    /// Several objects begin with these digits.
    #[error("{text:?} is ambiguous: {} objects begin so", candidates.len())]
    Ambiguous {
        /// The digits.
        text: String,
        /// What begins with them, at most 100.
        candidates: Vec<ObjectId>,
    },
    /// It names something of another kind than is needed.
    #[error("{text:?} is a {}, not a {}", found.name(), expected.name())]
    WrongKind {
        /// The part of the revision that names it.
        text: String,
        /// What it is.
        found: ObjectKind,
        /// What it was to be.
        expected: ObjectKind,
    },
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// The object that `text` names in `view`.
///
/// # Errors
/// [`RevisionError`].
pub fn resolve(view: &View, text: impl AsRef<[u8]>) -> Result<ObjectId, RevisionError> {
    let _ = (view, text.as_ref());
    unimplemented!()
}

/// The commit that `text` names in `view`, through tags.
///
/// # Errors
/// [`RevisionError`].
pub fn resolve_commit(view: &View, text: impl AsRef<[u8]>) -> Result<ObjectId, RevisionError> {
    let _ = (view, text.as_ref());
    unimplemented!()
}
