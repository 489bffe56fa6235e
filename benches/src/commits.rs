//! Commits in process, each its own proposal: one file in a nested tree of 1,000 files, and one in
//! a flat folder of 10,000.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use govc_engine::journal::memory::{MemoryJournal, MemoryPacks};
use govc_engine::journal::{Journal, Packs};
use govc_engine::pool::PoolLimits;
use govc_engine::work::View;
use govc_engine::work::action::{Action, Content};
use govc_engine::work::commit::{CommitRequest, NewCommitOnBranch, Start};
use govc_engine::{
    Cause, CauseKind, Clock, Engine, EngineParts, Entry, Expected, Listener, NewRepository,
    RefName, RepoId, RepoKey, Repository, Storage, Time, Via,
};
use govc_git::object::{GitTime, Signature};
use govc_git::{ObjectFormat, ObjectId};
use govc_store::{RealDisk, Store, StoreOptions};

use crate::fixture::{self, Random};
use crate::table::Table;
use crate::usage;

const PROPOSERS: usize = 64;
const BRANCH: &str = "refs/heads/main";

/// The files of a repository.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Files {
    /// 1,000 in 10 × 10 folders.
    Nested,
    /// 10,000 in one folder.
    Flat,
}

impl Files {
    fn count(self) -> usize {
        match self {
            Files::Nested => 1_000,
            Files::Flat => 10_000,
        }
    }

    fn path_of(self, file: usize) -> String {
        match self {
            Files::Nested => format!("d{}/e{}/f{}", file / 100, file / 10 % 10, file % 10),
            Files::Flat => format!("f{file}"),
        }
    }

    /// The file that a commit changes.
    fn changed_by(self, number: usize) -> usize {
        Random(number as u64).below(self.count())
    }

    pub(crate) fn put(self, file: usize, number: usize) -> Action {
        Action::Put {
            path: self.path_of(file).into_bytes(),
            content: Content::Bytes(Bytes::from(content_of(file, number))),
            mode: None,
        }
    }
}

/// Commits through the door, in memory and durable, and the tree edit alone, beside fast-import.
pub fn run(dir: &Path, commits: usize, table: &mut Table) {
    nested(dir, commits, table);
    flat(dir, commits / 100, table);
}

/// In a folder of 10,000 files: what a commit costs, and that it takes no more memory and log.
fn flat(dir: &Path, commits: usize, table: &mut Table) {
    let (node, journal) = Node::on_disk(&dir.join("flat"), Files::Flat);
    // So many that what is kept once for all is not seen.
    let many = 10 * commits;
    let pool_bytes = || node.repository.pool().stats().memory_bytes;
    let (written, held) = (journal.stats().log_bytes_written, pool_bytes());
    let ours = node.commit_all(many);
    let written = journal.stats().log_bytes_written - written;
    let held = pool_bytes() - held;
    drop(node);
    let order: Vec<usize> = (0..=commits).collect();
    let (peer, _) = fast_import(dir, Files::Flat, &order);
    table.more_is_better(
        "commits in a folder of 10,000, durable, per CPU-s",
        commits as f64 / peer.cpu,
        many as f64 / ours.cost.cpu,
        "/s",
        8.0,
    );
    // Of the process nothing can be told here: it uses again what was given back before.
    let memory = held as f64 / many as f64;
    table.figure("  pool memory per commit", &format!("{memory:.0} B"), "");
    let log = written as f64 / many as f64;
    table.figure("  log per commit", &format!("{log:.0} B"), "");
}

fn nested(dir: &Path, commits: usize, table: &mut Table) {
    let memory = Node::in_memory(Files::Nested);
    let ours = memory.commit_all(commits);
    let ids = memory.ids();
    let order = memory.order();
    let growth = ours.memory as f64 / commits as f64;
    drop(memory);

    let (peer, tip) = fast_import(dir, Files::Nested, &order);
    assert_eq!(
        ids.last().map(ToString::to_string),
        Some(tip),
        "ids differ from git's"
    );
    let rate = |seconds: f64| commits as f64 / seconds;
    let what = "commits through the door, memory";
    table.more_is_better(
        &format!("{what}, per CPU-s"),
        rate(peer.cpu),
        rate(ours.cost.cpu),
        "/s",
        8.0,
    );
    table.more_is_better(
        &format!("{what}, per s"),
        rate(peer.wall),
        rate(ours.cost.wall),
        "/s",
        8.0,
    );
    table.figure("  memory per commit", &format!("{growth:.0} B"), "");

    let (durable, journal) = Node::on_disk(&dir.join("durable"), Files::Nested);
    let written = journal.stats();
    let ours = durable.commit_all(commits);
    let what = "commits through the door, durable";
    table.more_is_better(
        &format!("{what}, per CPU-s"),
        rate(peer.cpu),
        rate(ours.cost.cpu),
        "/s",
        6.0,
    );
    table.more_is_better(
        &format!("{what}, per s"),
        rate(peer.wall),
        rate(ours.cost.wall),
        "/s",
        6.0,
    );
    let stats = journal.stats();
    let bytes = stats.log_bytes_written - written.log_bytes_written;
    let syncs = stats.syncs - written.syncs;
    let per = |of: u64, by: u64| of as f64 / by.max(1) as f64;
    let text = format!("{:.0} B", per(bytes, commits as u64));
    table.figure("  log per commit", &text, "");
    let text = format!("{:.0}", per(commits as u64, syncs));
    table.figure("  commits per fdatasync", &text, "");
    drop(durable);

    let edits = Node::in_memory(Files::Nested).edit_alone(commits);
    table.more_is_better(
        "tree edits alone, per CPU-s",
        rate(peer.cpu),
        rate(edits.cpu),
        "/s",
        12.0,
    );
}

