//! Clones of a whole history, one by one and twenty at once, and lists of many refs.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::{Answer, Client, clone_request, clone_request_v0, clone_request_with, wants};
use crate::fixture;
use crate::server::{Apache, Govc, JGit, Peer};
use crate::table::Table;
use crate::usage;

const NAME: &str = "clone";
const AT_ONCE: usize = 20;

/// What clones cost beside `git http-backend` behind apache, with bitmaps, and beside JGit.
pub fn run(dir: &Path, history: &Path, table: &mut Table) {
    let root = dir.join("clone-peers");
    let data = dir.join("clone-data");
    let repository = copy(history, &root);
    // Bitmaps are git's and JGit's; govc has no use for them.
    fixture::output(fixture::git(&repository).args(["repack", "-adbq"]));
    fixture::output(fixture::git(&repository).args(["commit-graph", "write", "--reachable"]));
    copy(history, &data);
    let pack_bytes = pack_bytes(&repository);
    let size = format!("pack {} MB", pack_bytes / 1_000_000);
    let path = format!("/{NAME}.git/git-upload-pack");
    let all = clone_request(&wants(&repository, "refs/"));
    let old = clone_request_v0(&wants(&repository, "refs/"));
    let head = fixture::output(fixture::git(&repository).args(["rev-parse", "HEAD"]));
    let clone = |url: &str, request: &[u8]| -> Answer {
        let answer = Client::of(url).post(&path, request);
        assert!(answer.first_pack_byte.is_some(), "no pack came");
        answer
    };

    let whole = |url: &str| {
        clone(url, &all);
    };

    let apache = Apache::start(&root);
    let jgit = JGit::start(&root, dir);
    let git = apache.as_ref().map(|apache| measure(apache, whole));
    if let Err(why) = &jgit {
        eprintln!("  clones are not measured beside JGit: {why}");
    }

    let (server, _) = Govc::start(&data);
    server.settle();
    clone(&server.url, &all);
    server.stop();
    let (server, _) = Govc::start(&data);
    server.settle();
    let cpu = server.cpu();
    let first = clone(&server.url, &all);
    let first_cpu = server.cpu() - cpu;
    assert!(first.bytes > pack_bytes / 2, "all of it came");
    let mut first_bytes = Vec::new();
    let ours = measure(&server, |url| {
        first_bytes.extend(clone(url, &all).first_pack_byte);
    });
    let what = format!("clone, warm, server CPU ({size})");
    if let Some(git) = git {
        table.less_is_better(&what, git * 1e3, ours * 1e3, "ms", 10.0);
        let what = "  the first one after a start";
        table.less_is_better(what, git * 1e3, first_cpu * 1e3, "ms", 1.0);
    } else {
        table.figure(&what, &format!("{:.1} ms", ours * 1e3), "");
    }
    if let Ok(jgit) = &jgit {
        let peer = measure(jgit, whole);
        table.less_is_better("  beside JGit", peer * 1e3, ours * 1e3, "ms", 3.0);
    }
    first_bytes.sort_unstable();
    let median = first_bytes
        .get(first_bytes.len() / 2)
        .copied()
        .unwrap_or_default();
    let median = format!("{:.1} ms", median.as_secs_f64() * 1e3);
    table.figure("  time to the first byte of the pack", &median, "≤ 20 ms");

    // Version 0.
    let ours = measure(&server, |url| {
        let client = Client::of_version_0(url);
        assert!(client.post(&path, &old).first_pack_byte.is_some());
    });
    if let Some(apache) = &apache {
        let peer = measure(apache, |url| {
            let client = Client::of_version_0(url);
            client.post(&path, &old);
        });
        table.less_is_better("  in version 0", peer * 1e3, ours * 1e3, "ms", 10.0);
        // What git clone asks for with options of its own; for filters git has to be told that it
        // may. `--single-branch`, which `--depth` implies, wants the branch alone and gets its tags.
        let allow = ["config", "uploadpack.allowFilter", "true"];
        fixture::output(fixture::git(&repository).args(allow));
        let refs = wants(&repository, "refs/");
        let branch = std::slice::from_ref(&head);
        let parts: [(&str, &[String], &[&str]); 5] = [
            ("clone --single-branch", branch, &[]),
            ("clone --depth 1", branch, &["deepen 1"]),
            ("clone --depth 50", branch, &["deepen 50"]),
            (
                "clone --single-branch --filter=blob:none --no-checkout",
                branch,
                &["filter blob:none"],
            ),
            (
                "clone --filter=blob:none --no-checkout",
                &refs,
                &["filter blob:none"],
            ),
        ];
        for (what, wanted, arguments) in parts {
            let request = clone_request_with(wanted, arguments);
            let some = |url: &str| clone(url, &request).bytes;
            let peer_bytes = some(apache.url());
            let cpu = server.cpu();
            let bytes = some(&server.url);
            let first = server.cpu() - cpu;
            let [peer, ours] = [apache as &dyn Peer, &server].map(|peer| {
                measure(peer, |url| {
                    some(url);
                })
            });
            table.less_is_better(what, peer * 1e3, ours * 1e3, "ms", 5.0);
            table.less_is_better("  the first one", peer * 1e3, first * 1e3, "ms", 1.0);
            let (peer, ours) = (peer_bytes as f64 / 1e3, bytes as f64 / 1e3);
            table.less_is_better("  its bytes", peer, ours, "KB", 1.0);
        }
    }

    // Twenty at once.
    let (ours, growth) = at_once(&server, server.pid(), whole);
    let what = format!("{AT_ONCE} clones at once, server CPU of each");
    if let Some(apache) = &apache {
        let (peer, _) = at_once(apache, 0, whole);
        table.less_is_better(&what, peer * 1e3, ours * 1e3, "ms", 10.0);
    } else {
        table.figure(&what, &format!("{:.1} ms", ours * 1e3), "");
    }
    if let Ok(jgit) = &jgit {
        let (peer, _) = at_once(jgit, 0, whole);
        table.less_is_better("  beside JGit", peer * 1e3, ours * 1e3, "ms", 3.0);
    }
    let growth = format!("{:.2} MB", growth as f64 / AT_ONCE as f64 / 1e6);
    table.figure("  memory for each of them", &growth, "≤ 1 MB");
    drop(jgit);

    // A change in between: the trailer at least is another one.
    let next = change(&repository, &head);
    let push = |url: &str| {
        let target = format!("{}/{NAME}.git", url.replace("http://", "http://bench:@"));
        let refspec = format!("{next}:refs/heads/bench-change");
        fixture::output(fixture::git(&repository).args(["push", "-q", &target, &refspec]));
    };
    push(&server.url);
    let mut tips = wants(&repository, "refs/");
    tips.push(next.clone());
    let after = clone_request(&tips);
    let cpu = server.cpu();
    clone(&server.url, &after);
    let ours = server.cpu() - cpu;
    if let Some(apache) = &apache {
        let reference = ["update-ref", "refs/heads/bench-change", &next];
        fixture::output(fixture::git(&repository).args(reference));
        let cpu = apache.cpu();
        clone(apache.url(), &after);
        let peer = apache.cpu() - cpu;
        let what = "the first clone after a push";
        table.less_is_better(what, peer * 1e3, ours * 1e3, "ms", 5.0);
    }
    server.stop();
}

