//! What a fetch sends, beside `git rev-list --objects`; and that git takes it.

use std::collections::HashSet;
use std::sync::Arc;

use govc_engine::pool::{GraphSource, ListBuilder, ObjectSet, PackOptions, Pool, PoolLimits};
use govc_engine::{NewObject, ObjectBody};
use govc_git::object::tree;
use govc_git::object_id::hash_object;
use govc_git::pack::delta;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

use crate::kit::{Dice, Git, random_history, read_pack};

const WHOLE: PackOptions = PackOptions {
    thin: false,
    ofs_delta: true,
};

fn bytes_of(pool: &Arc<Pool>, set: &ObjectSet, options: PackOptions) -> Vec<u8> {
    let mut stream = pool.pack_stream(set.clone(), options).unwrap();
    let mut all = Vec::new();
    for piece in &mut stream {
        let piece = piece.unwrap();
        assert!(!piece.is_empty() && piece.len() <= 1 << 20);
        all.extend_from_slice(&piece);
    }
    assert_eq!(stream.sent(), stream.len());
    all
}

/// What `git rev-list --objects ARGS` lists: exactly what is reachable.
fn reachable(git: &Git, args: &[&str]) -> HashSet<ObjectId> {
    git.ids(&[&["rev-list", "--objects"], args].concat())
        .into_iter()
        .collect()
}

/// An empty repository that takes a pack in.
fn receiver(pack: &[u8], format: ObjectFormat) -> Git {
    let git = Git::new(format);
    git.run_with(&["index-pack", "--strict", "--stdin"], pack);
    git
}

#[test]
fn a_clone_gets_what_its_refs_reach_and_nothing_else() {
    for (seed, format) in [(11, ObjectFormat::Sha1), (12, ObjectFormat::Sha256)] {
        let git = Git::new(format);
        git.import(&random_history(format, seed, 120));
        let pool = git.pool();
        for refs in [vec!["b0"], vec!["b1", "v1"], vec!["--all"]] {
            let wants = match refs[0] {
                "--all" => git.ref_targets(),
                _ => refs.iter().map(|name| git.id(name)).collect(),
            };
            let set = pool.closure(&wants, &[]).unwrap();
            let expected = reachable(&git, &refs);
            let ids: Vec<_> = set.ids().collect();
            assert_eq!(ids.len(), set.len());
            assert_eq!(
                ids.iter().copied().collect::<HashSet<_>>(),
                expected,
                "{refs:?}"
            );
            assert!(
                git.all_objects()
                    .iter()
                    .all(|id| set.contains(id) == expected.contains(id))
            );

            for options in [WHOLE, PackOptions::default()] {
                let other = receiver(&bytes_of(&pool, &set, options), format);
                assert_eq!(other.all_objects().len(), expected.len());
                for want in &wants {
                    other.run(&["update-ref", &format!("refs/x/{want}"), &want.to_string()]);
                }
                other.run(&["fsck", "--strict", "--no-dangling"]);
            }
        }
        // The whole pack goes out as it is.
        let set = pool.closure(&git.ref_targets(), &[]).unwrap();
        let file = std::fs::read(&git.pack_files()[0]).unwrap();
        assert!(bytes_of(&pool, &set, WHOLE) == file);
    }
}

/// Who pushes what is there already brings it once more: then it is in two packs.
#[test]
fn what_is_in_several_packs_is_sent_once() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 15, 120));
    let commits = git.ids(&["rev-list", "--all"]);
    let pool = Pool::new(git.format, PoolLimits::default());
    // Each has all of the one before again; what is known of that was noted there.
    for newest in [&commits[100], &commits[80], &commits[50], &commits[0]] {
        let args = ["pack-objects", "-q", "--revs", "pack"];
        let name = git.run_with(&args, format!("{newest}\n").as_bytes());
        let file = git.path().join(format!("pack-{}.pack", name.trim()));
        let (id, bytes) = read_pack(&file);
        pool.add_pack(id, bytes, GraphSource::Scan).unwrap();
        while ListBuilder::new(Arc::clone(&pool)).build(|| false) {}
    }
    let here = git.ids(&["rev-list", &commits[0].to_string()]);
    let mut dice = Dice(15);
    for turn in 0..40 {
        let mut some = || here[dice.roll(here.len() as u64) as usize];
        let (want, have) = (some(), some());
        let haves: &[ObjectId] = if turn % 2 == 0 { &[] } else { &[have] };
        let set = pool.closure(&[want], haves).unwrap();
        let ids: Vec<_> = set.ids().collect();
        let different: HashSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), different.len(), "{want} {haves:?}");
        assert_eq!(ids.len(), set.len());
        if haves.is_empty() {
            assert_eq!(ids.len(), reachable(&git, &[&want.to_string()]).len());
            receiver(&bytes_of(&pool, &set, WHOLE), git.format);
        }
    }
}

