//! `kill -9` in the middle of everything.
//!
//! Writers commit by REST to one branch and to branches of their own, push, and fork; others
//! ([`story`]) change several repositories at once, work in a workspace, fill transactions, make and
//! promote realities, undo and rewind, and push what the server merges; all that while the server
//! makes checkpoints all the time. At a moment that the seed picks it is killed, started
//! again, and held against what the writers were told: what was answered is there, and what is
//! there was answered or was on its way. `GOVC_KILLS` is how often, `GOVC_SEED` picks the moments.

mod back;
mod integrate;
mod realities;
mod story;
mod together;
mod transaction;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Sender, channel};

use govc_tests::{Dice, Git, Http, Options, TestServer};
use serde_json::{Value, json};

use story::Story;

const KILLS_SHORT: usize = 6;
/// A kill comes after this many answers at most.
const ANSWERS_MAX: usize = 80;
const SHARED_WRITERS: usize = 3;
const OWN_WRITERS: usize = 2;
const PUSHERS: usize = 2;
const CONFIG: &str =
    "storage:\n  checkpoint_interval: 100ms\n  log_segment: 1MiB\n  compaction_packs: 3\n";

/// What is known to be there.
#[derive(Default)]
struct Known {
    /// Commits on `main` that were answered, over all rounds.
    shared: BTreeSet<String>,
    /// The messages of all that were ever sent to `main`, answered or not.
    shared_sent: BTreeSet<String>,
    /// The heads of branches that have one writer.
    own: BTreeMap<String, Head>,
    /// Forks that were answered.
    forks: BTreeSet<String>,
}

/// A branch with one writer.
#[derive(Default, Clone)]
struct Head {
    /// The last commit that was answered.
    answered: Option<String>,
    /// What may have been taken without an answer.
    pending: Option<Pending>,
}

#[derive(Clone)]
enum Pending {
    /// A commit whose id is known: it was pushed.
    Id(String),
    /// A commit that the server makes: its message is known.
    Message(String),
}

/// What a writer brings home when the server is gone.
enum Told {
    Shared {
        answered: Vec<String>,
        sent: Vec<String>,
    },
    Own(String, Head),
    Forks(Vec<String>),
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .filter(|text| !text.is_empty())?
        .parse()
        .ok()
}

#[test]
fn nothing_that_was_answered_is_lost() {
    let kills = from_environment("GOVC_KILLS").map_or(KILLS_SHORT, |n| n as usize);
    let seed = from_environment("GOVC_SEED").unwrap_or(1);
    let mut dice = Dice(seed);
    let mut server = TestServer::with(Options {
        config: Some(CONFIG.to_owned()),
        ..Options::default()
    });
    server.create("hello");
    let mut known = Known::default();
    let mirror = Git::new();
    mirror.run("init -q --bare -b main mirror");
    let pushers: Vec<Git> = (0..PUSHERS).map(|n| pusher(&server, n)).collect();
    let mut stories = stories();
    stories.iter_mut().for_each(|story| story.begin(&server));
    for round in 0..kills {
        let answers = 1 + dice.below(ANSWERS_MAX);
        let told = write_until_killed(&mut server, &known, &pushers, &mut stories, round, answers);
        for told in told {
            known.take(told);
        }
        server.start_again();
        let context = format!("seed {seed}, round {round}, {answers} answers");
        check(&server, &mirror, &mut known, &context);
        stories
            .iter_mut()
            .for_each(|story| story.check(&server, &context));
        // Now and then the other way to end: a checkpoint of everything, and exit code 0.
        if dice.below(8) == 0 {
            server.stop_well();
            server.start_again();
            let context = format!("{context}, a stop");
            check(&server, &mirror, &mut known, &context);
            stories
                .iter_mut()
                .for_each(|story| story.check(&server, &context));
        }
    }
    for story in &stories {
        let (count, what) = story.done();
        assert!(count > 0, "no {what}");
        eprintln!("{count} {what}");
    }
    mirror.fsck("mirror");
    server.stop_well();
    for entry in std::fs::read_dir(server.data()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "git") {
            mirror.fsck(&path.to_string_lossy());
        }
    }
}

