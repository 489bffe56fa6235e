//! Which of a hundred realities conflict with each other, beside `git merge-tree` for each pair.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::fixture::{self, Random};
use crate::http::{Connection, ms, quantile};
use crate::server::Govc;
use crate::table::Table;
use crate::usage;

const REALITIES: usize = 100;
const FILES: usize = 10_000;
const HOT_FILES: usize = 200;
/// So many of the hot files each reality changes.
const CHANGED: usize = 10;
/// So many places of a file are changed by somebody.
const PLACES: usize = 6;

type Pairs = BTreeMap<(usize, usize), Vec<String>>;

/// The whole matrix, and what of it is found anew after one more commit; equal to git's.
pub fn run(dir: &Path, table: &mut Table) {
    let data = dir.join("matrix");
    let (server, _) = Govc::start(&data);
    let mut api = Connection::open(&server.url);
    create(&mut api);
    let mut random = Random(7);
    let mut changed: Vec<Vec<usize>> = Vec::new();
    for n in 0..REALITIES {
        let mut files = Vec::new();
        while files.len() < CHANGED {
            let file = random.below(HOT_FILES);
            if !files.contains(&file) {
                files.push(file);
            }
        }
        commit(&mut api, n, &files, &mut random);
        changed.push(files);
    }
    let pairs = || (0..REALITIES).flat_map(|a| (a + 1..REALITIES).map(move |b| (a, b)));
    let touch = |(a, b): &(usize, usize)| changed[*a].iter().any(|file| changed[*b].contains(file));
    let common = pairs().filter(touch).count();
    let count = pairs().count();

    server.settle();
    let cpu = server.cpu();
    let asked = api.get("/repos/hot/parallel-realities/conflicts");
    let (whole, whole_cpu) = (ms(asked.took), server.cpu() - cpu);
    let found = read(&asked.json(200));
    let again = ms(api.get("/repos/hot/parallel-realities/conflicts").took);
    let mut after = Vec::new();
    for _ in 0..10 {
        let n = random.below(REALITIES);
        // A reality's own edit of its own file: it was there before, or is new.
        let file = random.below(HOT_FILES);
        commit(&mut api, n, &[file], &mut random);
        let asked = api.get("/repos/hot/parallel-realities/conflicts");
        after.push(ms(asked.expect(200).took));
    }
    let asked = api.get("/repos/hot/parallel-realities/conflicts");
    let last = read(&asked.json(200));
    drop(api);
    server.stop();

    let bare = data.join("hot.git");
    // As they were when the whole was asked for, and as they are in the end.
    let tips = tips(&bare);
    let peer = merge_tree(dir, &bare, &tips);
    assert_eq!(last, peer.pairs, "conflicts differ from git's");
    let part = |of: usize| of as f64 * 100.0 / count as f64;
    let text = format!("{:.0} %, {:.1} %", part(common), part(found.len()));
    let what = format!("{count} pairs: have a file in common, conflict");
    table.figure(&what, &text, "≥ 40 %, ≥ 5 %");
    table.figure(
        "conflicts equal to those of git merge-tree",
        &format!("{count} of {count}"),
        "all",
    );
    let what = format!("conflict matrix of {REALITIES} realities");
    table.less_is_better(&format!("{what}, CPU"), peer.cpu, whole_cpu, "s", 1.0);
    table.less_is_better(&what, peer.wall, whole / 1e3, "s", 1.0);
    table.figure("  the whole", &format!("{whole:.0} ms"), "< 1 s");
    table.figure("  asked again", &format!("{again:.1} ms"), "");
    let worst = quantile(after.clone(), 1.0);
    let text = format!("{:.1} ms (worst {worst:.1})", quantile(after, 0.5));
    table.figure("  after one more commit, p50 of 10", &text, "< 50 ms");
}

fn path_of(file: usize) -> String {
    match file {
        hot if hot < HOT_FILES => format!("src/m{}/hot{hot}.rs", hot % 20),
        cold => format!("src/m{}/n{}/cold{cold}.rs", cold % 20, cold / 20 % 25),
    }
}

fn line_of(file: usize, line: usize) -> String {
    format!("    let field_{line} = compute({file}, {line});\n")
}

