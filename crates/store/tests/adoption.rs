//! Directories that others made are taken in as they are found.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;

use govc_store::{Disk, RealDisk, Recovered, Store};
use support::*;

fn open(root: &Path) -> (Arc<Store>, Recovered) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root).unwrap());
    Store::open(disk, options()).unwrap()
}

#[test]
fn a_pack_without_an_index_gets_one() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("found.git");
    git(
        root.path(),
        &["init", "-q", "--bare", "-b", "main", "found.git"],
    );
    let tree = git(&dir, &["mktree", "--missing"]);
    let commit = git(&dir, &["commit-tree", "-m", "first", tree.trim()]);
    git(&dir, &["update-ref", "refs/heads/main", commit.trim()]);
    git(&dir, &["repack", "-qad"]);
    let folder = dir.join("objects/pack");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "pack") {
            std::fs::remove_file(path).unwrap();
        }
    }
    // Not a pack at all: it is told of, and nothing else happens.
    let broken = format!("pack-{}.pack", "0".repeat(40));
    std::fs::write(folder.join(&broken), b"PACK").unwrap();
    git(&dir, &["rev-parse", "main"]);

    let (store, recovered) = open(root.path());
    assert_eq!(recovered.stopped, []);
    let [found] = &recovered.repositories[..] else {
        panic!("{recovered:?}");
    };
    assert_eq!(found.damage, None);
    assert_eq!(found.packs.len(), 1);
    let notes = recovered.notes.join("\n");
    assert!(notes.contains("had no index"), "{notes}");
    assert!(notes.contains(&broken), "{notes}");
    git(&dir, &["cat-file", "-e", commit.trim()]);
    assert_eq!(git_refs(&dir), refs_text(&found.snapshot.refs));
    store.close().unwrap();
}
