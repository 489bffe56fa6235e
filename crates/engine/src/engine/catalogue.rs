//! Which repository is called what.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use super::resting::{Found, may_leave};
use crate::{RepoId, RepoKey, Repository};

/// Which repository is called what. Ids are compared without regard to case.
#[derive(Default)]
pub(super) struct Catalogue {
    by_id: BTreeMap<String, RepoKey>,
    /// The only place that holds repositories which nobody works with.
    by_key: HashMap<RepoKey, Listed>,
    /// The members of each fork family.
    families: HashMap<RepoKey, Vec<RepoKey>>,
    /// Ids that somebody is about to take.
    reserved: HashSet<String>,
}

struct Listed {
    found: Found,
    /// The id that `by_id` has it under; `None` for a deleted one.
    folded: Option<String>,
}

impl Catalogue {
    pub(super) fn get(&self, id: &str) -> Option<Found> {
        self.by_key(*self.by_id.get(&id.to_ascii_lowercase())?)
    }

    pub(super) fn by_key(&self, key: RepoKey) -> Option<Found> {
        self.by_key.get(&key).map(|listed| listed.found.clone())
    }

    pub(super) fn all(&self) -> Vec<Found> {
        self.found().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Up to `limit` that are not deleted, in the order of their ids.
    pub(super) fn list_from(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Found> {
        let prefix = prefix.to_ascii_lowercase();
        let start = match after.map(str::to_ascii_lowercase) {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix.clone()),
        };
        self.by_id
            .range((start, Bound::Unbounded))
            .take_while(|(id, _)| id.starts_with(&prefix))
            .take(limit)
            .filter_map(|(_, key)| self.by_key(*key))
            .collect()
    }

    pub(super) fn deleted(&self, id: &str) -> Option<Found> {
        let folded = id.to_ascii_lowercase();
        let called = |found: &&Found| {
            let record = found.record();
            record.deleted_at.is_some() && record.id.folded() == folded
        };
        let deleted = self.found().filter(called);
        deleted
            .max_by_key(|found| found.record().deleted_at)
            .cloned()
    }

    /// The members of a family.
    pub(super) fn family(&self, family: RepoKey) -> Vec<Found> {
        let members = self.families.get(&family).into_iter().flatten();
        members.filter_map(|key| self.by_key(*key)).collect()
    }

    pub(super) fn family_len(&self, family: RepoKey) -> usize {
        self.families.get(&family).map_or(0, Vec::len)
    }

    fn found(&self) -> impl Iterator<Item = &Found> {
        self.by_key.values().map(|listed| &listed.found)
    }

    /// Those that are in memory.
    pub(super) fn here(&self) -> impl Iterator<Item = &Arc<Repository>> {
        self.found().filter_map(|found| match found {
            Found::Here(repository) => Some(repository),
            Found::Resting(_) => None,
        })
    }

    /// Whether a repository is in memory, could leave it, and nobody holds it but the catalogue.
    pub(super) fn is_idle(&self, key: RepoKey) -> bool {
        match self.by_key.get(&key).map(|listed| &listed.found) {
            Some(Found::Here(repository)) => {
                Arc::strong_count(repository) == 1 && may_leave(repository)
            }
            _ => false,
        }
    }

    /// Forgets a repository.
    pub(super) fn forget(&mut self, key: RepoKey) {
        let Some(listed) = self.by_key.remove(&key) else {
            return;
        };
        if let Some(folded) = listed.folded {
            self.by_id.remove(&folded);
        }
        let family = listed.found.record().family;
        if let Some(members) = self.families.get_mut(&family) {
            members.retain(|member| *member != key);
            if members.is_empty() {
                self.families.remove(&family);
            }
        }
    }

    /// Lists a repository under the id that it has now, or under none where it is deleted.
    pub(super) fn list_as_it_is(&mut self, repository: &Arc<Repository>) {
        self.list(Found::Here(Arc::clone(repository)));
    }

    /// As [`Catalogue::list_as_it_is`], for one that may rest.
    pub(super) fn list(&mut self, found: Found) {
        let record = found.record();
        let key = found.key();
        let folded = record.deleted_at.is_none().then(|| record.id.folded());
        let listed = Listed {
            found,
            folded: folded.clone(),
        };
        match self.by_key.insert(key, listed) {
            None => self.families.entry(record.family).or_default().push(key),
            Some(before) => {
                if let Some(was) = before.folded {
                    self.by_id.remove(&was);
                }
            }
        }
        if let Some(folded) = folded {
            self.by_id.insert(folded, key);
        }
    }
}

/// An id that nobody else can take meanwhile. Given back when it is dropped.
pub(super) struct Reservation<'a> {
    catalogue: &'a RwLock<Catalogue>,
    folded: String,
}

impl<'a> Reservation<'a> {
    /// `None` when the id is taken or about to be.
    pub(super) fn new(catalogue: &'a RwLock<Catalogue>, id: &RepoId) -> Option<Reservation<'a>> {
        let folded = id.folded();
        let mut locked = catalogue.write().unwrap_or_else(PoisonError::into_inner);
        if locked.by_id.contains_key(&folded) || !locked.reserved.insert(folded.clone()) {
            return None;
        }
        drop(locked);
        Some(Reservation { catalogue, folded })
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut locked = self
            .catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        locked.reserved.remove(&self.folded);
    }
}
