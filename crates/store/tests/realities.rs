//! Realities over the store: who sees what, who waits for whom, and what a kill leaves.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use futures_executor::block_on;
use futures_util::future::join_all;
use govc_engine::pool::PoolLimits;
use govc_engine::work::realities::{DiscardRealities, MakeRealities};
use govc_engine::{
    CauseKind, Change, Clock, Edit, Engine, EngineParts, Expected, Fate, NewObjects, NewRepository,
    Pending, Reality, RealityBatch, RealityNames, RefEdit, RefName, Refusal, RepoId, RepoKey,
    Repository, Storage, Target, Time,
};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use govc_store::{RealDisk, Store};
use support::*;

struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

static KEYS: AtomicU64 = AtomicU64::new(1);

fn start(root: &Path) -> (Arc<Store>, Arc<Engine>) {
    let disk = Arc::new(RealDisk::new(root).unwrap());
    let (store, recovered) = Store::open(disk, options()).unwrap();
    assert_eq!(recovered.stopped, []);
    let new_key = || {
        let n = KEYS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        RepoKey([n, n].concat().try_into().unwrap())
    };
    let engine = Engine::new(EngineParts {
        journal: Arc::clone(&store) as _,
        packs: Arc::clone(&store) as _,
        clock: Arc::new(Ticks(AtomicI64::new(1_700_000_000_000_000))),
        new_key: Arc::new(new_key),
        turn_threads: 2,
        pool_limits: PoolLimits::default(),
    })
    .unwrap();
    engine.load(recovered.repositories);
    store.attach(&engine);
    (store, engine)
}

fn create(engine: &Engine) -> Arc<Repository> {
    let new = NewRepository {
        id: RepoId::parse("r").unwrap(),
        description: String::new(),
        default_branch: RefName::branch("main"),
        storage: Storage::Hybrid,
        object_format: ObjectFormat::Sha1,
        expires_at: None,
    };
    let made = block_on(engine.create(new, cause(CauseKind::RepoCreated), false));
    let repository = made.unwrap().0;
    block_on(repository.publish(commit_on(&repository, "main", "first"))).unwrap();
    repository
}

/// A commit of one file on a branch.
fn commit_on(repository: &Repository, branch: &str, content: &str) -> Change {
    let format = ObjectFormat::Sha1;
    let name = RefName::branch(branch);
    let parent = repository.snapshot().refs.resolve(name.as_bytes());
    let blob = object(format, ObjectKind::Blob, content);
    let tree = [b"100644 file\0", blob.id.as_slice()].concat();
    let tree = object(format, ObjectKind::Tree, tree);
    let parent_line = parent.map_or(String::new(), |id| format!("parent {id}\n"));
    let text = format!(
        "tree {}\n{parent_line}author A <a@x> 1700000000 +0000\n\
         committer A <a@x> 1700000000 +0000\n\n{content}\n",
        tree.id
    );
    let commit = object(format, ObjectKind::Commit, text);
    Change {
        edits: vec![Edit::Ref(RefEdit {
            name,
            expected: parent.map_or(Expected::Absent, Expected::At),
            target: Target::At(commit.id),
        })],
        objects: NewObjects {
            inline: vec![blob, tree, commit],
            packs: Vec::new(),
        },
        cause: cause(CauseKind::Commit),
    }
}

/// Makes `prefix1` to `prefixN`.
fn make(engine: &Engine, host: &Arc<Repository>, prefix: &str, count: u32) {
    let proposal = MakeRealities {
        batch: RealityBatch {
            keys: engine.reality_keys(),
            names: RealityNames::Counted {
                prefix: prefix.into(),
                count,
            },
            parent: None,
            base: 0,
            head: RefName::branch("main"),
            tip: None,
            oid: None,
            in_memory: false,
            expires_at: None,
        },
        of_now: true,
        limit: 100_000,
        cause: cause(CauseKind::RealityCreated),
    };
    block_on(host.publish(proposal)).unwrap();
}

fn open(engine: &Engine, host: &Arc<Repository>, name: &str) -> Arc<Repository> {
    let reality = engine.reality(host, name).unwrap();
    assert_eq!(reality.fate, Fate::Open);
    engine.reality_repository(&reality, true).unwrap()
}

fn head(engine: &Engine, reality: &Reality) -> Option<ObjectId> {
    let (head, _) = engine.reality_head(reality);
    let opened = engine.reality_repository(reality, false).unwrap();
    assert_eq!(head, opened.snapshot().head());
    head
}

