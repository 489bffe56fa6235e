//! The collector: what is kept stays whole, through crashes too, and what nobody keeps is gone.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use govc_engine::journal::Moment;
use govc_engine::pool::PoolLimits;
use govc_engine::work::realities::MakeRealities;
use govc_engine::{
    CauseKind, Change, Clock, Edit, Engine, EngineParts, Expected, Fate, NewObjects, NewRepository,
    Reality, RealityBatch, RealityEdit, RealityNames, RealityRange, RefEdit, RefName, RepoId,
    RepoKey, Repository, Seq, Storage, Target, Time, Workspace,
};
use govc_git::pack::PackIndex;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use govc_store::disk::SimDisk;
use govc_store::{CompactionOptions, Disk, RealDisk, RetentionOptions, Store, StoreOptions};
use support::{cause, git, object};

const DAY: i64 = 86_400_000_000;

/// A clock that is set by hand, and never says the same twice.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A server's store and engine, and what they are made of.
struct Node {
    disk: Arc<dyn Disk>,
    clock: Arc<Hand>,
    keys: Arc<AtomicU64>,
    store: Arc<Store>,
    engine: Arc<Engine>,
}

fn node(disk: Arc<dyn Disk>) -> Node {
    let clock = Arc::new(Hand(AtomicI64::new(1_700_000_000_000_000)));
    open(disk, clock, Arc::new(AtomicU64::new(1))).unwrap()
}

fn open(disk: Arc<dyn Disk>, clock: Arc<Hand>, keys: Arc<AtomicU64>) -> Option<Node> {
    let options = StoreOptions {
        segment_bytes: 64 << 10,
        retention: RetentionOptions {
            refs: Some(Duration::from_secs(90 * 86_400)),
            discarded: Duration::from_secs(86_400),
            deleted: Some(Duration::from_secs(7 * 86_400)),
            in_flight: Duration::ZERO,
        },
        compaction: CompactionOptions {
            grace: Duration::ZERO,
            git: None,
            ..CompactionOptions::default()
        },
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..StoreOptions::default()
    };
    let (store, recovered) = Store::open(Arc::clone(&disk), options).ok()?;
    assert_eq!(recovered.stopped, []);
    for repository in &recovered.repositories {
        assert_eq!(repository.damage, None);
    }
    let next_key = Arc::clone(&keys);
    let engine = Engine::new(EngineParts {
        journal: Arc::clone(&store) as _,
        packs: Arc::clone(&store) as _,
        clock: Arc::clone(&clock) as _,
        new_key: Arc::new(move || {
            let n = next_key.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            RepoKey([n, n].concat().try_into().unwrap())
        }),
        turn_threads: 1,
        pool_limits: PoolLimits::default(),
    })
    .unwrap();
    engine.load(recovered.repositories);
    store.attach(&engine);
    Some(Node {
        disk,
        clock,
        keys,
        store,
        engine,
    })
}

impl Node {
    fn pass(&self, micros: i64) {
        self.clock.0.fetch_add(micros, Ordering::Relaxed);
    }

    fn create(&self, id: &str) -> Arc<Repository> {
        let new = NewRepository {
            id: RepoId::parse(id).unwrap(),
            description: String::new(),
            default_branch: RefName::branch("main"),
            storage: Storage::Hybrid,
            object_format: ObjectFormat::Sha1,
            expires_at: None,
        };
        let made = self
            .engine
            .create(new, cause(CauseKind::RepoCreated), false);
        block_on(made).unwrap().0
    }

    fn fork(&self, parent: &Arc<Repository>, id: &str) -> Arc<Repository> {
        let id = RepoId::parse(id).unwrap();
        let made = self
            .engine
            .fork(parent, id, None, cause(CauseKind::RepoCreated), false);
        block_on(made).unwrap().0
    }

    fn get(&self, id: &str) -> Arc<Repository> {
        self.engine.get(id).unwrap()
    }

    /// What the server's job does.
    fn collect(&self) -> u64 {
        let mut objects = 0;
        for family in self.store.families_to_collect(&self.engine) {
            let done = self.store.collect(&self.engine, family).unwrap();
            objects += done.map_or(0, |done| done.objects);
        }
        self.store.checkpoint_due().unwrap();
        self.store.remove_replaced();
        objects
    }

    /// The server stops without a word, and another one starts.
    fn restart(self) -> Node {
        let Node {
            disk,
            clock,
            keys,
            store,
            engine,
        } = self;
        engine.shut_down();
        drop((engine, store));
        open(disk, clock, keys).unwrap()
    }

