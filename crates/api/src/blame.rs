//! Who brought which line.

use std::sync::Arc;

use govc_engine::work::blame::{Blame, Blamed};
use govc_git::encoding::commit_in_utf8;
use govc_git::object::CommitRef;
use govc_git::{ObjectFormat, ObjectId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::people::Person;
use crate::text::text;

/// A file, line by line.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BlameAnswer {
    /// Its path from the root.
    pub path: String,
    /// The path exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// The commit that it was read from.
    pub commit: String,
    /// The id of its blob.
    pub oid: String,
    /// The lines that were asked for, in their order.
    pub lines: Vec<BlameLine>,
}

/// A line, and where it is from.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BlameLine {
    /// Which line, from 1.
    pub line: usize,
    /// The line, without its end.
    pub content: String,
    /// The line exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// Which line it was in the commit that brought it, from 1.
    pub orig_line: usize,
    /// The commit that brought it.
    #[serde(flatten)]
    pub origin: Arc<LineOrigin>,
}

/// The commit that brought lines, and what the file was called there.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LineOrigin {
    /// The commit; all zeros for lines that are in the working copy only.
    pub commit: String,
    /// The file's path there.
    pub orig_path: String,
    /// The path exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orig_path_base64: Option<String>,
    /// Its author's name.
    pub author: String,
    /// Its author's address.
    pub email: String,
    /// When its author wrote it; `null` where RFC 3339 cannot say it.
    pub time: Option<String>,
    /// The moment as Git writes it, where RFC 3339 cannot say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_raw: Option<String>,
    /// The first paragraph of its message, in one line.
    pub summary: String,
}

impl LineOrigin {
    /// The commit of `blamed`, whose content is `data`.
    ///
    /// # Errors
    /// When it is not a commit at all.
    pub fn read(
        blamed: &Blamed,
        data: &[u8],
        format: ObjectFormat,
    ) -> Result<LineOrigin, govc_git::object::ParseError> {
        let (orig_path, orig_path_base64) = text(&blamed.path);
        let data = commit_in_utf8(data);
        let commit = CommitRef::parse(&data, format)?;
        let author = Person::from(commit.author);
        Ok(LineOrigin {
            commit: blamed.commit.to_string(),
            orig_path,
            orig_path_base64,
            author: author.name,
            email: author.email,
            time: author.time,
            time_raw: author.time_raw,
            summary: text(&commit.summary()).0,
        })
    }
}

impl LineOrigin {
    /// Of lines that are in a working copy only, as git calls who brings them.
    pub fn uncommitted(blamed: &Blamed) -> LineOrigin {
        let (orig_path, orig_path_base64) = text(&blamed.path);
        LineOrigin {
            commit: blamed.commit.to_string(),
            summary: format!("Version of {orig_path} from {orig_path}"),
            orig_path,
            orig_path_base64,
            author: "Not Committed Yet".to_owned(),
            email: "not.committed.yet".to_owned(),
            time: None,
            time_raw: None,
        }
    }
}

impl BlameAnswer {
    /// The lines of `blame`, whose pieces have these origins, one for each.
    pub fn new(
        path: &[u8],
        commit: ObjectId,
        blame: &Blame,
        origins: Vec<Arc<LineOrigin>>,
    ) -> BlameAnswer {
        let first = blame.blamed.first().map_or(0, |piece| piece.lines.start);
        let mut texts = blame.content.split(|byte| *byte == b'\n').skip(first);
        let mut lines = Vec::new();
        for (piece, origin) in blame.blamed.iter().zip(origins) {
            for line in piece.lines.clone() {
                let (content, content_base64) = text(texts.next().unwrap_or_default());
                lines.push(BlameLine {
                    line: line + 1,
                    content,
                    content_base64,
                    orig_line: piece.origin_line + (line - piece.lines.start) + 1,
                    origin: Arc::clone(&origin),
                });
            }
        }
        let (path, path_base64) = text(path);
        BlameAnswer {
            path,
            path_base64,
            commit: commit.to_string(),
            oid: blame.id.to_string(),
            lines,
        }
    }
}
