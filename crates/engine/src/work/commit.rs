//! Commits on a branch by a list of actions, without a workspace.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use govc_git::object::check::{Finding, Severity, check_object, check_special};
use govc_git::object::tree::{MODE_SUBMODULE, canonical_mode, write_entry};
use govc_git::object::{NewCommit, Signature, commit};
use govc_git::object_id::{Collision, hash_object};
use govc_git::pack::delta;
use govc_git::{ObjectId, ObjectKind, message, oid, path};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::action::{Action, Content, FileMode, TextEdit};
use super::tree;
use super::tree_editor::{Found, Placed, TreeEditError, TreeEditor};
use super::view::View;
use crate::pool::{Pool, PoolError};
use crate::repository::publish::{Pending, Proposal, Refusal};
use crate::{
    Cause, Change, Edit, Expected, NewObject, NewObjects, ObjectBody, QuarantineError, Quarantined,
    RefEdit, RefName, Refs, Repository, Target,
};

/// What a commit on a branch is to be.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The full name of the branch, `refs/heads/…`.
    pub branch: RefName,
    /// What the branch is made from, if it is to be made.
    pub start: Start,
    /// What its head must be; nothing is committed when it is something else.
    pub expected: Expected,
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// The message as it was given. It is cleaned as `git commit -m` does.
    pub message: Vec<u8>,
    /// Who wrote the change, and when.
    pub author: Signature,
    /// Who makes the commit, and when.
    pub committer: Signature,
    /// Make a commit even when its tree is its parent's.
    pub allow_empty: bool,
    /// No edit may make a file larger than this, in bytes.
    pub file_bytes_max: u64,
    /// Who asks, how and why.
    pub cause: Cause,
}

/// What a new branch is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The branch exists, or is the unborn default branch, or any branch of an empty repository.
    Existing,
    /// It must not exist, and is made from this commit, which the caller may see.
    At(ObjectId),
    /// It must not exist, and gets a root commit that shares nothing with others.
    Unrelated,
}

