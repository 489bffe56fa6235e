//! What partial clones get, beside `git rev-list --filter`.

use std::collections::HashSet;
use std::sync::Arc;

use govc_engine::pool::{ObjectSet, PackOptions, Pool};
use govc_engine::work::{View, filter};
use govc_engine::{RefName, Refs, Target, Time};
use govc_git::wire::filter::FilterSpec;
use govc_git::{ObjectFormat, ObjectId};

use crate::kit::{Dice, Git, random_history};

fn view(git: &Git, pool: Arc<Pool>) -> View {
    let listed = git.run(&["for-each-ref", "--format=%(objectname) %(refname)"]);
    let refs = listed.lines().map(|line| {
        let (hex, name) = line.split_once(' ').unwrap();
        let id = ObjectId::from_hex(hex.as_bytes()).unwrap();
        (RefName::new(name), Target::At(id))
    });
    View::of_refs(pool, Refs::from_entries(refs), 1, Time(0))
}

fn filtered(view: &View, wants: &[ObjectId], haves: &[ObjectId], spec: &str) -> ObjectSet {
    let spec = FilterSpec::parse(spec.as_bytes()).unwrap();
    let filter = filter::resolve(view, &spec).unwrap();
    view.pool.closure_filtered(wants, haves, &filter).unwrap()
}

fn ids(set: &ObjectSet) -> HashSet<ObjectId> {
    let all: HashSet<_> = set.ids().collect();
    assert_eq!(all.len(), set.len(), "each is there once");
    assert!(all.iter().all(|id| set.contains(id)));
    all
}

fn gits(git: &Git, args: &[&str]) -> HashSet<ObjectId> {
    git.ids(&[&["rev-list", "--objects"], args].concat())
        .into_iter()
        .collect()
}

/// A history with sparse specifications of both kinds, tags of all kinds, and a tree at two
/// depths.
fn history(format: ObjectFormat, seed: u64) -> Git {
    let git = Git::new(format);
    let mut stream = random_history(format, seed, 80);
    stream.push_str(
        "commit refs/heads/spec\ncommitter C <c@example.com> 1100000000 +0000\ndata 2\ns\n\
         from refs/heads/b0\n\
         M 100644 inline cone\ndata <<E\n/*\n!/*/\n/d0/\n!/d0/*/\n/d0/e1/\nE\n\
         M 100644 inline loose\ndata <<E\n# names\nf1\n!d2\n*[0-2]\n!**/e2/f0\n\nE\n\
         M 100644 inline top\ndata <<E\ntext 1\nE\n\
         M 100644 inline deep/deep/deep/f9\ndata <<E\ntext 9\nE\n\
         M 100644 inline deep/f9\ndata <<E\ntext 9\nE\n\
         M 100644 inline big\ndata 5000\n",
    );
    stream.push_str(&"0123456789".repeat(500));
    stream.push_str("\n\n");
    git.import(&stream);
    let blob = git.run(&["rev-parse", "spec:cone"]);
    let tree = git.run(&["rev-parse", "spec:deep"]);
    for (name, target) in [("of-blob", blob.trim()), ("of-tree", tree.trim())] {
        git.run(&["tag", "-a", "-m", "x", name, target]);
    }
    git
}

const SPECS: [&str; 17] = [
    "blob:none",
    "blob:limit=0",
    "blob:limit=100",
    "blob:limit=1k",
    "blob:limit=1m",
    "tree:0",
    "tree:1",
    "tree:2",
    "tree:3",
    "tree:9",
    "object:type=commit",
    "object:type=tree",
    "object:type=blob",
    "object:type=tag",
    "sparse:oid=spec:cone",
    "sparse:oid=spec:loose",
    "combine:blob:none+tree:2",
];