    /// Every object that any pack on the disk has.
    fn packed(&self) -> HashSet<ObjectId> {
        let mut found = HashSet::new();
        each_file(&*self.disk, Path::new(""), &mut |path, bytes| {
            if path.extension().is_some_and(|extension| extension == "idx") {
                let index = PackIndex::parse(bytes.into(), ObjectFormat::Sha1).unwrap();
                found.extend((0..index.len()).map(|at| index.id(at).to_owned()));
            }
        });
        found
    }

    /// Whether any file on the disk has these bytes as they are.
    fn has_bytes(&self, needle: &str) -> bool {
        let mut found = false;
        each_file(&*self.disk, Path::new(""), &mut |_, bytes| {
            found |= bytes.windows(needle.len()).any(|w| w == needle.as_bytes());
        });
        found
    }
}

fn each_file(disk: &dyn Disk, folder: &Path, look: &mut dyn FnMut(&Path, Vec<u8>)) {
    for entry in disk.list(folder).unwrap() {
        let path = folder.join(&entry.name);
        match entry.kind {
            govc_store::disk::FileKind::Dir => each_file(disk, &path, look),
            _ => {
                let file = disk.open(&path, govc_store::disk::Open::Read).unwrap();
                let mut bytes = vec![0; file.len().unwrap() as usize];
                let got = file.read_at(0, &mut bytes).unwrap();
                bytes.truncate(got);
                look(&path, bytes);
            }
        }
    }
}

/// The blob, the tree and the commit of a commit of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Made {
    blob: ObjectId,
    tree: ObjectId,
    commit: ObjectId,
}

impl Made {
    fn all(self) -> [ObjectId; 3] {
        [self.blob, self.tree, self.commit]
    }
}

/// Makes `branch` a commit of one file, on `parent`, wherever the branch was.
fn push(repo: &Arc<Repository>, branch: &str, content: &str, parent: Option<ObjectId>) -> Made {
    let format = ObjectFormat::Sha1;
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
    let made = Made {
        blob: blob.id,
        tree: tree.id,
        commit: commit.id,
    };
    let change = Change {
        objects: NewObjects {
            inline: vec![blob, tree, commit],
            packs: Vec::new(),
        },
        edits: vec![Edit::Ref(RefEdit {
            name: RefName::branch(branch),
            expected: Expected::Anything,
            target: Target::At(made.commit),
        })],
        cause: cause(CauseKind::Push),
    };
    block_on(repo.publish(change)).unwrap();
    made
}

fn delete(repo: &Arc<Repository>, branch: &str) -> Seq {
    let change = Change {
        objects: NewObjects::default(),
        edits: vec![Edit::Ref(RefEdit {
            name: RefName::branch(branch),
            expected: Expected::Anything,
            target: Target::Gone,
        })],
        cause: cause(CauseKind::BranchDeleted),
    };
    block_on(repo.publish(change)).unwrap().seq
}

/// Stages a file in a workspace, instead of what was staged there. The blob and the tree.
fn stage(repo: &Arc<Repository>, workspace: &str, content: &str) -> [ObjectId; 2] {
    let blob = object(ObjectFormat::Sha1, ObjectKind::Blob, content);
    let tree = [b"100644 staged\0", blob.id.as_slice()].concat();
    let tree = object(ObjectFormat::Sha1, ObjectKind::Tree, tree);
    let ids = [blob.id, tree.id];
    let main = RefName::branch("main");
    let after = Workspace::clean(Some(main), repo.snapshot().head(), tree.id, Time(1));
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
    block_on(repo.publish(change)).unwrap();
    ids
}

/// Makes a reality of `repo` as it is.
fn make_reality(node: &Node, repo: &Arc<Repository>, name: &str) {
    let proposal = MakeRealities {
        batch: RealityBatch {
            keys: node.engine.reality_keys(),
            names: RealityNames::Listed([name.into()].into()),
            parent: None,
            base: 0,
            head: RefName::branch("main"),
            tip: None,
            oid: repo.snapshot().head(),
            in_memory: false,
            expires_at: None,
        },
        of_now: true,
        limit: 1000,
        cause: cause(CauseKind::RealityCreated),
    };
    block_on(repo.publish(proposal)).unwrap();
}