/// Why a commit was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Git does not allow this path.
    #[error("{:?} is no path for a file: {source}", String::from_utf8_lossy(.path))]
    PathInvalid {
        /// The path.
        path: Vec<u8>,
        /// Which rule it breaks.
        source: path::PathError,
    },
    /// Nothing is at that path.
    #[error("there is nothing at {:?}", String::from_utf8_lossy(.path))]
    PathNotFound {
        /// The path.
        path: Vec<u8>,
    },
    /// A file is where a folder is needed, or the other way round, or something is where nothing
    /// may be.
    #[error("{:?} is in the way of {:?}", String::from_utf8_lossy(.with), String::from_utf8_lossy(.path))]
    PathConflict {
        /// What was to be put there.
        path: Vec<u8>,
        /// What is there.
        with: Vec<u8>,
    },
    /// The mode does not go with the content, or with what is at the path.
    #[error("{:?} cannot have mode {mode:06o}: {why}", String::from_utf8_lossy(.path))]
    ModeInvalid {
        /// The path.
        path: Vec<u8>,
        /// The mode.
        mode: u32,
        /// Why not.
        why: &'static str,
    },
    /// The text to be replaced is empty.
    #[error("edit {edit} of {:?} looks for an empty text", String::from_utf8_lossy(.path))]
    EditEmpty {
        /// The file.
        path: Vec<u8>,
        /// Which of its edits, from 0.
        edit: usize,
    },
    /// The text to be replaced does not occur as often as it should.
    #[error("edit {edit} of {:?} found its text {found} times, not {count}", String::from_utf8_lossy(.path))]
    EditNotFound {
        /// The file.
        path: Vec<u8>,
        /// Which of its edits, from 0.
        edit: usize,
        /// How often the text is there.
        found: u64,
        /// How often it was to be there.
        count: u64,
    },
    /// An edit would make a file too large.
    #[error("{:?} would have {bytes} bytes, of at most {max}", String::from_utf8_lossy(.path))]
    FileTooLarge {
        /// The file.
        path: Vec<u8>,
        /// How large it would become.
        bytes: u64,
        /// How large it may become.
        max: u64,
    },
    /// The blob to be put does not exist here, as far as the repository's refs reach.
    #[error("there is no blob {id}")]
    BlobNotFound {
        /// The id.
        id: ObjectId,
    },
    /// Git would refuse the file: it reads it itself, and it could do harm.
    #[error("{:?} is refused: {finding}", String::from_utf8_lossy(.name))]
    FileRefused {
        /// Its name in its folder.
        name: Vec<u8>,
        /// What `git fsck` says of it.
        finding: Finding,
    },
    /// The commit would be the same as its parent.
    #[error("the actions change nothing")]
    NothingToCommit,
    /// The branch does not exist.
    #[error("there is no branch {branch}")]
    BranchNotFound {
        /// The branch.
        branch: RefName,
    },
    /// The branch that was to be made exists.
    #[error("{branch} exists")]
    BranchExists {
        /// The branch.
        branch: RefName,
    },
    /// Nothing is left of the message.
    #[error("the commit message is empty")]
    MessageEmpty,
    /// The content was made to collide with another.
    #[error(transparent)]
    Collision(#[from] Collision),
    /// What is stored cannot be edited.
    #[error(transparent)]
    Tree(TreeEditError),
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

impl From<TreeEditError> for CommitError {
    fn from(error: TreeEditError) -> CommitError {
        match error {
            TreeEditError::Conflict { path, with } => CommitError::PathConflict { path, with },
            TreeEditError::NotFound { path } => CommitError::PathNotFound { path },
            TreeEditError::Collision(collision) => CommitError::Collision(collision),
            TreeEditError::Pool(error) => CommitError::Pool(error),
            other => CommitError::Tree(other),
        }
    }
}

/// A commit that was made.
#[derive(Debug, Clone)]
pub struct CommitMade {
    /// Its id.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// The commit it continues; `None` for a root commit.
    pub parent: Option<ObjectId>,
    /// Its bytes.
    pub data: Bytes,
    /// The parent's tree; `None` for a root commit.
    pub parent_tree: Option<ObjectId>,
    /// How many files differ from the parent's, without renames; `None` where that could not be
    /// counted.
    pub files_changed: Option<u64>,
}

/// Where a [`NewCommitOnBranch`] says what it made, for whoever published it.
#[derive(Debug, Clone, Default)]
pub struct Receipt(Arc<Mutex<Option<CommitMade>>>);

impl Receipt {
    /// What the proposal made when it was last asked; `None` before, and when it refused.
    pub fn take(&self) -> Option<CommitMade> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, made: Option<CommitMade>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = made;
    }
}

/// A commit onto whatever the branch is when its turn comes.
///
/// What is long was done when it was made: blobs are hashed, objects looked for, texts replaced
/// in the files as they were then. In its turn it makes trees and the commit.
pub struct NewCommitOnBranch {
    request: CommitRequest,
    /// The commit behind its tree and parent: who, when, and the message.
    tail: Vec<u8>,
    steps: Vec<Step>,
    /// The blobs that the actions bring.
    blobs: Vec<NewObject>,
    /// What edits made of blobs, by blob and step.
    edited: HashMap<(ObjectId, usize), NewObject>,
    /// The pack that blobs were put into because they are too large for an entry.
    aside: Option<Quarantined>,
    /// Where it says what it made, if somebody wants to know.
    receipt: Option<Receipt>,
}

