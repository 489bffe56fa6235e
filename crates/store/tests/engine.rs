//! The engine over the store: published, checkpointed, killed, loaded.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use bytes::Bytes;
use futures_executor::block_on;
use govc_engine::journal::PackId;
use govc_engine::pool::{ListBuilder, PoolLimits, SavedLists};
use govc_engine::{
    CauseKind, Change, Clock, Edit, Engine, EngineParts, NewObject, NewObjects, NewRepository,
    ObjectBody, PublishError, RefEdit, RefName, RepoId, RepoKey, Repository, Storage, Time,
    Workspace,
};
use govc_git::object_id::hash_object;
use govc_git::pack::commit_graph::CommitGraph;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use govc_store::disk::{Faults, SimDisk};
use govc_store::format::{decode_lists, encode_lists};
use govc_store::{Disk, RealDisk, Store, StoreOptions};
use support::*;

struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn start(root: &Path, keys: &Arc<AtomicU8>) -> (Arc<Store>, Arc<Engine>) {
    start_on(Arc::new(RealDisk::new(root).unwrap()), keys)
}

fn start_on(disk: Arc<dyn Disk>, keys: &Arc<AtomicU8>) -> (Arc<Store>, Arc<Engine>) {
    start_with(disk, keys, options())
}

fn start_with(
    disk: Arc<dyn Disk>,
    keys: &Arc<AtomicU8>,
    options: StoreOptions,
) -> (Arc<Store>, Arc<Engine>) {
    let (store, recovered) = Store::open(disk, options).unwrap();
    let keys = Arc::clone(keys);
    let engine = Engine::new(EngineParts {
        journal: Arc::clone(&store) as _,
        packs: Arc::clone(&store) as _,
        clock: Arc::new(Ticks(AtomicI64::new(1_700_000_000_000_000))),
        new_key: Arc::new(move || RepoKey([keys.fetch_add(1, Ordering::Relaxed); 16])),
        turn_threads: 1,
        pool_limits: PoolLimits::default(),
    })
    .unwrap();
    assert_eq!(recovered.stopped, []);
    engine.load(recovered.repositories);
    store.attach(&engine);
    (store, engine)
}

fn create(engine: &Engine, id: &str) -> Arc<Repository> {
    let new = NewRepository {
        id: RepoId::parse(id).unwrap(),
        description: "a test".to_owned(),
        default_branch: RefName::branch("main"),
        storage: Storage::Hybrid,
        object_format: ObjectFormat::Sha1,
        expires_at: None,
    };
    block_on(engine.create(new, cause(CauseKind::RepoCreated), false))
        .unwrap()
        .0
}

fn commit(repo: &Arc<Repository>, content: &str) -> ObjectId {
    try_commit(repo, content).unwrap()
}

fn try_commit(repo: &Arc<Repository>, content: &str) -> Result<ObjectId, PublishError> {
    let format = ObjectFormat::Sha1;
    let parent = repo.snapshot().head();
    let blob = object(format, ObjectKind::Blob, content);
    let tree = object(
        format,
        ObjectKind::Tree,
        [b"100644 file\0", blob.id.as_slice()].concat(),
    );
    let parent_line = parent.map_or(String::new(), |id| format!("parent {id}\n"));
    let text = format!(
        "tree {}\n{parent_line}author A <a@x> 1700000000 +0000\n\
         committer A <a@x> 1700000000 +0000\n\n{content}\n",
        tree.id
    );
    let commit = object(format, ObjectKind::Commit, text);
    let id = commit.id;
    let main = RefName::branch("main");
    let edit = match parent {
        Some(parent) => RefEdit::advance(main, parent, id),
        None => RefEdit::create(main, id),
    };
    let change = Change {
        objects: NewObjects {
            inline: vec![blob, tree, commit],
            packs: Vec::new(),
        },
        edits: vec![Edit::Ref(edit)],
        cause: cause(CauseKind::Commit),
    };
    block_on(repo.publish(change)).map(|_| id)
}

