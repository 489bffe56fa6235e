//! Packs that no entry names: a refused push takes nothing from another one that brought the same.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_executor::block_on;
use govc_engine::journal::memory::{MemoryJournal, MemoryPacks};
use govc_engine::journal::{PackBytes, PackId, PackSpool, Packs};
use govc_engine::pool::PoolLimits;
use govc_engine::{
    Cause, CauseKind, Clock, Engine, EngineParts, INLINE_BYTES_MAX, NewObject, NewObjects,
    NewRepository, ObjectBody, Quarantined, RefName, RepoId, RepoKey, Repository, Storage, Time,
    Via,
};
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Something that happens once, as soon as a pack was kept.
type Afterwards = Arc<Mutex<Option<Quarantined>>>;

/// Packs in memory; right after the next one was kept a push that was refused is over.
#[derive(Default)]
struct RefusedMeanwhile {
    packs: MemoryPacks,
    refused: Afterwards,
}

impl Packs for RefusedMeanwhile {
    fn receive(&self, repo: RepoKey) -> io::Result<Box<dyn PackSpool>> {
        let spool = self.packs.receive(repo)?;
        let refused = Arc::clone(&self.refused);
        Ok(Box::new(Spool { spool, refused }))
    }

    fn open(&self, repo: RepoKey, pack: PackId) -> io::Result<PackBytes> {
        self.packs.open(repo, pack)
    }

    fn remove(&self, repo: RepoKey, pack: PackId) -> io::Result<()> {
        self.packs.remove(repo, pack)
    }
}

struct Spool {
    spool: Box<dyn PackSpool>,
    refused: Afterwards,
}

impl PackSpool for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.spool.write(bytes)
    }

    fn len(&self) -> u64 {
        self.spool.len()
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.spool.write_at(offset, bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.spool.truncate(len)
    }

    fn bytes(&mut self) -> io::Result<Bytes> {
        self.spool.bytes()
    }

    fn keep(self: Box<Self>, pack: PackId, index: &[u8]) -> io::Result<PackBytes> {
        let kept = self.spool.keep(pack, index)?;
        drop(self.refused.lock().unwrap().take());
        Ok(kept)
    }
}

fn engine(packs: Arc<dyn Packs>) -> Arc<Engine> {
    let keys = AtomicU64::new(1);
    Engine::new(EngineParts {
        journal: Arc::new(MemoryJournal::default()),
        packs,
        clock: Arc::new(Ticks(AtomicI64::new(1_000_000))),
        new_key: Arc::new(move || {
            let mut key = [0; 16];
            key[8..].copy_from_slice(&keys.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            RepoKey(key)
        }),
        turn_threads: 1,
        pool_limits: PoolLimits::default(),
    })
    .unwrap()
}

fn cause() -> Cause {
    Cause {
        kind: CauseKind::RepoCreated,
        actor: "ada".into(),
        via: Via::Rest,
        request_id: "r1".into(),
        reason: None,
        idempotency: None,
    }
}

fn make(engine: &Engine) -> Arc<Repository> {
    let new = NewRepository {
        id: RepoId::parse("parent").unwrap(),
        description: String::new(),
        default_branch: RefName::branch("main"),
        storage: Storage::Hybrid,
        object_format: ObjectFormat::Sha1,
        expires_at: None,
    };
    block_on(engine.create(new, cause(), false)).unwrap().0
}

/// A blob that is too large for an entry.
fn large() -> (ObjectId, NewObjects) {
    let data = vec![b'x'; INLINE_BYTES_MAX + 1];
    let id = hash_object(ObjectFormat::Sha1, ObjectKind::Blob, &data).unwrap();
    let object = NewObject {
        id,
        kind: ObjectKind::Blob,
        body: ObjectBody::Whole(data.into()),
    };
    let objects = NewObjects {
        inline: vec![object],
        packs: Vec::new(),
    };
    (id, objects)
}

fn bring(repository: &Arc<Repository>) -> Quarantined {
    let (_, mut objects) = large();
    repository.put_aside(&mut objects).unwrap().unwrap()
}

#[test]
fn a_fork_keeps_what_its_parent_was_refused() {
    let engine = engine(Arc::new(MemoryPacks::default()));
    let parent = make(&engine);
    let child = RepoId::parse("child").unwrap();
    let forked = engine.fork(&parent, child, None, cause(), false);
    let child = block_on(forked).unwrap().0;
    let (id, _) = large();
    for first in [&parent, &child] {
        let other = if Arc::ptr_eq(first, &parent) {
            &child
        } else {
            &parent
        };
        let (refused, held) = (bring(first), bring(other));
        let pack = held.pack();
        assert_eq!(refused.pack(), pack);
        drop(refused);
        assert!(parent.pool().contains(&id));
        assert!(other.packs().open(other.key(), pack).is_ok());
        assert!(first.packs().open(first.key(), pack).is_err());
        drop(held);
        assert!(!parent.pool().contains(&id));
        assert!(other.packs().open(other.key(), pack).is_err());
    }
}

#[test]
fn a_push_that_is_refused_while_the_same_pack_is_kept_takes_nothing_from_it() {
    let packs = Arc::new(RefusedMeanwhile::default());
    let refused = Arc::clone(&packs.refused);
    let engine = engine(packs);
    let repository = make(&engine);
    let (id, _) = large();
    let first = bring(&repository);
    *refused.lock().unwrap() = Some(first);
    let second = bring(&repository);
    assert!(refused.lock().unwrap().is_none(), "the first push is over");
    let opened = repository.packs().open(repository.key(), second.pack());
    assert!(opened.is_ok(), "{opened:?}");
    assert!(repository.pool().contains(&id));
    drop(second);
    assert!(!repository.pool().contains(&id));
}
