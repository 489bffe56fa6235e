//! A data directory that an earlier version wrote opens, with everything in it.
//!
//! `fixtures/version-N.files` is such a directory in one file: for each file or folder its path,
//! its length, and its bytes without the zeros at the end. It was made once, by
//! `GOVC_WRITE_FIXTURE=1 cargo test -p govc-store --test versions`, and is not made again: a new
//! version of a format gets a new fixture beside the old ones.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use govc_engine::journal::Journal;
use govc_engine::journal::contents::Contents;
use govc_engine::{CauseKind, Entry, EntryEdit, LfsLock, LfsObject, LfsOid, NewObjects, Time};
use govc_git::ObjectFormat;
use govc_git::pack::PackIndex;
use govc_store::{Disk, RealDisk, Store, StoreOptions};
use support::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn open(root: &Path) -> (Arc<Store>, govc_store::Recovered) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root).unwrap());
    let options = StoreOptions {
        segment_bytes: 16 << 10,
        ..StoreOptions::default()
    };
    Store::open(disk, options).unwrap()
}

/// Everything that was recovered, as a text.
fn describe(store: &Store, recovered: &govc_store::Recovered) -> String {
    let mut text = String::new();
    for repo in &recovered.repositories {
        let snapshot = &repo.snapshot;
        let record = &snapshot.record;
        text += &format!(
            "{} {} {:?} {:?} {} family {}\n",
            repo.key,
            record.id,
            record.description,
            record.storage,
            record.object_format,
            record.family
        );
        let from = record.forked_from.as_ref();
        let from = from.map(|from| format!("{} {} {}", from.key, from.id, from.seq));
        text += &format!(
            "  forked from {from:?}, deleted at {:?}\n",
            record.deleted_at
        );
        let (quotas, hidden) = (&record.settings.quotas, &record.settings.hide_refs);
        text += &format!("  bytes {:?}, hidden {hidden:?}\n", quotas.bytes);
        text += &format!(
            "  change {} at {:?}, next {}\n",
            snapshot.seq, snapshot.time, repo.next
        );
        for (name, target) in snapshot.refs.iter() {
            text += &format!("  {name} {target:?}\n");
        }
        for (oid, object) in snapshot.lfs.objects() {
            let (size, since) = (object.size, object.since);
            text += &format!("  large file {oid} of {size} bytes since {since:?}\n");
        }
        for lock in snapshot.lfs.locks_after(None) {
            text += &format!("  {lock:?}\n");
        }
        let mut objects: Vec<_> = repo.unpacked.iter().map(|(_, object)| object.id).collect();
        for (pack, bytes) in &repo.packs {
            let index = PackIndex::parse(bytes.index.clone(), pack.0.kind()).unwrap();
            objects.extend((0..index.len()).map(|at| index.id(at).to_owned()));
        }
        objects.sort_unstable();
        for id in objects {
            text += &format!("  object {id}\n");
        }
        for entry in store.entries(repo.key, None, 1000).unwrap() {
            let cause = &entry.cause;
            text += &format!(
                "  entry {} {:?} {} {} by {} in {}\n",
                entry.seq,
                entry.time,
                cause.kind.name(),
                cause.via.name(),
                cause.actor,
                cause.request_id
            );
        }
    }
    text
}

fn write(root: &Path) {
    let (store, _) = open(root);
    let mut a = Model::new(1, "group/a");
    let mut b = Model::with_format(2, "sha256", ObjectFormat::Sha256);
    let mut gone = Model::new(4, "gone");
    append(&store, vec![a.make(), b.make(), gone.make()]).unwrap();
    for n in 0..4 {
        append(
            &store,
            vec![
                a.commit("main", &format!("a {n}")),
                b.commit("main", &format!("b {n}")),
            ],
        )
        .unwrap();
    }
    append(
        &store,
        vec![a.annotated_tag("v1", "main"), gone.commit("main", "gone")],
    )
    .unwrap();
    store.checkpoint_all().unwrap();
    append(
        &store,
        vec![gone.change_record(|record| record.deleted_at = Some(Time(77)))],
    )
    .unwrap();
    store.checkpoint(gone.key).unwrap();
    let (mut fork, made) = Model::fork(&a, 3, "fork");
    append(
        &store,
        vec![made, a.commit("side", "beyond the checkpoint")],
    )
    .unwrap();
    append(
        &store,
        vec![fork.commit("main", "of the fork"), b.delete_branch("main")],
    )
    .unwrap();
    append(
        &store,
        vec![a.change_record(|record| {
            record.description = "described".to_owned();
            record.settings.quotas.bytes = Some(1 << 30);
            record.settings.hide_refs = vec!["refs/hidden".to_owned()];
        })],
    )
    .unwrap();
    // Left as a kill leaves it.
}

