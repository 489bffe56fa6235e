//! Conflicts that are kept in a workspace, beside git's: what is left, what becomes of it when it
//! is gone on with, and when it is taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use govc_engine::work::diff::{TreeFilter, changed_files};
use govc_engine::work::merge::{
    IntegrateError, People, Plan, Steps, Strategy, messages, progress, progress_uncommitted,
};
use govc_engine::work::workspace::stash::{ApplyOptions, NewStash, read};
use govc_engine::work::workspace::{Brought, GoOn, GoOnError, ResetMode, WorkspaceError};
use govc_engine::{OperationKind, RefName, Target};
use govc_git::ObjectId;

use crate::workspaces::{Both, Dice, remove_empty_folders};

const FILES: &[&str] = &["a", "b", "d/x", "d/y", "#c"];

/// What was seen, so that a story in which nothing happens fails.
#[derive(Debug, Default)]
struct Seen {
    stopped: usize,
    went_on: usize,
    aborted: usize,
    skipped: usize,
    committed: usize,
    staged_more: usize,
    empty_reverts: usize,
    committed_and_skipped: usize,
}

fn people(both: &Both) -> People {
    People {
        author: both.ada(),
        committer: both.ada(),
    }
}

/// What `label` is called in the plan of a merge.
fn plan(both: &Both, what: &str, names: &[String], ids: &[ObjectId]) -> Plan {
    match what {
        "cherry-pick" => Plan::Pick {
            commits: ids.to_vec(),
            mainline: None,
        },
        "revert" => Plan::Revert {
            commits: ids.to_vec(),
            mainline: None,
        },
        "rebase" => Plan::Rebase {
            onto: ids[0],
            upstream: ids[0],
            autosquash: false,
        },
        _ => {
            let open = both.open();
            let into = open.now.branch;
            let into = into
                .as_ref()
                .map_or(&b"HEAD"[..], |b| b.branch_name().unwrap());
            let message =
                messages::merge(&both.pool, &both.snapshot.refs, names[0].as_bytes(), into);
            Plan::Merge {
                from: ids[0],
                label: names[0].clone().into_bytes(),
                strategy: Strategy::Merge,
                message: Some(message),
            }
        }
    }
}

fn take(both: &mut Both, brought: Brought) -> bool {
    let stopped = brought.stopped.is_some();
    let status = brought.stopped;
    both.take(brought.changed);
    if let Some(branch) = brought.branch {
        let there = both.snapshot.refs.resolve(branch.name.as_bytes());
        assert_eq!(there, branch.before);
        both.snapshot
            .refs
            .set(branch.name, Target::At(branch.after));
    }
    let ids = brought.made.iter().map(|made| made.id);
    both.commits.extend(ids);
    if let Some(status) = status {
        assert_eq!(status, both.open().status(&both.pool).unwrap());
    }
    stopped
}

