//! Diffs of a real history beside git's: `cargo run --release --example beside_git -- REPO COMMITS`.
//!
//! Compares the raw diffs with renames and the patches of the newest commits (of their first
//! parents) with those that git prints, and says how many are equal and what each took.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program for developers: it prints, and fails by panicking"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::journal::{PackBytes, PackId};
use govc_engine::pool::{GraphSource, Pool, PoolLimits};
use govc_engine::work::blame::{BlameQuery, blame};
use govc_engine::work::diff::renames::RenameOptions;
use govc_engine::work::diff::{DiffOptions, FileDiff, PatchMaker, PatchOptions, diff_trees};
use govc_git::{ObjectFormat, ObjectId};

fn main() {
    let mut args = std::env::args().skip(1);
    let repo = args.next().unwrap();
    let count = args.next().unwrap_or_else(|| "1000".to_owned());
    let what = args.next().unwrap_or_else(|| "-M".to_owned());
    let pool = pool(Path::new(&repo));
    let range = args.next().unwrap_or_else(|| "HEAD".to_owned());
    let log = [
        "rev-list",
        "--no-merges",
        "--min-parents=1",
        "-n",
        &count,
        &range,
    ];
    let commits = String::from_utf8(git(&repo, &log, b"")).unwrap();
    let graph = pool.graph();
    let mut pairs = Vec::new();
    for line in commits.lines() {
        let id = ObjectId::from_hex(line.as_bytes()).unwrap();
        let commit = graph.number(&id).unwrap();
        let parent = graph.first_parent(commit).unwrap();
        pairs.push((graph.tree(parent), graph.tree(commit)));
    }
    let input: String = pairs.iter().map(|(a, b)| format!("{a} {b}\n")).collect();
    let options = DiffOptions {
        renames: match what.as_str() {
            "none" => None,
            what => Some(RenameOptions {
                copies: what == "-C",
                ..RenameOptions::default()
            }),
        },
        ..DiffOptions::default()
    };
    let flag = if what == "none" {
        "--no-renames"
    } else {
        &what
    };
    if what == "blame" {
        let paths = args.collect::<Vec<_>>();
        return blame_beside(&pool, &repo, &range, &paths);
    }
    let (mut equal, mut files, mut moved) = (0, 0, 0);
    let start = cpu();
    let mut ours = Vec::new();
    for (old, new) in &pairs {
        let (diff, _) = diff_trees(&pool, Some(old), Some(new), &options).unwrap();
        ours.push(diff);
    }
    println!("raw, us: {:.2} s", cpu() - start);
    let start = children();
    let args = ["diff-tree", "--stdin", "-r", flag, "--raw", "--no-abbrev"];
    let raw = git(&repo, &args, input.as_bytes());
    println!("raw, git: {:.2} s", children() - start);
    for ((pair, ours), theirs) in pairs.iter().zip(&ours).zip(sections(&raw, &pairs)) {
        let ours = raw_text(&pool, ours, &mut files, &mut moved);
        if ours == theirs {
            equal += 1;
        } else {
            println!("differs: {} {}", pair.0, pair.1);
        }
    }
    println!(
        "raw: {equal} of {} equal, {files} files, {moved} moved",
        pairs.len()
    );
    let mut patches = Vec::new();
    let start = cpu();
    for files in &ours {
        let mut maker = PatchMaker::new(PatchOptions::default());
        let mut text = Vec::new();
        for file in files {
            text.extend_from_slice(&maker.patch(&*pool, file).unwrap().text);
        }
        patches.push(text);
    }
    println!("patches, us: {:.2} s", cpu() - start);
    let start = children();
    let args = [
        "diff-tree",
        "--stdin",
        "-r",
        flag,
        "-p",
        "--full-index",
        "--binary",
    ];
    let theirs = git(&repo, &args, input.as_bytes());
    println!("patches, git: {:.2} s", children() - start);
    let mut equal = 0;
    for ((pair, ours), theirs) in pairs.iter().zip(&patches).zip(sections(&theirs, &pairs)) {
        if ours == theirs {
            equal += 1;
        } else {
            println!("patch differs: {} {}", pair.0, pair.1);
        }
    }
    println!("patches: {equal} of {} equal", pairs.len());
}

