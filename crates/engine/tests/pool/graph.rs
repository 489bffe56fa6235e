//! Walks, beside `git rev-list` and `git merge-base`.

use govc_engine::pool::{CommitNumber, DateWalk, Graph, GraphSource, Pool, PoolLimits};
use govc_git::pack::commit_graph::{CommitList, write_commit_graph};
use govc_git::{ObjectFormat, ObjectId};

use crate::kit::{Dice, Git, random_history, read_pack};

fn number(graph: &Graph, id: &ObjectId) -> CommitNumber {
    graph
        .number(id)
        .unwrap_or_else(|| panic!("{id} is in the graph"))
}

fn some_commits(git: &Git, seed: u64, count: usize) -> Vec<ObjectId> {
    let all = git.ids(&["rev-list", "--all"]);
    let mut dice = Dice(seed);
    (0..count)
        .map(|_| all[dice.roll(all.len() as u64) as usize])
        .collect()
}

fn check_against_git(git: &Git, graph: &Graph, seed: u64) {
    let all = git.ids(&["rev-list", "--all"]);
    assert_eq!(graph.len() as usize, all.len());
    for id in &all {
        let n = number(graph, id);
        assert_eq!(graph.id(n), *id);
        let parents: Vec<_> = graph.parents(n).iter().map(|&p| graph.id(p)).collect();
        assert_eq!(parents, git_parents(git, id), "parents of {id}");
        assert_eq!(
            graph.first_parent(n).map(|p| graph.id(p)),
            parents.first().copied()
        );
        let above = graph.parents(n).iter().map(|&p| graph.generation(p)).max();
        assert_eq!(graph.generation(n), above.unwrap_or(0) + 1);
    }
    for pair in some_commits(git, seed, 60).chunks(2) {
        let [a, b] = pair else { unreachable!() };
        let (a_text, b_text) = (a.to_string(), b.to_string());
        let (na, nb) = (number(graph, a), number(graph, b));

        let mut bases: Vec<_> = graph
            .merge_bases(na, nb)
            .iter()
            .map(|&n| graph.id(n))
            .collect();
        let found = git
            .command(&["merge-base", "--all", &a_text, &b_text])
            .output()
            .unwrap();
        let text = String::from_utf8(found.stdout).unwrap();
        let mut expected: Vec<_> = text
            .lines()
            .map(|line| ObjectId::from_hex(line.as_bytes()).unwrap())
            .collect();
        bases.sort();
        expected.sort();
        assert_eq!(bases, expected, "merge bases of {a} and {b}");

        let is_ancestor = git
            .command(&["merge-base", "--is-ancestor", &a_text, &b_text])
            .status()
            .unwrap();
        assert_eq!(
            graph.is_ancestor(na, nb),
            is_ancestor.success(),
            "{a} below {b}"
        );

        let walk: Vec<_> = DateWalk::new(graph, &[na], &[])
            .map(|n| graph.id(n))
            .collect();
        assert_eq!(walk, git.ids(&["rev-list", &a_text]), "the order from {a}");
        assert_eq!(graph.count(&[na]), walk.len());

        let walk: Vec<_> = DateWalk::new(graph, &[nb, na], &[])
            .map(|n| graph.id(n))
            .collect();
        assert_eq!(
            walk,
            git.ids(&["rev-list", &b_text, &a_text]),
            "the order from {b} and {a}"
        );

        let walk: Vec<_> = DateWalk::new(graph, &[nb], &[na])
            .map(|n| graph.id(n))
            .collect();
        let range = format!("{a}..{b}");
        assert_eq!(graph.count_new(&[nb], &[na]), walk.len());
        if seed % 2 == 1 {
            assert_eq!(walk, git.ids(&["rev-list", &range]), "{range}");
        } else {
            // Where dates go back git's quick answer may have too many.
            let mut walk = walk;
            let mut expected = git.ids(&["rev-list", "--topo-order", &range]);
            walk.sort();
            expected.sort();
            assert_eq!(walk, expected, "{range}");
            continue;
        }

        let walk: Vec<_> = DateWalk::new(graph, &[nb], &[na])
            .first_parent()
            .map(|n| graph.id(n))
            .collect();
        assert_eq!(
            walk,
            git.ids(&["rev-list", "--first-parent", &b_text, &format!("^{a}")])
        );
    }
}

fn git_parents(git: &Git, id: &ObjectId) -> Vec<ObjectId> {
    let line = git.run(&["rev-list", "--parents", "-1", &id.to_string()]);
    line.split_whitespace()
        .skip(1)
        .map(|hex| ObjectId::from_hex(hex.as_bytes()).unwrap())
        .collect()
}

#[test]
fn walks_are_gits() {
    for (seed, format) in [(1, ObjectFormat::Sha1), (2, ObjectFormat::Sha256)] {
        let git = Git::new(format);
        git.import(&random_history(git.format, seed, 150));
        // With generation numbers git is right about dates that go back, too.
        git.run(&["commit-graph", "write", "--reachable"]);
        check_against_git(&git, git.pool().graph(), seed);
    }
}

#[test]
fn packs_may_come_in_any_order() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 3, 120));
    let tips = git.ids(&["rev-list", "--all", "--reverse"]);
    let all_refs = git.run(&["for-each-ref", "--format=%(objectname)"]);
    git.run(&["repack", "-adq"]);
    let mut packs = Vec::new();
    let mut before = String::new();
    for tip in [tips[20], tips[50], tips[90]].map(|id| id.to_string()) {
        packs.push(pack_of(&git, &format!("{tip}\n--not\n{before}")));
        before.push_str(&format!("{tip}\n"));
    }
    packs.push(pack_of(&git, &format!("{all_refs}--not\n{before}")));

    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]];
    for order in orders {
        let pool = Pool::new(git.format, PoolLimits::default());
        for at in order {
            let (id, bytes) = packs[at].clone();
            pool.add_pack(id, bytes, GraphSource::Scan).unwrap();
        }
        check_against_git(&git, pool.graph(), 3);
    }
}

