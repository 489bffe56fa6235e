//! Merges of a repository's own history, beside `git merge-tree`, and held against it.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use bytes::Bytes;
use govc_engine::journal::{PackBytes, PackId};
use govc_engine::pool::{GraphSource, Pool, PoolLimits};
use govc_engine::work::merge::{Labels, MergeOptions, merge_commits};
use govc_git::{ObjectFormat, ObjectId};

use crate::fixture;
use crate::table::Table;
use crate::usage;

/// Merges up to `count` of the newest merges of `source` again: what comes of each is held against
/// git (tree, verdict, stages, messages), then both are timed.
pub fn run(dir: &Path, source: &Path, count: usize, table: &mut Table) {
    let repository = borrowed(dir, source);
    let pairs = pairs(&repository, count);
    assert!(
        !pairs.is_empty(),
        "there are merges in {}",
        source.display()
    );
    let input = dir.join("merges.txt");
    let lines: String = pairs.iter().map(|[a, b]| format!("{a} {b}\n")).collect();
    fs::write(&input, lines).expect("a file");
    let command = || {
        let mut command = fixture::git(&repository);
        command.args(["merge-tree", "--write-tree", "-z", "--stdin"]);
        command.stdin(fs::File::open(&input).expect("the file"));
        command
    };
    // Once for the answers; the second time the objects are there.
    let output = command().output().expect("git runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let pool = open(source, &repository);
    let options = MergeOptions::default();
    let merge = |[a, b]: &[ObjectId; 2]| {
        let (ours, theirs) = (a.to_string(), b.to_string());
        let labels = Labels {
            ancestor: b"",
            ours: ours.as_bytes(),
            theirs: theirs.as_bytes(),
        };
        merge_commits(&pool, a, b, &labels, &options)
    };
    let mut rest = &output.stdout[..];
    let (mut equal, mut conflicted, mut slowest) = (0, 0, 0.0f64);
    for pair in &pairs {
        let start = Instant::now();
        let merged = merge(pair);
        slowest = slowest.max(start.elapsed().as_secs_f64());
        let mut found = Vec::new();
        match &merged {
            Ok(merged) => merged.write_as_git(&mut found),
            Err(error) => eprintln!("  {} {}: {error}", pair[0], pair[1]),
        }
        let record = record(&mut rest);
        conflicted += usize::from(record.first() == Some(&b'0'));
        match found == record {
            true => equal += 1,
            false => eprintln!(
                "  {} {} differs:\n{}\n{}",
                pair[0],
                pair[1],
                show(&found),
                show(&record)
            ),
        }
    }
    table.figure(
        &format!("merges equal to git's, {conflicted} of them conflicted"),
        &format!("{equal} of {}", pairs.len()),
        "all",
    );
    let peer = usage::of_command(&mut command()).cpu;
    let (_, ours) = usage::of_this_process(|| {
        for pair in &pairs {
            let _ = black_box(merge(pair));
        }
    });
    let each = 1e3 / pairs.len() as f64;
    table.less_is_better("merge, CPU", peer * each, ours.cpu * each, "ms", 1.0);
    table.figure("slowest merge", &format!("{:.0} ms", slowest * 1e3), "");
    assert_eq!(equal, pairs.len(), "all merges are git's");
}

fn show(record: &[u8]) -> String {
    String::from_utf8_lossy(record).replace('\0', "\n    ")
}

/// The next of git's answers, without advice about submodules.
fn record(rest: &mut &[u8]) -> Vec<u8> {
    let all = *rest;
    let mut used = 0;
    let mut advice = 0;
    let mut field = || {
        let length = all[used..].iter().position(|byte| *byte == 0);
        let length = length.expect("a NUL");
        used += length + 1;
        &all[used - 1 - length..used - 1]
    };
    let is_clean = field() == b"1";
    field();
    for _ in 0..if is_clean { 1 } else { 2 } {
        loop {
            let text = field();
            if text.starts_with(b"Recursive merging with submodules") {
                advice = text.len();
            }
            if text.is_empty() || advice > 0 {
                break;
            }
        }
    }
    *rest = &all[used..];
    let mut record = all[..used - 1 - advice].to_vec();
    record.push(0);
    record
}

/// A bare repository with a commit-graph that has the objects of `source`.
fn borrowed(dir: &Path, source: &Path) -> PathBuf {
    let repository = dir.join("borrowed.git");
    let name = repository.to_str().expect("UTF-8");
    fixture::output(fixture::git(dir).args(["init", "-q", "--bare", name]));
    let objects = fs::canonicalize(source.join("objects")).expect("a repository");
    fs::write(
        repository.join("objects/info/alternates"),
        format!("{}\n", objects.display()),
    )
    .expect("a file");
    let refs = ["for-each-ref", "--format=create %(refname) %(objectname)"];
    let refs = fixture::output(fixture::git(source).args(refs));
    let update = ["update-ref", "--stdin"];
    fixture::feed(fixture::git(&repository).args(update), &format!("{refs}\n"));
    fixture::output(fixture::git(&repository).args(["commit-graph", "write", "--reachable"]));
    repository
}

/// Parents of merges that have two, and a common ancestor; the newest first.
fn pairs(repository: &Path, count: usize) -> Vec<[ObjectId; 2]> {
    let limit = format!("--max-count={count}");
    let args = [
        "rev-list",
        "--all",
        "--min-parents=2",
        "--max-parents=2",
        "--parents",
        "--date-order",
        &limit,
    ];
    let listed = fixture::output(fixture::git(repository).args(args));
    let ids = |line: &str| {
        let mut ids = line.split(' ').skip(1);
        let mut id = || ObjectId::from_hex(ids.next()?.as_bytes()).ok();
        Some([id()?, id()?])
    };
    let pairs = listed.lines().filter_map(ids);
    let has_base = |pair: &[ObjectId; 2]| {
        let [a, b] = pair.map(|id| id.to_string());
        let status = fixture::git(repository)
            .args(["merge-base", &a, &b])
            .stdout(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    pairs.filter(has_base).collect()
}

fn open(source: &Path, repository: &Path) -> std::sync::Arc<Pool> {
    let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
    let graph = fs::read(repository.join("objects/info/commit-graph")).expect("git wrote it");
    let graph = Bytes::from(graph);
    for entry in fs::read_dir(source.join("objects/pack"))
        .expect("packs")
        .flatten()
    {
        let path = entry.path();
        if path.extension().is_none_or(|kind| kind != "pack") {
            continue;
        }
        let pack = Bytes::from(fs::read(&path).expect("a pack"));
        let index = Bytes::from(fs::read(path.with_extension("idx")).expect("its index"));
        let id = ObjectId::from_bytes_or_panic(&pack[pack.len() - 20..]);
        let source = GraphSource::CommitGraph(graph.clone());
        pool.add_pack(PackId(id), PackBytes { pack, index }, source)
            .expect("it is git's");
    }
    pool
}
