//! A start with ten thousand repositories: until the server answers, its first answers, its memory.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::http::{Connection, ms, quantile};
use crate::server::Govc;
use crate::table::Table;
use crate::usage;

/// So many of them are forks of each one that is none.
const FORKS: usize = 99;
/// So many connections make them.
const MAKERS: usize = 8;

/// Makes `count` repositories, and starts with them.
pub fn run(dir: &Path, count: usize, table: &mut Table) {
    let data = dir.join("starts");
    let (server, _) = Govc::start(&data);
    let (start, cpu) = (Instant::now(), server.cpu());
    let families = count.div_ceil(FORKS + 1);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..MAKERS {
            scope.spawn(|| {
                let mut api = Connection::open(&server.url);
                loop {
                    let family = next.fetch_add(1, Ordering::Relaxed);
                    if family >= families {
                        return;
                    }
                    make_family(&mut api, family);
                }
            });
        }
    });
    let made = families * (FORKS + 1);
    let text = format!(
        "{:.2} ms, {:.2} ms CPU each",
        ms(start.elapsed()) / made as f64,
        (server.cpu() - cpu) * 1e3 / made as f64
    );
    table.figure(
        &format!("making {made} repositories, forks mostly"),
        &text,
        "",
    );
    let stop = Instant::now();
    server.stop();
    let text = format!("{:.1} s", stop.elapsed().as_secs_f64());
    table.figure("  the first clean stop, with all checkpoints", &text, "");

    let (server, ready) = Govc::start(&data);
    let cpu = server.cpu();
    let memory = usage::memory(server.pid());
    let mut api = Connection::open(&server.url);
    let mut first = Vec::new();
    for family in 0..families.min(20) {
        let path = format!("/repos/g{family}/f{}/read/file", family % FORKS);
        let path = path.replacen(&format!("g{family}/f"), &format!("g{family}%2Ff"), 1);
        first.push(ms(api.get(&path).expect(200).took));
    }
    let listed = Instant::now();
    let (mut count, mut path) = (0, "/repos?limit=1000".to_owned());
    loop {
        let page = api.get(&path).json(200);
        count += page["items"].as_array().map_or(0, Vec::len);
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/repos?limit=1000&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(count, made);
    let listed = ms(listed.elapsed());
    let text = format!("{:.2} s, {cpu:.2} s CPU", ready.as_secs_f64());
    table.figure(&format!("start with {made} repositories"), &text, "");
    let text = format!(
        "{:.1} ms, p50 of 20 families {:.1} ms",
        first[0],
        quantile(first.clone(), 0.5)
    );
    table.figure("  the first request", &text, "");
    table.figure("  listing all of them", &format!("{listed:.0} ms"), "");
    let each = memory as f64 / made as f64;
    let text = format!("{} MiB, {each:.0} B each", memory >> 20);
    table.figure("  memory when it listens", &text, "");
    drop(api);
    let stop = Instant::now();
    server.stop();
    let text = format!("{:.1} s", stop.elapsed().as_secs_f64());
    table.figure("  a clean stop when nothing happened", &text, "");
}

/// A repository of a few commits, and its forks.
fn make_family(api: &mut Connection, family: usize) {
    let id = format!("g{family}/own");
    api.post("/repos", &json!({ "id": id })).expect(201);
    let path = format!("/repos/g{family}%2Fown");
    for n in 0..3 {
        let put: Value = json!({"op": "put", "path": "file", "content": format!("{n}\n")});
        let body = json!({"branch": "main", "message": "more", "actions": [put]});
        api.post(&format!("{path}/commits"), &body).expect(201);
    }
    for fork in 0..FORKS {
        let body = json!({ "id": format!("g{family}/f{fork}") });
        api.post(&format!("{path}/fork"), &body).expect(201);
    }
}
