//! Deciding: a change held against the newest pending state.

use std::collections::HashSet;
use std::sync::Arc;

use govc_git::refname;

use super::{Pending, Proposal, PublishError};
use crate::pool::Pool;
use crate::{
    CauseKind, Change, Edit, Entry, EntryEdit, Expected, RefEdit, RefName, Refs, RepoKey, Seq,
    Snapshot, Target, Time,
};

/// What has been decided of a repository and is perhaps not durable yet.
pub(crate) struct Door {
    /// The repository after everything decided.
    pub(super) pending: Snapshot,
    /// The number of the next change. 0 while the repository is still to be made.
    pub(super) next: Seq,
    /// No change gets a number below this: after an unclean stop numbers jump ahead of what may
    /// have been answered and lost.
    pub(super) lowest: Seq,
}

impl Door {
    /// A door behind which the repository is as `snapshot` says; its next change is number `next`.
    pub(crate) fn new(snapshot: Snapshot, next: Seq) -> Door {
        Door {
            pending: snapshot,
            next,
            lowest: next,
        }
    }

    /// Decides one proposal. The pending state is what it was when this is an error, `None`, or a
    /// rehearsal.
    pub(super) fn decide(
        &mut self,
        (repo, host): (RepoKey, Option<RepoKey>),
        pool: &Arc<Pool>,
        proposal: &mut dyn Proposal,
        clock: Time,
        rehearsal: bool,
    ) -> Result<Option<Arc<Entry>>, PublishError> {
        let time = clock.max(self.pending.time);
        let pending = Pending {
            snapshot: &self.pending,
            pool,
            time,
        };
        let Some(change) = proposal.decide(&pending).map_err(PublishError::Refused)? else {
            return Ok(None);
        };
        let Change {
            objects,
            edits,
            cause,
        } = change;
        let edits = self.decide_edits(edits, cause.kind)?;
        if edits.is_empty() {
            return Ok(None);
        }
        // What is only staged is durable, and leaves the number that there is.
        let staged = self.next > 0 && edits.iter().all(EntryEdit::is_staging);
        let (seq, step) = if staged {
            let step = self.pending.step.checked_add(1);
            let full = || PublishError::Unavailable("too much is staged after one change".into());
            (self.pending.seq, step.ok_or_else(full)?)
        } else {
            (self.next, 0)
        };
        let entry = Entry {
            repo,
            host,
            seq,
            step,
            time,
            cause,
            edits,
            objects,
        };
        if !rehearsal {
            pool.insert(&entry.objects.inline)
                .map_err(|error| PublishError::Unavailable(error.to_string().into()))?;
            self.pending.apply(&entry);
            if !staged {
                self.next += 1;
            }
        }
        Ok(Some(Arc::new(entry)))
    }

    /// Each edit with the value before and the value after; those that change nothing are left
    /// out.
    fn decide_edits(
        &self,
        edits: Vec<Edit>,
        kind: CauseKind,
    ) -> Result<Vec<EntryEdit>, PublishError> {
        let to_be_made = self.next == 0;
        let alive = to_be_made || self.pending.record.deleted_at.is_none();
        // That its hooks were told of its end can be noted.
        let may_stay = |edit: &Edit| matches!(edit, Edit::Repository(_) | Edit::Hook { .. });
        if !alive && !edits.iter().any(may_stay) {
            return Err(PublishError::Deleted);
        }
        let mut decided = Vec::with_capacity(edits.len());
        for edit in edits {
            match edit {
                Edit::Ref(edit) => decided.extend(decide_ref(&self.pending.refs, edit)?),
                Edit::LfsObjects(mut objects) => {
                    objects.retain(|object| self.pending.lfs.object(&object.oid).is_none());
                    if !objects.is_empty() {
                        decided.push(EntryEdit::LfsObjects(objects.into()));
                    }
                }
                Edit::LfsLock { path, after } => {
                    let before = self.pending.lfs.lock(&path).cloned();
                    if before != after {
                        decided.push(EntryEdit::LfsLock {
                            path,
                            before,
                            after,
                        });
                    }
                }
                Edit::Workspace {
                    name,
                    after,
                    is_staging,
                } => {
                    let before = self.pending.workspaces.get(&name).cloned();
                    if before != after {
                        decided.push(EntryEdit::Workspace {
                            name,
                            before,
                            after,
                            is_staging,
                        });
                    }
                }
                Edit::Transaction { id, after } => {
                    let before = self.pending.transactions.get(&id).cloned();
                    if before != after {
                        decided.push(EntryEdit::Transaction { id, before, after });
                    }
                }
                Edit::Hook { id, after } => {
                    let before = self.pending.hooks.get(&id).cloned();
                    if before != after {
                        decided.push(EntryEdit::Hook { id, before, after });
                    }
                }
                Edit::Reality(edit) => decided.push(EntryEdit::Reality(edit)),
                Edit::Repository(after) => {
                    let before = (!to_be_made).then(|| Box::new((*self.pending.record).clone()));
                    if before.as_ref() != Some(&after) {
                        decided.push(EntryEdit::Repository { before, after });
                    }
                }
            }
        }
        check_together(&self.pending, &decided, kind)?;
        Ok(decided)
    }
}

