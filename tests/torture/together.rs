//! Several repositories changed at once: after each kill all of them have it or none.

use std::sync::mpsc::Sender;

use govc_tests::{Dice, Http, TestServer};
use serde_json::{Value, json};

use crate::story::{Story, post};

/// Who changes which repositories at once.
pub const GROUPS: [&[&str]; 3] = [
    &["many-a", "many-b"],
    &["many-c", "many-a"],
    &["many-b", "many-c", "many-d"],
];

/// Changes a group, again and again.
pub struct Together {
    pub group: usize,
    answered: Option<String>,
    pending: Option<String>,
    count: usize,
}

/// Reads groups meanwhile: who has seen one repository's new state never sees another's old one.
pub struct Reader(pub u64, pub usize);

fn branch(group: usize) -> String {
    format!("group-{group}")
}

/// Which change of the group a repository has.
fn found(answer: &govc_tests::Answer) -> Option<String> {
    let message = |commit: Value| {
        commit["message"]
            .as_str()
            .map(|text| text.trim().to_owned())
    };
    match answer.status {
        404 => None,
        200 => message(answer.json()),
        status => panic!("{status}: {}", answer.text()),
    }
}

impl Together {
    pub fn new(group: usize) -> Together {
        Together {
            group,
            answered: None,
            pending: None,
            count: 0,
        }
    }
}

impl Story for Together {
    fn begin(&mut self, server: &TestServer) {
        for id in GROUPS[self.group] {
            let answer = server.api().post("/repos", &json!({ "id": id }));
            assert!(matches!(answer.status, 201 | 409), "{}", answer.text());
        }
    }

    fn done(&self) -> (usize, &'static str) {
        (self.count, "groups of repositories")
    }

    fn write(&mut self, api: &Http, answer: &Sender<()>, round: usize) {
        for n in 0.. {
            let message = format!("{round:06}/{n:06}");
            self.pending = Some(message.clone());
            let operation = |repo: &&str| {
                let mut operation = json!({
                    "repo": repo, "branch": branch(self.group), "message": message,
                    "actions": [{ "op": "put", "path": branch(self.group), "content": message }],
                });
                if self.answered.is_none() {
                    operation["create_from"] = Value::Null;
                }
                operation
            };
            let operations: Vec<Value> = GROUPS[self.group].iter().map(operation).collect();
            let body = json!({ "operations": operations });
            let Some(_) = post(api, "/transactions", &body, 200) else {
                break;
            };
            self.answered = self.pending.take();
            self.count += 1;
            let _ = answer.send(());
        }
    }

    fn check(&mut self, server: &TestServer, context: &str) {
        let api = server.api();
        let commits = GROUPS[self.group].iter().map(|repo| {
            let commit = api.get(&format!("/repos/{repo}/commits/{}", branch(self.group)));
            let file = format!("/repos/{repo}/read/{0}?ref={0}", branch(self.group));
            let found = found(&commit);
            if let Some(message) = &found {
                let content = api.get(&file).expect(200).json()["content"].clone();
                assert_eq!(content, message.as_str(), "{context}: {repo}");
            }
            found
        });
        let all: Vec<Option<String>> = commits.collect();
        let group = self.group;
        assert!(
            all.windows(2).all(|pair| pair[0] == pair[1]),
            "{context}: half of group {group}: {all:?}"
        );
        assert!(
            all[0] == self.answered || (all[0].is_some() && all[0] == self.pending),
            "{context}: group {group} is {all:?}, answered was {:?}",
            self.answered
        );
        self.answered.clone_from(&all[0]);
        self.pending = None;
    }
}

impl Story for Reader {
    fn begin(&mut self, _: &TestServer) {}

    fn done(&self) -> (usize, &'static str) {
        (self.1, "looks at a group")
    }

    fn write(&mut self, api: &Http, _: &Sender<()>, _: usize) {
        let mut dice = Dice(self.0);
        loop {
            let group = dice.below(GROUPS.len());
            let members = GROUPS[group];
            let first = dice.below(members.len());
            let second = (first + 1) % members.len();
            let mut seen = Vec::new();
            for member in [members[first], members[second]] {
                let path = format!("/repos/{member}/commits/{}", branch(group));
                let Ok(answer) = api.try_send(api.request("GET", &path)) else {
                    self.0 = self.0.wrapping_add(1);
                    return;
                };
                seen.push(found(&answer));
            }
            assert!(seen[1] >= seen[0], "group {group} was seen as {seen:?}");
            self.1 += 1;
        }
    }

    fn check(&mut self, _: &TestServer, _: &str) {}
}