/// An action, with what could be done ahead done.
enum Step {
    Put {
        path: Vec<u8>,
        id: ObjectId,
        mode: Option<FileMode>,
        is_blob: bool,
    },
    Edit {
        path: Vec<u8>,
        edits: Vec<TextEdit>,
    },
    Delete {
        path: Vec<u8>,
    },
    Move {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Chmod {
        path: Vec<u8>,
        mode: FileMode,
    },
}

impl NewCommitOnBranch {
    /// Checks what can be checked before the turn, and does what can be done.
    ///
    /// # Errors
    /// [`CommitError`]: what no state of the branch could mend.
    pub fn new(view: &View, mut request: CommitRequest) -> Result<NewCommitOnBranch, CommitError> {
        request.message = message::clean(&request.message);
        if request.message.is_empty() {
            return Err(CommitError::MessageEmpty);
        }
        let whole = NewCommit {
            tree: ObjectId::null(view.pool.format()),
            parents: &[],
            author: &request.author,
            committer: &request.committer,
            encoding: None,
            message: &request.message,
        }
        .encode();
        let tree_line = header_line(b"tree ", &ObjectId::null(view.pool.format())).len();
        let actions = std::mem::take(&mut request.actions);
        let mut proposal = NewCommitOnBranch {
            request,
            tail: whole[tree_line..].to_vec(),
            steps: Vec::with_capacity(actions.len()),
            blobs: Vec::new(),
            edited: HashMap::new(),
            aside: None,
            receipt: None,
        };
        for action in actions {
            let step = proposal.prepare(view, action)?;
            proposal.steps.push(step);
        }
        if proposal
            .steps
            .iter()
            .any(|step| matches!(step, Step::Edit { .. }))
        {
            proposal.edit_ahead(view);
        }
        Ok(proposal)
    }

    /// Puts the blobs into a pack if they are too large for an entry. Blocks on the disk.
    ///
    /// # Errors
    /// [`QuarantineError`].
    pub fn put_aside(&mut self, repository: &Arc<Repository>) -> Result<(), QuarantineError> {
        let mut objects = NewObjects {
            inline: std::mem::take(&mut self.blobs),
            packs: Vec::new(),
        };
        let aside = repository.put_aside(&mut objects);
        self.blobs = objects.inline;
        self.aside = aside?;
        Ok(())
    }

    /// Where it will say what it made.
    pub fn receipt(&mut self) -> Receipt {
        self.receipt.get_or_insert_default().clone()
    }

    fn say(&self, made: impl FnOnce() -> Option<CommitMade>) {
        if let Some(receipt) = &self.receipt {
            receipt.set(made());
        }
    }

    fn prepare(&mut self, view: &View, action: Action) -> Result<Step, CommitError> {
        Ok(match action {
            Action::Put {
                path,
                content,
                mode,
            } => {
                check_path(&path)?;
                let (id, is_blob) = match content {
                    Content::Bytes(_) if mode == Some(FileMode::Submodule) => {
                        return Err(CommitError::ModeInvalid {
                            path,
                            mode: FileMode::Submodule.bits(),
                            why: "a submodule is a commit's id, not content",
                        });
                    }
                    Content::Bytes(data) => {
                        let id = hash_object(view.pool.format(), ObjectKind::Blob, &data)?;
                        self.blobs.push(NewObject {
                            id,
                            kind: ObjectKind::Blob,
                            body: ObjectBody::Whole(data),
                        });
                        (id, true)
                    }
                    // Another hash's id would make a tree that nobody can read.
                    Content::Object(id) if id.kind() != view.pool.format() => {
                        return Err(CommitError::BlobNotFound { id });
                    }
                    Content::Object(id) if mode == Some(FileMode::Submodule) => (id, false),
                    Content::Object(id) => {
                        let is_blob = view.visibility().sees(&id)?
                            && matches!(view.pool.header(&id)?, Some((ObjectKind::Blob, _)));
                        if !is_blob && mode.is_some() {
                            return Err(CommitError::BlobNotFound { id });
                        }
                        if is_blob {
                            // The branch may not have it yet: the commit introduces it then.
                            self.blobs.push(NewObject {
                                id,
                                kind: ObjectKind::Blob,
                                body: ObjectBody::Elsewhere,
                            });
                        }
                        (id, is_blob)
                    }
                };
                Step::Put {
                    path,
                    id,
                    mode,
                    is_blob,
                }
            }
            Action::Edit { path, edits } => {
                check_path(&path)?;
                if let Some(edit) = edits.iter().position(|edit| edit.old.is_empty()) {
                    return Err(CommitError::EditEmpty { path, edit });
                }
                Step::Edit { path, edits }
            }
            Action::Delete { path } => {
                check_path(&path)?;
                Step::Delete { path }
            }
            Action::Move { from, path: to } => {
                check_path(&from)?;
                check_path(&to)?;
                Step::Move { from, to }
            }
            Action::Chmod { path, mode } => {
                check_path(&path)?;
                if mode == FileMode::Submodule {
                    return Err(CommitError::ModeInvalid {
                        path,
                        mode: mode.bits(),
                        why: "a file does not become a submodule",
                    });
                }
                Step::Chmod { path, mode }
            }
        })
    }