#[test]
fn a_fetch_gets_what_it_lacks() {
    for (seed, format) in [(13, ObjectFormat::Sha1), (14, ObjectFormat::Sha256)] {
        let git = Git::new(format);
        git.import(&random_history(format, seed, 120));
        let pool = git.pool();
        if seed == 13 {
            // Then deltas of whatever the client has are sent as they are.
            while ListBuilder::new(Arc::clone(&pool)).build(|| false) {}
        }
        let commits = git.ids(&["rev-list", "--all"]);
        let mut dice = Dice(seed);
        for _ in 0..25 {
            let mut some = || commits[dice.roll(commits.len() as u64) as usize];
            let (have, want, want_too) = (some(), some(), some());
            let unknown = ObjectId::null(format);
            let set = pool.closure(&[want, want_too], &[have, unknown]).unwrap();
            let not_have = format!("^{have}");
            let (want, want_too) = (want.to_string(), want_too.to_string());
            let lacks = reachable(&git, &[&want, &want_too, &not_have]);
            let all = reachable(&git, &[&want, &want_too]);
            let had = reachable(&git, &[&have.to_string()]);
            let sent: HashSet<_> = set.ids().collect();
            assert!(sent.is_subset(&all), "only what was wanted");
            for id in all.difference(&had) {
                assert!(
                    sent.contains(id),
                    "{id} is missing for {want} {want_too} {not_have}"
                );
            }
            // Contents that come back are sent again where nobody knows yet who brought them;
            // commits never are.
            let again = sent.intersection(&had).count();
            let again_max = if seed == 13 { 0 } else { lacks.len() / 2 + 8 };
            assert!(again <= again_max, "{again} for {}", lacks.len());

            // The client has just what it says.
            let had_set = pool.closure(&[have], &[]).unwrap();
            for thin in [true, false] {
                let client = receiver(&bytes_of(&pool, &had_set, WHOLE), format);
                let options = PackOptions {
                    thin,
                    ofs_delta: dice.roll(2) == 0,
                };
                let pack = bytes_of(&pool, &set, options);
                let mut args = vec!["index-pack", "--stdin"];
                if thin {
                    args.push("--fix-thin");
                }
                client.run_with(&args, &pack);
                client.run(&["update-ref", "refs/x/1", &want]);
                client.run(&["update-ref", "refs/x/2", &want_too]);
                client.run(&["fsck", "--strict", "--no-dangling"]);
            }
        }
    }
}

#[test]
fn objects_can_be_wanted_one_by_one_and_tags_included() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 15, 60));
    let pool = git.pool();
    let blob = git.ids(&[
        "rev-list",
        "--objects",
        "--filter=object:type=blob",
        "--filter-provided-objects",
        "b0",
    ])[0];
    let set = pool.closure(&[blob], &[]).unwrap();
    assert_eq!(set.ids().collect::<Vec<_>>(), [blob]);

    let folder = git.id("b0^{tree}");
    let set = pool.closure(&[folder], &[]).unwrap();
    assert_eq!(
        set.ids().collect::<HashSet<_>>(),
        reachable(&git, &[&folder.to_string()])
    );

    let tag = git.id("v1");
    let tagged = git.id("v1^{commit}");
    let mut set = pool.closure(&[tagged], &[]).unwrap();
    assert!(!set.contains(&tag));
    pool.include_tags(&mut set, &[tag]).unwrap();
    assert!(set.contains(&tag));
    let mut set = pool.closure(&[tagged], &[tagged]).unwrap();
    pool.include_tags(&mut set, &[tag]).unwrap();
    assert!(set.is_empty());
    assert!(pool.closure(&[ObjectId::null(git.format)], &[]).is_err());
    let pack = bytes_of(&pool, &set, WHOLE);
    assert_eq!(receiver(&pack, git.format).all_objects().len(), 0);
}

/// Commits made here: one file of a folder changed by each, trees as deltas.
struct Here {
    pool: Arc<Pool>,
    folder: Vec<u8>,
    tree: Option<ObjectId>,
    tip: Option<ObjectId>,
    all: Vec<ObjectId>,
}

impl Here {
    fn new(files: usize) -> Here {
        let mut folder = Vec::new();
        let id = hash_object(ObjectFormat::Sha1, ObjectKind::Blob, b"").unwrap();
        for file in 0..files {
            tree::write_entry(
                &mut folder,
                tree::MODE_FILE,
                format!("f{file:04}").as_bytes(),
                &id,
            );
        }
        let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
        Here {
            pool,
            folder,
            tree: None,
            tip: None,
            all: Vec::new(),
        }
    }

