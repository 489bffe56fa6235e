//! What differs between two trees: which files, which of them moved, and line by line.

mod binary;
pub mod changes;
pub mod patch;
mod quote;
pub mod renames;

pub use changes::{
    DiffOptions, FileChange, FileDiff, Status, TreeFilter, changed_files, diff_trees, with_renames,
};
pub use patch::{Patch, PatchMaker, PatchOptions};
pub use quote::quoted;
pub use renames::Blobs;
