//! Whether everything that a push refers to is there, and may be seen by whoever pushes.
//!
//! What came with the push is walked from its new tips. Trees are compared with those of the
//! parents at the same path: what a visible parent has there needs no look, so a push costs what
//! it changed. All else outside the push must be *visible* in the repository. That the pool has
//! it, for a fork or a deleted branch, is not enough: naming an id would be a way to read it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use govc_git::object::tag::TagRef;
use govc_git::object::{commit, tree};
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid};
use smallvec::SmallVec;

use crate::Repository;
use crate::pool::{PoolError, Visibility};
use crate::repository::RealityOf;

/// The objects that came with a push.
pub(super) trait Arrived {
    /// What `id` is; `None` where it did not come.
    fn kind(&self, id: &oid) -> Option<ObjectKind>;

    /// The object `id`; `None` where it did not come.
    fn find(&self, id: &oid) -> Result<Option<Object>, PoolError>;
}

/// Why a push cannot be taken: something that it needs is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Neither in the push nor visible.
    #[error("{of} needs {id}, which is neither in the push nor in this repository")]
    Missing { id: ObjectId, of: ObjectId },
    /// What is there is something else.
    #[error("{of} takes {id} for a {expected}, which it is not", expected = expected.name())]
    WrongKind {
        id: ObjectId,
        of: ObjectId,
        expected: ObjectKind,
    },
    /// Something came malformed.
    #[error("{id} is malformed: {why}")]
    Malformed { id: ObjectId, why: String },
    /// Something that is there cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// What the pushing repository may see, asked as late as possible: the usual push continues a
/// branch and changes a few files, and needs to know no more than where that branch is.
pub(super) struct Seen<'a> {
    repository: &'a Repository,
    /// Objects that refs of the repository name right now.
    tips: HashSet<ObjectId>,
    visibility: Option<Arc<Visibility>>,
    /// Of a reality: what the repository sees that it was made in. Its tips are offered as
    /// `.have`, so a push builds on them.
    around: Option<Arc<Visibility>>,
}

impl<'a> Seen<'a> {
    /// What `repository` may see; some of its refs are at `tips`.
    pub(super) fn new(repository: &'a Repository, tips: HashSet<ObjectId>) -> Seen<'a> {
        Seen {
            repository,
            tips,
            visibility: None,
            around: None,
        }
    }

    pub(super) fn sees(&mut self, id: &oid) -> Result<bool, PoolError> {
        if self.tips.contains(id) {
            return Ok(true);
        }
        if !self.repository.pool().contains(id) {
            return Ok(false);
        }
        let repository = self.repository;
        let own = self
            .visibility
            .get_or_insert_with(|| repository.visibility());
        if own.sees(id)? {
            return Ok(true);
        }
        let made_in = repository.reality().and_then(RealityOf::made_in);
        let Some(made_in) = made_in else {
            return Ok(false);
        };
        self.around
            .get_or_insert_with(|| made_in.visibility())
            .sees(id)
    }
}

/// Walks what came with a push.
pub(super) struct Walk<'a, 'r> {
    arrived: &'a dyn Arrived,
    seen: &'a mut Seen<'r>,
    format: ObjectFormat,
    /// Objects of the push that were looked into.
    done: HashSet<ObjectId>,
    /// Objects outside it that something visible was met to hold.
    known: HashSet<ObjectId>,
    /// Objects outside it that are still to be asked for: most turn out to be known, once a
    /// file's or folder's old place was looked at.
    asked: Vec<Link>,
    /// Objects of the push that are still to be looked into; `true` for a commit whose parents
    /// were.
    next: Vec<(Link, bool)>,
}

/// Something of each parent, beside the same of the commit that is looked at.
type Beside<T> = SmallVec<[(T, Parent); 2]>;

/// Whose trees a commit's are compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    /// A commit that is visible: so is all that it holds.
    Visible,
    /// A commit of the same push. What it holds at the same path was checked with it, or is
    /// still to be asked for: so it vouches for nothing that is elsewhere.
    Arrived,
}

