//! Reads repositories and makes changes for them; cannot publish.

pub mod view;

pub use view::View;
