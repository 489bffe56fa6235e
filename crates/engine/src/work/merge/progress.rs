//! Bringing commits onto a branch as far as that goes: what stops it is kept, to be solved by
//! whoever asked.

use govc_git::ObjectId;
use govc_git::object::commit::facts;

use super::integrate::{
    IntegrateError, Integrated, Made, People, Plan, Sequence, Strategy, check_count,
};
use super::{TreeMerge, messages};
use crate::pool::{Pool, PoolError};
use crate::work::commit::tree_of;
use crate::{NewObject, OperationKind};

/// How far it came.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The commit that it came to; `None` where the branch was unborn and still is.
    pub tip: Option<ObjectId>,
    /// The tip's tree; without commits, what is to be staged.
    pub tree: ObjectId,
    /// The commits that were made, in their order.
    pub made: Vec<Made>,
    /// All that is new so far.
    pub objects: Vec<NewObject>,
    /// Why it did not come to its end.
    pub stopped: Option<Stopped>,
}

impl Progress {
    /// What was made whole.
    ///
    /// # Errors
    /// When its head cannot be read.
    pub fn whole(pool: &Pool, integrated: Integrated) -> Result<Progress, PoolError> {
        let Integrated {
            head,
            made,
            objects,
        } = integrated;
        let tree = match made.iter().find(|made| made.id == head) {
            Some(made) => {
                facts(&made.data, pool.format())
                    .map_err(|error| PoolError::Damaged {
                        id: head,
                        pack: None,
                        what: error.to_string(),
                    })?
                    .tree
            }
            None => tree_of(pool, head)?,
        };
        Ok(Progress {
            tip: Some(head),
            tree,
            made,
            objects,
            stopped: None,
        })
    }
}

/// What stopped it.
#[derive(Debug, Clone)]
pub struct Stopped {
    /// What is in progress; `None` where git has nothing to be continued: a squash, and what was
    /// not to be committed.
    pub kind: Option<OperationKind>,
    /// The commit that does not fit.
    pub commit: ObjectId,
    /// What came of it, onto [`Progress::tree`]; `None`: it changes nothing there.
    pub merge: Option<Box<TreeMerge>>,
    /// The message of the commit that was to be made, as git cleans it once conflicts are solved.
    pub message: Vec<u8>,
    /// The commits that come after it.
    pub rest: Vec<ObjectId>,
    /// The parent that merges are compared with, from 1.
    pub mainline: Option<usize>,
}

impl Stopped {
    /// The refusal that it is where nobody wants to keep it.
    pub fn into_error(self) -> IntegrateError {
        let commit = self.commit;
        match self.merge {
            Some(merge) => IntegrateError::Conflict { commit, merge },
            None => IntegrateError::Nothing { commit },
        }
    }
}

/// Commits that are taken one after the other.
#[derive(Debug, Clone)]
pub struct Steps {
    /// How they are taken: not [`OperationKind::Merge`].
    pub kind: OperationKind,
    /// In this order.
    pub commits: Vec<ObjectId>,
    /// The parent that merges are compared with, from 1.
    pub mainline: Option<usize>,
}

/// Makes what `plan` says of the branch whose head is `head`, as far as that goes.
///
/// # Errors
/// [`IntegrateError`], but no conflict; not what `autosquash` rearranges.
pub fn progress(
    pool: &Pool,
    head: Option<ObjectId>,
    plan: &Plan,
    people: &People,
) -> Result<Progress, IntegrateError> {
    let mut sequence = Sequence::new(pool, head, people)?;
    let steps = match plan {
        Plan::Merge {
            from,
            strategy: Strategy::Rebase,
            ..
        } => match head {
            // It has all of it, or there is nothing to make it again on.
            None => {
                sequence.move_to(*from)?;
                Vec::new()
            }
            Some(head) if sequence.is_ancestor(from, &head)? => Vec::new(),
            Some(head) => sequence.commits_to_replay(*from, head)?,
        },
        Plan::Merge {
            from,
            label,
            strategy,
            message,
        } => {
            let taken = sequence.take_in(*from, label, *strategy, message.as_deref());
            let kind = (*strategy != Strategy::Squash).then_some(OperationKind::Merge);
            let text = message.clone().unwrap_or_default();
            let stopped = stopped_by(taken, kind, text, Vec::new(), None)?;
            return halted(sequence, true, stopped);
        }
        Plan::Pick { commits, .. } | Plan::Revert { commits, .. } => commits.clone(),
        Plan::Rebase { onto, upstream, .. } => {
            let head = head.ok_or(IntegrateError::Unborn)?;
            if sequence.is_in_place(head, *onto, *upstream)? {
                Vec::new()
            } else {
                let commits = sequence.commits_to_replay(head, *upstream)?;
                sequence.move_to(*onto)?;
                commits
            }
        }
    };
    let (kind, mainline) = match plan {
        Plan::Pick { mainline, .. } => (OperationKind::CherryPick, *mainline),
        Plan::Revert { mainline, .. } => (OperationKind::Revert, *mainline),
        Plan::Merge { .. } | Plan::Rebase { .. } => (OperationKind::Rebase, None),
    };
    let steps = Steps {
        kind,
        commits: steps,
        mainline,
    };
    let stopped = walk(&mut sequence, &steps)?;
    if let ([commit], Some(Stopped { merge: None, .. }), OperationKind::Revert) =
        (&steps.commits[..], &stopped, kind)
    {
        // Git leaves a pick that changes nothing to be skipped, but no revert.
        return Err(IntegrateError::Nothing { commit: *commit });
    }
    halted(sequence, true, stopped)
}

