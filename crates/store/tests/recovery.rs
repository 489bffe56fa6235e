//! A store is opened, written, left without a word, and opened again.

mod support;

use std::path::Path;
use std::sync::Arc;

use govc_engine::journal::{Journal, Moment, Packs};
use govc_engine::{NewObjects, RepoId, Time};
use govc_git::ObjectFormat;
use govc_store::{Disk, RealDisk, Recovered, Store};
use support::*;

fn open(root: &Path) -> (Arc<Store>, Recovered) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root).unwrap());
    Store::open(disk, options()).unwrap()
}

fn found<'a>(recovered: &'a Recovered, model: &Model) -> &'a govc_engine::Recovered {
    let of = |r: &&govc_engine::Recovered| r.key == model.key;
    recovered.repositories.iter().find(of).expect("it is there")
}

fn assert_is(recovered: &Recovered, model: &Model) {
    let found = found(recovered, model);
    assert_eq!(found.snapshot.refs, model.refs);
    assert_eq!(found.snapshot.seq, model.next - 1);
    assert_eq!(found.next, model.next);
    assert_eq!(*found.snapshot.record, model.record);
    assert_eq!(found.damage, None);
}

#[test]
fn what_was_appended_is_there_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let mut a = Model::new(1, "a");
    let mut b = Model::new(2, "group/b");
    let (store, recovered) = open(root.path());
    assert!(recovered.repositories.is_empty());
    append(&store, vec![a.make(), b.make()]).unwrap();
    for n in 0..5 {
        append(
            &store,
            vec![
                a.commit("main", &format!("a{n}")),
                b.commit("main", &format!("b{n}")),
            ],
        )
        .unwrap();
    }
    append(&store, vec![a.delete_branch("main")]).unwrap();
    drop(store);

    let (store, recovered) = open(root.path());
    assert_is(&recovered, &a);
    assert_is(&recovered, &b);
    assert_eq!(found(&recovered, &a).unpacked.len(), 15);
    assert_eq!(recovered.notes, Vec::<String>::new());

    // And once more, with more.
    append(&store, vec![b.commit("other", "later")]).unwrap();
    drop(store);
    let (store, recovered) = open(root.path());
    assert_is(&recovered, &b);
    let entries = store.entries(b.key, Some(1), 3).unwrap();
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(
        entries
            .iter()
            .all(|entry| entry.objects == NewObjects::default())
    );
}

#[test]
fn only_one_server_has_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let (_store, _) = open(root.path());
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root.path()).unwrap());
    let second = Store::open(disk, options())
        .err()
        .map(|error| error.to_string());
    assert_eq!(
        second.as_deref(),
        Some("another server uses this data directory (it holds .govc/lock)")
    );
}

#[test]
fn a_checkpoint_is_a_bare_repository_that_git_likes() {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let root = tempfile::tempdir().unwrap();
        let mut a = Model::with_format(1, "group/a", format);
        let (store, _) = open(root.path());
        append(&store, vec![a.make()]).unwrap();
        for n in 0..20 {
            append(&store, vec![a.commit("main", &format!("line {n}"))]).unwrap();
            append(&store, vec![a.commit("side/branch", &format!("side {n}"))]).unwrap();
        }
        append(&store, vec![a.annotated_tag("v1", "main")]).unwrap();
        assert!(store.checkpoint(a.key).unwrap());
        assert!(!store.checkpoint(a.key).unwrap());

        let dir = root.path().join("group/a.git");
        let fsck = git(&dir, &["fsck", "--strict", "--no-dangling", "--full"]);
        assert_eq!(fsck, "");
        assert_eq!(git_refs(&dir), refs_text(&a.refs));
        assert_eq!(
            git(&dir, &["rev-parse", "v1^{}"]).trim(),
            a.tips["main"].to_string()
        );
        assert_eq!(git(&dir, &["rev-list", "--count", "HEAD"]).trim(), "20");
        let clone = root.path().join("clone");
        git(
            root.path(),
            &[
                "clone",
                "-q",
                dir.to_str().unwrap(),
                clone.to_str().unwrap(),
            ],
        );
        assert_eq!(
            std::fs::read_to_string(clone.join("file")).unwrap(),
            "line 19"
        );

        // More, a second checkpoint, more without one, and a kill.
        append(&store, vec![a.commit("main", "more")]).unwrap();
        append(&store, vec![a.delete_branch("side/branch")]).unwrap();
        store.checkpoint(a.key).unwrap();
        assert_eq!(git_refs(&dir), refs_text(&a.refs));
        assert_eq!(
            git(&dir, &["fsck", "--strict", "--no-dangling", "--full"]),
            ""
        );
        append(&store, vec![a.commit("main", "last")]).unwrap();
        drop(store);
        let (_store, recovered) = open(root.path());
        assert_is(&recovered, &a);
        let found = found(&recovered, &a);
        assert_eq!(found.packs.len(), 2);
        assert_eq!(found.unpacked.len(), 3);
    }
}

