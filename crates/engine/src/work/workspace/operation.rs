//! Merges, picks, reverts and rebases in a workspace: what stops them is left there, to be solved
//! and gone on with, or to be taken back, as git leaves it.

use std::sync::Arc;

use govc_git::object::Signature;
use govc_git::{ObjectId, ObjectKind};

use super::checkout::file_at;
use super::draft::{Changed, TreeEdit, edit_tree, once};
use super::rules::Rules;
use super::state::tree_or_empty;
use super::{OpenWorkspace, StagedCommit, WorkspaceError, WorkspaceStatus};
use crate::pool::{Pool, PoolError};
use crate::work::diff::{TreeFilter, changed_files};
use crate::work::merge::{
    IntegrateError, Made, People, Progress, Scratch, Steps, TreeMerge, progress_further,
};
use crate::work::tree::Found;
use crate::{NewObject, ObjectBody, Operation, OperationKind, RefName};

/// What came of bringing commits into a workspace.
#[derive(Debug, Clone)]
pub struct Brought {
    /// The workspace after it, and the objects that it brings.
    pub changed: Changed,
    /// The commit that it is at.
    pub head: Option<ObjectId>,
    /// The commits that were made, in their order.
    pub made: Vec<Made>,
    /// The branch that moves with it.
    pub branch: Option<BranchMove>,
    /// What is to be solved, where it did not come to its end.
    pub stopped: Option<WorkspaceStatus>,
}

/// A branch that moves with its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchMove {
    /// The branch.
    pub name: RefName,
    /// What it is; `None`: unborn.
    pub before: Option<ObjectId>,
    /// What it becomes.
    pub after: ObjectId,
}

/// How an operation is gone on with.
#[derive(Debug, Clone)]
pub struct GoOn {
    /// The message of the commit that was stopped; `None`: the one that is ready.
    pub message: Option<Vec<u8>>,
    /// That commit is left out.
    pub skip: bool,
    /// Who wrote it; `None`: as the operation has it.
    pub author: Option<Signature>,
    /// Who asks, and who commits.
    pub people: People,
}

/// Why an operation is not gone on with. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum GoOnError {
    /// The workspace does not let it.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// One of the commits that follow cannot be brought.
    #[error(transparent)]
    Integrate(#[from] IntegrateError),
}

impl From<PoolError> for GoOnError {
    fn from(error: PoolError) -> GoOnError {
        GoOnError::Workspace(error.into())
    }
}

/// Where an operation began.
struct Origin {
    original: Option<ObjectId>,
    branch: Option<RefName>,
    /// What the branch is now.
    before: Option<ObjectId>,
    done: Vec<ObjectId>,
    is_rebase: bool,
}

impl OpenWorkspace {
    /// Takes in what was made of its head, and what stopped it. A rebase moves the branch at its
    /// end, all others with each commit.
    ///
    /// # Errors
    /// [`WorkspaceError::InProgress`], [`WorkspaceError::Unmerged`]; [`WorkspaceError::Dirty`]
    /// where changes are in the way.
    pub fn bring(
        &self,
        pool: &Pool,
        progress: Progress,
        is_rebase: bool,
    ) -> Result<Brought, WorkspaceError> {
        self.check_idle()?;
        // What needs no commit is a checkout, which lets changes pass that are not in its way.
        if is_rebase || !progress.made.is_empty() || progress.stopped.is_some() {
            self.check_nothing_staged(pool)?;
        }
        if is_rebase {
            self.check_nothing_unstaged(pool)?;
        }
        let origin = Origin {
            original: self.now.base,
            branch: self.now.branch.clone(),
            before: self.head,
            done: Vec::new(),
            is_rebase,
        };
        self.advance(pool, progress, origin, Vec::new())
    }

    /// Stages what was made of its index.
    ///
    /// # Errors
    /// As [`OpenWorkspace::bring`].
    pub fn bring_uncommitted(
        &self,
        pool: &Pool,
        progress: Progress,
    ) -> Result<Brought, WorkspaceError> {
        self.check_idle()?;
        let mut merged = TreeMerge {
            tree: progress.tree,
            objects: progress.objects,
            is_clean: true,
            conflicts: Vec::new(),
            messages: Vec::new(),
        };
        if let Some(last) = progress.stopped.and_then(|stopped| stopped.merge) {
            merged.objects.extend(last.objects.iter().cloned());
            merged = TreeMerge {
                objects: merged.objects,
                ..*last
            };
        }
        let is_clean = merged.is_clean;
        let with = self.with_merged(pool, merged)?;
        let changed = Changed {
            objects: once(with.objects),
            ..Changed::to(with.after)
        };
        let stopped = match is_clean {
            true => None,
            false => Some(self.status_after(pool, &changed)?),
        };
        Ok(Brought {
            head: self.now.base,
            changed,
            made: Vec::new(),
            branch: None,
            stopped,
        })
    }

