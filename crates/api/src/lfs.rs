//! The JSON of Git LFS: the batch API, the answers to transfers, locks. Its specification is
//! git-lfs's own (docs/api/ in its source); what a body has beyond it is not looked at.

use std::collections::BTreeMap;

use govc_engine::LfsLock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rfc3339::server_time;

/// The media type of its requests and answers.
pub const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";
/// The one way of transfer that is offered: plain HTTP.
pub const BASIC: &str = "basic";
/// The one hash that names contents.
pub const SHA256: &str = "sha256";
/// Where errors send people.
pub const DOCUMENTATION: &str = "https://github.com/git-lfs/git-lfs/tree/main/docs/api";

/// What is to be transferred.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct BatchRequest {
    /// `upload` or `download`.
    pub operation: String,
    /// The ways of transfer that the client knows; none: `basic`.
    #[serde(default)]
    pub transfers: Vec<String>,
    /// The objects.
    pub objects: Vec<ObjectRef>,
    /// The hash that names them; none: `sha256`.
    #[serde(default)]
    pub hash_algo: Option<String>,
}

/// An object that somebody speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    /// Its name, as it was given.
    pub oid: String,
    /// Bytes of its content, as was said.
    pub size: i64,
}

/// What is to be done with the objects of a batch.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BatchAnswer {
    /// How.
    pub transfer: &'static str,
    /// Each, in the order of the request.
    pub objects: Vec<BatchObject>,
    /// The hash that names them.
    pub hash_algo: &'static str,
}

/// What is to be done with one object.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BatchObject {
    /// The object.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// Whether the requests need nothing beyond their headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<bool>,
    /// Requests to be made, by what they do; none where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<BTreeMap<&'static str, Action>>,
    /// Why nothing can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ObjectError>,
}

/// A request to be made.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Action {
    /// Where.
    pub href: String,
    /// With these headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<&'static str, String>,
}

/// Why nothing can be done with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ObjectError {
    /// As an HTTP status.
    pub code: u16,
    /// For people.
    pub message: String,
}

/// What went wrong with a request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Error {
    /// For people.
    pub message: String,
    /// Where there is more about it.
    pub documentation_url: &'static str,
    /// The request, as the server's log has it.
    pub request_id: String,
    /// The lock that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
}

/// A lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Lock {
    /// What names it.
    pub id: String,
    /// The path that it is on.
    pub path: String,
    /// When it was taken.
    pub locked_at: String,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose lock it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Owner {
    /// What they are called.
    pub name: String,
}

/// Who wants a lock, on which path. A lock holds for all branches: `ref` is not looked at.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct LockRequest {
    /// The path, from the root of the repository.
    pub path: String,
}

/// Which of the locks are ours?
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct VerifyLocksRequest {
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many at most.
    #[serde(default)]
    pub limit: Option<i64>,
}

/// A lock is to go.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct UnlockRequest {
    /// Whoever's it is.
    #[serde(default)]
    pub force: bool,
}

/// A lock that was taken or given back.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LockAnswer {
    /// The lock.
    pub lock: Lock,
}

/// Some of the locks.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LockList {
    /// In the order of their paths.
    pub locks: Vec<Lock>,
    /// Where to go on; none where these are the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Some of the locks, ours apart from others'.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VerifiedLocks {
    /// Those of who asks.
    pub ours: Vec<Lock>,
    /// Those of others.
    pub theirs: Vec<Lock>,
    /// Where to go on; none where these are the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl From<&LfsLock> for Lock {
    fn from(lock: &LfsLock) -> Lock {
        Lock {
            id: lock.id.to_string(),
            path: lock.path.to_string(),
            locked_at: server_time(lock.locked_at),
            owner: Owner {
                name: lock.owner.to_string(),
            },
        }
    }
}
