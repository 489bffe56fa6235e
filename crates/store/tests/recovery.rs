//! A store is opened, written, left without a word, and opened again.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::path::{Path, PathBuf};
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

/// Files below `folder`, with their contents.
fn files(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn what_cannot_be_adopted_whole_is_left_as_it_is() {
    type Spoil<'a> = &'a dyn Fn(&Path);
    let dangling = |bare: &Path| {
        std::fs::write(
            bare.join("refs/heads/gone"),
            format!("{}\n", "1".repeat(40)),
        )
        .unwrap();
    };
    let link = |bare: &Path, folder: &str| {
        let (path, elsewhere) = (bare.join(folder), bare.join("elsewhere"));
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    };
    let linked_pack = |bare: &Path| {
        let packs = std::fs::read_dir(bare.join("objects/pack")).unwrap();
        for path in packs.map(|entry| entry.unwrap().path()) {
            let to = bare.join(path.file_name().unwrap());
            std::fs::rename(&path, &to).unwrap();
            std::os::unix::fs::symlink(&to, &path).unwrap();
        }
    };
    let unreadable = |bare: &Path| {
        let path = bare.join("packed-refs");
        let mut packed = std::fs::read(&path).unwrap();
        packed.extend_from_slice(b"what is this\n");
        std::fs::write(&path, packed).unwrap();
    };
    let cases: [(&str, Spoil<'_>); 5] = [
        ("refs/heads/gone names 1111", &dangling),
        ("is a symbolic link", &linked_pack),
        ("refs/heads is a symbolic link", &|bare| {
            link(bare, "refs/heads")
        }),
        ("objects/pack is a symbolic link", &|bare| {
            link(bare, "objects/pack")
        }),
        ("\"what is this\" is no ref", &unreadable),
    ];
    for (why, spoil) in cases {
        let root = tempfile::tempdir().unwrap();
        git(root.path(), &["init", "-q", "work"]);
        let work = root.path().join("work");
        git(&work, &["commit", "-q", "--allow-empty", "-m", "one"]);
        let bare = root.path().join("data/old.git");
        let to = ["clone", "-q", "--bare", "work", "data/old.git"];
        git(root.path(), &to);
        git(&bare, &["repack", "-adq"]);
        git(&bare, &["pack-refs", "--all"]);
        spoil(&bare);
        let before = files(&bare);
        let (store, recovered) = open(&root.path().join("data"));
        let [stopped] = &recovered.stopped[..] else {
            panic!("{why}: {recovered:?}");
        };
        assert!(stopped.why.contains(why), "{}", stopped.why);
        store.close().unwrap();
        assert!(files(&bare) == before, "{why}");
    }
}

#[test]
fn a_file_that_is_no_ref_is_not_removed() {
    let root = tempfile::tempdir().unwrap();
    git(root.path(), &["init", "-q", "work"]);
    let work = root.path().join("work");
    git(&work, &["commit", "-q", "--allow-empty", "-m", "one"]);
    git(
        root.path(),
        &["clone", "-q", "--bare", "work", "data/old.git"],
    );
    let rubbish = root.path().join("data/old.git/refs/heads/topic");
    std::fs::write(&rubbish, "rubbish\n").unwrap();
    for _ in 0..2 {
        let (store, recovered) = open(&root.path().join("data"));
        assert_eq!(recovered.repositories.len(), 1);
        store.close().unwrap();
        assert_eq!(std::fs::read(&rubbish).unwrap(), b"rubbish\n");
    }
}

#[test]
fn a_directory_of_bare_repositories_is_adopted() {
    for hash in ["sha1", "sha256"] {
        let root = tempfile::tempdir().unwrap();
        let work = root.path().join("work");
        git(
            root.path(),
            &[
                "init",
                "-q",
                "-b",
                "trunk",
                &format!("--object-format={hash}"),
                "work",
            ],
        );
        let commit = |n: usize| {
            std::fs::write(work.join("file"), format!("{n}\n")).unwrap();
            git(&work, &["add", "file"]);
            git(&work, &["commit", "-q", "-m", &format!("commit {n}")]);
        };
        let data = root.path().join("data");
        std::fs::create_dir_all(data.join("group")).unwrap();
        let bare = data.join("group/old.git");
        // Two packs, loose objects, packed and loose refs, a symbolic one.
        commit(1);
        git(
            root.path(),
            &["clone", "-q", "--bare", "work", "data/group/old.git"],
        );
        git(&bare, &["repack", "-q", "-a", "-d"]);
        // What its owner asked of git holds here too.
        git(&bare, &["config", "receive.denyDeletes", "true"]);
        commit(2);
        git(&work, &["tag", "-a", "-m", "annotated", "v2"]);
        git(
            &work,
            &["push", "-q", bare.to_str().unwrap(), "trunk", "v2"],
        );
        git(&bare, &["repack", "-q", "-d"]);
        git(&bare, &["pack-refs", "--all"]);
        commit(3);
        git(
            &work,
            &[
                "push",
                "-q",
                bare.to_str().unwrap(),
                "trunk",
                "trunk:refs/heads/deep/er",
            ],
        );
        git(
            &bare,
            &["symbolic-ref", "refs/heads/alias", "refs/heads/trunk"],
        );
        // Others that are not to be taken in.
        std::fs::create_dir(data.join("empty.git")).unwrap();
        git(
            root.path(),
            &[
                "clone",
                "-q",
                "--bare",
                "--shared",
                "work",
                "data/borrows.git",
            ],
        );
        std::fs::rename(&work, root.path().join("data/not-bare")).unwrap();

        let expected = git_refs(&bare);
        let (store, recovered) = open(&data);
        assert_eq!(recovered.repositories.len(), 1, "{:?}", recovered.notes);
        assert_eq!(recovered.stopped.len(), 1);
        assert!(
            recovered.stopped[0].why.contains("alternates"),
            "{}",
            recovered.stopped[0].why
        );
        let old = &recovered.repositories[0];
        assert_eq!(old.snapshot.record.id.as_str(), "group/old");
        assert!(old.snapshot.record.settings.deny_deletes);
        assert_eq!((old.snapshot.seq, old.next), (0, 1));
        let alias = old.snapshot.refs.get(b"refs/heads/alias").cloned();
        assert_eq!(
            alias,
            Some(govc_engine::Target::Symbolic(govc_engine::RefName::branch(
                "trunk"
            )))
        );
        let head = old.snapshot.refs.head_branch().cloned();
        assert_eq!(head, Some(govc_engine::RefName::branch("trunk")));
        let check = |bare: &Path| {
            assert_eq!(git_refs(bare), expected);
            assert_eq!(
                git(bare, &["fsck", "--strict", "--no-dangling", "--full"]),
                ""
            );
            assert_eq!(git(bare, &["rev-list", "--count", "trunk"]).trim(), "3");
        };
        check(&bare);
        // Only packs are left, and git's own housekeeping is told to leave them alone.
        let loose = git(&bare, &["count-objects"]);
        assert!(loose.starts_with("0 objects"), "{loose}");
        assert_eq!(git(&bare, &["config", "gc.auto"]).trim(), "0");
        assert_eq!(
            git(&bare, &["config", "extensions.preciousObjects"]).trim(),
            "true"
        );
        drop(store);
        // The second time it is simply there.
        let (_store, recovered) = open(&data);
        assert_eq!(recovered.repositories.len(), 1);
        assert_eq!(recovered.repositories[0].snapshot.seq, 0);
        check(&bare);
    }
}

#[test]
fn what_git_changes_while_the_server_is_down_becomes_a_change() {
    let root = tempfile::tempdir().unwrap();
    let mut a = Model::new(1, "a");
    let (store, _) = open(root.path());
    append(
        &store,
        vec![a.make(), a.commit("main", "one"), a.commit("side", "two")],
    )
    .unwrap();
    store.checkpoint(a.key).unwrap();
    append(&store, vec![a.commit("main", "beyond the checkpoint")]).unwrap();
    drop(store);

    let dir = root.path().join("a.git");
    let main = a.tips["side"].to_string();
    git(&dir, &["update-ref", "refs/heads/new", &main]);
    git(&dir, &["symbolic-ref", "HEAD", "refs/heads/side"]);
    let tree = git(&dir, &["rev-parse", "side^{tree}"]);
    let commit = git(
        &dir,
        &["commit-tree", "-m", "by git", "-p", "side", tree.trim()],
    );
    git(&dir, &["update-ref", "refs/heads/side", commit.trim()]);
    git(&dir, &["update-ref", "-d", "refs/heads/main"]);

    let (store, recovered) = open(root.path());
    let found = found(&recovered, &a);
    assert_eq!(found.damage, None);
    let refs = &found.snapshot.refs;
    assert_eq!(
        refs.resolve(b"refs/heads/side").unwrap().to_string(),
        commit.trim()
    );
    assert_eq!(refs.resolve(b"refs/heads/new"), Some(a.tips["side"]));
    // What was answered for after the checkpoint stays.
    assert_eq!(refs.resolve(b"refs/heads/main"), Some(a.tips["main"]));
    assert_eq!(
        refs.head_branch(),
        Some(&govc_engine::RefName::branch("side"))
    );
    let last = store.entries(a.key, Some(a.next - 1), 9).unwrap();
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].cause.kind, govc_engine::CauseKind::External);
    assert_eq!(last[0].objects.packs.len(), 1);
    let refs = refs_text(refs);
    drop(store);
    // It is taken in once.
    let (store, recovered) = open(root.path());
    assert_eq!(recovered.repositories[0].snapshot.seq, a.next);
    store.close().unwrap();
    assert_eq!(git_refs(&dir), refs);
    assert_eq!(
        git(&dir, &["fsck", "--strict", "--no-dangling", "--full"]),
        ""
    );
    drop(store);
    let (_store, recovered) = open(root.path());
    assert_eq!(recovered.repositories[0].snapshot.seq, a.next);
    assert_eq!(recovered.notes, Vec::<String>::new());
}