    /// Goes on with the operation in progress: commits what was solved, and takes the commits that
    /// follow.
    ///
    /// # Errors
    /// [`WorkspaceError::NotInProgress`], [`WorkspaceError::Unmerged`],
    /// [`WorkspaceError::NothingToCommit`] where a pick or revert changes nothing any more,
    /// [`WorkspaceError::Moved`] where others moved the branch.
    pub fn go_on(&self, pool: &Pool, order: &GoOn) -> Result<Brought, GoOnError> {
        let operation = self.operation()?;
        let is_rebase = operation.kind == OperationKind::Rebase;
        if self.is_behind() {
            return Err(self.moved().into());
        }
        let mut scratch = Scratch::new(pool);
        let mut objects = Vec::new();
        let mut made = Vec::new();
        let at = if order.skip {
            let instead = match operation.kind {
                OperationKind::Merge => Some("abort"),
                OperationKind::Rebase => None,
                _ => self.is_committed(&operation).then_some("continue"),
            };
            if let Some(instead) = instead {
                let operation = operation.kind.name();
                return Err(WorkspaceError::NothingToSkip { operation, instead }.into());
            }
            let changed = match operation.kind {
                OperationKind::Rebase => self.forced_to(pool, &self.base_tree)?,
                _ => self.merged_back_to(pool, &self.base_tree)?,
            };
            objects.extend(changed.objects);
            hold(&mut scratch, &objects)?;
            self.as_if(changed.after, self.base_tree)
        } else if let Some(commit) = self.conclude(pool, &operation, order)? {
            objects.extend(commit.changed.objects);
            made.push(Made {
                id: commit.id,
                data: commit.data,
            });
            self.as_if(commit.changed.after, self.now.index)
        } else {
            self.clone()
        };
        let steps = Steps {
            kind: operation.kind,
            commits: operation.todo.to_vec(),
            mainline: (operation.mainline > 0).then_some(operation.mainline as usize),
        };
        let tip = (at.now.base, at.base_tree);
        let mut progress = progress_further(pool, tip, &steps, &order.people)?;
        progress.made.splice(0..0, made);
        let origin = Origin {
            original: operation.original,
            branch: match is_rebase {
                true => operation.branch.clone(),
                false => self.now.branch.clone(),
            },
            before: match is_rebase {
                true => operation.original,
                false => self.head,
            },
            done: operation.done.to_vec(),
            is_rebase,
        };
        Ok(at.advance(pool, progress, origin, objects)?)
    }

    /// The commit of what was solved; `None` where there is nothing to be committed.
    fn conclude(
        &self,
        pool: &Pool,
        operation: &Operation,
        order: &GoOn,
    ) -> Result<Option<super::StagedCommitMade>, WorkspaceError> {
        self.check_merged()?;
        let is_rebase = operation.kind == OperationKind::Rebase;
        if is_rebase {
            self.check_nothing_unstaged(pool)?;
        }
        // Somebody committed it. What was staged after that a rebase commits, as git's does.
        if self.is_committed(operation) && !is_rebase {
            self.check_nothing_staged(pool)?;
            return Ok(None);
        }
        let is_empty = self.now.index == self.base_tree && operation.kind != OperationKind::Merge;
        if is_empty && is_rebase {
            return Ok(None);
        }
        let author = match &order.author {
            Some(author) => Some(author.clone()),
            None => self.author_kept(pool, operation)?,
        };
        let commit = StagedCommit {
            message: order.message.clone(),
            amend: false,
            allow_empty: false,
            author,
            asking: order.people.author.clone(),
            committer: order.people.committer.clone(),
        };
        self.commit(pool, &commit).map(Some)
    }

    /// Takes the operation in progress back. Commits that somebody made meanwhile stay; then it is
    /// only forgotten.
    ///
    /// # Errors
    /// [`WorkspaceError::NotInProgress`]; [`WorkspaceError::Dirty`] where changes that were not
    /// staged would be lost; [`WorkspaceError::Moved`] where others moved the branch on from
    /// commits that are to be taken back.
    pub fn abort(&self, pool: &Pool) -> Result<Brought, WorkspaceError> {
        let operation = self.operation()?;
        let is_rebase = operation.kind == OperationKind::Rebase;
        // A branch does not become unborn again.
        let target = operation.original.or(self.now.base);
        let mut branch = None;
        let mut changed = if is_rebase {
            let tree = tree_or_empty(pool, target)?;
            let mut changed = self.forced_to(pool, &tree)?;
            changed.after.branch = operation.branch.clone();
            changed.after.base = target;
            changed
        } else if self.is_committed(&operation) {
            Changed::to(self.now.clone())
        } else {
            let tree = tree_or_empty(pool, target)?;
            let mut changed = self.merged_back_to(pool, &tree)?;
            changed.after.base = target;
            if target != self.now.base {
                if self.is_behind() {
                    return Err(self.moved());
                }
                branch = self.branch_move(self.now.branch.clone(), self.head, target);
            }
            changed
        };
        changed.after.operation = None;
        Ok(Brought {
            head: changed.after.base,
            changed,
            made: Vec::new(),
            branch,
            stopped: None,
        })
    }

