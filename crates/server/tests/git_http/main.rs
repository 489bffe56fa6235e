//! Git over HTTP, tried with the real git against a real server.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fetch;
mod kit;
mod push;
