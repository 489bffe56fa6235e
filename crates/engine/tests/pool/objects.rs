//! Objects: found as git finds them, and taken in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use govc_engine::pool::{GraphSource, Pool, PoolError, PoolLimits};
use govc_engine::{NewObject, ObjectBody};
use govc_git::object::tree;
use govc_git::object_id::hash_object;
use govc_git::pack::delta;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use proptest::prelude::*;

use crate::kit::{Dice, Git, random_history, read_pack};

#[test]
fn every_object_is_what_git_says() {
    for (seed, format) in [(1, ObjectFormat::Sha1), (2, ObjectFormat::Sha256)] {
        let git = Git::new(format);
        git.import(&random_history(git.format, seed, 80));
        let pool = git.pool();
        for id in git.all_objects() {
            let object = pool.get(&id).unwrap();
            assert_eq!(hash_object(format, object.kind, &object.data), Ok(id));
            let header = pool.header(&id).unwrap();
            assert_eq!(header, Some((object.kind, object.data.len() as u64)));
            assert!(pool.contains(&id));
            let hex = id.to_string();
            let abbreviations = git.run(&["rev-parse", &format!("--disambiguate={}", &hex[..5])]);
            let found = pool.candidates(&hex[..5], 100);
            assert_eq!(found.len(), abbreviations.lines().count());
            assert!(found.contains(&id));
        }
        let nothing = ObjectId::null(format);
        assert_eq!(pool.find(&nothing).unwrap(), None);
        assert!(!pool.contains(&nothing));
    }
}

fn new_object(kind: ObjectKind, data: &[u8]) -> NewObject {
    NewObject {
        id: hash_object(ObjectFormat::Sha1, kind, data).unwrap(),
        kind,
        body: ObjectBody::Whole(data.to_vec().into()),
    }
}

/// A folder of `files` files.
fn folder(files: usize) -> Vec<u8> {
    let mut data = Vec::new();
    for file in 0..files {
        let id = hash_object(ObjectFormat::Sha1, ObjectKind::Blob, &file.to_le_bytes()).unwrap();
        tree::write_entry(
            &mut data,
            tree::MODE_FILE,
            format!("file-{file:05}").as_bytes(),
            &id,
        );
    }
    data
}

/// What some edits of a folder made.
struct Edits {
    pool: Arc<Pool>,
    trees: Vec<(ObjectId, Vec<u8>)>,
    bytes_each: u64,
}

/// Edits one file after the other in a folder, each tree as a delta of the one before.
fn edits(files: usize, count: usize) -> Edits {
    let limits = PoolLimits {
        read_cache_bytes: 0,
        ..PoolLimits::default()
    };
    let pool = Pool::new(ObjectFormat::Sha1, limits);
    let mut data = folder(files);
    let first = new_object(ObjectKind::Tree, &data);
    let mut base = first.id;
    pool.insert(&[first]).unwrap();
    let before = pool.stats().memory_bytes;
    let mut trees = Vec::new();
    for edit in 0..count {
        let name = format!("file-{:05}", edit * 7919 % files);
        let blob = edit.to_be_bytes();
        let id = hash_object(ObjectFormat::Sha1, ObjectKind::Blob, &blob).unwrap();
        let found = tree::find_entry(&data, ObjectFormat::Sha1, name.as_bytes()).unwrap();
        let (_, range) = found.unwrap();
        let mut entry = Vec::new();
        tree::write_entry(&mut entry, tree::MODE_FILE, name.as_bytes(), &id);
        let step = delta::splice(data.len(), range.clone(), &entry);
        data.splice(range, entry);
        let id = hash_object(ObjectFormat::Sha1, ObjectKind::Tree, &data).unwrap();
        let body = ObjectBody::Delta {
            base,
            delta: step.into(),
        };
        pool.insert(&[NewObject {
            id,
            kind: ObjectKind::Tree,
            body,
        }])
        .unwrap();
        trees.push((id, data.clone()));
        base = id;
    }
    let bytes_each = (pool.stats().memory_bytes - before) / count as u64;
    Edits {
        pool,
        trees,
        bytes_each,
    }
}

#[test]
fn a_tree_is_what_its_deltas_make_however_many_they_are() {
    let Edits { pool, trees, .. } = edits(100, 5_000);
    for (at, (id, data)) in trees.iter().enumerate() {
        assert!(pool.delta_depth(id) <= 32, "edit {at}");
        assert_eq!(pool.get(id).unwrap().data, data, "edit {at}");
        assert_eq!(
            pool.header(id).unwrap(),
            Some((ObjectKind::Tree, data.len() as u64))
        );
    }
}

#[test]
fn memory_of_an_edit_does_not_grow_with_the_folder() {
    let small = edits(100, 1_000).bytes_each;
    let large = edits(3_000, 1_000).bytes_each;
    assert!(
        large < small + 300,
        "{small} bytes in a folder of 100, {large} in one of 3,000"
    );
}

#[test]
fn a_refused_change_takes_back_only_its_own() {
    let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
    let shared = new_object(ObjectKind::Blob, b"shared");
    let own = new_object(ObjectKind::Blob, b"own");
    let large = new_object(ObjectKind::Blob, &[7; 100_000]);
    pool.insert(std::slice::from_ref(&shared)).unwrap();
    pool.insert(&[shared.clone(), own.clone(), large.clone()])
        .unwrap();
    assert_eq!(pool.get(&large.id).unwrap().data.len(), 100_000);
    pool.forget(&[shared.id, own.id, large.id]);
    assert!(pool.contains(&shared.id));
    assert!(!pool.contains(&own.id));
    assert_eq!(pool.find(&large.id).unwrap(), None);
    pool.forget(&[shared.id]);
    assert_eq!(pool.stats().objects, 0);
}

