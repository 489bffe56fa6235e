//! The door: who wins, who is told what, and what is left when the journal fails.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_executor::block_on;
use govc_engine::journal::failing::{FailingJournal, Failure};
use govc_engine::journal::memory::{MemoryJournal, MemoryPacks};
use govc_engine::journal::{AppendError, Journal, Moment};
use govc_engine::pool::PoolLimits;
use govc_engine::{
    Cause, CauseKind, Change, Clock, Edit, Engine, EngineParts, Entry, EntryEdit, Expected,
    LfsLock, LfsObject, LfsOid, Listener, NewObjects, NewRepository, Pending, PublishError,
    Published, RefEdit, RefName, RepoId, RepoKey, Repository, Storage, Target, Time, Via,
};
use govc_git::{ObjectFormat, ObjectId};
use proptest::prelude::*;

/// Ticks at each look.
struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<Arc<Entry>>>);

impl Listener for Heard {
    fn known(&self, entry: &Arc<Entry>) {
        self.0.lock().unwrap().push(Arc::clone(entry));
    }
}

struct Node {
    engine: Arc<Engine>,
    journal: Arc<FailingJournal<MemoryJournal>>,
    heard: Arc<Heard>,
}

fn node() -> Node {
    let journal = Arc::new(FailingJournal::new(MemoryJournal::default()));
    let keys = AtomicU64::new(1);
    let engine = Engine::new(EngineParts {
        journal: Arc::clone(&journal) as Arc<dyn Journal>,
        packs: Arc::new(MemoryPacks::default()),
        clock: Arc::new(Ticks(AtomicI64::new(1_000_000))),
        new_key: Arc::new(move || {
            let mut key = [0; 16];
            key[8..].copy_from_slice(&keys.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            RepoKey(key)
        }),
        turn_threads: 2,
        pool_limits: PoolLimits::default(),
    })
    .unwrap();
    let heard = Arc::new(Heard::default());
    engine.listen(Arc::clone(&heard) as Arc<dyn Listener>);
    Node {
        engine,
        journal,
        heard,
    }
}

fn cause(kind: CauseKind) -> Cause {
    let (actor, request_id) = ("ada".into(), "r1".into());
    Cause {
        kind,
        actor,
        via: Via::Rest,
        request_id,
        reason: None,
        idempotency: None,
    }
}

fn make(node: &Node, id: &str) -> Result<Arc<Repository>, govc_engine::CatalogueError> {
    let new = NewRepository {
        id: RepoId::parse(id).unwrap(),
        description: String::new(),
        default_branch: RefName::branch("main"),
        storage: Storage::Hybrid,
        object_format: ObjectFormat::Sha1,
        expires_at: None,
    };
    block_on(
        node.engine
            .create(new, cause(CauseKind::RepoCreated), false),
    )
    .map(|made| made.0)
}

fn id(n: u8) -> ObjectId {
    ObjectId::from_bytes_or_panic(&[n; 20])
}

fn moves(edits: impl IntoIterator<Item = RefEdit>) -> Change {
    let edits = edits.into_iter().map(Edit::Ref).collect();
    Change {
        objects: NewObjects::default(),
        edits,
        cause: cause(CauseKind::Ref),
    }
}

fn set(name: &str, expected: Expected, target: Target) -> RefEdit {
    RefEdit {
        name: RefName::new(name),
        expected,
        target,
    }
}

fn publish(repo: &Arc<Repository>, edit: RefEdit) -> Result<Published, PublishError> {
    block_on(repo.publish(moves([edit])))
}

fn create(repo: &Arc<Repository>, name: &str, n: u8) -> Result<Published, PublishError> {
    publish(repo, RefEdit::create(RefName::new(name), id(n)))
}

#[test]
fn a_new_repository_is_change_zero_with_an_unborn_head() {
    let node = node();
    let repo = make(&node, "Group/Hello").unwrap();
    let now = repo.snapshot();
    assert_eq!((now.seq, now.head(), now.refs.len()), (0, None, 1));
    assert_eq!(now.refs.head_branch(), Some(&RefName::branch("main")));
    assert!(matches!(
        make(&node, "group/HELLO"),
        Err(govc_engine::CatalogueError::Exists(_))
    ));
    assert!(node.engine.get("GROUP/hello").is_some());
    assert_eq!(node.heard.0.lock().unwrap().len(), 1);
}

#[test]
fn of_two_who_saw_the_same_branch_one_wins_and_the_other_is_told_what_it_became() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    assert_eq!(create(&repo, "refs/heads/main", 1).unwrap().seq, 1);
    let advance = |to| RefEdit::advance(RefName::branch("main"), id(1), id(to));
    assert_eq!(publish(&repo, advance(2)).unwrap().seq, 2);
    let lost = publish(&repo, advance(3)).unwrap_err();
    assert_eq!(
        lost.to_string(),
        format!("refs/heads/main moved: expected {}, found {}", id(1), id(2))
    );
    assert!(matches!(
        create(&repo, "refs/heads/main", 9),
        Err(PublishError::RefMoved { .. })
    ));
    assert_eq!(repo.snapshot().head(), Some(id(2)));
}