/// What `git ls-remote` of many refs costs.
pub fn ls_remote(dir: &Path, refs: usize, table: &mut Table) {
    // Of threads and processes that have ended hundredths of seconds are known: many make it exact.
    const ROUNDS: usize = 400;
    let root = dir.join("refs-peers");
    let data = dir.join("refs-data");
    fs::create_dir_all(&root).expect("a folder");
    let made = fixture::lifelike(&root, "refs.git", 1_000);
    let ids = fixture::output(fixture::git(&made).args(["rev-list", "--all"]));
    let ids: Vec<&str> = ids.lines().collect();
    let mut edits = String::new();
    for number in 0..refs {
        let id = ids[number % ids.len()];
        edits += &format!("create refs/heads/topic/{number:06} {id}\n");
    }
    fixture::feed(fixture::git(&made).args(["update-ref", "--stdin"]), &edits);
    fixture::output(fixture::git(&made).args(["pack-refs", "--all"]));
    fs::create_dir_all(&data).expect("a folder");
    let copy = ["clone", "-q", "--mirror", "refs.git"];
    let to = data.join("refs.git");
    fixture::output(fixture::git(&root).args(copy).arg(&to));

    // By git itself, which asks twice in version 2, on one connection.
    let list = |url: &str, version: &str| {
        let version = format!("protocol.version={version}");
        let mut list = fixture::git(dir);
        list.args(["-c", &version, "ls-remote", &format!("{url}/refs.git")]);
        let lines = fixture::output(&mut list).lines().count();
        assert!(lines > refs, "all refs came, and HEAD");
    };
    let rounds = |peer: &dyn Peer, version: &str| {
        list(peer.url(), version);
        let cpu = peer.cpu();
        (0..ROUNDS).for_each(|_| list(peer.url(), version));
        (peer.cpu() - cpu) / ROUNDS as f64
    };
    let (server, _) = Govc::start(&data);
    server.settle();
    let apache = Apache::start(&root);
    for version in ["2", "0"] {
        let ours = rounds(&server, version);
        let what = format!("ls-remote of {refs} refs, version {version}, server CPU");
        match &apache {
            Some(apache) => {
                let peer = rounds(apache, version);
                table.less_is_better(&what, peer * 1e3, ours * 1e3, "ms", 20.0);
            }
            None => table.figure(&what, &format!("{:.3} ms", ours * 1e3), ""),
        }
    }
    server.stop();
}

