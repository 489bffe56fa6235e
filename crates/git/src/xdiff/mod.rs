//! Line diffs and textual merges, by git's own xdiff: hunks, unified text and conflicts are those of
//! `git diff` and `git merge`, byte for byte.
//!
//! The C code comes with the crate `threeway_merge`, which has xdiff as git has it; only its C
//! symbols are used. Two things about it are not for a server, and are bounded here. Crafted text
//! makes its histogram quadratic, and it cannot be interrupted: see [`XdiffError::TooExpensive`]. And it
//! recurses once for every block of lines that both sides have: large texts run on a thread whose
//! stack is made for them.

mod deep;
mod diff;
mod ffi;
mod merge;

pub use deep::{BYTES_MAX, LINES_MAX};
pub use diff::{Algorithm, DiffOptions, Hunk, UnifiedOptions, diff_hunks, unified};
pub use merge::{Favor, Labels, MARKER_SIZE, MergeOptions, Merged, Style, is_binary, merge_text};

/// Why texts were neither compared nor merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XdiffError {
    /// A text is larger than is compared at all.
    #[error("a text of {bytes} bytes and {lines} lines is too large to be compared")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// Its lines.
        lines: usize,
    },
    /// It took too long, or others that take long were before it.
    #[error("comparing these texts takes too long")]
    TooExpensive,
    /// xdiff gave up: more than 64 different lines have one hash, or there is no memory.
    #[error("these texts cannot be compared")]
    Failed,
    /// A label has a NUL in it.
    #[error("a label has a NUL in it")]
    LabelInvalid,
}