/// What of `base` makes `base` and `more`; with `more` empty, what of a longer one makes its first
/// `keep` bytes. No longer than a byte can say.
fn delta(base: &str, keep: usize, more: &str) -> Bytes {
    let (from, to) = (base.len() as u8, (keep + more.len()) as u8);
    let mut delta = vec![from, to, 0b1001_0000, keep as u8];
    if !more.is_empty() {
        delta.push(more.len() as u8);
        delta.extend_from_slice(more.as_bytes());
    }
    delta.into()
}

fn insert(repo: &Arc<Repository>, objects: Vec<NewObject>) {
    let last = objects.last().unwrap().id;
    let bytes = [b"100644 file\0", last.as_slice()].concat();
    let tree = object(ObjectFormat::Sha1, ObjectKind::Tree, bytes);
    let text = format!(
        "tree {}\nauthor A <a@x> 1700000000 +0000\ncommitter A <a@x> 1700000000 +0000\n\n{}\n",
        tree.id,
        repo.snapshot().seq
    );
    let commit = object(ObjectFormat::Sha1, ObjectKind::Commit, text);
    let name = format!("at-{}", repo.snapshot().seq);
    let edit = RefEdit::create(RefName::branch(&name), commit.id);
    let inline = objects.into_iter().chain([tree, commit]).collect();
    let packs = Vec::new();
    let change = Change {
        objects: NewObjects { inline, packs },
        edits: vec![Edit::Ref(edit)],
        cause: cause(CauseKind::Commit),
    };
    block_on(repo.publish(change)).unwrap();
}

#[test]
fn what_comes_again_as_a_delta_of_what_was_made_of_it_is_saved() {
    for saved_between in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(AtomicU8::new(1));
        let (short, long) = ("what there was", "what there was, and more");
        let blob = |content: &str| object(ObjectFormat::Sha1, ObjectKind::Blob, content);
        let of = |content: &str, base: &str, delta: Bytes| NewObject {
            body: ObjectBody::Delta {
                base: blob(base).id,
                delta,
            },
            ..blob(content)
        };
        let longer = || of(long, short, delta(short, short.len(), ", and more"));
        let shorter = || of(short, long, delta(long, short.len(), ""));
        let has_both = |repo: &Repository| {
            let has = |content: &str| repo.pool().get(&blob(content).id).unwrap().data == content;
            has(short) && has(long)
        };
        {
            let (store, engine) = start(folder.path(), &keys);
            let repo = create(&engine, "a");
            insert(&repo, vec![blob(short)]);
            if saved_between {
                assert!(store.checkpoint(repo.key()).unwrap());
            }
            insert(&repo, vec![longer()]);
            insert(&repo, vec![shorter()]);
            insert(&repo, vec![longer()]);
            assert!(store.checkpoint(repo.key()).unwrap());
            // And once more, on what is in packs.
            insert(&repo, vec![longer(), shorter()]);
            assert!(has_both(&repo));
            engine.shut_down();
        }
        {
            let (store, engine) = start(folder.path(), &keys);
            let repo = engine.get("a").unwrap();
            assert!(has_both(&repo));
            assert!(store.checkpoint(repo.key()).unwrap());
            engine.shut_down();
        }
        let (_store, engine) = start(folder.path(), &keys);
        assert!(has_both(&engine.get("a").unwrap()));
    }
}

#[test]
fn what_was_changed_for_thousands_of_times_between_two_checkpoints_is_read_from_its_pack() {
    const TIMES: usize = 5000;
    let root = tempfile::tempdir().unwrap();
    let keys = Arc::new(AtomicU8::new(1));
    let content = |n: usize| format!("version {n:05}");
    let blob = |n: usize| object(ObjectFormat::Sha1, ObjectKind::Blob, content(n));
    {
        let (store, engine) = start(root.path(), &keys);
        let repo = create(&engine, "a");
        let mut objects = vec![blob(0)];
        for n in 1..=TIMES {
            let (before, now) = (content(n - 1), content(n));
            objects.push(NewObject {
                body: ObjectBody::Delta {
                    base: blob(n - 1).id,
                    delta: delta(&before, 8, &now[8..]),
                },
                ..blob(n)
            });
        }
        insert(&repo, objects);
        assert!(store.checkpoint(repo.key()).unwrap());
        engine.shut_down();
    }
    let (_store, engine) = start(root.path(), &keys);
    let repo = engine.get("a").unwrap();
    for n in [0, 1, TIMES / 2, TIMES] {
        let found = repo.pool().get(&blob(n).id).unwrap();
        assert_eq!(found.data, content(n).as_bytes());
    }
    let directory = root.path().join("a.git");
    let index = std::fs::read_dir(directory.join("objects/pack")).unwrap();
    let index = index.map(|entry| entry.unwrap().path());
    let index = index.filter(|path| path.extension().is_some_and(|end| end == "idx"));
    let mut git = std::process::Command::new("git");
    let said = git
        .args(["verify-pack", "-s"])
        .args(index)
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    let longest = said
        .lines()
        .filter_map(|line| line.strip_prefix("chain length = "));
    let longest = longest.filter_map(|line| line.split(':').next()?.parse::<u32>().ok());
    assert_eq!(longest.max(), Some(50), "{said}");
}

