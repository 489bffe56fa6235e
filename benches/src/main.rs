//! Measures govc beside git in the same run, and prints a table of ratios.
//!
//! `govc-bench [SECTION…]`: `commits`, `push`, `fetch`, `whole`, `clone`, `past` (blame and the log of files), `ls-remote`,
//! `compaction`, `realities`, `matrix`, `search`, `connections`, `starts`, `million`, and with GOVC_BENCH_REPO `merge`
//! (the newest GOVC_BENCH_MERGES of its merges again, held against git); all of them without names.
//! GOVC_BENCH_REPO names a bare repository, of which what HEAD reaches is used for `push`, `fetch`, `whole` and `past`
//! (there GOVC_BENCH_PATHS names files, with commas between them), and all of it for `clone`; without it one that is like
//! a real one is made. GOVC_BENCH_SCALE divides all counts, for a quick look.

mod client;
mod clone;
mod commits;
mod compaction;
mod connections;
mod fetch;
mod fixture;
mod http;
mod matrix;
mod merge;
mod million;
mod past;
mod push;
mod realities;
mod search;
mod server;
mod starts;
mod table;
mod usage;

use std::path::{Path, PathBuf};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |section: &str| asked.is_empty() || asked.iter().any(|name| name == section);
    let scale = std::env::var("GOVC_BENCH_SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok());
    let scale: usize = scale.unwrap_or(1);
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let dir = dir.path();
    let mut table = table::Table::default();
    if wants("commits") {
        commits::run(dir, 100_000 / scale, &mut table);
    }
    let with_history = ["push", "fetch", "whole", "clone", "past"];
    if with_history.iter().any(|section| wants(section)) {
        let made = || fixture::lifelike(dir, "history.git", 60_000 / scale);
        let history = std::env::var_os("GOVC_BENCH_REPO").map_or_else(made, PathBuf::from);
        if wants("push") {
            push::one_commit(dir, &history, 200, &mut table);
        }
        if wants("fetch") {
            fetch::incremental(dir, &history, &mut table);
            fetch::after_a_push(dir, &history, 100, &mut table);
        }
        if wants("whole") {
            push::whole(dir, &history, &mut table);
        }
        if wants("clone") {
            clone::run(dir, &history, &mut table);
        }
        if wants("past") {
            past::run(dir, &history, &mut table);
        }
    }
    if wants("ls-remote") {
        clone::ls_remote(dir, 10_000 / scale, &mut table);
    }
    if wants("compaction") {
        compaction::run(dir, scale, &mut table);
    }
    if wants("realities") {
        realities::run(dir, 10_000 / scale, &mut table);
    }
    if wants("matrix") {
        matrix::run(dir, &mut table);
    }
    if wants("search") {
        search::run(dir, 100_000 / scale, &mut table);
    }
    if wants("connections") {
        connections::run(dir, 10_000 / scale, &mut table);
    }
    if wants("starts") {
        starts::run(dir, 10_000 / scale, &mut table);
    }
    if let Some(repository) = std::env::var_os("GOVC_BENCH_REPO")
        && wants("merge")
    {
        let count = std::env::var("GOVC_BENCH_MERGES").ok();
        let count = count.and_then(|count| count.parse().ok()).unwrap_or(400);
        merge::run(dir, Path::new(&repository), count, &mut table);
    }
    if wants("million") {
        million::run(dir, 1_000_000 / scale, &mut table);
    }
    println!("{table}");
}
