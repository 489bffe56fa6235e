//! Commit-graph files, as git writes them and as git verifies them.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::write_with_newline
)]

mod kit;

use std::fmt::Write as _;

use bytes::Bytes;
use govc_git::object::commit::{CommitFacts, facts};
use govc_git::pack::commit_graph::{
    CommitGraph, CommitGraphError, CommitList, Commits, write_commit_graph,
};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use proptest::prelude::*;

use kit::{Repo, history};

const FORMATS: [ObjectFormat; 2] = [ObjectFormat::Sha1, ObjectFormat::Sha256];

/// Octopus merges, clocks that are far ahead, and more than one root.
fn odd_history(format: ObjectFormat) -> Repo {
    let repo = Repo::empty(format);
    let mut stream = String::new();
    let mut commit = |mark: u32, time: i64, parents: &[u32]| {
        // A branch of its own for each, so that all that is given stays a parent.
        let who = format!("A U Thor <author@example.com> {time} +0000");
        let _ = write!(
            stream,
            "commit refs/heads/b{mark}\nmark :{mark}\ncommitter {who}\ndata 1\n{}\n",
            mark % 10
        );
        for (at, parent) in parents.iter().enumerate() {
            let _ = writeln!(
                stream,
                "{} :{parent}",
                if at == 0 { "from" } else { "merge" }
            );
        }
        stream.push('\n');
    };
    commit(1, 1_000, &[]);
    commit(2, 9_000_000_000, &[1]);
    commit(3, 2_000, &[2]);
    commit(4, 0, &[3]);
    commit(5, 500, &[]);
    commit(6, 3_000, &[4, 5]);
    commit(7, 3_000, &[5]);
    commit(8, 4_000, &[6, 7, 3]);
    commit(9, 4_000, &[8, 7, 5, 2, 1]);
    repo.git(&["fast-import", "--quiet"], stream.as_bytes());
    repo
}

fn commits(repo: &Repo, format: ObjectFormat) -> Vec<(ObjectId, CommitFacts)> {
    let objects = repo.all_objects().into_iter();
    let commits = objects.filter(|(_, object)| object.kind == ObjectKind::Commit);
    commits
        .map(|(id, object)| (id, facts(&object.data, format).unwrap()))
        .collect()
}

fn gits(repo: &Repo) -> Vec<u8> {
    repo.git(&["commit-graph", "write", "--reachable"], b"");
    std::fs::read(repo.path().join("objects/info/commit-graph")).unwrap()
}

#[test]
fn a_commit_graph_is_gits_byte_for_byte() {
    for format in FORMATS {
        for repo in [history(format, 120), odd_history(format)] {
            let list = CommitList::new(commits(&repo, format)).unwrap();
            let ours = write_commit_graph(&list, &[], format).unwrap();
            assert_eq!(ours, gits(&repo));
            let file = repo.path().join("objects/info/commit-graph");
            std::fs::remove_file(&file).unwrap();
            std::fs::write(&file, &ours).unwrap();
            repo.git(&["commit-graph", "verify"], b"");

            // Git passes over what the file says of packs.
            let packs = [format.null(), ObjectId::empty_tree(format)];
            let ours = write_commit_graph(&list, &packs, format).unwrap();
            std::fs::write(&file, &ours).unwrap();
            repo.git(&["commit-graph", "verify"], b"");
            repo.git(&["log", "--all", "--oneline"], b"");
            let read = CommitGraph::parse(Bytes::from(ours), format).unwrap();
            read.verify().unwrap();
            assert!(read.packs().eq(packs.iter().map(|id| &**id)));
        }
    }
}