/// Stages a file in a workspace. The blob's id.
fn stage(repo: &Arc<Repository>, workspace: &str, content: &str) -> ObjectId {
    let blob = object(ObjectFormat::Sha1, ObjectKind::Blob, content);
    let id = blob.id;
    let tree = object(
        ObjectFormat::Sha1,
        ObjectKind::Tree,
        [b"100644 staged\0", id.as_slice()].concat(),
    );
    let after = Workspace::clean(
        Some(RefName::branch("main")),
        repo.snapshot().head(),
        tree.id,
        Time(1),
    );
    let change = Change {
        objects: NewObjects {
            inline: vec![blob, tree],
            packs: Vec::new(),
        },
        edits: vec![Edit::Workspace {
            name: workspace.into(),
            after: Some(Arc::new(after)),
            is_staging: true,
        }],
        cause: cause(CauseKind::Workspace),
    };
    let seq = repo.snapshot().seq;
    let published = block_on(repo.publish(change)).unwrap();
    assert_eq!(published.seq, seq, "staging takes no number");
    id
}

#[test]
fn what_is_staged_survives_kills_and_checkpoints_in_between() {
    let root = tempfile::tempdir().unwrap();
    let keys = Arc::new(AtomicU8::new(1));
    let mut staged: Vec<(String, ObjectId)> = Vec::new();
    for life in 0..3 {
        let (store, engine) = start(root.path(), &keys);
        if life == 0 {
            commit(&create(&engine, "a"), "first");
        }
        let a = engine.get("a").unwrap();
        for (name, blob) in &staged {
            assert!(
                a.snapshot().workspaces.get(name).is_some(),
                "{name} in life {life}"
            );
            assert!(
                a.pool().find(blob).unwrap().is_some(),
                "{name} in life {life}"
            );
        }
        assert_eq!(a.snapshot().seq, 1);
        for n in 0..3 {
            let name = format!("w{life}{n}");
            let blob = stage(&a, &name, &name);
            staged.push((name, blob));
            if n == life {
                // What is staged after it has the same number, and is in no pack yet.
                store.checkpoint(a.key()).unwrap();
            }
            assert!(a.pool().find(&blob).unwrap().is_some());
        }
        let held = staged
            .iter()
            .all(|(_, blob)| a.pool().find(blob).unwrap().is_some());
        assert!(held, "life {life}");
        engine.shut_down();
    }
}

