//! Handlers: each takes a request apart, calls a use case, and writes down its answer.

pub mod archive;
pub mod blame;
pub mod branches;
pub mod bundle;
pub mod commits;
pub mod compare;
pub mod diff;
pub mod docs;
pub mod events;
pub mod files;
pub mod health;
pub mod history;
pub mod hooks;
pub mod merges;
pub mod pages;
pub mod realities;
pub mod refs;
pub mod repos;
pub mod search;
pub mod stashes;
pub mod tags;
pub mod time_travel;
pub mod transactions;
pub mod workspaces;
