//! What differs between two trees: which files, which of them moved, and line by line.

pub mod changes;
pub mod renames;

pub use changes::{
    DiffOptions, FileChange, FileDiff, Status, TreeFilter, changed_files, diff_trees,
};
pub use renames::Blobs;