#[test]
fn a_partial_clone_gets_what_git_would_send() {
    for (seed, format) in [(31, ObjectFormat::Sha1), (32, ObjectFormat::Sha256)] {
        let git = history(format, seed);
        let view = view(&git, git.pool());
        let wants = git.ref_targets();
        for spec in SPECS {
            let set = filtered(&view, &wants, &[], spec);
            let filter = format!("--filter={spec}");
            assert_eq!(ids(&set), gits(&git, &["--all", &filter]), "{spec}");
            // What is remembered is the same.
            let again = filtered(&view, &wants, &[], spec);
            assert_eq!(ids(&again), ids(&set), "{spec} again");
            let one = [git.id("b1")];
            let set = filtered(&view, &one, &[], spec);
            assert_eq!(ids(&set), gits(&git, &["b1", &filter]), "{spec} of b1");
        }
    }
}

/// git's answer depends on the order of its walk; each filter alone has none.
#[test]
fn combined_filters_let_through_what_all_of_them_do() {
    let git = history(ObjectFormat::Sha1, 33);
    let view = view(&git, git.pool());
    let wants = git.ref_targets();
    for parts in [
        &["tree:3", "blob:limit=100"][..],
        &["sparse:oid=spec:cone", "tree:2"],
        &["sparse:oid=spec:cone", "sparse:oid=spec:loose"],
        &["sparse:oid=spec:loose", "blob:limit=60"],
        &["object:type=blob", "sparse:oid=spec:cone", "tree:4"],
        &["object:type=blob", "object:type=tree"],
    ] {
        let spec = format!("combine:{}", parts.join("+"));
        let ours = ids(&filtered(&view, &wants, &[], &spec));
        let filter = format!("--filter={spec}");
        let by_git = gits(&git, &["--all", &filter]);
        assert!(by_git.is_subset(&ours), "{spec}");
        for part in parts {
            let filter = format!("--filter={part}");
            assert!(
                ours.is_subset(&gits(&git, &["--all", &filter])),
                "{spec}: {part}"
            );
        }
    }
}

#[test]
fn what_is_wanted_by_name_is_sent_whatever_the_filter_says() {
    let git = history(ObjectFormat::Sha1, 34);
    let view = view(&git, git.pool());
    for name in [
        "spec:cone",
        "spec:deep",
        "spec:",
        "of-blob",
        "of-tree",
        "spec",
    ] {
        for spec in SPECS {
            let set = filtered(&view, &[git.id(name)], &[], spec);
            let filter = format!("--filter={spec}");
            // By id: a name with a path would be judged at that path.
            let hex = git.id(name).to_string();
            assert_eq!(
                ids(&set),
                gits(&git, &[&hex, &filter]),
                "{name} with {spec}"
            );
        }
    }
    // A wanted blob is sent even beside a wanted tree that holds it.
    let (tree, blob) = (git.id("spec:"), git.id("spec:big"));
    let set = filtered(&view, &[tree, blob], &[], "blob:none");
    assert!(set.contains(&tree) && set.contains(&blob));
}

#[test]
fn a_partial_clone_fetches_what_is_new() {
    let git = history(ObjectFormat::Sha1, 35);
    let view = view(&git, git.pool());
    let commits = git.ids(&["rev-list", "--all"]);
    let mut dice = Dice(35);
    for round in 0..40 {
        let spec = SPECS[dice.roll(SPECS.len() as u64) as usize];
        let mut some = || commits[dice.roll(commits.len() as u64) as usize];
        let (want, have) = (some(), some());
        let set = filtered(&view, &[want], &[have], spec);
        let filter = format!("--filter={spec}");
        let (want, not_have) = (want.to_string(), format!("^{have}"));
        let needed = gits(&git, &[&want, &not_have, &filter]);
        let all = gits(&git, &[&want, &filter]);
        let sent = ids(&set);
        assert!(needed.is_subset(&sent), "{spec}: {want} {not_have}");
        assert!(sent.is_subset(&all), "{spec}: {want} {not_have}");

        // A thin pack has bases of which the client was sent all.
        let client = Git::new(ObjectFormat::Sha1);
        let had = filtered(&view, &[have], &[], spec);
        for (set, thin) in [(had, false), (set, true)] {
            let options = PackOptions {
                thin,
                ofs_delta: round % 2 == 0,
            };
            let stream = view.pool.pack_stream(set, options).unwrap();
            let pack: Vec<u8> = stream.flat_map(|piece| piece.unwrap()).collect();
            client.run_with(&["index-pack", "--stdin", "--fix-thin"], &pack);
        }
    }
}
