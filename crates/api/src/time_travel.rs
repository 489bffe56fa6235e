//! Going back in time.

use govc_engine::Seq;
use govc_engine::journal::Moment;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Invalid;
use crate::repos::At;

/// The body of `POST /repos/{repo}/undo`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// The number of the change.
    pub seq: Seq,
}

/// The body of `POST /repos/{repo}/rewind`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rewind {
    /// The moment: the number of a change, or a time.
    to: At,
}

impl Rewind {
    /// The moment to go back to, and how it was said.
    ///
    /// # Errors
    /// [`Invalid::Field`] when it is none.
    pub fn to(&self) -> Result<(Moment, String), Invalid> {
        Ok((self.to.moment("to")?, self.to.to_string()))
    }
}
