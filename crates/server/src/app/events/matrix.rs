//! The matrix of conflicts between realities, as a stream follows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use govc_api::realities::ConflictingPair;
use govc_engine::work::conflicts::{ConflictCache, Paths};
use govc_engine::{Engine, RealityId, Repository};
use govc_git::ObjectId;

use super::super::error::AppError;
use super::super::files::tree_of;
use super::super::realities::conflicts::{MATRIX_MAX, merge_failed, text};

/// What was told of the matrix of one repository.
#[derive(Default)]
pub(super) struct Matrix {
    there: BTreeMap<RealityId, There>,
    /// Pairs that conflict, the older one first.
    pairs: BTreeMap<(RealityId, RealityId), Paths>,
}

/// A reality that was worked in.
#[derive(Clone)]
struct There {
    name: Arc<str>,
    commit: ObjectId,
    tree: ObjectId,
}

impl Matrix {
    /// Becomes what it is now. Returns the pairs whose conflicts are others than before; one that
    /// conflicts no more has no paths. Only realities that moved are held against the others.
    ///
    /// # Errors
    /// What a merge met.
    pub(super) fn bring_up(
        &mut self,
        engine: &Engine,
        host: &Arc<Repository>,
        cache: &ConflictCache,
    ) -> Result<Vec<ConflictingPair>, AppError> {
        let pool = host.pool();
        let worked_in = engine.worked_in(host, MATRIX_MAX + 1);
        if worked_in.len() > MATRIX_MAX {
            // As for who asks: nobody holds so many against each other.
            *self = Matrix::default();
            return Ok(Vec::new());
        }
        let mut now = BTreeMap::new();
        let mut moved = Vec::new();
        for (reality, commit) in worked_in {
            let before = self.there.get(&reality.id);
            let there = match before.filter(|before| before.commit == commit) {
                Some(before) => before.clone(),
                None => {
                    moved.push(reality.id);
                    There {
                        name: Arc::clone(&reality.name),
                        commit,
                        tree: tree_of(pool, commit)?,
                    }
                }
            };
            now.insert(reality.id, there);
        }
        let mut told = BTreeMap::new();
        let names = |a: &There, b: &There, paths: &Paths| ConflictingPair {
            a: a.name.to_string(),
            b: b.name.to_string(),
            paths: text(paths),
        };
        let none = Paths::default();
        self.pairs.retain(|(a, b), _| {
            let stays = now.contains_key(a) && now.contains_key(b);
            if let (false, Some(one), Some(other)) = (stays, self.there.get(a), self.there.get(b)) {
                told.insert((*a, *b), names(one, other, &none));
            }
            stays
        });
        for id in &moved {
            let Some(one) = now.get(id) else { continue };
            for (other_id, other) in now.iter().filter(|(other, _)| *other != id) {
                let commits = (one.commit, other.commit);
                let paths = cache.conflicts(pool, commits, (one.tree, other.tree));
                let paths = paths.map_err(merge_failed)?;
                let key = (*id.min(other_id), *id.max(other_id));
                let before = match paths.is_empty() {
                    true => self.pairs.remove(&key),
                    false => self.pairs.insert(key, Arc::clone(&paths)),
                };
                if before.unwrap_or_default() != paths {
                    let (a, b) = match id < other_id {
                        true => (one, other),
                        false => (other, one),
                    };
                    told.insert(key, names(a, b, &paths));
                }
            }
        }
        self.there = now;
        Ok(told.into_values().collect())
    }
}