    /// Runs the edits on the branch as it is: in the turn only those are run again whose files
    /// have changed since.
    fn edit_ahead(&mut self, view: &View) {
        let pool = &*view.pool;
        // What goes wrong here will go wrong in the turn again, and be reported there.
        let _ = self.parent(&view.refs).and_then(|parent| {
            let mut editor = match parent {
                Some(parent) => TreeEditor::open(pool, &tree_of(pool, parent)?)?,
                None => TreeEditor::empty(pool.format()),
            };
            self.apply(pool, &mut editor, &mut Vec::new())
        });
    }

    /// What the branch's next commit continues.
    fn parent(&self, refs: &Refs) -> Result<Option<ObjectId>, CommitError> {
        let branch = &self.request.branch;
        let head = refs.resolve(branch.as_bytes());
        match (head, self.request.start) {
            (Some(head), Start::Existing) => Ok(Some(head)),
            (Some(_), _) => Err(CommitError::BranchExists {
                branch: branch.clone(),
            }),
            (None, Start::At(id)) => Ok(Some(id)),
            (None, Start::Unrelated) => Ok(None),
            (None, Start::Existing) if refs.head_branch() == Some(branch) || is_empty(refs) => {
                Ok(None)
            }
            (None, Start::Existing) => Err(CommitError::BranchNotFound {
                branch: branch.clone(),
            }),
        }
    }

