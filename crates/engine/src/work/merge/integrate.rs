//! Bringing commits onto a branch: merges, picks, reverts, rebases, as one change each.

use bytes::Bytes;
use govc_git::encoding::{commit_in_utf8, made_utf8};
use govc_git::object::{CommitRef, ParseError, Signature};
use govc_git::object_id::hash_object;
use govc_git::{ObjectId, ObjectKind, message, oid};
use hashbrown::HashSet;

use super::bases::Scratch;
use super::introduced::introduced;
use super::patch_id::{PatchId, patch_id};
use super::todo::{self, Step};
use super::{Labels, MergeError, MergeOptions, TreeMerge, merge_trees, messages};
use crate::pool::{CommitNumber, DateWalk, Pool, PoolError};
use crate::{NewObject, ObjectBody};

/// How a branch takes another one in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// By a commit with two parents, always (`--no-ff`).
    #[default]
    Merge,
    /// By moving forward where that is enough (`--ff`).
    FastForward,
    /// By moving forward, or not at all (`--ff-only`).
    FastForwardOnly,
    /// By one commit with one parent (`--squash`).
    Squash,
    /// By its commits, made again on the branch.
    Rebase,
}

/// What is to be brought onto a branch.
#[derive(Debug, Clone)]
pub enum Plan {
    /// A commit and all that it comes from.
    Merge {
        /// The commit.
        from: ObjectId,
        /// What it was called: behind conflict markers.
        label: Vec<u8>,
        /// How.
        strategy: Strategy,
        /// The message of the commit, as it will stand there; `None` for a squash, whose message
        /// lists what is in it.
        message: Option<Vec<u8>>,
    },
    /// What some commits changed.
    Pick {
        /// The commits, in this order.
        commits: Vec<ObjectId>,
        /// The parent that merges are compared with, from 1.
        mainline: Option<usize>,
    },
    /// What some commits changed, taken back.
    Revert {
        /// The commits, in this order.
        commits: Vec<ObjectId>,
        /// The parent that merges are compared with, from 1.
        mainline: Option<usize>,
    },
    /// The branch's own commits, made again elsewhere.
    Rebase {
        /// On this commit.
        onto: ObjectId,
        /// All that this commit does not come from.
        upstream: ObjectId,
        /// Commits that are called `fixup! …` and so on become part of those that they mend.
        autosquash: bool,
    },
}

/// Who is named in the commits that are made.
#[derive(Debug, Clone)]
pub struct People {
    /// Who wrote it, where it is new.
    pub author: Signature,
    /// Who makes the commits.
    pub committer: Signature,
}

/// A commit that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its id.
    pub id: ObjectId,
    /// Its bytes.
    pub data: Bytes,
}

/// What a branch becomes.
#[derive(Debug, Clone)]
pub struct Integrated {
    /// Its new head; the old one where it has everything already.
    pub head: ObjectId,
    /// The commits that were made, in their order.
    pub made: Vec<Made>,
    /// All that is new.
    pub objects: Vec<NewObject>,
}

