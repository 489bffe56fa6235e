//! A branch that is committed to, undone and rewound.

use std::sync::mpsc::Sender;

use govc_tests::{Dice, Http, TestServer};
use serde_json::{Value, json};

use crate::story::{Story, post};

const REPO: &str = "back";

/// Goes forwards and back.
#[derive(Default)]
pub struct Back {
    /// The heads that were answered, with the number that each came with.
    heads: Vec<(u64, String)>,
    /// What was asked for last.
    pending: Option<Pending>,
    steps: u64,
}

enum Pending {
    Commit(String),
    /// Back to this head.
    Head(String),
}

impl Back {
    fn now(&self) -> &(u64, String) {
        self.heads.last().expect("it has a first commit")
    }

    fn step(&mut self, api: &Http) -> Option<()> {
        self.steps += 1;
        let mut dice = Dice(self.steps);
        let at = |what: &str| format!("/repos/{REPO}/{what}");
        let undoable = self.heads.len() > 1;
        let request = match dice.below(4) {
            0 if undoable => {
                let (_, before) = &self.heads[self.heads.len() - 2];
                self.pending = Some(Pending::Head(before.clone()));
                let body = json!({ "seq": self.now().0 });
                api.request("POST", &at("undo")).json(&body)
            }
            1 if undoable => {
                // What is the newest already would be no change.
                let others = { self.heads.iter() }.filter(|(_, head)| *head != self.now().1);
                let others: Vec<&(u64, String)> = others.collect();
                let (to, head) = others[dice.below(others.len())];
                self.pending = Some(Pending::Head(head.clone()));
                api.request("POST", &at("rewind"))
                    .json(&json!({ "to": to }))
            }
            _ => {
                let message = format!("step {}", self.steps);
                self.pending = Some(Pending::Commit(message.clone()));
                let actions = json!([{ "op": "put", "path": "file", "content": message }]);
                let body = json!({ "branch": "main", "message": message, "actions": actions });
                api.request("POST", &at("commits")).json(&body)
            }
        };
        let answer = api.try_send(request).ok()?;
        let text = answer.text();
        assert!(matches!(answer.status, 200 | 201), "{text}");
        let seq = answer.header("govc-seq").expect("a number");
        let seq: u64 = seq.parse().expect("a number");
        let head = match self.pending.take() {
            Some(Pending::Head(head)) => head,
            _ => answer.json()["oid"].as_str().expect("an id").to_owned(),
        };
        self.heads.push((seq, head));
        Some(())
    }
}

impl Story for Back {
    fn begin(&mut self, server: &TestServer) {
        server.create(REPO);
        let body = json!({
            "branch": "main", "message": "first",
            "actions": [{ "op": "put", "path": "file", "content": "first\n" }],
        });
        let made = post(&server.api(), &format!("/repos/{REPO}/commits"), &body, 201);
        let made = made.expect("an answer");
        let head = made["oid"].as_str().expect("an id").to_owned();
        self.heads.push((1, head));
    }

    fn done(&self) -> (usize, &'static str) {
        (self.heads.len(), "commits, undos and rewinds")
    }

    fn write(&mut self, api: &Http, answer: &Sender<()>, _: usize) {
        while self.step(api).is_some() {
            let _ = answer.send(());
        }
    }

    fn check(&mut self, server: &TestServer, context: &str) {
        let api = server.api();
        let seq = api.get(&format!("/repos/{REPO}")).expect(200).json()["seq"].as_u64();
        let seq = seq.expect("a number");
        let commit: Value = api
            .get(&format!("/repos/{REPO}/commits/main"))
            .expect(200)
            .json();
        let oid = commit["oid"].as_str().expect("an id").to_owned();
        let (answered, head) = self.now().clone();
        let message = commit["message"].as_str().unwrap_or_default().trim();
        let is_pending = match &self.pending {
            Some(Pending::Commit(sent)) => sent == message && commit["parents"][0] == head.as_str(),
            Some(Pending::Head(sent)) => *sent == oid,
            None => false,
        };
        if (seq, &oid) != (answered, &head) {
            assert!(
                is_pending && seq == answered + 1,
                "{context}: main is {oid} at {seq}, answered was {head} at {answered}"
            );
            self.heads.push((seq, oid));
        }
        self.pending = None;
        // Every moment that was answered can still be read.
        let mut dice = Dice(self.steps);
        let (at, head) = &self.heads[dice.below(self.heads.len())];
        let then = api.get(&format!("/repos/{REPO}/commits/main?at={at}"));
        assert_eq!(
            then.expect(200).json()["oid"],
            head.as_str(),
            "{context}: at {at}"
        );
    }
}