#[test]
fn what_changes_nothing_is_no_change() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    create(&repo, "refs/heads/main", 1).unwrap();
    let same = set("refs/heads/main", Expected::Anything, Target::At(id(1)));
    let gone = set("refs/heads/none", Expected::Anything, Target::Gone);
    for edit in [same, gone] {
        let published = publish(&repo, edit).unwrap();
        assert_eq!((published.seq, published.entry), (1, None));
    }
    let rehearsed = block_on(repo.rehearse(moves([RefEdit::create(RefName::branch("x"), id(2))])));
    assert_eq!(rehearsed.unwrap().entry.unwrap().seq, 2);
    assert_eq!(repo.snapshot().seq, 1);
}

#[test]
fn a_name_is_not_a_folder_of_another_but_may_take_its_place_at_once() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    create(&repo, "refs/heads/a/b", 1).unwrap();
    for (name, with) in [
        ("refs/heads/a", "refs/heads/a/b"),
        ("refs/heads/a/b/c", "refs/heads/a/b"),
    ] {
        let Err(PublishError::RefConflict { with: found, .. }) = create(&repo, name, 1) else {
            panic!("{name} was made");
        };
        assert_eq!(found.to_string(), with);
    }
    let both = [
        set("refs/heads/x", Expected::Absent, Target::At(id(1))),
        set("refs/heads/x/y", Expected::Absent, Target::At(id(1))),
    ];
    assert!(matches!(
        block_on(repo.publish(moves(both))),
        Err(PublishError::RefConflict { .. })
    ));
    let swap = [
        set("refs/heads/a/b", Expected::At(id(1)), Target::Gone),
        set("refs/heads/a", Expected::Absent, Target::At(id(1))),
    ];
    assert_eq!(block_on(repo.publish(moves(swap))).unwrap().seq, 2);
}

#[test]
fn the_default_branch_stays_unless_head_leaves_it_first() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    create(&repo, "refs/heads/main", 1).unwrap();
    let delete = set("refs/heads/main", Expected::Anything, Target::Gone);
    assert!(matches!(
        publish(&repo, delete.clone()),
        Err(PublishError::CurrentBranch { .. })
    ));
    let leave = set(
        "HEAD",
        Expected::Anything,
        Target::Symbolic(RefName::branch("next")),
    );
    assert_eq!(
        block_on(repo.publish(moves([leave, delete]))).unwrap().seq,
        2
    );
    for bad in [
        "refs/heads/a..b",
        "refs/heads/",
        "main",
        "refs/heads/x.lock",
    ] {
        assert!(
            matches!(create(&repo, bad, 1), Err(PublishError::RefInvalid { .. })),
            "{bad}"
        );
    }
}

