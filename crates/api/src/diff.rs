//! What differs between two states.

use govc_engine::work::diff::{FileDiff, Patch, Status};
use schemars::JsonSchema;
use serde::Serialize;

use crate::commits::Commit;
use crate::files::mode_text;
use crate::text::text;

/// What differs between two commits.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Diff {
    /// The commit that is compared with; `null` for nothing at all.
    pub from: Option<String>,
    /// The commit that is compared; `null` where what is compared is not committed.
    pub to: Option<String>,
    /// The files that are not the same, in Git's order.
    pub files: Vec<DiffFile>,
    /// All files together.
    pub stats: DiffStats,
    /// Of a workspace: what of it is staged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staged: Option<Vec<DiffFile>>,
    /// Of a workspace: what is changed since it was staged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unstaged: Option<Vec<DiffFile>>,
    /// There are so many patches that the last files have none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// There are so many files that renames were not looked for among all of them: the limit that
    /// would have been needed (`diff.renameLimit`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rename_limit_needed: Option<usize>,
}

/// One file that is not the same.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiffFile {
    /// Where it is, or was.
    pub path: String,
    /// The path exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// Where it came from, for one that was renamed or copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
    /// That path exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_path_base64: Option<String>,
    /// `added`, `modified`, `deleted`, `renamed`, `copied` or `type_changed`.
    pub status: &'static str,
    /// How much of it is the old file, in per cent, for one that was renamed or copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<u32>,
    /// What it was; `null` for a new one.
    pub old_oid: Option<String>,
    /// What it is; `null` for one that is gone.
    pub new_oid: Option<String>,
    /// Its mode before, six octal digits.
    pub old_mode: Option<String>,
    /// Its mode after.
    pub new_mode: Option<String>,
    /// Whether one side is not text; `null` where the answer was too long for the patch.
    pub binary: Option<bool>,
    /// Lines that came.
    pub additions: Option<u64>,
    /// Lines that went.
    pub deletions: Option<u64>,
    /// As `git diff --full-index --binary` prints it.
    pub patch: Option<String>,
    /// The patch exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_base64: Option<String>,
}

/// How much differs.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct DiffStats {
    /// Files that are not the same.
    pub files: u64,
    /// Lines that came.
    pub additions: u64,
    /// Lines that went.
    pub deletions: u64,
}

impl DiffFile {
    /// The file, with its patch where there is room for it.
    pub fn new(file: &FileDiff, patch: Option<Patch>) -> DiffFile {
        let (path, path_base64) = text(&file.path);
        let (old_path, old_path_base64) = file.old_path.as_deref().map(text).unzip();
        let is_moved = matches!(file.status, Status::Renamed | Status::Copied);
        let (shown, shown_base64) = patch.as_ref().map(|patch| text(&patch.text)).unzip();
        DiffFile {
            path,
            path_base64,
            old_path,
            old_path_base64: old_path_base64.flatten(),
            status: match file.status {
                Status::Added => "added",
                Status::Modified => "modified",
                Status::Deleted => "deleted",
                Status::Renamed => "renamed",
                Status::Copied => "copied",
                Status::TypeChanged => "type_changed",
            },
            similarity: is_moved.then(|| file.similarity()),
            old_oid: file.old.map(|old| old.id.to_string()),
            new_oid: file.new.map(|new| new.id.to_string()),
            old_mode: file.old.map(|old| mode_text(old.mode)),
            new_mode: file.new.map(|new| mode_text(new.mode)),
            binary: patch.as_ref().map(|patch| patch.is_binary),
            additions: patch.as_ref().map(|patch| patch.additions),
            deletions: patch.as_ref().map(|patch| patch.deletions),
            patch: shown,
            patch_base64: shown_base64.flatten(),
        }
    }
}

/// How one commit stands to another: what it has beside their best common ancestor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Comparison {
    /// The commit that is compared with.
    pub base: String,
    /// The commit that is compared.
    pub head: String,
    /// Their best common ancestor, which the files are compared with.
    pub merge_base: String,
    /// Commits that only the head has.
    pub ahead: u64,
    /// Commits that only the base has.
    pub behind: u64,
    /// The commits that only the head has, newest first, as many as `limit` says.
    pub commits: Vec<Commit>,
    /// What differs between the ancestor and the head.
    #[serde(flatten)]
    pub diff: Diff,
}
