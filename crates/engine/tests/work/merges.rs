//! Merges of hundreds of random histories, held against `git merge-tree`. GOVC_MERGE_SEEDS=50 tries
//! as many times as many.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use govc_engine::work::View;
use govc_engine::work::merge::{Labels, MergeOptions, merge_commits};
use govc_git::ObjectId;

use crate::git_repo::GitRepo;

/// Numbers that look random and are the same every time (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

/// A tree as anybody imagines it: paths, modes, contents.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

const FOLDERS: &[&str] = &["", "a/", "a/b/", "src/", "src/deep/er/", "lib/", "x.y/"];
const NAMES: &[&str] = &[
    "one", "two", "three.rs", "four.c", "five", "b", "Make", "a-b", "lib",
];

/// Whether nothing at `path` is a file where another needs a folder, or the other way round.
fn is_free(files: &Files, path: &str) -> bool {
    let below = format!("{path}/");
    let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
    !files.contains_key(path)
        && !files.keys().any(|other| other.starts_with(&below))
        && !above.any(|folder| files.contains_key(folder))
}

fn lines(dice: &mut Dice, count: usize) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..count {
        writeln!(text, "line {} of some text", dice.roll(400)).unwrap();
    }
    text.into_bytes()
}

fn content(dice: &mut Dice) -> (u32, Vec<u8>) {
    match dice.roll(24) {
        0 => (0o120_000, format!("target{}", dice.roll(3)).into_bytes()),
        1 => (0o160_000, vec![b'1' + dice.roll(3) as u8; 40]),
        2 => (0o100_755, lines(dice, 12)),
        3 => {
            let mut binary = lines(dice, 6);
            binary.insert(5, 0);
            (0o100_644, binary)
        }
        4 => (0o100_644, Vec::new()),
        _ => {
            let count = 4 + dice.roll(26);
            (0o100_644, lines(dice, count))
        }
    }
}

fn edit(dice: &mut Dice, mode: u32, content: &mut Vec<u8>) {
    match mode {
        0o120_000 => content.push(b'0' + dice.roll(4) as u8),
        0o160_000 => *content = vec![b'1' + dice.roll(6) as u8; 40],
        _ => {
            let mut all: Vec<Vec<u8>> = content
                .split_inclusive(|byte| *byte == b'\n')
                .map(Vec::from)
                .collect();
            for _ in 0..=dice.roll(3) {
                let at = dice.roll(all.len() + 1);
                let new = format!("changed {}\n", dice.roll(60)).into_bytes();
                match dice.roll(3) {
                    0 => all.insert(at, new),
                    1 if at < all.len() => drop(all.remove(at)),
                    _ if at < all.len() => all[at] = new,
                    _ => all.push(new),
                }
            }
            *content = all.concat();
        }
    }
}

/// Does something to the files; whether that was a rename.
fn change(dice: &mut Dice, files: &mut Files) -> bool {
    let paths: Vec<String> = files.keys().cloned().collect();
    let path = match paths.is_empty() {
        true => String::new(),
        false => dice.one(&paths).clone(),
    };
    let new_path = format!("{}{}", dice.one(FOLDERS), dice.one(NAMES));
    match dice.roll(20) {
        _ if paths.is_empty() => drop(files.insert(new_path, content(dice))),
        0..=6 => {
            let (mode, content) = files.get_mut(&path).unwrap();
            edit(dice, *mode, content);
        }
        7 | 8 => drop(files.remove(&path)),
        9 | 10 if is_free(files, &new_path) => drop(files.insert(new_path, content(dice))),
        11 => {
            let (mode, _) = files.get_mut(&path).unwrap();
            if *mode & 0o170_000 == 0o100_000 {
                *mode ^= 0o111;
            }
        }
        12 => {
            // It becomes something else.
            files.insert(path, content(dice));
        }
        13 => {
            // A file where a folder was.
            if let Some((folder, _)) = path.rsplit_once('/') {
                let below = format!("{folder}/");
                files.retain(|path, _| !path.starts_with(&below));
                files.insert(folder.to_owned(), content(dice));
            }
        }
        14 => {
            // A folder where a file was.
            let moved = files.remove(&path).unwrap();
            files.insert(format!("{path}/inside"), moved);
            return true;
        }
        15 | 16 => {
            // A folder goes elsewhere, mostly whole.
            let Some((folder, _)) = path.rsplit_once('/') else {
                return false;
            };
            let below = format!("{folder}/");
            let to = ["moved/", "moved/on/", "src/new/", ""][dice.roll(4)];
            for path in paths.iter().filter(|path| path.starts_with(&below)) {
                let target = format!("{to}{}", &path[below.len()..]);
                if dice.roll(12) > 0 && is_free(files, &target) {
                    let file = files.remove(path).unwrap();
                    files.insert(target, file);
                }
            }
            return true;
        }
        _ if is_free(files, &new_path) => {
            let (mode, mut content) = files.remove(&path).unwrap();
            if dice.roll(2) == 0 {
                edit(dice, mode, &mut content);
            }
            if !is_free(files, &new_path) {
                files.insert(path, (mode, content));
                return false;
            }
            files.insert(new_path, (mode, content));
            return true;
        }
        _ => {}
    }
    false
}

