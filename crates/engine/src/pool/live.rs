//! What is to be kept: everything that some objects reach, and trees that are mostly like others.

use govc_git::object::tag::TagRef;
use govc_git::object::{commit, tree};
use govc_git::pack::DeltaBaseCache;
use govc_git::{ObjectId, ObjectKind, oid};
use smallvec::SmallVec;

use super::object_set::{ObjectSet, SetBuilder};
use super::{Pool, PoolError, hot_damaged, scan};

/// What of packs is kept inflated while all that is live is read, in the order of the packs.
const CACHE_BYTES: usize = 32 << 20;

/// An object that refers to another one, and that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// A commit, a tree or a tag.
    pub from: ObjectId,
    /// What it names.
    pub to: ObjectId,
}

/// What somebody keeps.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Commits, tags, trees and blobs, each with all that it reaches.
    pub objects: Vec<ObjectId>,
    /// Trees, each with a commit whose tree it is mostly like: that one is among `objects`.
    pub trees: Vec<(ObjectId, Option<ObjectId>)>,
}

impl Kept {
    /// Keeps what `other` keeps, too.
    pub fn extend(&mut self, other: Kept) {
        self.objects.extend(other.objects);
        self.trees.extend(other.trees);
    }

    /// In order, each once.
    pub fn tidy(&mut self) {
        self.objects.sort_unstable();
        self.objects.dedup();
        self.trees.sort_unstable();
        self.trees.dedup();
    }

    /// Without what `other` keeps, which is tidy.
    #[must_use]
    pub fn without(&self, other: &Kept) -> Kept {
        let objects = self.objects.iter().copied();
        let trees = self.trees.iter().copied();
        Kept {
            objects: objects
                .filter(|id| other.objects.binary_search(id).is_err())
                .collect(),
            trees: trees
                .filter(|tree| other.trees.binary_search(tree).is_err())
                .collect(),
        }
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.trees.is_empty()
    }
}

impl Pool {
    /// All that `kept` reaches. Costs what a clone of it costs: introduced lists, where there are
    /// any.
    ///
    /// # Errors
    /// [`PoolError::Missing`] where something of it is not here; others as [`Pool::find`].
    pub fn live(&self, kept: &Kept) -> Result<ObjectSet, PoolError> {
        self.live_since(kept, &[])
    }

    /// All that `kept` reaches and `before` does not, and perhaps some of what it does reach. Costs
    /// what lies between them.
    ///
    /// # Errors
    /// As [`Pool::live`].
    pub fn live_since(&self, kept: &Kept, before: &[ObjectId]) -> Result<ObjectSet, PoolError> {
        let set = self.closure(&kept.objects, before)?;
        let mut set = SetBuilder::with(self, set);
        for (tree, base) in &kept.trees {
            let commit = base.and_then(|base| self.graph.number(&base));
            let like: SmallVec<[ObjectId; 1]> =
                commit.map(|n| self.graph.tree(n)).into_iter().collect();
            self.add_tree(&mut set, *tree, &like)?;
        }
        Ok(set.finish())
    }

    /// A reference from one of `live` to something that `is_gone`, if there is one. Nothing that was
    /// known before is relied on: each commit, tree and tag among them is read. `None` too when
    /// `stop` says so, which is asked now and then.
    ///
    /// # Errors
    /// As [`Pool::get`]; [`PoolError::Damaged`] for what is malformed.
    pub fn reference_to_gone(
        &self,
        live: &ObjectSet,
        is_gone: &dyn Fn(&oid) -> bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Reference>, PoolError> {
        /// How many objects are read between two questions.
        const ASK_EVERY: usize = 1024;
        let cache = DeltaBaseCache::new(CACHE_BYTES);
        let mut to = Vec::new();
        for part in &live.parts {
            let kinds = scan::kinds(&part.pack);
            for (count, position) in part.positions().enumerate() {
                if count.is_multiple_of(ASK_EVERY) && stop() {
                    return Ok(None);
                }
                // What cannot be told is read.
                if kinds.get(position as usize) == Some(&Some(ObjectKind::Blob)) {
                    continue;
                }
                let from = part.pack.object_id(position);
                let object = part.pack.pack.object_at(position, &|_| None, &cache);
                let object = object.map_err(|error| part.pack.damaged(&from, &error))?;
                self.references(&from, object.kind, &object.data, &mut to)?;
                if let Some(to) = to.drain(..).find(|to| is_gone(to)) {
                    return Ok(Some(Reference { from, to }));
                }
            }
        }
        for (from, kind) in &live.hot.objects {
            if *kind == ObjectKind::Blob {
                continue;
            }
            let data = self.get_kind(from, *kind)?;
            self.references(from, *kind, &data, &mut to)?;
            if let Some(to) = to.drain(..).find(|to| is_gone(to)) {
                return Ok(Some(Reference { from: *from, to }));
            }
        }
        Ok(None)
    }

    /// Adds what the object `id` names of its repository: submodules are of others.
    fn references(
        &self,
        id: &oid,
        kind: ObjectKind,
        data: &[u8],
        to: &mut Vec<ObjectId>,
    ) -> Result<(), PoolError> {
        let format = self.format;
        match kind {
            ObjectKind::Blob => {}
            ObjectKind::Commit => {
                let facts = commit::facts(data, format);
                let facts = facts.map_err(|error| hot_damaged(id, &error))?;
                to.push(facts.tree);
                to.extend(facts.parents);
            }
            ObjectKind::Tree => {
                for entry in tree::entries(data, format) {
                    let entry = entry.map_err(|error| hot_damaged(id, &error))?;
                    if !entry.is_submodule() {
                        to.push(entry.id.to_owned());
                    }
                }
            }
            ObjectKind::Tag => {
                let tag = TagRef::parse(data, format);
                to.push(tag.map_err(|error| hot_damaged(id, &error))?.target);
            }
        }
        Ok(())
    }

    /// Forgets what was remembered of objects that are gone.
    pub fn forget_gone(&self) {
        self.shed_caches();
    }
}