/// The blame of files, line by line: in git's porcelain for each its commit, line and path there.
fn blame_beside(pool: &Pool, repo: &str, rev: &str, paths: &[String]) {
    let rev = String::from_utf8(git(repo, &["rev-parse", rev], b"")).unwrap();
    let tip = pool
        .graph()
        .number(&ObjectId::from_hex(rev.trim().as_bytes()).unwrap());
    for path in paths {
        for flags in [&[][..], &["-w"]] {
            let query = BlameQuery {
                path: path.clone().into(),
                ignore_whitespace: !flags.is_empty(),
                ..BlameQuery::default()
            };
            let start = cpu();
            let found = blame(pool, tip.unwrap(), &query).unwrap();
            let ours_took = cpu() - start;
            let mut ours = Vec::new();
            for piece in &found.blamed {
                for at in 0..piece.lines.len() {
                    let path = String::from_utf8_lossy(&piece.path);
                    ours.push(format!(
                        "{} {} {path}",
                        piece.commit,
                        piece.origin_line + at + 1
                    ));
                }
            }
            let start = children();
            let args = [
                &["blame", "--line-porcelain"],
                flags,
                &[rev.trim(), "--", path],
            ]
            .concat();
            let text = git(repo, &args, b"");
            let theirs_took = children() - start;
            let mut theirs = Vec::new();
            let mut head = String::new();
            for line in text.split(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(line);
                if let Some(path) = line.strip_prefix("filename ") {
                    theirs.push(format!("{head} {path}"));
                } else if line.len() > 41 && line.as_bytes()[..40].iter().all(u8::is_ascii_hexdigit)
                {
                    head = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
                }
            }
            let equal = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            println!(
                "{path} {flags:?}: {equal} of {} lines equal, us {ours_took:.2} s, git {theirs_took:.2} s",
                theirs.len()
            );
            let differ = ours.iter().zip(&theirs).filter(|(a, b)| a != b);
            for (ours, theirs) in differ.take(3) {
                println!("  us {ours}, git {theirs}");
            }
        }
    }
}

fn raw_text(pool: &Pool, diff: &[FileDiff], files: &mut u64, moved: &mut u64) -> Vec<u8> {
    use govc_engine::work::diff::quoted;
    let mut out = Vec::new();
    for file in diff {
        *files += 1;
        let null = pool.format().null();
        let mode = |found: &Option<govc_engine::work::tree::Found>| found.map_or(0, |f| f.mode);
        let id = |found: &Option<govc_engine::work::tree::Found>| found.map_or(null, |f| f.id);
        let letter = file.status.letter();
        write!(
            out,
            ":{:06o} {:06o} {} {} {letter}",
            mode(&file.old),
            mode(&file.new),
            id(&file.old),
            id(&file.new),
        )
        .unwrap();
        if let Some(old) = &file.old_path {
            *moved += 1;
            write!(out, "{:03}\t", file.similarity()).unwrap();
            out.extend_from_slice(&quoted(old));
        }
        out.push(b'\t');
        out.extend_from_slice(&quoted(&file.path));
        out.push(b'\n');
    }
    out
}

/// What git printed for each pair.
fn sections<'t>(text: &'t [u8], pairs: &[(ObjectId, ObjectId)]) -> Vec<&'t [u8]> {
    let mut sections = Vec::new();
    let mut rest = text;
    let header = |(a, b): &(ObjectId, ObjectId)| format!("{a} {b}\n").into_bytes();
    for (at, pair) in pairs.iter().enumerate() {
        // A pair without a difference is not named.
        let Some(behind) = rest.strip_prefix(&header(pair)[..]) else {
            sections.push(&rest[..0]);
            continue;
        };
        let next = pairs[at + 1..].iter().find_map(|next| {
            let next = header(next);
            let finder = memchr::memmem::find_iter(behind, &next);
            finder
                .into_iter()
                .find(|at| *at == 0 || behind[at - 1] == b'\n')
        });
        let end = next.unwrap_or(behind.len());
        sections.push(behind[..end].strip_prefix(b"\n").unwrap_or(&behind[..end]));
        rest = &behind[end..];
    }
    sections
}

fn pool(repo: &Path) -> Arc<Pool> {
    let limits = PoolLimits {
        read_cache_bytes: 64 << 20,
        delta_base_cache_bytes: 96 << 20,
        ..PoolLimits::default()
    };
    let pool = Pool::new(ObjectFormat::Sha1, limits);
    for file in std::fs::read_dir(repo.join("objects/pack")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "pack") {
            continue;
        }
        let pack = Bytes::from(std::fs::read(&file).unwrap());
        let index = Bytes::from(std::fs::read(file.with_extension("idx")).unwrap());
        let name = file.file_stem().unwrap().to_str().unwrap();
        let id = ObjectId::from_hex(name.trim_start_matches("pack-").as_bytes()).unwrap();
        pool.add_pack(PackId(id), PackBytes { pack, index }, GraphSource::Scan)
            .unwrap();
    }
    pool
}

fn git(repo: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("git")
        .arg("--git-dir")
        .arg(repo)
        .args(args)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "git {args:?}");
    output.stdout
}

/// CPU seconds of this process.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds of the children that have ended.
fn children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[13].parse::<f64>().unwrap() + fields[14].parse::<f64>().unwrap();
    ticks / 100.0
}
