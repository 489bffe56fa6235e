//! Reading repositories and making commits, held against git itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod archives;
mod blames;
mod commits;
mod diffs;
mod git_repo;
mod logs;
mod merges;
mod operations;
mod revisions;
mod searches;
mod stories;
mod trees;
mod workspaces;