    /// The change that makes the commit on the branch as `refs` have it.
    ///
    /// # Errors
    /// [`CommitError`].
    pub fn propose(&mut self, refs: &Refs, pool: &Pool) -> Result<Change, CommitError> {
        self.say(|| None);
        let branch = self.request.branch.clone();
        let head = refs.resolve(branch.as_bytes());
        let expected = head.map_or(Expected::Absent, Expected::At);
        if self.request.expected != Expected::Anything && self.request.expected != expected {
            // The door says that the branch moved, and what it is.
            return Ok(self.change(
                RefEdit {
                    name: branch,
                    expected: self.request.expected,
                    target: head.map_or(Target::Gone, Target::At),
                },
                Vec::new(),
            ));
        }
        let parent = self.parent(refs)?;
        let format = pool.format();
        let parent_tree = parent.map(|parent| tree_of(pool, parent)).transpose()?;
        let mut editor = match &parent_tree {
            Some(tree) => pool.tip_trees().take(pool, tree)?,
            None => TreeEditor::empty(format),
        };
        let mut objects = Vec::with_capacity(self.blobs.len() + TREES_ROUGHLY + 1);
        objects.extend_from_slice(&self.blobs);
        let touched = self.files_touched(pool, &mut editor)?;
        self.apply(pool, &mut editor, &mut objects)?;
        let blobs = objects.len();
        let tree = editor.write(&mut objects)?;
        for file in editor.special() {
            check_special_file(pool, file, &objects)?;
        }
        // Several steps may have had their way with one file: only what is left is brought.
        if self.steps.len() > 1 {
            let placed: HashSet<ObjectId> = editor.placed().iter().copied().collect();
            let mut number = 0;
            objects.retain(|object| {
                number += 1;
                number > blobs || placed.contains(&object.id)
            });
        }
        pool.tip_trees().put(editor);
        let empty_tree = ObjectId::empty_tree(format);
        if tree == parent_tree.unwrap_or(empty_tree) {
            if !self.request.allow_empty {
                return Err(CommitError::NothingToCommit);
            }
            if parent.is_none() {
                objects.push(NewObject {
                    id: empty_tree,
                    kind: ObjectKind::Tree,
                    body: ObjectBody::Whole(Bytes::new()),
                });
            }
        }
        let tree_line = header_line(b"tree ", &tree);
        let parent_line = parent.map(|parent| header_line(b"parent ", &parent));
        let parent_line = parent_line.as_deref().unwrap_or_default();
        let length = tree_line.len() + parent_line.len() + self.tail.len();
        let mut data = Vec::with_capacity(length);
        data.extend_from_slice(&tree_line);
        data.extend_from_slice(parent_line);
        data.extend_from_slice(&self.tail);
        let id = hash_object(format, ObjectKind::Commit, &data)?;
        let data = Bytes::from(data);
        self.say(|| {
            let files_changed = match touched {
                _ if tree == parent_tree.unwrap_or(empty_tree) => Some(0),
                Some(files) => Some(files),
                None => count_changed(pool, &objects, parent_tree, tree),
            };
            Some(CommitMade {
                id,
                tree,
                parent,
                data: data.clone(),
                parent_tree,
                files_changed,
            })
        });
        objects.push(NewObject {
            id,
            kind: ObjectKind::Commit,
            body: ObjectBody::Whole(data),
        });
        let edit = RefEdit {
            name: branch,
            expected,
            target: Target::At(id),
        };
        Ok(self.change(edit, objects))
    }

    /// How many files change if the tree does, where that can be said without comparing trees.
    fn files_touched(
        &self,
        pool: &Pool,
        editor: &mut TreeEditor,
    ) -> Result<Option<u64>, CommitError> {
        let (path, files) = match &self.steps[..] {
            [Step::Put { .. } | Step::Edit { .. } | Step::Chmod { .. }] => return Ok(Some(1)),
            [Step::Delete { path }] => (path, 1),
            // One that goes and one that comes.
            [Step::Move { from, .. }] => (from, 2),
            _ => return Ok(None),
        };
        let is_file = matches!(editor.find(pool, path)?, Some(Found::File { .. }));
        Ok(is_file.then_some(files))
    }

    fn change(&self, edit: RefEdit, inline: Vec<NewObject>) -> Change {
        Change {
            objects: NewObjects {
                inline,
                packs: self.aside.iter().map(Quarantined::pack).collect(),
            },
            edits: vec![Edit::Ref(edit)],
            cause: self.request.cause.clone(),
        }
    }

    /// Applies the steps in order; new blobs go to `objects`.
    fn apply(
        &mut self,
        pool: &Pool,
        editor: &mut TreeEditor,
        objects: &mut Vec<NewObject>,
    ) -> Result<(), CommitError> {
        for (number, step) in self.steps.iter().enumerate() {
            match step {
                Step::Put {
                    path,
                    id,
                    mode,
                    is_blob,
                } => {
                    let mode = match mode {
                        Some(mode) => mode.bits(),
                        None => mode_to_keep(pool, editor, path, *id, *is_blob)?,
                    };
                    editor.put(pool, path, mode, *id)?;
                }
                Step::Edit { path, edits } => {
                    let (mode, id) = find_file(pool, editor, path)?;
                    let key = (id, number);
                    let blob = match self.edited.get(&key) {
                        Some(blob) => blob.clone(),
                        None => {
                            let blob = edit_blob(
                                pool,
                                File { path, mode, id },
                                edits,
                                self.request.file_bytes_max,
                                &[&self.blobs, objects],
                            )?;
                            self.edited.insert(key, blob.clone());
                            blob
                        }
                    };
                    editor.put(pool, path, mode, blob.id)?;
                    objects.push(blob);
                }
                Step::Delete { path } => editor.remove(pool, path)?,
                Step::Move { from, to } => editor.rename(pool, from, to)?,
                Step::Chmod { path, mode } => {
                    let (old, id) = find_file(pool, editor, path)?;
                    if is_submodule(old) {
                        return Err(CommitError::ModeInvalid {
                            path: path.clone(),
                            mode: mode.bits(),
                            why: "it is a submodule",
                        });
                    }
                    editor.put(pool, path, mode.bits(), id)?;
                }
            }
        }
        Ok(())
    }
}

/// How many trees most commits make.
const TREES_ROUGHLY: usize = 4;

impl Proposal for NewCommitOnBranch {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        Ok(Some(self.propose(&now.snapshot.refs, now.pool)?))
    }
}