/// All that others do meanwhile.
fn stories() -> Vec<Box<dyn Story>> {
    let mut stories: Vec<Box<dyn Story>> = vec![
        Box::new(workspace::Workspace::default()),
        Box::new(transaction::Transaction::default()),
        Box::new(realities::Realities::default()),
        Box::new(back::Back::default()),
        Box::new(integrate::Integrate::default()),
        Box::new(together::Reader(1, 0)),
    ];
    for group in 0..together::GROUPS.len() {
        stories.push(Box::new(together::Together::new(group)));
    }
    stories
}

/// A clone whose commits are pushed to a branch of its own.
fn pusher(server: &TestServer, n: usize) -> Git {
    let git = Git::new();
    git.run(&format!("init -q -b push-{n} work"));
    git.run(&format!(
        "-C work remote add origin {}",
        server.git_url("hello")
    ));
    git
}

/// Starts all writers, and kills the server after so many answers.
fn write_until_killed(
    server: &mut TestServer,
    known: &Known,
    pushers: &[Git],
    stories: &mut [Box<dyn Story>],
    round: usize,
    answers: usize,
) -> Vec<Told> {
    let api = server.api();
    let (answer, heard) = channel::<()>();
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for n in 0..SHARED_WRITERS {
            let (api, answer) = (api.clone(), answer.clone());
            writers
                .push(scope.spawn(move || shared_writer(&api, &answer, &format!("{round}/{n}"))));
        }
        for n in 0..OWN_WRITERS {
            let branch = format!("own-{n}");
            let head = known.own.get(&branch).cloned().unwrap_or_default();
            let (api, answer) = (api.clone(), answer.clone());
            writers.push(scope.spawn(move || own_writer(&api, &answer, branch, head, round)));
        }
        for (n, git) in pushers.iter().enumerate() {
            let branch = format!("push-{n}");
            let head = known.own.get(&branch).cloned().unwrap_or_default();
            let answer = answer.clone();
            writers.push(scope.spawn(move || push_writer(git, &answer, branch, head, round)));
        }
        let forks_api = api.clone();
        let forks_answer = answer.clone();
        writers.push(scope.spawn(move || forker(&forks_api, &forks_answer, round)));

        for story in stories {
            let (api, answer) = (api.clone(), answer.clone());
            scope.spawn(move || story.write(&api, &answer, round));
        }

        for _ in 0..answers {
            // Every writer ends only when the server does, so the answers keep coming.
            heard.recv().expect("the writers write");
        }
        server.kill();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer ends"))
            .collect()
    })
}

/// One commit: `None` when the server is gone.
fn commit(api: &Http, branch: &str, message: &str, extra: &Value) -> Option<(u16, Value)> {
    let mut body = json!({
        "branch": branch,
        "message": message,
        "actions": [{"op": "put", "path": format!("{branch}/{}", message.replace(' ', "-")), "content": message}],
    });
    if let (Some(body), Some(extra)) = (body.as_object_mut(), extra.as_object()) {
        body.extend(extra.clone());
    }
    let request = api.request("POST", "/repos/hello/commits").json(&body);
    let answer = api.try_send(request).ok()?;
    Some((answer.status, answer.json()))
}

fn id_of(commit: &Value) -> String {
    commit["oid"].as_str().expect("an id").to_owned()
}

fn shared_writer(api: &Http, answer: &Sender<()>, name: &str) -> Told {
    let (mut answered, mut sent) = (Vec::new(), Vec::new());
    for n in 0.. {
        let message = format!("shared {name}/{n}");
        sent.push(message.clone());
        match commit(api, "main", &message, &json!({})) {
            None => break,
            Some((201, commit)) => answered.push(id_of(&commit)),
            Some((status, problem)) => panic!("{status}: {problem}"),
        }
        let _ = answer.send(());
    }
    Told::Shared { answered, sent }
}

fn own_writer(
    api: &Http,
    answer: &Sender<()>,
    branch: String,
    mut head: Head,
    round: usize,
) -> Told {
    for n in 0.. {
        let message = format!("own {round}/{n}");
        head.pending = Some(Pending::Message(message.clone()));
        let extra = match &head.answered {
            Some(id) => json!({"expected_head": id}),
            None => json!({"create_from": null}),
        };
        match commit(api, &branch, &message, &extra) {
            None => break,
            Some((201, commit)) => head.answered = Some(id_of(&commit)),
            Some((status, problem)) => panic!("{branch}: {status}: {problem}"),
        }
        head.pending = None;
        let _ = answer.send(());
    }
    Told::Own(branch, head)
}

