//! Commits, and what makes them.

use bytes::Bytes;
use govc_engine::work::action::{Action, Content, FileMode, TextEdit};
use govc_engine::{Expected, RefName};
use govc_git::object::CommitRef;
use govc_git::{ObjectFormat, ObjectId, refname};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::{NewPerson, Person};
use crate::text::{bytes, text};
use crate::{Invalid, belief, no_nul, object_id, present, ref_name};

/// A commit.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Commit {
    /// Its id.
    pub oid: String,
    /// Its tree's id.
    pub tree: String,
    /// The ids of its parents.
    pub parents: Vec<String>,
    /// The whole message.
    pub message: String,
    /// The message exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_base64: Option<String>,
    /// The encoding that its header names, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Who wrote the change.
    pub author: Person,
    /// Who made the commit.
    pub committer: Person,
    /// How many files differ from the first parent's, without renames, where that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_changed: Option<u64>,
    /// Its signature, where it is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl Commit {
    /// The commit `id`, whose content is `data`.
    ///
    /// # Errors
    /// When it is not a commit at all.
    pub fn read(
        id: ObjectId,
        data: &[u8],
        format: ObjectFormat,
    ) -> Result<Commit, govc_git::object::ParseError> {
        let commit = CommitRef::parse(data, format)?;
        let (message, message_base64) = text(commit.message);
        let signature = commit
            .extra_headers
            .iter()
            .find(|(name, _)| *name == b"gpgsig" || *name == b"gpgsig-sha256")
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        Ok(Commit {
            oid: id.to_string(),
            tree: commit.tree.to_string(),
            parents: commit.parents.iter().map(ToString::to_string).collect(),
            message,
            message_base64,
            encoding: commit
                .encoding
                .map(|name| String::from_utf8_lossy(name).into_owned()),
            author: commit.author.into(),
            committer: commit.committer.into(),
            files_changed: None,
            signature,
        })
    }
}

/// The body of `POST /repos/{repo}/commits`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCommit {
    /// The branch, short: `main`.
    #[schemars(extend("format" = "branch-name"))]
    branch: String,
    /// The revision that an unknown branch is made from; `null`: from nothing, with a root
    /// commit.
    #[schemars(extend("format" = "revision"))]
    #[serde(default, deserialize_with = "present")]
    create_from: Option<Option<String>>,
    /// The message; cleaned as `git commit -m` does.
    #[schemars(extend("minLength" = 1))]
    message: String,
    /// Who wrote it; who asks, where it is absent.
    author: Option<NewPerson>,
    /// Who commits it; the author, where it is absent.
    committer: Option<NewPerson>,
    /// The commit that the branch is believed to be at; `null`: that it does not exist yet. 409
    /// where it is not.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
    /// Where the branch has moved from `expected_head`: `fail` (409, the default), or `merge` the
    /// actions onto it.
    on_conflict: Option<OnConflict>,
    /// Make a commit that changes nothing, too.
    #[serde(default)]
    allow_empty: bool,
    /// What to do, in this order.
    #[serde(default)]
    actions: Vec<NewAction>,
}

/// What happens when the branch moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// The write is refused.
    Fail,
    /// The changes are merged.
    Merge,
}

/// One thing to do to the files of a branch. Which fields it may have depends on `op`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAction {
    /// What is done.
    op: Op,
    /// The file.
    #[schemars(extend("format" = "file-path"))]
    path: String,
    /// `move`: what is moved to `path`.
    #[schemars(extend("format" = "file-path"))]
    from: Option<String>,
    /// `put`: the content.
    content: Option<String>,
    /// `put`: how `content` is written, `utf-8` (the default) or `base64`.
    #[schemars(extend("enum" = ["utf-8", "base64", null]))]
    encoding: Option<String>,
    /// `put`: a blob that is there already, instead of `content`; of a submodule, its commit.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    oid: Option<String>,
    /// `put`, `chmod`: the mode; without it a file keeps its own, and a new one is `100644`.
    #[schemars(extend("enum" = ["100644", "100755", "120000", "160000", null]))]
    mode: Option<String>,
    /// `edit`: texts that take the place of others, one after the other.
    #[schemars(extend("minItems" = 1))]
    edits: Option<Vec<NewTextEdit>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Op {
    Put,
    Edit,
    Delete,
    Move,
    Chmod,
}

/// One text for another.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTextEdit {
    /// What is there.
    #[schemars(extend("minLength" = 1))]
    old: String,
    /// What takes its place.
    new: String,
    /// How often `old` has to occur, exactly.
    #[serde(default = "once")]
    count: u64,
}

fn once() -> u64 {
    1
}

/// A commit that was asked for, as far as it can be checked without looking at the repository.
#[derive(Debug)]
pub struct CommitOrder {
    /// The branch's full name.
    pub branch: RefName,
    /// The actions are of what the branch is believed to be: when it has moved, what they changed
    /// is merged onto it.
    pub merges: bool,
    /// The revision to make it from; `Some(None)`: from nothing.
    pub create_from: Option<Option<String>>,
    /// The message as it was sent.
    pub message: String,
    /// Who wrote it, if that was said.
    pub author: Option<NewPerson>,
    /// Who commits it, if that was said.
    pub committer: Option<NewPerson>,
    /// What the branch is believed to be.
    pub expected: Expected,
    /// Make a commit that changes nothing too.
    pub allow_empty: bool,
    /// What to do.
    pub actions: Vec<Action>,
}