#[test]
fn nobody_sees_what_others_do_and_a_kill_loses_nothing() {
    const REALITIES: u64 = 24;
    let root = tempfile::tempdir().unwrap();
    let mut models: BTreeMap<String, (BTreeMap<String, ObjectId>, u64)> = BTreeMap::new();
    let mut main = None;
    for life in 0..3u64 {
        let (store, engine) = start(root.path());
        if life == 0 {
            main = create(&engine).snapshot().head();
            make(&engine, &engine.get("r").unwrap(), "x", REALITIES as u32);
        }
        let host = engine.get("r").unwrap();
        // The parent has moved since the last life, and none of them has.
        for (name, (model, seq)) in &models {
            let reality = engine.reality(&host, name).unwrap();
            let there = engine.reality_repository(&reality, false).unwrap();
            let snapshot = there.snapshot();
            assert_eq!(snapshot.seq, *seq, "{name}");
            for branch in ["main", "a", "b"] {
                let found = snapshot
                    .refs
                    .resolve(format!("refs/heads/{branch}").as_bytes());
                let expected = model.get(branch).copied();
                let expected = expected.or(main.filter(|_| branch == "main"));
                assert_eq!(found, expected, "{name} {branch}");
            }
            // All of its changes are there, and its making before them.
            let entries = there.entries(None, usize::MAX).unwrap();
            let numbers: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
            assert_eq!(numbers, (0..=*seq).collect::<Vec<_>>(), "{name}");
            assert_eq!(head(&engine, &reality), snapshot.head());
        }
        // Three threads work in them at once, each in its own, in an order that its seed says.
        let workers: Vec<_> = (0..3u64)
            .map(|worker| {
                let (engine, host) = (Arc::clone(&engine), Arc::clone(&host));
                let store = Arc::clone(&store);
                let mut mine: BTreeMap<String, _> = (1..=REALITIES)
                    .filter(|n| n % 3 == worker)
                    .map(|n| {
                        let name = format!("x{n}");
                        let model = models.get(&name).cloned().unwrap_or_default();
                        (name, model)
                    })
                    .collect();
                thread::spawn(move || {
                    let mut seed = 0x9e37_79b9 * (life * 3 + worker + 1);
                    for step in 0..60 {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let at = (seed >> 33) as usize % mine.len();
                        let branch = ["main", "a", "b"][(seed >> 20) as usize % 3];
                        let (name, (model, seq)) = mine.iter_mut().nth(at).unwrap();
                        let reality = open(&engine, &host, name);
                        let content = format!("{life} {worker} {step} {name}");
                        let change = commit_on(&reality, branch, &content);
                        let id = change.objects.inline[2].id;
                        let published = block_on(reality.publish(change)).unwrap();
                        *seq += 1;
                        assert_eq!(published.seq, *seq);
                        model.insert(branch.to_owned(), id);
                        assert!(reality.visibility().sees(&id).unwrap());
                        assert!(!host.visibility().sees(&id).unwrap());
                        if step % 25 == 24 {
                            store.checkpoint(host.key()).unwrap();
                        }
                    }
                    mine
                })
            })
            .collect();
        let parent_before = host.snapshot();
        for worker in workers {
            models.extend(worker.join().unwrap());
        }
        assert_eq!(host.snapshot(), parent_before);
        // What one of them brought, another does not see.
        let of = |name: &str| models[name].0.values().next().copied();
        if let (Some(theirs), other) = (of("x1"), open(&engine, &host, "x2")) {
            assert!(!other.visibility().sees(&theirs).unwrap());
        }
        if life == 1 {
            block_on(host.publish(commit_on(&host, "main", "the parent goes on"))).unwrap();
        }
        // A kill: no checkpoint, nothing closed.
        engine.shut_down();
    }
    let (store, engine) = start(root.path());
    store.close().unwrap();
    engine.shut_down();
    let bare = root.path().join("r.git");
    let git = |arguments: &[&str]| {
        let mut git = std::process::Command::new("git");
        let ran = git.arg("-C").arg(&bare).args(arguments).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    git(&["fsck", "--strict"]);
    let refs = git(&["for-each-ref", "--format=%(objectname) %(refname)"]);
    for (name, (model, _)) in &models {
        for (branch, id) in model {
            let line = format!("{id} refs/govc/realities/{name}/heads/{branch}");
            assert!(refs.lines().any(|other| other == line), "{line}");
        }
    }
}

#[test]
fn discarded_ones_are_gone_after_a_restart_and_their_names_are_free() {
    let root = tempfile::tempdir().unwrap();
    let (store, engine) = start(root.path());
    let host = create(&engine);
    make(&engine, &host, "x", 3);
    for name in ["x1", "x2"] {
        let reality = open(&engine, &host, name);
        block_on(reality.publish(commit_on(&reality, "main", name))).unwrap();
    }
    let held = open(&engine, &host, "x1");
    let ids = vec![engine.reality(&host, "x1").unwrap().id];
    let discard = DiscardRealities {
        ids,
        cause: cause(CauseKind::RealityDiscarded),
    };
    let discarded = block_on(host.publish(discard)).unwrap();
    engine.realities_changed(&host, &discarded.entry.unwrap());
    // Whoever has it cannot write to it any more.
    let late = block_on(held.publish(commit_on(&held, "main", "late")));
    assert!(matches!(late, Err(govc_engine::PublishError::Discarded)));
    store.checkpoint(host.key()).unwrap();
    engine.shut_down();
    drop((store, engine, held, host));

    for _ in 0..2 {
        let (store, engine) = start(root.path());
        let host = engine.get("r").unwrap();
        assert_eq!(engine.reality(&host, "x1").unwrap().fate, Fate::Discarded);
        assert_eq!(host.snapshot().realities.there(), 2);
        let x2 = engine.reality(&host, "x2").unwrap();
        assert_ne!(head(&engine, &x2), host.snapshot().head());
        store.checkpoint(host.key()).unwrap();
        engine.shut_down();
    }
    let packed = std::fs::read_to_string(root.path().join("r.git/packed-refs")).unwrap();
    assert!(
        packed.contains("refs/govc/realities/x2/heads/main"),
        "{packed}"
    );
    assert!(!packed.contains("refs/govc/realities/x1/"), "{packed}");
    let (_, engine) = start(root.path());
    let host = engine.get("r").unwrap();
    make(&engine, &host, "x1", 1);
    let named = RealityNames::Listed(["x1".into()].into());
    let taken = engine.reality(&host, "x11").unwrap();
    assert_eq!(taken.made.batch.names.len(), 1);
    drop(named);
    engine.shut_down();
}

#[test]
fn while_one_reality_has_its_turn_a_thousand_others_commit() {
    let root = tempfile::tempdir().unwrap();
    let (_store, engine) = start(root.path());
    let host = create(&engine);
    make(&engine, &host, "x", 1001);
    let held = open(&engine, &host, "x1001");
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let mut released = Some(released);
    let change = commit_on(&held, "main", "held");
    let holding = {
        let held = Arc::clone(&held);
        thread::spawn(move || {
            let proposal = move |_: &Pending<'_>| -> Result<Option<Change>, Refusal> {
                entered.send(()).unwrap();
                // Until somebody lets go.
                released.take().unwrap().recv().unwrap();
                Ok(Some(change.clone()))
            };
            block_on(held.publish(proposal)).unwrap();
        })
    };
    has_entered.recv().unwrap();
    for n in 1..=1000 {
        let reality = open(&engine, &host, &format!("x{n}"));
        block_on(reality.publish(commit_on(&reality, "main", "mine"))).unwrap();
    }
    assert_eq!(held.snapshot().seq, 0);
    release.send(()).unwrap();
    holding.join().unwrap();
    assert_eq!(held.snapshot().seq, 1);
    engine.shut_down();
}

#[test]
fn a_thousand_that_commit_at_once_share_syncs() {
    const REALITIES: u64 = 1000;
    let root = tempfile::tempdir().unwrap();
    let (store, engine) = start(root.path());
    let host = create(&engine);
    make(&engine, &host, "x", REALITIES as u32);
    let realities: Vec<_> = (1..=REALITIES)
        .map(|n| open(&engine, &host, &format!("x{n}")))
        .collect();
    let before = store.stats();
    let changes = realities.iter().map(|reality| {
        let change = commit_on(reality, "main", "mine");
        reality.publish(change)
    });
    for published in block_on(join_all(changes)) {
        assert_eq!(published.unwrap().seq, 1);
    }
    let after = store.stats();
    let syncs = after.syncs - before.syncs;
    println!("{REALITIES} realities committed at once with {syncs} syncs of the log");
    assert_eq!(after.entries - before.entries, REALITIES);
    assert!(syncs < REALITIES / 4, "{syncs} syncs");
    engine.shut_down();
}