#[test]
fn a_delta_of_nothing_is_refused_and_leaves_nothing() {
    let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
    let blob = new_object(ObjectKind::Blob, b"before it");
    let nothing = ObjectId::null(ObjectFormat::Sha1);
    let orphan = NewObject {
        id: new_object(ObjectKind::Blob, b"orphan").id,
        kind: ObjectKind::Blob,
        body: ObjectBody::Delta {
            base: nothing,
            delta: vec![0, 0].into(),
        },
    };
    let refused = pool.insert(&[blob, orphan]);
    assert!(matches!(refused, Err(PoolError::BaseMissing { base, .. }) if base == nothing));
    assert_eq!(pool.stats().objects, 0);
}

#[test]
fn hot_objects_leave_when_a_pack_has_them() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 1, 40));
    let source = git.pool();
    let pool = Pool::new(git.format, PoolLimits::default());
    let all = git.all_objects();
    let objects: Vec<_> = all
        .iter()
        .map(|id| {
            let object = source.get(id).unwrap();
            NewObject {
                id: *id,
                kind: object.kind,
                body: ObjectBody::Whole(object.data),
            }
        })
        .collect();
    pool.insert(&objects).unwrap();
    assert_eq!(
        pool.graph().len() as usize,
        git.ids(&["rev-list", "--all"]).len()
    );
    pool.packed(&all);
    assert!(pool.hot_body(&all[0]).is_some(), "no pack has it yet");
    let (id, bytes) = read_pack(&git.pack_files()[0]);
    pool.add_pack(id, bytes, GraphSource::Commits(Vec::new()))
        .unwrap();
    pool.packed(&all);
    assert!(all.iter().all(|id| pool.hot_body(id).is_none()));
    for id in &all {
        assert_eq!(pool.get(id).unwrap(), source.get(id).unwrap());
    }
}

#[test]
fn damage_is_told_and_goes_no_further() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 1, 40));
    git.run(&["repack", "-adq", "--depth=0"]);
    let (id, mut bytes) = read_pack(&git.pack_files()[0]);
    let victim = git.id("b0:d0");
    let index = govc_git::pack::PackIndex::parse(bytes.index.clone(), git.format).unwrap();
    let offset = index.offset(index.lookup(&victim).unwrap()) as usize;
    let mut damaged = bytes.pack.to_vec();
    damaged[offset + 6] ^= 0xff;
    bytes.pack = damaged.into();
    let pool = Pool::new(git.format, PoolLimits::default());
    pool.add_pack(id, bytes, GraphSource::Scan).unwrap();
    for object in git.all_objects() {
        match pool.find(&object) {
            Ok(found) => assert!(found.is_some() && object != victim),
            Err(PoolError::Damaged {
                id: damaged, pack, ..
            }) => {
                assert_eq!((damaged, pack), (victim, Some(id)));
                assert_eq!(object, victim);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

proptest! {
    #[test]
    fn holders_are_counted_as_a_plain_map_counts_them(steps in prop::collection::vec((any::<bool>(), 0usize..6), 1..60)) {
        let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
        // Small ones and one that is kept apart.
        let blobs: Vec<_> = (0..6).map(|n| new_object(ObjectKind::Blob, &vec![n as u8; 1 + n * 600])).collect();
        let mut held = [0u32; 6];
        for (takes, blob) in steps {
            if takes {
                pool.insert(std::slice::from_ref(&blobs[blob])).unwrap();
                held[blob] += 1;
            } else {
                pool.forget(&[blobs[blob].id]);
                held[blob] = held[blob].saturating_sub(1);
            }
            for (blob, held) in blobs.iter().zip(held) {
                let found = pool.find(&blob.id).unwrap().map(|object| ObjectBody::Whole(object.data));
                prop_assert_eq!(found, (held > 0).then(|| blob.body.clone()));
                prop_assert_eq!(pool.contains(&blob.id), held > 0);
            }
            prop_assert_eq!(pool.stats().objects, held.iter().filter(|&&held| held > 0).count() as u64);
        }
    }
}

#[test]
fn readers_find_whole_trees_while_others_are_taken_in() {
    let source = edits(60, 1_500);
    let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
    pool.insert(&[new_object(ObjectKind::Tree, &folder(60))])
        .unwrap();
    let first = new_object(ObjectKind::Tree, &folder(60)).id;
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (pool, trees, done) = (&pool, &source.trees, &done);
            scope.spawn(move || {
                let mut dice = Dice(reader);
                loop {
                    let count = done.load(Ordering::Acquire);
                    if count > 0 {
                        let (id, data) = &trees[dice.roll(count as u64) as usize];
                        assert_eq!(pool.get(id).unwrap().data, data);
                    }
                    if count == trees.len() {
                        break;
                    }
                }
            });
        }
        let mut base = first;
        let mut before = folder(60);
        for (id, data) in &source.trees {
            let step = delta::between(&before, data).into();
            let body = ObjectBody::Delta { base, delta: step };
            pool.insert(&[NewObject {
                id: *id,
                kind: ObjectKind::Tree,
                body,
            }])
            .unwrap();
            done.fetch_add(1, Ordering::Release);
            (base, before) = (*id, data.clone());
        }
    });
}
