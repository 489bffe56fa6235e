//! Files and folders.

use govc_git::object::tree::{MODE_SUBMODULE, MODE_SYMLINK, MODE_TREE, canonical_mode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::commits::Commit;
use crate::text::text;

/// A file with its content.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct File {
    /// Its path from the root.
    pub path: String,
    /// The path exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// The commit that it was read from, or that the working copy was made from; `null` where that
    /// branch was unborn.
    pub commit: Option<String>,
    /// The id of its blob; of a submodule, of its commit.
    pub oid: String,
    /// Six octal digits.
    pub mode: String,
    /// Bytes; `null` for a submodule.
    pub size: Option<u64>,
    /// `utf-8` or `base64`; `null` for a submodule.
    pub encoding: Option<&'static str>,
    /// The content; `null` for a submodule.
    pub content: Option<String>,
}

/// An entry of a folder.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TreeEntry {
    /// The last part of its path.
    pub name: String,
    /// Its path from the root.
    pub path: String,
    /// The path exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// `blob`, `tree`, `symlink` or `commit`.
    pub r#type: &'static str,
    /// Six octal digits.
    pub mode: String,
    /// The id of what is there.
    pub oid: String,
    /// Bytes of a file's content or a link's target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The newest commit that touched it, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_commit: Option<Commit>,
}

impl From<govc_engine::work::tree::Listed> for TreeEntry {
    fn from(entry: govc_engine::work::tree::Listed) -> TreeEntry {
        let name = entry
            .path
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default();
        let (path, path_base64) = text(&entry.path);
        TreeEntry {
            name: text(name).0,
            path,
            path_base64,
            r#type: type_name(entry.mode),
            mode: mode_text(entry.mode),
            oid: entry.id.to_string(),
            size: entry.size,
            last_commit: None,
        }
    }
}

/// What a mode says that an entry is.
pub fn type_name(mode: u32) -> &'static str {
    match canonical_mode(mode) {
        MODE_TREE => "tree",
        MODE_SYMLINK => "symlink",
        MODE_SUBMODULE => "commit",
        _ => "blob",
    }
}

/// A mode as `git ls-tree` prints it.
pub fn mode_text(mode: u32) -> String {
    format!("{:06o}", canonical_mode(mode))
}
