//! The log of changes.

use govc_engine::{Entry, EntryEdit};
use schemars::JsonSchema;
use serde::Serialize;

use crate::refs::RefUpdate;
use crate::rfc3339::server_time;

/// A change, as history tells it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Change {
    /// Its number.
    pub seq: u64,
    /// What kind of change it was.
    pub r#type: &'static str,
    /// When it was.
    pub time: String,
    /// Who made it.
    pub actor: String,
    /// How and why.
    pub cause: Cause,
    /// The refs that it moved. HEAD, which names a branch, is not among them.
    pub ref_updates: Vec<RefUpdate>,
}

/// How and why a change was made.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Cause {
    /// `git`, `rest`, `ssh`, `job` or `external`.
    pub via: &'static str,
    /// The request that made it.
    pub request_id: String,
    /// Why, if somebody said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&Entry> for Change {
    fn from(entry: &Entry) -> Change {
        Change {
            seq: entry.seq,
            r#type: entry.cause.kind.name(),
            time: server_time(entry.time),
            actor: entry.cause.actor.to_string(),
            cause: Cause {
                via: entry.cause.via.name(),
                request_id: entry.cause.request_id.to_string(),
                reason: entry.cause.reason.as_deref().map(str::to_owned),
            },
            ref_updates: ref_updates(entry),
        }
    }
}

/// The refs that a change moved from object to object.
pub fn ref_updates(entry: &Entry) -> Vec<RefUpdate> {
    entry
        .edits
        .iter()
        .filter_map(|edit| match edit {
            EntryEdit::Ref {
                name,
                before,
                after,
            } => {
                let update = RefUpdate::new(name, before, after);
                (update.old.is_some() || update.new.is_some()).then_some(update)
            }
            _ => None,
        })
        .collect()
}
