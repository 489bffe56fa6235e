//! Several repositories changed at once: all or none, whatever the journal does, and seen together.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use futures_executor::block_on;
use futures_util::FutureExt;
use govc_engine::journal::failing::{FailingJournal, Failure};
use govc_engine::journal::memory::{MemoryJournal, MemoryPacks};
use govc_engine::journal::{AppendError, Journal};
use govc_engine::pool::PoolLimits;
use govc_engine::{
    Cause, CauseKind, Change, Clock, Edit, Engine, EngineParts, Entry, Expected, Listener,
    NewObject, NewObjects, NewRepository, ObjectBody, Pending, Proposal, PublishError, Published,
    RefEdit, RefName, RepoId, RepoKey, Repository, Seq, Storage, Target, Time, TogetherError, Via,
    publish_together,
};
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

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

impl Heard {
    /// The numbers that were told of a repository.
    fn of(&self, key: RepoKey) -> Vec<Seq> {
        let heard = self.0.lock().unwrap();
        let its = heard.iter().filter(|entry| entry.repo == key);
        its.map(|entry| entry.seq).collect()
    }
}

struct Node {
    engine: Arc<Engine>,
    journal: Arc<FailingJournal<MemoryJournal>>,
    heard: Arc<Heard>,
    repositories: Vec<Arc<Repository>>,
}

impl Node {
    /// With so many repositories; of `in_memory` those have no journal that could fail.
    fn new(count: usize, in_memory: &[usize]) -> Node {
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
        let make = |number: usize| {
            let new = NewRepository {
                id: RepoId::parse(&format!("r{number}")).unwrap(),
                description: String::new(),
                default_branch: RefName::branch("main"),
                storage: match in_memory.contains(&number) {
                    true => Storage::Memory,
                    false => Storage::Hybrid,
                },
                object_format: ObjectFormat::Sha1,
                expires_at: None,
            };
            let created = engine.create(new, cause(CauseKind::RepoCreated), false);
            block_on(created).unwrap().0
        };
        let repositories = (0..count).map(make).collect();
        Node {
            engine,
            journal,
            heard,
            repositories,
        }
    }

    fn seqs(&self) -> Vec<Seq> {
        let seqs = self.repositories.iter().map(|repo| repo.snapshot().seq);
        seqs.collect()
    }

    /// What readers see, what was told and what is in the journals is one history, without gaps.
    fn check(&self) {
        for repo in &self.repositories {
            let seq = repo.snapshot().seq;
            let all: Vec<Seq> = (0..=seq).collect();
            assert_eq!(self.heard.of(repo.key()), all);
            let entries = repo.entries(None, usize::MAX).unwrap();
            assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), all);
        }
    }
}

fn cause(kind: CauseKind) -> Cause {
    Cause {
        kind,
        actor: "ada".into(),
        via: Via::Rest,
        request_id: "r1".into(),
        reason: None,
        idempotency: None,
    }
}

fn id(n: u64) -> ObjectId {
    let mut bytes = [7; 20];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    ObjectId::from_bytes_or_panic(&bytes)
}

fn number(repo: &Repository, branch: &str) -> u64 {
    let snapshot = repo.snapshot();
    match snapshot.refs.get(RefName::branch(branch).as_bytes()) {
        Some(Target::At(id)) => u64::from_be_bytes(id.as_bytes()[..8].try_into().unwrap()),
        _ => 0,
    }
}

/// Sets a branch to a number, and brings an object that says so.
fn set(branch: &str, expected: Expected, to: u64) -> Change {
    let data = format!("{branch} is {to}");
    let object = NewObject {
        id: hash_object(ObjectFormat::Sha1, ObjectKind::Blob, data.as_bytes()).unwrap(),
        kind: ObjectKind::Blob,
        body: ObjectBody::Whole(data.into()),
    };
    Change {
        objects: NewObjects {
            inline: vec![object],
            packs: Vec::new(),
        },
        edits: vec![Edit::Ref(RefEdit {
            name: RefName::branch(branch),
            expected,
            target: Target::At(id(to)),
        })],
        cause: cause(CauseKind::Transaction),
    }
}

fn anything(branch: &str, to: u64) -> Box<dyn Proposal> {
    Box::new(set(branch, Expected::Anything, to))
}

fn together(
    members: Vec<(Arc<Repository>, Box<dyn Proposal>)>,
) -> Result<Vec<Published>, TogetherError> {
    block_on(publish_together(members, false, None))
}

