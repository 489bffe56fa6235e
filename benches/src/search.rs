//! Searching a tree of a hundred thousand files, beside `git grep` of the same tree and ripgrep in a
//! checkout of it. All three must find the same lines.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use crate::fixture::{self, Random};
use crate::http::{Connection, ms, quantile};
use crate::server::Govc;
use crate::table::Table;
use crate::usage;

/// A line as it is found: path and number.
type Lines = BTreeSet<(String, u64)>;

struct Query {
    what: &'static str,
    pattern: &'static str,
    is_regex: bool,
    is_any_case: bool,
    path: Option<&'static str>,
}

const fn query(what: &'static str, pattern: &'static str) -> Query {
    Query {
        what,
        pattern,
        is_regex: false,
        is_any_case: false,
        path: None,
    }
}

const QUERIES: [Query; 8] = [
    query("a literal in few files", "needle_in_haystack"),
    query("a literal in many files", "uncommon_word"),
    query("a literal that is nowhere", "nowhere_to_be_found"),
    Query {
        is_regex: true,
        ..query("a regular expression", "rare_[a-z]+\\([0-9]+\\)")
    },
    Query {
        is_regex: true,
        ..query("one of two", "(needle_in|rare_call)_?[a-z]*")
    },
    Query {
        is_any_case: true,
        ..query("in any case", "NEEDLE_in_Haystack")
    },
    Query {
        path: Some("src/m3"),
        ..query("in a folder", "uncommon_word")
    },
    Query {
        is_regex: true,
        path: Some("src/m3"),
        ..query("no letters, in a folder", "[0-9]{9}[a-f]\\b")
    },
];

/// Searches a tree of `files` files.
pub fn run(dir: &Path, files: usize, table: &mut Table) {
    let data = dir.join("search");
    fs::create_dir_all(&data).expect("a folder");
    let peer = made(dir, files);
    let mut clone = fixture::git(&data);
    clone.args(["clone", "-q", "--mirror", "--local"]);
    fixture::output(clone.arg(&peer).arg(data.join("tree.git")));
    let checkout = dir.join("search-files");
    let mut clone = fixture::git(dir);
    fixture::output(clone.args(["clone", "-q"]).arg(&peer).arg(&checkout));
    let has_ripgrep = Command::new("rg").arg("--version").output().is_ok();
    if !has_ripgrep {
        table.figure("ripgrep is not installed: not held against it", "", "");
    }

    let (server, _) = Govc::start(&data);
    let mut api = Connection::open(&server.url);
    api.get("/repos/tree/log?limit=1").expect(200);
    server.settle();
    let memory = usage::memory(server.pid());
    let cpu = server.cpu();
    let first = api.get("/repos/tree/search/content?query=nowhere_to_be_found");
    let first = ms(first.expect(200).took);
    let cpu = server.cpu() - cpu;
    server.settle();
    let text = format!("{first:.0} ms, {cpu:.2} s CPU");
    table.figure(
        &format!("first search of {files} files: the index is made"),
        &text,
        "",
    );
    let memory = usage::memory(server.pid()).saturating_sub(memory);
    let megabytes = format!("{:.0} MiB", memory as f64 / f64::from(1 << 20));
    table.figure("  what the server grew by", &megabytes, "≤ 256 MiB");

    let mut equal = 0;
    for query in &QUERIES {
        let ours = lines(&mut api, query);
        let gits = of_grep(git_grep(&peer, query), "HEAD:");
        assert_eq!(ours, gits, "{}: git differs", query.what);
        if has_ripgrep {
            let theirs = of_grep(ripgrep(&checkout, query), "");
            assert_eq!(ours, theirs, "{}: ripgrep differs", query.what);
        }
        equal += 1;
        measure(
            &server,
            &mut api,
            &peer,
            &checkout,
            has_ripgrep,
            query,
            ours.len(),
            table,
        );
    }
    table.figure(
        "searches that find the lines of git grep and ripgrep",
        &format!("{equal} of {}", QUERIES.len()),
        "all",
    );
    after_a_commit(&mut api, table);
    server.stop();
}

#[allow(clippy::too_many_arguments, reason = "they are all of a bench")]
fn measure(
    server: &Govc,
    api: &mut Connection,
    peer: &Path,
    checkout: &Path,
    has_ripgrep: bool,
    query: &Query,
    found: usize,
    table: &mut Table,
) {
    const RUNS: usize = 10;
    let path = path_of(query, None);
    let cpu = server.cpu();
    let took: Vec<f64> = (0..RUNS)
        .map(|_| ms(api.get(&path).expect(200).took))
        .collect();
    let cpu = (server.cpu() - cpu) * 1e3 / RUNS as f64;
    let p50 = quantile(took, 0.5);
    let timed = |command: &dyn Fn() -> Command| {
        let runs = (0..3).map(|_| {
            // Finding nothing is a failure to both.
            let run = || command().stdout(Stdio::null()).status();
            let (status, cost) = usage::of_children(run);
            status.expect("it runs");
            cost
        });
        let costs: Vec<usage::Cost> = runs.collect();
        let middle = |figure: fn(&usage::Cost) -> f64| {
            quantile(costs.iter().map(figure).collect(), 0.5) * 1e3
        };
        (middle(|cost| cost.cpu), middle(|cost| cost.wall))
    };
    let what = format!("search: {} ({found} lines)", query.what);
    let (git_cpu, git_wall) = timed(&|| git_grep(peer, query));
    table.less_is_better(&format!("{what}, CPU"), git_cpu, cpu, "ms", 10.0);
    table.less_is_better(&what, git_wall, p50, "ms", 10.0);
    if has_ripgrep {
        let (rg_cpu, rg_wall) = timed(&|| ripgrep(checkout, query));
        let text = format!("{rg_wall:.0} ms, {rg_cpu:.0} ms CPU");
        table.figure("  ripgrep in a checkout", &text, "");
    }
}

