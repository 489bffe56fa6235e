//! Git over HTTP, tried with the real git against a real server.

mod fetch;
mod kit;
mod push;
