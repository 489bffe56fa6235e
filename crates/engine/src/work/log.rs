//! Which commits `git log` shows, and in which order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use govc_git::encoding::commit_in_utf8;
use govc_git::object::CommitRef;
use govc_git::{ObjectId, ObjectKind};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::revision::peel_tags;
use super::trail::Trail;
use super::tree::{Found, lookup};
use super::view::View;
use crate::pool::{CommitNumber, Graph, PoolError};

/// Which commits to list. The default is none, for there are no tips.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Where to start: commits, in the order in which `git log` would be given them.
    pub tips: Vec<ObjectId>,
    /// Only commits that changed this file or folder, with history simplified as `git log` does
    /// by default.
    pub path: Option<Vec<u8>>,
    /// Not older than this, by committer date in seconds since 1970. As in git, what lies behind
    /// an older commit is not looked at.
    pub since: Option<i64>,
    /// Not newer than this.
    pub until: Option<i64>,
    /// Only commits whose author, as `Name <email>`, contains this in any case.
    pub author: Option<String>,
    /// Follow only the first parent of merges.
    pub first_parent: bool,
}

impl LogQuery {
    /// The tips of `git log --all`: the commits that all refs lead to, in the order of their
    /// names, then HEAD. What the server keeps for itself is left out.
    ///
    /// # Errors
    /// When a tag cannot be read.
    pub fn all_tips(view: &View) -> Result<Vec<ObjectId>, PoolError> {
        let mut tips = Vec::new();
        let names = view
            .refs
            .with_prefix(b"refs/")
            .map(|(name, _)| name.as_bytes());
        let names = names.filter(|name| !crate::work::hidden::is_internal(name));
        for name in names.chain([&b"HEAD"[..]]) {
            let Some(id) = view.refs.resolve(name) else {
                continue;
            };
            if let Some((ObjectKind::Commit, id)) = peel_tags(view, id)? {
                tips.push(id);
            }
        }
        Ok(tips)
    }
}

/// A commit that waits to be looked at: the newest committer date comes first, of equals the one
/// that was met first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queued {
    time: i64,
    order: Reverse<u64>,
    commit: CommitNumber,
}

impl Queued {
    pub(super) fn new(time: i64, order: u64, commit: CommitNumber) -> Queued {
        Queued {
            time,
            order: Reverse(order),
            commit,
        }
    }

    pub(super) fn commit(&self) -> CommitNumber {
        self.commit
    }

    pub(super) fn order(&self) -> u64 {
        self.order.0
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Queued) -> Ordering {
        (self.time, self.order).cmp(&(other.time, other.order))
    }
}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Queued) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A walk in the order of `git log`, whose owner says which parents it follows.
pub(super) struct Walk<'g> {
    graph: &'g Graph,
    queue: BinaryHeap<Queued>,
    /// One that was met last. It is often the next one, and then never enters the queue.
    last: Option<Queued>,
    met: Vec<u64>,
    count: u64,
}

impl<'g> Walk<'g> {
    pub(super) fn new(graph: &'g Graph, tips: impl IntoIterator<Item = CommitNumber>) -> Walk<'g> {
        let mut walk = Walk {
            graph,
            queue: BinaryHeap::new(),
            last: None,
            met: vec![0; graph.len() as usize / 64 + 1],
            count: 0,
        };
        for tip in tips {
            walk.push(tip);
        }
        walk
    }

    /// Meets a commit; `false` for one that was met before.
    pub(super) fn push(&mut self, commit: CommitNumber) -> bool {
        let (word, bit) = (commit.0 as usize / 64, 1 << (commit.0 % 64));
        // A commit is never older than the walk: the graph may have grown since, its past not.
        let Some(word) = self.met.get_mut(word) else {
            return false;
        };
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        let queued = Queued::new(self.graph.time(commit), self.count, commit);
        self.count += 1;
        if let Some(other) = self.last.replace(queued) {
            self.queue.push(other);
        }
        true
    }

    /// The next commit.
    pub(super) fn pop(&mut self) -> Option<CommitNumber> {
        let is_last = match (&self.last, self.queue.peek()) {
            (Some(last), Some(top)) => last > top,
            (last, _) => last.is_some(),
        };
        let next = if is_last {
            self.last.take()
        } else {
            self.queue.pop()
        };
        next.map(|next| next.commit)
    }
}

/// Commits in the order of `git log`: newest committer date first; of equals the one that was met
/// first. The order depends on nothing but the query.
pub struct Log<'v> {
    view: &'v View,
    query: LogQuery,
    /// What to look for in authors, in lower case.
    author: Option<String>,
    walk: Walk<'v>,
    /// What is at the path in commits that were met and not looked at yet.
    at_path: HashMap<CommitNumber, Option<Found>>,
    /// The way to the path in the commit that was looked at last: the next one's mostly joins it.
    trail: Option<Trail>,
}