/// Why nothing was brought onto the branch.
#[derive(Debug, thiserror::Error)]
pub enum IntegrateError {
    /// Both sides changed the same.
    #[error("{} paths are in conflict", .merge.conflicts.len())]
    Conflict {
        /// The commit that does not fit.
        commit: ObjectId,
        /// What came of it, with all that is new about it.
        merge: Box<TreeMerge>,
    },
    /// The branch has commits that the other does not.
    #[error("{from} does not come from the branch's head")]
    NotFastForward {
        /// The commit that it was to move to.
        from: ObjectId,
    },
    /// The two have nothing in common.
    #[error("{from} and the branch have no commit in common")]
    Unrelated {
        /// The commit.
        from: ObjectId,
    },
    /// The branch has it already.
    #[error("{commit} changes nothing here")]
    Nothing {
        /// The commit.
        commit: ObjectId,
    },
    /// A merge is compared with one of its parents, and nobody said which.
    #[error("{commit} is a merge: `mainline` says which of its parents it is compared with")]
    MainlineMissing {
        /// The commit.
        commit: ObjectId,
    },
    /// It has no such parent.
    #[error("{commit} has no parent {mainline}")]
    MainlineInvalid {
        /// The commit.
        commit: ObjectId,
        /// The number.
        mainline: usize,
    },
    /// There is no branch to be rebased.
    #[error("the branch has no commits")]
    Unborn,
    /// Too many commits.
    #[error("{count} commits are more than {max}")]
    TooMany {
        /// How many.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A merge failed.
    #[error(transparent)]
    Merge(#[from] MergeError),
}

/// So many commits are made at once.
pub const COMMITS_MAX: usize = 10_000;

impl From<PoolError> for IntegrateError {
    fn from(error: PoolError) -> IntegrateError {
        IntegrateError::Merge(error.into())
    }
}

/// Makes what `plan` says of the branch whose head is `head`.
///
/// # Errors
/// [`IntegrateError`].
pub fn integrate(
    pool: &Pool,
    head: Option<ObjectId>,
    plan: &Plan,
    people: &People,
) -> Result<Integrated, IntegrateError> {
    let mut sequence = Sequence::new(pool, head, people)?;
    match plan {
        Plan::Merge {
            from,
            label,
            strategy,
            message,
        } => sequence.take_in(*from, label, *strategy, message.as_deref())?,
        Plan::Pick { commits, mainline } => {
            check_count(commits.len())?;
            for commit in commits {
                sequence.pick(*commit, *mainline)?;
            }
        }
        Plan::Revert { commits, mainline } => {
            check_count(commits.len())?;
            for commit in commits {
                sequence.revert(*commit, *mainline)?;
            }
        }
        Plan::Rebase {
            onto,
            upstream,
            autosquash,
        } => {
            let head = head.ok_or(IntegrateError::Unborn)?;
            if *autosquash || !sequence.is_in_place(head, *onto, *upstream)? {
                sequence.replay(head, *onto, *upstream, *autosquash)?;
            }
        }
    }
    sequence.finish()
}

pub(super) fn check_count(count: usize) -> Result<(), IntegrateError> {
    match count > COMMITS_MAX {
        true => Err(IntegrateError::TooMany {
            count,
            max: COMMITS_MAX,
        }),
        false => Ok(()),
    }
}

/// What of a commit is taken over, in UTF-8.
#[derive(Clone)]
pub(super) struct Original {
    tree: ObjectId,
    parents: Vec<ObjectId>,
    /// As it stands in the commit.
    author: Vec<u8>,
    pub(super) message: Vec<u8>,
}

/// Commits that are made one after the other.
pub(super) struct Sequence<'a> {
    pub(super) pool: &'a Pool,
    people: &'a People,
    /// Keeps in the pool what the next merge reads.
    scratch: Scratch<'a>,
    pub(super) tip: Option<ObjectId>,
    pub(super) tree: ObjectId,
    pub(super) made: Vec<Made>,
    pub(super) objects: Vec<NewObject>,
}

impl<'a> Sequence<'a> {
    /// One that goes on from the commit `tip`, whose tree is `tree`.
    pub(super) fn from(
        pool: &'a Pool,
        tip: Option<ObjectId>,
        tree: ObjectId,
        people: &'a People,
    ) -> Sequence<'a> {
        Sequence {
            pool,
            people,
            scratch: Scratch::new(pool),
            tip,
            tree,
            made: Vec::new(),
            objects: Vec::new(),
        }
    }

