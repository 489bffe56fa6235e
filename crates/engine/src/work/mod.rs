//! Reads repositories and makes changes for them; cannot publish.

pub mod action;
pub mod archive;
pub mod blame;
pub mod bundle;
pub mod commit;
pub mod conflicts;
pub mod diff;
pub mod filter;
pub mod hidden;
pub mod log;
pub mod merge;
pub mod objects;
pub mod realities;
pub mod receive;
pub mod refs;
pub mod revision;
pub mod search;
mod short_id;
mod splice;
pub mod tip_trees;
mod trail;
pub mod transaction;
pub mod tree;
pub mod tree_editor;
pub mod undo;
pub mod upload;
pub mod view;
pub mod workspace;

pub use view::View;