#[test]
fn several_repositories_change_in_one_batch() {
    let root = tempfile::tempdir().unwrap();
    let keys = Arc::new(AtomicU8::new(1));
    {
        let (_store, engine) = start(root.path(), &keys);
        let (a, b) = (create(&engine, "a"), create(&engine, "b"));
        let ids = [commit(&a, "a"), commit(&b, "b")];
        let branch = |id: ObjectId, name: &str, bad: bool| -> Box<dyn govc_engine::Proposal> {
            let from = if bad {
                ObjectId::null(ObjectFormat::Sha1)
            } else {
                id
            };
            let name = RefName::branch(name);
            let edit = match bad {
                true => RefEdit::advance(name, from, id),
                false => RefEdit::create(name, id),
            };
            Box::new(Change {
                objects: NewObjects::default(),
                edits: vec![Edit::Ref(edit)],
                cause: cause(CauseKind::Transaction),
            })
        };
        // Given in the other order than that of their keys.
        let both = |name: &str, bad: bool| {
            vec![
                (Arc::clone(&b), branch(ids[1], name, bad)),
                (Arc::clone(&a), branch(ids[0], name, false)),
            ]
        };
        let done = block_on(govc_engine::publish_together(
            both("one", false),
            false,
            None,
        ))
        .unwrap();
        assert_eq!(done.iter().map(|done| done.seq).collect::<Vec<_>>(), [2, 2]);
        let refused = block_on(govc_engine::publish_together(
            both("two", true),
            false,
            None,
        ));
        assert_eq!(refused.unwrap_err().at, 0);
        assert_eq!((a.snapshot().seq, b.snapshot().seq), (2, 2));
        // Both go on, alone and together.
        commit(&a, "alone");
        let done = block_on(govc_engine::publish_together(
            both("three", false),
            false,
            None,
        ))
        .unwrap();
        assert_eq!(done.iter().map(|done| done.seq).collect::<Vec<_>>(), [3, 4]);
        engine.shut_down();
    }
    let (_store, engine) = start(root.path(), &keys);
    for id in ["a", "b"] {
        let refs = engine.get(id).unwrap().snapshot().refs.clone();
        assert!(refs.get(b"refs/heads/three").is_some() && refs.get(b"refs/heads/two").is_none());
    }
}

#[test]
fn commits_that_the_graph_file_lacks_are_found_in_the_packs() {
    let root = tempfile::tempdir().unwrap();
    let keys = Arc::new(AtomicU8::new(1));
    let ids = {
        let (store, engine) = start(root.path(), &keys);
        let a = create(&engine, "a");
        // Enough for a file, which is not written again for two more.
        let first: Vec<_> = (0..260).map(|n| commit(&a, &format!("{n}"))).collect();
        store.checkpoint(a.key()).unwrap();
        let file = std::fs::read(root.path().join("a.git/objects/info/commit-graph")).unwrap();
        let file = CommitGraph::parse(file.into(), ObjectFormat::Sha1).unwrap();
        let packs: Vec<PackId> = file.packs().map(|id| PackId(id.to_owned())).collect();
        assert_eq!((file.len(), packs), (260, a.pool().packs()));
        let replaced = commit(&a, "replaced");
        let change = Change {
            objects: NewObjects::default(),
            edits: vec![Edit::Ref(RefEdit::advance(
                RefName::branch("main"),
                replaced,
                first[259],
            ))],
            cause: cause(CauseKind::Push),
        };
        block_on(a.publish(change)).unwrap();
        let second = commit(&a, "second");
        store.checkpoint(a.key()).unwrap();
        let third = commit(&a, "third");
        engine.shut_down();
        [first[259], replaced, second, third]
    };
    let (_store, engine) = start(root.path(), &keys);
    let a = engine.get("a").unwrap();
    let pool = a.pool();
    for id in ids {
        assert!(pool.graph().number(&id).is_some(), "{id} is unknown");
    }
    let [first, replaced, second, third] = ids;
    // What is below those in the log is there, and what only the past reaches.
    let set = pool.closure(&[third], &[]).unwrap();
    assert!(set.contains(&first) && set.contains(&second) && set.contains(&third));
    assert!(pool.closure(&[replaced], &[]).unwrap().contains(&first));
}

