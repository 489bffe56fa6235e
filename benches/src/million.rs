//! A million commits: opening, counting, a deep page of the log, a far merge base.

use std::fs;
use std::hint::black_box;
use std::path::Path;

use bytes::Bytes;
use govc_engine::journal::{PackBytes, PackId};
use govc_engine::pool::{DateWalk, GraphSource, Pool, PoolLimits};
use govc_git::{ObjectFormat, ObjectId};

use crate::fixture;
use crate::server::Govc;
use crate::table::Table;
use crate::usage;

/// Compares with git, which has its commit-graph.
pub fn run(dir: &Path, commits: usize, table: &mut Table) {
    let data = dir.join("million");
    fs::create_dir_all(&data).expect("a folder");
    let repository = fixture::million(&data, "m1.git", commits);
    graph(&repository, commits, table);

    // Adopted, stopped cleanly, opened again.
    let (server, adopted) = Govc::start(&data);
    server.stop();
    let (server, opened) = Govc::start(&data);
    let goal = "≤ 2 s";
    let seconds = |time: std::time::Duration| format!("{:.2} s", time.as_secs_f64());
    table.figure("open a million commits, first time", &seconds(adopted), "");
    table.figure(
        "open a million commits after a clean stop",
        &seconds(opened),
        goal,
    );
    server.stop();
}

fn graph(repository: &Path, commits: usize, table: &mut Table) {
    let pool = open(repository);
    let graph = pool.graph();
    let git = |args: &[&str]| fixture::output(fixture::git(repository).args(args));
    let number = |rev: &str| {
        let id = git(&["rev-parse", rev]);
        let id = ObjectId::from_hex(id.as_bytes()).expect("an id");
        graph.number(&id).expect("the graph has it")
    };
    let head = number("main");
    let old = format!("main~{}", commits * 4 / 10);
    let (far, topic) = (number(&old), number("topic"));
    let skip = commits / 2;

    let cpu = |args: &[&str]| usage::of_command(fixture::git(repository).args(args)).cpu;
    let counted = git(&["rev-list", "--count", "main"]);
    let (count, ours) = usage::of_this_process(|| graph.count(&[head]));
    assert_eq!(count.to_string(), counted);
    let peer = cpu(&["rev-list", "--count", "main"]);
    table.less_is_better(
        "count a million commits",
        peer * 1e3,
        ours.cpu * 1e3,
        "ms",
        5.0,
    );

    let page: Vec<String> = vec![
        format!("--skip={skip}"),
        "--max-count=50".into(),
        "main".into(),
    ];
    let args: Vec<&str> = ["rev-list"]
        .into_iter()
        .chain(page.iter().map(String::as_str))
        .collect();
    let (ids, ours) = usage::of_this_process(|| {
        let walk = DateWalk::new(graph, &[head], &[]);
        walk.skip(skip)
            .take(50)
            .map(|commit| graph.id(commit).to_string())
            .collect::<Vec<_>>()
    });
    assert_eq!(ids.join("\n"), git(&args));
    table.less_is_better(
        "log page at the middle",
        cpu(&args) * 1e3,
        ours.cpu * 1e3,
        "ms",
        5.0,
    );

    // Two lines that met long ago.
    let args = ["merge-base", "--all", "topic", old.as_str()];
    let (bases, ours) = usage::of_this_process(|| black_box(graph.merge_bases(topic, far)));
    let bases: Vec<String> = bases
        .into_iter()
        .map(|base| graph.id(base).to_string())
        .collect();
    assert_eq!(bases.join("\n"), git(&args));
    table.less_is_better(
        "far merge base",
        cpu(&args) * 1e3,
        ours.cpu * 1e3,
        "ms",
        3.0,
    );
}

fn open(repository: &Path) -> std::sync::Arc<Pool> {
    let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
    let graph = fs::read(repository.join("objects/info/commit-graph")).expect("git wrote it");
    let mut source = GraphSource::CommitGraph(Bytes::from(graph));
    for entry in fs::read_dir(repository.join("objects/pack"))
        .expect("packs")
        .flatten()
    {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            let pack = Bytes::from(fs::read(&path).expect("a pack"));
            let index = Bytes::from(fs::read(path.with_extension("idx")).expect("its index"));
            let id = ObjectId::from_bytes_or_panic(&pack[pack.len() - 20..]);
            pool.add_pack(PackId(id), PackBytes { pack, index }, source)
                .expect("it is git's");
            source = GraphSource::Scan;
        }
    }
    pool
}