fn create(api: &mut Connection) {
    api.post("/repos", &json!({"id": "hot"})).expect(201);
    let put = |file| {
        let lines = if file < HOT_FILES { 60 } else { 4 };
        let content: String = (0..lines).map(|line| line_of(file, line)).collect();
        json!({"op": "put", "path": path_of(file), "content": content})
    };
    let actions: Vec<Value> = (0..FILES).map(put).collect();
    let body = json!({"branch": "main", "message": "first", "actions": actions});
    api.post("/repos/hot/commits", &body).expect(201);
    let body = json!({"branches": {"count": REALITIES, "prefix": "r"}});
    api.post("/repos/hot/parallel-realities", &body).expect(201);
}

/// Changes one place in each of these files.
fn commit(api: &mut Connection, n: usize, files: &[usize], random: &mut Random) {
    let name = format!("r{}", n + 1);
    let actions: Vec<Value> = files
        .iter()
        .map(|file| {
            let path = path_of(*file);
            let read = api.get(&format!("/repos/hot/read/{path}?reality={name}"));
            let content = read.json(200)["content"].clone();
            let content = content.as_str().expect("text");
            let mut lines: Vec<String> = content.lines().map(|line| format!("{line}\n")).collect();
            lines[4 + random.below(PLACES) * 60 / PLACES] =
                format!("    changed({n}, {});\n", random.below(1 << 30));
            json!({"op": "put", "path": path, "content": lines.concat()})
        })
        .collect();
    let body = json!({"message": "mine", "actions": actions});
    let path = format!("/repos/hot/parallel-realities/{name}/apply");
    api.post(&path, &body).expect(201);
}

fn read(answer: &Value) -> Pairs {
    let number = |name: &Value| {
        let name = name.as_str().expect("a name");
        name[1..].parse::<usize>().expect("a number") - 1
    };
    let pairs = answer["pairs"].as_array().expect("pairs");
    let pairs = pairs.iter().map(|pair| {
        let paths = pair["paths"].as_array().expect("paths").iter();
        let paths = paths.map(|path| path.as_str().expect("text").to_owned());
        let (a, b) = (number(&pair["a"]), number(&pair["b"]));
        ((a.min(b), a.max(b)), paths.collect())
    });
    pairs.collect()
}

/// What the branches of the realities are, as the bare repository has them.
fn tips(bare: &Path) -> Vec<String> {
    let tip = |n| format!("refs/govc/realities/r{n}/heads/main");
    let names: Vec<String> = (1..=REALITIES).map(tip).collect();
    let mut command = fixture::git(bare);
    let tips = fixture::output(command.arg("rev-parse").args(&names));
    tips.lines().map(str::to_owned).collect()
}

struct Peer {
    pairs: Pairs,
    cpu: f64,
    wall: f64,
}

/// One process merges all pairs.
fn merge_tree(dir: &Path, bare: &Path, tips: &[String]) -> Peer {
    fixture::output(fixture::git(bare).args(["commit-graph", "write", "--reachable"]));
    let mut pairs = Vec::new();
    for a in 0..tips.len() {
        pairs.extend((a + 1..tips.len()).map(|b| (a, b)));
    }
    let input = dir.join("pairs.txt");
    let line = |(a, b): &(usize, usize)| format!("{} {}\n", tips[*a], tips[*b]);
    std::fs::write(&input, pairs.iter().map(line).collect::<String>()).expect("a file");
    // With --stdin it says all there is, for every pair.
    let command = || {
        let mut command = fixture::git(bare);
        command.args(["merge-tree", "--write-tree", "--name-only", "-z", "--stdin"]);
        command.stdin(std::fs::File::open(&input).expect("the file"));
        command
    };
    let output = command().output().expect("git runs");
    assert!(output.status.success());
    let cost = usage::of_command(&mut command());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut fields = text.split('\0');
    let mut found = Pairs::new();
    for pair in pairs {
        let verdict = fields.next().expect("a verdict");
        let _tree = fields.next();
        let mut section = || -> Vec<String> {
            let names = fields.by_ref().take_while(|field| !field.is_empty());
            names.map(str::to_owned).collect()
        };
        if verdict == "0" {
            found.insert(pair, section());
        }
        // What it says about it.
        section();
    }
    Peer {
        pairs: found,
        cpu: cost.cpu,
        wall: cost.wall,
    }
}
