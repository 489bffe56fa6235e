//! Many packs become few, and nothing is missing: to us, and to git.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use govc_engine::journal::{PackBytes, PackId, Packs};
use govc_engine::{Clock, Storage, Time};
use govc_git::ObjectFormat;
use govc_git::pack::{Pack, PackIndex, PackWriter};
use govc_store::{Checkpointed, CompactionOptions, Disk, RealDisk, Store, StoreOptions};
use support::*;

fn with_git(is_used: bool) -> StoreOptions {
    StoreOptions {
        compaction: CompactionOptions {
            git: is_used.then(|| "git".into()),
            grace: Duration::ZERO,
            ..CompactionOptions::default()
        },
        storage: Storage::Hybrid,
        ..options()
    }
}

fn open(root: &Path, options: &StoreOptions) -> Arc<Store> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root).unwrap());
    let (store, recovered) = Store::open(disk, options.clone()).unwrap();
    assert_eq!(
        (recovered.stopped, recovered.notes),
        (vec![], Vec::<String>::new())
    );
    assert!(recovered.repositories.iter().all(|r| r.damage.is_none()));
    store
}

/// All objects that git finds in the directory.
fn objects(dir: &Path) -> String {
    let format = "--batch-check=%(objectname) %(objecttype) %(objectsize)";
    git(dir, &["cat-file", "--batch-all-objects", format])
}

fn packs(dir: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(dir.join("objects/pack")).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// So many checkpoints of one commit each.
fn commits(store: &Store, repo: &mut Model, count: usize) {
    for n in 0..count {
        let content = format!("{}{n}", "a line of a file\n".repeat(50));
        append(store, vec![repo.commit("main", &content)]).unwrap();
        store.checkpoint(repo.key).unwrap();
    }
}

fn check(format: ObjectFormat, by_git: bool) {
    let root = tempfile::tempdir().unwrap();
    let options = with_git(by_git);
    let store = open(root.path(), &options);
    let mut repo = Model::with_format(1, "hello", format);
    append(&store, vec![repo.make()]).unwrap();
    commits(&store, &mut repo, 25);
    let dir = root.path().join("hello.git");
    let before = objects(&dir);
    assert_eq!(packs(&dir).len(), 50);

    let done = store.compact(repo.key).unwrap().unwrap();
    assert_eq!((done.packs_before, done.packs_after), (25, 1));
    assert_eq!(done.by_git, by_git);
    assert_eq!(packs(&dir).len(), 2, "{:?}", packs(&dir));
    assert_eq!(objects(&dir), before);
    git(&dir, &["fsck", "--strict", "--full"]);
    assert_eq!(git_refs(&dir), refs_text(&repo.refs));
    assert_eq!(
        store.compact(repo.key).unwrap(),
        None,
        "one pack is few enough"
    );

    // Later packs are merged by themselves while they are small beside the first.
    commits(&store, &mut repo, 3);
    let done = store.compact(repo.key).unwrap().unwrap();
    assert_eq!(done.packs_before, 4);
    let before = objects(&dir);
    store.close().unwrap();
    drop(store);
    let store = open(root.path(), &options);
    assert_eq!(objects(&dir), before);
    git(&dir, &["fsck", "--strict", "--full"]);
    store.close().unwrap();
}

#[test]
fn git_merges_packs_and_finds_deltas() {
    check(ObjectFormat::Sha1, true);
}

#[test]
fn without_git_entries_are_merged_as_they_are() {
    check(ObjectFormat::Sha1, false);
}

#[test]
fn packs_of_sha256_are_merged_too() {
    check(ObjectFormat::Sha256, true);
    check(ObjectFormat::Sha256, false);
}

#[test]
fn a_fork_keeps_what_its_parent_merged_away() {
    let root = tempfile::tempdir().unwrap();
    let options = with_git(true);
    let store = open(root.path(), &options);
    let mut parent = Model::new(1, "parent");
    append(&store, vec![parent.make()]).unwrap();
    commits(&store, &mut parent, 5);
    let (mut early, made) = Model::fork(&parent, 2, "early");
    append(&store, vec![made]).unwrap();
    store.checkpoint(early.key).unwrap();
    let (late, made) = Model::fork(&parent, 3, "late");
    append(&store, vec![made]).unwrap();
    store.compact(parent.key).unwrap().unwrap();
    commits(&store, &mut early, 2);
    store.checkpoint_all().unwrap();
    for repo in [&parent, &early, &late] {
        let dir = root.path().join(format!("{}.git", repo.record.id));
        git(&dir, &["fsck", "--strict", "--full"]);
        assert_eq!(git_refs(&dir), refs_text(&repo.refs));
    }
    assert_eq!(packs(&root.path().join("late.git")).len(), 2);
    drop(store);
    open(root.path(), &options).close().unwrap();
}

/// Says whether it was told of a compaction while the old files were there.
struct Told {
    dir: std::path::PathBuf,
    well: AtomicBool,
}

impl Checkpointed for Told {
    fn packed(&self, _: govc_engine::RepoKey, _: (u64, u32), _: Option<(PackId, PackBytes)>) {}

    fn compacted(&self, _: govc_engine::RepoKey, old: &[PackId], new: (PackId, PackBytes)) {
        let there = |id: &PackId| {
            self.dir
                .join(format!("objects/pack/pack-{}.pack", id.0))
                .exists()
        };
        let index = PackIndex::parse(new.1.index.clone(), new.0.0.kind()).unwrap();
        Pack::new(new.0.0, new.1.pack.clone(), index).unwrap();
        let well = there(&new.0) && old.iter().all(there);
        self.well.store(well, Ordering::Relaxed);
    }
}

#[test]
fn who_listens_is_told_before_the_old_packs_go() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path(), &with_git(false));
    let told = Arc::new(Told {
        dir: root.path().join("hello.git"),
        well: AtomicBool::new(false),
    });
    store.listen(Arc::clone(&told) as Arc<dyn Checkpointed>);
    let mut repo = Model::new(1, "hello");
    append(&store, vec![repo.make()]).unwrap();
    commits(&store, &mut repo, 3);
    store.compact(repo.key).unwrap().unwrap();
    assert!(told.well.load(Ordering::Relaxed));
}