/// How many files differ between two trees, the newer of which may be among `objects`.
fn count_changed(
    pool: &Pool,
    objects: &[NewObject],
    old: Option<ObjectId>,
    new: ObjectId,
) -> Option<u64> {
    let trees = objects.iter().filter(|o| o.kind == ObjectKind::Tree);
    let made: HashMap<&oid, &ObjectBody> = trees.map(|o| (&*o.id, &o.body)).collect();
    let read = |id: &oid| -> Result<Bytes, PoolError> {
        let mut deltas = Vec::new();
        let mut at = id.to_owned();
        let mut data = loop {
            match made.get(&*at) {
                Some(ObjectBody::Whole(data)) => break data.clone(),
                Some(ObjectBody::Delta { base, delta }) if deltas.len() <= made.len() => {
                    deltas.push(delta);
                    at = *base;
                }
                _ => break tree::read(pool, &at)?,
            }
        };
        for step in deltas.into_iter().rev() {
            let made = delta::apply(&data, step, u64::MAX);
            data = made
                .map_err(|error| PoolError::Damaged {
                    id: at,
                    pack: None,
                    what: error.to_string(),
                })?
                .into();
        }
        Ok(data)
    };
    // Nothing but an answer depends on it.
    tree::count_changed_files(pool.format(), &read, old, Some(new)).ok()
}

/// The mode of a file that is put without one: that which is there, if it fits.
fn mode_to_keep(
    pool: &Pool,
    editor: &mut TreeEditor,
    path: &[u8],
    id: ObjectId,
    is_blob: bool,
) -> Result<u32, CommitError> {
    match editor.find(pool, path)? {
        Some(Found::File { mode, .. }) if is_submodule(mode) && !is_blob => Ok(MODE_SUBMODULE),
        _ if !is_blob => Err(CommitError::BlobNotFound { id }),
        Some(Found::File { mode, .. }) if !is_submodule(mode) => Ok(canonical_mode(mode)),
        _ => Ok(FileMode::File.bits()),
    }
}

fn find_file(
    pool: &Pool,
    editor: &mut TreeEditor,
    path: &[u8],
) -> Result<(u32, ObjectId), CommitError> {
    match editor.find(pool, path)? {
        Some(Found::File { mode, id }) => Ok((canonical_mode(mode), id)),
        Some(Found::Folder) => Err(CommitError::PathConflict {
            path: path.into(),
            with: path.into(),
        }),
        None => Err(CommitError::PathNotFound { path: path.into() }),
    }
}

/// A file that is to be edited.
struct File<'a> {
    path: &'a [u8],
    mode: u32,
    id: ObjectId,
}

