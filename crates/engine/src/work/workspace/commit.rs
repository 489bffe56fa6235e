//! Commits of what is staged.

use std::sync::Arc;

use bytes::Bytes;
use govc_git::encoding::commit_in_utf8;
use govc_git::object::commit::NewCommit;
use govc_git::object::{CommitRef, Signature, SignatureRef, signature};
use govc_git::object_id::hash_object;
use govc_git::{ObjectId, ObjectKind, message};

use super::draft::{Changed, TreeEdit, edit_tree, once};
use super::operation::beside_another;
use super::stash::{MadeTrees, conflict};
use super::{OpenWorkspace, WorkspaceError};
use crate::pool::Pool;
use crate::work::diff::changes::changed_files_with;
use crate::work::diff::{TreeFilter, changed_files};
use crate::work::merge::{Labels, MergeOptions, merge_trees};
use crate::work::tree;
use crate::{NewObject, ObjectBody, Operation, OperationKind};

/// What a commit of a workspace is to be.
#[derive(Debug, Clone)]
pub struct StagedCommit {
    /// The message as it was given; `None` keeps that of the commit that is amended, or the one
    /// that the operation in progress has ready.
    pub message: Option<Vec<u8>>,
    /// Take the place of the last commit.
    pub amend: bool,
    /// Make a commit even when its tree is its parent's.
    pub allow_empty: bool,
    /// Who wrote the change; `None` keeps the author of the commit that is amended or picked.
    pub author: Option<Signature>,
    /// Who wrote it where nobody is named and none is kept.
    pub asking: Signature,
    /// Who commits.
    pub committer: Signature,
}

/// A commit of a workspace that was made.
#[derive(Debug, Clone)]
pub struct StagedCommitMade {
    /// The workspace after it, and the objects that it brings.
    pub changed: Changed,
    /// Its id.
    pub id: ObjectId,
    /// Its bytes.
    pub data: Bytes,
    /// How many files differ from the first parent's.
    pub files_changed: u64,
}

impl OpenWorkspace {
    /// The commit of what is staged.
    ///
    /// # Errors
    /// [`WorkspaceError::Unmerged`], [`WorkspaceError::NothingToCommit`],
    /// [`WorkspaceError::MessageEmpty`], [`WorkspaceError::Unborn`] where there is nothing to
    /// amend.
    pub fn commit(
        &self,
        pool: &Pool,
        new: &StagedCommit,
    ) -> Result<StagedCommitMade, WorkspaceError> {
        self.check_merged()?;
        let operation = self.now.operation.as_deref();
        let amended = match (new.amend, self.now.base) {
            (false, _) => None,
            (true, Some(base)) => {
                let data = pool.get_kind(&base, ObjectKind::Commit)?;
                Some(commit_in_utf8(&data).into_owned())
            }
            (true, None) => return Err(self.unborn()),
        };
        if let (true, Some(operation)) = (new.amend, operation) {
            let operation = operation.kind.name();
            return Err(WorkspaceError::InProgress { operation });
        }
        let format = pool.format();
        let amended = match &amended {
            Some(data) => {
                let parsed = CommitRef::parse(data, format);
                let id = self.now.base.unwrap_or(format.null());
                Some(parsed.map_err(|error| tree::damaged(id, &error))?)
            }
            None => None,
        };
        let mut parents: Vec<ObjectId> = match &amended {
            Some(commit) => commit.parents.to_vec(),
            None => self.now.base.into_iter().collect(),
        };
        if let Some(merge) = operation.filter(|op| op.kind == OperationKind::Merge) {
            parents.push(merge.commit);
        }
        let message = match (&new.message, &amended, operation) {
            (Some(given), ..) => message::clean(given),
            (None, Some(commit), _) => commit.message.to_vec(),
            (None, None, Some(operation)) => operation.message.to_vec(),
            (None, None, None) => Vec::new(),
        };
        if message.is_empty() {
            return Err(WorkspaceError::MessageEmpty);
        }
        let parent_tree = super::state::tree_or_empty(pool, parents.first().copied())?;
        if self.now.index == parent_tree && parents.len() < 2 && !new.allow_empty {
            return Err(WorkspaceError::NothingToCommit);
        }
        let kept = match (&amended, operation) {
            (Some(commit), _) => Some(made_again(&commit.author)),
            // As in git, a commit by hand in a rebase is by who makes it.
            (None, Some(operation)) if operation.kind == OperationKind::CherryPick => {
                self.author_kept(pool, operation)?
            }
            (None, _) => None,
        };
        let author = new.author.clone().or(kept).unwrap_or(new.asking.clone());
        let data = NewCommit {
            tree: self.now.index,
            parents: &parents,
            author: &author,
            committer: &new.committer,
            encoding: None,
            message: &message,
        }
        .encode();
        let mut made = self.record(pool, parents.first().copied(), data)?;
        let goes_on = |operation: &Arc<Operation>| operation.goes_on();
        made.changed.after.operation = self.now.operation.clone().filter(goes_on);
        Ok(made)
    }