impl<'v> Log<'v> {
    /// The commits that `query` selects. Tips that the pool lacks are left out.
    pub fn new(view: &'v View, query: LogQuery) -> Log<'v> {
        let graph = view.pool.graph();
        let tips = query.tips.iter().filter_map(|tip| graph.number(tip));
        Log {
            view,
            author: query.author.as_ref().map(|author| author.to_lowercase()),
            walk: Walk::new(graph, tips),
            at_path: HashMap::new(),
            trail: None,
            query,
        }
    }

    /// Goes behind the next `count` commits of the list.
    ///
    /// # Errors
    /// What is stored cannot be read.
    pub fn skip_commits(&mut self, count: u64) -> Result<(), PoolError> {
        for _ in 0..count {
            if self.next_commit()?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn next_commit(&mut self) -> Result<Option<CommitNumber>, PoolError> {
        let graph = self.view.pool.graph();
        while let Some(commit) = self.walk.pop() {
            let time = graph.time(commit);
            if self.query.since.is_some_and(|since| time < since) {
                self.at_path.remove(&commit);
                continue;
            }
            let is_shown = self.follow_parents(commit)?;
            let is_in_time = self.query.until.is_none_or(|until| time <= until);
            if is_shown && is_in_time && self.author_matches(commit)? {
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }

    /// Meets the parents that are to be followed, and answers whether the commit changed the
    /// path.
    fn follow_parents(&mut self, commit: CommitNumber) -> Result<bool, PoolError> {
        let graph = self.view.pool.graph();
        let mut parents = graph.parents(commit);
        if self.query.first_parent {
            parents.truncate(1);
        }
        if self.query.path.is_none() {
            for parent in parents {
                self.walk.push(parent);
            }
            return Ok(true);
        }
        let here = match self.at_path.remove(&commit) {
            Some(found) => found,
            None => self.look_up(commit)?,
        };
        if parents.is_empty() {
            return Ok(here.is_some());
        }
        let mut follow: SmallVec<[(CommitNumber, Option<Found>); 2]> = SmallVec::new();
        let mut is_changed = true;
        for parent in parents {
            let found = match self.at_path.get(&parent) {
                Some(found) => *found,
                None => self.look_up(parent)?,
            };
            if found == here {
                // Nothing happened to the path since that parent: what the others did to it did
                // not last.
                follow.clear();
                is_changed = false;
            }
            follow.push((parent, found));
            if !is_changed {
                break;
            }
        }
        for (parent, found) in follow {
            if self.walk.push(parent) {
                self.at_path.insert(parent, found);
            }
        }
        Ok(is_changed)
    }

    /// What is at the query's path in `commit`.
    fn look_up(&mut self, commit: CommitNumber) -> Result<Option<Found>, PoolError> {
        let pool = &self.view.pool;
        let path = self.query.path.as_deref().unwrap_or_default();
        let (path, is_folder) = match path.strip_suffix(b"/") {
            Some(folder) => (folder, true),
            None => (path, false),
        };
        let root = pool.graph().tree(commit);
        let trail = match (&self.trail, path) {
            (_, b"") => None,
            (Some(trail), path) => trail.in_tree(pool, root, path)?,
            (None, path) => Trail::of(pool, root, path)?,
        };
        let found = match path {
            b"" => lookup(pool, &root, path)?,
            _ => trail.as_ref().map(|trail| Found {
                mode: trail.mode(),
                id: trail.id(),
            }),
        };
        if trail.is_some() {
            self.trail = trail;
        }
        // A folder without files is nothing, to a comparison of files.
        let empty = ObjectId::empty_tree(pool.format());
        Ok(found.filter(|found| found.id != empty && (found.is_folder() || !is_folder)))
    }

    fn author_matches(&self, commit: CommitNumber) -> Result<bool, PoolError> {
        let Some(wanted) = &self.author else {
            return Ok(true);
        };
        let pool = &self.view.pool;
        let id = pool.graph().id(commit);
        let data = pool.get(&id)?.data;
        let data = commit_in_utf8(&data);
        let Ok(commit) = CommitRef::parse(&data, pool.format()) else {
            return Ok(false);
        };
        let author = [commit.author.name, b" <", commit.author.email, b">"].concat();
        Ok(String::from_utf8_lossy(&author)
            .to_lowercase()
            .contains(wanted))
    }
}

impl Iterator for Log<'_> {
    type Item = Result<CommitNumber, PoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_commit().transpose()
    }
}