/// What `git fast-import` is to make.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    commits: usize,
}

impl Stream {
    fn commit(&mut self, name: &str, parents: &[usize], files: &Files) -> usize {
        self.commits += 1;
        let number = self.commits;
        let mut head = format!(
            "commit refs/heads/{name}\nmark :{number}\n\
             committer Ada <ada@example.com> {} +0000\ndata 1\nx\n",
            1_700_000_000 + number
        );
        let first = parents.first().copied();
        if let Some(parent) = first {
            writeln!(head, "from :{parent}").unwrap();
        }
        for parent in parents.iter().skip(1) {
            writeln!(head, "merge :{parent}").unwrap();
        }
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(b"deleteall\n");
        for (path, (mode, content)) in files {
            if *mode == 0o160_000 {
                let line = format!("M 160000 {} {path}\n", String::from_utf8_lossy(content));
                self.bytes.extend_from_slice(line.as_bytes());
                continue;
            }
            let line = format!("M {mode:06o} inline {path}\ndata {}\n", content.len());
            self.bytes.extend_from_slice(line.as_bytes());
            self.bytes.extend_from_slice(content);
            self.bytes.push(b'\n');
        }
        self.bytes.push(b'\n');
        number
    }
}

/// Two branches to be merged.
struct Case {
    names: [String; 2],
    has_renames: bool,
}

fn case(dice: &mut Dice, number: usize, stream: &mut Stream) -> Case {
    let names = [format!("c{number}/ours"), format!("c{number}/theirs")];
    let mut base = Files::new();
    for _ in 0..6 + dice.roll(16) {
        let path = format!("{}{}{}", dice.one(FOLDERS), dice.one(NAMES), dice.roll(3));
        if is_free(&base, &path) {
            base.insert(path, content(dice));
        }
    }
    let mut has_renames = false;
    let mut changed = |dice: &mut Dice, files: &Files| {
        let mut files = files.clone();
        for _ in 0..=dice.roll(5) {
            has_renames |= change(dice, &mut files);
        }
        files
    };
    // Files that both add, and a few that nobody touches.
    let root = stream.commit(&names[0], &[], &base);
    let (mut ours, mut theirs) = (changed(dice, &base), changed(dice, &base));
    let mut tips = [
        stream.commit(&names[0], &[root], &ours),
        stream.commit(&names[1], &[root], &theirs),
    ];
    // Histories that cross: several merge bases, and merge bases of these.
    if dice.roll(4) == 0 {
        for _ in 0..=dice.roll(3) {
            let (mut left, mut right) = (ours.clone(), theirs.clone());
            for (path, file) in &theirs {
                if dice.roll(2) == 0 && is_free(&left, path) {
                    left.insert(path.clone(), file.clone());
                }
            }
            for (path, file) in &ours {
                if dice.roll(2) == 0 && is_free(&right, path) {
                    right.insert(path.clone(), file.clone());
                }
            }
            (left, right) = (changed(dice, &left), changed(dice, &right));
            tips = [
                stream.commit(&names[0], &tips, &left),
                stream.commit(&names[1], &[tips[1], tips[0]], &right),
            ];
            (ours, theirs) = (left, right);
        }
    }
    Case { names, has_renames }
}

