//! Workspaces: index and working copy, and what is done in them.

use bytes::Bytes;
use govc_engine::work::action::{Content, FileMode};
use govc_engine::work::workspace::{FileToWrite, OpenWorkspace, ResetMode};
use govc_engine::{Expected, RefName};
use govc_git::refname;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::commits::OnConflict;
use crate::people::NewPerson;
use crate::rfc3339::server_time;
use crate::text::{bytes, text};
use crate::{Invalid, belief, no_nul, object_id, present, ref_name};

/// A workspace.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Workspace {
    /// Its name.
    pub name: String,
    /// The branch that is checked out, in short; `null` where a commit is.
    pub branch: Option<String>,
    /// The commit that it was made from; `null` where the branch has none yet.
    pub head: Option<String>,
    /// Whether the branch was moved by others while something is changed here.
    pub behind: bool,
    /// Whether nothing is changed, staged or untracked.
    pub clean: bool,
    /// The operation that is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// When it was made; `null` for a default one that nobody has touched.
    pub created_at: Option<String>,
    /// When it was last changed.
    pub updated_at: Option<String>,
}

impl From<&OpenWorkspace> for Workspace {
    fn from(open: &OpenWorkspace) -> Workspace {
        let stored = open.stored.as_deref();
        Workspace {
            name: open.name.to_string(),
            branch: branch(open.now.branch.as_ref()),
            head: open.now.base.map(|id| id.to_string()),
            behind: open.is_behind(),
            clean: open.is_clean(),
            operation: open.now.operation.as_ref().map(|op| op.kind.name()),
            created_at: stored.map(|stored| server_time(stored.created_at)),
            updated_at: stored.map(|stored| server_time(stored.used_at)),
        }
    }
}

/// A branch as answers have it: in short.
pub(crate) fn branch(name: Option<&RefName>) -> Option<String> {
    let name = name?;
    let short = name.branch_name().unwrap_or(name.as_bytes());
    Some(text(short).0)
}

/// The body of `POST /repos/{repo}/workspaces`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    /// Its name.
    #[schemars(extend("format" = "workspace-name"))]
    pub name: String,
    /// What is checked out: a branch, or another revision. The default branch where it is absent.
    #[schemars(extend("format" = "revision"))]
    #[serde(rename = "ref")]
    pub reference: Option<String>,
}

const NAME_BYTES_MAX: usize = 100;

/// Checks the name of a workspace: one segment as of a repository's id.
///
/// # Errors
/// [`Invalid::Field`].
pub fn check_name(field: &str, name: &str) -> Result<(), Invalid> {
    let mut all = name.bytes();
    let starts_well = all
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric());
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let is_sound = starts_well
        && all.all(is_plain)
        && name.len() <= NAME_BYTES_MAX
        && !name.contains("..")
        && !matches!(name, "compare" | "conflicts");
    match is_sound {
        true => Ok(()),
        false => Err(Invalid::field(
            field,
            "a letter or digit and at most 99 more of letters, digits, '.', '_', '-', without \
             \"..\"; not \"compare\" or \"conflicts\"",
        )),
    }
}

/// The body of `POST /repos/{repo}/add` and `…/write`: one file, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFiles {
    /// The file.
    #[schemars(extend("format" = "file-path"))]
    path: Option<String>,
    /// Its content.
    content: Option<String>,
    /// How `content` is written, `utf-8` (the default) or `base64`.
    #[schemars(extend("enum" = ["utf-8", "base64", null]))]
    encoding: Option<String>,
    /// A blob that is there already, instead of `content`.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    oid: Option<String>,
    /// Its mode.
    #[schemars(extend("enum" = ["100644", "100755", "120000", "160000", null]))]
    mode: Option<String>,
    /// Even where it is ignored.
    #[serde(default)]
    force: bool,
    /// Several files, instead of `path`.
    files: Option<Vec<WriteFile>>,
}

/// One file to be written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// The file.
    #[schemars(extend("format" = "file-path"))]
    path: String,
    /// Its content.
    content: Option<String>,
    /// How `content` is written, `utf-8` (the default) or `base64`.
    #[schemars(extend("enum" = ["utf-8", "base64", null]))]
    encoding: Option<String>,
    /// A blob that is there already, instead of `content`.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    oid: Option<String>,
    /// Its mode.
    #[schemars(extend("enum" = ["100644", "100755", "120000", "160000", null]))]
    mode: Option<String>,
    /// Even where it is ignored.
    #[serde(default)]
    force: bool,
}

