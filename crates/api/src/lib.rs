//! The JSON that leaves over HTTP: its types, their conversions from and to engine's, problem
//! documents.

pub mod problem;
pub mod rfc3339;

pub use problem::Problem;