/// A stage that git should not have.
const NOTHING: &[u8] = b"000000 0000000000000000000000000000000000000000";

/// git's answers, one after the other, without advice about submodules.
fn records(mut output: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !output.is_empty() {
        let start = output;
        let mut used = 0;
        let mut field = || {
            let rest = &start[used..];
            let length = rest.iter().position(|byte| *byte == 0).unwrap();
            used += length + 1;
            rest[..length].to_vec()
        };
        let is_clean = field() == b"1";
        field();
        let mut record = None;
        for _ in 0..if is_clean { 1 } else { 2 } {
            loop {
                let text = field();
                if text.is_empty() {
                    break;
                }
                if text.starts_with(b"Recursive merging with submodules") {
                    record = Some(text.len());
                    break;
                }
            }
        }
        let mut bytes = start[..used].to_vec();
        if let Some(advice) = record {
            bytes.truncate(used - 1 - advice);
            bytes.push(0);
        }
        records.push(bytes);
        output = &start[used..];
    }
    records
}

fn merge(view: &View, names: &[String; 2]) -> Vec<u8> {
    let ids: Vec<ObjectId> = names
        .iter()
        .map(|name| view.refs.resolve(format!("refs/heads/{name}").as_bytes()))
        .map(Option::unwrap)
        .collect();
    let labels = Labels {
        ancestor: b"",
        ours: names[0].as_bytes(),
        theirs: names[1].as_bytes(),
    };
    let options = MergeOptions::default();
    let mut printed = Vec::new();
    match merge_commits(&view.pool, &ids[0], &ids[1], &labels, &options) {
        Ok(merged) => merged.write_as_git(&mut printed),
        Err(error) => printed = error.to_string().into_bytes(),
    }
    printed
}

/// Merges random histories made from `seed`, and holds all of what comes of them, messages
/// included, against git.
fn check(seed: u64, count: usize) {
    let mut dice = Dice(seed);
    let mut stream = Stream::default();
    let cases: Vec<Case> = (0..count)
        .map(|number| case(&mut dice, number, &mut stream))
        .collect();
    let repo = GitRepo::imported(&stream.bytes);
    let view = repo.view();
    let mut input = String::new();
    for case in &cases {
        writeln!(input, "{} {}", case.names[0], case.names[1]).unwrap();
    }
    let output = repo.run(
        &["merge-tree", "--write-tree", "-z", "--stdin"],
        input.as_bytes(),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let expected = records(&output.stdout);
    assert_eq!(expected.len(), cases.len());
    let (mut clean, mut conflicted, mut renamed) = (0, 0, 0);
    let mut wrong = Vec::new();
    for (case, expected) in cases.iter().zip(&expected) {
        let found = merge(&view, &case.names);
        let show = |text: &[u8]| String::from_utf8_lossy(text).replace('\0', "\n");
        // A file that follows its folder away from where the base has a folder: git drops ours.
        let is_broken = expected.windows(NOTHING.len()).any(|part| part == NOTHING);
        if found != *expected && !is_broken {
            wrong.push(format!(
                "{}\nours:\n{}\ngit's:\n{}",
                case.names[0],
                show(&found),
                show(expected)
            ));
        }
        match expected[0] {
            b'1' => clean += 1,
            _ => conflicted += 1,
        }
        renamed += usize::from(case.has_renames);
    }
    println!("{count} histories: {clean} merged, {conflicted} conflicted, {renamed} renamed");
    if let Some(first) = wrong.first() {
        if let Some(folder) = std::env::var_os("GOVC_KEEP_MERGES") {
            std::fs::write(folder, &stream.bytes).unwrap();
        }
        wrong.iter().skip(1).for_each(|wrong| println!("{wrong}"));
        panic!("seed {seed}: {} of {count} differ: {first}", wrong.len());
    }
    let part = count / 5;
    assert!(clean >= part && conflicted >= part && renamed >= part);
}

#[test]
fn merges_are_those_of_git() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("GOVC_MERGE_SEEDS") {
        None => check(1, 400),
        Some(seeds) => (0..seeds).for_each(|seed| check(1_000 + seed, 400)),
    }
}