fn failures() -> Vec<fn(&Node) -> Failure> {
    vec![
        |_| Failure::Refuse(AppendError::Full),
        |_| Failure::Refuse(AppendError::Unknown),
        |_| Failure::Refuse(AppendError::Failed(io::Error::other("planned"))),
        |node| {
            let repo = node.repositories[0].key();
            Failure::Refuse(AppendError::Moved { repo, seq: 0 })
        },
        |_| Failure::WriteAndForget,
    ]
}

#[test]
fn all_or_none_whatever_the_journal_does() {
    for in_memory in [&[][..], &[1], &[0, 2]] {
        for failure in failures() {
            let node = Node::new(3, in_memory);
            let all = |to: u64| {
                let members = node.repositories.iter().rev();
                let member = |repo: &Arc<Repository>| (Arc::clone(repo), anything("main", to));
                together(members.map(member).collect())
            };
            all(1).unwrap();
            let failure = failure(&node);
            let context = format!("{failure:?}, {in_memory:?} in memory");
            let is_written = matches!(failure, Failure::WriteAndForget);
            node.journal.plan([failure]);
            let done = all(2);
            let numbers = || {
                let numbers = node.repositories.iter().map(|repo| number(repo, "main"));
                numbers.collect::<Vec<_>>()
            };
            match is_written {
                true => {
                    let done = done.unwrap();
                    assert!(done.iter().all(|done| done.seq == 2), "{context}");
                    assert_eq!(numbers(), [2, 2, 2], "{context}");
                }
                false => {
                    done.unwrap_err();
                    assert_eq!(numbers(), [1, 1, 1], "{context}");
                    assert_eq!(node.seqs(), [1, 1, 1], "{context}");
                    // What it brought is nobody's, unless nobody knows.
                    let is_gone = |repo: &Arc<Repository>, blob: &ObjectId| {
                        context.contains("Unknown") || repo.pool().get(blob).is_err()
                    };
                    let data = "main is 2".as_bytes();
                    let blob = hash_object(ObjectFormat::Sha1, ObjectKind::Blob, data).unwrap();
                    for repo in &node.repositories {
                        assert!(is_gone(repo, &blob), "{context}");
                    }
                }
            }
            node.check();
            // All of them go on, alone and together, with the next number.
            let alone = block_on(node.repositories[1].publish(set("b", Expected::Absent, 1)));
            assert_eq!(alone.unwrap().seq, 2 + u64::from(is_written), "{context}");
            all(3).unwrap();
            assert_eq!(numbers(), [3, 3, 3], "{context}");
            node.check();
        }
    }
}

