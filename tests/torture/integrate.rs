//! Pushes to `refs/for/`, which the server merges into a branch that others commit to.

use std::collections::BTreeSet;
use std::sync::mpsc::Sender;

use govc_tests::{Git, Http, TestServer};
use serde_json::json;

use crate::story::{Story, post};

const REPO: &str = "for";

/// Pushes onto a branch that moves meanwhile.
pub struct Integrate {
    git: Git,
    /// The newest commit that was answered.
    answered: String,
    /// The messages of all that were ever sent.
    sent: BTreeSet<String>,
}

impl Default for Integrate {
    fn default() -> Integrate {
        Integrate {
            git: Git::new(),
            answered: String::new(),
            sent: BTreeSet::from(["first".to_owned()]),
        }
    }
}

impl Story for Integrate {
    fn begin(&mut self, server: &TestServer) {
        server.create(REPO);
        let body = json!({
            "branch": "main", "message": "first",
            "actions": [{ "op": "put", "path": "first", "content": "first\n" }],
        });
        let commits = format!("/repos/{REPO}/commits");
        server.api().post(&commits, &body).expect(201);
        self.git
            .run(&format!("clone -q {} work", server.git_url(REPO)));
        self.git.run("init -q --bare mirror");
        self.answered = self.git.run("-C work rev-parse HEAD");
    }

    fn done(&self) -> (usize, &'static str) {
        (self.sent.len(), "commits to a branch that is pushed for")
    }

    fn write(&mut self, api: &Http, answer: &Sender<()>, round: usize) {
        self.git
            .run(&format!("-C work reset -q --hard {}", self.answered));
        for n in 0.. {
            let message = format!("rest-{round}-{n}");
            self.sent.insert(message.clone());
            let body = json!({
                "branch": "main", "message": message,
                "actions": [{ "op": "put", "path": "rest", "content": message }],
            });
            let Some(_) = post(api, &format!("/repos/{REPO}/commits"), &body, 201) else {
                return;
            };
            let path = format!("push-{round}-{n}");
            let id = self.git.commit("work", &path, format!("{n}\n"));
            let message = self.git.run("-C work log -1 --format=%s");
            self.sent.insert(message);
            let push = "-C work push -q -o on-conflict=merge origin HEAD:refs/for/main";
            let ran = self.git.attempt(push);
            if !ran.status.success() {
                assert!(!ran.stderr.contains("rejected"), "{ran}");
                return;
            }
            self.answered = id;
            let _ = answer.send(());
        }
    }

    fn check(&mut self, server: &TestServer, context: &str) {
        let url = server.git_url(REPO);
        self.git
            .run(&format!("-C mirror fetch -q --prune {url} +refs/*:refs/*"));
        let answered = &self.answered;
        let is_there = format!("-C mirror merge-base --is-ancestor {answered} main");
        let is_there = self.git.attempt(&is_there).status.success();
        assert!(is_there, "{context}: {answered} was answered and is lost");
        let messages = self.git.run("-C mirror log --no-merges --format=%s main");
        for message in messages.lines() {
            assert!(
                self.sent.contains(message),
                "{context}: nobody sent {message}"
            );
        }
        let count = messages.lines().count();
        let different: BTreeSet<&str> = messages.lines().collect();
        assert_eq!(
            different.len(),
            count,
            "{context}: something happened twice"
        );
    }
}
