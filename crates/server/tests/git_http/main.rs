//! Git over HTTP, tried with the real git against a real server.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod blames;
mod bundles;
mod fetch;
mod kit;
mod merges;
mod partial;
mod push;
mod version2;