    fn commit(&mut self, number: usize) -> ObjectId {
        let object = |kind, data: Vec<u8>| NewObject {
            id: hash_object(ObjectFormat::Sha1, kind, &data).unwrap(),
            kind,
            body: ObjectBody::Whole(data.into()),
        };
        let mut objects = vec![object(
            ObjectKind::Blob,
            format!("content {number}").into_bytes(),
        )];
        if self.tip.is_none() {
            objects.push(object(ObjectKind::Blob, Vec::new()));
        }
        let name = format!("f{:04}", number * 7 % 200);
        let found = tree::find_entry(&self.folder, ObjectFormat::Sha1, name.as_bytes()).unwrap();
        let (_, range) = found.unwrap();
        let mut entry = Vec::new();
        tree::write_entry(&mut entry, tree::MODE_FILE, name.as_bytes(), &objects[0].id);
        let step = delta::splice(self.folder.len(), range.clone(), &entry);
        self.folder.splice(range, entry);
        let mut new_tree = object(ObjectKind::Tree, self.folder.clone());
        if let Some(base) = self.tree {
            new_tree.body = ObjectBody::Delta {
                base,
                delta: step.into(),
            };
        }
        let parent = self
            .tip
            .map_or(String::new(), |id| format!("parent {id}\n"));
        let text = format!(
            "tree {}\n{parent}author A <a@b.c> {number} +0000\ncommitter A <a@b.c> {number} +0000\n\nnumber {number}\n",
            new_tree.id
        );
        self.tree = Some(new_tree.id);
        objects.push(new_tree);
        objects.push(object(ObjectKind::Commit, text.into_bytes()));
        self.pool.insert(&objects).unwrap();
        self.all.extend(objects.iter().map(|object| object.id));
        self.tip = objects.last().map(|object| object.id);
        self.tip.unwrap()
    }
}

#[test]
fn commits_made_here_are_sent_as_the_deltas_that_they_are() {
    let mut here = Here::new(200);
    let commits: Vec<_> = (1..=100).map(|number| here.commit(number)).collect();
    let pool = here.pool.clone();
    let all = pool.closure(&[commits[99]], &[]).unwrap();
    assert_eq!(
        all.ids().collect::<HashSet<_>>(),
        here.all.iter().copied().collect()
    );
    let pack = bytes_of(&pool, &all, WHOLE);
    assert!(
        pack.len() < 60_000,
        "{} bytes for 100 trees of 7 KB",
        pack.len()
    );
    let git = receiver(&pack, ObjectFormat::Sha1);
    git.run(&["update-ref", "refs/heads/main", &commits[99].to_string()]);
    git.run(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(git.run(&["rev-list", "--count", "main"]).trim(), "100");

    // Whichever commit a client has, what it lacks is small.
    let mut client = Vec::new();
    for number in 0..99 {
        client.push(commits[number]);
        let set = pool
            .closure(&[commits[number + 1]], &client[number..])
            .unwrap();
        assert_eq!(set.len(), 3);
        let thin = bytes_of(
            &pool,
            &set,
            PackOptions {
                thin: true,
                ofs_delta: true,
            },
        );
        assert!(thin.len() < 600, "{} bytes for commit {number}", thin.len());
    }
    let base = pool.closure(&[commits[40]], &[]).unwrap();
    let client = receiver(&bytes_of(&pool, &base, WHOLE), ObjectFormat::Sha1);
    let set = pool.closure(&[commits[71]], &[commits[40]]).unwrap();
    let thin = bytes_of(
        &pool,
        &set,
        PackOptions {
            thin: true,
            ofs_delta: false,
        },
    );
    client.run_with(&["index-pack", "--stdin", "--fix-thin"], &thin);
    client.run(&["update-ref", "refs/heads/main", &commits[71].to_string()]);
    client.run(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn packs_and_hot_objects_go_out_together() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 19, 60));
    git.run(&["repack", "-adq"]);
    let old = git.id("b0");
    let pool = git.pool_as_is();
    // More history, as git would make it, comes in as new objects.
    let more = random_history(git.format, 21, 40).replace("refs/heads/b", "refs/heads/c");
    git.import(&more.replace("tag v1", "tag v2"));
    let known: HashSet<_> = git
        .ids(&["rev-list", "--objects", "b0"])
        .into_iter()
        .collect();
    let new: Vec<_> = git
        .all_objects()
        .into_iter()
        .filter(|id| !known.contains(id))
        .collect();
    let absent: Vec<_> = new
        .iter()
        .copied()
        .filter(|id| !pool.contains(id))
        .collect();
    pool.insert(&git.new_objects(&absent)).unwrap();
    let set = pool.closure(&git.ref_targets(), &[]).unwrap();
    assert_eq!(
        set.ids().collect::<HashSet<_>>(),
        reachable(&git, &["--all"])
    );
    let client = receiver(&bytes_of(&pool, &set, WHOLE), git.format);
    assert_eq!(client.all_objects().len(), set.len());
    let set = pool.closure(&git.ref_targets(), &[old]).unwrap();
    let expected = reachable(&git, &["--all", &format!("^{old}")]);
    // Git sends some that came back; of packed ones we know it.
    let had = reachable(&git, &[&old.to_string()]);
    let sent: HashSet<_> = set.ids().collect();
    assert!(expected.difference(&had).all(|id| sent.contains(id)));
}
