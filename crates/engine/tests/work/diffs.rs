//! Diffs of trees, renames and patches: what `git diff-tree` prints.

use std::fmt::Write as _;

use govc_engine::work::View;
use govc_engine::work::diff::renames::RenameOptions;
use govc_engine::work::diff::{
    DiffOptions, FileDiff, PatchMaker, PatchOptions, TreeFilter, diff_trees, quoted,
};
use govc_engine::work::tree::Found;
use govc_git::ObjectId;

use crate::git_repo::GitRepo;
use crate::stories::Dice;

/// A history in which files change, move, are copied, become something else.
fn moving_story(seed: u64, commits: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut out = Vec::new();
    let mut files: Vec<(String, Vec<String>)> = Vec::new();
    let names = ["a", "b", "Makefile", "mod.rs", "x y", "t\\tab", "é", "run"];
    let folders = ["", "dir/", "dir/sub/", "lib/", "lib.d/", "z/"];
    for number in 0..commits {
        let time = 1_600_000_000 + number;
        let mut say = |text: String| out.extend_from_slice(text.as_bytes());
        say(format!("commit refs/heads/main\nmark :{}\n", number + 1));
        say(format!(
            "committer A <a@example.org> {time} +0000\ndata 2\nm\n"
        ));
        for _ in 0..=dice.below(6) {
            let at = |dice: &mut Dice| {
                let folder = dice.pick(&folders);
                format!("{folder}{}", dice.pick(&names))
            };
            let write = |path: &str, mode: &str, content: &[u8], out: &mut Vec<u8>| {
                let quoted = format!("\"{}\"", path.replace('\\', "\\\\"));
                let head = format!("M {mode} inline {quoted}\ndata {}\n", content.len());
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(content);
                out.push(b'\n');
            };
            let taken = |files: &[(String, Vec<String>)], path: &str| {
                files.iter().any(|(other, _)| {
                    other == path
                        || other.starts_with(&format!("{path}/"))
                        || path.starts_with(&format!("{other}/"))
                })
            };
            match dice.below(10) {
                0..=2 => {
                    let path = at(&mut dice);
                    if taken(&files, &path) {
                        continue;
                    }
                    let count = dice.below(60);
                    let lines: Vec<String> = (0..count)
                        .map(|n| {
                            format!(
                                "{}fn {n} {}",
                                if n % 7 == 0 { "" } else { "  " },
                                dice.below(9)
                            )
                        })
                        .collect();
                    write(
                        &path,
                        "100644",
                        text(&lines, dice.percent(20)).as_bytes(),
                        &mut out,
                    );
                    files.push((path, lines));
                }
                3..=5 if !files.is_empty() => {
                    let at = dice.below(files.len());
                    let (path, lines) = &mut files[at];
                    for _ in 0..=dice.below(5) {
                        let place = dice.below(lines.len() + 1);
                        match dice.below(4) {
                            0 if place < lines.len() => drop(lines.remove(place)),
                            1 if place < lines.len() => lines[place].push(' '),
                            _ => lines.insert(place, format!("new {}", dice.below(1000))),
                        }
                    }
                    let mode = dice.pick(&["100644", "100644", "100755"]);
                    write(
                        path,
                        mode,
                        text(lines, dice.percent(10)).as_bytes(),
                        &mut out,
                    );
                }
                6..=7 if !files.is_empty() => {
                    let from = dice.below(files.len());
                    let to = at(&mut dice);
                    if taken(&files, &to) {
                        continue;
                    }
                    let (old, mut lines) = files.swap_remove(from);
                    let old = format!("\"{}\"", old.replace('\\', "\\\\"));
                    out.extend_from_slice(format!("D {old}\n").as_bytes());
                    for _ in 0..dice.below(8) {
                        let place = dice.below(lines.len() + 1);
                        lines.insert(place, format!("moved {}", dice.below(1000)));
                    }
                    write(&to, "100644", text(&lines, false).as_bytes(), &mut out);
                    files.push((to, lines));
                }
                8 if !files.is_empty() => {
                    let from = dice.below(files.len());
                    let to = at(&mut dice);
                    if taken(&files, &to) {
                        continue;
                    }
                    let lines = files[from].1.clone();
                    write(&to, "100644", text(&lines, false).as_bytes(), &mut out);
                    files.push((to, lines));
                }
                _ => {
                    let path = dice.pick(&["link", "bin", "sub"]);
                    match dice.below(4) {
                        0 => write(path, "120000", b"dir/a", &mut out),
                        1 => {
                            let id = format!("{:040}", dice.below(9) + 1);
                            let line = format!("M 160000 {id} {path}\n");
                            out.extend_from_slice(line.as_bytes());
                        }
                        2 => out.extend_from_slice(format!("D {path}\n").as_bytes()),
                        _ => write(path, "100644", b"plain\n", &mut out),
                    }
                }
            }
        }
        out.push(b'\n');
    }
    out
}

