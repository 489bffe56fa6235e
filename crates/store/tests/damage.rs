//! Bad disks: what is damaged is told, and who is not hit is served.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use govc_engine::RepoKey;
use govc_engine::journal::AppendError;
use govc_store::disk::{Faults, SimDisk};
use govc_store::{Disk, Recovered, Store};
use support::*;

fn open(disk: &SimDisk) -> (Arc<Store>, Recovered) {
    Store::open(Arc::new(disk.clone()) as Arc<dyn Disk>, options()).unwrap()
}

/// The bytes of the log's newest segment with something in it, and its path.
fn segment(disk: &SimDisk) -> (PathBuf, Vec<u8>) {
    let dir = Path::new(".govc/log");
    let newest = disk.list(dir).unwrap().pop().unwrap();
    let path = dir.join(newest.name);
    let bytes = govc_store::disk::read(disk, &path, 1 << 30).unwrap();
    (path, bytes)
}

/// Where a text is in the log.
fn find(disk: &SimDisk, text: &str) -> (PathBuf, usize) {
    let (path, bytes) = segment(disk);
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes());
    (path, at.expect("it is in the log"))
}

fn damage(recovered: &Recovered, key: RepoKey) -> Option<&str> {
    let found = recovered.repositories.iter().find(|r| r.key == key);
    found.expect("it is there").damage.as_deref()
}

/// Three repositories, each with `count` commits, in turns.
fn three(disk: &SimDisk, count: usize) -> [Model; 3] {
    let (store, _) = open(disk);
    let mut repos = [Model::new(1, "a"), Model::new(2, "b"), Model::new(3, "c")];
    for repo in &mut repos {
        append(&store, vec![repo.make()]).unwrap();
    }
    for n in 0..count {
        for repo in &mut repos {
            let content = format!("{}-{n}!", repo.record.id);
            append(&store, vec![repo.commit("main", &content)]).unwrap();
        }
    }
    repos
}

#[test]
fn a_damaged_record_stops_whom_it_names_and_nobody_else() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let [a, b, c] = three(&disk, 10);
        let (path, at) = find(&disk, "b-5!");
        disk.damage(&path, at, b"x").unwrap();
        for _ in 0..2 {
            let (store, recovered) = open(&disk);
            assert_eq!(damage(&recovered, a.key), None);
            assert_eq!(damage(&recovered, c.key), None);
            assert!(damage(&recovered, b.key).is_some());
            let found = recovered
                .repositories
                .iter()
                .find(|r| r.key == b.key)
                .unwrap();
            assert_eq!(found.snapshot.seq, 5, "up to what is whole");
            assert_eq!(recovered.repositories[0].snapshot.seq, 10);
            assert!(recovered.notes.iter().any(|note| note.contains("damaged")));
            let mut b = b.clone();
            let refused = append(&store, vec![b.commit("main", "more")]);
            assert!(
                matches!(refused, Err(AppendError::Failed(_))),
                "{refused:?}"
            );
            // The others go on, and their checkpoints do not take the evidence away.
            store.checkpoint_all().unwrap();
        }
    }
}

#[test]
fn a_damaged_head_is_told_by_the_records_around_it() {
    let disk = SimDisk::new(1);
    let [a, b, c] = three(&disk, 10);
    let (path, bytes) = segment(&disk);
    // The whole record: from its magic to the next.
    let at = find(&disk, "b-5!").1;
    let start = bytes[..at]
        .windows(4)
        .rposition(|w| w == b"gvr\x01")
        .unwrap();
    disk.damage(&path, start, &[0; 300]).unwrap();
    let (_store, recovered) = open(&disk);
    assert!(damage(&recovered, b.key).is_some());
    assert_eq!(damage(&recovered, a.key), None);
    assert_eq!(damage(&recovered, c.key), None);
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let disk = SimDisk::new(1);
    let [a, b, c] = three(&disk, 3);
    let (path, at) = find(&disk, "c-2!");
    disk.damage(&path, at, &[0xff; 100]).unwrap();
    let (store, recovered) = open(&disk);
    for key in [a.key, b.key, c.key] {
        assert_eq!(damage(&recovered, key), None);
    }
    assert_eq!(recovered.repositories[2].snapshot.seq, 2);
    assert!(
        recovered.notes[0].contains("never written whole"),
        "{:?}",
        recovered.notes
    );
    drop(store);
    assert_eq!(open(&disk).1.notes, Vec::<String>::new());
}

