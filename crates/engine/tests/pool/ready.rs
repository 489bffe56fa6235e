//! Packs that are made once and sent to many.

use std::sync::Arc;

use bytes::Bytes;
use govc_engine::pool::{ObjectSet, PackOptions, PackStream, Pool, PoolLimits};
use govc_engine::{NewObject, ObjectBody};
use govc_git::object::tree;
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

use crate::kit::{Dice, Git, random_history};

const OFS: PackOptions = PackOptions {
    thin: false,
    ofs_delta: true,
};

fn rest_of(stream: &mut PackStream) -> Vec<u8> {
    stream
        .map(|piece| piece.unwrap())
        .collect::<Vec<Bytes>>()
        .concat()
}

fn pack_of(pool: &Arc<Pool>, set: &ObjectSet, options: PackOptions) -> Vec<u8> {
    rest_of(&mut pool.pack_stream(set.clone(), options).unwrap())
}

/// What git finds in a pack that stands alone.
fn objects_of(pack: &[u8], format: ObjectFormat) -> Vec<ObjectId> {
    let git = Git::new(format);
    git.run_with(&["index-pack", "--strict", "--stdin"], pack);
    git.all_objects()
}

#[test]
fn whoever_comes_whenever_gets_the_same_bytes() {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let git = Git::new(format);
        git.import(&random_history(format, 31, 90));
        let pool = git.pool();
        let set = pool.closure(&[git.id("b1")], &[]).unwrap();
        for options in [OFS, PackOptions::default()] {
            let mut first = pool.pack_stream(set.clone(), options).unwrap();
            assert_eq!(first.bytes(), None, "nobody has made it yet");
            let mut begun = first.next().unwrap().unwrap().to_vec();
            let racing: Vec<Vec<u8>> = std::thread::scope(|scope| {
                let one = || scope.spawn(|| pack_of(&pool, &set, options));
                let all = [one(), one(), one()];
                all.map(|one| one.join().unwrap()).into()
            });
            begun.extend(rest_of(&mut first));
            assert_eq!(
                (first.sent(), first.len() as usize),
                (first.len(), set.len())
            );
            assert!(racing.iter().all(|pack| *pack == begun));
            let mut late = pool.pack_stream(set.clone(), options).unwrap();
            assert_eq!(late.bytes(), Some(begun.len() as u64));
            let mut made = Vec::new();
            while let Some(piece) = late.next_made() {
                made.extend_from_slice(&piece);
            }
            assert!(made == begun && late.next().is_none());
            let mut expected: Vec<ObjectId> = set.ids().collect();
            expected.sort_unstable();
            assert_eq!(objects_of(&begun, format), expected);
        }
    }
}

fn object(kind: ObjectKind, data: Vec<u8>) -> NewObject {
    NewObject {
        id: hash_object(ObjectFormat::Sha1, kind, &data).unwrap(),
        kind,
        body: ObjectBody::Whole(data.into()),
    }
}

/// A commit of these files behind `parent`.
fn commit(pool: &Pool, parent: Option<ObjectId>, files: &[(String, Vec<u8>)]) -> ObjectId {
    let mut objects = Vec::new();
    let mut folder = Vec::new();
    for (name, data) in files {
        let blob = object(ObjectKind::Blob, data.clone());
        tree::write_entry(&mut folder, tree::MODE_FILE, name.as_bytes(), &blob.id);
        objects.push(blob);
    }
    let folder = object(ObjectKind::Tree, folder);
    let parent = parent.map_or(String::new(), |id| format!("parent {id}\n"));
    let text = format!(
        "tree {}\n{parent}author A <a@b.c> 1 +0000\ncommitter A <a@b.c> 1 +0000\n\nchange\n",
        folder.id
    );
    objects.push(folder);
    let commit = object(ObjectKind::Commit, text.into_bytes());
    let id = commit.id;
    objects.push(commit);
    pool.insert(&objects).unwrap();
    id
}

