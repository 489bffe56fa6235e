//! The JSON that leaves over HTTP: its types, their conversions from and to engine's, problem
//! documents.

pub mod blame;
pub mod commits;
pub mod conflicts;
pub mod diff;
pub mod events;
mod fetch_rules;
pub mod files;
pub mod health;
pub mod history;
pub mod hooks;
pub mod lfs;
pub mod merges;
pub mod objects;
pub mod page;
pub mod people;
pub mod problem;
pub mod realities;
pub mod refs;
pub mod repos;
pub mod rfc3339;
pub mod search;
pub mod stashes;
pub mod status;
mod strict;
pub mod text;
pub mod time_travel;
pub mod transactions;
pub mod workspaces;

use govc_git::ObjectId;
use serde::{Deserialize, Deserializer};

pub use problem::Problem;

/// Why a body that is JSON of the right shape is still not what the route takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A field's value.
    #[error("`{field}`: {why}")]
    Field {
        /// Which, `actions[0].mode`.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// A ref name.
    #[error("{name:?}: {why}")]
    Ref {
        /// The name.
        name: String,
        /// Which rule it breaks.
        why: String,
    },
    /// A word that the server keeps for itself.
    #[error("{id:?}: {why}")]
    RepoIdReserved {
        /// The id.
        id: String,
        /// Which word.
        why: String,
    },
}

impl Invalid {
    /// A field's value is wrong.
    pub fn field(field: impl Into<String>, why: impl Into<String>) -> Invalid {
        Invalid::Field {
            field: field.into(),
            why: why.into(),
        }
    }

    /// As it is told of what is inside of `outer`.
    fn inside(self, outer: &str) -> Invalid {
        match self {
            Invalid::Field { field, why } => Invalid::field(format!("{outer}.{field}"), why),
            other => other,
        }
    }
}

/// Reads a field that may be there and `null`, which is not the same as not being there.
///
/// # Errors
/// When it is neither `null` nor a `T`.
pub fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// Reads a field that has to be there, and may be `null`.
///
/// # Errors
/// When it is neither `null` nor a `T`.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

/// Reads a full object id.
///
/// # Errors
/// [`Invalid::Field`] when it is not 40 or 64 hex digits.
pub fn object_id(field: &str, text: &str) -> Result<ObjectId, Invalid> {
    ObjectId::from_hex(text.as_bytes())
        .map_err(|_| Invalid::field(field, "an object id is 40 hex digits, or 64 for SHA-256"))
}

/// Refuses a message that Git would cut off where it has a NUL.
///
/// # Errors
/// [`Invalid::Field`] when it has one.
pub fn no_nul(field: &str, message: &str) -> Result<(), Invalid> {
    if message.contains('\0') {
        return Err(Invalid::field(field, "a message has no NUL"));
    }
    Ok(())
}

/// What a writer believes a ref to be: nothing said, that it does not exist, or where it is.
///
/// # Errors
/// [`Invalid::Field`] when it is no object id.
pub fn belief(
    field: &str,
    said: Option<&Option<String>>,
) -> Result<govc_engine::Expected, Invalid> {
    use govc_engine::Expected;
    match said {
        None => Ok(Expected::Anything),
        Some(None) => Ok(Expected::Absent),
        Some(Some(text)) => object_id(field, text).map(Expected::At),
    }
}

/// Checks the short name of a branch or tag.
///
/// # Errors
/// [`Invalid::Ref`] when Git would not take it.
pub fn ref_name(
    short: &str,
    check: impl Fn(&[u8]) -> Result<(), govc_git::refname::RefNameError>,
) -> Result<(), Invalid> {
    check(short.as_bytes()).map_err(|error| Invalid::Ref {
        name: short.to_owned(),
        why: error.to_string(),
    })
}