fn discard(node: &Node, repo: &Arc<Repository>, name: &str) {
    let reality = node.engine.reality(repo, name).unwrap();
    let range = RealityRange {
        made: reality.id.made,
        first: reality.id.index,
        count: 1,
    };
    let change = Change {
        objects: NewObjects::default(),
        edits: vec![Edit::Reality(RealityEdit::Discarded([range].into()))],
        cause: cause(CauseKind::RealityDiscarded),
    };
    let discarded = block_on(repo.publish(change)).unwrap();
    node.engine
        .realities_changed(repo, &discarded.entry.unwrap());
}

/// The realities of a repository that are there.
fn realities(node: &Node, repo: &Arc<Repository>) -> Vec<Arc<Repository>> {
    let open = |reality: &Reality| reality.fate == Fate::Open;
    let all = node.engine.realities(repo, None, 1000, open);
    let opened = all.iter();
    opened
        .map(|reality| node.engine.reality_repository(reality, true).unwrap())
        .collect()
}

/// Reads all that a state reaches, object by object.
fn read_all(repo: &Repository, at: Option<Seq>) -> HashSet<ObjectId> {
    let refs = match at {
        None => repo.snapshot().refs.clone(),
        Some(seq) => repo.refs_at(Moment::Seq(seq)).unwrap().unwrap().refs,
    };
    let set = repo.pool().closure(&refs.objects(), &[]).unwrap();
    let ids: HashSet<ObjectId> = set.ids().collect();
    for id in &ids {
        repo.pool().get(id).unwrap();
    }
    ids
}

/// Every state that may be asked for is there as a whole.
fn check_kept(repo: &Repository) {
    let first = repo.floor().map_or(0, |floor| floor.seq);
    for seq in first..=repo.snapshot().seq {
        read_all(repo, Some(seq));
    }
    for (_, workspace) in repo.snapshot().workspaces.iter() {
        for id in workspace.roots() {
            repo.pool().closure(&[id], &[]).unwrap();
        }
    }
}

#[test]
fn a_secret_on_a_deleted_branch_is_gone_from_the_disk_after_retention() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(Arc::new(RealDisk::new(folder.path()).unwrap()));
    let repo = node.create("hello");
    let first = push(&repo, "main", "one", None);
    let secret = push(&repo, "oops", "TOP SECRET", Some(first.commit));
    let deleted = delete(&repo, "oops");
    let second = push(&repo, "main", "two", Some(first.commit));
    let (key, before) = (repo.key(), repo.snapshot().seq);
    assert_eq!(node.collect(), 0, "nothing is old");
    assert!(node.has_bytes("TOP SECRET"));

    node.pass(30 * DAY);
    let third = push(&repo, "main", "three", Some(second.commit));
    assert_eq!(node.collect(), 0);
    assert_eq!(repo.floor(), None);
    read_all(&repo, Some(deleted - 1));

    // The state with which those ninety days began is kept, the ones before it are not.
    node.pass(61 * DAY);
    assert_eq!(node.collect(), 3);
    assert_eq!(repo.floor().unwrap().seq, before);
    let packed = node.packed();
    for id in secret.all() {
        assert!(!packed.contains(&id) && !repo.pool().contains(&id));
        assert!(repo.pool().find(&id).unwrap().is_none());
    }
    assert!(!node.has_bytes("TOP SECRET"));
    for made in [first, second, third] {
        assert!(made.all().iter().all(|id| packed.contains(id)));
    }
    assert!(repo.refs_at(Moment::Seq(deleted)).unwrap().is_none());
    assert_eq!(read_all(&repo, Some(before)).len(), 6);
    let told = repo.entries(None, 10).unwrap();
    assert_eq!(told.len(), 1, "what led to the oldest state is over");
    check_kept(&repo);

    drop(repo);
    let node = node.restart();
    let repo = node.get("hello");
    assert_eq!(repo.floor().unwrap().seq, before);
    assert_eq!(repo.key(), key);
    check_kept(&repo);
    assert_eq!(node.collect(), 0);
    // Whoever had it brings it back, and all goes on.
    push(&repo, "again", "TOP SECRET", Some(third.commit));
    node.store.checkpoint_all().unwrap();
    let bare = folder.path().join("hello.git");
    git(&bare, &["fsck", "--strict", "--no-dangling"]);
    assert_eq!(git(&bare, &["rev-list", "--count", "main"]).trim(), "3");
    drop(repo);
    let node = node.restart();
    check_kept(&node.get("hello"));
}