/// An engine with one repository.
pub(crate) struct Node {
    files: Files,
    pub(crate) engine: Arc<Engine>,
    pub(crate) repository: Arc<Repository>,
    heard: Arc<Heard>,
}

struct Run {
    cost: usage::Cost,
    memory: u64,
}

/// A subscriber that receives every event.
#[derive(Default)]
struct Heard(AtomicU64);

impl Listener for Heard {
    fn known(&self, entry: &Arc<Entry>) {
        self.0
            .fetch_add(u64::from(!entry.edits.is_empty()), Ordering::Relaxed);
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Time(now.map_or(0, |now| now.as_micros() as i64))
    }
}

impl Node {
    fn in_memory(files: Files) -> Node {
        let journal = Arc::new(MemoryJournal::default());
        Node::new(files, journal, Arc::new(MemoryPacks::default()), 1)
    }

    /// A node whose changes are answered after they are in the log and synced. Checkpoints are
    /// not made: they come later, and are measured by themselves.
    fn on_disk(data: &Path, files: Files) -> (Node, Arc<Store>) {
        Node::with_threads(data, files, 1)
    }

    /// The same with so many threads that decide.
    pub(crate) fn with_threads(data: &Path, files: Files, threads: usize) -> (Node, Arc<Store>) {
        let disk = Arc::new(RealDisk::new(data).expect("a folder"));
        let opened = Store::open(disk, StoreOptions::default());
        let (store, _) = opened.expect("a new folder");
        let node = Node::new(
            files,
            Arc::clone(&store) as _,
            Arc::clone(&store) as _,
            threads,
        );
        (node, store)
    }

    fn new(
        files: Files,
        journal: Arc<dyn Journal>,
        packs: Arc<dyn Packs>,
        turn_threads: usize,
    ) -> Node {
        let engine = Engine::new(EngineParts {
            journal,
            packs,
            clock: Arc::new(SystemClock),
            new_key: Arc::new(|| RepoKey([7; 16])),
            turn_threads,
            pool_limits: PoolLimits::default(),
        })
        .expect("threads start");
        let heard = Arc::new(Heard::default());
        engine.listen(Arc::clone(&heard) as Arc<dyn Listener>);
        let new = NewRepository {
            id: RepoId::parse("bench").expect("an id"),
            description: String::new(),
            default_branch: RefName::new(BRANCH),
            storage: Storage::Hybrid,
            object_format: ObjectFormat::Sha1,
            expires_at: None,
        };
        let made = engine.create(new, cause(CauseKind::RepoCreated), false);
        let (repository, _) = futures_executor::block_on(made).expect("a repository");
        let node = Node {
            files,
            engine,
            repository,
            heard,
        };
        let all = (0..files.count()).map(|file| files.put(file, 0));
        node.publish_blocking(all.collect(), 0);
        node
    }

    fn publish_blocking(&self, actions: Vec<Action>, number: usize) {
        let proposal = Proposer::new().propose(&self.repository, actions, number);
        futures_executor::block_on(self.repository.publish(proposal)).expect("a commit");
    }

