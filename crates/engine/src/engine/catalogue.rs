//! Which repository is called what.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use crate::{RepoId, RepoKey, Repository};

/// Which repository is called what. Ids are compared without regard to case.
#[derive(Default)]
pub(super) struct Catalogue {
    by_id: BTreeMap<String, Arc<Repository>>,
    by_key: HashMap<RepoKey, Listed>,
    /// Ids that somebody is about to take.
    reserved: HashSet<String>,
}

struct Listed {
    repository: Arc<Repository>,
    /// The id that `by_id` has it under; `None` for a deleted one.
    folded: Option<String>,
}

impl Catalogue {
    pub(super) fn get(&self, id: &str) -> Option<Arc<Repository>> {
        self.by_id.get(&id.to_ascii_lowercase()).cloned()
    }

    pub(super) fn by_key(&self, key: RepoKey) -> Option<Arc<Repository>> {
        self.by_key
            .get(&key)
            .map(|listed| Arc::clone(&listed.repository))
    }

    pub(super) fn all(&self) -> Vec<Arc<Repository>> {
        self.repositories().cloned().collect()
    }

    pub(super) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Arc<Repository>> {
        let prefix = prefix.to_ascii_lowercase();
        let start = match after.map(str::to_ascii_lowercase) {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix.clone()),
        };
        self.by_id
            .range((start, Bound::Unbounded))
            .take_while(|(id, _)| id.starts_with(&prefix))
            .take(limit)
            .map(|(_, repository)| Arc::clone(repository))
            .collect()
    }

    pub(super) fn deleted(&self, id: &str) -> Option<Arc<Repository>> {
        let folded = id.to_ascii_lowercase();
        let when = |repository: &Arc<Repository>| repository.snapshot().record.deleted_at;
        let called = |repository: &&Arc<Repository>| {
            when(repository).is_some() && repository.snapshot().record.id.folded() == folded
        };
        self.repositories()
            .filter(called)
            .max_by_key(|repository| when(repository))
            .cloned()
    }

    fn repositories(&self) -> impl Iterator<Item = &Arc<Repository>> {
        self.by_key.values().map(|listed| &listed.repository)
    }

    /// Lists a repository under the id that it has now, or under none where it is deleted.
    pub(super) fn list_as_it_is(&mut self, repository: &Arc<Repository>) {
        let record = Arc::clone(&repository.snapshot().record);
        let folded = record.deleted_at.is_none().then(|| record.id.folded());
        let listed = Listed {
            repository: Arc::clone(repository),
            folded: folded.clone(),
        };
        let before = self.by_key.insert(repository.key(), listed);
        if let Some(was) = before.and_then(|before| before.folded) {
            self.by_id.remove(&was);
        }
        if let Some(folded) = folded {
            self.by_id.insert(folded, Arc::clone(repository));
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