#[test]
fn a_refused_append_leaves_nothing_behind_and_the_next_one_passes() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    create(&repo, "refs/heads/main", 1).unwrap();
    let failed = || AppendError::Failed(io::Error::other("the disk is gone"));
    node.journal.plan([
        Failure::Refuse(failed()),
        Failure::Refuse(AppendError::Full),
    ]);
    assert!(matches!(
        create(&repo, "refs/heads/x", 2),
        Err(PublishError::Unavailable(_))
    ));
    assert!(matches!(
        create(&repo, "refs/heads/x", 3),
        Err(PublishError::Full)
    ));
    assert_eq!(repo.snapshot().refs.get(b"refs/heads/x"), None);
    assert_eq!(create(&repo, "refs/heads/x", 4).unwrap().seq, 2);
    assert_eq!(node.heard.0.lock().unwrap().len(), 3);
}

#[test]
fn a_moved_repository_is_reloaded_and_the_proposal_runs_once_more() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    create(&repo, "refs/heads/main", 1).unwrap();
    // Another node of the same repository wrote change 2.
    let other = Arc::new(Entry {
        repo: repo.key(),
        host: None,
        seq: 2,
        step: 0,
        time: repo.snapshot().time,
        cause: cause(CauseKind::Push),
        edits: vec![govc_engine::EntryEdit::Ref {
            name: RefName::branch("main"),
            before: Target::At(id(1)),
            after: Target::At(id(7)),
        }],
        objects: NewObjects::default(),
    });
    let batch = govc_engine::journal::Batch {
        entries: vec![other],
    };
    block_on(node.journal.inner().append(batch)).unwrap();
    node.journal.plan([Failure::Refuse(AppendError::Moved {
        repo: repo.key(),
        seq: 2,
    })]);
    let copies_main = |now: &Pending<'_>| {
        let head = now.snapshot.head().unwrap();
        Ok(Some(moves([RefEdit::create(
            RefName::branch("copy"),
            head,
        )])))
    };
    let published = block_on(repo.publish(copies_main)).unwrap();
    assert_eq!(published.seq, 3);
    assert_eq!(
        repo.snapshot().refs.resolve(b"refs/heads/copy"),
        Some(id(7))
    );
}

#[test]
fn an_append_of_unknown_outcome_is_what_the_journal_says_it_is() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    node.journal.plan([
        Failure::WriteAndForget,
        Failure::Refuse(AppendError::Unknown),
    ]);
    assert_eq!(create(&repo, "refs/heads/main", 1).unwrap().seq, 1);
    assert!(matches!(
        create(&repo, "refs/heads/x", 2),
        Err(PublishError::Unknown)
    ));
    assert_eq!(repo.snapshot().refs.resolve(b"HEAD"), Some(id(1)));
    assert_eq!(create(&repo, "refs/heads/x", 2).unwrap().seq, 2);
}

#[test]
fn writers_at_once_lose_nothing_and_every_change_is_heard_in_order() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let repo = &repo;
            scope.spawn(move || {
                for n in 0..50 {
                    create(repo, &format!("refs/heads/w{writer}/{n}"), 1).unwrap();
                }
            });
        }
    });
    let now = repo.snapshot();
    assert_eq!((now.seq, now.refs.len()), (400, 401));
    let heard = node.heard.0.lock().unwrap();
    assert!(heard.iter().map(|entry| entry.seq).eq(0..=400));
    let past = repo.refs_at(Moment::Seq(123)).unwrap().unwrap();
    assert_eq!((past.seq, past.refs.len()), (123, 124));
}

