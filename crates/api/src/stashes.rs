//! Stashes.

use govc_engine::work::workspace::stash::StashFound;
use govc_git::ObjectFormat;
use govc_git::object::{CommitRef, ParseError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::{NewPerson, Person};
use crate::text::text;

/// A stash.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Stash {
    /// Its id: that of the commit of the working copy.
    pub id: String,
    /// Its message.
    pub message: String,
    /// Who made it, and when.
    pub author: Person,
    /// The commit that it was made on.
    pub base: String,
    /// The commit of the index.
    pub index: String,
    /// The commit of the untracked files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untracked: Option<String>,
    /// The workspace that it was made in.
    pub workspace: Option<String>,
}

impl Stash {
    /// A stash as answers have it.
    ///
    /// # Errors
    /// When its commit cannot be read.
    pub fn of(
        found: &StashFound,
        workspace: Option<&str>,
        format: ObjectFormat,
    ) -> Result<Stash, ParseError> {
        let commit = CommitRef::parse(&found.data, format)?;
        Ok(Stash {
            id: found.id.to_string(),
            message: text(commit.message).0,
            author: commit.author.into(),
            base: found.base.to_string(),
            index: found.index.to_string(),
            untracked: found.untracked.map(|id| id.to_string()),
            workspace: workspace.map(str::to_owned),
        })
    }
}

/// The body of `POST /repos/{repo}/stash`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStash {
    /// What it is for.
    pub message: Option<String>,
    /// Untracked files go with it.
    #[serde(default)]
    pub include_untracked: bool,
    /// Who puts it away.
    pub author: Option<NewPerson>,
}

/// The body of `POST /repos/{repo}/stash/{id}/apply`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyStash {
    /// It goes when it was brought back.
    #[serde(default)]
    pub drop: bool,
    /// What was staged is staged again.
    #[serde(default)]
    pub index: bool,
    /// Conflicts are left in the workspace.
    #[serde(default)]
    pub keep_conflicts: bool,
}