fn push_writer(
    git: &Git,
    answer: &Sender<()>,
    branch: String,
    mut head: Head,
    round: usize,
) -> Told {
    // What was not taken the last time is not sent again: the next commit stands on what is there.
    if let Some(id) = &head.answered {
        git.run(&format!("-C work reset -q --hard {id}"));
    }
    for n in 0.. {
        // Every third push is too large for the log, and goes aside as a pack.
        if n % 3 == 2 {
            let seed = (round * 1000 + n) as u64;
            git.write("work/large", Dice(seed).bytes(3 << 20));
        }
        let id = git.commit("work", &format!("{branch}-{round}-{n}"), format!("{n}\n"));
        head.pending = Some(Pending::Id(id.clone()));
        let ran = git.attempt(&format!("-C work push -q origin {branch}"));
        if !ran.status.success() {
            assert!(!ran.stderr.contains("rejected"), "{branch}: {ran}");
            break;
        }
        head = Head {
            answered: Some(id),
            pending: None,
        };
        let _ = answer.send(());
    }
    Told::Own(branch, head)
}

fn forker(api: &Http, answer: &Sender<()>, round: usize) -> Told {
    let mut answered = Vec::new();
    for n in 0.. {
        let id = format!("fork-{round}-{n}");
        let request = api
            .request("POST", "/repos/hello/fork")
            .json(&json!({ "id": id }));
        match api.try_send(request) {
            Err(_) => break,
            Ok(done) => answered.push(
                done.expect(201).json()["id"]
                    .as_str()
                    .map_or(id, str::to_owned),
            ),
        }
        let _ = answer.send(());
    }
    Told::Forks(answered)
}

impl Known {
    fn take(&mut self, told: Told) {
        match told {
            Told::Shared { answered, sent } => {
                self.shared.extend(answered);
                self.shared_sent.extend(sent);
            }
            Told::Own(branch, head) => {
                self.own.insert(branch, head);
            }
            Told::Forks(forks) => self.forks.extend(forks),
        }
    }
}

/// The server after its start, held against what is known.
fn check(server: &TestServer, mirror: &Git, known: &mut Known, context: &str) {
    mirror.run(&format!(
        "-C mirror fetch -q --prune {} +refs/*:refs/*",
        server.git_url("hello")
    ));
    let refs: BTreeMap<String, String> = mirror
        .run("-C mirror for-each-ref --format='%(refname:lstrip=2) %(objectname)'")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, id)| (name.to_owned(), id.to_owned()))
        .collect();

    if refs.contains_key("main") {
        let log = mirror.run("-C mirror log --format='%H %s' main");
        let history: BTreeMap<&str, &str> = log
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        for id in &known.shared {
            assert!(
                history.contains_key(id.as_str()),
                "{context}: {id} was answered and is lost"
            );
        }
        for (id, message) in &history {
            assert!(
                known.shared_sent.contains(*message),
                "{context}: nobody sent {id} {message}"
            );
        }
        let messages: BTreeSet<&str> = history.values().copied().collect();
        assert_eq!(
            messages.len(),
            history.len(),
            "{context}: something happened twice"
        );
        known.shared = history.keys().map(|id| (*id).to_owned()).collect();
    } else {
        assert!(known.shared.is_empty(), "{context}: main is lost");
    }

    for (branch, head) in &mut known.own {
        let found = refs.get(branch);
        if found != head.answered.as_ref() {
            let id = found.unwrap_or_else(|| panic!("{context}: {branch} is lost"));
            let is_pending = match &head.pending {
                Some(Pending::Id(pending)) => pending == id,
                Some(Pending::Message(message)) => {
                    let shown = mirror.run(&format!("-C mirror log -1 --format='%P|%s' {id}"));
                    shown == format!("{}|{message}", head.answered.as_deref().unwrap_or_default())
                }
                None => false,
            };
            assert!(
                is_pending,
                "{context}: {branch} is {found:?}, answered was {:?}",
                head.answered
            );
        }
        *head = Head {
            answered: found.cloned(),
            pending: None,
        };
    }

    let api = server.api();
    for fork in &known.forks {
        api.get(&format!("/repos/{fork}")).expect(200);
    }
    // One of them is looked at whole.
    if let Some(fork) = known.forks.iter().next_back() {
        let git = Git::new();
        git.run(&format!("clone -q --bare {} fork", server.git_url(fork)));
        git.fsck("fork");
    }
}
