//! Lists, page by page.

use schemars::JsonSchema;
use serde::Serialize;

/// A part of a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct PageOf<T> {
    /// The items.
    pub items: Vec<T>,
    /// What the next page is asked for with; `null`: this is the last.
    pub next_cursor: Option<String>,
}
