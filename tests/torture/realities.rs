//! Realities: two are made, both are worked in, one is promoted and the other discarded with it.

use std::sync::mpsc::Sender;

use govc_tests::{Http, TestServer};
use serde_json::json;

use crate::story::{Story, post, read, texts};

const REPO: &str = "many-worlds";

/// Pairs of realities, one after the other.
#[derive(Default)]
pub struct Realities {
    /// Which pair.
    number: usize,
    /// How many steps were answered of it: making, a commit in each, promoting.
    answered: usize,
    /// Whether one more was asked for.
    pending: bool,
}

const STEPS: usize = 4;

impl Realities {
    fn names(&self) -> [String; 2] {
        ["a", "b"].map(|side| format!("{side}{}", self.number))
    }

    fn step(&mut self, api: &Http) -> Option<()> {
        let at = |what: &str| format!("/repos/{REPO}/parallel-realities{what}");
        let [a, b] = self.names();
        self.pending = true;
        match self.answered {
            0 => post(api, &at(""), &json!({ "branches": [a, b] }), 201)?,
            1 | 2 => {
                let name = if self.answered == 1 { a } else { b };
                let actions = [json!({ "op": "put", "path": name, "content": name })];
                let body = json!({ "message": name, "actions": actions });
                post(api, &at(&format!("/{name}/apply")), &body, 201)?
            }
            _ => {
                let body = json!({ "discard_siblings": true });
                post(api, &at(&format!("/{a}/promote")), &body, 200)?
            }
        };
        self.took();
        Some(())
    }

    fn took(&mut self) {
        self.pending = false;
        self.answered += 1;
        if self.answered == STEPS {
            self.answered = 0;
            self.number += 1;
        }
    }

    /// Whether the server is as after so many steps of this pair.
    fn is(&self, api: &Http, steps: usize) -> bool {
        let [a, b] = self.names();
        let open = api.get(&format!("/repos/{REPO}/parallel-realities"));
        let open = texts(&open.expect(200).json()["items"], "name");
        let expected = match steps {
            0 | STEPS => Vec::new(),
            _ => vec![a.clone(), b.clone()],
        };
        let committed = |name: &str| {
            let content = read(api, REPO, name, &format!("reality={name}"));
            content.as_deref() == Some(name)
        };
        let promoted = read(api, REPO, &a, "ref=main").is_some();
        open == expected
            && promoted == (steps == STEPS)
            && (steps == 0 || committed(&a) == (steps >= 2))
            && (matches!(steps, 0 | STEPS) || committed(&b) == (steps >= 3))
    }
}

impl Story for Realities {
    fn begin(&mut self, server: &TestServer) {
        server.create(REPO);
        let body = json!({
            "branch": "main", "message": "first",
            "actions": [{ "op": "put", "path": "first", "content": "first\n" }],
        });
        let commits = format!("/repos/{REPO}/commits");
        server.api().post(&commits, &body).expect(201);
    }

    fn done(&self) -> (usize, &'static str) {
        (self.number, "realities promoted")
    }

    fn write(&mut self, api: &Http, answer: &Sender<()>, _: usize) {
        while self.step(api).is_some() {
            let _ = answer.send(());
        }
    }

    fn check(&mut self, server: &TestServer, context: &str) {
        let api = server.api();
        if let Some(last) = self.number.checked_sub(1) {
            let kept = read(&api, REPO, &format!("a{last}"), "ref=main");
            assert!(kept.is_some(), "{context}: what was promoted is lost");
            let gone = read(&api, REPO, &format!("b{last}"), "ref=main");
            assert!(gone.is_none(), "{context}: what was discarded is there");
        }
        if self.is(&api, self.answered) {
            self.pending = false;
        } else if self.pending && self.is(&api, self.answered + 1) {
            self.took();
        } else {
            let open = api.get(&format!("/repos/{REPO}/parallel-realities?state=all"));
            let (number, answered) = (self.number, self.answered);
            panic!(
                "{context}: pair {number}, {answered} steps answered: {}",
                open.text()
            );
        }
    }
}
