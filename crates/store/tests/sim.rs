//! Power loss, full and failing disks, by seed, against a plain model.
//!
//! `GOVC_SIM_SEEDS=10000` runs so many; `GOVC_SIM_SEED=4711` runs that one.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use govc_engine::journal::contents::Contents;
use govc_engine::journal::{AppendError, Journal, Moment, PackId, Packs};
use govc_engine::{
    CauseKind, Clock, Entry, EntryEdit, Lfs, LfsLock, LfsObject, LfsOid, NewObject, NewObjects,
    ObjectBody, RefName, RepoId, RepoKey, Target, Time,
};
use govc_git::ObjectId;
use govc_git::pack::{PackIndex, PackWriter};
use govc_store::disk::{Faults, SimDisk};
use govc_store::{CompactionOptions, Disk, Durability, Recovered, Store, StoreOptions};
use support::*;

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

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The newest number, the refs, the record, large files and locks of a repository.
type State = (
    u64,
    govc_engine::Refs,
    Option<govc_engine::RepositoryRecord>,
    Lfs,
);

/// What anybody believes: a list of batches, and what they add up to.
#[derive(Clone, Default)]
struct World {
    repos: BTreeMap<RepoKey, Model>,
    batches: Vec<Vec<Arc<Entry>>>,
    /// So many of the batches are certainly on the disk.
    durable: usize,
    /// Each may have become durable after the last batch: nobody was told.
    maybe: Vec<Vec<Arc<Entry>>>,
    /// Numbers that were given out, of changes that were lost too.
    used: BTreeMap<RepoKey, u64>,
    /// What is in each pack that was pushed: compaction may have put it into another.
    pushed: BTreeMap<PackId, Vec<ObjectId>>,
}

