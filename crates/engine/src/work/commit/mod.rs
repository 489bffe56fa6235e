//! Commits on a branch by a list of actions, without a workspace.

mod error;
mod made;
mod request;
mod special;
mod steps;

use std::sync::Arc;

use bytes::Bytes;
use govc_git::object::{NewCommit, commit};
use govc_git::object_id::hash_object;
use govc_git::{ObjectId, ObjectKind, message};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::tree_editor::TreeEditor;
use super::view::View;
use crate::pool::{Pool, PoolError};
use crate::repository::publish::{Pending, Proposal, Refusal};
use crate::{
    Change, Edit, Expected, NewObject, NewObjects, ObjectBody, QuarantineError, Quarantined,
    RefEdit, Refs, Repository, Target,
};
pub use error::CommitError;
use made::count_changed;
pub use made::{CommitMade, Receipt};
pub use request::{CommitRequest, Start};
pub(in crate::work) use special::check_special_file;
use steps::Step;

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
}

/// How many trees most commits make.
const TREES_ROUGHLY: usize = 4;

impl Proposal for NewCommitOnBranch {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        Ok(Some(self.propose(&now.snapshot.refs, now.pool)?))
    }
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
        .all(|(name, _)| crate::work::hidden::is_internal(name.as_bytes()))
}

/// The tree of a commit.
pub(in crate::work) fn tree_of(pool: &Pool, id: ObjectId) -> Result<ObjectId, PoolError> {
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