    /// Whether somebody committed by hand what stopped `operation`.
    pub(super) fn is_committed(&self, operation: &Operation) -> bool {
        operation.stopped_at() != self.now.base
    }

    /// The operation in progress.
    fn operation(&self) -> Result<Arc<Operation>, WorkspaceError> {
        let operation = self.now.operation.clone();
        operation.ok_or(WorkspaceError::NotInProgress)
    }

    /// Refuses what cannot begin in the middle of something else.
    ///
    /// # Errors
    /// [`WorkspaceError::InProgress`], [`WorkspaceError::Unmerged`].
    pub fn check_idle(&self) -> Result<(), WorkspaceError> {
        if let Some(operation) = &self.now.operation {
            let operation = operation.kind.name();
            return Err(WorkspaceError::InProgress { operation });
        }
        self.check_merged()
    }

    fn check_nothing_staged(&self, pool: &Pool) -> Result<(), WorkspaceError> {
        self.check_equal(pool, self.base_tree, self.now.index)
    }

    /// Untracked files are let pass.
    fn check_nothing_unstaged(&self, pool: &Pool) -> Result<(), WorkspaceError> {
        self.check_equal(pool, self.now.index, self.now.files)
    }

    /// Refuses with the paths of `a` that differ in `b`; what only `b` has counts for an index.
    fn check_equal(&self, pool: &Pool, a: ObjectId, b: ObjectId) -> Result<(), WorkspaceError> {
        let is_index = b == self.now.index && a == self.base_tree;
        let changes = changed_files(pool, Some(&a), Some(&b), &TreeFilter::default())?;
        let paths: Vec<Vec<u8>> = changes
            .into_iter()
            .filter(|change| is_index || change.old.is_some())
            .map(|change| change.path)
            .collect();
        match paths.is_empty() {
            true => Ok(()),
            false => Err(WorkspaceError::Dirty { paths }),
        }
    }

    fn moved(&self) -> WorkspaceError {
        WorkspaceError::Moved {
            name: self.now.branch.clone().unwrap_or_else(RefName::head),
            expected: self.now.base,
            current: self.head,
        }
    }

    fn branch_move(
        &self,
        name: Option<RefName>,
        before: Option<ObjectId>,
        after: Option<ObjectId>,
    ) -> Option<BranchMove> {
        let after = after.filter(|after| before != Some(*after))?;
        name.map(|name| BranchMove {
            name,
            before,
            after,
        })
    }

    /// The workspace as if it were `now`, at a commit with the tree `base_tree`.
    fn as_if(&self, now: crate::Workspace, base_tree: ObjectId) -> OpenWorkspace {
        OpenWorkspace {
            name: Arc::clone(&self.name),
            stored: self.stored.clone(),
            head: now.base,
            now,
            base_tree,
        }
    }

    /// The status that the workspace will have, its base staying where it is.
    pub(super) fn status_after(
        &self,
        pool: &Pool,
        changed: &Changed,
    ) -> Result<WorkspaceStatus, WorkspaceError> {
        let mut scratch = Scratch::new(pool);
        hold(&mut scratch, &changed.objects)?;
        let after = changed.after.clone();
        self.as_if(after, self.base_tree).status(pool)
    }

