//! Problem documents (RFC 9457): what every error is on the wire.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// An error as clients read it: the five members of RFC 9457, a stable `code`, and facts.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Problem {
    /// A URI that names the kind of problem.
    pub r#type: String,
    /// The kind of problem, for people.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, for people.
    pub detail: String,
    /// Which request it happened to.
    pub instance: String,
    /// The kind of problem, for programs. It never changes.
    pub code: &'static str,
    /// The request's id, as logs have it.
    pub request_id: String,
    /// What a program needs to go on: `expected` and `current`, `candidates`, `limit`, ….
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

/// The media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

impl Problem {
    /// A problem of a kind, without facts, not yet tied to a request.
    pub fn new(status: u16, code: &'static str, title: &'static str, detail: String) -> Problem {
        Problem {
            r#type: format!("urn:govc:problem:{code}"),
            title,
            status,
            detail,
            instance: String::new(),
            code,
            request_id: String::new(),
            facts: Map::new(),
        }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}