#[test]
fn what_was_published_is_served_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let keys = Arc::new(AtomicU8::new(1));
    let mut tips: Vec<ObjectId> = Vec::new();
    let mut blobs: Vec<(ObjectId, String)> = Vec::new();
    for life in 0..4 {
        let (store, engine) = start(root.path(), &keys);
        if life == 0 {
            create(&engine, "a");
        }
        let a = engine.get("a").unwrap();
        for tip in &tips {
            assert!(a.pool().graph().number(tip).is_some());
        }
        for (id, content) in &blobs {
            let object = a.pool().find(id).unwrap().unwrap();
            assert_eq!(std::str::from_utf8(&object.data).unwrap(), content);
        }
        assert_eq!(a.snapshot().head(), tips.last().copied());
        for n in 0..5 {
            let content = format!("{life} {n}");
            let id = hash_object(ObjectFormat::Sha1, ObjectKind::Blob, content.as_bytes()).unwrap();
            tips.push(commit(&a, &content));
            blobs.push((id, content));
            if life != 2 && n == 2 {
                let hot = a.pool().stats().memory_bytes;
                store.checkpoint(a.key()).unwrap();
                assert!(a.to_keep().unpacked.is_empty());
                assert!(a.pool().find(&id).unwrap().is_some(), "{hot}");
            }
        }
        engine.shut_down();
    }
    let dir = root.path().join("a.git");
    let (store, engine) = start(root.path(), &keys);
    store.close().unwrap();
    engine.shut_down();
    assert_eq!(git(&dir, &["rev-list", "--count", "main"]).trim(), "20");
    assert_eq!(
        git(&dir, &["fsck", "--strict", "--no-dangling", "--full"]),
        ""
    );
}

/// Makes the lists of `repo` that are lacking; returns how many those were.
fn make_lists(repo: &Repository) -> usize {
    let mut made = 0;
    ListBuilder::new(Arc::clone(repo.pool())).build(|| {
        made += 1;
        false
    });
    made
}

fn save_lists(store: &Store, repo: &Repository) -> bool {
    let pool = repo.pool();
    let make = |packs: &[_], besides: &[_]| pool.save_lists(packs, besides);
    store.save_lists(repo.key(), make).unwrap()
}

#[test]
fn what_was_adopted_gets_its_commit_graph_with_the_lists() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a.git");
    git(
        root.path(),
        &["init", "-q", "--bare", "-b", "main", "a.git"],
    );
    let stream: String = (0..300)
        .map(|n| format!("commit refs/heads/main\ncommitter A <a@b> {n} +0000\ndata 0\n"))
        .collect();
    let import = dir.join("import");
    std::fs::write(&import, stream).unwrap();
    let imported = std::process::Command::new("git")
        .args(["-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"])
        .current_dir(&dir)
        .stdin(std::fs::File::open(&import).unwrap())
        .status();
    assert!(imported.unwrap().success());
    let (store, engine) = start(root.path(), &Arc::new(AtomicU8::new(1)));
    let a = engine.get("a").unwrap();
    let graph = dir.join("objects/info/commit-graph");
    make_lists(&a);
    assert!(
        !graph.exists(),
        "nothing changed, so there was no checkpoint since"
    );
    assert!(save_lists(&store, &a));
    git(&dir, &["commit-graph", "verify"]);
    let written = std::fs::read(&graph).unwrap();
    assert!(written.windows(4).any(|bytes| bytes == b"GVPK"));
    engine.shut_down();
    store.close().unwrap();
}

#[test]
fn lists_are_made_once_and_damaged_ones_again() {
    let root = tempfile::tempdir().unwrap();
    let keys = Arc::new(AtomicU8::new(1));
    let (store, engine) = start(root.path(), &keys);
    let a = create(&engine, "a");
    let blobs: Vec<ObjectId> = (0..8)
        .map(|n| {
            let content = format!("content {n}");
            commit(&a, &content);
            hash_object(ObjectFormat::Sha1, ObjectKind::Blob, content.as_bytes()).unwrap()
        })
        .collect();
    assert!(
        !save_lists(&store, &a),
        "there is no pack that they could speak of"
    );
    store.checkpoint(a.key()).unwrap();
    make_lists(&a);
    assert_eq!(a.pool().unsaved_lists(), 8);
    assert!(save_lists(&store, &a));
    let fork = RepoId::parse("b").unwrap();
    let made = engine.fork(&a, fork, None, cause(CauseKind::RepoCreated), false);
    let (b, _) = block_on(made).unwrap();
    store.checkpoint(b.key()).unwrap();
    assert!(!save_lists(&store, &b), "all that it has its parent has");
    engine.shut_down();
    store.close().unwrap();
    drop((store, engine, a, b));

    let file = root.path().join("a.git/govc/lists");
    let good = std::fs::read(&file).unwrap();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let mut later = good.clone();
    later[8] = 77;
    let cut = good[..good.len() / 2].to_vec();
    for (bytes, saved) in [
        (&good, 0),
        (&damaged, 8),
        (&cut, 8),
        (&later, 8),
        (&vec![], 8),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let (store, engine) = start(root.path(), &keys);
        let a = engine.get("a").unwrap();
        assert!(a.pool().lacks_lists());
        make_lists(&a);
        assert!(!a.pool().lacks_lists());
        assert_eq!(a.pool().unsaved_lists(), saved);
        for blob in &blobs {
            assert!(a.visibility().sees(blob).unwrap());
        }
        engine.shut_down();
        store.close().unwrap();
    }
}