#[test]
fn what_one_refuses_none_has() {
    let node = Node::new(3, &[]);
    for refuses in 0..3 {
        let member = |(at, repo): (usize, &Arc<Repository>)| {
            let proposal = match at == refuses {
                true => Box::new(set("main", Expected::At(id(99)), 1)),
                false => anything("main", 1),
            };
            (Arc::clone(repo), proposal)
        };
        let members = node.repositories.iter().enumerate().map(member).collect();
        let refused = together(members).unwrap_err();
        assert_eq!(refused.at, refuses);
        assert!(matches!(refused.error, PublishError::RefMoved { .. }));
        assert_eq!(node.seqs(), [0, 0, 0]);
    }
    // One that panics is refused as well.
    let panics = |_: &Pending<'_>| -> Result<Option<Change>, govc_engine::Refusal> {
        panic!("planned");
    };
    let members: Vec<(Arc<Repository>, Box<dyn Proposal>)> = vec![
        (Arc::clone(&node.repositories[0]), anything("main", 1)),
        (Arc::clone(&node.repositories[1]), Box::new(panics)),
    ];
    assert_eq!(together(members).unwrap_err().at, 1);
    assert_eq!(node.seqs(), [0, 0, 0]);
    let members = node.repositories.iter();
    let member = |repo: &Arc<Repository>| (Arc::clone(repo), anything("main", 1));
    together(members.map(member).collect()).unwrap();
    assert_eq!(node.seqs(), [1, 1, 1]);
    node.check();
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Groups that overlap, single writers and a journal that fails, all at once; readers of two
/// repositories never see one as it is after a group and then the other as it was before.
#[test]
fn readers_never_see_half_of_a_group() {
    const ROUNDS: u64 = 150;
    const PAIRS: [(usize, usize); 4] = [(0, 1), (1, 2), (2, 0), (2, 3)];
    let node = Node::new(4, &[3]);
    let is_over = AtomicBool::new(false);
    let seen = AtomicU64::new(0);
    // What was answered last, of each pair.
    let mut answered = [0; PAIRS.len()];
    thread::scope(|scope| {
        for read in 0..2 {
            let (node, is_over, seen) = (&node, &is_over, &seen);
            scope.spawn(move || {
                let mut random = Random(read);
                let mut last = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let at = random.below(PAIRS.len() as u64) as usize;
                    let (mut one, mut other) = PAIRS[at];
                    if random.below(2) == 0 {
                        (one, other) = (other, one);
                    }
                    let branch = format!("pair-{at}");
                    let first = number(&node.repositories[one], &branch);
                    let second = number(&node.repositories[other], &branch);
                    assert!(second >= first, "{branch}: {first}, then {second}");
                    seen.fetch_add(u64::from(first != last), Ordering::Relaxed);
                    last = first;
                }
            });
        }
        for (at, repo) in node.repositories.iter().enumerate() {
            scope.spawn(move || {
                for n in 1..=ROUNDS {
                    // Refused or not: it is in the groups' way.
                    let _ =
                        block_on(repo.publish(set(&format!("own-{at}"), Expected::Anything, n)));
                }
            });
        }
        let writers = PAIRS.iter().enumerate().map(|(at, (one, other))| {
            let node = &node;
            scope.spawn(move || {
                let mut random = Random(at as u64 + 10);
                let mut answered = 0;
                for n in 1..=ROUNDS {
                    if random.below(3) == 0 {
                        let failures = failures();
                        let failure = failures[random.below(failures.len() as u64) as usize];
                        node.journal.plan([Failure::Pass, failure(node)]);
                    }
                    let branch = format!("pair-{at}");
                    let members = [one, other].map(|member| {
                        let repo = &node.repositories[*member];
                        (Arc::clone(repo), anything(&branch, n))
                    });
                    if together(members.into()).is_ok() {
                        answered = n;
                    }
                }
                answered
            })
        });
        let writers: Vec<_> = writers.collect();
        for (answered, writer) in answered.iter_mut().zip(writers) {
            *answered = writer.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    for (at, (one, other)) in PAIRS.into_iter().enumerate() {
        let branch = format!("pair-{at}");
        let numbers = [one, other].map(|at| number(&node.repositories[at], &branch));
        assert_eq!(numbers, [answered[at]; 2], "{branch}");
        assert!(answered[at] > ROUNDS / 4, "hardly any of {branch} was made");
    }
    assert!(
        seen.load(Ordering::Relaxed) > 100,
        "readers saw nothing move"
    );
    node.check();
    node.engine.shut_down();
}

#[test]
fn who_goes_away_while_it_waits_lets_all_turns_go() {
    let node = Node::new(3, &[]);
    for held in 0..3 {
        let (entered, is_in) = channel();
        let (let_go, may_go) = channel::<()>();
        let (entered, may_go) = (Mutex::new(entered), Mutex::new(may_go));
        let slow = move |_: &Pending<'_>| {
            entered.lock().unwrap().send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
            Ok(Some(set("slow", Expected::Anything, held + 1)))
        };
        let repo = Arc::clone(&node.repositories[held as usize]);
        let writer = thread::spawn(move || block_on(repo.publish(slow)));
        is_in.recv().unwrap();
        let member = |repo: &Arc<Repository>| (Arc::clone(repo), anything("main", held + 1));
        let members = || node.repositories.iter().map(member).collect::<Vec<_>>();
        for _ in 0..3 {
            assert!(
                publish_together(members(), false, None)
                    .now_or_never()
                    .is_none()
            );
        }
        let_go.send(()).unwrap();
        writer.join().unwrap().unwrap();
        together(members()).unwrap();
        for repo in &node.repositories {
            assert_eq!(number(repo, "main"), held + 1);
            block_on(repo.publish(set("alone", Expected::Anything, held + 1))).unwrap();
        }
    }
    node.check();
    // After the end nobody waits for ever.
    node.engine.shut_down();
    let repo = Arc::clone(&node.repositories[0]);
    let late = together(vec![(repo, anything("main", 9))]);
    assert!(matches!(
        late.unwrap_err().error,
        PublishError::Unavailable(_)
    ));
}