#[test]
fn what_a_fork_has_stays_for_it_and_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(Arc::new(RealDisk::new(folder.path()).unwrap()));
    let repo = node.create("parent");
    let first = push(&repo, "main", "one", None);
    let kept = push(&repo, "topic", "the fork has it", Some(first.commit));
    let own = push(&repo, "mine", "nobody has it", Some(first.commit));
    delete(&repo, "mine");
    node.store.checkpoint_all().unwrap();
    let fork = node.fork(&repo, "fork");
    delete(&repo, "topic");
    node.pass(91 * DAY);
    push(&repo, "main", "two", Some(first.commit));
    assert_eq!(node.collect(), 3);
    let packed = node.packed();
    assert!(kept.all().iter().all(|id| packed.contains(id)));
    assert!(own.all().iter().all(|id| !packed.contains(id)));
    for bare in ["parent.git", "fork.git"] {
        git(&folder.path().join(bare), &["fsck", "--strict"]);
    }
    // Both have the same files.
    let names = |bare: &str| {
        let folder = folder.path().join(bare).join("objects/pack");
        let names = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert!(
        names("fork.git")
            .iter()
            .all(|name| names("parent.git").contains(name))
    );

    // The parent goes: what only it had goes with it.
    drop(repo);
    let parent = node.get("parent");
    let now = Time(node.clock.0.load(Ordering::Relaxed));
    let delete = node.engine.update(
        &parent,
        move |record| record.deleted_at = Some(now),
        |_: &govc_engine::Pending<'_>| Ok(()),
        Vec::new(),
        cause(CauseKind::RepoDeleted),
        false,
    );
    block_on(delete).unwrap();
    drop(parent);
    assert!(node.store.purge_due(&node.engine).is_empty());
    node.pass(6 * DAY);
    assert!(node.store.purge_due(&node.engine).is_empty());
    assert!(node.engine.deleted("parent").is_some());
    node.pass(DAY);
    assert_eq!(node.store.purge_due(&node.engine).len(), 1);
    assert!(node.engine.deleted("parent").is_none());
    assert!(!folder.path().join("parent.git").exists());
    node.collect();
    check_kept(&fork);
    assert!(kept.all().iter().all(|id| node.packed().contains(id)));
    assert!(!node.has_bytes("nobody has it"));
    drop(fork);
    let node = node.restart();
    assert!(node.engine.deleted("parent").is_none());
    check_kept(&node.get("fork"));
    git(&folder.path().join("fork.git"), &["fsck", "--strict"]);
}

#[test]
fn a_discarded_reality_is_kept_for_a_day() {
    let node = node(Arc::new(SimDisk::new(3)));
    let repo = node.create("hello");
    push(&repo, "main", "one", None);
    make_reality(&node, &repo, "try");
    let own = {
        let reality = &realities(&node, &repo)[0];
        let tip = reality.snapshot().head();
        push(reality, "main", "only here", tip)
    };
    node.store.checkpoint_all().unwrap();
    discard(&node, &repo, "try");
    assert_eq!(node.collect(), 0);
    drop(repo);
    node.pass(DAY / 2);
    let node = node.restart();
    assert_eq!(node.collect(), 0);
    assert!(own.all().iter().all(|id| node.packed().contains(id)));
    node.pass(DAY / 2);
    assert_eq!(node.collect(), 3);
    assert!(own.all().iter().all(|id| !node.packed().contains(id)));
    assert!(!node.has_bytes("only here"));
    check_kept(&node.get("hello"));
    let node = node.restart();
    check_kept(&node.get("hello"));
}

#[test]
fn whoever_writes_meanwhile_loses_nothing() {
    let node = node(Arc::new(SimDisk::new(11)));
    let repo = node.create("hello");
    let first = push(&repo, "main", "one", None);
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut gone = 0;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut random = Random(5);
            for number in 0..400 {
                let branch = ["a", "b", "c"][random.below(3) as usize];
                let content = format!("content {}", random.below(40));
                let tip = repo
                    .snapshot()
                    .refs
                    .resolve(RefName::branch(branch).as_bytes());
                match random.below(6) {
                    0 if tip.is_some() => drop(delete(&repo, branch)),
                    1 => drop(push(&repo, branch, &content, Some(first.commit))),
                    2 => drop(stage(&repo, "default", &content)),
                    3 => node.store.checkpoint_all().unwrap(),
                    _ => {
                        let parent = tip.or(Some(first.commit));
                        push(&repo, branch, &format!("{content} {number}"), parent);
                    }
                }
                read_all(&repo, None);
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) && !writer.is_finished() {
            node.pass(DAY);
            gone += node.collect();
        }
    });
    node.pass(91 * DAY);
    gone += node.collect();
    assert!(gone > 50, "only {gone} objects went");
    check_kept(&repo);
    drop(repo);
    let node = node.restart();
    check_kept(&node.get("hello"));
}