#[test]
fn what_git_wrote_is_read() {
    for format in FORMATS {
        for repo in [history(format, 120), odd_history(format)] {
            let expected = commits(&repo, format);
            for options in [
                &["write", "--reachable"][..],
                &["write", "--reachable", "--changed-paths"],
            ] {
                repo.git(&[&["commit-graph"], options].concat(), b"");
                let file = std::fs::read(repo.path().join("objects/info/commit-graph")).unwrap();
                let graph = CommitGraph::parse(Bytes::from(file), format).unwrap();
                graph.verify().unwrap();
                assert_eq!(graph.len() as usize, expected.len());
                assert_eq!(graph.lookup(format.null_ref()), None);
                for (id, facts) in &expected {
                    let position = graph.lookup(id).unwrap();
                    assert_eq!(graph.id(position), *id);
                    assert_eq!(graph.tree(position), facts.tree);
                    assert_eq!(graph.time(position), facts.committer_time);
                    let parents = graph.parents(position).unwrap();
                    let ids: Vec<ObjectId> =
                        parents.iter().map(|&p| graph.id(p).to_owned()).collect();
                    assert_eq!(ids, facts.parents.to_vec());
                    for &parent in &parents {
                        assert!(graph.generation(parent) < graph.generation(position));
                        assert!(graph.corrected_time(parent) < graph.corrected_time(position));
                    }
                    assert!(graph.corrected_time(position) >= Some(facts.committer_time));
                    assert!(graph.generation(position) > 0);
                }
            }
        }
    }
}

#[test]
fn a_graph_without_commits_is_a_graph() {
    let file = write_commit_graph(&CommitList::new(Vec::new()).unwrap(), &[], FORMATS[0]).unwrap();
    let graph = CommitGraph::parse(Bytes::from(file), FORMATS[0]).unwrap();
    assert!(graph.is_empty());
    graph.verify().unwrap();
}

#[test]
fn what_is_no_history_is_refused() {
    let id = |byte: u8| ObjectId::from([byte; 20]);
    let commit = |own: u8, parents: &[u8]| {
        let parents = parents.iter().map(|&byte| id(byte)).collect();
        (
            id(own),
            CommitFacts {
                tree: id(0),
                parents,
                committer_time: 5,
            },
        )
    };
    let missing = CommitList::new(vec![commit(1, &[2])]).err();
    assert_eq!(
        missing,
        Some(CommitGraphError::MissingParent {
            commit: id(1),
            parent: id(2)
        })
    );
    let twice = CommitList::new(vec![commit(1, &[]), commit(1, &[])]).err();
    assert_eq!(twice, Some(CommitGraphError::Duplicate { commit: id(1) }));
    for circle in [
        vec![commit(1, &[1])],
        vec![commit(1, &[2]), commit(2, &[3]), commit(3, &[1])],
    ] {
        let list = CommitList::new(circle).unwrap();
        assert!(list.len() > 0);
        let refused = write_commit_graph(&list, &[], FORMATS[0]);
        assert!(matches!(refused, Err(CommitGraphError::Cycle { .. })));
    }
}

#[test]
fn a_long_history_needs_no_stack() {
    let id = |number: u32| {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        ObjectId::from(bytes)
    };
    let commits = (0..200_000).map(|number| {
        let parents = (number > 0).then(|| id(number - 1)).into_iter().collect();
        (
            id(number),
            CommitFacts {
                tree: id(number),
                parents,
                committer_time: 7,
            },
        )
    });
    let list = CommitList::new(commits.collect()).unwrap();
    let file = write_commit_graph(&list, &[], FORMATS[0]).unwrap();
    let graph = CommitGraph::parse(Bytes::from(file), FORMATS[0]).unwrap();
    let last = graph.lookup(&id(199_999)).unwrap();
    assert_eq!(graph.generation(last), 200_000);
    assert_eq!(graph.corrected_time(last), Some(7 + 199_999));
}

proptest! {
    #[test]
    fn a_damaged_graph_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_front in any::<bool>(),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        static FILE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let file = FILE.get_or_init(|| {
            let list = CommitList::new(commits(&odd_history(FORMATS[0]), FORMATS[0])).unwrap();
            write_commit_graph(&list, &[], FORMATS[0]).unwrap()
        });
        let mut file = file.clone();
        for (at, byte) in changes {
            // Half of the time where most is decided: the table of contents.
            let at = at.index(if in_front { 90 } else { file.len() });
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(graph) = CommitGraph::parse(Bytes::from(file), FORMATS[0]) {
            let _ = graph.verify();
            for position in 0..graph.len() {
                let _ = graph.lookup(graph.id(position));
                let _ = (graph.tree(position), graph.parents(position), graph.time(position));
                let _ = (graph.generation(position), graph.corrected_time(position));
            }
        }
    }
}