#[test]
fn a_change_adds_to_what_was_made_before_it() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 33, 200));
    let pool = git.pool();
    let mut tip = git.id("b0");
    let mut before: Option<Vec<u8>> = None;
    for number in 0..4 {
        let set = pool.closure(&[tip], &[]).unwrap();
        assert!(set.len() > 200, "enough to be shared");
        let pack = pack_of(&pool, &set, OFS);
        let mut expected: Vec<ObjectId> = set.ids().collect();
        expected.sort_unstable();
        assert_eq!(objects_of(&pack, git.format), expected);
        if let Some(before) = before {
            // All but the header and the trailer.
            let entries = &before[12..before.len() - 20];
            assert!(pack[12..].starts_with(entries), "{number}");
        }
        before = Some(pack);
        let file = ("f".to_owned(), format!("{number}\n").into_bytes());
        tip = commit(&pool, Some(tip), &[file]);
    }
}

#[test]
fn what_is_too_much_to_keep_is_made_by_everybody_anew() {
    let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
    let mut dice = Dice(35);
    // Nothing deflates them: each is as large in the pack.
    let files: Vec<(String, Vec<u8>)> = (0..420)
        .map(|file| {
            let words = (0..1 << 14).flat_map(|_| dice.roll(u64::MAX).to_be_bytes());
            (format!("f{file:03}"), words.collect())
        })
        .collect();
    let tip = commit(&pool, None, &files);
    let set = pool.closure(&[tip], &[]).unwrap();
    let mut slow = pool.pack_stream(set.clone(), OFS).unwrap();
    let mut begun = slow.next().unwrap().unwrap().to_vec();
    let memory = pool.stats().memory_bytes;
    let fast = pack_of(&pool, &set, OFS);
    assert!(fast.len() > 52 << 20);
    let kept = pool.stats().memory_bytes - memory;
    assert!(kept < 50 << 20, "{kept} bytes are kept");
    begun.extend(rest_of(&mut slow));
    assert!(begun == fast && pack_of(&pool, &set, OFS) == fast);
    assert_eq!(objects_of(&fast, ObjectFormat::Sha1).len(), set.len());
}

#[test]
fn what_lies_between_is_shared_by_those_who_have_the_same() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 37, 200));
    let pool = git.pool();
    let commits = git.ids(&["rev-list", "--first-parent", "b1"]);
    let (have, other) = (commits[commits.len() / 2], commits[commits.len() / 2 + 1]);
    let thin = PackOptions { thin: true, ..OFS };
    let begin = |have: ObjectId, options: PackOptions| {
        let set = pool.closure(&[git.id("b1")], &[have]).unwrap();
        assert!(set.len() >= 128, "few are not worth it: {}", set.len());
        pool.pack_stream(set, options).unwrap()
    };
    let mut first = begin(have, thin);
    assert_eq!(first.bytes(), None);
    let pack = rest_of(&mut first);
    let mut late = begin(have, thin);
    assert_eq!(late.bytes(), Some(pack.len() as u64));
    assert_eq!(rest_of(&mut late), pack);
    assert_eq!(begin(have, OFS).bytes(), None, "not who wants it whole");
    assert_eq!(begin(other, thin).bytes(), None, "nor who has less");
}

#[test]
fn deltas_of_what_is_not_sent_are_made_of_what_is() {
    let git = Git::new(ObjectFormat::Sha1);
    let (versions, lines) = (40, 400);
    let mut stream = String::new();
    for version in 0..versions {
        let line = |n: usize| {
            let changed = if n % versions < version { version } else { 0 };
            format!("line {n} of {changed}: {}\n", n * 7919 % 1009)
        };
        let text: String = (0..lines).map(line).collect();
        stream.push_str(&format!(
            "commit refs/heads/b\ncommitter A <a@b> {version} +0000\ndata 1\nx\n\
             M 100644 inline file\ndata {}\n{text}\n",
            text.len()
        ));
    }
    git.import(&stream);
    git.run(&["repack", "-adfq", "--depth=20"]);
    let pool = git.pool_as_is();
    // In git's pack old ones are deltas of newer ones, which are not in this set.
    let set = pool.closure(&[git.id("b~20")], &[]).unwrap();
    let pack = pack_of(&pool, &set, OFS);
    let mut expected = git.ids(&["rev-list", "--objects", "b~20"]);
    expected.sort_unstable();
    assert_eq!(objects_of(&pack, git.format), expected);
    let one = git
        .run(&["cat-file", "-s", "b:file"])
        .trim()
        .parse::<usize>();
    let one = one.unwrap();
    assert!(pack.len() < 3 * one, "{} of 20 times {one}", pack.len());
}
