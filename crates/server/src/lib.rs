//! The server: router, thin handlers, use cases, Git over HTTP and SSH.

pub mod app;
pub mod config;
#[doc(hidden)]
pub mod fuzzing;
pub mod git_http;
pub mod git_lfs;
mod git_service;
pub mod git_ssh;
pub mod http;
pub mod openapi;
pub mod router;
pub mod routes;
pub mod serve;

pub use app::App;
pub use config::Config;
pub use serve::{Listening, ServeError, serve};