fn text(lines: &[String], is_unfinished: bool) -> String {
    let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if is_unfinished {
        text.pop();
    }
    text
}

/// As `git diff-tree --raw` prints it.
fn raw(diff: &[FileDiff], null: ObjectId) -> String {
    let mut out = String::new();
    for file in diff {
        let mode = |found: Option<Found>| found.map_or(0, |found| found.mode);
        let id = |found: Option<Found>| found.map_or(null, |found| found.id);
        let (old, new) = (file.old, file.new);
        write!(
            out,
            ":{:06o} {:06o} {} {} ",
            mode(old),
            mode(new),
            id(old),
            id(new)
        )
        .unwrap();
        out.push(file.status.letter());
        if let Some(old) = &file.old_path {
            write!(out, "{:03}\t", file.similarity()).unwrap();
            out.push_str(std::str::from_utf8(&quoted(old)).unwrap());
        }
        out.push('\t');
        out.push_str(std::str::from_utf8(&quoted(&file.path)).unwrap());
        out.push('\n');
    }
    out
}

struct Case<'a> {
    flags: &'a [&'a str],
    renames: Option<RenameOptions>,
    lines: PatchOptions,
    path: &'a str,
}

fn cases() -> Vec<Case<'static>> {
    let moves = |copies, percent: u32| {
        Some(RenameOptions {
            copies,
            score_min: percent * 600,
            ..RenameOptions::default()
        })
    };
    let lines = |context, ignore_whitespace| PatchOptions {
        context,
        ignore_whitespace,
    };
    let case = |flags, renames, lines, path| Case {
        flags,
        renames,
        lines,
        path,
    };
    vec![
        case(&["-M"], moves(false, 50), lines(3, false), ""),
        case(&["-C", "-U0"], moves(true, 50), lines(0, false), ""),
        case(
            &["-M80", "-U10", "-w"],
            moves(false, 80),
            lines(10, true),
            "",
        ),
        case(&["--no-renames", "-U1"], None, lines(1, false), ""),
        case(&["-M"], moves(false, 50), lines(3, false), "dir"),
        case(
            &["-M100"],
            moves(false, 100),
            lines(3, false),
            "lib/Makefile",
        ),
    ]
}

fn patches(view: &View, files: &[FileDiff], options: PatchOptions) -> Vec<u8> {
    let mut maker = PatchMaker::new(options);
    let made = files
        .iter()
        .map(|file| maker.patch(&*view.pool, file).unwrap().text);
    made.collect::<Vec<_>>().concat()
}

#[test]
fn diffs_of_made_up_histories_are_gits() {
    let (mut moved, mut compared) = (0, 0);
    for seed in 0..6 {
        let repo = GitRepo::imported(&moving_story(seed, 40));
        let view = repo.view();
        let commits = repo.lines(&["rev-list", "--reverse", "main"]);
        let trees: Vec<ObjectId> = commits
            .iter()
            .map(|rev| repo.id(&format!("{rev}^{{tree}}")))
            .collect();
        let null = view.pool.format().null();
        for step in [1, 7] {
            for (number, pair) in trees.windows(step + 1).enumerate().step_by(3) {
                let (old, new) = (&pair[0], &pair[step]);
                let case = &cases()[(number / 3 + step) % 6];
                let options = DiffOptions {
                    filter: TreeFilter {
                        path: case.path.into(),
                    },
                    renames: case.renames.clone(),
                };
                let (files, _) = diff_trees(&view.pool, Some(old), Some(new), &options).unwrap();
                let (old, new) = (old.to_string(), new.to_string());
                let ask = |what: &[&str]| {
                    let path = format!(":(literal){}", case.path);
                    let mut args = [&["diff-tree", "-r"], what, case.flags, &[&old, &new]].concat();
                    if !case.path.is_empty() {
                        args.extend(["--", &path]);
                    }
                    repo.run(&args, b"").stdout
                };
                let expected = ask(&["--raw", "--no-abbrev"]);
                // Flags about lines ask for patches, too.
                let expected = String::from_utf8(expected).unwrap();
                let end = expected.find("\n\n").map_or(expected.len(), |at| at + 1);
                let expected = &expected[..end];
                assert_eq!(raw(&files, null), expected, "seed {seed} {:?}", case.flags);
                let expected = ask(&["-p", "--full-index", "--binary"]);
                let made = patches(&view, &files, case.lines);
                assert_eq!(
                    String::from_utf8_lossy(&made),
                    String::from_utf8_lossy(&expected),
                    "seed {seed} {:?}",
                    case.flags
                );
                moved += files.iter().filter(|file| file.old_path.is_some()).count();
                compared += files.len();
            }
        }
    }
    assert!(compared > 500, "only {compared} files were compared");
    assert!(
        moved * 20 > compared,
        "only {moved} of {compared} files moved"
    );
}

