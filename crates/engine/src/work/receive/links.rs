//! Whether a pack is complete in itself, found out while it is indexed.
//!
//! Every id that an object of the pack names is noted; in the end all of them must be in the pack.
//! Histories name the same ids over and over (each tree repeats most of its predecessor's
//! entries), so a small direct-mapped cache in front of the set answers nearly all of them.

use govc_git::object::tag::TagRef;
use govc_git::object::{commit, tree};
use govc_git::pack::PackIndex;
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};
use hashbrown::HashSet;

/// Slots of the cache: a power of two.
const CACHE_SLOTS: usize = 1 << 16;

/// The ids that the objects of one pack name.
pub(super) enum Links {
    Sha1(Named<20>),
    Sha256(Named<32>),
}

impl Links {
    pub(super) fn new(format: ObjectFormat) -> Links {
        match format {
            ObjectFormat::Sha256 => Links::Sha256(Named::new()),
            _ => Links::Sha1(Named::new()),
        }
    }

    /// Notes what an object names.
    ///
    /// # Errors
    /// What is malformed about it.
    pub(super) fn note(
        &mut self,
        kind: ObjectKind,
        data: &[u8],
        format: ObjectFormat,
    ) -> Result<(), String> {
        match kind {
            ObjectKind::Blob => {}
            ObjectKind::Tree => match self {
                Links::Sha1(named) => named.tree(data, format)?,
                Links::Sha256(named) => named.tree(data, format)?,
            },
            ObjectKind::Commit => {
                let facts = commit::facts(data, format).map_err(|error| error.to_string())?;
                self.note_commit(&facts);
            }
            ObjectKind::Tag => {
                let tag = TagRef::parse(data, format).map_err(|error| error.to_string())?;
                self.one(&tag.target);
            }
        }
        Ok(())
    }

    /// Notes what a commit names.
    pub(super) fn note_commit(&mut self, facts: &commit::CommitFacts) {
        self.one(&facts.tree);
        facts.parents.iter().for_each(|parent| self.one(parent));
    }

    fn one(&mut self, id: &oid) {
        match self {
            Links::Sha1(named) => named.insert(id),
            Links::Sha256(named) => named.insert(id),
        }
    }

    /// The objects of the pack with this index that nothing in it names, where the pack has all
    /// that is named: they reach all of it, for no chain of names goes round. `None` where they are
    /// more than `max`.
    pub(super) fn sources(&self, index: &PackIndex, max: usize) -> Option<Vec<ObjectId>> {
        fn unnamed<const N: usize>(
            named: &Named<N>,
            index: &PackIndex,
            max: usize,
        ) -> Option<Vec<ObjectId>> {
            let mut sources = Vec::new();
            for id in (0..index.len()).map(|position| index.id(position)) {
                let is_named = |id: &[u8; N]| named.ids.contains(id);
                if !id.as_bytes().first_chunk().is_some_and(is_named) {
                    if sources.len() == max {
                        return None;
                    }
                    sources.push(id.to_owned());
                }
            }
            Some(sources)
        }
        match self {
            Links::Sha1(named) => unnamed(named, index, max),
            Links::Sha256(named) => unnamed(named, index, max),
        }
    }

    /// Whether the pack with this index has all of them.
    pub(super) fn are_all_in(&self, index: &PackIndex) -> bool {
        fn all<const N: usize>(named: &Named<N>, index: &PackIndex) -> bool {
            let mut ids = named.ids.iter();
            ids.all(|id| index.lookup(oid::from_bytes_unchecked(id)).is_some())
        }
        match self {
            Links::Sha1(named) => all(named, index),
            Links::Sha256(named) => all(named, index),
        }
    }
}

/// Ids of one length, each once.
pub(super) struct Named<const N: usize> {
    /// Ids that were named lately, each in the slot that its bytes say.
    cache: Box<[[u8; N]]>,
    ids: HashSet<[u8; N], foldhash::fast::RandomState>,
}

impl<const N: usize> Named<N> {
    fn new() -> Named<N> {
        Named {
            cache: vec![[0; N]; CACHE_SLOTS].into_boxed_slice(),
            ids: HashSet::default(),
        }
    }

    fn tree(&mut self, data: &[u8], format: ObjectFormat) -> Result<(), String> {
        for entry in tree::entries(data, format) {
            let entry = entry.map_err(|error| error.to_string())?;
            if !entry.is_submodule() {
                self.insert(entry.id);
            }
        }
        Ok(())
    }

    fn insert(&mut self, id: &oid) {
        let Some(id) = id.as_bytes().first_chunk::<N>() else {
            return;
        };
        let slot = usize::from(id[0]) | usize::from(id[1]) << 8;
        let cached = &mut self.cache[slot & (CACHE_SLOTS - 1)];
        if cached != id {
            *cached = *id;
            self.ids.insert(*id);
        }
    }
}
