//! Repositories to measure with: made by `git fast-import`, the same at every run.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `git` with nobody's configuration, on `dir`.
pub fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", "/nonexistent")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.com")
        .env("GIT_TERMINAL_PROMPT", "0");
    command
}

/// Runs `git` to its end and gives its output, trimmed. It must succeed.
pub fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs `git` to its end with something to read. It must succeed.
pub fn feed(command: &mut Command, input: &str) {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("git starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("git reads");
    drop(stdin);
    assert!(child.wait().expect("git ends").success(), "{command:?}");
}

/// A new bare repository at `dir/name`.
pub fn bare(dir: &Path, name: &str) -> PathBuf {
    output(git(dir).args(["init", "-q", "--bare", "-b", "main", name]));
    dir.join(name)
}

/// Pipes `stream` into `git fast-import` on `repository`.
pub fn fast_import(repository: &Path, stream: impl FnOnce(&mut dyn Write)) {
    let mut child = git(repository)
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("git fast-import starts");
    let mut input = std::io::BufWriter::with_capacity(1 << 20, child.stdin.take().expect("a pipe"));
    stream(&mut input);
    drop(input);
    assert!(child.wait().expect("git fast-import ends").success());
}

/// Small, fast, the same everywhere: SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A history like a real one: source files in nested folders of which some lines are written anew at
/// a time, an eighth of the commits merges, tags now and then; packed by `git repack -adf`. Of
/// 60,000 commits it is a pack of more than 300 MB, in which nine of ten objects are deltas.
pub fn lifelike(dir: &Path, name: &str, commits: usize) -> PathBuf {
    let repository = bare(dir, name);
    fast_import(&repository, |out| {
        write_lifelike(out, commits).expect("git reads")
    });
    output(git(&repository).args(["repack", "-adfq", "--window=10", "--depth=50"]));
    repository
}

fn write_lifelike(out: &mut dyn Write, commits: usize) -> std::io::Result<()> {
    const LINES: usize = 1_000;
    let count = (commits / 30).clamp(50, 2_000);
    let mut random = Random(1);
    let mut files: Vec<Vec<u64>> = (0..count)
        .map(|_| (0..LINES).map(|_| random.next()).collect())
        .collect();
    let path = |file: usize| format!("src/m{}/n{}/file{file}.rs", file % 20, file / 20 % 20);
    let mut text = String::new();
    for commit in 1..=commits {
        let time = 1_500_000_000 + commit * 60;
        let is_merge = commit > 20 && commit % 8 == 0;
        writeln!(out, "commit refs/heads/main\nmark :{commit}")?;
        writeln!(out, "committer Ada <ada@example.com> {time} +0000")?;
        let message = format!(
            "change number {commit}\n\nIt does what {} asks for.\n",
            commit * 7
        );
        writeln!(out, "data {}\n{message}", message.len())?;
        if commit > 1 {
            writeln!(out, "from :{}", commit - 1)?;
        }
        if is_merge {
            writeln!(out, "merge :{}", commit - 2 - random.below(8))?;
        }
        let touched: Vec<usize> = if commit == 1 {
            (0..count).collect()
        } else {
            (0..1 + random.below(3))
                .map(|_| random.below(count))
                .collect()
        };
        for file in touched {
            // Functions are written anew, not lines here and there.
            for _ in 0..1 + random.below(6) {
                let lines = &mut files[file];
                let first = random.below(lines.len());
                let last = lines.len().min(first + 10 + random.below(40));
                // It grows, as files do: so git finds the version before it beside it.
                let new: Vec<u64> = (first..=last).map(|_| random.next()).collect();
                lines.splice(first..last, new);
            }
            text.clear();
            for line in &files[file] {
                write_statement(&mut text, *line);
            }
            writeln!(
                out,
                "M 100644 inline {}\ndata {}\n{text}",
                path(file),
                text.len()
            )?;
        }
        if commit % 1000 == 0 {
            writeln!(out, "reset refs/tags/v{}\nfrom :{commit}\n", commit / 1000)?;
        }
    }
    Ok(())
}

/// A line of source that says `bits`: five words of some thousand, and a number.
fn write_statement(text: &mut String, bits: u64) {
    const SYLLABLES: [&str; 32] = [
        "ac", "be", "ca", "de", "el", "fo", "ga", "he", "in", "ja", "ke", "lo", "ma", "ne", "or",
        "pa", "qui", "re", "so", "ta", "un", "va", "we", "ex", "yo", "zi", "th", "st", "al", "ri",
        "co", "mi",
    ];
    let word = |place: u32| {
        let at = |place: u32| SYLLABLES[(bits >> (place * 5) & 31) as usize];
        (at(place * 2), at(place * 2 + 1))
    };
    let [(a, b), (c, d), (e, f), (g, h), (i, j)] = [word(0), word(1), word(2), word(3), word(4)];
    let number = bits >> 50;
    let _ = writeln!(
        text,
        "    let {a}{b} = {c}{d}.{e}{f}({g}{h}, {i}{j} + {number});"
    );
}

/// A million commits, or as many as asked for: 1,024 small files, an eighth of them merges of
/// topics. Not repacked, with a commit-graph.
pub fn million(dir: &Path, name: &str, commits: usize) -> PathBuf {
    let repository = bare(dir, name);
    fast_import(&repository, |out| {
        write_million(out, commits).expect("git reads")
    });
    output(git(&repository).args(["commit-graph", "write", "--reachable"]));
    repository
}

fn write_million(out: &mut dyn Write, commits: usize) -> std::io::Result<()> {
    let mut random = Random(2);
    for commit in 1..=commits {
        let time = 1_300_000_000 + commit * 10;
        let is_merge = commit > 40 && commit % 8 == 0;
        // Topics leave the main line and come back with the merge after.
        let branch = if commit % 8 == 7 { "topic" } else { "main" };
        writeln!(out, "commit refs/heads/{branch}\nmark :{commit}")?;
        writeln!(
            out,
            "committer Ada <ada@example.com> {time} +0000\ndata 7\nchange\n"
        )?;
        if commit > 1 {
            let parent = if branch == "topic" {
                commit - 1 - random.below(6)
            } else {
                commit - 1
            };
            let parent = if parent % 8 == 7 { parent - 1 } else { parent };
            writeln!(out, "from :{parent}")?;
        }
        if is_merge {
            writeln!(out, "merge :{}", commit - 1)?;
        }
        let file = random.below(1024);
        let text = format!("{} {}\n", commit, random.below(1 << 30));
        let path = format!("d{}/e{}/f{file}", file % 16, file / 16 % 8);
        writeln!(out, "M 100644 inline {path}\ndata {}\n{text}", text.len())?;
    }
    Ok(())
}
