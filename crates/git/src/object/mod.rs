//! The four kinds of objects, and what is inside them.

pub mod check;
pub mod commit;
pub mod signature;
pub mod tag;
pub mod tree;

mod header;

use bytes::Bytes;

pub use commit::{CommitFacts, CommitRef, NewCommit};
pub use signature::{GitTime, Signature, SignatureRef};
pub use tag::{NewTag, TagRef};
pub use tree::TreeEntry;

/// The bytes are not an object of the kind that they are said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {} at byte {offset}: expected {expected}", kind.name())]
pub struct ParseError {
    /// What they are said to be.
    pub kind: ObjectKind,
    /// Where reading stopped, in bytes from the start of the object.
    pub offset: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A commit: a tree, its parents, who and why.
    Commit,
    /// A directory: names, modes and ids.
    Tree,
    /// A file's content.
    Blob,
    /// An annotated tag.
    Tag,
}

impl ObjectKind {
    /// The word that Git uses: in object headers, in tags, in error messages.
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::Commit => "commit",
            ObjectKind::Tree => "tree",
            ObjectKind::Blob => "blob",
            ObjectKind::Tag => "tag",
        }
    }

    /// The kind that `name` names, as in [`ObjectKind::name`].
    pub fn from_name(name: &[u8]) -> Option<ObjectKind> {
        match name {
            b"commit" => Some(ObjectKind::Commit),
            b"tree" => Some(ObjectKind::Tree),
            b"blob" => Some(ObjectKind::Blob),
            b"tag" => Some(ObjectKind::Tag),
            _ => None,
        }
    }
}

/// An object as it is: inflated, whole, without its header. Cloning copies a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its content.
    pub data: Bytes,
}