#[test]
fn a_fork_has_the_refs_of_its_moment_and_goes_its_own_way() {
    let node = node();
    let parent = make(&node, "parent").unwrap();
    create(&parent, "refs/heads/main", 1).unwrap();
    create(&parent, "refs/heads/late", 2).unwrap();
    let fork = |name: &str, at| {
        let id = RepoId::parse(name).unwrap();
        let made = node
            .engine
            .fork(&parent, id, at, cause(CauseKind::RepoCreated), false);
        block_on(made).map(|made| made.0)
    };
    let child = fork("child", Some(Moment::Seq(1))).unwrap();
    assert_eq!(child.snapshot().refs.get(b"refs/heads/late"), None);
    assert_eq!(child.snapshot().head(), Some(id(1)));
    create(&child, "refs/heads/own", 3).unwrap();
    assert_eq!(parent.snapshot().refs.get(b"refs/heads/own"), None);
    assert!(fork("other", Some(Moment::Seq(9))).is_err());
    assert!(Arc::ptr_eq(child.pool(), parent.pool()));
}

#[test]
fn a_deleted_repository_frees_its_id_refuses_changes_and_can_come_back() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    let update = |change: fn(&mut govc_engine::RepositoryRecord)| {
        let updated = node.engine.update(
            &repo,
            change,
            |_: &Pending<'_>| Ok(()),
            vec![],
            cause(CauseKind::RepoDeleted),
            false,
        );
        block_on(updated)
    };
    update(|record| record.deleted_at = Some(Time(5))).unwrap();
    assert!(node.engine.get("a").is_none());
    assert!(matches!(
        create(&repo, "refs/heads/x", 1),
        Err(PublishError::Deleted)
    ));
    let second = make(&node, "A").unwrap();
    let back = update(|record| record.deleted_at = None);
    assert!(matches!(back, Err(govc_engine::CatalogueError::Exists(_))));
    assert!(Arc::ptr_eq(
        &node.engine.deleted("a").unwrap().here().unwrap(),
        &repo
    ));
    update(|record| {
        record.deleted_at = None;
        record.id = RepoId::parse("b").unwrap();
    })
    .unwrap();
    assert!(Arc::ptr_eq(&node.engine.get("b").unwrap(), &repo));
    assert!(Arc::ptr_eq(&node.engine.get("a").unwrap(), &second));
    assert_eq!(node.engine.list("", None, 10).len(), 2);
}

