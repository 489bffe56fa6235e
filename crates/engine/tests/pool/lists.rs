//! Lists that are made, half made, read again, stale: what is seen is the same with all of them.

use std::collections::HashSet;
use std::sync::Arc;

use govc_engine::journal::PackId;
use govc_engine::pool::{
    GraphSource, ListBuilder, ListsToRead, Pool, PoolLimits, SavedLists, Visibility,
};
use govc_git::{ObjectFormat, ObjectId};

use crate::kit::{Git, random_history, read_pack};

/// What git says that each of these is: names, and all that they reach.
struct Expected {
    all: Vec<ObjectId>,
    of: Vec<(ObjectId, HashSet<ObjectId>)>,
}

impl Expected {
    fn of(git: &Git) -> Expected {
        let names = ["b0", "b1", "b2", "b0~3", "b1~2"];
        let reach = |name: &str| {
            let ids = git.ids(&["rev-list", "--objects", name]);
            (git.id(name), ids.into_iter().collect())
        };
        Expected {
            all: git.all_objects(),
            of: names.into_iter().map(reach).collect(),
        }
    }

    /// Asks `pool` for everything, as each of the names sees it; the others are what a deleted
    /// branch or a sibling fork has.
    fn check(&self, pool: &Arc<Pool>, when: &str) {
        for (root, expected) in &self.of {
            let visibility = Visibility::new(Arc::clone(pool), vec![*root]);
            for id in &self.all {
                let sees = visibility.sees(id).unwrap();
                assert_eq!(sees, expected.contains(id), "{id} from {root}, {when}");
            }
        }
    }
}

/// A history in two packs, an older part and the rest.
fn in_two_packs(format: ObjectFormat, seed: u64) -> Git {
    let git = Git::new(format);
    git.import(&random_history(format, seed, 80));
    let old = git.run_with(
        &["pack-objects", "-q", "--revs", "objects/pack/pack"],
        format!("{}\n", git.id("b0~4")).as_bytes(),
    );
    git.run(&["repack", "-dq"]);
    assert!(git.pack_files().len() >= 2, "{old}");
    git
}

fn make_all(pool: &Arc<Pool>) {
    while ListBuilder::new(Arc::clone(pool)).build(|| false) {}
    assert!(!pool.lacks_lists());
}

fn saved(pool: &Pool) -> SavedLists {
    pool.save_lists(&pool.packs(), &[]).unwrap()
}

fn use_lists(pool: &Pool, lists: &SavedLists) {
    let lists = lists.clone();
    pool.use_saved_lists(ListsToRead::new(move || Some(lists.clone())));
}

#[test]
fn half_made_lists_show_what_is_reached_and_no_more() {
    for (seed, format) in [(71, ObjectFormat::Sha1), (72, ObjectFormat::Sha256)] {
        let git = in_two_packs(format, seed);
        let expected = Expected::of(&git);
        for share in [1, 7, 40] {
            let pool = git.pool_as_is();
            let mut left = share;
            if share > 0 {
                ListBuilder::new(Arc::clone(&pool)).build(|| {
                    left -= 1;
                    left == 0
                });
            }
            expected.check(&pool, &format!("after {share} lists"));
        }
    }
}

#[test]
fn made_lists_are_what_git_says() {
    let git = in_two_packs(ObjectFormat::Sha1, 73);
    let (pool, plain) = (git.pool_as_is(), git.pool_as_is());
    make_all(&pool);
    assert_eq!(pool.unsaved_lists(), pool.graph().len());
    for n in (0..pool.graph().len()).map(govc_engine::pool::CommitNumber) {
        let made: HashSet<_> = pool.introduced(n).unwrap().iter().copied().collect();
        let id = pool.graph().id(n);
        let asked = plain.introduced(plain.graph().number(&id).unwrap());
        assert_eq!(made, asked.unwrap().iter().copied().collect());
    }
    // What comes later is made later, and the rest not again.
    git.import(&format!(
        "commit refs/heads/b0\ncommitter C <c@e> 2000000000 +0000\ndata 0\nfrom {}\n\
         M 100644 inline brand-new\ndata 3\nnew\n",
        git.id("b0")
    ));
    git.run(&["repack", "-dq"]);
    for file in git.pack_files() {
        let (id, bytes) = read_pack(&file);
        if !pool.packs().contains(&id) {
            pool.add_pack(id, bytes, GraphSource::Scan).unwrap();
        }
    }
    let mut made = 0;
    ListBuilder::new(Arc::clone(&pool)).build(|| {
        made += 1;
        false
    });
    assert_eq!(made, 1);
    Expected::of(&git).check(&pool, "one commit later");
}