impl Parent {
    /// Notes that this parent has `entry`.
    fn has(self, known: &mut HashSet<ObjectId>, entry: &tree::TreeEntry<'_>) {
        if self == Parent::Visible && !entry.is_submodule() {
            known.insert(entry.id.to_owned());
        }
    }
}

/// One object refers to another.
#[derive(Clone, Copy)]
struct Link {
    id: ObjectId,
    of: ObjectId,
    /// What it has to be; tips may be anything.
    expected: Option<ObjectKind>,
}

impl<'a, 'r> Walk<'a, 'r> {
    pub(super) fn new(
        arrived: &'a dyn Arrived,
        seen: &'a mut Seen<'r>,
        format: ObjectFormat,
    ) -> Walk<'a, 'r> {
        Walk {
            arrived,
            seen,
            format,
            done: HashSet::new(),
            known: HashSet::new(),
            asked: Vec::new(),
            next: Vec::new(),
        }
    }

    /// Walks from `tips`. What was found good stays known for the next call; after an error the
    /// walk is of no use any more.
    pub(super) fn check(&mut self, tips: impl IntoIterator<Item = ObjectId>) -> Result<(), Broken> {
        for tip in tips {
            self.follow(Link {
                id: tip,
                of: tip,
                expected: None,
            })?;
        }
        while let Some((link, parents_done)) = self.next.pop() {
            if parents_done {
                self.commit(link)?;
            } else if self.done.insert(link.id) {
                self.look_into(link)?;
            }
        }
        for link in std::mem::take(&mut self.asked) {
            self.ask(link)?;
        }
        Ok(())
    }

    /// Whether `id`, which did not come with the push, may be seen. To be asked after
    /// [`Walk::check`].
    pub(super) fn sees(&mut self, id: &oid) -> Result<bool, PoolError> {
        Ok(self.known.contains(id) || self.seen.sees(id)?)
    }

    /// The objects of the push that were looked into. After a good [`Walk::check`] all that they
    /// name is in the push or may be seen.
    pub(super) fn into_done(self) -> HashSet<ObjectId> {
        self.done
    }

    /// Notes that `link` is to be looked into, or to be asked for.
    fn follow(&mut self, link: Link) -> Result<(), Broken> {
        match self.arrived.kind(&link.id) {
            None => {
                if !self.known.contains(&link.id) || link.expected.is_none() {
                    self.asked.push(link);
                }
                return Ok(());
            }
            Some(kind) => check_kind(&link, kind)?,
        }
        if link.expected != Some(ObjectKind::Blob) && !self.done.contains(&link.id) {
            self.next.push((link, false));
        }
        Ok(())
    }

    fn ask(&mut self, link: Link) -> Result<(), Broken> {
        let Link { id, of, expected } = link;
        if expected == Some(ObjectKind::Tree) && self.seen.repository.pool().is_empty_tree(&id) {
            // As git, which has it built in.
            return Ok(());
        }
        if !self.known.contains(&id) {
            if !self.seen.sees(&id)? {
                return Err(Broken::Missing { id, of });
            }
            self.known.insert(id);
        }
        let pool = self.seen.repository.pool();
        if expected == Some(ObjectKind::Commit) && pool.graph().number(&id).is_some() {
            return Ok(());
        }
        if expected.is_some() {
            let (kind, _) = pool.header(&id)?.ok_or(Broken::Missing { id, of })?;
            check_kind(&link, kind)?;
        }
        Ok(())
    }

