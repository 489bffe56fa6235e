//! Workspaces: what is staged and changed in them, and what moves them.
//!
//! A workspace is three trees: its base's, its index, its files. Whatever is done to one is a
//! function of an [`OpenWorkspace`] that says what it is to be and which objects that needs; cost
//! grows with what differs between the three.

pub mod checkout;
pub mod commit;
pub mod draft;
pub mod error;
pub mod files;
pub mod operation;
pub mod rules;
pub mod stash;
pub mod state;
pub mod status;

pub use checkout::ResetMode;
pub use commit::{StagedCommit, StagedCommitMade};
pub use draft::{Changed, TreeEdit};
pub use error::WorkspaceError;
pub use files::FileToWrite;
pub use operation::{BranchMove, Brought, GoOn, GoOnError};
pub use state::{OpenWorkspace, open};
pub use status::WorkspaceStatus;
