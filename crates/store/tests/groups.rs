//! Several repositories changed at once, on a disk that loses power in the middle: all or none of
//! them have it afterwards, and what was answered all.
//!
//! `GOVC_SIM_GROUPS=1000` runs so many seeds; `GOVC_SIM_SEED=4711` runs that one.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::thread;

use futures_executor::block_on;
use govc_engine::pool::PoolLimits;
use govc_engine::{
    CauseKind, Change, Clock, Edit, Engine, EngineParts, Expected, NewObjects, NewRepository,
    Proposal, PublishError, RefEdit, RefName, RepoId, RepoKey, Repository, Storage, Target, Time,
    Workspace, publish_together,
};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use govc_store::disk::{Faults, SimDisk};
use govc_store::{Disk, Store, StoreOptions};
use support::*;

/// Who changes which repositories at once. One of them is in memory only: it is gone after each
/// life, and while it lives it has what the others have.
const GROUPS: [&[usize]; 4] = [&[0, 1], &[2, 1, 0], &[1, 3], &[4, 2]];
const REPOSITORIES: usize = 5;
const IN_MEMORY: usize = 4;
const LIVES: u64 = 3;

struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1, Ordering::Relaxed))
    }
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

fn open(disk: &SimDisk, keys: &Arc<AtomicU8>) -> Option<(Arc<Store>, Arc<Engine>)> {
    let options = StoreOptions {
        segment_bytes: 8 << 10,
        ..options()
    };
    let (store, recovered) = Store::open(Arc::new(disk.clone()) as Arc<dyn Disk>, options).ok()?;
    assert_eq!(recovered.stopped, []);
    let keys = Arc::clone(keys);
    let engine = Engine::new(EngineParts {
        journal: Arc::clone(&store) as _,
        packs: Arc::clone(&store) as _,
        clock: Arc::new(Ticks(AtomicI64::new(1_700_000_000_000_000))),
        new_key: Arc::new(move || RepoKey([keys.fetch_add(1, Ordering::Relaxed); 16])),
        turn_threads: 2,
        pool_limits: PoolLimits::default(),
    })
    .unwrap();
    engine.load(recovered.repositories);
    store.attach(&engine);
    Some((store, engine))
}

fn create(engine: &Engine, number: usize) -> Result<Arc<Repository>, String> {
    let new = NewRepository {
        id: RepoId::parse(&format!("r{number}")).unwrap(),
        description: String::new(),
        default_branch: RefName::branch("main"),
        storage: match number {
            IN_MEMORY => Storage::Memory,
            _ => Storage::Hybrid,
        },
        object_format: ObjectFormat::Sha1,
        expires_at: None,
    };
    let made = block_on(engine.create(new, cause(CauseKind::RepoCreated), false));
    made.map(|made| made.0).map_err(|error| error.to_string())
}

/// The commit that says that `group` is at `n`, and its objects.
fn commit_of(group: usize, n: u64) -> (ObjectId, NewObjects) {
    let format = ObjectFormat::Sha1;
    let blob = object(format, ObjectKind::Blob, format!("{group} {n}"));
    let tree = [b"100644 file\0", blob.id.as_slice()].concat();
    let tree = object(format, ObjectKind::Tree, tree);
    let text = format!(
        "tree {}\nauthor A <a@x> 1700000000 +0000\ncommitter A <a@x> 1700000000 +0000\n\n{n}\n",
        tree.id
    );
    let commit = object(format, ObjectKind::Commit, text);
    let id = commit.id;
    let objects = NewObjects {
        inline: vec![blob, tree, commit],
        packs: Vec::new(),
    };
    (id, objects)
}