/// Goes on with `steps` from the commit `tip`, which the pool need not have, and whose tree `tree`
/// it has.
///
/// # Errors
/// [`IntegrateError`], but no conflict.
pub fn progress_further(
    pool: &Pool,
    (tip, tree): (Option<ObjectId>, ObjectId),
    steps: &Steps,
    people: &People,
) -> Result<Progress, IntegrateError> {
    let mut sequence = Sequence::from(pool, tip, tree, people);
    let stopped = walk(&mut sequence, steps)?;
    halted(sequence, false, stopped)
}

/// What `steps` make of the tree `tree`, without a commit. Only the last may stop it.
///
/// # Errors
/// [`IntegrateError`]: the conflict where it is not the last one's.
pub fn progress_uncommitted(
    pool: &Pool,
    tree: ObjectId,
    steps: &Steps,
    people: &People,
) -> Result<Progress, IntegrateError> {
    check_count(steps.commits.len())?;
    let mut sequence = Sequence::from(pool, None, tree, people);
    let mut stopped = None;
    for (at, commit) in steps.commits.iter().enumerate() {
        let taken = match steps.kind {
            OperationKind::Revert => sequence.reverted(*commit, steps.mainline),
            _ => sequence
                .picked(*commit, steps.mainline)
                .map(|(_, tree)| tree),
        };
        match taken {
            Ok(tree) => sequence.tree = tree,
            Err(error) if at + 1 < steps.commits.len() => return Err(error),
            taken => {
                let taken = taken.map(|_| ());
                stopped = stopped_by(taken, None, Vec::new(), Vec::new(), None)?;
            }
        }
    }
    Ok(Progress {
        tip: None,
        tree: sequence.tree,
        made: Vec::new(),
        objects: std::mem::take(&mut sequence.objects),
        stopped,
    })
}

/// Takes the steps until one stops.
fn walk(sequence: &mut Sequence<'_>, steps: &Steps) -> Result<Option<Stopped>, IntegrateError> {
    check_count(steps.commits.len())?;
    let mainline = steps.mainline;
    for (at, &commit) in steps.commits.iter().enumerate() {
        let taken = match steps.kind {
            OperationKind::Revert => sequence.revert(commit, mainline),
            OperationKind::Rebase => sequence.replay_one(commit).map(|_| ()),
            _ => sequence.pick(commit, mainline),
        };
        let text = match taken {
            Ok(()) => continue,
            Err(_) if steps.kind == OperationKind::Revert => {
                sequence.revert_message(commit, mainline)
            }
            Err(_) => sequence.original(commit).map(|original| original.message),
        };
        // What cannot be read is told by the step itself.
        let text = text.unwrap_or_default();
        let rest = steps.commits[at + 1..].to_vec();
        return stopped_by(taken, Some(steps.kind), text, rest, mainline);
    }
    Ok(None)
}

/// What can be kept of a step that failed.
fn stopped_by(
    taken: Result<(), IntegrateError>,
    kind: Option<OperationKind>,
    message: Vec<u8>,
    rest: Vec<ObjectId>,
    mainline: Option<usize>,
) -> Result<Option<Stopped>, IntegrateError> {
    let (commit, merge) = match taken {
        Ok(()) => return Ok(None),
        Err(IntegrateError::Conflict { commit, merge }) => (commit, Some(merge)),
        Err(IntegrateError::Nothing { commit }) => (commit, None),
        Err(other) => return Err(other),
    };
    Ok(Some(Stopped {
        kind,
        commit,
        merge,
        message: messages::clean_without_comments(&message),
        rest,
        mainline,
    }))
}

/// `is_all`: there is no commit in the change but those of the sequence.
fn halted(
    sequence: Sequence<'_>,
    is_all: bool,
    stopped: Option<Stopped>,
) -> Result<Progress, IntegrateError> {
    let (tip, tree) = (sequence.tip, sequence.tree);
    let (made, objects) = sequence.into_parts(is_all)?;
    Ok(Progress {
        tip,
        tree,
        made,
        objects,
        stopped,
    })
}
