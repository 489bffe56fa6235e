//! What a commit is to be.

use govc_git::ObjectId;
use govc_git::object::Signature;

use crate::work::action::Action;
use crate::{Cause, Expected, RefName};

/// What a commit on a branch is to be.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The full name of the branch, `refs/heads/…`.
    pub branch: RefName,
    /// What the branch is made from, if it is to be made.
    pub start: Start,
    /// What its head must be; nothing is committed when it is something else.
    pub expected: Expected,
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// The message as it was given. It is cleaned as `git commit -m` does.
    pub message: Vec<u8>,
    /// Who wrote the change, and when.
    pub author: Signature,
    /// Who makes the commit, and when.
    pub committer: Signature,
    /// Make a commit even when its tree is its parent's.
    pub allow_empty: bool,
    /// No edit may make a file larger than this, in bytes.
    pub file_bytes_max: u64,
    /// Who asks, how and why.
    pub cause: Cause,
}

/// What a new branch is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The branch exists, or is the unborn default branch, or any branch of an empty repository.
    Existing,
    /// It must not exist, and is made from this commit, which the caller may see.
    At(ObjectId),
    /// It must not exist, and gets a root commit that shares nothing with others.
    Unrelated,
}