#[test]
fn any_byte_of_the_log_may_be_bad() {
    let disk = SimDisk::new(7);
    let models = three(&disk, 4);
    let (path, bytes) = segment(&disk);
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..used).step_by(29) {
        disk.damage(&path, at, &[bytes[at] ^ 0x55]).unwrap();
        let (store, recovered) = open(&disk);
        for model in &models {
            // Nothing is invented, and what is missing is told unless it was the end.
            let Some(found) = recovered.repositories.iter().find(|r| r.key == model.key) else {
                let stopped = |s: &govc_store::StoppedRepository| s.key == Some(model.key);
                assert!(recovered.stopped.iter().any(stopped), "byte {at}");
                continue;
            };
            assert!(found.snapshot.seq < model.next);
            if found.snapshot.seq != model.next - 1 {
                let told = found.damage.is_some() || !recovered.notes.is_empty();
                assert!(told, "byte {at}: {recovered:?}");
            }
        }
        drop(store);
        disk.damage(&path, at, &[bytes[at]]).unwrap();
    }
}

#[test]
fn a_damaged_checkpoint_stops_its_repository() {
    let disk = SimDisk::new(1);
    let [a, b, _] = three(&disk, 2);
    let (store, _) = open(&disk);
    store.checkpoint_all().unwrap();
    drop(store);
    disk.damage(Path::new("b.git/govc/checkpoint"), 30, b"??")
        .unwrap();
    let (_store, recovered) = open(&disk);
    assert_eq!(damage(&recovered, a.key), None);
    assert!(recovered.repositories.iter().all(|r| r.key != b.key));
    assert_eq!(recovered.stopped.len(), 1);
    assert_eq!(recovered.stopped[0].key, Some(b.key));
    let id = recovered.stopped[0].id.as_ref().map(|id| id.as_str());
    assert_eq!(id, Some("b"));
}

/// The log has forgotten it by then: what is in its directory is all there is of it.
#[test]
fn a_directory_whose_checkpoint_is_gone_is_kept_and_told() {
    for lost in [&["govc/checkpoint"][..], &["govc/checkpoint", "govc/key"]] {
        let disk = SimDisk::new(1);
        let [a, b, c] = three(&disk, 2);
        let (store, _) = open(&disk);
        store.checkpoint_all().unwrap();
        drop(store);
        let log = Path::new(".govc/log");
        for segment in disk.list(log).unwrap() {
            disk.remove(&log.join(segment.name)).unwrap();
        }
        for file in lost {
            disk.remove(&Path::new("b.git").join(file)).unwrap();
        }
        for _ in 0..2 {
            let (_store, recovered) = open(&disk);
            let keys: Vec<RepoKey> = recovered.repositories.iter().map(|r| r.key).collect();
            assert_eq!(keys, [a.key, c.key]);
            let [stopped] = &recovered.stopped[..] else {
                panic!("{:?}", recovered.stopped);
            };
            let id = stopped.id.as_ref().map(|id| id.as_str());
            assert_eq!(id, Some("b"));
            assert!(
                stopped.why.contains("checkpoint is gone"),
                "{}",
                stopped.why
            );
            let there = disk.kind(Path::new("b.git/packed-refs")).unwrap();
            assert!(there.is_some(), "the directory is removed");
        }
        drop(b);
    }
}

#[test]
fn a_full_disk_refuses_and_then_goes_on() {
    let disk = SimDisk::new(3);
    let mut a = Model::new(1, "a");
    let (store, _) = open(&disk);
    append(&store, vec![a.make()]).unwrap();
    disk.set_faults(Faults {
        full: 1000,
        ..Faults::default()
    });
    for _ in 0..3 {
        let refused = append(&store, vec![a.clone().commit("main", "no room")]);
        assert!(matches!(refused, Err(AppendError::Full)), "{refused:?}");
    }
    store.checkpoint(a.key).unwrap_err();
    disk.set_faults(Faults::default());
    append(&store, vec![a.commit("main", "room")]).unwrap();
    store.checkpoint(a.key).unwrap();
    drop(store);
    disk.crash();
    let (_store, recovered) = open(&disk);
    assert_eq!(recovered.repositories[0].snapshot.refs, a.refs);
}

#[test]
fn a_failing_sync_is_unknown_once_and_void_after_the_next_answer() {
    let disk = SimDisk::new(5);
    let mut a = Model::new(1, "a");
    let (store, _) = open(&disk);
    append(&store, vec![a.make()]).unwrap();
    disk.set_faults(Faults {
        sync: 1000,
        ..Faults::default()
    });
    let unknown = append(&store, vec![a.clone().commit("main", "perhaps")]);
    assert!(matches!(unknown, Err(AppendError::Unknown)), "{unknown:?}");
    disk.set_faults(Faults::default());
    append(&store, vec![a.commit("main", "surely")]).unwrap();
    drop(store);
    disk.crash();
    let (_store, recovered) = open(&disk);
    assert_eq!(recovered.repositories[0].snapshot.refs, a.refs);
}
