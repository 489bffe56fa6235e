//! What does not fit together in a merge.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use govc_engine::work::merge::{Conflict, PathVersion};
use schemars::JsonSchema;
use serde::Serialize;

/// A path in conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConflictedPath {
    /// The path.
    pub path: String,
    /// Why.
    pub kind: &'static str,
    /// What both come from.
    pub base: Option<ConflictedVersion>,
    /// What the branch has.
    pub ours: Option<ConflictedVersion>,
    /// What is brought onto it.
    pub theirs: Option<ConflictedVersion>,
    /// The file as far as it could be merged, with its conflicts marked.
    pub merged: Option<MergedContent>,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConflictedVersion {
    /// Its path.
    pub path: String,
    /// Its id.
    pub oid: String,
    /// Its mode.
    pub mode: String,
}

/// A content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MergedContent {
    /// `utf-8` or `base64`.
    pub encoding: &'static str,
    /// The content, so encoded.
    pub content: String,
}

impl ConflictedPath {
    /// A conflict, with the content that was left for it.
    pub fn new(conflict: &Conflict, merged: Option<&[u8]>) -> ConflictedPath {
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let version = |version: &Option<PathVersion>| {
            version.as_ref().map(|version| ConflictedVersion {
                path: text(&version.path),
                oid: version.id.to_string(),
                mode: format!("{:06o}", version.mode),
            })
        };
        let [base, ours, theirs] = &conflict.versions;
        ConflictedPath {
            path: text(&conflict.path),
            kind: conflict.kind.name(),
            base: version(base),
            ours: version(ours),
            theirs: version(theirs),
            merged: merged.map(|merged| match std::str::from_utf8(merged) {
                Ok(content) => MergedContent {
                    encoding: "utf-8",
                    content: content.to_owned(),
                },
                Err(_) => MergedContent {
                    encoding: "base64",
                    content: STANDARD.encode(merged),
                },
            }),
        }
    }
}