    /// Moves to where `progress` came, and leaves there what stopped it. `objects` are those that
    /// the change brings already.
    fn advance(
        &self,
        pool: &Pool,
        progress: Progress,
        origin: Origin,
        mut objects: Vec<NewObject>,
    ) -> Result<Brought, WorkspaceError> {
        let mut scratch = Scratch::new(pool);
        hold(&mut scratch, &progress.objects)?;
        let changed = self.moved_to(pool, &progress.tree)?;
        hold(&mut scratch, &changed.objects)?;
        objects.extend(progress.objects);
        let mut is_plain = changed.objects.is_empty();
        objects.extend(changed.objects);
        let mut after = changed.after;
        (after.base, after.operation) = (progress.tip, None);
        let mut known = origin.original;
        let mut stopped = None;
        let is_stopped = progress.stopped.is_some();
        if let Some(stop) = progress.stopped {
            (is_plain, known) = (false, Some(stop.commit));
            if let Some(merge) = stop.merge {
                hold(&mut scratch, &merge.objects)?;
                let at = self.as_if(after, progress.tree);
                let with = at.with_merged(pool, *merge)?;
                hold(&mut scratch, &with.objects)?;
                objects.extend(with.objects);
                after = with.after;
            }
            let mut done = origin.done;
            done.extend(progress.made.iter().map(|made| made.id));
            if done.last().copied().or(origin.original) != progress.tip {
                done.extend(progress.tip);
            }
            after.operation = stop.kind.map(|kind| {
                Arc::new(Operation {
                    kind,
                    original: origin.original,
                    branch: origin.branch.clone(),
                    commit: stop.commit,
                    todo: stop.rest.into(),
                    done: done.into(),
                    mainline: stop.mainline.map_or(0, |n| u32::try_from(n).unwrap_or(0)),
                    message: stop.message.into(),
                })
            });
            if origin.is_rebase {
                after.branch = None;
            }
            stopped = Some(self.as_if(after.clone(), progress.tree).status(pool)?);
        } else {
            after.branch = origin.branch.clone();
        }
        if !is_plain && let Some(known) = known {
            beside_another(pool, &mut objects, known)?;
        }
        let branch = match is_stopped && origin.is_rebase {
            true => None,
            false => self.branch_move(origin.branch, origin.before, progress.tip),
        };
        Ok(Brought {
            changed: Changed {
                objects: once(objects),
                ..Changed::to(after)
            },
            head: progress.tip,
            made: progress.made,
            branch,
            stopped,
        })
    }

    /// Index and files for the tree `target`: what is unmerged or staged goes, what is only in the
    /// files stays (`git reset --merge`).
    ///
    /// # Errors
    /// [`WorkspaceError::Dirty`] where what stays and what goes is the same file.
    fn merged_back_to(&self, pool: &Pool, target: &ObjectId) -> Result<Changed, WorkspaceError> {
        let all = TreeFilter::default();
        let mut rules = Rules::of(pool, self.now.files);
        let mut lost = Vec::new();
        let mut edits: Vec<(Vec<u8>, Option<Found>)> = Vec::new();
        let is_unmerged = |path: &[u8]| self.now.unmerged.iter().any(|u| *u.path == *path);
        for change in changed_files(pool, Some(&self.now.index), Some(target), &all)? {
            if is_unmerged(&change.path) {
                continue;
            }
            let file = file_at(pool, &self.now.files, &change.path)?;
            let is_safe = match change.old {
                Some(_) => file.is_none() || file == change.old,
                None => file.is_none() || file == change.new || rules.is_ignored(&change.path)?,
            };
            match is_safe {
                true => edits.push((change.path, change.new)),
                false => lost.push(change.path),
            }
        }
        if !lost.is_empty() {
            return Err(WorkspaceError::Dirty { paths: lost });
        }
        for path in self.now.unmerged.iter() {
            edits.push((path.path.to_vec(), file_at(pool, target, &path.path)?));
        }
        // What goes may be where a folder comes.
        edits.sort_by_key(|(_, new)| new.is_some());
        let edits: Vec<TreeEdit> = edits
            .iter()
            .map(|(path, new)| TreeEdit::to(path, *new))
            .collect();
        let mut objects = Vec::new();
        let mut after = self.now.clone();
        after.files = edit_tree(pool, &self.now.files, &edits, &mut objects)?;
        (after.index, after.unmerged) = (*target, Arc::default());
        Ok(Changed {
            objects,
            ..Changed::to(after)
        })
    }
}

/// Has the pool know trees and blobs while something is made of them.
pub(super) fn hold(scratch: &mut Scratch<'_>, objects: &[NewObject]) -> Result<(), PoolError> {
    let content = objects
        .iter()
        .filter(|object| object.kind != ObjectKind::Commit);
    let content: Vec<NewObject> = content.cloned().collect();
    scratch.keep(&content)
}

/// Lists the commit `known`, which is there already, beside one that is new: what comes with a
/// single commit is taken for what that introduces, and here some of it is only in the workspace.
pub(super) fn beside_another(
    pool: &Pool,
    objects: &mut Vec<NewObject>,
    known: ObjectId,
) -> Result<(), PoolError> {
    let commits = objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Commit);
    if commits.count() == 1 {
        let data = pool.get_kind(&known, ObjectKind::Commit)?;
        objects.push(NewObject {
            id: known,
            kind: ObjectKind::Commit,
            body: ObjectBody::Whole(data),
        });
    }
    Ok(())
}
