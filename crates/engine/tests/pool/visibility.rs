//! "The pool has it" never means "you may see it".

use std::collections::HashSet;
use std::sync::Arc;

use govc_engine::pool::{Moves, Pool, PoolLimits, Visibility};
use govc_engine::{NewObject, ObjectBody};
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

use crate::kit::{Git, random_history};

fn seen(visibility: &Visibility, of: &[ObjectId]) -> HashSet<ObjectId> {
    of.iter()
        .copied()
        .filter(|id| visibility.sees(id).unwrap())
        .collect()
}

fn reachable(git: &Git, args: &[&str]) -> HashSet<ObjectId> {
    git.ids(&[&["rev-list", "--objects"], args].concat())
        .into_iter()
        .collect()
}

#[test]
fn each_state_sees_what_its_refs_reach() {
    for (seed, format) in [(31, ObjectFormat::Sha1), (32, ObjectFormat::Sha256)] {
        let git = Git::new(format);
        git.import(&random_history(format, seed, 80));
        let all = {
            git.run(&["repack", "-adq"]);
            git.all_objects()
        };
        for first in ["b0", "b1", "v1", "--all"] {
            // A pool of its own: nothing is known from an earlier question.
            let pool = git.pool_as_is();
            for refs in [first, "b0", "b2", "v1", "--all", "b1"] {
                let roots = match refs {
                    "--all" => git.ref_targets(),
                    name => vec![git.id(name)],
                };
                let visibility = Visibility::new(pool.clone(), roots);
                assert_eq!(
                    seen(&visibility, &all),
                    reachable(&git, &[refs]),
                    "{refs} after {first}"
                );
                assert!(!visibility.sees(&ObjectId::null(format)).unwrap());
            }
        }
    }
}

#[test]
fn a_later_state_sees_more_or_less() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 33, 80));
    let pool = git.pool();
    let all = git.all_objects();
    let line = git.ids(&["rev-list", "--first-parent", "--reverse", "b0"]);
    let mut visibility = Visibility::new(pool.clone(), vec![line[0]]);
    for (step, id) in line.iter().enumerate() {
        visibility = visibility.advance(vec![*id], Moves::Added(vec![*id]));
        if step % 3 == 0 {
            assert_eq!(seen(&visibility, &all), reachable(&git, &[&id.to_string()]));
        }
        assert!(visibility.sees_commit(pool.graph().number(id).unwrap()));
    }
    let back = line[line.len() / 2];
    let visibility = visibility.advance(vec![back], Moves::Any);
    assert_eq!(
        seen(&visibility, &all),
        reachable(&git, &[&back.to_string()])
    );
    let nothing = visibility.advance(Vec::new(), Moves::Any);
    assert_eq!(seen(&nothing, &all), HashSet::new());
}

#[test]
fn what_refs_name_themselves_is_seen() {
    let git = Git::new(ObjectFormat::Sha1);
    git.import(&random_history(git.format, 35, 30));
    let blob = git.run_with(&["hash-object", "-w", "--stdin"], b"named by a ref");
    let inner = git.run_with(
        &["hash-object", "-w", "--stdin"],
        b"in a tree that a tag names",
    );
    let tree = git.run_with(
        &["mktree"],
        format!("100644 blob {}\tinner\n", inner.trim()).as_bytes(),
    );
    let tree = git.run_with(
        &["mktree"],
        format!("040000 tree {}\tdir\n", tree.trim()).as_bytes(),
    );
    git.run(&["update-ref", "refs/odd/blob", blob.trim()]);
    git.run(&["tag", "-a", "-m", "of a tree", "tree-tag", tree.trim()]);
    git.run(&["tag", "-a", "-m", "of a tag", "tag-tag", "tree-tag"]);
    let pool = git.pool();
    let all = git.all_objects();
    for names in [
        vec!["refs/odd/blob"],
        vec!["tag-tag"],
        vec!["tree-tag", "b0"],
    ] {
        let roots: Vec<_> = names.iter().map(|name| git.id(name)).collect();
        let visibility = Visibility::new(pool.clone(), roots);
        assert_eq!(
            seen(&visibility, &all),
            reachable(&git, &names),
            "{names:?}"
        );
    }
}

fn object(kind: ObjectKind, data: &[u8]) -> NewObject {
    NewObject {
        id: hash_object(ObjectFormat::Sha1, kind, data).unwrap(),
        kind,
        body: ObjectBody::Whole(data.to_vec().into()),
    }
}

/// A commit with one file, and its objects.
fn commit_of(content: &[u8], parent: Option<ObjectId>) -> (ObjectId, Vec<NewObject>) {
    let blob = object(ObjectKind::Blob, content);
    let mut tree = b"100644 file\0".to_vec();
    tree.extend_from_slice(blob.id.as_slice());
    let tree = object(ObjectKind::Tree, &tree);
    let parent = parent.map_or(String::new(), |id| format!("parent {id}\n"));
    let who = "A <a@b.c> 1 +0000";
    let text = format!(
        "tree {}\n{parent}author {who}\ncommitter {who}\n\nx\n",
        tree.id
    );
    let commit = object(ObjectKind::Commit, text.as_bytes());
    (commit.id, vec![blob, tree, commit])
}

#[test]
fn a_sibling_forks_private_objects_are_not_seen() {
    let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
    let (base, base_objects) = commit_of(b"of both", None);
    let (ours, our_objects) = commit_of(b"ours", Some(base));
    let (theirs, their_objects) = commit_of(b"theirs, and private", Some(base));
    for objects in [&base_objects, &our_objects, &their_objects] {
        pool.insert(objects).unwrap();
    }
    let see = |tip| Visibility::new(Arc::clone(&pool), vec![tip]);
    let (our_view, their_view) = (see(ours), see(theirs));
    for object in &their_objects {
        assert!(pool.contains(&object.id));
        assert!(!our_view.sees(&object.id).unwrap(), "{}", object.id);
        assert!(their_view.sees(&object.id).unwrap());
    }
    for object in &base_objects {
        assert!(our_view.sees(&object.id).unwrap());
    }

    // Once the same content is committed here, too, it is seen: through this commit.
    let (again, objects) = commit_of(b"theirs, and private", Some(ours));
    pool.insert(&objects).unwrap();
    let later = our_view.advance(vec![again], Moves::Forwards);
    assert!(later.sees(&their_objects[0].id).unwrap());
    assert!(!later.sees(&theirs).unwrap());
    assert!(!our_view.sees(&their_objects[0].id).unwrap());
}

#[test]
fn a_change_that_was_forgotten_is_not_there() {
    let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
    let (base, objects) = commit_of(b"base", None);
    pool.insert(&objects).unwrap();
    let (tip, objects) = commit_of(b"refused", Some(base));
    pool.insert(&objects).unwrap();
    pool.forget(&objects.iter().map(|object| object.id).collect::<Vec<_>>());
    let visibility = Visibility::new(pool, vec![base]);
    for object in &objects {
        assert!(!visibility.sees(&object.id).unwrap());
    }
    assert!(!visibility.sees(&tip).unwrap());
}