#[test]
fn whoever_comes_after_the_shut_down_is_refused() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    node.engine.shut_down();
    assert!(matches!(
        create(&repo, "refs/heads/x", 1),
        Err(PublishError::Unavailable(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_engine_agrees_with_a_plain_map(
        edits in prop::collection::vec((0u8..6, prop::option::of(1u8..4), prop::option::of(0u8..4)), 0..40)
    ) {
        let node = node();
        let repo = make(&node, "a").unwrap();
        let mut model = std::collections::BTreeMap::new();
        for (name, target, belief) in edits {
            let name = format!("refs/heads/b{name}");
            let expected = match belief {
                None => Expected::Anything,
                Some(0) => Expected::Absent,
                Some(n) => Expected::At(id(n)),
            };
            let holds = match expected {
                Expected::Anything => true,
                Expected::Absent => !model.contains_key(&name),
                Expected::At(at) => model.get(&name) == Some(&at),
            };
            let to = target.map_or(Target::Gone, |n| Target::At(id(n)));
            prop_assert_eq!(publish(&repo, set(&name, expected, to)).is_ok(), holds);
            if holds {
                match target {
                    Some(n) => { model.insert(name, id(n)); }
                    None => { model.remove(&name); }
                }
            }
        }
        let now = repo.snapshot();
        let there: Vec<_> = now.refs.with_prefix(b"refs/").map(|(n, t)| (n.to_text(), t.clone())).collect();
        let expected: Vec<_> = model.into_iter().map(|(n, i)| (n, Target::At(i))).collect();
        prop_assert_eq!(there, expected);
    }
}

fn uploads(n: u8) -> Change {
    let object = LfsObject {
        oid: LfsOid([n; 32]),
        size: u64::from(n),
    };
    Change {
        objects: NewObjects::default(),
        edits: vec![Edit::LfsObjects(vec![object])],
        cause: cause(CauseKind::LfsUploaded),
    }
}

#[test]
fn an_upload_is_staged_and_a_lock_is_a_change() {
    let node = node();
    let repo = make(&node, "a").unwrap();
    let done = |published: Published| (published.seq, published.entry.map(|entry| entry.step));
    assert_eq!(
        done(block_on(repo.publish(uploads(1))).unwrap()),
        (0, Some(1))
    );
    assert_eq!(
        done(block_on(repo.publish(uploads(2))).unwrap()),
        (0, Some(2))
    );
    // It has it already.
    assert_eq!(done(block_on(repo.publish(uploads(1))).unwrap()), (0, None));
    let made = publish(
        &repo,
        set("refs/heads/main", Expected::Absent, Target::At(id(1))),
    )
    .unwrap();
    assert_eq!(done(made), (1, Some(0)));
    let lock = Arc::new(LfsLock {
        id: "7".into(),
        path: "a".into(),
        owner: "ada".into(),
        locked_at: Time(1),
    });
    let locks = Change {
        objects: NewObjects::default(),
        edits: vec![Edit::LfsLock {
            path: "a".into(),
            after: Some(Arc::clone(&lock)),
        }],
        cause: cause(CauseKind::LfsLocked),
    };
    assert_eq!(
        done(block_on(repo.publish(locks.clone())).unwrap()),
        (2, Some(0))
    );
    assert_eq!(done(block_on(repo.publish(locks)).unwrap()), (2, None));
    assert_eq!(
        done(block_on(repo.publish(uploads(3))).unwrap()),
        (2, Some(1))
    );
    let snapshot = repo.snapshot();
    assert_eq!((snapshot.seq, snapshot.step), (2, 1));
    assert_eq!(snapshot.lfs.bytes(), 6);
    assert_eq!(snapshot.lfs.lock("a"), Some(&lock));
    // History knows numbers only.
    let seqs: Vec<_> = repo
        .entries(None, 9)
        .unwrap()
        .iter()
        .map(|e| e.seq)
        .collect();
    assert_eq!(seqs, [0, 1, 2]);
    // Listeners hear of both.
    assert_eq!(node.heard.0.lock().unwrap().len(), 6);

    // An append that fails takes the upload back.
    node.journal.plan([Failure::Refuse(AppendError::Full)]);
    assert!(matches!(
        block_on(repo.publish(uploads(4))),
        Err(PublishError::Full)
    ));
    assert_eq!(
        done(block_on(repo.publish(uploads(5))).unwrap()),
        (2, Some(2))
    );
    assert_eq!(repo.snapshot().lfs.object(&LfsOid([4; 32])), None);

    // A fork sees what its parent referenced, then or now, and no locks.
    let fork = |name: &str, at| {
        let cause = cause(CauseKind::RepoCreated);
        let id = RepoId::parse(name).unwrap();
        let made = block_on(node.engine.fork(&repo, id, at, cause, false));
        made.unwrap().0
    };
    let sees = |repo: &Repository| -> Vec<u8> {
        let snapshot = repo.snapshot();
        assert_eq!(snapshot.lfs.lock_count(), 0);
        snapshot.lfs.objects().map(|(oid, _)| oid.0[0]).collect()
    };
    let then = fork("then", Some(Moment::Seq(1)));
    let now = fork("now", None);
    assert_eq!((sees(&then), sees(&now)), (vec![1, 2], vec![1, 2, 3, 5]));
    assert_eq!((now.snapshot().seq, now.snapshot().step), (0, 0));
    let first = &now.entries(None, 1).unwrap()[0];
    let is_lfs = |edit: &&EntryEdit| matches!(edit, EntryEdit::LfsObjects(_));
    assert_eq!(first.edits.iter().filter(is_lfs).count(), 1);
}