#[test]
fn saved_lists_serve_another_run() {
    for (seed, format) in [(74, ObjectFormat::Sha1), (75, ObjectFormat::Sha256)] {
        let git = in_two_packs(format, seed);
        let expected = Expected::of(&git);
        let pool = git.pool_as_is();
        make_all(&pool);
        let lists = saved(&pool);
        assert_eq!(lists.commits.len(), pool.graph().len() as usize);
        assert_eq!(pool.unsaved_lists(), 0);

        let again = git.pool_as_is();
        use_lists(&again, &lists);
        expected.check(&again, "as they were read");
        assert_eq!(again.unsaved_lists(), 0);
        make_all(&again);
        assert_eq!(saved(&again), lists, "the same is saved again");
        expected.check(&again, "read, and looked through");
    }
}

#[test]
fn lists_of_other_packs_say_nothing() {
    let git = in_two_packs(ObjectFormat::Sha1, 76);
    let expected = Expected::of(&git);
    let pool = git.pool_as_is();
    make_all(&pool);
    let lists = saved(&pool);
    let count = lists.commits.len();

    // Lists that speak of a pack that has gone, of one with another number of objects, of places
    // beyond it, of commits that nobody knows; and lists that end where none begins.
    let mut gone = lists.clone();
    gone.packs[1].0 = PackId(ObjectId::null(git.format));
    let mut grown = lists.clone();
    grown.packs[0].1 += 1;
    let mut beyond = lists.clone();
    beyond.objects.iter_mut().for_each(|at| *at += 1_000_000);
    let mut unknown = lists.clone();
    unknown.commits.fill(ObjectId::null(git.format));
    let mut torn = lists.clone();
    torn.ends
        .iter_mut()
        .skip(count / 2)
        .for_each(|end| *end += 7);
    torn.objects.truncate(lists.objects.len() / 2);
    torn.ends.truncate(count / 2);
    for (what, lists) in [
        ("of a pack that has gone", gone),
        ("of a pack that grew", grown),
        ("of places beyond", beyond),
        ("of unknown commits", unknown),
        ("torn", torn),
    ] {
        let pool = git.pool_as_is();
        use_lists(&pool, &lists);
        expected.check(&pool, what);
        make_all(&pool);
        expected.check(&pool, what);
    }
}

#[test]
fn lists_outlive_a_compaction() {
    let git = in_two_packs(ObjectFormat::Sha1, 77);
    let expected = Expected::of(&git);
    let pool = git.pool_as_is();
    make_all(&pool);
    let old = pool.packs();
    git.run(&["repack", "-adq"]);
    let (id, bytes) = read_pack(&git.pack_files()[0]);
    pool.add_pack(id, bytes, GraphSource::Commits(Vec::new()))
        .unwrap();
    for pack in old {
        pool.remove_pack(pack);
        expected.check(&pool, "in the middle of it");
    }
    assert!(!pool.lacks_lists(), "nothing is made again");
    assert_eq!(pool.unsaved_lists(), pool.graph().len(), "but saved");
    let lists = saved(&pool);
    assert_eq!(lists.packs.len(), 1);
    let again = git.pool_as_is();
    use_lists(&again, &lists);
    expected.check(&again, "after a start");
    assert_eq!(again.unsaved_lists(), 0);
}

#[test]
fn what_was_refused_and_comes_back_is_seen() {
    let git = in_two_packs(ObjectFormat::Sha1, 78);
    let expected = Expected::of(&git);
    let pool = git.pool_as_is();
    let files = git.pack_files();
    for file in &files {
        let (id, bytes) = read_pack(file);
        make_all(&pool);
        // The pack of a push that is refused after its lists were made.
        pool.remove_pack(id);
        pool.add_pack(id, bytes, GraphSource::Scan).unwrap();
        expected.check(&pool, "when it had come again");
    }
    make_all(&pool);
    expected.check(&pool, "in the end");
}

#[test]
fn a_whole_pack_is_seen_by_who_sees_its_sources() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 79, 60));
    git.run(&["repack", "-adq"]);
    let expected = Expected::of(&git);
    let pool = Pool::new(git.format, PoolLimits::default());
    let (id, bytes) = read_pack(&git.pack_files()[0]);
    pool.add_pack(id, bytes, GraphSource::Scan).unwrap();
    let named: HashSet<ObjectId> = git
        .ids(&["rev-list", "--all", "--parents"])
        .into_iter()
        .collect();
    assert_eq!(named.len(), pool.graph().len() as usize);
    pool.note_sources(id, git.ref_targets());
    let everything = Visibility::new(Arc::clone(&pool), git.ref_targets());
    assert!(expected.all.iter().all(|id| everything.sees(id).unwrap()));
    assert_eq!(pool.unsaved_lists(), 0, "no list was made for it");
    let later = everything.advance(vec![git.id("b0")], govc_engine::pool::Moves::Any);
    let (_, of_b0) = &expected.of[0];
    for id in &expected.all {
        assert_eq!(later.sees(id).unwrap(), of_b0.contains(id));
    }
    expected.check(&pool, "of parts of it");
}