impl World {
    /// The newest number, the refs, the record, large files and locks of each repository.
    fn state<'a>(batches: impl Iterator<Item = &'a Vec<Arc<Entry>>>) -> BTreeMap<RepoKey, State> {
        let mut state: BTreeMap<RepoKey, State> = BTreeMap::new();
        for entry in batches.flatten() {
            let repo = state.entry(entry.repo).or_default();
            repo.0 = entry.seq;
            repo.3.apply(entry);
            for edit in &entry.edits {
                match edit {
                    EntryEdit::Ref { name, after, .. } => repo.1.set(name.clone(), after.clone()),
                    EntryEdit::Repository { after, .. } => repo.2 = Some((**after).clone()),
                    _ => {}
                }
            }
        }
        state
    }

    /// Finds the state that was recovered among those that may be, and believes it.
    fn settle_on(&mut self, recovered: &Recovered) {
        assert_eq!(recovered.stopped, []);
        let found: BTreeMap<_, _> = recovered
            .repositories
            .iter()
            .map(|r| {
                assert_eq!(r.damage, None);
                let snapshot = &r.snapshot;
                let record = Some((*snapshot.record).clone());
                let lfs = snapshot.lfs.clone();
                (r.key, (snapshot.seq, snapshot.refs.clone(), record, lfs))
            })
            .collect();
        let mut candidates: Vec<Vec<Vec<Arc<Entry>>>> = Vec::new();
        for maybe in &self.maybe {
            let mut batches = self.batches.clone();
            batches.push(maybe.clone());
            candidates.push(batches);
        }
        for count in (self.durable..=self.batches.len()).rev() {
            candidates.push(self.batches[..count].to_vec());
        }
        let matches = |batches: &Vec<Vec<Arc<Entry>>>| World::state(batches.iter()) == found;
        let Some(batches) = candidates.into_iter().find(matches) else {
            let seqs = |state: &BTreeMap<RepoKey, State>| -> Vec<u64> {
                state.values().map(|state| state.0).collect()
            };
            panic!(
                "recovered {:?}, believed {:?} ({} batches, {} durable, {} maybe); notes {:?}",
                seqs(&found),
                seqs(&World::state(self.batches.iter())),
                self.batches.len(),
                self.durable,
                self.maybe.len(),
                recovered.notes,
            );
        };
        self.durable = batches.len();
        self.batches = batches;
        self.maybe.clear();
        let state = World::state(self.batches.iter());
        self.repos.retain(|key, _| state.contains_key(key));
        for (key, (seq, refs, record, _)) in state {
            let recovered = recovered.repositories.iter().find(|r| r.key == key);
            let next = recovered.map_or(0, |r| r.next);
            assert!(next > seq);
            let used = self.used.get(&key).copied();
            assert!(
                used.is_none_or(|used| next > used),
                "number {used:?} would be used twice"
            );
            let id = record.as_ref().map_or("x".to_owned(), |r| r.id.to_string());
            let repo = self
                .repos
                .entry(key)
                .or_insert_with(|| Model::new(key.0[0], &id));
            let tip = |(name, target): (&RefName, &Target)| match target {
                Target::At(id) => {
                    let short = name.branch_name()?;
                    Some((String::from_utf8_lossy(short).into_owned(), *id))
                }
                _ => None,
            };
            repo.tips = refs.iter().filter_map(tip).collect();
            repo.refs = refs;
            repo.next = next;
            if let Some(record) = record {
                repo.record = record;
            }
        }
    }

    /// Everything that was answered is there, bytes and past included.
    fn check_contents(&self, store: &Store, recovered: &Recovered, random: &mut Random) {
        for repo in &recovered.repositories {
            let mut ids: Vec<ObjectId> = repo.unpacked.iter().map(|(_, o)| o.id).collect();
            for (pack, bytes) in &repo.packs {
                let index = PackIndex::parse(bytes.index.clone(), pack.0.kind()).unwrap();
                index.verify().unwrap();
                ids.extend((0..index.len()).map(|at| index.id(at).to_owned()));
            }
            ids.sort_unstable();
            let entries: Vec<_> = self
                .batches
                .iter()
                .flatten()
                .filter(|entry| entry.repo == repo.key)
                .collect();
            for entry in &entries {
                for object in &entry.objects.inline {
                    assert!(
                        ids.binary_search(&object.id).is_ok(),
                        "object {} is lost",
                        object.id
                    );
                }
                for id in entry.objects.packs.iter().flat_map(|p| &self.pushed[p]) {
                    assert!(ids.binary_search(id).is_ok(), "pushed object {id} is lost");
                }
            }
            // Every large file that it references is there, whole.
            for (oid, referenced) in repo.snapshot.lfs.objects() {
                let content = Contents::open(store, &oid).unwrap();
                assert_eq!(content.size(), referenced.size);
                let bytes = content.read(0, usize::MAX).unwrap();
                assert_eq!(bytes, large(&oid, referenced.size), "{oid}");
            }
            // Steps are no history.
            let entries: Vec<_> = entries.into_iter().filter(|e| e.step == 0).collect();
            let told = store.entries(repo.key, None, usize::MAX).unwrap();
            assert_eq!(told.len(), entries.len());
            for (told, entry) in told.iter().zip(&entries) {
                assert_eq!(
                    (told.seq, &told.edits, &told.cause),
                    (entry.seq, &entry.edits, &entry.cause)
                );
            }
            let at = random.below(entries.len() as u64) as usize;
            let mut refs = govc_engine::Refs::default();
            for edit in entries[..=at].iter().flat_map(|entry| &entry.edits) {
                if let EntryEdit::Ref { name, after, .. } = edit {
                    refs.set(name.clone(), after.clone());
                }
            }
            let past = store
                .refs_at(repo.key, Moment::Seq(entries[at].seq))
                .unwrap()
                .unwrap();
            assert_eq!((past.seq, past.refs), (entries[at].seq, refs));
        }
    }
}

/// The content that is called `oid` here: any will do, nobody hashes it.
fn large(oid: &LfsOid, size: u64) -> Bytes {
    let bytes = oid.0.iter().cycle().copied();
    bytes.take(size as usize).collect()
}