impl WriteFiles {
    /// The files to be written. One without content is to be staged as it is, where that is
    /// possible.
    ///
    /// # Errors
    /// [`Invalid::Field`].
    pub fn read(self, may_be_there: bool) -> Result<Vec<FileToWrite>, Invalid> {
        let files = match (self.path, self.files) {
            (Some(path), None) => {
                let file = WriteFile {
                    path,
                    content: self.content,
                    encoding: self.encoding,
                    oid: self.oid,
                    mode: self.mode,
                    force: self.force,
                };
                return Ok(vec![file.read("", may_be_there)?]);
            }
            (None, Some(files)) => files,
            (Some(_), Some(_)) => {
                return Err(Invalid::field(
                    "files",
                    "either `path` or `files`, not both",
                ));
            }
            (None, None) => return Err(Invalid::field("path", "is missing")),
        };
        let alone = [
            ("content", self.content.is_some()),
            ("encoding", self.encoding.is_some()),
            ("oid", self.oid.is_some()),
            ("mode", self.mode.is_some()),
        ];
        if let Some((field, _)) = alone.iter().find(|(_, given)| *given) {
            return Err(Invalid::field(*field, "goes with `path`, not with `files`"));
        }
        let read = |(number, file): (usize, WriteFile)| {
            let force = file.force || self.force;
            let file = WriteFile { force, ..file };
            file.read(&format!("files[{number}]."), may_be_there)
        };
        files.into_iter().enumerate().map(read).collect()
    }
}

impl WriteFile {
    fn read(self, at: &str, may_be_there: bool) -> Result<FileToWrite, Invalid> {
        let field = |name: &str| format!("{at}{name}");
        let mode = match self.mode {
            None => None,
            Some(text) => Some(FileMode::parse(&text).ok_or_else(|| {
                let why = "\"100644\", \"100755\", \"120000\" or \"160000\"";
                Invalid::field(field("mode"), why)
            })?),
        };
        let content = match (self.content, self.oid) {
            (Some(content), None) => Some(Content::Bytes(bytes(
                at,
                content,
                self.encoding.as_deref(),
            )?)),
            (None, Some(id)) => {
                let id = object_id(&field("oid"), &id)?;
                if id.is_null() {
                    return Err(Invalid::field(field("oid"), "names nothing"));
                }
                Some(Content::Object(id))
            }
            (Some(_), Some(_)) => {
                let why = "either `content` or `oid`, not both";
                return Err(Invalid::field(field("oid"), why));
            }
            (None, None) if may_be_there && mode.is_none() => None,
            (None, None) => return Err(Invalid::field(field("content"), "is missing")),
        };
        Ok(FileToWrite {
            path: self.path.into_bytes(),
            content,
            mode,
            force: self.force,
        })
    }
}

/// How many bytes the content of a file has that is sent.
pub fn content_bytes(file: &FileToWrite) -> u64 {
    match &file.content {
        Some(Content::Bytes(data)) => Bytes::len(data) as u64,
        _ => 0,
    }
}

/// The answer of what works on files: those that it was asked about, as they are now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FilesChanged {
    /// In the order in which they were named.
    pub files: Vec<FileNow>,
}

/// A file as it is now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FileNow {
    /// Its path.
    pub path: String,
    /// Its blob; `null` where it is gone.
    pub oid: Option<String>,
    /// Six octal digits.
    pub mode: Option<String>,
}

/// The body of `POST /repos/{repo}/move`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveFile {
    /// From where.
    #[schemars(extend("format" = "file-path"))]
    pub from: String,
    /// To where.
    #[schemars(extend("format" = "file-path"))]
    pub to: String,
    /// What is there goes.
    #[serde(default)]
    pub force: bool,
}