/// Applies `edits` to a file, whose blob may be among `new`.
fn edit_blob(
    pool: &Pool,
    file: File<'_>,
    edits: &[TextEdit],
    bytes_max: u64,
    new: &[&[NewObject]],
) -> Result<NewObject, CommitError> {
    let path = file.path;
    if is_submodule(file.mode) {
        return Err(CommitError::ModeInvalid {
            path: path.into(),
            mode: file.mode,
            why: "a submodule has no text to edit",
        });
    }
    let mut text = blob(pool, file.id, new)?;
    for (number, edit) in edits.iter().enumerate() {
        let bytes = edit
            .size_after(&text)
            .map_err(|found| CommitError::EditNotFound {
                path: path.into(),
                edit: number,
                found,
                count: edit.count,
            })?;
        if bytes > bytes_max {
            return Err(CommitError::FileTooLarge {
                path: path.into(),
                bytes,
                max: bytes_max,
            });
        }
        text = edit.apply(&text).into();
    }
    Ok(NewObject {
        id: hash_object(pool.format(), ObjectKind::Blob, &text)?,
        kind: ObjectKind::Blob,
        body: ObjectBody::Whole(text),
    })
}

/// Refuses what a push would be refused for: a `.gitmodules` that is a symbolic link, or names
/// submodules that would leave the working tree or run something.
fn check_special_file(pool: &Pool, file: &Placed, new: &[NewObject]) -> Result<(), CommitError> {
    let mut tree = Vec::new();
    write_entry(&mut tree, file.mode, &file.name, &file.id);
    let mut finding = None;
    let mut special = None;
    let mut on_finding = |found: Finding| {
        if found.severity == Severity::Error {
            finding.get_or_insert(found);
        }
    };
    let format = pool.format();
    check_object(
        ObjectKind::Tree,
        &tree,
        format,
        &mut on_finding,
        &mut |what, _| {
            special = Some(what);
        },
    );
    if let Some(special) = special {
        match blob(pool, file.id, &[new]) {
            Ok(data) => check_special(special, &data, &mut on_finding),
            Err(PoolError::Missing { .. }) => on_finding(special.missing()),
            Err(error) => return Err(error.into()),
        }
    }
    match finding {
        None => Ok(()),
        Some(finding) => Err(CommitError::FileRefused {
            name: file.name.to_vec(),
            finding,
        }),
    }
}

/// The content of a blob, which may be among `new`.
fn blob(pool: &Pool, id: ObjectId, new: &[&[NewObject]]) -> Result<Bytes, PoolError> {
    let new = new
        .iter()
        .copied()
        .flatten()
        .filter(|object| object.id == id);
    for object in new {
        if let ObjectBody::Whole(data) = &object.body {
            return Ok(data.clone());
        }
    }
    Ok(pool.get(&id)?.data)
}

fn is_submodule(mode: u32) -> bool {
    canonical_mode(mode) == MODE_SUBMODULE
}

fn check_path(path: &[u8]) -> Result<(), CommitError> {
    path::check(path).map_err(|source| CommitError::PathInvalid {
        path: path.into(),
        source,
    })
}

/// A line of a commit's header that names an object.
fn header_line(key: &[u8], id: &ObjectId) -> SmallVec<[u8; 96]> {
    let mut line = SmallVec::from_slice(key);
    let mut hex = [0; 64];
    let hex = id.hex_to_buf(&mut hex);
    line.extend_from_slice(hex.as_bytes());
    line.push(b'\n');
    line
}

/// Whether the repository has no refs but HEAD, and what the server keeps for itself.
fn is_empty(refs: &Refs) -> bool {
    refs.with_prefix(b"refs/")
        .all(|(name, _)| name.as_bytes().starts_with(b"refs/govc/"))
}

/// The tree of a commit.
pub(super) fn tree_of(pool: &Pool, id: ObjectId) -> Result<ObjectId, PoolError> {
    let graph = pool.graph();
    if let Some(number) = graph.number(&id) {
        return Ok(graph.tree(number));
    }
    let object = pool.get(&id)?;
    if object.kind != ObjectKind::Commit {
        return Err(PoolError::WrongKind {
            id,
            found: object.kind,
            expected: ObjectKind::Commit,
        });
    }
    let facts = commit::facts(&object.data, pool.format()).map_err(|error| PoolError::Damaged {
        id,
        pack: None,
        what: error.to_string(),
    })?;
    Ok(facts.tree)
}
