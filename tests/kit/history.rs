//! Histories out of a seed: the same number makes the same objects, on every machine.

use std::fmt::Write as _;

use crate::{Dice, Git};

/// What a generated history looks like.
#[derive(Debug, Clone)]
pub struct History {
    /// What it is made from.
    pub seed: u64,
    /// How many commits it has, merges included.
    pub commits: usize,
    /// How many topic branches stay at the end, besides `main`.
    pub branches: usize,
    /// How many tags, annotated and not.
    pub tags: usize,
    /// `sha1` or `sha256`.
    pub object_format: &'static str,
}

impl Default for History {
    fn default() -> History {
        History {
            seed: 1,
            commits: 60,
            branches: 4,
            tags: 4,
            object_format: "sha1",
        }
    }
}

/// Folders and files that a server or a client could stumble over, and plain ones.
const FOLDERS: &[&str] = &[
    "",
    "",
    "src/",
    "src/deep/er/still/",
    "docs/",
    "with space/",
    "ünï/",
    "a.b/",
    "a/",
    "a-b/",
];
const FILES: &[&str] = &[
    "README.md",
    "main.rs",
    "a",
    "b.txt",
    "-dash",
    "quote\"d",
    "back\\slash",
    "tab\there",
    "日本語",
    "latin\u{e9}",
    "%2e%2e",
    "Makefile",
    "x.lock",
    "HEAD",
    ".hidden",
    "con.txt",
];
const SUBJECTS: &[&str] = &[
    "Add a thing",
    "Fix it",
    "",
    "A subject of some length that says what was done and why",
    "Ünïcödé",
    "Two\nlines",
    "With a body\n\nThe body.\nIt has lines.\n",
    " indented",
    "tab\t",
];

impl History {
    /// A history of this size, otherwise ordinary.
    pub fn of(commits: usize, seed: u64) -> History {
        History {
            seed,
            commits,
            ..History::default()
        }
    }

    /// Makes the bare repository `name` in git's folder: branches, merges, tags, renames, odd
    /// names, every mode that there is. HEAD is `main`.
    pub fn make(&self, git: &Git, name: &str) {
        git.run(&format!(
            "init -q --bare -b main --object-format={} {name}",
            self.object_format
        ));
        git.feed(
            &format!("-C {name} fast-import --quiet --force"),
            self.stream().as_bytes(),
        );
    }

    /// The stream for `git fast-import`.
    fn stream(&self) -> String {
        let mut dice = Dice(self.seed);
        let mut out = String::from("feature done\n");
        let mut tips: Vec<(String, usize)> = Vec::new();
        let mut paths: Vec<String> = Vec::new();
        for mark in 1..=self.commits {
            let time = 1_600_000_000 + mark * 3600;
            let zone = dice.pick(&["+0000", "+0200", "-0730", "+1400"]);
            // A new topic now and then, else one of the branches that there are.
            let forks = tips.len() <= self.branches && dice.below(6) == 0;
            let (branch, parent) = match tips.len() {
                0 => ("main".to_owned(), None),
                count if forks => {
                    let from = tips[dice.below(count)].1;
                    (format!("topic/{count}"), Some(from))
                }
                count => {
                    let index = if dice.below(2) == 0 {
                        0
                    } else {
                        dice.below(count)
                    };
                    (tips[index].0.clone(), Some(tips[index].1))
                }
            };
            let merged = (tips.len() > 1 && dice.below(7) == 0)
                .then(|| tips[dice.below(tips.len())].1)
                .filter(|other| Some(*other) != parent);
            let subject = dice.pick(SUBJECTS);
            let _ = write!(
                out,
                "commit refs/heads/{branch}\nmark :{mark}\n\
                 author Ada <ada@example.com> {time} {zone}\n\
                 committer Bob <bob@example.com> {time} +0000\n\
                 data {}\n{subject}\n",
                subject.len()
            );
            if let Some(parent) = parent {
                let _ = writeln!(out, "from :{parent}");
            }
            if let Some(merged) = merged {
                let _ = writeln!(out, "merge :{merged}");
            }
            for _ in 0..1 + dice.below(4) {
                self.change(&mut dice, &mut out, &mut paths);
            }
            out.push('\n');
            match tips.iter_mut().find(|(name, _)| *name == branch) {
                Some(tip) => tip.1 = mark,
                None => tips.push((branch, mark)),
            }
        }
        for n in 0..self.tags {
            let mark = 1 + dice.below(self.commits);
            if n % 2 == 0 {
                let _ = write!(
                    out,
                    "tag v{n}\nfrom :{mark}\ntagger Ada <ada@example.com> 1700000000 +0100\n\
                     data 8\nVersion\n\n"
                );
            } else {
                let _ = write!(out, "reset refs/tags/light-{n}\nfrom :{mark}\n\n");
            }
        }
        out.push_str("done\n");
        out
    }

    fn change(&self, dice: &mut Dice, out: &mut String, paths: &mut Vec<String>) {
        if paths.len() > 4 && dice.below(8) == 0 {
            let gone = paths.swap_remove(dice.below(paths.len()));
            let _ = writeln!(out, "D {}", quoted(&gone));
            return;
        }
        let path = format!("{}{}", dice.pick(FOLDERS), dice.pick(FILES));
        let mode = match dice.below(12) {
            0 => "100755",
            1 => "120000",
            2 => "160000",
            _ => "100644",
        };
        if mode == "160000" {
            let digits = if self.object_format == "sha256" {
                64
            } else {
                40
            };
            let id = "5".repeat(digits);
            let _ = writeln!(out, "M 160000 {id} {}", quoted(&path));
        } else {
            let mut content = String::new();
            for _ in 0..1 + dice.below(30) {
                let _ = writeln!(content, "line {:x}", dice.roll() >> 48);
            }
            if mode == "120000" {
                content = "target".to_owned();
            }
            let _ = writeln!(
                out,
                "M {mode} inline {}\ndata {}\n{content}",
                quoted(&path),
                content.len()
            );
        }
        paths.push(path);
    }
}

/// A path as fast-import reads it.
fn quoted(path: &str) -> String {
    let mut text = String::from("\"");
    for c in path.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\t' => text.push_str("\\t"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_history_that_git_finds_nothing_wrong_with() {
        let git = Git::new();
        History::of(80, 7).make(&git, "a");
        History::of(80, 7).make(&git, "b");
        History::of(80, 8).make(&git, "c");
        git.fsck("a");
        assert_eq!(git.refs("a"), git.refs("b"));
        assert_ne!(git.refs("a"), git.refs("c"));
        assert_eq!(git.run("-C a rev-list --all --count"), "80");
        let merges = git.run("-C a rev-list --all --merges --count");
        assert_ne!(merges, "0");
        let modes = git.run("-C a log --all --raw --format= --no-renames");
        for mode in ["100644", "100755", "120000", "160000"] {
            assert!(modes.contains(mode), "no {mode}");
        }
    }

    #[test]
    fn sha256_too() {
        let git = Git::new();
        let history = History {
            object_format: "sha256",
            ..History::of(30, 1)
        };
        history.make(&git, "a");
        git.fsck("a");
        assert_eq!(git.run("-C a rev-parse main").len(), 64);
    }
}