    /// The author of the commit that was stopped, where that is taken over and still to be made.
    pub(super) fn author_kept(
        &self,
        pool: &Pool,
        operation: &Operation,
    ) -> Result<Option<Signature>, WorkspaceError> {
        let is_taken_over = matches!(
            operation.kind,
            OperationKind::CherryPick | OperationKind::Rebase
        );
        // Somebody committed it already; a rebase keeps its author until the next one.
        let is_pick = operation.kind == OperationKind::CherryPick;
        if !is_taken_over || (is_pick && self.is_committed(operation)) {
            return Ok(None);
        }
        let data = pool.get_kind(&operation.commit, ObjectKind::Commit)?;
        let data = commit_in_utf8(&data);
        let commit = CommitRef::parse(&data, pool.format());
        let commit = commit.map_err(|error| tree::damaged(operation.commit, &error))?;
        Ok(Some(made_again(&commit.author)))
    }

    /// What is staged, put onto the newest head of the branch as one commit. What is not staged
    /// moves along.
    ///
    /// # Errors
    /// [`WorkspaceError::Conflict`] where that cannot be; [`WorkspaceError::Dirty`] where changes
    /// that are not staged are in the way; those of [`OpenWorkspace::commit`].
    pub fn commit_onto_head(
        &self,
        pool: &Pool,
        new: &StagedCommit,
    ) -> Result<StagedCommitMade, WorkspaceError> {
        self.check_merged()?;
        if let Some(operation) = &self.now.operation {
            let operation = operation.kind.name();
            return Err(WorkspaceError::InProgress { operation });
        }
        if self.now.index == self.base_tree && !new.allow_empty {
            return Err(WorkspaceError::NothingToCommit);
        }
        let head_tree = super::state::tree_or_empty(pool, self.head)?;
        let labels = Labels {
            ancestor: b"base",
            ours: b"head",
            theirs: b"staged",
        };
        let (base, staged) = (self.base_tree, self.now.index);
        let merged = merge_trees(
            pool,
            &base,
            &head_tree,
            &staged,
            &labels,
            &MergeOptions::default(),
        )?;
        if !merged.is_clean {
            return Err(conflict(&merged));
        }
        let index = merged.tree;
        // What is in the files and not in the index moves along where others have not been.
        let mut lost = Vec::new();
        let mut in_files = Vec::new();
        let all = TreeFilter::default();
        for change in changed_files(pool, Some(&staged), Some(&self.now.files), &all)? {
            let at_head = tree::lookup(pool, &head_tree, &change.path)?;
            let at_base = tree::lookup(pool, &base, &change.path)?;
            match at_head == at_base {
                true => in_files.push(TreeEdit::to(&change.path, change.new)),
                false => lost.push(change.path),
            }
        }
        if !lost.is_empty() {
            return Err(WorkspaceError::Dirty { paths: lost });
        }
        let made = MadeTrees::of(pool, &merged.objects);
        let read = |id: &govc_git::oid| made.read(id);
        let onto = changed_files_with(pool.format(), &read, Some(&head_tree), Some(&index), &all)?;
        let files_changed = onto.len() as u64;
        let edits = onto
            .iter()
            .map(|change| TreeEdit::to(&change.path, change.new));
        let edits: Vec<TreeEdit> = edits.chain(in_files).collect();
        let mut objects = merged.objects.clone();
        let files = edit_tree(pool, &head_tree, &edits, &mut objects)?;
        let message = message::clean(new.message.as_deref().unwrap_or_default());
        if message.is_empty() {
            return Err(WorkspaceError::MessageEmpty);
        }
        let parents: Vec<ObjectId> = self.head.into_iter().collect();
        let data = NewCommit {
            tree: index,
            parents: &parents,
            author: new.author.as_ref().unwrap_or(&new.asking),
            committer: &new.committer,
            encoding: None,
            message: &message,
        }
        .encode();
        let id = hash_object(pool.format(), ObjectKind::Commit, &data)?;
        let data = Bytes::from(data);
        objects.push(NewObject {
            id,
            kind: ObjectKind::Commit,
            body: ObjectBody::Whole(data.clone()),
        });
        if let Some(head) = self.head.filter(|_| files != index) {
            beside_another(pool, &mut objects, head)?;
        }
        let mut after = self.now.clone();
        (after.base, after.index, after.files) = (Some(id), index, files);
        Ok(StagedCommitMade {
            changed: Changed {
                objects: once(objects),
                ..Changed::to(after)
            },
            id,
            data,
            files_changed,
        })
    }