fn pack_of(
    git: &Git,
    revs: &str,
) -> (
    govc_engine::journal::PackId,
    govc_engine::journal::PackBytes,
) {
    let folder = git.path().join("parts");
    std::fs::create_dir_all(&folder).unwrap();
    let name = git.run_with(
        &["pack-objects", "-q", "--revs", "parts/pack"],
        revs.as_bytes(),
    );
    read_pack(&folder.join(format!("pack-{}.pack", name.trim())))
}

#[test]
fn a_shallow_history_ends_where_it_is_cut() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 7, 60));
    let tip = git.id("b0");
    let parents = git_parents(&git, &tip);
    let pack = pack_of(&git, &format!("{tip}\n--not\n{}\n", parents[0]));
    let pool = Pool::new(git.format, PoolLimits::default());
    pool.add_pack(pack.0, pack.1, GraphSource::Scan).unwrap();
    let graph = pool.graph();
    let n = number(graph, &tip);
    assert!(graph.missing_parents(n).contains(&parents[0]));
    assert_eq!(graph.first_parent(n), None);
    assert_eq!(
        graph.count(&[n]),
        git.ids(&["rev-list", &format!("{}..{tip}", parents[0])])
            .len()
    );
}

#[test]
fn readers_see_whole_commits_while_others_are_added() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 5, 400));
    git.run(&["repack", "-adq"]);
    let (id, bytes) = read_pack(&git.pack_files()[0]);
    let source = git.pool_as_is();
    let all = git.ids(&["rev-list", "--all", "--reverse", "--topo-order"]);
    let commits: Vec<_> = all
        .iter()
        .map(|id| {
            let data = source.get(id).unwrap().data;
            (
                *id,
                govc_git::object::commit::facts(&data, git.format).unwrap(),
            )
        })
        .collect();

    let pool = Pool::new(git.format, PoolLimits::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let graph = pool.graph();
                while graph.len() < all.len() as u32 {
                    if let Some(last) = graph.len().checked_sub(1).map(CommitNumber) {
                        // Whatever is there is there as a whole, with all its ancestors.
                        let id = graph.id(last);
                        assert_eq!(graph.number(&id), Some(last));
                        let place = all.iter().position(|known| *known == id).unwrap();
                        assert_eq!(graph.tree(last), commits[place].1.tree);
                        let parents = graph.parents(last).len();
                        assert_eq!(parents, commits[place].1.parents.len());
                        assert!(graph.count(&[last]) <= graph.len() as usize);
                    }
                }
            });
        }
        // The first pack brings one, and so on: each is an append of its own.
        for (n, commit) in commits.iter().enumerate() {
            let mut name = id;
            name.0.as_mut_slice()[0] = n as u8;
            name.0.as_mut_slice()[1] = (n >> 8) as u8;
            let source = GraphSource::Commits(vec![commit.clone()]);
            pool.add_pack(name, bytes.clone(), source).unwrap();
            pool.remove_pack(name);
        }
    });
    assert_eq!(
        pool.graph().count(&[number(pool.graph(), &git.id("b0"))]),
        git.ids(&["rev-list", "b0"]).len()
    );
}

#[test]
fn a_commit_graph_file_says_the_same_as_the_commits() {
    for (seed, format) in [(9, ObjectFormat::Sha1), (10, ObjectFormat::Sha256)] {
        let git = Git::new(format);
        git.import(&random_history(format, seed, 100));
        git.run(&["repack", "-adq"]);
        git.run(&["commit-graph", "write", "--reachable"]);
        let file = std::fs::read(git.path().join("objects/info/commit-graph")).unwrap();
        let (id, bytes) = read_pack(&git.pack_files()[0]);
        let pool = Pool::new(format, PoolLimits::default());
        let source = GraphSource::CommitGraph(file.clone().into());
        pool.add_pack(id, bytes.clone(), source).unwrap();
        check_against_git(&git, pool.graph(), seed);

        // A damaged one is no harm, and neither is one that is older than the pack.
        let mut damaged = file.clone();
        damaged[2_000] ^= 1;
        let later = git.run(&["commit-tree", "-p", "b0", "-m", "x", "b0^{tree}"]);
        git.run(&["update-ref", "refs/heads/later", later.trim()]);
        git.run(&["repack", "-adq"]);
        let (id, bytes) = read_pack(&git.pack_files()[0]);
        for file in [damaged, file] {
            let pool = Pool::new(format, PoolLimits::default());
            let source = GraphSource::CommitGraph(file.into());
            pool.add_pack(id, bytes.clone(), source).unwrap();
            check_against_git(&git, pool.graph(), seed);
        }

        // A pack that the file says to have all commits of is not looked through.
        let nothing = CommitList::new(Vec::new()).unwrap();
        for (packs, is_read) in [(&[][..], true), (&[id.0], false)] {
            let file = write_commit_graph(&nothing, packs, format).unwrap();
            let pool = Pool::new(format, PoolLimits::default());
            let source = GraphSource::CommitGraph(file.into());
            pool.add_pack(id, bytes.clone(), source).unwrap();
            assert_eq!(pool.graph().number(&git.id("b0")).is_some(), is_read);
        }
    }
}