/// A pack of one blob, and its index.
fn pack_of(content: &str) -> (PackId, (Vec<u8>, Vec<u8>)) {
    let mut writer = PackWriter::new(Vec::new(), ObjectFormat::Sha1, 1).unwrap();
    let blob = object(ObjectFormat::Sha1, govc_git::ObjectKind::Blob, content);
    writer
        .whole(&blob.id, blob.kind, content.as_bytes(), 1)
        .unwrap();
    let written = writer.finish().unwrap();
    let index = written.entries.write_index(&written.checksum);
    (PackId(written.checksum), (written.out, index))
}

#[test]
fn a_pack_that_is_pushed_once_more_is_not_removed() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path(), &with_git(false));
    let mut repo = Model::new(1, "hello");
    append(&store, vec![repo.make()]).unwrap();
    commits(&store, &mut repo, 2);
    let (id, (bytes, index)) = pack_of("pushed");
    let key = repo.key;
    let keep = || {
        let mut spool = Packs::receive(&*store, key).unwrap();
        spool.write(&bytes).unwrap();
        spool.keep(id, &index).unwrap();
    };
    keep();
    let mut entry = (*repo.commit("main", "with a pack")).clone();
    entry.objects.packs.push(id);
    append(&store, vec![Arc::new(entry)]).unwrap();
    // It arrives again, and no entry names it yet when the one that is listed is merged.
    keep();
    store.compact(repo.key).unwrap().unwrap();
    Packs::open(&*store, repo.key, id).unwrap();
    // Without the second push being accepted it goes.
    Packs::remove(&*store, repo.key, id).unwrap();
    assert!(Packs::open(&*store, repo.key, id).is_err());
    git(
        &root.path().join("hello.git"),
        &["fsck", "--strict", "--full"],
    );
}