/// One ref edit against the refs as they are; `None` where it changes nothing.
fn decide_ref(refs: &Refs, edit: RefEdit) -> Result<Option<EntryEdit>, PublishError> {
    let RefEdit {
        name,
        expected,
        target,
    } = edit;
    let before = refs.get(name.as_bytes()).cloned().unwrap_or(Target::Gone);
    let holds = match expected {
        Expected::Anything => true,
        Expected::Absent => before == Target::Gone,
        Expected::At(id) => refs.resolve(name.as_bytes()) == Some(id),
    };
    if !holds {
        let current = refs.resolve(name.as_bytes());
        return Err(PublishError::RefMoved {
            name,
            expected,
            current,
        });
    }
    if before == target {
        return Ok(None);
    }
    // A name that Git refuses may still be removed: it came from somewhere else.
    if target != Target::Gone {
        check_name(&name)?;
    }
    if let Target::Symbolic(to) = &target {
        check_name(to)?;
    }
    Ok(Some(EntryEdit::Ref {
        name,
        before,
        after: target,
    }))
}

fn check_name(name: &RefName) -> Result<(), PublishError> {
    let invalid = |why: String| PublishError::RefInvalid {
        name: name.clone(),
        why,
    };
    if name.as_bytes() == b"HEAD" {
        return Ok(());
    }
    if !name.as_bytes().starts_with(b"refs/") {
        return Err(invalid("a ref's full name begins with refs/".to_owned()));
    }
    refname::check(name.as_bytes()).map_err(|error| invalid(error.to_string()))
}

/// What no edit can see alone: two edits of one ref, a name that is a folder of another, HEAD's
/// branch deleted, unless its owner lets it be.
fn check_together(
    now: &Snapshot,
    decided: &[EntryEdit],
    kind: CauseKind,
) -> Result<(), PublishError> {
    let refs = &now.refs;
    let mut made: Vec<&RefName> = Vec::new();
    let mut gone: HashSet<&RefName> = HashSet::new();
    let mut head = refs.head_branch();
    for edit in decided {
        let EntryEdit::Ref {
            name,
            before,
            after,
        } = edit
        else {
            continue;
        };
        match (before, after) {
            (Target::Gone, _) => made.push(name),
            (_, Target::Gone) => {
                gone.insert(name);
            }
            _ => {}
        }
        if name.as_bytes() == b"HEAD" {
            head = match after {
                Target::Symbolic(branch) => Some(branch),
                _ => None,
            };
        }
    }
    if decided.len() > 1 {
        let mut names = HashSet::with_capacity(decided.len());
        for edit in decided {
            if let EntryEdit::Ref { name, .. } = edit
                && !names.insert(name)
            {
                let why = "it is moved twice in one change".to_owned();
                return Err(PublishError::RefInvalid {
                    name: name.clone(),
                    why,
                });
            }
        }
    }
    // Going back may lead to where it was not born yet.
    let may_go = kind == CauseKind::Undo || !now.record.settings.deny_delete_current;
    if !may_go && let Some(branch) = head.filter(|branch| gone.contains(branch)) {
        return Err(PublishError::CurrentBranch {
            name: branch.clone(),
        });
    }
    made.sort_unstable();
    for name in &made {
        if let Some(with) = in_the_way(refs, name, &made, &gone) {
            return Err(PublishError::RefConflict {
                name: (*name).clone(),
                with,
            });
        }
    }
    Ok(())
}

/// A ref that is, or is about to be, a folder of `name` or in it.
fn in_the_way(
    refs: &Refs,
    name: &RefName,
    made: &[&RefName],
    gone: &HashSet<&RefName>,
) -> Option<RefName> {
    let bytes = name.as_bytes();
    let slashes = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    for folder in slashes.map(|at| RefName::new(&bytes[..at])) {
        let there = refs.get(folder.as_bytes()).is_some() && !gone.contains(&folder);
        if there || made.binary_search(&&folder).is_ok() {
            return Some(folder);
        }
    }
    let inside = [bytes, b"/"].concat();
    refs.with_prefix(&inside)
        .map(|(inner, _)| inner)
        .find(|inner| !gone.contains(inner))
        .cloned()
}