    /// The workspace after the commit `data` of its index became its base. What the commit
    /// introduces was brought by staging: it is listed.
    pub(super) fn record(
        &self,
        pool: &Pool,
        parent: Option<ObjectId>,
        data: Vec<u8>,
    ) -> Result<StagedCommitMade, WorkspaceError> {
        let format = pool.format();
        let id = hash_object(format, ObjectKind::Commit, &data)?;
        let data = Bytes::from(data);
        let parent_tree = super::state::tree_or_empty(pool, parent)?;
        let index = self.now.index;
        let changes = changed_files(
            pool,
            Some(&parent_tree),
            Some(&index),
            &TreeFilter::default(),
        )?;
        let mut objects = introduced(pool, &parent_tree, &index)?;
        if index == ObjectId::empty_tree(format) && pool.find(&index)?.is_none() {
            objects.push(NewObject {
                id: index,
                kind: ObjectKind::Tree,
                body: ObjectBody::Whole(Bytes::new()),
            });
        }
        objects.push(NewObject {
            id,
            kind: ObjectKind::Commit,
            body: ObjectBody::Whole(data.clone()),
        });
        let mut after = self.now.clone();
        after.base = Some(id);
        Ok(StagedCommitMade {
            changed: Changed {
                objects: once(objects),
                ..Changed::to(after)
            },
            id,
            data,
            files_changed: changes.len() as u64,
        })
    }

    pub(super) fn unborn(&self) -> WorkspaceError {
        let branch = self.now.branch.as_ref();
        WorkspaceError::Unborn {
            branch: branch.map_or_else(|| "HEAD".to_owned(), crate::RefName::to_text),
        }
    }
}

/// What the tree `new` has and `old` has not at the same path, as objects that are there.
pub(in crate::work) fn introduced(
    pool: &Pool,
    old: &ObjectId,
    new: &ObjectId,
) -> Result<Vec<NewObject>, WorkspaceError> {
    let changes = changed_files(pool, Some(old), Some(new), &TreeFilter::default())?;
    let mut objects = Vec::new();
    let mut push = |id: ObjectId, kind: ObjectKind| {
        objects.push(NewObject {
            id,
            kind,
            body: ObjectBody::Elsewhere,
        });
    };
    let empty = ObjectId::empty_tree(pool.format());
    let mut folders: hashbrown::HashSet<&[u8]> = hashbrown::HashSet::new();
    for change in &changes {
        if let Some(file) = change.new.filter(|file| file.mode != 0o160_000) {
            push(file.id, ObjectKind::Blob);
        }
        let ends = memchr::memchr_iter(b'/', &change.path).map(|end| &change.path[..end]);
        for folder in std::iter::once(&b""[..]).chain(ends) {
            if !folders.insert(folder) {
                continue;
            }
            let found = tree::lookup(pool, new, folder)?.filter(tree::Found::is_folder);
            if let Some(found) = found.filter(|found| found.id != empty) {
                push(found.id, ObjectKind::Tree);
            }
        }
    }
    Ok(objects)
}

/// A person as Git writes one that it takes from a commit to make it by hand: without what does not
/// belong at the ends of a name, unless nothing is left.
fn made_again(person: &SignatureRef<'_>) -> Signature {
    let mut person = person.to_owned();
    let cleaned = |text: &[u8]| Some(signature::clean(text)).filter(|text| !text.is_empty());
    person.name = cleaned(&person.name).unwrap_or(person.name);
    person.email = cleaned(&person.email).unwrap_or(person.email);
    person
}