/// A clock that is set by hand.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn merged_packs_stay_for_a_grace_over_restarts_and_go_then() {
    const GRACE: Duration = Duration::from_secs(60);
    const SECOND: i64 = 1_000_000;
    let root = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand(AtomicI64::new(0)));
    let mut options = with_git(false);
    options.compaction.grace = GRACE;
    options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let pass = |seconds: i64| clock.0.fetch_add(seconds * SECOND, Ordering::Relaxed);
    let mut store = open(root.path(), &options);
    let mut repo = Model::new(1, "hello");
    append(&store, vec![repo.make()]).unwrap();
    commits(&store, &mut repo, 3);
    let dir = root.path().join("hello.git");
    let before = packs(&dir);
    let done = store.compact(repo.key).unwrap().unwrap();
    assert_eq!((done.packs_before, done.packs_after), (3, 1));
    assert!(packs(&dir).is_superset(&before));
    assert_eq!(packs(&dir).len(), before.len() + 2);

    let again = |store: Arc<Store>| {
        store.close().unwrap();
        drop(store);
        open(root.path(), &options)
    };
    store = again(store);
    assert_eq!(store.compact(repo.key).unwrap(), None, "there is one pack");
    commits(&store, &mut repo, 1);
    pass(59);
    store.remove_replaced();
    assert!(packs(&dir).is_superset(&before));
    store = again(store);
    // Half of one is gone already, as when the server was killed in the middle.
    let half = before.iter().find(|name| name.ends_with(".idx")).unwrap();
    std::fs::remove_file(dir.join("objects/pack").join(half)).unwrap();
    pass(1);
    store.remove_replaced();
    assert_eq!(packs(&dir).len(), 4, "{:?}", packs(&dir));
    assert!(packs(&dir).is_disjoint(&before));
    commits(&store, &mut repo, 1);
    store = again(store);
    git(&dir, &["fsck", "--strict", "--full"]);
    assert_eq!(git_refs(&dir), refs_text(&repo.refs));
    assert_eq!(packs(&dir).len(), 6, "{:?}", packs(&dir));
    store.close().unwrap();
}

#[test]
fn a_merged_pack_that_is_listed_again_stays() {
    let root = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand(AtomicI64::new(0)));
    let mut options = with_git(false);
    options.compaction.grace = Duration::from_secs(60);
    options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let store = open(root.path(), &options);
    let mut repo = Model::new(1, "hello");
    append(&store, vec![repo.make()]).unwrap();
    commits(&store, &mut repo, 2);
    let (id, written) = pack_of("pushed");
    let key = repo.key;
    let push = |store: &Store, repo: &mut Model| {
        let mut spool = Packs::receive(store, key).unwrap();
        spool.write(&written.0).unwrap();
        spool.keep(id, &written.1).unwrap();
        let mut entry = (*repo.commit("main", "with a pack")).clone();
        entry.objects.packs.push(id);
        append(store, vec![Arc::new(entry)]).unwrap();
    };
    push(&store, &mut repo);
    store.compact(key).unwrap().unwrap();
    push(&store, &mut repo);
    store.checkpoint(key).unwrap();
    clock.0.store(i64::MAX, Ordering::Relaxed);
    store.remove_replaced();
    Packs::open(&*store, key, id).unwrap();
    drop(store);
    let store = open(root.path(), &options);
    store.remove_replaced();
    Packs::open(&*store, key, id).unwrap();
}

#[test]
fn a_damaged_pack_is_not_merged() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path(), &with_git(false));
    let mut repo = Model::new(1, "hello");
    append(&store, vec![repo.make()]).unwrap();
    commits(&store, &mut repo, 3);
    let dir = root.path().join("hello.git");
    let before = packs(&dir);
    let some = before.iter().find(|name| name.ends_with(".pack")).unwrap();
    let path = dir.join("objects/pack").join(some);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    store.compact(repo.key).unwrap_err();
    assert_eq!(packs(&dir), before);
}
