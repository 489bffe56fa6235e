//! A workspace with its index, its files and its stash: what was staged and answered is there
//! after each kill.

use std::sync::mpsc::Sender;

use govc_tests::{Http, TestServer};
use serde_json::json;

use crate::story::{Files, Story, post, read, texts};

const REPO: &str = "work";
const PATHS: [&str; 5] = ["f0", "f1", "f2", "f3", "loose"];
/// How many steps there are before they begin again.
const STEPS: usize = 8;

/// What a workspace is.
#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    head: Files,
    index: Files,
    files: Files,
    stash: Option<(Files, Files)>,
}

/// Works in one workspace.
#[derive(Default)]
pub struct Workspace {
    answered: State,
    pending: Option<State>,
    step: usize,
    /// The newest stash.
    stash: Option<String>,
}

impl Workspace {
    /// What the next step makes of it.
    fn next(&self) -> State {
        let mut next = self.answered.clone();
        let content = format!("step {}\n", self.step);
        match self.step % STEPS {
            3 => {
                next.files.insert("loose".to_owned(), content);
            }
            4 => next.head = next.index.clone(),
            6 => {
                let head = next.head.clone();
                let index = std::mem::replace(&mut next.index, head.clone());
                let files = std::mem::replace(&mut next.files, head);
                next.stash = Some((index, files));
            }
            7 => {
                if let Some((index, files)) = next.stash.take() {
                    (next.index, next.files) = (index, files);
                }
            }
            _ => {
                let path = format!("f{}", self.step % 4);
                next.index.insert(path.clone(), content.clone());
                next.files.insert(path, content);
            }
        }
        next
    }

    /// Takes the next step; `None` when the server is gone.
    fn take(&mut self, api: &Http) -> Option<()> {
        let content = format!("step {}\n", self.step);
        let at = |what: &str| format!("/repos/{REPO}/{what}?workspace=w");
        match self.step % STEPS {
            3 => post(
                api,
                &at("write"),
                &json!({ "path": "loose", "content": content }),
                200,
            )?,
            4 => post(api, &at("commit"), &json!({ "message": content }), 201)?,
            6 => post(
                api,
                &at("stash"),
                &json!({ "include_untracked": true }),
                201,
            )?,
            7 => {
                let id = self.stash.clone().expect("it was stashed");
                let body = json!({ "drop": true, "index": true });
                post(api, &at(&format!("stash/{id}/apply")), &body, 200)?
            }
            _ => {
                let path = format!("f{}", self.step % 4);
                post(
                    api,
                    &at("add"),
                    &json!({ "path": path, "content": content }),
                    200,
                )?
            }
        };
        Some(())
    }

    fn found(api: &Http) -> (State, Option<String>) {
        let files = |scope: &str| -> Files {
            let found = PATHS.map(|path| Some((path.to_owned(), read(api, REPO, path, scope)?)));
            found.into_iter().flatten().collect()
        };
        let list = api.get(&format!("/repos/{REPO}/stash?workspace=w"));
        let mut ids = texts(&list.expect(200).json()["items"], "id");
        let stash = ids.pop();
        assert_eq!(ids.len(), 0, "more than one stash");
        let state = State {
            head: files("ref=main"),
            files: files("workspace=w"),
            ..State::default()
        };
        (state, stash)
    }
}

/// The paths where two differ, and are in the first.
fn differ(one: &Files, other: &Files) -> Vec<String> {
    let differ = one
        .iter()
        .filter(|(path, content)| other.get(*path) != Some(*content));
    differ.map(|(path, _)| path.clone()).collect()
}

impl Story for Workspace {
    fn begin(&mut self, server: &TestServer) {
        let api = server.api();
        server.create(REPO);
        let body = json!({
            "branch": "main", "message": "first",
            "actions": [{ "op": "put", "path": "f0", "content": "first\n" }],
        });
        api.post(&format!("/repos/{REPO}/commits"), &body)
            .expect(201);
        let body = json!({ "name": "w", "ref": "main" });
        api.post(&format!("/repos/{REPO}/workspaces"), &body)
            .expect(201);
        let first = Files::from([("f0".to_owned(), "first\n".to_owned())]);
        self.answered = State {
            head: first.clone(),
            index: first.clone(),
            files: first,
            stash: None,
        };
    }

    fn done(&self) -> (usize, &'static str) {
        (self.step, "steps in a workspace")
    }

    fn write(&mut self, api: &Http, answer: &Sender<()>, _: usize) {
        loop {
            self.pending = Some(self.next());
            if self.step % STEPS == 7 && self.stash.is_none() {
                let list = api.request("GET", &format!("/repos/{REPO}/stash?workspace=w"));
                let Ok(list) = api.try_send(list) else { return };
                self.stash = texts(&list.expect(200).json()["items"], "id").pop();
            }
            if self.take(api).is_none() {
                return;
            }
            self.took();
            let _ = answer.send(());
        }
    }

    fn check(&mut self, server: &TestServer, context: &str) {
        let api = server.api();
        let (found, stash) = Workspace::found(&api);
        let status = api.get(&format!("/repos/{REPO}/status?workspace=w"));
        let status = status.expect(200).json();
        let staged = texts(&status["staged"], "path");
        let mut unstaged = texts(&status["unstaged"], "path");
        unstaged.extend(texts(&status["untracked"], "path"));
        unstaged.sort();
        let is = |state: &State| {
            found.head == state.head
                && found.files == state.files
                && stash.is_some() == state.stash.is_some()
                && staged == differ(&state.index, &state.head)
                && unstaged == differ(&state.files, &state.index)
        };
        if is(&self.answered) {
            self.pending = None;
        } else if self.pending.as_ref().is_some_and(is) {
            self.took();
        } else {
            panic!(
                "{context}: the workspace is {found:?}, stash {stash:?}, {status}; answered was {:?}",
                self.answered
            );
        }
        self.stash = stash;
    }
}

impl Workspace {
    /// The step was taken.
    fn took(&mut self) {
        if let Some(now) = self.pending.take() {
            self.answered = now;
            self.step += 1;
            self.stash = None;
        }
    }
}