#[test]
fn lists_are_read_back_and_never_panic() {
    let id = |n: u8| ObjectId::try_from(&[n; 20][..]).unwrap();
    let lists = SavedLists {
        packs: vec![(PackId(id(1)), 7), (PackId(id(2)), 70_000)],
        commits: vec![id(3), id(4), id(5)],
        ends: vec![2, 2, 5],
        objects: vec![0, 6, 7, 70_006, 3],
    };
    let file = encode_lists(&lists, ObjectFormat::Sha1).unwrap();
    assert_eq!(decode_lists(file.clone().into()).unwrap(), lists);
    assert!(encode_lists(&lists, ObjectFormat::Sha256).is_err());
    for at in 0..file.len() {
        assert!(decode_lists(file[..at].to_vec().into()).is_err());
        let mut changed = file.clone();
        changed[at] ^= 0x55;
        assert!(decode_lists(changed.into()).is_err(), "byte {at}");
    }
}

/// A disk that fails to sync, or is full: whoever writes is told, nothing of it is seen, and when
/// it works again so does the repository. What was answered outlives a loss of power.
#[test]
fn what_a_failing_disk_refused_is_never_seen() {
    let disk = SimDisk::new(11);
    let keys = Arc::new(AtomicU8::new(1));
    let (store, engine) = start_on(Arc::new(disk.clone()), &keys);
    let repo = create(&engine, "a");
    let first = commit(&repo, "first");
    let mut answered = first;
    for round in 0..3 {
        disk.set_faults(Faults {
            sync: 1000,
            ..Faults::default()
        });
        let refused = try_commit(&repo, &format!("not synced {round}"));
        assert!(matches!(refused, Err(PublishError::Unknown)), "{refused:?}");
        assert_eq!(repo.snapshot().head(), Some(answered));
        disk.set_faults(Faults {
            full: 1000,
            ..Faults::default()
        });
        let refused = try_commit(&repo, &format!("no room {round}"));
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(repo.snapshot().head(), Some(answered));
        disk.set_faults(Faults::default());
        answered = commit(&repo, &format!("answered {round}"));
        assert_eq!(repo.snapshot().head(), Some(answered));
    }
    let seq = repo.snapshot().seq;
    engine.shut_down();
    drop((repo, engine, store));
    disk.crash();
    let (_store, engine) = start_on(Arc::new(disk), &keys);
    let repo = engine.get("a").unwrap();
    assert_eq!(repo.snapshot().head(), Some(answered));
    assert_eq!(repo.snapshot().seq, seq);
    assert!(repo.pool().find(&first).unwrap().is_some());
    engine.shut_down();
}

#[test]
fn a_start_after_many_commits_reads_gits_commit_graph() {
    let root = tempfile::tempdir().unwrap();
    let keys = Arc::new(AtomicU8::new(1));
    let (store, engine) = start(root.path(), &keys);
    let a = create(&engine, "a");
    for n in 0..300 {
        commit(&a, &format!("{n}"));
    }
    // A fork's own commits are in the same pool, and not in the parent's directory.
    let fork = RepoId::parse("fork").unwrap();
    let cause = cause(CauseKind::RepoCreated);
    let (fork, _) = block_on(engine.fork(&a, fork, None, cause, false)).unwrap();
    commit(&fork, "of the fork");
    store.checkpoint_all().unwrap();
    engine.shut_down();
    store.close().unwrap();
    for (id, commits) in [("a", "300"), ("fork", "301")] {
        let dir = root.path().join(format!("{id}.git"));
        assert!(dir.join("objects/info/commit-graph").exists());
        git(&dir, &["commit-graph", "verify"]);
        assert_eq!(git(&dir, &["rev-list", "--count", "main"]).trim(), commits);
        assert_eq!(
            git(&dir, &["fsck", "--strict", "--no-dangling", "--full"]),
            ""
        );
    }
    drop((store, engine, a, fork));
    let (_store, engine) = start(root.path(), &keys);
    for (id, commits) in [("a", 300), ("fork", 301)] {
        let repo = engine.get(id).unwrap();
        let graph = repo.pool().graph();
        let tip = graph.number(&repo.snapshot().head().unwrap()).unwrap();
        assert_eq!(graph.count(&[tip]), commits);
    }
    engine.shut_down();
}