/// The group's branch and a workspace that says the same.
fn set(group: usize, n: u64) -> Change {
    let (id, objects) = commit_of(group, n);
    let tree = objects.inline[1].id;
    let name = RefName::branch(format!("group-{group}"));
    let workspace = Workspace::clean(Some(name.clone()), Some(id), tree, Time(n as i64));
    Change {
        objects,
        edits: vec![
            Edit::Ref(RefEdit {
                name,
                expected: Expected::Anything,
                target: Target::At(id),
            }),
            Edit::Workspace {
                name: format!("group-{group}").into(),
                after: Some(Arc::new(workspace)),
                is_staging: false,
            },
        ],
        cause: cause(CauseKind::Transaction),
    }
}

/// Where a repository has the group; its branch and its workspace say the same.
fn number(repo: &Repository, group: usize, numbers: &HashMap<ObjectId, u64>) -> u64 {
    let snapshot = repo.snapshot();
    let name = format!("group-{group}");
    let branch = match snapshot.refs.get(RefName::branch(&name).as_bytes()) {
        Some(Target::At(id)) => Some(*id),
        _ => None,
    };
    let workspace = snapshot.workspaces.get(name.as_str());
    let workspace = workspace.and_then(|workspace| workspace.base);
    assert_eq!(branch, workspace, "half of {name}");
    let Some(id) = branch else { return 0 };
    let n = numbers[&id];
    for object in commit_of(group, n).1.inline {
        let there = repo.pool().find(&object.id).unwrap();
        assert!(there.is_some(), "{name}: object {} is lost", object.id);
    }
    n
}

/// What a group's writer was told.
#[derive(Clone, Default)]
struct Told {
    answered: u64,
    /// Nobody knows of these, which were tried after it.
    unknown: Vec<u64>,
}