    pub(super) fn new(
        pool: &'a Pool,
        head: Option<ObjectId>,
        people: &'a People,
    ) -> Result<Sequence<'a>, IntegrateError> {
        let empty = ObjectId::empty_tree(pool.format());
        let mut sequence = Sequence::from(pool, None, empty, people);
        if let Some(head) = head {
            sequence.move_to(head)?;
        }
        Ok(sequence)
    }

    pub(super) fn move_to(&mut self, commit: ObjectId) -> Result<(), IntegrateError> {
        self.tree = self.original(commit)?.tree;
        self.tip = Some(commit);
        Ok(())
    }

    fn number(&self, id: &oid) -> Result<CommitNumber, PoolError> {
        let number = self.pool.graph().number(id);
        number.ok_or(PoolError::Missing { id: id.to_owned() })
    }

    pub(super) fn is_ancestor(&self, a: &oid, b: &oid) -> Result<bool, PoolError> {
        let (a, b) = (self.number(a)?, self.number(b)?);
        Ok(self.pool.graph().is_ancestor(a, b))
    }

    pub(super) fn original(&self, id: ObjectId) -> Result<Original, IntegrateError> {
        let made = self.made.iter().find(|made| made.id == id);
        let data = match made {
            Some(made) => made.data.clone(),
            None => self.pool.get_kind(&id, ObjectKind::Commit)?,
        };
        let damaged = |error: ParseError| PoolError::Damaged {
            id,
            pack: None,
            what: error.to_string(),
        };
        let data = commit_in_utf8(&data);
        let commit = CommitRef::parse(&data, self.pool.format()).map_err(damaged)?;
        let author = data
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(b"author "));
        Ok(Original {
            tree: commit.tree,
            parents: commit.parents.to_vec(),
            author: author.unwrap_or_default().to_vec(),
            message: message::begun(commit.message).to_vec(),
        })
    }

    fn tree_of(&self, id: ObjectId) -> Result<ObjectId, IntegrateError> {
        Ok(self.original(id)?.tree)
    }

    /// Makes a commit of `tree`, and goes on from there.
    fn commit(
        &mut self,
        tree: ObjectId,
        parents: &[ObjectId],
        author: &[u8],
        message: &[u8],
    ) -> Result<(), IntegrateError> {
        let mut data = Vec::with_capacity(256 + message.len());
        data.extend_from_slice(format!("tree {tree}\n").as_bytes());
        for parent in parents {
            data.extend_from_slice(format!("parent {parent}\n").as_bytes());
        }
        data.extend_from_slice(b"author ");
        data.extend_from_slice(author);
        data.extend_from_slice(b"\ncommitter ");
        self.people.committer.write_to(&mut data);
        data.push(b'\n');
        data.push(b'\n');
        data.extend_from_slice(message);
        let data = made_utf8(data);
        let id =
            hash_object(self.pool.format(), ObjectKind::Commit, &data).map_err(MergeError::from)?;
        let data = Bytes::from(data);
        self.made.push(Made { id, data });
        self.tip = Some(id);
        self.tree = tree;
        Ok(())
    }

    fn new_author(&self) -> Vec<u8> {
        let mut author = Vec::new();
        self.people.author.write_to(&mut author);
        author
    }

    /// Takes over what a merge made, if it is clean; its tree.
    fn absorb(&mut self, commit: ObjectId, merge: TreeMerge) -> Result<ObjectId, IntegrateError> {
        if !merge.is_clean {
            return Err(IntegrateError::Conflict {
                commit,
                merge: Box::new(merge),
            });
        }
        self.scratch
            .keep(&merge.objects)
            .map_err(MergeError::from)?;
        self.objects.extend(merge.objects);
        Ok(merge.tree)
    }

    /// Takes a commit in, and all that it comes from.
    pub(super) fn take_in(
        &mut self,
        from: ObjectId,
        label: &[u8],
        strategy: Strategy,
        message: Option<&[u8]>,
    ) -> Result<(), IntegrateError> {
        let Some(head) = self.tip else {
            // There is nothing that it could be merged with.
            return self.move_to(from);
        };
        if self.is_ancestor(&from, &head)? {
            return Ok(());
        }
        let is_ahead = self.is_ancestor(&head, &from)?;
        match strategy {
            Strategy::FastForward | Strategy::FastForwardOnly if is_ahead => {
                return self.move_to(from);
            }
            Strategy::FastForwardOnly => return Err(IntegrateError::NotFastForward { from }),
            Strategy::Rebase => return self.replay(from, head, head, false),
            _ => {}
        }
        if super::merge_bases(self.pool, &head, &from)?.is_empty() {
            return Err(IntegrateError::Unrelated { from });
        }
        let labels = Labels {
            ancestor: b"",
            ours: b"HEAD",
            theirs: label,
        };
        let options = MergeOptions::default();
        let merge = super::merge_commits(self.pool, &head, &from, &labels, &options)?;
        let tree = self.absorb(from, merge)?;
        let author = self.new_author();
        let parents = [head, from];
        match strategy {
            Strategy::Squash => {
                if tree == self.tree {
                    return Ok(());
                }
                let message = match message {
                    Some(message) => message.to_vec(),
                    None => messages::squash(self.pool, head, from)?,
                };
                self.commit(tree, &parents[..1], &author, &message)
            }
            _ => self.commit(tree, &parents, &author, message.unwrap_or_default()),
        }
    }

    /// The parent that a commit is compared with.
    fn parent_of(
        commit: ObjectId,
        original: &Original,
        mainline: Option<usize>,
    ) -> Result<Option<ObjectId>, IntegrateError> {
        match (&original.parents[..], mainline) {
            // To git a root has its one way to be compared, whatever is said.
            ([], None | Some(1..)) => Ok(None),
            ([parent], None | Some(1)) => Ok(Some(*parent)),
            (_, None) => Err(IntegrateError::MainlineMissing { commit }),
            (parents, Some(mainline)) => {
                let parent = mainline.checked_sub(1).and_then(|at| parents.get(at));
                let invalid = IntegrateError::MainlineInvalid { commit, mainline };
                parent.copied().map(Some).ok_or(invalid)
            }
        }
    }

    fn tree_of_parent(&self, parent: Option<ObjectId>) -> Result<ObjectId, IntegrateError> {
        match parent {
            Some(parent) => self.tree_of(parent),
            None => Ok(ObjectId::empty_tree(self.pool.format())),
        }
    }

    /// What becomes of the tip's tree with what `commit` changed since its parent.
    fn change(
        &mut self,
        commit: ObjectId,
        original: &Original,
        parent: Option<ObjectId>,
    ) -> Result<ObjectId, IntegrateError> {
        let base = self.tree_of_parent(parent)?;
        let name = messages::name(self.pool, commit, &original.message);
        let ancestor = [&b"parent of "[..], &name].concat();
        let labels = Labels {
            ancestor: &ancestor,
            ours: b"HEAD",
            theirs: &name,
        };
        let merge = merge_trees(
            self.pool,
            &base,
            &self.tree,
            &original.tree,
            &labels,
            &MergeOptions::default(),
        )?;
        self.absorb(commit, merge)
    }

    pub(super) fn pick(
        &mut self,
        commit: ObjectId,
        mainline: Option<usize>,
    ) -> Result<(), IntegrateError> {
        let (original, tree) = self.picked(commit, mainline)?;
        if tree == self.tree {
            return Err(IntegrateError::Nothing { commit });
        }
        self.commit_again(tree, &original, &original.message)
    }

    /// What a pick of `commit` makes of the tip's tree.
    pub(super) fn picked(
        &mut self,
        commit: ObjectId,
        mainline: Option<usize>,
    ) -> Result<(Original, ObjectId), IntegrateError> {
        let original = self.original(commit)?;
        let parent = Sequence::parent_of(commit, &original, mainline)?;
        let tree = self.change(commit, &original, parent)?;
        Ok((original, tree))
    }

    fn commit_again(
        &mut self,
        tree: ObjectId,
        original: &Original,
        message: &[u8],
    ) -> Result<(), IntegrateError> {
        let parents: Vec<ObjectId> = self.tip.into_iter().collect();
        self.commit(tree, &parents, &original.author, message)
    }

    pub(super) fn revert(
        &mut self,
        commit: ObjectId,
        mainline: Option<usize>,
    ) -> Result<(), IntegrateError> {
        let tree = self.reverted(commit, mainline)?;
        if tree == self.tree {
            return Err(IntegrateError::Nothing { commit });
        }
        let message = self.revert_message(commit, mainline)?;
        let author = self.new_author();
        let parents: Vec<ObjectId> = self.tip.into_iter().collect();
        self.commit(tree, &parents, &author, &message)
    }

    /// The message of the commit that takes `commit` back.
    pub(super) fn revert_message(
        &self,
        commit: ObjectId,
        mainline: Option<usize>,
    ) -> Result<Vec<u8>, IntegrateError> {
        let original = self.original(commit)?;
        let parent = Sequence::parent_of(commit, &original, mainline)?;
        let reversed = parent.filter(|_| original.parents.len() > 1);
        Ok(messages::revert(commit, &original.message, reversed))
    }

    /// What a revert of `commit` makes of the tip's tree.
    pub(super) fn reverted(
        &mut self,
        commit: ObjectId,
        mainline: Option<usize>,
    ) -> Result<ObjectId, IntegrateError> {
        let original = self.original(commit)?;
        let parent = Sequence::parent_of(commit, &original, mainline)?;
        let before = self.tree_of_parent(parent)?;
        let name = messages::name(self.pool, commit, &original.message);
        let theirs = match parent {
            Some(_) => [&b"parent of "[..], &name].concat(),
            None => b"(empty tree)".to_vec(),
        };
        let labels = Labels {
            ancestor: &name,
            ours: b"HEAD",
            theirs: &theirs,
        };
        let merge = merge_trees(
            self.pool,
            &original.tree,
            &self.tree,
            &before,
            &labels,
            &MergeOptions::default(),
        )?;
        self.absorb(commit, merge)
    }

    /// Makes the commits of `head` that `upstream` does not have again on `onto`.
    fn replay(
        &mut self,
        head: ObjectId,
        onto: ObjectId,
        upstream: ObjectId,
        autosquash: bool,
    ) -> Result<(), IntegrateError> {
        let commits = self.commits_to_replay(head, upstream)?;
        let mut subjects = Vec::with_capacity(commits.len());
        for commit in &commits {
            subjects.push(message::summary(&self.original(*commit)?.message));
        }
        let steps = match autosquash {
            true => todo::rearranged(&commits, &subjects),
            false => commits.into_iter().map(Step::Pick).collect(),
        };
        self.move_to(onto)?;
        // The messages of commits that are made one of several.
        let mut group: Option<Group> = None;
        for (at, step) in steps.iter().enumerate() {
            let is_last = !matches!(steps.get(at + 1), Some(next) if next.is_part_of_another());
            match step {
                Step::Pick(commit) => {
                    group = self.replay_one(*commit)?.map(|original| Group {
                        message: original.message.clone(),
                        first: original,
                        is_squashed: false,
                    });
                }
                Step::Fixup(commit) | Step::Squash(commit) | Step::Amend(commit) => {
                    let original = self.original(*commit)?;
                    let parent = original.parents.first().copied();
                    let tree = self.change(*commit, &original, parent)?;
                    let Some(group) = &mut group else {
                        // What it mends was dropped.
                        self.commit_again(tree, &original, &original.message)?;
                        continue;
                    };
                    let was_empty = self.tree_of_parent(parent)? == original.tree;
                    if tree != self.tree || was_empty {
                        group.add(step, &original.message);
                    }
                    let (first, text) = (group.first.clone(), group.message.clone());
                    // Somebody would have looked at a message that is made of several.
                    let text = match is_last && group.is_squashed {
                        true => messages::clean_without_comments(&text),
                        false => text,
                    };
                    self.amend(tree, &first, &text)?;
                }
            }
        }
        Ok(())
    }

    /// Makes one commit of a rebase again; `None` where the tip has its change already.
    pub(super) fn replay_one(
        &mut self,
        commit: ObjectId,
    ) -> Result<Option<Original>, IntegrateError> {
        let original = self.original(commit)?;
        let parent = original.parents.first().copied();
        // It is there already.
        if parent == self.tip {
            self.move_to(commit)?;
            return Ok(Some(original));
        }
        let tree = self.change(commit, &original, parent)?;
        let was_empty = self.tree_of_parent(parent)? == original.tree;
        if tree == self.tree && !was_empty {
            return Ok(None);
        }
        self.commit_again(tree, &original, &original.message)?;
        Ok(Some(original))
    }

    /// Makes the tip again, with another tree and message.
    fn amend(
        &mut self,
        tree: ObjectId,
        first: &Original,
        message: &[u8],
    ) -> Result<(), IntegrateError> {
        let Some(tip) = self.tip else {
            return self.commit_again(tree, first, message);
        };
        let parents = self.original(tip)?.parents;
        if self.made.last().is_some_and(|made| made.id == tip) {
            self.made.pop();
        }
        self.commit(tree, &parents, &first.author, message)
    }

    /// Whether the commits of `head` lie on `onto` already, one after the other, and `upstream`
    /// has none of them: then there is nothing to be made again.
    pub(super) fn is_in_place(
        &self,
        head: ObjectId,
        onto: ObjectId,
        upstream: ObjectId,
    ) -> Result<bool, IntegrateError> {
        if super::merge_bases(self.pool, &onto, &head)? != [onto]
            || super::merge_bases(self.pool, &upstream, &head)? != [onto]
        {
            return Ok(false);
        }
        let graph = self.pool.graph();
        let (mut at, onto) = (self.number(&head)?, self.number(&onto)?);
        while at != onto {
            match graph.parents(at)[..] {
                [parent] => at = parent,
                [] => break,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The commits of `head` that `upstream` does not have, oldest first: without merges, and without
    /// those whose change the other side has too.
    pub(super) fn commits_to_replay(
        &self,
        head: ObjectId,
        upstream: ObjectId,
    ) -> Result<Vec<ObjectId>, IntegrateError> {
        let graph = self.pool.graph();
        let (tip, hidden) = (self.number(&head)?, self.number(&upstream)?);
        let own: Vec<CommitNumber> = DateWalk::new(graph, &[tip], &[hidden])
            .take(COMMITS_MAX + 1)
            .collect();
        check_count(own.len())?;
        let own: HashSet<CommitNumber> = own.into_iter().collect();
        let is_single = |commit: &CommitNumber| graph.parents(*commit).len() <= 1;
        let mut ordered = topological(self.pool, tip, &own);
        ordered.retain(is_single);
        ordered.reverse();
        let theirs: Vec<CommitNumber> = DateWalk::new(graph, &[hidden], &[tip])
            .filter(is_single)
            .take(COMMITS_MAX)
            .collect();
        if !theirs.is_empty() && !ordered.is_empty() {
            let mut known: HashSet<PatchId> = HashSet::new();
            for commit in theirs {
                known.extend(patch_id(self.pool, commit)?);
            }
            let mut left = Vec::with_capacity(ordered.len());
            for commit in ordered {
                let id = patch_id(self.pool, commit)?;
                if id.is_none_or(|id| !known.contains(&id)) {
                    left.push(commit);
                }
            }
            ordered = left;
        }
        Ok(ordered.into_iter().map(|commit| graph.id(commit)).collect())
    }

    pub(super) fn finish(self) -> Result<Integrated, IntegrateError> {
        let head = self.tip.ok_or(IntegrateError::Unborn)?;
        let (made, objects) = self.into_parts(true)?;
        Ok(Integrated {
            head,
            made,
            objects,
        })
    }

    /// The commits, and all that is new, in an order in which a delta's base comes first. `is_all`:
    /// nothing else makes commits in the same change.
    pub(super) fn into_parts(
        mut self,
        is_all: bool,
    ) -> Result<(Vec<Made>, Vec<NewObject>), IntegrateError> {
        if let ([made], true) = (&self.made[..], is_all) {
            // Alone it says what it introduces: what was elsewhere too.
            let original = self.original(made.id)?;
            let mut parents = Vec::new();
            for parent in &original.parents {
                parents.push(self.tree_of(*parent)?);
            }
            let new: HashSet<ObjectId> = self.objects.iter().map(|object| object.id).collect();
            let elsewhere = introduced(self.pool, original.tree, &parents)?;
            let elsewhere = elsewhere.into_iter().filter(|(id, _)| !new.contains(id));
            self.objects.extend(elsewhere.map(|(id, kind)| NewObject {
                id,
                kind,
                body: ObjectBody::Elsewhere,
            }));
        }
        if self.made.is_empty() {
            self.objects.clear();
        }
        let commits = self.made.iter().map(|made| NewObject {
            id: made.id,
            kind: ObjectKind::Commit,
            body: ObjectBody::Whole(made.data.clone()),
        });
        self.objects.extend(commits);
        let mut seen = HashSet::new();
        self.objects.retain(|object| seen.insert(object.id));
        Ok((self.made, self.objects))
    }
}

/// Commits that become one.
struct Group {
    first: Original,
    message: Vec<u8>,
    /// The message is made of several.
    is_squashed: bool,
}

impl Group {
    /// Takes in what a commit says that becomes part of it.
    fn add(&mut self, step: &Step, message: &[u8]) {
        match step {
            Step::Squash(_) | Step::Amend(_) if self.is_squashed => self.append(message),
            Step::Squash(_) => {
                self.is_squashed = true;
                self.append(message);
            }
            Step::Amend(_) => {
                let rest = todo::without_subject(message);
                self.message = message::begun(rest).to_vec();
            }
            Step::Pick(_) | Step::Fixup(_) => {}
        }
    }

    fn append(&mut self, message: &[u8]) {
        self.message.extend_from_slice(b"\n\n");
        self.message
            .extend_from_slice(todo::without_subject(message));
    }
}

/// Children before parents, lines of history one after the other: `git rev-list --topo-order`.
fn topological(pool: &Pool, tip: CommitNumber, own: &HashSet<CommitNumber>) -> Vec<CommitNumber> {
    let graph = pool.graph();
    let mut children: hashbrown::HashMap<CommitNumber, usize> = hashbrown::HashMap::new();
    for commit in own {
        for parent in graph.parents(*commit) {
            *children.entry(parent).or_default() += 1;
        }
    }
    let mut open = vec![tip];
    let mut ordered = Vec::with_capacity(own.len());
    while let Some(commit) = open.pop() {
        if !own.contains(&commit) {
            continue;
        }
        ordered.push(commit);
        for parent in graph.parents(commit) {
            if let Some(left) = children.get_mut(&parent) {
                *left -= 1;
                if *left == 0 {
                    open.push(parent);
                }
            }
        }
    }
    ordered
}