/// Bytes per entry, and what an append costs beside its sync. Run with `--ignored --nocapture`.
#[test]
#[ignore = "prints figures, asserts nothing"]
fn figures() {
    let root = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root.path()).unwrap());
    let (store, _) = Store::open(disk, StoreOptions::default()).unwrap();
    let mut model = Model::new(1, "a");
    append(&store, vec![model.make()]).unwrap();
    for per_batch in [1, 64] {
        let batches: Vec<Vec<_>> = (0..200)
            .map(|n| {
                (0..per_batch)
                    .map(|m| model.commit("main", &format!("{n} {m}")))
                    .collect()
            })
            .collect();
        let objects: usize = batches
            .iter()
            .flatten()
            .map(|e| e.objects.inline_bytes())
            .sum();
        let before = store.stats();
        let cpu = cpu_seconds();
        let wall = std::time::Instant::now();
        for batch in batches {
            append(&store, batch).unwrap();
        }
        let (cpu, wall) = (cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
        let after = store.stats();
        let entries = (after.entries - before.entries) as f64;
        let bytes = (after.log_bytes_written - before.log_bytes_written) as f64;
        eprintln!(
            "{per_batch} entries a batch: {:.0} log bytes an entry, of them {:.0} objects; \
             {:.1} us CPU an entry, {:.1} us an append; {:.2} ms wall an append",
            bytes / entries,
            objects as f64 / entries,
            cpu * 1e6 / entries,
            cpu * 1e6 / 200.0,
            wall * 1e3 / 200.0,
        );
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[test]
fn many_are_checkpointed_at_once_with_forks_of_forks_before_their_parents() {
    let root = tempfile::tempdir().unwrap();
    let keys = Arc::new(AtomicU8::new(1));
    let disk = || Arc::new(RealDisk::new(root.path()).unwrap());
    let at_once = || StoreOptions {
        checkpoints_at_once: 8,
        ..options()
    };
    let (store, engine) = start_with(disk(), &keys, at_once());
    let mut heads = Vec::new();
    for family in 0..4 {
        let mut repo = create(&engine, &format!("g{family}/r0"));
        for depth in 1..6 {
            commit(&repo, &format!("{family} {depth}"));
            let id = RepoId::parse(&format!("g{family}/r{depth}")).unwrap();
            let made = engine.fork(&repo, id, None, cause(CauseKind::RepoCreated), false);
            repo = block_on(made).unwrap().0;
        }
    }
    for repo in engine.all().into_iter().filter_map(|found| found.here()) {
        let snapshot = repo.snapshot();
        heads.push((snapshot.record.id.clone(), snapshot.head()));
    }
    assert_eq!(heads.len(), 24);
    engine.shut_down();
    store.close().unwrap();
    drop((store, engine));

    for (id, head) in &heads {
        let dir = root.path().join(format!("{id}.git"));
        git(&dir, &["fsck", "--strict", "--no-dangling", "--full"]);
        let there = git(&dir, &["rev-parse", "refs/heads/main"]);
        assert_eq!(there.trim(), head.unwrap().to_string(), "{id}");
    }
    let (store, engine) = start_with(disk(), &keys, at_once());
    for (id, head) in &heads {
        let repo = engine.get(id.as_str()).unwrap();
        assert_eq!(repo.snapshot().head(), *head, "{id}");
    }
    engine.shut_down();
    store.close().unwrap();
}