/// The body of `POST /repos/{repo}/checkout`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkout {
    /// A branch, or another revision.
    #[schemars(extend("format" = "revision"))]
    #[serde(rename = "ref")]
    pub reference: String,
    /// `true`: the branch `ref` is made at the workspace's head. A name: that branch is made at
    /// `ref`.
    #[serde(default)]
    create: Create,
    /// Whatever would be lost is lost.
    #[serde(default)]
    pub force: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Create {
    Flag(bool),
    Name(String),
}

impl Default for Create {
    fn default() -> Create {
        Create::Flag(false)
    }
}

/// What is to be checked out.
#[derive(Debug, Clone)]
pub struct CheckoutOrder {
    /// The revision; `None`: the workspace's own head.
    pub revision: Option<String>,
    /// The branch that is made there.
    pub create: Option<RefName>,
    /// Whatever would be lost is lost.
    pub force: bool,
}

impl TryFrom<Checkout> for CheckoutOrder {
    type Error = Invalid;

    fn try_from(body: Checkout) -> Result<CheckoutOrder, Invalid> {
        let (revision, create) = match body.create {
            Create::Flag(false) => (Some(body.reference), None),
            Create::Flag(true) => (None, Some(body.reference)),
            Create::Name(name) => (Some(body.reference), Some(name)),
        };
        if let Some(name) = &create {
            ref_name(name, refname::check_branch)?;
        }
        Ok(CheckoutOrder {
            revision,
            create: create.map(RefName::branch),
            force: body.force,
        })
    }
}

/// The body of `POST /repos/{repo}/commit`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitStaged {
    /// The message; without it, with `amend`, the old one.
    #[schemars(extend("minLength" = 1))]
    message: Option<String>,
    /// Take the place of the last commit.
    #[serde(default)]
    amend: bool,
    /// Make a commit that changes nothing, too.
    #[serde(default)]
    allow_empty: bool,
    /// Who wrote it; who asks, where it is absent.
    author: Option<NewPerson>,
    /// Who commits it; the author, where it is absent.
    committer: Option<NewPerson>,
    /// The commit that the branch is believed to be at; `null`: that it does not exist yet. 409
    /// where it is not.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
    /// Where the branch has moved: `fail` (409, the default), or `merge` onto it.
    on_conflict: Option<OnConflict>,
}

/// A commit of what is staged, as far as it can be checked without looking at the repository.
#[derive(Debug, Clone)]
pub struct CommitStagedOrder {
    /// The message as it was sent.
    pub message: Option<String>,
    /// Take the place of the last commit.
    pub amend: bool,
    /// Make a commit that changes nothing too.
    pub allow_empty: bool,
    /// Who wrote it, if that was said.
    pub author: Option<NewPerson>,
    /// Who commits it, if that was said.
    pub committer: Option<NewPerson>,
    /// What the workspace's head is believed to be.
    pub expected: Expected,
    /// What is staged is merged onto a branch that moved.
    pub merge: bool,
}

impl TryFrom<CommitStaged> for CommitStagedOrder {
    type Error = Invalid;

    fn try_from(body: CommitStaged) -> Result<CommitStagedOrder, Invalid> {
        // What is amended has one, and what is in progress has one ready.
        if let Some(message) = &body.message {
            no_nul("message", message)?;
        }
        let merge = body.on_conflict == Some(OnConflict::Merge);
        if merge && body.amend {
            let why = "\"merge\" does not go with `amend`: what others committed stays";
            return Err(Invalid::field("on_conflict", why));
        }
        Ok(CommitStagedOrder {
            expected: belief("expected_head", body.expected_head.as_ref())?,
            message: body.message,
            amend: body.amend,
            allow_empty: body.allow_empty,
            author: body.author,
            committer: body.committer,
            merge,
        })
    }
}

/// The body of `POST /repos/{repo}/reset`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The revision; the workspace's head where it is absent.
    #[schemars(extend("format" = "revision"))]
    pub target: Option<String>,
    /// `soft` moves the branch, `mixed` the index too, `hard` the files too; `mixed`, where it is
    /// absent.
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Soft,
    #[default]
    Mixed,
    Hard,
}

impl Reset {
    /// How far it goes.
    pub fn mode(&self) -> ResetMode {
        match self.mode {
            Mode::Soft => ResetMode::Soft,
            Mode::Mixed => ResetMode::Mixed,
            Mode::Hard => ResetMode::Hard,
        }
    }
}