    fn look_into(&mut self, link: Link) -> Result<(), Broken> {
        let id = link.id;
        let Some(object) = self.arrived.find(&id)? else {
            return Err(Broken::Missing { id, of: link.of });
        };
        match object.kind {
            ObjectKind::Blob => Ok(()),
            ObjectKind::Tree => self.tree(id, &object.data),
            // Parents first: a tree that was looked into beside a parent's is good only where
            // that parent is, and no two may vouch for each other.
            ObjectKind::Commit => {
                self.next.push((link, true));
                let facts = commit::facts(&object.data, self.format);
                let facts = facts.map_err(|error| malformed(id, error))?;
                facts.parents.into_iter().try_for_each(|parent| {
                    if self.arrived.kind(&parent).is_none() {
                        return Ok(());
                    }
                    self.follow(Link {
                        id: parent,
                        of: id,
                        expected: Some(ObjectKind::Commit),
                    })
                })
            }
            ObjectKind::Tag => {
                let tag = TagRef::parse(&object.data, self.format)
                    .map_err(|error| malformed(id, error))?;
                self.follow(Link {
                    id: tag.target,
                    of: id,
                    expected: Some(tag.target_kind),
                })
            }
        }
    }

    /// Looks into a commit; those of its parents that came with it were looked into.
    fn commit(&mut self, link: Link) -> Result<(), Broken> {
        let id = link.id;
        let Some(object) = self.arrived.find(&id)? else {
            return Err(Broken::Missing { id, of: link.of });
        };
        let facts = commit::facts(&object.data, self.format);
        let facts = facts.map_err(|error| malformed(id, error))?;
        let mut parent_trees: Beside<ObjectId> = SmallVec::new();
        for parent in &facts.parents {
            let link = Link {
                id: *parent,
                of: id,
                expected: Some(ObjectKind::Commit),
            };
            match self.arrived.find(parent)? {
                Some(object) => {
                    let facts = commit::facts(&object.data, self.format);
                    let facts = facts.map_err(|error| malformed(*parent, error))?;
                    parent_trees.push((facts.tree, Parent::Arrived));
                }
                None => {
                    self.ask(link)?;
                    let graph = self.seen.repository.pool().graph();
                    let number = graph.number(parent).ok_or(Broken::Missing {
                        id: *parent,
                        of: id,
                    })?;
                    let tree = graph.tree(number);
                    self.known.insert(tree);
                    parent_trees.push((tree, Parent::Visible));
                }
            }
        }
        if parent_trees.iter().any(|(tree, _)| *tree == facts.tree) {
            return Ok(());
        }
        let link = Link {
            id: facts.tree,
            of: id,
            expected: Some(ObjectKind::Tree),
        };
        self.trees(link, parent_trees)
    }

    /// Looks into a tree and those below it, beside the parents' trees at the same paths.
    fn trees(&mut self, root: Link, parents: Beside<ObjectId>) -> Result<(), Broken> {
        let mut stack = vec![(root, parents)];
        while let Some((link, parents)) = stack.pop() {
            match self.arrived.kind(&link.id) {
                None => {
                    self.follow(link)?;
                    continue;
                }
                Some(kind) => check_kind(&link, kind)?,
            }
            if !self.done.insert(link.id) {
                continue;
            }
            let Some(object) = self.arrived.find(&link.id)? else {
                continue;
            };
            let mut beside: Beside<Bytes> = SmallVec::new();
            for (tree, parent) in &parents {
                beside.push((self.parents_tree(tree)?, *parent));
            }
            let mut below = Vec::new();
            self.compare(link.id, &object.data, &beside, &mut |link, parents| {
                below.push((link, parents));
            })?;
            stack.append(&mut below);
        }
        Ok(())
    }

    /// The content of a tree of a parent, which is visible or came with the push.
    fn parents_tree(&self, id: &oid) -> Result<Bytes, Broken> {
        let object = match self.arrived.find(id)? {
            Some(object) => Some(object),
            None => self.seen.repository.pool().find(id)?,
        };
        // A parent whose tree is cut off at a shallow boundary shows nothing.
        Ok(object
            .filter(|object| object.kind == ObjectKind::Tree)
            .map_or_else(Bytes::new, |object| object.data))
    }

