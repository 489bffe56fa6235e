//! What readers notice of compaction, and of repositories that leave memory and come back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::server::Govc;
use crate::table::Table;

const OTHERS: usize = 40;
/// So often the hot repository is read in each phase.
const READS: usize = 4000;
const QUIET: &str = "storage:\n  checkpoint_interval: 100ms\n  compaction_packs: 0\n";
const BUSY: &str =
    "storage:\n  checkpoint_interval: 100ms\n  compaction_packs: 3\n  max_memory_repos: 5\n";

/// The same load twice: without compaction and eviction, and with them.
pub fn run(dir: &Path, scale: usize, table: &mut Table) {
    let quiet = phase(dir, "quiet", QUIET, READS / scale);
    let busy = phase(dir, "busy", BUSY, READS / scale);
    let merged = busy.log.matches("packs were merged").count();
    let left = busy.log.matches("left memory").count();
    for (what, at) in [("p50", 0.5), ("p99", 0.99)] {
        table.less_is_better(
            &format!("reads meanwhile, {what}, {merged} compactions, left memory {left} times"),
            quiet.quantile(at),
            busy.quantile(at),
            "ms",
            0.5,
        );
    }
}

/// How long each read of the hot repository took, in milliseconds, sorted.
struct Phase {
    reads: Vec<f64>,
    log: String,
}

impl Phase {
    fn quantile(&self, part: f64) -> f64 {
        let last = self.reads.len().saturating_sub(1);
        let at = (last as f64 * part) as usize;
        self.reads.get(at).copied().unwrap_or_default()
    }
}

fn phase(dir: &Path, name: &str, config: &str, reads: usize) -> Phase {
    let folder = dir.join(name);
    std::fs::create_dir(&folder).expect("a folder");
    let path = folder.join("govc.yaml");
    let level = "log:\n  level: warn,govc_store=info,govc_server::app::residence=debug\n";
    std::fs::write(&path, format!("{config}{level}")).expect("a configuration");
    let log = folder.join("log");
    let server = Govc::start_as(&folder.join("data"), &path, &log);
    let api = format!("{}/api/v1", server.url);
    let client = reqwest::blocking::Client::builder()
        .timeout(Duration::from_secs(60))
        .build()
        .expect("a client");
    let post = |path: String, body: String| {
        let request = client.post(format!("{api}{path}")).body(body);
        let answer = request.header("content-type", "application/json").send();
        let status = answer.expect("an answer").status();
        assert!(status.is_success(), "{status} to {path}");
    };
    let commit = |repo: &str, n: usize| {
        let file = n % 50;
        let body = format!(
            r#"{{"branch":"main","message":"{n}","actions":[{{"op":"put","path":"file-{file}","content":"{n}"}}]}}"#
        );
        post(format!("/repos/{repo}/commits"), body);
    };
    let others: Vec<String> = (0..OTHERS).map(|n| format!("other-{n}")).collect();
    for repo in others.iter().map(String::as_str).chain(["hot"]) {
        post("/repos".to_owned(), format!(r#"{{"id":"{repo}"}}"#));
        commit(repo, 0);
    }
    let over = AtomicBool::new(false);
    let commits = AtomicUsize::new(1);
    let mut took = Vec::with_capacity(reads);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                commit("hot", commits.fetch_add(1, Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        scope.spawn(|| {
            for repo in others.iter().cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let answer = client.get(format!("{api}/repos/{repo}/log")).send();
                assert!(answer.expect("an answer").status().is_success());
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let read = format!("{api}/repos/hot/read/file-0");
        for _ in 0..reads {
            let start = Instant::now();
            let answer = client.get(&read).send().expect("an answer");
            assert!(answer.status().is_success());
            answer.bytes().expect("a body");
            took.push(start.elapsed().as_secs_f64() * 1e3);
            std::thread::sleep(Duration::from_millis(1));
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(server);
    took.sort_by(f64::total_cmp);
    let log = std::fs::read_to_string(log).unwrap_or_default();
    Phase { reads: took, log }
}
