//! Handlers: each takes a request apart, calls a use case, and writes down its answer.

pub mod health;
pub mod pages;
