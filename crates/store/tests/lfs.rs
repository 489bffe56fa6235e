//! Large files beside the repositories: what was kept is there, what was not is gone.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::LfsOid;
use govc_engine::journal::contents::Contents;
use govc_store::disk::{Faults, SimDisk};
use govc_store::{Disk, Store};
use support::*;

fn open(disk: &SimDisk) -> Arc<Store> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open(disk, options()).unwrap().0
}

fn keep(store: &Store, n: u8, content: &'static str) -> std::io::Result<()> {
    let mut spool = Contents::receive(store)?;
    spool.write(Bytes::from(content))?;
    spool.keep(&LfsOid([n; 32]))
}

fn read(store: &Store, n: u8) -> Option<Bytes> {
    let content = Contents::open(store, &LfsOid([n; 32])).ok()?;
    Some(content.read(0, usize::MAX).unwrap())
}

#[test]
fn what_was_kept_survives_a_power_loss_and_nothing_else_is_there() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    assert!(store.list().unwrap().is_empty());
    keep(&store, 1, "one").unwrap();
    keep(&store, 2, "").unwrap();
    keep(&store, 1, "one").unwrap();
    let mut left = Contents::receive(&*store).unwrap();
    left.write(Bytes::from("half")).unwrap();
    drop(Contents::receive(&*store).unwrap());
    let names = |disk: &SimDisk| disk.list(Path::new(".govc/lfs/arriving")).unwrap().len();
    assert_eq!(names(&disk), 1);
    // The process dies, and never says that it lets go.
    std::mem::forget(left);
    drop(store);
    disk.crash();
    let store = open(&disk);
    assert_eq!(names(&disk), 0);
    assert_eq!(store.list().unwrap().len(), 2);
    assert_eq!(read(&store, 1).unwrap(), "one");
    assert_eq!(read(&store, 2).unwrap(), "");
    assert_eq!(read(&store, 3), None);
    // Who reads reads on.
    let content = Contents::open(&*store, &LfsOid([1; 32])).unwrap();
    Contents::remove(&*store, &LfsOid([1; 32])).unwrap();
    Contents::remove(&*store, &LfsOid([1; 32])).unwrap();
    assert_eq!(content.read(1, 1).unwrap(), "n");
    assert_eq!(content.read(3, 1).unwrap(), "");
    assert_eq!(read(&store, 1), None);
}

#[test]
fn a_disk_that_fails_keeps_nothing_half() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let store = open(&disk);
        keep(&store, 1, "one").unwrap();
        disk.set_faults(Faults {
            full: 300,
            write: 300,
            sync: 300,
            name: 300,
        });
        let kept: Vec<bool> = (2..8).map(|n| keep(&store, n, "more").is_ok()).collect();
        disk.set_faults(Faults::default());
        drop(store);
        disk.crash();
        let store = open(&disk);
        assert_eq!(read(&store, 1).unwrap(), "one");
        for (n, kept) in (2..).zip(kept) {
            let found = read(&store, n);
            assert!(!kept || found.as_deref() == Some(b"more"), "seed {seed}");
        }
    }
}