#[test]
fn the_past_is_read_from_history_and_log() {
    let root = tempfile::tempdir().unwrap();
    let mut a = Model::new(1, "a");
    let (store, _) = open(root.path());
    append(&store, vec![a.make()]).unwrap();
    let mut states = vec![a.refs.clone()];
    for n in 0..2500 {
        let entry = match n % 7 {
            6 => a.delete_branch(&format!("b{}", n % 5)),
            _ => a.commit(&format!("b{}", n % 5), &format!("{n}")),
        };
        append(&store, vec![entry]).unwrap();
        states.push(a.refs.clone());
        if n % 700 == 699 {
            store.checkpoint(a.key).unwrap();
        }
    }
    let check = |store: &Store| {
        for seq in [
            0, 1, 2, 699, 700, 701, 1022, 1023, 1024, 1025, 2047, 2048, 2100, 2101, 2499, 2500,
        ] {
            let past = store.refs_at(a.key, Moment::Seq(seq)).unwrap().unwrap();
            assert_eq!(
                (past.seq, &past.refs),
                (seq, &states[seq as usize]),
                "{seq}"
            );
            let time = Moment::Time(Time(1_000_000 + seq as i64));
            let past = store.refs_at(a.key, time).unwrap().unwrap();
            assert_eq!(
                (past.seq, &past.refs),
                (seq, &states[seq as usize]),
                "{seq}"
            );
            let entries = store.entries(a.key, seq.checked_sub(1), 4).unwrap();
            let expected: Vec<u64> = (seq..=2500).take(4).collect();
            assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), expected);
        }
        assert!(
            store
                .refs_at(a.key, Moment::Time(Time(5)))
                .unwrap()
                .is_none()
        );
        assert_eq!(store.entries(a.key, None, usize::MAX).unwrap().len(), 2501);
        let late = store.refs_at(a.key, Moment::Seq(9999)).unwrap().unwrap();
        assert_eq!(late.seq, 2500);
    };
    check(&store);
    drop(store);
    let (store, recovered) = open(root.path());
    assert_is(&recovered, &a);
    check(&store);
    store.close().unwrap();
    drop(store);
    check(&open(root.path()).0);
}

#[test]
fn a_fork_is_complete_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let mut parent = Model::new(1, "parent");
    append(&store, vec![parent.make(), parent.commit("main", "one")]).unwrap();
    store.checkpoint(parent.key).unwrap();
    append(&store, vec![parent.commit("main", "two")]).unwrap();
    let (mut fork, made) = Model::fork(&parent, 2, "fork");
    append(&store, vec![made]).unwrap();
    append(&store, vec![fork.commit("main", "mine")]).unwrap();
    drop(store);
    let (store, recovered) = open(root.path());
    assert_is(&recovered, &fork);
    store.checkpoint(fork.key).unwrap();
    // The parent goes, for good.
    append(
        &store,
        vec![parent.change_record(|r| r.deleted_at = Some(Time(9_000_000)))],
    )
    .unwrap();
    store.checkpoint(parent.key).unwrap();
    assert!(!root.path().join("parent.git").exists());
    assert!(
        root.path()
            .join(format!(".govc/deleted/{}.git", parent.key))
            .exists()
    );
    store.purge(parent.key).unwrap();
    assert!(
        !root
            .path()
            .join(format!(".govc/deleted/{}.git", parent.key))
            .exists()
    );
    let dir = root.path().join("fork.git");
    assert_eq!(
        git(&dir, &["fsck", "--strict", "--no-dangling", "--full"]),
        ""
    );
    assert_eq!(git(&dir, &["rev-list", "--count", "HEAD"]).trim(), "3");
    drop(store);
    let (_store, recovered) = open(root.path());
    assert_eq!(recovered.repositories.len(), 1);
    assert_is(&recovered, &fork);
}

#[test]
fn directories_follow_their_ids() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let mut a = Model::new(1, "a");
    let mut b = Model::new(2, "b");
    append(
        &store,
        vec![
            a.make(),
            b.make(),
            a.commit("main", "a"),
            b.commit("main", "b"),
        ],
    )
    .unwrap();
    store.checkpoint_all().unwrap();
    // They swap their ids, by way of a third.
    let id = |text: &str| RepoId::parse(text).unwrap();
    append(&store, vec![a.change_record(|r| r.id = id("x/y"))]).unwrap();
    append(&store, vec![b.change_record(|r| r.id = id("a"))]).unwrap();
    append(&store, vec![a.change_record(|r| r.id = id("b"))]).unwrap();
    store.checkpoint(a.key).unwrap();
    let is = |id: &str, model: &Model| {
        let dir = root.path().join(format!("{id}.git"));
        assert_eq!(
            git(&dir, &["rev-parse", "main"]).trim(),
            model.tips["main"].to_string()
        );
    };
    is("b", &a);
    is("a", &b);
    // And back, with a kill before any directory moves.
    append(&store, vec![a.change_record(|r| r.id = id("x/y"))]).unwrap();
    append(&store, vec![b.change_record(|r| r.id = id("b"))]).unwrap();
    append(&store, vec![a.change_record(|r| r.id = id("a"))]).unwrap();
    drop(store);
    let (_store, recovered) = open(root.path());
    assert_is(&recovered, &a);
    assert_is(&recovered, &b);
    is("a", &a);
    is("b", &b);
}

#[test]
fn a_pack_is_durable_before_it_is_named_and_leaves_nothing_when_it_is_not() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let mut a = Model::new(1, "a");
    append(&store, vec![a.make()]).unwrap();
    let mut dropped = store.receive(a.key).unwrap();
    dropped.write(b"PACK").unwrap();
    drop(dropped);
    let packs = root.path().join("a.git/objects/pack");
    assert_eq!(std::fs::read_dir(&packs).unwrap().count(), 0);
}