    /// A tree without parents to compare it with.
    fn tree(&mut self, id: ObjectId, data: &[u8]) -> Result<(), Broken> {
        let mut below = Vec::new();
        self.compare(id, data, &[], &mut |link, _| below.push(link))?;
        below.into_iter().try_for_each(|link| self.follow(link))
    }

    /// Follows the entries of the tree `id` that none of `parents` has at the same path; those
    /// that are trees are given to `subtree`, with the parents' trees of that name.
    fn compare(
        &mut self,
        id: ObjectId,
        data: &[u8],
        parents: &[(Bytes, Parent)],
        subtree: &mut dyn FnMut(Link, Beside<ObjectId>),
    ) -> Result<(), Broken> {
        let mut cursors: Beside<Cursor<'_>> = parents
            .iter()
            .map(|(tree, parent)| (Cursor::new(tree, self.format), *parent))
            .collect();
        for entry in tree::entries(data, self.format) {
            let entry = entry.map_err(|error| malformed(id, error))?;
            let mut same = false;
            let mut trees_beside = SmallVec::new();
            for (cursor, parent) in &mut cursors {
                let known = &mut self.known;
                let found = cursor.seek(&entry, &mut |passed| parent.has(known, passed));
                if let Some(other) = found {
                    if other.id == entry.id && other.kind() == entry.kind() {
                        same = true;
                    } else {
                        parent.has(known, &other);
                        if other.is_tree() {
                            trees_beside.push((other.id.to_owned(), *parent));
                        }
                    }
                }
            }
            if same || entry.is_submodule() {
                continue;
            }
            let link = Link {
                id: entry.id.to_owned(),
                of: id,
                expected: Some(entry.kind()),
            };
            if entry.is_tree() {
                subtree(link, trees_beside);
            } else {
                self.follow(link)?;
            }
        }
        // What parents have behind the last entry was removed, and may have moved elsewhere.
        for (cursor, parent) in &mut cursors {
            while let Some(passed) = cursor.take() {
                parent.has(&mut self.known, &passed);
            }
        }
        Ok(())
    }
}

/// Walks a parent's tree beside another one.
struct Cursor<'a> {
    entries: tree::TreeEntries<'a>,
    current: Option<tree::TreeEntry<'a>>,
}

impl<'a> Cursor<'a> {
    fn new(data: &'a [u8], format: ObjectFormat) -> Cursor<'a> {
        let mut entries = tree::entries(data, format);
        let current = entries.next().and_then(Result::ok);
        Cursor { entries, current }
    }

    fn take(&mut self) -> Option<tree::TreeEntry<'a>> {
        let taken = self.current.take();
        if taken.is_some() {
            self.current = self.entries.next().and_then(Result::ok);
        }
        taken
    }

    /// The entry of the same name, whatever it is; what is passed on the way is given to `passed`.
    fn seek(
        &mut self,
        entry: &tree::TreeEntry<'_>,
        passed: &mut dyn FnMut(&tree::TreeEntry<'_>),
    ) -> Option<tree::TreeEntry<'a>> {
        while let Some(current) = self.current {
            if current.name == entry.name {
                self.take();
                return Some(current);
            }
            let order =
                tree::compare_names(current.name, current.is_tree(), entry.name, entry.is_tree());
            if order.is_gt() {
                return None;
            }
            passed(&current);
            self.take();
        }
        None
    }
}

fn check_kind(link: &Link, kind: ObjectKind) -> Result<(), Broken> {
    match link.expected {
        Some(expected) if expected != kind => Err(Broken::WrongKind {
            id: link.id,
            of: link.of,
            expected,
        }),
        _ => Ok(()),
    }
}

fn malformed(id: ObjectId, why: impl ToString) -> Broken {
    Broken::Malformed {
        id,
        why: why.to_string(),
    }
}