/// One file changes: what is searched again.
fn after_a_commit(api: &mut Connection, table: &mut Table) {
    let mut took = Vec::new();
    for n in 0..5 {
        let put = json!({"op": "put", "path": "src/m1/n1/new.rs", "content": format!("{n}\n")});
        let body = json!({"branch": "main", "message": "more", "actions": [put]});
        api.post("/repos/tree/commits", &body).expect(201);
        let reply = api.get(&path_of(&QUERIES[0], None));
        took.push(ms(reply.expect(200).took));
    }
    let text = format!("{:.1} ms", quantile(took, 0.5));
    table.figure("search right after a commit", &text, "");
}

/// 100,000 source files in nested folders, about 1.5 KB each.
fn made(dir: &Path, files: usize) -> PathBuf {
    let mut random = Random(3);
    let words: Vec<String> = (0..20_000)
        .map(|n| {
            let syllables = ["ka", "lo", "mi", "ter", "sa", "no", "ri", "ve", "du", "pal"];
            let parts = 2 + random.below(3);
            let name: String = (0..parts).map(|_| syllables[random.below(10)]).collect();
            format!("{name}{}", n % 100)
        })
        .collect();
    let repository = fixture::bare(dir, "search.git");
    fixture::fast_import(&repository, |out| {
        write_tree(out, files, &words, &mut random).expect("git reads");
    });
    fixture::output(fixture::git(&repository).args(["repack", "-adq"]));
    repository
}

fn write_tree(
    out: &mut dyn Write,
    files: usize,
    words: &[String],
    random: &mut Random,
) -> std::io::Result<()> {
    writeln!(out, "commit refs/heads/main")?;
    writeln!(
        out,
        "committer Ada <ada@example.com> 1500000000 +0000\ndata 5\nfirst"
    )?;
    for file in 0..files {
        let mut text = String::with_capacity(2048);
        // Few words are most of a text.
        let mut word = || {
            let most = words.len() >> random.below(10);
            &words[random.below(most.max(1))]
        };
        for _ in 0..12 + file % 40 {
            let (a, b, c) = (word(), word(), word());
            let _ = writeln!(text, "    let {a} = {b}.{c}(&self);");
        }
        let _ = writeln!(text, "// {:09}{:x}", random.below(1_000_000_000), file % 16);
        if file % 9_973 == 5 {
            let _ = writeln!(text, "let needle_in_haystack = {file};");
        }
        if file % 311 == 7 {
            let _ = writeln!(text, "use uncommon_word::{};", words[file % words.len()]);
        }
        if file % 5_003 == 11 {
            let _ = writeln!(text, "rare_call({file});");
        }
        let path = format!("src/m{}/n{}/file{file}.rs", file % 40, file / 40 % 50);
        writeln!(out, "M 100644 inline {path}\ndata {}\n{text}", text.len())?;
    }
    Ok(())
}

fn path_of(query: &Query, cursor: Option<&str>) -> String {
    let escaped: String = query
        .pattern
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => (byte as char).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    let mut path = format!(
        "/repos/tree/search/content?query={escaped}&limit=1000&regex={}&case_sensitive={}",
        query.is_regex, !query.is_any_case
    );
    if let Some(folder) = query.path {
        path += &format!("&path={}", folder.replace('/', "%2F"));
    }
    if let Some(cursor) = cursor {
        path += &format!("&cursor={cursor}");
    }
    path
}

/// All lines that the server finds.
fn lines(api: &mut Connection, query: &Query) -> Lines {
    let mut found = Lines::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = api.get(&path_of(query, cursor.as_deref())).json(200);
        for item in page["items"].as_array().expect("items") {
            let path = item["path"].as_str().expect("a path");
            found.insert((path.to_owned(), item["line"].as_u64().expect("a number")));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
}

fn git_grep(repository: &Path, query: &Query) -> Command {
    let mut command = fixture::git(repository);
    command.args(["grep", "-n", "-I", "--no-color"]);
    command.arg(if query.is_regex { "-P" } else { "-F" });
    if query.is_any_case {
        command.arg("-i");
    }
    command.args(["-e", query.pattern, "HEAD", "--"]);
    command.args(query.path);
    command
}

fn ripgrep(checkout: &Path, query: &Query) -> Command {
    let mut command = Command::new("rg");
    command
        .current_dir(checkout)
        .args(["-n", "--no-heading", "--no-ignore", "--hidden"]);
    command.args(["--color=never", "--glob=!.git"]);
    if !query.is_regex {
        command.arg("-F");
    }
    if query.is_any_case {
        command.arg("-i");
    }
    command.args(["-e", query.pattern]);
    command.arg(query.path.unwrap_or("."));
    command
}

fn of_grep(mut command: Command, before: &str) -> Lines {
    let start = Instant::now();
    let output = command.output().expect("it runs");
    assert!(
        output.status.code().is_some_and(|code| code < 2),
        "{command:?} after {:?}: {}",
        start.elapsed(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |line: &str| {
        let line = line.strip_prefix(before)?;
        let (path, rest) = line.strip_prefix("./").unwrap_or(line).split_once(':')?;
        let (number, _) = rest.split_once(':')?;
        Some((path.to_owned(), number.parse().ok()?))
    };
    text.lines()
        .map(|l| line(l).expect("path:line:text"))
        .collect()
}
