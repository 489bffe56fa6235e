//! The pool beside real git: what git says about a repository is what the pool is to say.

mod fetch;
mod graph;
mod kit;
mod objects;
mod visibility;
