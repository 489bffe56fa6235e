//! Histories made up from a seed: merges, several roots, equal and backward dates, files that are
//! moved, deleted and put back.

use std::collections::BTreeMap;
use std::fmt::Write;

/// xorshift64*: the same story for the same seed, everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *self.pick_ref(from)
    }

    pub(crate) fn pick_ref<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

pub(crate) const PATHS: &[&str] = &[
    "a",
    "b",
    "c d",
    "dir/a",
    "dir/b",
    "dir/sub/x",
    "dir/sub/y",
    "dir.x",
    "dir-y/a",
    "dir0",
    "z/z/z",
];

type Files = BTreeMap<&'static str, (&'static str, String)>;

/// A history of `length` commits as `git fast-import` reads it. Every commit names its whole tree.
pub(crate) fn story(seed: u64, length: usize) -> String {
    let mut dice = Dice::new(seed);
    let mut stream = String::new();
    let mut trees: Vec<Files> = Vec::new();
    let mut date: i64 = 1_600_000_000;
    let (step, jitter) = dice.pick(&[(10, 0), (1, 0), (0, 0), (2, 1), (5, 40)]);
    for number in 1..=length {
        let is_root = number == 1 || dice.percent(2);
        let mut parents: Vec<usize> = Vec::new();
        if !is_root {
            let wanted = dice.pick(&[1, 1, 1, 1, 1, 2, 2, 3]);
            for _ in 0..wanted {
                let back = 1 + dice.below(8.min(number - 1));
                if !parents.contains(&(number - back)) {
                    parents.push(number - back);
                }
            }
        }
        let mut files = match parents.is_empty() {
            true => Files::new(),
            false => trees[dice.pick(&parents) - 1].clone(),
        };
        // A merge often takes a file from the other side, and often nothing else happens.
        for parent in &parents {
            for (path, file) in &trees[parent - 1] {
                if parents.len() > 1 && dice.percent(40) {
                    put(&mut files, path, file.clone());
                }
            }
        }
        let edits = match parents.len() {
            0 => 3,
            1 => 1 + dice.below(2),
            _ => dice.below(2),
        };
        for _ in 0..edits {
            let path = dice.pick(PATHS);
            match dice.below(10) {
                0..=6 => {
                    let mode = dice.pick(&["100644", "100644", "100644", "100755"]);
                    put(&mut files, path, (mode, format!("{}\n", dice.below(5))));
                }
                7 => {
                    files.remove(path);
                }
                _ => {
                    if let Some(file) = files.remove(path) {
                        put(&mut files, dice.pick(PATHS), file);
                    }
                }
            }
        }
        date += dice.below(step + 1) as i64 - dice.below(jitter + 1) as i64;
        let author = dice.pick(&[
            "Ada Love <ada@example.org>",
            "Bob <bob@EXAMPLE.org>",
            "Čeněk <c@x>",
        ]);
        let text = format!(
            "{} {}\n\nbody {}\n",
            dice.pick(&["fix", "add", "drop"]),
            number,
            dice.below(9)
        );
        let branch = dice.pick(&["main", "topic/one", "side"]);
        let _ = write!(
            stream,
            "commit refs/heads/{branch}\nmark :{number}\nauthor {author} {} +0200\n\
             committer Com Mitter <cm@example.org> {date} -0030\ndata {}\n{text}",
            date - 500,
            text.len()
        );
        for (nth, parent) in parents.iter().enumerate() {
            let verb = if nth == 0 { "from" } else { "merge" };
            let _ = writeln!(stream, "{verb} :{parent}");
        }
        if parents.is_empty() && number > 1 {
            // Without a parent: fast-import would continue the branch.
            let at = stream.rfind("commit refs/heads/").unwrap();
            stream.insert_str(at, &format!("reset refs/heads/{branch}\n"));
        }
        stream.push_str("deleteall\n");
        for (path, (mode, content)) in &files {
            let _ = write!(
                stream,
                "M {mode} inline {path}\ndata {}\n{content}",
                content.len()
            );
        }
        stream.push('\n');
        trees.push(files);
    }
    for (name, number) in [
        ("v1", length / 2),
        ("v2.0", length),
        ("old", 1),
        ("main", length / 3 + 1),
    ] {
        if dice.percent(50) {
            let _ = write!(
                stream,
                "tag {name}\nfrom :{number}\ntagger T <t@example.org> {date} +0000\ndata 4\ntag\n\n"
            );
        } else {
            let _ = write!(stream, "reset refs/tags/{name}\nfrom :{number}\n\n");
        }
    }
    let _ = write!(stream, "reset refs/heads/main\nfrom :{length}\n\n");
    stream
}

/// Puts a file where git could have it: what is in its way goes.
fn put(files: &mut Files, path: &'static str, file: (&'static str, String)) {
    let below = format!("{path}/");
    files.retain(|other, _| !other.starts_with(&below) && !path.starts_with(&format!("{other}/")));
    files.insert(path, file);
}
