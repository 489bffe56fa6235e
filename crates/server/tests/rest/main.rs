//! The API, in process: one file for each noun, and one for the manners that all share.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod archive;
mod blame;
mod commits;
mod diff;
mod events;
mod files;
mod history;
mod hostile;
mod idempotency;
mod kit;
mod lfs;
mod manners;
mod openapi;
mod operations;
mod refs;
mod repos;
mod search;
mod time_travel;
mod transactions;
mod workspaces;
