//! Single ways to lose power at a bad moment; `sim.rs` finds others.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::sync::Arc;

use govc_engine::journal::AppendError;
use govc_store::disk::{Faults, SimDisk};
use govc_store::{Disk, Store};
use support::*;

#[test]
fn refs_that_were_written_and_not_synced_are_written_again() {
    for seed in 0..300 {
        let sim = SimDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let (store, _) = Store::open(Arc::clone(&disk), options()).unwrap();
        let mut repo = Model::new(1, "hello");
        append(&store, vec![repo.make(), repo.commit("main", "one")]).unwrap();
        store.checkpoint(repo.key).unwrap();
        // Folders do not sync for a while: refs may be there to be read and nowhere else.
        append(&store, vec![repo.commit("main", "two")]).unwrap();
        sim.set_faults(Faults {
            name: 150,
            ..Faults::default()
        });
        let _ = store.checkpoint(repo.key);
        sim.set_faults(Faults::default());
        for n in 0..2 {
            // Their refs are the same. What these say of the refs' files must be so after a crash.
            let described = repo.change_record(|record| record.description = format!("{n}"));
            append(&store, vec![described]).unwrap();
            store.checkpoint(repo.key).unwrap();
        }
        drop(store);
        sim.crash();
        let (_, recovered) = Store::open(disk, options()).unwrap();
        assert_eq!(recovered.notes, Vec::<String>::new(), "seed {seed}");
        assert_eq!(recovered.repositories[0].snapshot.refs, repo.refs);
    }
}

#[test]
fn what_a_killed_server_left_in_the_cache_is_durable_before_it_is_built_upon() {
    for seed in 0..300 {
        let sim = SimDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let (store, _) = Store::open(Arc::clone(&disk), options()).unwrap();
        let mut repo = Model::new(1, "hello");
        append(&store, vec![repo.make()]).unwrap();
        sim.set_faults(Faults {
            sync: 1000,
            ..Faults::default()
        });
        let commit = repo.commit("main", "one");
        assert!(matches!(
            append(&store, vec![commit]),
            Err(AppendError::Unknown)
        ));
        drop(store);
        sim.kill();
        sim.set_faults(Faults::default());
        let (store, recovered) = Store::open(Arc::clone(&disk), options()).unwrap();
        // Nobody was told, and it may be there. Who reads it now may count on it.
        assert_eq!(recovered.repositories[0].snapshot.refs, repo.refs);
        append(&store, vec![repo.commit("main", "two")]).unwrap();
        drop(store);
        sim.crash();
        let (_, recovered) = Store::open(disk, options()).unwrap();
        assert_eq!(recovered.notes, Vec::<String>::new(), "seed {seed}");
        let found = &recovered.repositories[0];
        assert_eq!(
            (found.damage.as_deref(), &found.snapshot.refs),
            (None, &repo.refs)
        );
    }
}
