//! What the store tells the engine, and asks it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use govc_engine::journal::{PackBytes, PackId, Packs, Shelf};
use govc_engine::pool::{CommitNumber, Graph, GraphSource};
use govc_engine::{Engine, Place, RepoKey};
use govc_git::ObjectId;
use govc_git::object::commit::CommitFacts;
use govc_git::oid;

use crate::store::{Checkpointed, Store};

impl Store {
    /// Tells `engine` of every checkpoint: what is packed need not be kept as it came.
    pub fn attach(self: &Arc<Self>, engine: &Arc<Engine>) {
        engine.rest_on(Arc::clone(self) as Arc<dyn Shelf>);
        let link = EngineLink(Arc::downgrade(engine), Arc::downgrade(self));
        self.listen(Arc::new(link));
    }
}

struct EngineLink(Weak<Engine>, Weak<Store>);

impl Checkpointed for EngineLink {
    fn packed(&self, key: RepoKey, place: Place, pack: Option<(PackId, PackBytes)>) {
        let Some(repository) = self.0.upgrade().and_then(|engine| engine.by_key(key)) else {
            return;
        };
        let id = pack.as_ref().map(|(id, _)| *id);
        if let Some((id, bytes)) = pack {
            // Its commits are in the graph already: they came by changes.
            let graph = GraphSource::Commits(Vec::new());
            if let Err(error) = repository.pool().add_pack(id, bytes, graph) {
                tracing::error!(repository = %key, %error, "a checkpoint's pack cannot be read");
                return;
            }
        }
        repository.packed(place, id);
    }

    fn packed_of_realities(&self, host: RepoKey, realities: &[(RepoKey, Place)]) {
        let Some(engine) = self.0.upgrade() else {
            return;
        };
        let here = engine.realities_here(host).into_iter();
        let here: HashMap<RepoKey, _> = here.map(|reality| (reality.key(), reality)).collect();
        for (key, place) in realities {
            if let Some(reality) = here.get(key) {
                reality.packed(*place, None);
            }
        }
    }

    fn linked(&self, key: RepoKey, packs: &[PackId]) {
        let Some(repository) = self.0.upgrade().and_then(|engine| engine.by_key(key)) else {
            return;
        };
        let Some(store) = self.1.upgrade() else {
            return;
        };
        let open = |pack: PackId| Packs::open(&*store, key, pack);
        if let Err(error) = repository.linked(packs, &open) {
            // What it was forked from has them.
            tracing::error!(repository = %key, %error, "packs of a fork cannot be read");
        }
    }

    fn compacted(&self, key: RepoKey, old: &[PackId], new: (PackId, PackBytes)) {
        let Some(repository) = self.0.upgrade().and_then(|engine| engine.by_key(key)) else {
            return;
        };
        let (id, bytes) = new;
        if let Err(error) = repository.compacted(old, id, bytes) {
            // The old ones are mapped, and stay so.
            tracing::error!(repository = %key, %error, "merged packs cannot be read");
        }
    }

    fn collected(&self, key: RepoKey, old: &[PackId], new: &[(PackId, PackBytes)]) {
        let Some(repository) = self.0.upgrade().and_then(|engine| engine.by_key(key)) else {
            return;
        };
        if let Err(error) = repository.collected(old, new.to_vec()) {
            // The old ones are mapped, and stay so.
            tracing::error!(repository = %key, %error, "collected packs cannot be read");
        }
    }

    fn commit_count(&self, key: RepoKey) -> u64 {
        let repository = self.0.upgrade().and_then(|engine| engine.by_key(key));
        repository.map_or(0, |repository| u64::from(repository.pool().graph().len()))
    }

    fn commits(
        &self,
        key: RepoKey,
        has: &dyn Fn(&oid) -> bool,
    ) -> (Vec<(ObjectId, CommitFacts)>, bool) {
        let repository = self.0.upgrade().and_then(|engine| engine.by_key(key));
        repository.map_or_else(Default::default, |repository| {
            complete_commits(repository.pool().graph(), has)
        })
    }
}

/// The commits of `graph` that `has` has, and all of whose ancestors it has too; and whether it has
/// no others.
fn complete_commits(
    graph: &Graph,
    has: &dyn Fn(&oid) -> bool,
) -> (Vec<(ObjectId, CommitFacts)>, bool) {
    let count = graph.len();
    let all = || (0..count).map(CommitNumber);
    let mut included: Vec<bool> = all().map(|n| has(&graph.id(n))).collect();
    let there = included.iter().filter(|is_in| **is_in).count();
    for n in all().filter(|n| !graph.missing_parents(*n).is_empty()) {
        included[n.0 as usize] = false;
    }
    let is_in = |included: &[bool], n: CommitNumber| {
        included.get(n.0 as usize).copied().unwrap_or_default()
    };
    // Parents mostly have smaller numbers: one round takes out all that hangs on a missing one.
    loop {
        let mut changed = false;
        for n in all() {
            let without = |parent: &CommitNumber| !is_in(&included, *parent);
            if is_in(&included, n) && graph.parents(n).iter().any(without) {
                included[n.0 as usize] = false;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let facts = |n: CommitNumber| {
        let facts = CommitFacts {
            tree: graph.tree(n),
            parents: graph.parents(n).iter().map(|p| graph.id(*p)).collect(),
            committer_time: graph.time(n),
        };
        (graph.id(n), facts)
    };
    let commits: Vec<_> = { all().filter(|n| is_in(&included, *n)) }
        .map(facts)
        .collect();
    let is_all = commits.len() == there;
    (commits, is_all)
}
