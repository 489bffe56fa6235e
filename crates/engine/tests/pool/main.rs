//! The pool beside real git: what git says about a repository is what the pool is to say.

// A test that meets what it does not expect is to end there.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::write_with_newline
)]
// The kit is public to this test alone.

mod fetch;
mod filters;
mod graph;
mod kit;
mod lists;
mod live;
mod objects;
mod ready;
mod shallow;
mod visibility;