/// Both say the same: status, index with its stages, files, HEAD, branches.
fn compare(both: &Both, story: &[String]) {
    remove_empty_folders(both.dir.path());
    let open = both.open();
    let listed = |tree: &ObjectId| {
        let all = changed_files(&both.pool, None, Some(tree), &TreeFilter::default()).unwrap();
        all.into_iter()
            .map(|change| (change.path, change.new.unwrap()))
    };
    let mut ours = BTreeSet::new();
    for (path, found) in listed(&open.now.index) {
        let path = String::from_utf8(path).unwrap();
        ours.insert(format!("{:06o} {} 0\t{path}", found.mode, found.id));
    }
    for path in open.now.unmerged.iter() {
        let name = String::from_utf8(path.path.to_vec()).unwrap();
        for (number, stage) in path.stages.iter().enumerate() {
            let Some((mode, id)) = stage else { continue };
            ours.insert(format!("{mode:06o} {id} {}\t{name}", number + 1));
        }
    }
    let theirs = both.git(&["ls-files", "-s", "-z"]);
    let theirs: BTreeSet<String> = theirs.split_terminator('\0').map(str::to_owned).collect();
    assert_eq!(ours, theirs, "{story:#?}");

    let mut on_disk = BTreeMap::new();
    read_files(both.dir.path(), both.dir.path(), &mut on_disk);
    let mut in_files = BTreeMap::new();
    for (path, found) in listed(&open.now.files) {
        let content = both.pool.get(&found.id).unwrap().data.to_vec();
        let content = String::from_utf8(content).unwrap();
        in_files.insert(String::from_utf8(path).unwrap(), content);
    }
    assert_eq!(in_files, on_disk, "{story:#?}");

    let status = open.status(&both.pool).unwrap();
    let mut unmerged = BTreeSet::new();
    for path in &status.unmerged {
        let there = path.stages.map(|stage| stage.is_some());
        let letters = match there {
            [true, false, false] => "DD",
            [false, true, false] => "AU",
            [true, true, false] => "UD",
            [false, false, true] => "UA",
            [true, false, true] => "DU",
            [false, true, true] => "AA",
            _ => "UU",
        };
        let mode = |number: usize| path.stages[number].map_or(0, |stage| stage.0);
        let id = |number: usize| {
            let stage = path.stages[number];
            stage.map_or("0".repeat(40), |stage| stage.1.to_string())
        };
        let name = String::from_utf8(path.path.to_vec()).unwrap();
        let modes = format!("{:06o} {:06o} {:06o}", mode(0), mode(1), mode(2));
        let ids = format!("{} {} {}", id(0), id(1), id(2));
        unmerged.insert(format!("u {letters} N... {modes} {ids} {name}"));
    }
    let mut changed = BTreeSet::new();
    for (place, files) in [("staged", &status.staged), ("unstaged", &status.unstaged)] {
        for file in files {
            let path = str::from_utf8(&file.path).unwrap();
            changed.insert(format!("{place} {} {path}", file.status.letter()));
        }
    }
    let untracked: BTreeSet<String> = status
        .untracked
        .iter()
        .map(|path| String::from_utf8(path.clone()).unwrap())
        .collect();
    let listed = both.git(&["status", "--porcelain=v2", "-z", "-uall"]);
    let (mut u, mut c, mut q) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut lines = listed.split_terminator('\0');
    while let Some(line) = lines.next() {
        let fields: Vec<&str> = line.splitn(11, ' ').collect();
        match fields[0] {
            // The mode in the working copy is compared with the files.
            "u" => {
                let rest = [&fields[..6], &fields[7..]].concat();
                u.insert(rest.join(" "));
            }
            kind @ ("1" | "2") => {
                let is_renamed = kind == "2";
                let path = line
                    .splitn(9 + usize::from(is_renamed), ' ')
                    .last()
                    .unwrap();
                let (x, y) = fields[1].split_at(1);
                for (place, letter) in [("staged", x), ("unstaged", y)] {
                    if letter != "." {
                        c.insert(format!("{place} {letter} {path}"));
                    }
                }
                if is_renamed {
                    lines.next();
                }
            }
            "?" => {
                q.insert(line[2..].to_owned());
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(unmerged, u, "{story:#?}");
    assert_eq!(changed, c, "{story:#?}");
    assert_eq!(untracked, q, "{story:#?}");

    let head = open.now.base.unwrap().to_string();
    let theirs = both.git(&["rev-parse", "HEAD"]);
    if head != theirs.trim() {
        let ours = both.pool.get(&open.now.base.unwrap()).unwrap().data;
        let theirs = both.git(&["cat-file", "-p", "HEAD"]);
        panic!("{}\n{theirs}\n{story:#?}", String::from_utf8_lossy(&ours));
    }
    let symbolic = both.run(&["symbolic-ref", "-q", "HEAD"]);
    let branch = open.now.branch.as_ref().map(RefName::to_text);
    assert_eq!(
        branch.unwrap_or_default(),
        String::from_utf8_lossy(&symbolic.stdout).trim(),
        "{story:#?}"
    );
    for branch in ["main", "side"] {
        let ours = both
            .snapshot
            .refs
            .resolve(RefName::branch(branch).as_bytes());
        let name = format!("refs/heads/{branch}");
        let theirs = both.git(&["rev-parse", "--verify", &name]);
        assert_eq!(ours.unwrap().to_string(), theirs.trim(), "{story:#?}");
    }
}

fn read_files(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with(".git") {
                read_files(root, &path, files);
            }
            continue;
        }
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        let content = std::fs::read_to_string(&path).unwrap();
        files.insert(name.to_owned(), content);
    }
}

/// Some commits on a branch: lines changed, files deleted and moved.
fn commits(both: &mut Both, dice: &mut Dice, branch: &str, count: usize) {
    for number in 0..count {
        let path = dice.pick(FILES);
        let there = std::fs::read_to_string(both.path(path)).ok();
        match (dice.roll(12), &there) {
            (0, Some(_)) => both.remove(path),
            (1, Some(_)) => both.rename(path, &format!("m{}", dice.roll(3))),
            (2, _) => {
                let new = format!("n{}", dice.roll(2));
                both.write(&new, &format!("{branch} {number}\n"), true);
            }
            (_, Some(text)) => {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                let at = dice.roll(lines.len());
                lines[at] = format!("{branch} {number} {}", dice.roll(2));
                both.write(path, &format!("{}\n", lines.join("\n")), true);
            }
            (_, None) => both.write(path, &format!("again {branch} {number}\n"), true),
        }
        // A subject of two lines, and a line that looks like a comment.
        let message = format!(
            "{branch} {number}\n\n# not a comment\ntext {}",
            dice.roll(9)
        );
        both.commit(&message, false);
    }
}

/// Solves what is unmerged, one way or another.
fn solve(both: &mut Both, dice: &mut Dice, story: &mut Vec<String>) {
    let unmerged = both.open().now.unmerged;
    for path in unmerged.iter() {
        let name = String::from_utf8(path.path.to_vec()).unwrap();
        let how = dice.roll(4);
        story.push(format!("solve {name} {how}"));
        match how {
            0 => both.remove(&name),
            1 => both.add_as_it_is(&name),
            _ => both.write(&name, &format!("solved {}\n", dice.roll(3)), true),
        }
        compare(both, story);
    }
}

/// Goes on, skips or aborts until nothing is in progress.
fn to_its_end(both: &mut Both, dice: &mut Dice, story: &mut Vec<String>, seen: &mut Seen) {
    while let Some(operation) = both.open().now.operation.clone() {
        both.seconds += 60;
        let what = operation.kind.name();
        let roll = dice.roll(10);
        // What is not solved is refused.
        if !both.open().now.unmerged.is_empty() {
            let how = GoOn {
                message: None,
                skip: false,
                author: None,
                people: people(both),
            };
            let refused = both.open().go_on(&both.pool, &how);
            assert!(
                matches!(
                    refused,
                    Err(GoOnError::Workspace(WorkspaceError::Unmerged { .. }))
                ),
                "{story:#?}"
            );
        }
        if roll < 2 {
            story.push(format!("abort {what}"));
            let done = both.open().abort(&both.pool).unwrap();
            both.git(&[what, "--abort"]);
            take(both, done);
            compare(both, story);
            seen.aborted += 1;
            continue;
        }
        let skip = roll == 2 && operation.kind != OperationKind::Merge;
        if !skip {
            solve(both, dice, story);
        }
        let is_nothing = both.open().now.index == both.open().base_tree;
        if !skip && roll == 3 && !is_nothing {
            story.push(format!("commit in {what}"));
            both.commit(&format!("by hand in {what}"), false);
            compare(both, story);
            seen.committed += 1;
            if what == "rebase" && dice.roll(2) == 0 {
                story.push("stage more".into());
                both.write("a", &format!("more {}\n", dice.roll(9)), true);
                seen.staged_more += 1;
            }
            continue;
        }
        let how = GoOn {
            message: None,
            skip,
            author: None,
            people: people(both),
        };
        let flag = if skip { "--skip" } else { "--continue" };
        story.push(format!("{what} {flag}"));
        match both.open().go_on(&both.pool, &how) {
            Ok(brought) => {
                let by_git = both.run(&[what, flag]);
                let said = String::from_utf8_lossy(&by_git.stderr).into_owned();
                let stopped = take(both, brought);
                assert_eq!(by_git.status.success(), !stopped, "{said} {story:#?}");
                seen.went_on += 1;
                seen.skipped += usize::from(skip);
            }
            Err(GoOnError::Workspace(WorkspaceError::NothingToSkip { .. })) => {
                assert!(skip && !both.tries(&[what, flag]), "{story:#?}");
                seen.committed_and_skipped += 1;
            }
            Err(GoOnError::Workspace(WorkspaceError::NothingToCommit)) => {
                // Git drops a revert that changed nothing from the start; here one says so.
                let is_refused = what == "revert" || !both.tries(&[what, flag]);
                assert!(is_refused, "{story:#?}");
                story.push("abort what is empty".into());
                both.git(&[what, "--abort"]);
                let done = both.open().abort(&both.pool).unwrap();
                take(both, done);
                seen.aborted += 1;
            }
            Err(error) => panic!("{error} {story:#?}"),
        }
        compare(both, story);
    }
}

/// Nothing is changed or untracked: in the middle of several commits git meets what only they have.
fn clean(both: &mut Both) {
    let head = both.open().now.base.unwrap();
    both.reset(head, ResetMode::Hard);
    for path in both.open().status(&both.pool).unwrap().untracked {
        let changed = both.open().remove(&both.pool, &path, true).unwrap();
        both.take(changed);
        std::fs::remove_file(both.path(std::str::from_utf8(&path).unwrap())).unwrap();
    }
    remove_empty_folders(both.dir.path());
}

fn random_story(seed: u64, steps: usize, seen: &mut Seen) {
    let mut dice = Dice(seed);
    let mut both = Both::new();
    let mut story = vec![format!("seed {seed}")];
    for path in FILES {
        let lines: String = (0..4).map(|n| format!("{path} {n}\n")).collect();
        both.write(path, &lines, true);
    }
    both.commit("first", false);
    both.checkout("side", false);
    commits(&mut both, &mut dice, "side", 3);
    both.checkout("main", false);
    commits(&mut both, &mut dice, "main", 3);
    compare(&both, &story);
    for step in 0..steps {
        let (here, there) = match dice.roll(2) {
            0 => ("main", "side"),
            _ => ("side", "main"),
        };
        both.checkout(here, false);
        let count = 1 + dice.roll(2);
        commits(&mut both, &mut dice, here, count);
        clean(&mut both);
        both.seconds += 60;
        let tip = |both: &Both, name: &str| {
            let found = both.snapshot.refs.resolve(RefName::branch(name).as_bytes());
            found.unwrap()
        };
        let (what, names) = match dice.roll(5) {
            0 | 1 => ("merge", vec![there.to_owned()]),
            2 => ("rebase", vec![there.to_owned()]),
            3 => {
                // The newest last.
                let listed = both.git(&["rev-list", "--no-merges", "--reverse", there, "-3"]);
                let names: Vec<String> = listed.lines().map(str::to_owned).collect();
                ("cherry-pick", names)
            }
            _ => {
                let count = ["-1", "-2"][dice.roll(2)];
                let listed = both.git(&["rev-list", "--no-merges", there, count]);
                ("revert", listed.lines().map(str::to_owned).collect())
            }
        };
        let ids: Vec<ObjectId> = match what {
            "merge" | "rebase" => vec![tip(&both, there)],
            _ => names
                .iter()
                .map(|name| ObjectId::from_hex(name.as_bytes()).unwrap())
                .collect(),
        };
        let no_commit = matches!(what, "cherry-pick" | "revert") && dice.roll(3) == 0;
        story.push(format!("{step}: {what} {names:?} on {here}, {no_commit}"));
        let open = both.open();
        if no_commit {
            let kind = match what {
                "revert" => OperationKind::Revert,
                _ => OperationKind::CherryPick,
            };
            let steps = Steps {
                kind,
                commits: ids[..1].to_vec(),
                mainline: None,
            };
            let made =
                progress_uncommitted(&both.pool, open.now.index, &steps, &people(&both)).unwrap();
            let brought = open.bring_uncommitted(&both.pool, made).unwrap();
            let stopped = take(&mut both, brought);
            let ok = both.tries(&[what, "-n", &names[0]]);
            assert_eq!(ok, !stopped, "{story:#?}");
            compare(&both, &story);
            solve(&mut both, &mut dice, &mut story);
            both.commit("not committed before", false);
            // Git has a revert in progress that nobody asked for.
            both.run(&["revert", "--quit"]);
            compare(&both, &story);
            continue;
        }
        // A file that is changed and in nobody's way, or in somebody's.
        let is_dirty = what == "merge" && dice.roll(3) == 0;
        if is_dirty {
            let path = dice.pick(FILES);
            both.write(path, "not staged\n", false);
        }
        let open = both.open();
        let plan = plan(&both, what, &names, &ids);
        let made = progress(&both.pool, open.now.base, &plan, &people(&both));
        let mut args = match what {
            "merge" => vec!["merge", "--no-ff", "--no-edit"],
            "revert" => vec!["revert", "--no-edit"],
            other => vec![other],
        };
        args.extend(names.iter().map(String::as_str));
        let by_git = both.run(&args);
        let said = String::from_utf8_lossy(&by_git.stderr).into_owned();
        let made = match made {
            Err(IntegrateError::Nothing { .. }) if what == "revert" && names.len() == 1 => {
                assert!(!by_git.status.success(), "{said} {story:#?}");
                assert!(!both.tries(&["revert", "--skip"]), "{story:#?}");
                compare(&both, &story);
                seen.empty_reverts += 1;
                continue;
            }
            made => made.unwrap(),
        };
        match open.bring(&both.pool, made, what == "rebase") {
            Ok(brought) => {
                let stopped = take(&mut both, brought);
                assert_eq!(by_git.status.success(), !stopped, "{said} {story:#?}");
                seen.stopped += usize::from(stopped);
                compare(&both, &story);
                to_its_end(&mut both, &mut dice, &mut story, seen);
            }
            Err(WorkspaceError::Dirty { .. }) => {
                assert!(!by_git.status.success() && is_dirty, "{said} {story:#?}");
            }
            Err(error) => panic!("{error} {story:#?}"),
        }
        compare(&both, &story);
        if is_dirty {
            let head = both.open().now.base.unwrap();
            both.reset(head, ResetMode::Hard);
        }
    }
}

#[test]
fn what_is_kept_and_what_becomes_of_it_is_what_git_has() {
    let from = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let count = std::env::var("SEEDS").map_or(5, |count| count.parse().unwrap());
    let mut seen = Seen::default();
    for seed in from..from + count {
        random_story(seed, 12, &mut seen);
    }
    println!("{seen:?}");
    let all = [
        seen.stopped,
        seen.went_on,
        seen.aborted,
        seen.skipped,
        seen.committed,
        seen.staged_more,
        seen.empty_reverts,
    ];
    assert!(count < 5 || all.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn a_stash_that_conflicts_is_left_as_git_leaves_it() {
    let mut both = Both::new();
    both.write("a", "1\n2\n3\n", true);
    both.commit("first", false);
    both.git(&["branch", "side"]);
    let head = both.open().now.base.unwrap();
    both.snapshot
        .refs
        .set(RefName::branch("side"), Target::At(head));
    both.write("a", "1\nstashed\n3\n", true);
    let new = NewStash {
        message: None,
        include_untracked: false,
        person: both.ada(),
        packed_objects: 0,
    };
    let made = both.open().stash(&both.pool, &new).unwrap();
    both.take(made.changed);
    both.git(&["stash", "push", "-q"]);
    both.write("a", "1\ncommitted\n3\n", true);
    both.commit("second", false);
    let options = ApplyOptions {
        index: false,
        keep_conflicts: true,
    };
    let found = read(&both.pool, made.id).unwrap();
    let (changed, left) = both
        .open()
        .apply_stash(&both.pool, &found, options)
        .unwrap();
    both.take(changed);
    assert_eq!(left.unwrap(), both.open().status(&both.pool).unwrap());
    assert!(!both.tries(&["stash", "apply", "-q"]));
    compare(&both, &[]);
    both.write("a", "solved\n", true);
    compare(&both, &[]);
}