fn pack(root: &Path, folder: &Path, out: &mut Vec<u8>) {
    let mut names: Vec<_> = fs::read_dir(root.join(folder))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    for name in names {
        let path = folder.join(name);
        let is_dir = root.join(&path).is_dir();
        let bytes = if is_dir {
            Vec::new()
        } else {
            fs::read(root.join(&path)).unwrap()
        };
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let kind = if is_dir { "folder" } else { "file" };
        out.extend_from_slice(
            format!("{kind} {} {} {used}\n", path.display(), bytes.len()).as_bytes(),
        );
        out.extend_from_slice(&bytes[..used]);
        out.push(b'\n');
        if is_dir {
            pack(root, &path, out);
        }
    }
}

fn unpack(mut bytes: &[u8], root: &Path) {
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let line = std::str::from_utf8(&bytes[..end]).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let (len, used): (usize, usize) = (words[2].parse().unwrap(), words[3].parse().unwrap());
        let path = root.join(words[1]);
        let mut content = bytes[end + 1..end + 1 + used].to_vec();
        content.resize(len, 0);
        match words[0] {
            "folder" => fs::create_dir(path).unwrap(),
            _ => fs::write(path, content).unwrap(),
        }
        bytes = &bytes[end + 1 + used + 1..];
    }
}

/// As [`write`], and what version 1 did not know: large files and locks, in the checkpoint and
/// beyond it.
fn write_with_lfs(root: &Path) {
    write(root);
    let (store, recovered) = open(root);
    let repo = &recovered.repositories[0];
    let mut seq = repo.snapshot.seq;
    let mut step = 0;
    for n in 0..4u8 {
        let oid = LfsOid([n; 32]);
        let mut spool = Contents::receive(&*store).unwrap();
        spool.write(vec![n; 10].into()).unwrap();
        spool.keep(&oid).unwrap();
        step += 1;
        let mut entry = Entry {
            repo: repo.key,
            host: None,
            seq,
            step,
            time: Time(9_000_000),
            cause: cause(CauseKind::LfsUploaded),
            edits: vec![EntryEdit::LfsObjects([LfsObject { oid, size: 10 }].into())],
            objects: NewObjects::default(),
        };
        append(&store, vec![Arc::new(entry.clone())]).unwrap();
        (seq, step) = (seq + 1, 0);
        let path: Arc<str> = format!("art/{n}").into();
        let lock = LfsLock {
            id: format!("lock-{n}").into(),
            path: Arc::clone(&path),
            owner: "ada".into(),
            locked_at: Time(7_000_000 + i64::from(n)),
        };
        (entry.seq, entry.step) = (seq, step);
        entry.cause = cause(CauseKind::LfsLocked);
        entry.edits = vec![EntryEdit::LfsLock {
            path,
            before: None,
            after: Some(Arc::new(lock)),
        }];
        append(&store, vec![Arc::new(entry)]).unwrap();
        if n == 1 {
            store.checkpoint(repo.key).unwrap();
        }
    }
}

#[test]
fn version_1_opens() {
    opens("version-1", write);
}

#[test]
fn version_2_opens() {
    let recovered = opens("version-2", write_with_lfs);
    let lfs = &recovered.repositories[0].snapshot.lfs;
    assert_eq!((lfs.objects().count(), lfs.lock_count()), (4, 4));
}

fn opens(name: &str, write: fn(&Path)) -> govc_store::Recovered {
    let (files, told) = (
        fixture(&format!("{name}.files")),
        fixture(&format!("{name}.txt")),
    );
    if std::env::var_os("GOVC_WRITE_FIXTURE").is_some() && !files.exists() {
        let root = tempfile::tempdir().unwrap();
        write(root.path());
        let mut out = Vec::new();
        pack(root.path(), Path::new(""), &mut out);
        fs::create_dir_all(files.parent().unwrap()).unwrap();
        fs::write(&files, out).unwrap();
        let (store, recovered) = open(root.path());
        fs::write(&told, describe(&store, &recovered)).unwrap();
    }
    let root = tempfile::tempdir().unwrap();
    unpack(&fs::read(files).unwrap(), root.path());
    let (store, recovered) = open(root.path());
    assert_eq!(
        describe(&store, &recovered),
        fs::read_to_string(told).unwrap()
    );
    assert_eq!(recovered.stopped, []);
    assert_eq!(recovered.notes, Vec::<String>::new());
    // And it goes on from there.
    store.checkpoint_all().unwrap();
    for (id, commits) in [("group/a", 4), ("fork", 5)] {
        let dir = root.path().join(format!("{id}.git"));
        assert_eq!(
            git(&dir, &["fsck", "--strict", "--no-dangling", "--full"]),
            ""
        );
        assert_eq!(
            git(&dir, &["rev-list", "--count", "main"]).trim(),
            commits.to_string()
        );
    }
    assert_eq!(recovered.repositories.len(), 4);
    for (oid, object) in (recovered.repositories.iter()).flat_map(|r| r.snapshot.lfs.objects()) {
        let content = Contents::open(&*store, &oid).unwrap();
        assert_eq!(content.size(), object.size);
    }
    recovered
}