#[test]
fn what_was_staged_and_replaced_goes_and_what_is_staged_stays() {
    let node = node(Arc::new(SimDisk::new(7)));
    let repo = node.create("hello");
    push(&repo, "main", "one", None);
    let old = stage(&repo, "default", "the first try");
    node.store.checkpoint_all().unwrap();
    let new = stage(&repo, "default", "the second try");
    assert_eq!(node.collect(), 2);
    let packed = node.packed();
    assert!(old.iter().all(|id| !packed.contains(id)));
    assert!(new.iter().all(|id| packed.contains(id)));
    drop(repo);
    let node = node.restart();
    check_kept(&node.get("hello"));
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

/// A random history, in which days pass. Gives what was ever made.
fn live(node: &Node, random: &mut Random, changes: u64) -> Vec<Made> {
    let mut made = Vec::new();
    let mut forks = 0;
    let mut tips: BTreeMap<(String, String), ObjectId> = BTreeMap::new();
    node.create("r0");
    for number in 0..changes {
        let repo_name = format!("r{}", random.below(1 + forks));
        let repo = node.get(&repo_name);
        let branch = ["main", "a", "b"][random.below(3) as usize];
        let tip = repo
            .snapshot()
            .refs
            .resolve(RefName::branch(branch).as_bytes());
        let content = format!("content {}", random.below(changes));
        match random.below(12) {
            0 if tip.is_some() && branch != "main" => {
                delete(&repo, branch);
                tips.remove(&(repo_name, branch.to_owned()));
            }
            1 => {
                stage(
                    &repo,
                    ["default", "other"][random.below(2) as usize],
                    &content,
                );
            }
            2 if forks < 2 => {
                forks += 1;
                node.fork(&repo, &format!("r{forks}"));
            }
            3 => node.pass(random.below(40) as i64 * DAY),
            4 => {
                let _ = node.store.checkpoint(repo.key());
            }
            5 => {
                let _ = node.store.compact(repo.key());
            }
            6 | 7 => {
                // A forced push.
                let parent = made.get(random.below(1 + made.len() as u64) as usize);
                let parent = parent
                    .filter(|made: &&Made| repo.visibility().sees(&made.commit).unwrap())
                    .map(|made| made.commit);
                made.push(push(&repo, branch, &format!("{content} {number}"), parent));
            }
            8 => make_reality(node, &repo, &format!("x{number}")),
            9 => {
                let all = realities(node, &repo);
                let Some(reality) = all.get(random.below(1 + all.len() as u64) as usize) else {
                    continue;
                };
                let name = reality.reality().unwrap().name.clone();
                if random.below(3) == 0 {
                    discard(node, &repo, &name);
                } else {
                    let tip = reality.snapshot().refs.resolve(b"refs/heads/main");
                    push(reality, "main", &format!("{content} in {name}"), tip);
                    stage(reality, "default", &format!("{content} staged in {name}"));
                }
            }
            _ => made.push(push(&repo, branch, &content, tip)),
        }
    }
    made
}

/// All that any state which is kept reaches, of all repositories.
fn all_kept(node: &Node) -> HashSet<ObjectId> {
    let mut all = HashSet::new();
    for repo in node
        .engine
        .all()
        .into_iter()
        .filter_map(govc_engine::Found::here)
    {
        for repo in realities(node, &repo).iter().chain([&repo]) {
            check_kept(repo);
            let first = repo.floor().map_or(0, |floor| floor.seq);
            for seq in first..=repo.snapshot().seq {
                all.extend(read_all(repo, Some(seq)));
            }
            for (_, workspace) in repo.snapshot().workspaces.iter() {
                for id in workspace.roots() {
                    all.extend(repo.pool().closure(&[id], &[]).unwrap().ids());
                }
            }
        }
    }
    all
}

#[test]
fn after_a_collection_exactly_what_is_kept_is_on_the_disk() {
    let mut gone = 0;
    let seeds = std::env::var("GOVC_SIM_SEEDS").ok();
    let seeds = seeds.and_then(|text| text.parse().ok()).unwrap_or(24);
    for seed in 0..seeds {
        let mut random = Random(seed);
        let node = node(Arc::new(SimDisk::new(seed)));
        let made = live(&node, &mut random, 60);
        node.pass(random.below(100) as i64 * DAY);
        gone += node.collect();
        // What was discarded is kept for a day.
        node.pass(DAY);
        gone += node.collect();
        node.store.checkpoint_all().unwrap();
        let kept = all_kept(&node);
        let packed = node.packed();
        assert!(kept.is_subset(&packed), "seed {seed}: something is lost");
        let too_much: Vec<_> = packed.difference(&kept).collect();
        assert_eq!(too_much, Vec::<&ObjectId>::new(), "seed {seed}");
        let commits = made.iter().filter(|made| !kept.contains(&made.commit));
        for made in commits {
            assert!(!packed.contains(&made.commit), "seed {seed}");
        }
        let again = node.restart();
        assert_eq!(all_kept(&again), kept, "seed {seed}");
        assert_eq!(again.collect(), 0, "seed {seed}");
    }
    assert!(gone > 100, "only {gone} objects went");
}

#[test]
fn a_collection_may_be_killed_at_any_operation_of_the_disk() {
    let mut crashes = 0;
    for seed in 0..6 {
        let mut at = 1;
        loop {
            let mut random = Random(seed);
            let disk = SimDisk::new(seed);
            let node = node(Arc::new(disk.clone()));
            live(&node, &mut random, 30);
            node.store.checkpoint_all().unwrap();
            node.pass(70 * DAY);
            let states: Vec<(String, Seq)> = node
                .engine
                .all()
                .into_iter()
                .map(|found| (found.record().id.to_string(), found.seq()))
                .collect();
            disk.crash_after(at);
            for family in node.store.families_to_collect(&node.engine) {
                let _ = node.store.collect(&node.engine, family);
            }
            let survived = !disk.is_off();
            let Node {
                clock,
                keys,
                store,
                engine,
                ..
            } = node;
            engine.shut_down();
            drop((engine, store));
            disk.crash();
            let node = open(Arc::new(disk.clone()), clock, keys).unwrap();
            for (id, seq) in states {
                assert_eq!(node.get(&id).snapshot().seq, seq, "seed {seed}, at {at}");
            }
            all_kept(&node);
            node.collect();
            node.pass(DAY);
            node.collect();
            node.store.checkpoint_all().unwrap();
            let kept = all_kept(&node);
            let packed = node.packed();
            let too_much: Vec<_> = packed.difference(&kept).collect();
            assert_eq!(too_much, Vec::<&ObjectId>::new(), "seed {seed}, at {at}");
            assert!(kept.is_subset(&packed), "seed {seed}, at {at}");
            crashes += 1;
            if survived {
                break;
            }
            // Not each of them, or it takes long.
            at += 1 + at / 12;
        }
    }
    assert!(crashes > 100, "only {crashes} crashes");
}

#[test]
fn a_fork_has_all_in_memory_when_what_it_was_forked_from_goes() {
    let node = node(Arc::new(SimDisk::new(5)));
    let parent = node.create("parent");
    let first = push(&parent, "main", "one", None);
    make_reality(&node, &parent, "x");
    let reality = realities(&node, &parent).remove(0);
    push(&reality, "main", "in the reality", Some(first.commit));
    // Nothing of it was saved yet.
    let fork = node.fork(&parent, "fork");
    let of_reality = node.fork(&reality, "of-reality");
    let heads = [fork.snapshot().head(), of_reality.snapshot().head()];
    assert_ne!(heads[0], heads[1]);
    drop(reality);
    discard(&node, &parent, "x");
    let now = Time(node.clock.0.load(Ordering::Relaxed));
    let delete = node.engine.update(
        &parent,
        move |record| record.deleted_at = Some(now),
        |_: &govc_engine::Pending<'_>| Ok(()),
        Vec::new(),
        cause(CauseKind::RepoDeleted),
        false,
    );
    block_on(delete).unwrap();
    drop(parent);
    node.pass(8 * DAY);
    assert_eq!(node.store.purge_due(&node.engine).len(), 1);
    node.pass(2 * DAY);
    node.collect();
    for fork in [&fork, &of_reality] {
        check_kept(fork);
    }
    drop((fork, of_reality));
    let node = node.restart();
    for (id, head) in ["fork", "of-reality"].iter().zip(heads) {
        let fork = node.get(id);
        assert_eq!(fork.snapshot().head(), head);
        check_kept(&fork);
    }
}