    /// Commits from 64 tasks on 2 threads.
    fn commit_all(&self, commits: usize) -> Run {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .expect("a runtime");
        let next = Arc::new(AtomicU64::new(1));
        let files = self.files;
        let memory = usage::memory(std::process::id());
        let before = self.heard.0.load(Ordering::Relaxed);
        let ((), cost) = usage::of_this_process(|| {
            runtime.block_on(async {
                let tasks: Vec<_> = (0..PROPOSERS)
                    .map(|_| {
                        let (repository, next) = (Arc::clone(&self.repository), Arc::clone(&next));
                        let proposer = Proposer::new();
                        tokio::spawn(async move {
                            loop {
                                let number = next.fetch_add(1, Ordering::Relaxed) as usize;
                                if number > commits {
                                    return;
                                }
                                let actions = vec![files.put(files.changed_by(number), number)];
                                let proposal = proposer.propose(&repository, actions, number);
                                repository.publish(proposal).await.expect("a commit");
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("a task");
                }
            });
        });
        let heard = self.heard.0.load(Ordering::Relaxed) - before;
        assert_eq!(heard, commits as u64, "the subscriber missed events");
        let memory = usage::memory(std::process::id()).saturating_sub(memory);
        Run { cost, memory }
    }

    /// The same commits made one after the other, without the door.
    fn edit_alone(&self, commits: usize) -> usage::Cost {
        let pool = Arc::clone(self.repository.pool());
        let mut refs = self.repository.snapshot().refs.clone();
        let (proposer, files) = (Proposer::new(), self.files);
        let ((), cost) = usage::of_this_process(|| {
            for number in 1..=commits {
                let actions = vec![files.put(files.changed_by(number), number)];
                let mut proposal = proposer.propose(&self.repository, actions, number);
                let change = proposal.propose(&refs, &pool).expect("a commit");
                pool.insert(&change.objects.inline).expect("it takes them");
                for edit in change.edits {
                    if let govc_engine::Edit::Ref(edit) = edit {
                        refs.set(edit.name, edit.target);
                    }
                }
            }
        });
        cost
    }

    /// The commits of the branch, first one first.
    fn ids(&self) -> Vec<ObjectId> {
        let graph = self.repository.pool().graph();
        let mut ids = Vec::new();
        let head = self.repository.snapshot().head();
        let mut at = head.and_then(|head| graph.number(&head));
        while let Some(number) = at {
            ids.push(graph.id(number));
            at = graph.parents(number).first().copied();
        }
        ids.reverse();
        ids
    }

    /// The numbers of the commits in the order in which they were decided.
    fn order(&self) -> Vec<usize> {
        let message = |id: ObjectId| {
            let commit = self.repository.pool().get(&id).expect("it was just made");
            let text = String::from_utf8_lossy(&commit.data).into_owned();
            text.trim_end()
                .rsplit(' ')
                .next()
                .and_then(|last| last.parse().ok())
                .expect("a number")
        };
        self.ids().into_iter().map(message).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.engine.shut_down();
    }
}

pub(crate) fn cause(kind: CauseKind) -> Cause {
    let (actor, request_id) = ("bench".into(), "r".into());
    Cause {
        kind,
        actor,
        via: Via::Rest,
        request_id,
        reason: None,
        idempotency: None,
    }
}

/// Somebody who makes commits.
pub(crate) struct Proposer {
    branch: RefName,
    cause: Cause,
    author: Signature,
}

impl Proposer {
    pub(crate) fn new() -> Proposer {
        Proposer {
            branch: RefName::new(BRANCH),
            cause: cause(CauseKind::Commit),
            author: Signature {
                name: b"Ada".to_vec(),
                email: b"ada@example.com".to_vec(),
                time: GitTime::utc(0),
            },
        }
    }

    pub(crate) fn propose(
        &self,
        repository: &Arc<Repository>,
        actions: Vec<Action>,
        number: usize,
    ) -> NewCommitOnBranch {
        let mut author = self.author.clone();
        author.time = GitTime::utc(1_700_000_000 + number as i64);
        let request = CommitRequest {
            branch: self.branch.clone(),
            start: Start::Existing,
            expected: Expected::Anything,
            actions,
            message: format!("commit {number}").into_bytes(),
            committer: author.clone(),
            author,
            allow_empty: true,
            file_bytes_max: 1 << 20,
            cause: self.cause.clone(),
        };
        NewCommitOnBranch::new(&View::of(repository), request).expect("a proposal")
    }
}

/// 100 bytes that no other commit has: a number with zeros before it.
fn content_of(file: usize, number: usize) -> Vec<u8> {
    let mut content = vec![b'0'; 100];
    content[99] = b'\n';
    let mut rest = file * 100_000_000 + number;
    for place in content[..99].iter_mut().rev() {
        *place += (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    content
}

/// The same commits in the same order by `git fast-import`; its cost and the id of the last.
fn fast_import(dir: &Path, files: Files, order: &[usize]) -> (usage::Cost, String) {
    let repository = fixture::bare(dir, &format!("fast-import-{files:?}.git"));
    let mut stream = Vec::new();
    for (at, number) in order.iter().enumerate() {
        use std::io::Write;
        let time = 1_700_000_000 + number;
        let message = format!("commit {number}\n");
        let mut line = |text: String| stream.write_all(text.as_bytes()).expect("memory");
        line(format!("commit {BRANCH}\n"));
        line(format!("author Ada <ada@example.com> {time} +0000\n"));
        line(format!("committer Ada <ada@example.com> {time} +0000\n"));
        line(format!("data {}\n{message}", message.len()));
        let changed = if at == 0 {
            (0..files.count()).collect()
        } else {
            vec![files.changed_by(*number)]
        };
        for file in changed {
            let content = content_of(file, *number);
            let text = String::from_utf8_lossy(&content);
            let bytes = content.len();
            line(format!(
                "M 100644 inline {}\ndata {bytes}\n{text}\n",
                files.path_of(file)
            ));
        }
    }
    let ((), cost) = usage::of_children(|| {
        fixture::fast_import(&repository, |out| {
            out.write_all(&stream).expect("git reads")
        });
    });
    let tip = fixture::output(fixture::git(&repository).args(["rev-parse", BRANCH]));
    (cost, tip)
}