/// CPU seconds of a server for one run of `work`, once it is warm: the mean of several, because the
/// time of threads and processes that have ended is counted in hundredths of seconds.
fn measure(peer: &dyn Peer, mut work: impl FnMut(&str)) -> f64 {
    const RUNS: usize = 10;
    work(peer.url());
    work(peer.url());
    let cpu = peer.cpu();
    (0..RUNS).for_each(|_| work(peer.url()));
    (peer.cpu() - cpu) / RUNS as f64
}

/// CPU seconds of a server for one of many runs of `work` at once, and by how many bytes the
/// process `pid` grew meanwhile.
fn at_once(peer: &dyn Peer, pid: u32, work: impl Fn(&str) + Sync) -> (f64, u64) {
    work(peer.url());
    let (cpu, memory) = (peer.cpu(), usage::memory(pid));
    let is_done = AtomicBool::new(false);
    let url = peer.url();
    let peak = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = memory;
            while !is_done.load(Ordering::Relaxed) {
                peak = peak.max(usage::memory(pid));
                std::thread::sleep(Duration::from_millis(2));
            }
            peak
        });
        let clones: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| work(url))).collect();
        for clone in clones {
            clone.join().expect("a clone");
        }
        is_done.store(true, Ordering::Relaxed);
        watch.join().expect("the watch")
    });
    ((peer.cpu() - cpu) / AT_ONCE as f64, peak - memory)
}

/// A bare copy of `history` in `root`, which shares its packs.
fn copy(history: &Path, root: &Path) -> std::path::PathBuf {
    fs::create_dir_all(root).expect("a folder");
    let to = root.join(format!("{NAME}.git"));
    let mut clone = fixture::git(root);
    clone
        .args(["clone", "-q", "--mirror", "--local"])
        .arg(history)
        .arg(&to);
    fixture::output(&mut clone);
    to
}

fn pack_bytes(repository: &Path) -> u64 {
    let files = fs::read_dir(repository.join("objects/pack"))
        .into_iter()
        .flatten()
        .flatten();
    let packs = files.filter(|file| file.path().extension().is_some_and(|is| is == "pack"));
    packs
        .filter_map(|pack| pack.metadata().ok())
        .map(|data| data.len())
        .sum()
}

/// A commit behind `parent`, with the same tree.
fn change(repository: &Path, parent: &str) -> String {
    let tree = format!("{parent}^{{tree}}");
    let arguments = ["commit-tree", &tree, "-p", parent, "-m", "a change"];
    fixture::output(fixture::git(repository).args(arguments))
}