#[test]
fn binary_patches_are_gits_and_apply_in_both_directions() {
    let noise = |seed: u64, bytes: usize| -> Vec<u8> {
        let mut dice = Dice::new(seed);
        (0..bytes).map(|_| dice.below(256) as u8).collect()
    };
    let mut changed = noise(1, 5000);
    changed.splice(2000..2100, noise(2, 31));
    // Copies of more than 64 KiB, what moved, and so many like blocks that not all are looked at.
    let long = noise(4, 150_000);
    let moved = [&long[90_000..], b"between", &long[..90_000]].concat();
    let two = [noise(5, 16), noise(6, 16)];
    let likes = |count: usize| -> Vec<u8> {
        let blocks = (0..count).map(|n| match n % 7 {
            3 => noise(n as u64, 16),
            _ => two[n % 2].clone(),
        });
        [vec![0], blocks.collect::<Vec<_>>().concat()].concat()
    };
    let mut likes_changed = likes(1100);
    likes_changed.splice(4000..4001, noise(7, 40));
    likes_changed.splice(11_003..11_300, []);
    let versions = [
        noise(1, 5000),
        changed,
        long,
        moved,
        likes(900),
        likes_changed,
        Vec::new(),
        vec![0],
        noise(3, 53),
        b"text\n".to_vec(),
    ];
    let mut stream = Vec::new();
    for (number, content) in versions.iter().enumerate() {
        let head = format!(
            "commit refs/heads/main\ncommitter A <a@b> {number} +0000\ndata 0\nM 644 inline f\ndata {}\n",
            content.len()
        );
        stream.extend_from_slice(head.as_bytes());
        stream.extend_from_slice(content);
        stream.push(b'\n');
    }
    let repo = GitRepo::imported(&stream);
    let view = repo.view();
    let trees: Vec<String> = repo.lines(&["log", "--format=%T", "main"]);
    let mut deltas = 0;
    for old in &trees {
        for new in &trees {
            let ids = [old, new].map(|tree| tree.parse::<ObjectId>().unwrap());
            let options = DiffOptions::default();
            let (files, _) =
                diff_trees(&view.pool, Some(&ids[0]), Some(&ids[1]), &options).unwrap();
            let patch = patches(&view, &files, PatchOptions::default());
            deltas += String::from_utf8_lossy(&patch).matches("\ndelta ").count();
            let args = ["diff-tree", "-p", "--full-index", "--binary", old, new];
            let expected = repo.run(&args, b"").stdout;
            assert!(patch == expected, "{}", String::from_utf8_lossy(&expected));
            for (from, to, flags) in [(old, new, &[][..]), (new, old, &["-R"])] {
                repo.git(&["read-tree", from]);
                let apply = [&["apply", "--cached", "--allow-empty"], flags].concat();
                let applied = repo.run(&apply, &patch);
                assert!(
                    applied.status.success(),
                    "{}",
                    String::from_utf8_lossy(&applied.stderr)
                );
                assert_eq!(repo.git(&["write-tree"]).trim(), to);
            }
        }
    }
    assert!(deltas > 0);
}

#[test]
fn folders_in_folders_end_somewhere() {
    use govc_engine::pool::PoolError;
    use govc_git::object::tree::{MODE_TREE, write_entry};
    let repo = GitRepo::imported(
        b"commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 0\nM 644 inline f\ndata 1\nx\n",
    );
    let view = repo.view();
    let mut id = repo.id("main^{tree}");
    for _ in 0..10_000 {
        let mut data = Vec::new();
        write_entry(&mut data, MODE_TREE, b"d", &id);
        let format = view.pool.format();
        id = govc_git::object_id::hash_object(format, govc_git::ObjectKind::Tree, &data).unwrap();
        let object = govc_engine::NewObject {
            id,
            kind: govc_git::ObjectKind::Tree,
            body: govc_engine::ObjectBody::Whole(data.into()),
        };
        view.pool.insert(&[object]).unwrap();
    }
    let deep = diff_trees(&view.pool, None, Some(&id), &DiffOptions::default());
    assert!(matches!(deep, Err(PoolError::TooDeep { .. })));
}