/// A large file, kept, and the step of staging that references it.
fn upload(store: &Store, newest: &Entry, n: u64) -> Option<Arc<Entry>> {
    let mut oid = LfsOid([0; 32]);
    oid.0[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let size = n % 5000;
    let mut spool = Contents::receive(store).ok()?;
    let all = large(&oid, size);
    let half = all.len() / 2;
    spool.write(all.slice(..half)).ok()?;
    spool.write(all.slice(half..)).ok()?;
    spool.keep(&oid).ok()?;
    Some(Arc::new(Entry {
        step: newest.step + 1,
        cause: cause(CauseKind::LfsUploaded),
        edits: vec![EntryEdit::LfsObjects([LfsObject { oid, size }].into())],
        objects: NewObjects::default(),
        ..(*newest).clone()
    }))
}

/// A pack of one commit's objects, kept, and the entry that names it.
fn push(
    store: &Store,
    repo: &mut Model,
    pushed: &mut BTreeMap<PackId, Vec<ObjectId>>,
    n: u64,
) -> Option<Arc<Entry>> {
    let entry = repo.commit("pushed", &format!("pushed {n}"));
    let count = entry.objects.inline.len() as u32;
    let mut writer = PackWriter::new(Vec::new(), repo.record.object_format, count).unwrap();
    for NewObject { id, kind, body } in &entry.objects.inline {
        let ObjectBody::Whole(data) = body else {
            continue;
        };
        writer.whole(id, *kind, data, 1).unwrap();
    }
    let written = writer.finish().unwrap();
    let index = written.entries.write_index(&written.checksum);
    let id = PackId(written.checksum);
    let inside = entry.objects.inline.iter().map(|object| object.id);
    pushed.insert(id, inside.collect());
    let mut spool = Packs::receive(store, repo.key).ok()?;
    spool.write(&written.out).ok()?;
    spool.keep(id, &index).ok()?;
    let objects = NewObjects {
        inline: Vec::new(),
        packs: vec![id],
    };
    Some(Arc::new(Entry {
        objects,
        ..(*entry).clone()
    }))
}

/// A clock that is set by hand.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}

/// What happened.
#[derive(Default)]
struct Counts {
    acknowledged: usize,
    /// Power losses.
    crashes: usize,
    /// Ends of the process alone.
    kills: usize,
    compactions: usize,
}

fn run(seed: u64, counts: &mut Counts) {
    let mut random = Random(seed);
    let clock = Arc::new(Hand(AtomicI64::new(2_000_000)));
    let disk = SimDisk::new(random.below(u64::MAX));
    let is_async = random.one_in(4);
    let options = StoreOptions {
        segment_bytes: [5 << 10, 8 << 10, 32 << 10][random.below(3) as usize],
        durability: match is_async {
            true => Durability::Async {
                within: Duration::from_secs(1),
            },
            false => Durability::Sync,
        },
        compaction: CompactionOptions {
            grace: Duration::from_secs([0, 100][random.below(2) as usize]),
            ..CompactionOptions::default()
        },
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..StoreOptions::default()
    };
    let mut world = World::default();
    let mut content = 0u64;

    for _life in 0..4 {
        if random.one_in(5) {
            disk.crash_after(1 + random.below(60));
        }
        let mut tries = 0;
        let opened = loop {
            tries += 1;
            assert!(tries <= 3, "it does not open though the power is on");
            match Store::open(Arc::new(disk.clone()) as Arc<dyn Disk>, options.clone()) {
                Ok(opened) if !disk.is_off() => break opened,
                // The power went while it opened. Whatever it had begun, nothing is lost.
                _ => disk.crash(),
            }
        };
        let (store, recovered) = opened;
        world.settle_on(&recovered);
        if random.one_in(2) {
            world.check_contents(&store, &recovered, &mut random);
        }
        drop(recovered);
        let operations = 3 + random.below(30);
        let dies_at = random.below(operations + 10);
        for operation in 0..operations {
            if operation == dies_at {
                disk.crash_after(1 + random.below(30));
            }
            if random.one_in(12) {
                let chance = |random: &mut Random| [0, 0, 100, 400][random.below(4) as usize];
                disk.set_faults(Faults {
                    full: chance(&mut random),
                    write: chance(&mut random),
                    sync: chance(&mut random),
                    name: chance(&mut random),
                });
            } else if random.one_in(3) {
                disk.set_faults(Faults::default());
            }
            content += 1;
            let keys: Vec<RepoKey> = world.repos.keys().copied().collect();
            let pick = |random: &mut Random| {
                keys.get(random.below(keys.len().max(1) as u64) as usize)
                    .copied()
            };
            let before = world.repos.clone();
            let mut entries = Vec::new();
            let live = |key: RepoKey, world: &World| world.repos[&key].record.deleted_at.is_none();
            match random.below(22) {
                21 => {
                    let seconds = random.below(100) as i64;
                    clock.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
                    store.remove_replaced();
                }
                0 | 1 if keys.len() < 5 => {
                    let n = 1 + keys.len() as u8;
                    let n = (n..).find(|n| {
                        !world.used.contains_key(&key(*n)) && !world.repos.contains_key(&key(*n))
                    });
                    let n = n.unwrap();
                    let mut repo = Model::new(n, &format!("repo/{n}"));
                    entries.push(repo.make());
                    world.repos.insert(repo.key, repo);
                }
                2 if keys.len() < 5 => {
                    let Some(parent) = pick(&mut random).filter(|key| live(*key, &world)) else {
                        continue;
                    };
                    let n = (1..).find(|n| {
                        !world.used.contains_key(&key(*n)) && !world.repos.contains_key(&key(*n))
                    });
                    let n = n.unwrap();
                    let mut parent = world.repos[&parent].clone();
                    // The parent's number is that of its newest change, which a jump may have left behind.
                    let newest = world
                        .batches
                        .iter()
                        .flatten()
                        .rev()
                        .find(|e| e.repo == parent.key);
                    parent.next = newest.map_or(1, |e| e.seq + 1);
                    let (fork, made) = Model::fork(&parent, n, &format!("fork-{n}"));
                    entries.push(made);
                    world.repos.insert(fork.key, fork);
                }
                3 | 4 => {
                    let Some(key) = pick(&mut random) else {
                        continue;
                    };
                    let _ = store.checkpoint(key);
                }
                5 => {
                    let _ = store.checkpoint_all();
                }
                14 | 15 => {
                    let Some(key) = pick(&mut random) else {
                        continue;
                    };
                    let done = matches!(store.compact(key), Ok(Some(_)));
                    counts.compactions += usize::from(done);
                }
                6 => {
                    if store.sync().is_ok() {
                        world.durable = world.batches.len();
                    }
                }
                7 => {
                    let Some(key) = pick(&mut random).filter(|key| live(*key, &world)) else {
                        continue;
                    };
                    let repo = world.repos.get_mut(&key).unwrap();
                    let id = RepoId::parse(&format!("renamed/{content}")).unwrap();
                    entries.push(repo.change_record(|record| record.id = id));
                }
                8 => {
                    let Some(key) = pick(&mut random) else {
                        continue;
                    };
                    let repo = world.repos.get_mut(&key).unwrap();
                    let deleted = match repo.record.deleted_at {
                        None => Some(Time(content as i64)),
                        Some(_) => None,
                    };
                    entries.push(repo.change_record(|record| record.deleted_at = deleted));
                }
                9 | 10 => {
                    let Some(key) = pick(&mut random).filter(|key| live(*key, &world)) else {
                        continue;
                    };
                    let repo = world.repos.get_mut(&key).unwrap();
                    match push(&store, repo, &mut world.pushed, content) {
                        Some(entry) => entries.push(entry),
                        None => world.repos = before.clone(),
                    }
                }
                11 | 12 => {
                    let Some(key) = pick(&mut random).filter(|key| live(*key, &world)) else {
                        continue;
                    };
                    let mut all = world.batches.iter().flatten().rev();
                    let newest = all.find(|entry| entry.repo == key).cloned();
                    let Some(newest) = newest else { continue };
                    entries.extend(upload(&store, &newest, content));
                }
                13 => {
                    let Some(key) = pick(&mut random).filter(|key| live(*key, &world)) else {
                        continue;
                    };
                    let repo = world.repos.get_mut(&key).unwrap();
                    let path: Arc<str> = format!("path {}", random.below(3)).into();
                    let lock = Arc::new(LfsLock {
                        id: content.to_string().into(),
                        path: Arc::clone(&path),
                        owner: "ada".into(),
                        locked_at: Time(content as i64),
                    });
                    let edit = EntryEdit::LfsLock {
                        path,
                        before: None,
                        after: random.one_in(2).then_some(lock),
                    };
                    let kind = CauseKind::LfsLocked;
                    entries.push(repo.entry(kind, vec![edit], NewObjects::default()));
                }
                _ => {
                    for _ in 0..=random.below(3) {
                        let Some(key) = pick(&mut random) else {
                            continue;
                        };
                        let repo = world.repos.get_mut(&key).unwrap();
                        let branch = format!("b{}", random.below(3));
                        let has = repo.tips.contains_key(&branch);
                        entries.push(match random.below(6) {
                            0 if has => repo.delete_branch(&branch),
                            1 if has => repo.annotated_tag(&format!("v{content}"), &branch),
                            2 => {
                                let target = Target::Symbolic(RefName::branch(&branch));
                                let edit = repo.ref_edit(RefName::head(), target);
                                repo.entry(CauseKind::Ref, vec![edit], NewObjects::default())
                            }
                            _ => {
                                let big = "x".repeat(random.below(3000) as usize);
                                repo.commit(&branch, &format!("{content} {big}"))
                            }
                        });
                    }
                }
            }
            if entries.is_empty() {
                continue;
            }
            match append(&store, entries.clone()) {
                Ok(_) => {
                    counts.acknowledged += 1;
                    for entry in &entries {
                        let used = world.used.entry(entry.repo).or_default();
                        *used = entry.seq.max(*used);
                    }
                    world.batches.push(entries);
                    world.maybe.clear();
                    if !is_async {
                        world.durable = world.batches.len();
                    }
                }
                Err(error) => {
                    if matches!(error, AppendError::Unknown) {
                        world.maybe.push(entries);
                    }
                    world.repos = before;
                }
            }
        }
        disk.set_faults(Faults::default());
        if random.one_in(5) {
            let closed = store.close();
            if closed.is_ok() {
                world.durable = world.batches.len();
                world.maybe.clear();
            }
        }
        drop(store);
        if !disk.is_off() && random.one_in(3) {
            counts.kills += 1;
            disk.kill();
        } else {
            counts.crashes += 1;
            disk.crash();
        }
    }
    let (store, recovered) = Store::open(Arc::new(disk) as Arc<dyn Disk>, options).unwrap();
    world.settle_on(&recovered);
    world.check_contents(&store, &recovered, &mut random);
}

#[test]
fn no_acknowledged_write_is_lost_and_none_is_invented() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds: Vec<u64> = match number("GOVC_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("GOVC_SIM_SEEDS").unwrap_or(300)).collect(),
    };
    let count = seeds.len();
    let mut counts = Counts::default();
    for seed in seeds {
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| run(seed, &mut counts)));
        assert!(ran.is_ok(), "GOVC_SIM_SEED={seed} brings it back");
    }
    assert!(
        count < 100 || counts.compactions > 0,
        "nothing was compacted"
    );
    eprintln!(
        "{count} seeds: {} appends acknowledged, {} power losses, {} kills, {} compactions, none lost",
        counts.acknowledged, counts.crashes, counts.kills, counts.compactions
    );
}
