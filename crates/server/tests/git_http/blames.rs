//! Who brought the lines of a working copy, as `git blame` says in one.

use serde_json::{Value, json};

use crate::kit::{Git, Server};

fn send(server: &Server, noun: &str, body: &Value) -> u16 {
    let url = format!("http://{}/api/v1/repos/hello/{noun}", server.address);
    let answer = reqwest::blocking::Client::new().post(url).json(body).send();
    answer.unwrap().status().as_u16()
}

/// The commits of all lines, here and in git.
fn compare(server: &Server, git: &Git, path: &str) -> usize {
    let url = format!(
        "http://{}/api/v1/repos/hello/blame/{path}?workspace=default",
        server.address
    );
    let answer: Value = reqwest::blocking::get(url).unwrap().json().unwrap();
    let lines = answer["lines"].as_array().expect("lines");
    let ours: Vec<(String, String)> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("commit"), text("content"))
        })
        .collect();
    let listed = git.run(&["blame", "--line-porcelain", path]);
    let mut theirs = Vec::new();
    let mut commit = String::new();
    for line in listed.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        if let Some(content) = line.strip_prefix('\t') {
            theirs.push((commit.clone(), content.to_owned()));
        } else if first.len() == 40 && first.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            commit = first.to_owned();
        }
    }
    assert_eq!(ours, theirs, "{path}");
    let nobodys = ours.iter().filter(|(commit, _)| *commit == "0".repeat(40));
    nobodys.count()
}

#[test]
fn a_working_copy_is_blamed_as_it_is() {
    let server = Server::start();
    let git = server.working("w");
    let text: String = (0..12).map(|line| format!("line {line}\n")).collect();
    git.write("file", &text);
    git.write("old", text.replace("line", "old"));
    git.commit("first");
    git.run(&["checkout", "-q", "-b", "topic"]);
    git.write(
        "file",
        text.replace("line 9", "theirs 9")
            .replace("line 2\n", "theirs 2\n"),
    );
    git.commit("theirs");
    git.run(&["checkout", "-q", "main"]);
    git.write("file", text.replace("line 2\n", "ours 2\n"));
    git.commit("ours");
    git.run(&["push", "-q", &server.url(), "main", "topic"]);

    // What is written, and what is staged and written again.
    let changed = text
        .replace("line 2\n", "ours 2\nnew\n")
        .replace("line 7\n", "");
    git.write("file", &changed);
    assert_eq!(
        send(
            &server,
            "write",
            &json!({"path": "file", "content": changed})
        ),
        200
    );
    assert_eq!(compare(&server, &git, "file"), 1);
    git.run(&["add", "file"]);
    assert_eq!(send(&server, "add", &json!({"path": "file"})), 200);
    assert_eq!(compare(&server, &git, "file"), 1);
    // New, and moved.
    git.write("new", "one\ntwo\n");
    git.run(&["add", "new"]);
    assert_eq!(
        send(
            &server,
            "add",
            &json!({"path": "new", "content": "one\ntwo\n"})
        ),
        200
    );
    assert_eq!(compare(&server, &git, "new"), 2);
    git.run(&["mv", "old", "moved"]);
    assert_eq!(
        send(&server, "move", &json!({"from": "old", "to": "moved"})),
        200
    );
    assert_eq!(compare(&server, &git, "moved"), 0);

    git.run(&["reset", "-q", "--hard"]);
    assert_eq!(send(&server, "reset", &json!({"mode": "hard"})), 200);
    git.try_run(&["merge", "topic"]);
    let merge = json!({"from": "topic", "keep_conflicts": true});
    assert_eq!(send(&server, "merge?workspace=default", &merge), 202);
    // The marks are nobody's, and both sides have their lines.
    assert_eq!(compare(&server, &git, "file"), 3);
}
