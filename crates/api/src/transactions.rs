//! Transactions: changes to one branch that nobody else sees before they are committed, and
//! changes to several repositories at once.

use std::borrow::Cow;

use govc_engine::{Transaction, TransactionState};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Invalid;
use crate::commits::{Commit, CommitOrder, NewCommit, OnConflict};
use crate::conflicts::ConflictedPath;
use crate::diff::Diff;
use crate::people::NewPerson;
use crate::refs::{RefBatch, RefUpdate};
use crate::rfc3339::server_time;
use crate::strict::StrictMap;
use crate::text::text;

/// How long a transaction lives where nobody says, in seconds.
const TTL_DEFAULT: u64 = 60 * 60;
/// The longest that one may live.
const TTL_MAX: u64 = 7 * 24 * 60 * 60;

/// The body of `POST /repos/{repo}/transaction`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTransaction {
    /// The branch, in short; the default branch where it is absent.
    #[schemars(extend("format" = "branch-name"))]
    pub branch: Option<String>,
    /// How long it may stay open; an hour, where it is absent.
    #[schemars(extend("minimum" = 1, "maximum" = 604800))]
    ttl_seconds: Option<u64>,
}

impl NewTransaction {
    /// How long it is to live, in seconds.
    ///
    /// # Errors
    /// [`Invalid::Field`] when that is no time, or too long.
    pub fn ttl_seconds(&self) -> Result<u64, Invalid> {
        match self.ttl_seconds {
            None => Ok(TTL_DEFAULT),
            Some(seconds) if (1..=TTL_MAX).contains(&seconds) => Ok(seconds),
            Some(_) => Err(Invalid::field("ttl_seconds", format!("1 to {TTL_MAX}"))),
        }
    }
}

/// A transaction.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TransactionShown {
    /// Its id.
    pub id: String,
    /// The branch that it is to be committed to, in short.
    pub branch: String,
    /// The branch's head when it began; `null` where the branch was unborn.
    pub base: Option<String>,
    /// `open`, `committed` or `rolled_back`.
    pub state: &'static str,
    /// The commit that it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it began.
    pub created_at: String,
    /// When it ends by itself.
    pub expires_at: String,
    /// What was done in it, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
}

impl TransactionShown {
    /// A transaction as answers have it.
    pub fn of(id: &str, transaction: &Transaction, diff: Option<Diff>) -> TransactionShown {
        let branch = transaction.branch.branch_name();
        TransactionShown {
            id: id.to_owned(),
            branch: text(branch.unwrap_or(transaction.branch.as_bytes())).0,
            base: transaction.base.map(|id| id.to_string()),
            state: transaction.state.name(),
            commit: match transaction.state {
                TransactionState::Committed(id) => Some(id.to_string()),
                _ => None,
            },
            created_at: server_time(transaction.created_at),
            expires_at: server_time(transaction.expires_at),
            diff,
        }
    }
}

/// The body of `POST /repos/{repo}/transaction/{tx}/remove`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovePaths {
    /// A file or folder.
    #[schemars(extend("format" = "file-path"))]
    path: Option<String>,
    /// Several, instead of `path`.
    paths: Option<Vec<String>>,
}

impl RemovePaths {
    /// The paths.
    ///
    /// # Errors
    /// [`Invalid::Field`] when there is none, or both fields are there.
    pub fn read(self) -> Result<Vec<Vec<u8>>, Invalid> {
        match (self.path, self.paths) {
            (Some(path), None) => Ok(vec![path.into_bytes()]),
            (None, Some(paths)) => Ok(paths.into_iter().map(String::into_bytes).collect()),
            (Some(_), Some(_)) => Err(Invalid::field("paths", "either `path` or `paths`")),
            (None, None) => Err(Invalid::field("path", "is missing")),
        }
    }
}

/// The body of `POST /repos/{repo}/transaction/{tx}/commit`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitTransaction {
    /// The message.
    #[schemars(extend("minLength" = 1))]
    pub message: String,
    /// Who wrote it.
    pub author: Option<NewPerson>,
    /// Who commits it.
    pub committer: Option<NewPerson>,
    /// Where the branch has moved: `fail` (409, the default), or `merge` onto it.
    on_conflict: Option<OnConflict>,
}

impl CommitTransaction {
    /// Whether it is merged onto a branch that moved.
    pub fn merges(&self) -> bool {
        self.on_conflict == Some(OnConflict::Merge)
    }
}

/// The answer of `POST /repos/{repo}/transaction/{tx}/validate`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Validation {
    /// Whether it could be committed now, as it is or by a merge.
    pub valid: bool,
    /// Whether the branch has moved from the base.
    pub moved: bool,
    /// What the branch is now.
    pub head: Option<String>,
    /// What cannot be merged.
    pub conflicts: Vec<ConflictedPath>,
    /// What else is in the way.
    pub problems: Vec<String>,
}

/// The body of `POST /transactions`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManyOperations {
    /// One for each repository or branch: as for `/commits`, or as for `/refs`.
    #[schemars(extend("minItems" = 1))]
    operations: Vec<ManyOperation>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct ManyOperation {
    repo: String,
    #[serde(flatten)]
    rest: StrictMap,
}

/// As a schema: what `/commits` or `/refs` takes, and the repository.
impl JsonSchema for ManyOperation {
    fn schema_name() -> Cow<'static, str> {
        "ManyOperation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let of = [
            NewCommit::json_schema(generator),
            RefBatch::json_schema(generator),
        ];
        let either = of.map(|mut schema| {
            let repo = json!({
                "type": "string", "format": "repository-id", "description": "The repository.",
            });
            if let Some(Value::Object(properties)) = schema.get_mut("properties") {
                properties.insert("repo".to_owned(), repo);
            }
            if let Some(Value::Array(required)) = schema.get_mut("required") {
                required.push("repo".into());
            }
            schema
        });
        json_schema!({ "anyOf": either })
    }
}

/// What is to be done in one repository of several.
#[derive(Debug)]
pub enum ManyOrder {
    /// A commit, as by `/commits`.
    Commit(Box<CommitOrder>),
    /// Refs, as by `/refs`.
    Refs(Vec<govc_engine::RefEdit>),
}

impl ManyOperations {
    /// The repositories and what is to be done in each.
    ///
    /// # Errors
    /// [`Invalid`] when one is neither a commit nor a batch of refs.
    pub fn read(self) -> Result<Vec<(String, ManyOrder)>, Invalid> {
        let read = |(number, operation): (usize, ManyOperation)| {
            let at = format!("operations[{number}]");
            let invalid = |error: serde_json::Error| Invalid::field(&at, error.to_string());
            let within = |invalid: Invalid| invalid.inside(&at);
            let rest = Value::Object(operation.rest.0);
            let order = if rest.get("updates").is_some() {
                let batch: RefBatch = crate::objects::from_value(rest).map_err(invalid)?;
                ManyOrder::Refs(batch.try_into().map_err(within)?)
            } else {
                let commit: NewCommit = crate::objects::from_value(rest).map_err(invalid)?;
                ManyOrder::Commit(Box::new(commit.try_into().map_err(within)?))
            };
            Ok((operation.repo, order))
        };
        self.operations.into_iter().enumerate().map(read).collect()
    }
}

/// The answer of `POST /transactions`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ManyResults {
    /// One for each operation, in their order.
    pub results: Vec<ManyResult>,
}

/// What became of one operation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ManyResult {
    /// The repository.
    pub repo: String,
    /// Its number after it.
    pub seq: u64,
    /// The commit that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// The refs that were moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_updates: Option<Vec<RefUpdate>>,
}
