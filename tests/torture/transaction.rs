//! Transactions that stay open over kills: what was put into one is there, and it is committed
//! whole or not at all.

use std::sync::mpsc::Sender;

use govc_tests::{Http, TestServer};
use serde_json::json;

use crate::story::{Story, post, texts};

const REPO: &str = "tx";
/// Files that one brings.
const FILES: usize = 3;

/// One transaction after the other.
#[derive(Default)]
pub struct Transaction {
    /// How many were made; the next has this number.
    number: usize,
    /// The open one: its id, and how many files were put into it.
    open: Option<(String, usize)>,
    /// Whether a file, or the commit, was asked for and not answered.
    pending: bool,
}

impl Transaction {
    fn step(&mut self, api: &Http) -> Option<()> {
        let at = |what: &str| format!("/repos/{REPO}/transaction{what}");
        match self.open.clone() {
            None => {
                let begun = post(api, &at(""), &json!({ "branch": "main" }), 201)?;
                let id = begun["id"].as_str().expect("an id").to_owned();
                self.open = Some((id, 0));
            }
            Some((id, count)) if count < FILES => {
                let path = format!("{}/{count}", self.number);
                let body = json!({ "path": path, "content": path });
                self.pending = true;
                post(api, &at(&format!("/{id}/add")), &body, 200)?;
                self.open = Some((id, count + 1));
            }
            Some((id, _)) => {
                self.pending = true;
                let body = json!({ "message": format!("transaction {}", self.number) });
                post(api, &at(&format!("/{id}/commit")), &body, 201)?;
                self.open = None;
                self.number += 1;
            }
        }
        self.pending = false;
        Some(())
    }
}

impl Story for Transaction {
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
        (self.number, "transactions")
    }

    fn write(&mut self, api: &Http, answer: &Sender<()>, _: usize) {
        while self.step(api).is_some() {
            let _ = answer.send(());
        }
    }

    fn check(&mut self, server: &TestServer, context: &str) {
        let api = server.api();
        let there = |number: usize| {
            let tree = api.get(&format!("/repos/{REPO}/tree/{number}"));
            match tree.status {
                404 => 0,
                _ => texts(&tree.expect(200).json()["items"], "path").len(),
            }
        };
        if let Some(last) = self.number.checked_sub(1) {
            assert_eq!(there(last), FILES, "{context}: transaction {last} is lost");
        }
        let number = self.number;
        let made = there(number);
        let Some((id, count)) = self.open.clone() else {
            assert_eq!(made, 0, "{context}: {number} was not committed");
            return;
        };
        if made > 0 {
            let is_whole = made == FILES && count == FILES && self.pending;
            assert!(
                is_whole,
                "{context}: {made} files of {number}, answered {count}"
            );
            self.open = None;
            self.number += 1;
        } else {
            let shown = api.get(&format!("/repos/{REPO}/transaction/{id}"));
            let shown = shown.expect(200).json();
            let staged = texts(&shown["diff"]["files"], "path").len();
            assert!(
                staged == count || (self.pending && count < FILES && staged == count + 1),
                "{context}: {staged} files are in {number}, answered {count}: {shown}"
            );
            self.open = Some((id, staged));
        }
        self.pending = false;
    }
}
