//! Webhooks and what became of their deliveries.

use std::sync::Arc;

use govc_engine as engine;
use govc_engine::HookKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::present;
use crate::rfc3339::server_time;

const URL_BYTES_MAX: usize = 2048;
const SECRET_BYTES_MAX: usize = 512;
const EVENTS_MAX: usize = 64;

/// The types of events, and the parts of those with a dot that stand before it.
const TYPES: &[&str] = &[
    "*",
    "branch",
    "branch.created",
    "branch.deleted",
    "commit",
    "external",
    "hook",
    "lfs",
    "lfs.locked",
    "lfs.unlocked",
    "merge",
    "pre-commit",
    "pre-push",
    "push",
    "reality",
    "reality.conflicts",
    "reality.created",
    "reality.discarded",
    "reality.promoted",
    "ref",
    "repo",
    "repo.created",
    "repo.deleted",
    "repo.restored",
    "repo.updated",
    "stash",
    "tag",
    "tag.created",
    "tag.deleted",
    "transaction",
    "undo",
    "workspace",
];

/// The types as a schema.
fn types() -> serde_json::Value {
    serde_json::json!({ "type": "string", "enum": TYPES })
}

/// A webhook. Its secret never leaves the server.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Hook {
    /// What names it in its repository.
    pub id: String,
    /// Where it is told, or asked.
    pub url: String,
    /// The types of events.
    pub events: Vec<String>,
    /// Whether requests are signed.
    pub has_secret: bool,
    /// Whether it is told or asked at all.
    pub active: bool,
    /// `notify` or `policy`.
    pub kind: &'static str,
    /// When it was made.
    pub created_at: String,
}

impl Hook {
    /// The hook `id`.
    pub fn new(id: &str, hook: &engine::Hook) -> Hook {
        Hook {
            id: id.to_owned(),
            url: hook.url.to_string(),
            events: hook.events.iter().map(ToString::to_string).collect(),
            has_secret: hook.secret.is_some(),
            active: hook.active,
            kind: hook.kind.name(),
            created_at: server_time(hook.created_at),
        }
    }
}

/// The body of `POST /repos/{repo}/hooks`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHook {
    /// Where it is told, or asked.
    #[schemars(extend("maxLength" = 2048, "format" = "uri"))]
    pub url: String,
    /// The types of events, or their part before the dot.
    #[schemars(extend("minItems" = 1, "maxItems" = 64, "items" = types()))]
    pub events: Vec<String>,
    /// What requests are signed with.
    #[schemars(extend("minLength" = 1, "maxLength" = 512))]
    pub secret: Option<String>,
    /// Whether it is told or asked at all; absent: it is.
    pub active: Option<bool>,
    /// `notify` (where absent) or `policy`.
    #[schemars(extend("enum" = ["notify", "policy", null]))]
    pub kind: Option<String>,
}

/// The body of `PATCH /repos/{repo}/hooks/{id}`: what is absent stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchHook {
    /// Where it is told, or asked.
    #[schemars(extend("maxLength" = 2048, "format" = "uri"))]
    pub url: Option<String>,
    /// The types of events.
    #[schemars(extend("minItems" = 1, "maxItems" = 64, "items" = types()))]
    pub events: Option<Vec<String>>,
    /// What requests are signed with; `null`: they are not signed any more.
    #[schemars(extend("minLength" = 1, "maxLength" = 512))]
    #[serde(default, deserialize_with = "present")]
    pub secret: Option<Option<String>>,
    /// Whether it is told or asked at all.
    pub active: Option<bool>,
    /// `notify` or `policy`.
    #[schemars(extend("enum" = ["notify", "policy", null]))]
    pub kind: Option<String>,
}

/// Reads the kind of a hook.
///
/// # Errors
/// [`Invalid::Field`].
pub fn kind(name: &str) -> Result<HookKind, Invalid> {
    HookKind::from_name(name)
        .ok_or_else(|| Invalid::field("kind", "a hook's `kind` is `notify` or `policy`"))
}

/// Reads the types of events.
///
/// # Errors
/// [`Invalid::Field`] when there is none, too many, or one that does not exist.
pub fn events(names: &[String]) -> Result<Arc<[Arc<str>]>, Invalid> {
    if names.is_empty() || names.len() > EVENTS_MAX {
        let why = format!("`events` are 1 to {EVENTS_MAX} types; [\"*\"] is all");
        return Err(Invalid::field("events", why));
    }
    for (at, name) in names.iter().enumerate() {
        if !TYPES.contains(&name.as_str()) {
            let why = format!(
                "{name:?} is no type of event; there are {}",
                TYPES.join(", ")
            );
            return Err(Invalid::field(format!("events[{at}]"), why));
        }
    }
    Ok(names.iter().map(|name| Arc::from(name.as_str())).collect())
}

/// Whether `name` is a type of event, or of several: `*`, or a part before a dot.
pub fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// Checks a secret.
///
/// # Errors
/// [`Invalid::Field`] when it is empty or too long.
pub fn secret(text: &str) -> Result<Arc<str>, Invalid> {
    match (1..=SECRET_BYTES_MAX).contains(&text.len()) {
        true => Ok(text.into()),
        false => {
            let why = format!("a secret has 1 to {SECRET_BYTES_MAX} bytes");
            Err(Invalid::field("secret", why))
        }
    }
}

/// Checks the length of an address.
///
/// # Errors
/// [`Invalid::Field`] when it is too long.
pub fn url_length(text: &str) -> Result<(), Invalid> {
    match text.len() <= URL_BYTES_MAX {
        true => Ok(()),
        false => {
            let why = format!("a URL has at most {URL_BYTES_MAX} bytes");
            Err(Invalid::field("url", why))
        }
    }
}

/// One thing that a hook was told, and what became of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Delivery {
    /// What names it among the deliveries of its hook.
    pub id: String,
    /// What names its message: the same in every try and in redeliveries.
    pub webhook_id: String,
    /// The type of event.
    pub r#type: String,
    /// The number of the change; `null` for a ping.
    pub seq: Option<u64>,
    /// `pending`, `delivered` or `failed`.
    pub state: &'static str,
    /// When it was tried first.
    pub created_at: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The newest try's HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Why the newest try failed.
    pub error: Option<String>,
    /// How long the newest try took.
    pub duration_ms: u64,
    /// When it is tried again.
    pub next_try_at: Option<String>,
    /// What was sent.
    pub request: DeliveryRequest,
    /// The beginning of what was answered.
    pub response: Option<String>,
}

/// What was sent, but for the signatures.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DeliveryRequest {
    /// Where to.
    pub url: String,
    /// The beginning of the body.
    pub body: String,
}