fn run(seed: u64, made: &mut u64) {
    let mut random = Random(seed);
    let disk = SimDisk::new(random.below(u64::MAX));
    let keys = Arc::new(AtomicU8::new(1));
    let next = AtomicU64::new(1);
    let mut told: Vec<Told> = vec![Told::default(); GROUPS.len()];
    for life in 0..=LIVES {
        let (store, engine) = open(&disk, &keys).expect("the power is on");
        let numbers: HashMap<ObjectId, u64> = (0..GROUPS.len())
            .flat_map(|group| (0..next.load(Ordering::Relaxed)).map(move |n| (group, n)))
            .map(|(group, n)| (commit_of(group, n).0, n))
            .collect();
        let mut repositories = Vec::new();
        for number in 0..REPOSITORIES {
            let there = engine.get(&format!("r{number}"));
            assert!(life == 0 || number == IN_MEMORY || there.is_some());
            repositories.push(there.unwrap_or_else(|| create(&engine, number).unwrap()));
        }
        for (group, members) in GROUPS.iter().enumerate() {
            let told = &mut told[group];
            let durable = members.iter().filter(|member| **member != IN_MEMORY);
            let found: Vec<u64> = durable
                .map(|member| number(&repositories[*member], group, &numbers))
                .collect();
            let context = format!("group {group} is {found:?}, answered {}", told.answered);
            assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{context}");
            let may_be = found[0] == told.answered || told.unknown.contains(&found[0]);
            assert!(may_be, "{context}, perhaps {:?}", told.unknown);
            *told = Told {
                answered: found[0],
                unknown: Vec::new(),
            };
        }
        if life == LIVES {
            engine.shut_down();
            return;
        }
        match random.below(3) {
            0 => disk.set_faults(Faults {
                sync: 60,
                write: 60,
                name: 60,
                full: 60,
            }),
            1 => disk.set_faults(Faults {
                sync: 150,
                ..Faults::default()
            }),
            _ => {}
        }
        // The power goes, or the process alone after so many answers.
        let answers = 20 + random.below(60);
        let is_kill = random.below(3) == 0;
        if !is_kill {
            disk.crash_after(40 + random.below(160));
        }
        let answered = AtomicU64::new(0);
        let goes_on = || !(disk.is_off() || is_kill && answered.load(Ordering::Relaxed) >= answers);
        let seeds: Vec<u64> = (0..GROUPS.len() + 1)
            .map(|_| random.below(u64::MAX))
            .collect();
        thread::scope(|scope| {
            let (goes_on, answered) = (&goes_on, &answered);
            let (store, next, repositories) = (&store, &next, &repositories);
            let writers: Vec<_> = GROUPS
                .iter()
                .enumerate()
                .map(|(group, members)| {
                    let mut told = told[group].clone();
                    scope.spawn(move || {
                        while goes_on() {
                            let n = next.fetch_add(1, Ordering::Relaxed);
                            let changes = members.iter().map(|member| {
                                let change: Box<dyn Proposal> = Box::new(set(group, n));
                                (Arc::clone(&repositories[*member]), change)
                            });
                            let done = block_on(publish_together(changes.collect(), false, None));
                            answered.fetch_add(1, Ordering::Relaxed);
                            match done {
                                Ok(done) => {
                                    assert_eq!(done.len(), members.len());
                                    told = Told {
                                        answered: n,
                                        unknown: Vec::new(),
                                    };
                                }
                                Err(refused) => {
                                    if matches!(refused.error, PublishError::Unknown) {
                                        told.unknown.push(n);
                                    }
                                }
                            }
                        }
                        told
                    })
                })
                .collect();
            // Single writers and checkpoints are in their way.
            let mut random = Random(seeds[GROUPS.len()]);
            let mut n = 0;
            while goes_on() {
                let repo = &repositories[random.below(REPOSITORIES as u64) as usize];
                match random.below(3) {
                    0 => {
                        let _ = store.checkpoint(repo.key());
                    }
                    1 => {
                        let _ = store.checkpoint_all();
                    }
                    _ => {
                        n += 1;
                        let edit = RefEdit {
                            name: RefName::branch("alone"),
                            expected: Expected::Anything,
                            target: Target::At(commit_of(100, n).0),
                        };
                        let change = Change {
                            objects: commit_of(100, n).1,
                            edits: vec![Edit::Ref(edit)],
                            cause: cause(CauseKind::Commit),
                        };
                        let _ = block_on(repo.publish(change));
                    }
                }
            }
            for (told, writer) in told.iter_mut().zip(writers) {
                *told = writer.join().unwrap();
                *made += u64::from(told.answered > 0);
            }
        });
        // Before the end readers saw all or none, too.
        let numbers: HashMap<ObjectId, u64> = (0..GROUPS.len())
            .flat_map(|group| (0..next.load(Ordering::Relaxed)).map(move |n| (group, n)))
            .map(|(group, n)| (commit_of(group, n).0, n))
            .collect();
        for (group, members) in GROUPS.iter().enumerate() {
            let found = { members.iter() }.map(|at| number(&repositories[*at], group, &numbers));
            let found: Vec<u64> = found.collect();
            let same = found.windows(2).all(|pair| pair[0] == pair[1]);
            // The one in memory began anew.
            assert!(
                same || (life > 0 && members.contains(&IN_MEMORY)),
                "{found:?}"
            );
            assert_eq!(
                found[members.len() - 1],
                told[group].answered,
                "group {group}"
            );
        }
        engine.shut_down();
        disk.set_faults(Faults::default());
        drop((repositories, engine, store));
        match disk.is_off() {
            true => disk.crash(),
            false => disk.kill(),
        }
    }
}

#[test]
fn a_group_is_there_whole_or_not_at_all() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds: Vec<u64> = match number("GOVC_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("GOVC_SIM_GROUPS").unwrap_or(30)).collect(),
    };
    let (count, mut made) = (seeds.len() as u64, 0);
    for seed in seeds {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed, &mut made)));
        assert!(ran.is_ok(), "GOVC_SIM_SEED={seed}");
    }
    assert!(made > count * LIVES, "hardly anything was made: {made}");
    eprintln!("{count} seeds: {made} groups that lived on, none of them half");
}
