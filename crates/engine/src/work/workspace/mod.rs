//! Workspaces: what is staged and changed in them, and what moves them.

pub mod state;

pub use state::{OpenWorkspace, open};