impl NewCommit {
    /// The commit that applying actions to a reality is.
    pub(crate) fn of_apply(
        branch: String,
        message: String,
        (author, committer): (Option<NewPerson>, Option<NewPerson>),
        expected_head: Option<Option<String>>,
        allow_empty: bool,
        actions: Vec<NewAction>,
    ) -> NewCommit {
        NewCommit {
            branch,
            create_from: None,
            message,
            author,
            committer,
            expected_head,
            on_conflict: None,
            allow_empty,
            actions,
        }
    }
}

impl TryFrom<NewCommit> for CommitOrder {
    type Error = Invalid;

    fn try_from(new: NewCommit) -> Result<CommitOrder, Invalid> {
        ref_name(&new.branch, refname::check_branch)?;
        no_nul("message", &new.message)?;
        let actions = new
            .actions
            .into_iter()
            .enumerate()
            .map(|(number, action)| action.read(&format!("actions[{number}].")))
            .collect::<Result<Vec<Action>, Invalid>>()?;
        Ok(CommitOrder {
            branch: RefName::branch(&new.branch),
            merges: new.on_conflict == Some(OnConflict::Merge),
            create_from: new.create_from,
            expected: belief("expected_head", new.expected_head.as_ref())?,
            message: new.message,
            author: new.author,
            committer: new.committer,
            allow_empty: new.allow_empty,
            actions,
        })
    }
}

impl NewAction {
    /// The action; `at` is where it is in the body, `actions[3].`.
    fn read(self, at: &str) -> Result<Action, Invalid> {
        self.check_fields(at)?;
        let path = self.path.into_bytes();
        let missing = |field: &str| Invalid::field(format!("{at}{field}"), "is missing");
        let mode = self
            .mode
            .map(|text| {
                FileMode::parse(&text).ok_or_else(|| {
                    Invalid::field(
                        format!("{at}mode"),
                        "\"100644\", \"100755\", \"120000\" or \"160000\"",
                    )
                })
            })
            .transpose()?;
        Ok(match self.op {
            Op::Put => {
                let content = match (self.content, self.oid) {
                    (Some(content), None) => {
                        Content::Bytes(bytes(at, content, self.encoding.as_deref())?)
                    }
                    (None, Some(id)) => {
                        let field = format!("{at}oid");
                        let id = object_id(&field, &id)?;
                        if id.is_null() {
                            return Err(Invalid::field(field, "names nothing"));
                        }
                        Content::Object(id)
                    }
                    (Some(_), Some(_)) => {
                        return Err(Invalid::field(
                            format!("{at}oid"),
                            "either `content` or `oid`, not both",
                        ));
                    }
                    (None, None) => return Err(missing("content")),
                };
                if mode == Some(FileMode::Submodule) && matches!(content, Content::Bytes(_)) {
                    return Err(Invalid::field(
                        format!("{at}mode"),
                        "\"160000\" goes with `oid`, a commit of another repository",
                    ));
                }
                Action::Put {
                    path,
                    content,
                    mode,
                }
            }
            Op::Edit => {
                let edits = self.edits.ok_or_else(|| missing("edits"))?;
                if edits.is_empty() {
                    return Err(Invalid::field(format!("{at}edits"), "is empty"));
                }
                let mut read = Vec::with_capacity(edits.len());
                for (number, edit) in edits.into_iter().enumerate() {
                    if edit.old.is_empty() {
                        return Err(Invalid::field(
                            format!("{at}edits[{number}].old"),
                            "an empty text is everywhere",
                        ));
                    }
                    read.push(TextEdit {
                        old: Bytes::from(edit.old),
                        new: Bytes::from(edit.new),
                        count: edit.count,
                    });
                }
                Action::Edit { path, edits: read }
            }
            Op::Delete => Action::Delete { path },
            Op::Move => Action::Move {
                from: self.from.ok_or_else(|| missing("from"))?.into_bytes(),
                path,
            },
            Op::Chmod => Action::Chmod {
                path,
                mode: mode.ok_or_else(|| missing("mode"))?,
            },
        })
    }

    /// Refuses fields that mean nothing with this `op`.
    fn check_fields(&self, at: &str) -> Result<(), Invalid> {
        let given = [
            ("from", self.from.is_some(), self.op == Op::Move),
            ("content", self.content.is_some(), self.op == Op::Put),
            (
                "encoding",
                self.encoding.is_some(),
                self.op == Op::Put && self.content.is_some(),
            ),
            ("oid", self.oid.is_some(), self.op == Op::Put),
            (
                "mode",
                self.mode.is_some(),
                matches!(self.op, Op::Put | Op::Chmod),
            ),
            ("edits", self.edits.is_some(), self.op == Op::Edit),
        ];
        match given.iter().find(|(_, given, fits)| *given && !fits) {
            Some((field, ..)) => {
                let op = format!("{:?}", self.op).to_lowercase();
                Err(Invalid::field(
                    format!("{at}{field}"),
                    format!("does not go with this action (op \"{op}\")"),
                ))
            }
            None => Ok(()),
        }
    }
}
