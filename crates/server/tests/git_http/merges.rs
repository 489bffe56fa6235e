//! What is merged, picked, reverted and rebased by REST is what git makes of it, id for id.

use serde_json::{Value, json};

use crate::kit::{Git, Server};

/// Ada, as the kit's git has her.
fn ada() -> Value {
    json!({"name": "Ada", "email": "ada@example.org", "time": "2023-11-14T23:13:20+01:00"})
}

fn post(server: &Server, noun: &str, mut body: Value) -> (u16, Value) {
    let query = noun.find('?').map_or("", |at| &noun[at..]);
    let noun = noun.split('?').next().unwrap();
    for person in ["author", "committer"] {
        if body.get(person).is_none() {
            body[person] = ada();
        }
    }
    let url = format!("http://{}/api/v1/repos/hello/{noun}{query}", server.address);
    let answer = reqwest::blocking::Client::new().post(url).json(&body);
    let answer = answer.send().unwrap();
    (answer.status().as_u16(), answer.json().unwrap())
}

/// Main and a branch `topic`, which changed other files and, in one, other lines.
fn two_lines(server: &Server) -> Git {
    let git = server.working("w");
    let text: String = (0..20).map(|line| format!("line {line}\n")).collect();
    git.write("file", &text);
    git.write("dir/other", "other\n");
    git.commit("first\n\nwith a body");
    git.run(&["checkout", "-q", "-b", "topic"]);
    git.write("file", text.replace("line 3\n", "line three\n"));
    git.commit("topic: three");
    git.write("new", "new\n");
    git.commit("topic: new");
    git.run(&["checkout", "-q", "main"]);
    git.write("file", text.replace("line 15\n", "line fifteen\n"));
    git.commit("main: fifteen");
    git.run(&["tag", "start"]);
    git.run(&["push", "-q", &server.url(), "main", "topic", "start"]);
    git
}

#[test]
fn merges_are_gits() {
    let server = Server::start();
    let git = two_lines(&server);
    git.run(&["merge", "-q", "--no-ff", "--no-edit", "topic"]);
    let merged = git.id("HEAD");
    let body = json!({"from": "topic", "to": "main"});
    let (status, rehearsed) = post(&server, "merge?dry_run=true", body.clone());
    assert_eq!((status, rehearsed["oid"].as_str()), (201, Some(&*merged)));
    assert_eq!(server.ref_at("refs/heads/main"), git.id("HEAD^1"));
    let (status, commit) = post(&server, "merge", body.clone());
    assert_eq!(status, 201, "{commit}");
    assert_eq!(commit["oid"], *merged);
    assert_eq!(server.ref_at("refs/heads/main"), merged);
    // Again there is nothing to do.
    let (status, commit) = post(&server, "merge", body);
    assert_eq!((status, commit["oid"].as_str()), (200, Some(&*merged)));
    // What it brought can be fetched.
    let clone = server.clone_to("c", &[]);
    clone.run(&["fsck", "--strict"]);
    assert_eq!(clone.id("HEAD"), merged);

    // Forward is enough.
    git.run(&["checkout", "-q", "topic"]);
    git.run(&["merge", "-q", "--ff-only", "main"]);
    let (status, commit) = post(
        &server,
        "merge",
        json!({"from": "main", "to": "topic", "strategy": "ff_only"}),
    );
    assert_eq!((status, commit["oid"].as_str()), (200, Some(&*merged)));
    assert_eq!(server.ref_at("refs/heads/topic"), merged);
}

#[test]
fn messages_are_gits() {
    let server = Server::start();
    let git = two_lines(&server);
    git.run(&["checkout", "-q", "-b", "next", "topic"]);
    git.run(&["push", "-q", &server.url(), "next"]);
    let id = git.id("main");
    for (from, into) in [
        ("main", "next"),
        ("start", "next"),
        ("main~0", "next"),
        (&*id, "next"),
    ] {
        let (status, commit) = post(
            &server,
            "merge?dry_run=true",
            json!({"from": from, "to": into}),
        );
        assert_eq!(status, 201, "{commit}");
        git.run(&["checkout", "-q", into]);
        git.run(&["reset", "-q", "--hard", "topic"]);
        git.run(&["merge", "-q", "--no-ff", "--no-edit", from]);
        let text = git.run(&["log", "-1", "--format=%B"]);
        let ours = commit["message"].as_str().unwrap();
        assert_eq!(ours.trim_end(), text.trim_end());
        assert_eq!(commit["oid"], *git.id("HEAD"), "{from}");
    }
}

#[test]
fn squashes_and_rebases_are_gits() {
    let server = Server::start();
    let git = two_lines(&server);
    let main = git.id("main");
    git.run(&["merge", "-q", "--squash", "topic"]);
    git.run(&["commit", "-q", "--no-edit"]);
    let body = json!({"from": "topic", "to": "main", "strategy": "squash"});
    let (status, commit) = post(&server, "merge?dry_run=true", body);
    assert_eq!(status, 201, "{commit}");
    assert_eq!(
        commit["message"].as_str().unwrap(),
        git.run(&["log", "-1", "--format=%B"]).trim_end().to_owned() + "\n"
    );
    assert_eq!(commit["oid"], *git.id("HEAD"));

    git.run(&["checkout", "-q", "topic"]);
    git.run(&["rebase", "-q", &main]);
    let (status, done) = post(
        &server,
        "rebase",
        json!({"branch": "topic", "onto": "main"}),
    );
    assert_eq!(status, 201, "{done}");
    assert_eq!(done["head"], *git.id("HEAD"));
    assert_eq!(done["commits"].as_array().unwrap().len(), 2);
    assert_eq!(server.ref_at("refs/heads/topic"), git.id("HEAD"));
    server.clone_to("c", &[]).run(&["fsck", "--strict"]);
}

#[test]
fn picks_and_reverts_are_gits() {
    let server = Server::start();
    let git = two_lines(&server);
    git.run(&["reset", "-q", "--hard", "main"]);
    git.run(&["cherry-pick", "main..topic"]);
    let (status, done) = post(&server, "cherry-pick", json!({"commits": ["main..topic"]}));
    assert_eq!(status, 201, "{done}");
    assert_eq!(done["head"], *git.id("HEAD"));
    git.run(&["revert", "--no-edit", "HEAD~2"]);
    let (status, done) = post(&server, "revert", json!({"commit": "HEAD~2"}));
    assert_eq!(status, 201, "{done}");
    assert_eq!(done["head"], *git.id("HEAD"));
    // A merge is compared with one of its parents.
    git.run(&["merge", "-q", "--no-ff", "--no-edit", "topic"]);
    git.run(&["push", "-q", &server.url(), "main"]);
    let (status, problem) = post(&server, "revert", json!({"commit": "main"}));
    assert_eq!(
        (status, problem["code"].as_str()),
        (422, Some("MAINLINE_INVALID"))
    );
    git.write("later", "later\n");
    git.commit("later");
    git.run(&["push", "-q", &server.url(), "main"]);
    git.run(&["revert", "--no-edit", "-m", "1", "HEAD~2"]);
    let (status, done) = post(
        &server,
        "revert",
        json!({"commit": "main~2", "mainline": 1}),
    );
    // Of a commit that is no merge its only parent is the mainline.
    assert_eq!((status, &done["head"]), (201, &json!(git.id("HEAD"))));
    for mainline in ["1", "2"] {
        let merge = git.run(&["rev-list", "--merges", "-1", "HEAD"]);
        let merge = merge.trim().to_owned();
        let (fine, _, said) =
            git.try_run_with(&["revert", "--no-edit", "-m", mainline, &merge], &[]);
        let body = json!({"commit": merge, "mainline": mainline.parse::<u32>().unwrap()});
        let (status, done) = post(&server, "revert", body);
        match fine {
            true => assert_eq!(
                (status, &done["head"]),
                (201, &json!(git.id("HEAD"))),
                "{said}"
            ),
            false => {
                assert_ne!(status, 201, "{said} {done}");
                git.run(&["reset", "-q", "--hard"]);
            }
        }
    }
    // Of a root nobody asks which.
    git.run(&["reset", "-q", "--hard", "main"]);
    git.run(&["push", "-q", "-f", &server.url(), "main"]);
    git.run(&["checkout", "-q", "--orphan", "elsewhere"]);
    git.run(&["rm", "-q", "-r", "-f", "."]);
    git.write("elsewhere", "a root\n");
    git.commit("a root");
    git.run(&["push", "-q", &server.url(), "elsewhere"]);
    git.run(&["checkout", "-q", "main"]);
    git.run(&["cherry-pick", "-m", "2", "elsewhere"]);
    let body = json!({"commit": "elsewhere", "mainline": 2});
    let (status, done) = post(&server, "cherry-pick", body);
    assert_eq!((status, &done["head"]), (201, &json!(git.id("HEAD"))));
}

#[test]
fn a_merged_tag_says_what_it_says() {
    let server = Server::start();
    let git = two_lines(&server);
    let text = "one\n\n# two\n\n\nthree";
    git.run(&["tag", "-a", "--cleanup=verbatim", "-m", text, "v1", "topic"]);
    git.run(&["push", "-q", &server.url(), "v1"]);
    git.run(&["checkout", "-q", "main"]);
    git.run(&["merge", "-q", "--no-edit", "v1"]);
    let (status, done) = post(&server, "merge", json!({"from": "v1", "to": "main"}));
    assert_eq!(
        (status, &done["oid"]),
        (201, &json!(git.id("HEAD"))),
        "{done}"
    );
}

#[test]
fn fixups_find_what_they_mend() {
    let server = Server::start();
    let git = two_lines(&server);
    git.run(&["checkout", "-q", "topic"]);
    git.write("new", "newer\n");
    git.commit("fixup! topic: new");
    git.write("dir/more", "more\n");
    git.commit("squash! topic: three\n\nand more of it");
    git.write("last", "last\n");
    git.commit("topic: last");
    git.run(&["push", "-q", &server.url(), "topic"]);
    let no_editor = [("GIT_SEQUENCE_EDITOR", ":"), ("GIT_EDITOR", ":")];
    let (fine, _, said) = git.try_run_with(&["rebase", "-i", "--autosquash", "main"], &no_editor);
    assert!(fine, "{said}");
    let (status, done) = post(
        &server,
        "rebase",
        json!({"branch": "topic", "onto": "main", "autosquash": true}),
    );
    assert_eq!(status, 201, "{done}");
    assert_eq!(
        done["head"],
        *git.id("HEAD"),
        "{}",
        git.run(&["log", "--format=%B%n--"])
    );
}

/// A branch `odd` on main: each commit has a file of its own, and ends like this, behind its people.
fn odd_messages(server: &Server, git: &Git, ends: &[&[u8]]) {
    git.run(&["checkout", "-q", "-B", "odd", "start"]);
    for (number, end) in ends.iter().enumerate() {
        git.write(&format!("odd/{number}"), "odd\n");
        git.run(&["add", "-A"]);
        let tree = git.run(&["write-tree"]);
        let (tree, parent) = (tree.trim(), git.id("HEAD"));
        let person = "Bob \u{fc} <bob@example.org> 1600000000 -0730";
        let begin = format!("tree {tree}\nparent {parent}\nauthor {person}\ncommitter {person}\n");
        let data = [begin.as_bytes(), end].concat();
        let id = git.feed(&["hash-object", "-t", "commit", "-w", "--stdin"], &data);
        git.run(&["reset", "-q", "--hard", id.trim()]);
    }
    git.run(&["tag", "-f", "odd-end"]);
    git.run(&["push", "-q", "-f", &server.url(), "odd", "odd-end"]);
}

#[test]
fn messages_are_taken_over_as_git_takes_them() {
    let server = Server::start();
    let git = two_lines(&server);
    odd_messages(
        &server,
        &git,
        &[
            b"\n\n \n\n  begins late  \n\n\n\nbody \n\n",
            b"\ntwo\nlines\n",
            b"\nwindows\r\n\r\nbody\r\n",
            b"\nwithout an end",
            b"encoding ISO-8859-1\n\n\xfcber\n",
            b"encoding EUC-JP\n\n\xa4\xa2\n",
            b"encoding nowhere\n\nplain\n",
            b"\nno utf-8: \xe4\xe2\x82\n",
        ],
    );
    let dry = |noun: &str| format!("{noun}?dry_run=true");
    let check = |noun: &str, body: Value, command: &[&str]| {
        git.run(command);
        let (status, done) = post(&server, &dry(noun), body);
        let head = if noun == "merge" { "oid" } else { "head" };
        assert_eq!(
            (status, &done[head]),
            (201, &json!(git.id("HEAD"))),
            "{done}\n{}",
            git.run(&["log", "-8", "--format=raw"])
        );
    };
    git.run(&["checkout", "-q", "main"]);
    git.run(&["merge", "-q", "--squash", "odd"]);
    let body = json!({"from": "odd", "to": "main", "strategy": "squash"});
    check("merge", body, &["commit", "-q", "--no-edit"]);
    git.run(&["reset", "-q", "--hard", "start"]);
    let body = json!({"commits": ["start..odd"]});
    check("cherry-pick", body, &["cherry-pick", "start..odd"]);
    // Each once.
    git.run(&["reset", "-q", "--hard", "start"]);
    let body = json!({"commits": ["odd", "odd~1", "odd"]});
    check("cherry-pick", body, &["cherry-pick", "odd", "odd~1", "odd"]);
    git.run(&["checkout", "-q", "odd"]);
    let body = json!({"commits": ["start..odd"], "branch": "odd"});
    check("revert", body, &["revert", "--no-edit", "start..odd"]);
    git.run(&["reset", "-q", "--hard", "odd-end"]);
    let body = json!({"branch": "odd", "onto": "topic"});
    check("rebase", body, &["rebase", "-q", "topic"]);

    // How the commit is called behind its marks.
    git.run(&["checkout", "-q", "-B", "other", "start"]);
    git.write("odd/1", "other\n");
    git.commit("other");
    git.run(&["push", "-q", &server.url(), "other"]);
    git.fails(&["cherry-pick", "odd-end~6"]);
    let body = json!({"commit": "odd-end~6", "branch": "other"});
    let (status, conflict) = post(&server, "cherry-pick", body);
    assert_eq!(status, 409, "{conflict}");
    let marked = std::fs::read_to_string(git.at.join("odd/1")).unwrap();
    assert_eq!(conflict["conflicts"][0]["merged"]["content"], marked);
}

#[test]
fn an_author_is_taken_over_by_hand_as_git_does() {
    let server = Server::start();
    let git = two_lines(&server);
    git.run(&["checkout", "-q", "-B", "odd", "start"]);
    git.write("dir/other", "odd\n");
    let mended = [("GIT_AUTHOR_NAME", "Carl O")];
    git.run(&["add", "-A"]);
    assert!(git.try_run_with(&["commit", "-qm", "odd"], &mended).0);
    let data = git.run(&["cat-file", "commit", "HEAD"]);
    let data = data.replacen("author Carl O", "author Carl O.", 1);
    let id = git.feed(
        &["hash-object", "-t", "commit", "-w", "--stdin"],
        data.as_bytes(),
    );
    git.run(&["update-ref", "refs/heads/odd", id.trim()]);
    git.run(&["checkout", "-q", "main"]);
    git.write("dir/other", "main\n");
    git.commit("main: other");
    git.run(&["push", "-q", &server.url(), "main", "odd"]);
    git.fails(&["cherry-pick", "odd"]);
    git.write("dir/other", "solved\n");
    git.run(&["add", "-A"]);
    let no_editor = [("GIT_EDITOR", ":")];
    assert!(
        git.try_run_with(&["cherry-pick", "--continue"], &no_editor)
            .0
    );
    let body = json!({"commit": "odd", "keep_conflicts": true});
    let (status, said) = post(&server, "cherry-pick?workspace=default", body);
    assert_eq!(status, 202, "{said}");
    let url = format!("http://{}/api/v1/repos/hello/add", server.address);
    let body = json!({"path": "dir/other", "content": "solved\n"});
    let added = reqwest::blocking::Client::new()
        .post(url)
        .json(&body)
        .send();
    assert_eq!(added.unwrap().status(), 200);
    let body = json!({"author": null});
    let (status, done) = post(&server, "continue", body);
    assert_eq!(
        (status, &done["head"]),
        (201, &json!(git.id("HEAD"))),
        "{done}"
    );
}

#[test]
fn messages_of_several_are_put_together_as_git_does() {
    let server = Server::start();
    let git = two_lines(&server);
    let no_editor = [("GIT_SEQUENCE_EDITOR", ":"), ("GIT_EDITOR", ":")];
    for ends in [
        // Only mended: it stays as it is.
        &[
            &b"\n\nfirst\r\n\r\n# body \n\n\n\n"[..],
            b"\nfixup! first\n",
        ][..],
        // Another message in its place, then one more.
        &[
            b"\nfirst\n\nbody\n",
            b"\namend! first\n\n\n\nsecond \n\n\n\n# kept\n",
        ],
        &[
            b"\nfirst\n\nbody\n",
            b"\namend! first\n\nsecond\n",
            b"\nsquash! first\n\nthird\n\n\n# gone\n",
        ],
        // Behind a squash it is one of several.
        &[
            b"\nfirst\n",
            b"\nsquash! first\n\nsecond\n",
            b"\namend! first\n\nthird\n",
            b"\nfixup! first\n\nfourth\n",
        ],
        // Found behind what mends itself.
        &[
            b"\nfix it\n",
            b"\nfixup! fix it\n",
            b"\nsquash! fix\n",
            b"\nfixup! fixup! fix it\n",
            b"\nsquash! fixup\n",
        ],
    ] {
        odd_messages(&server, &git, ends);
        let (fine, _, said) =
            git.try_run_with(&["rebase", "-i", "--autosquash", "topic"], &no_editor);
        assert!(fine, "{said}");
        let body = json!({"branch": "odd", "onto": "topic", "autosquash": true});
        let (status, done) = post(&server, "rebase", body);
        assert_eq!(
            (status, &done["head"]),
            (201, &json!(git.id("HEAD"))),
            "{done}\n{}",
            git.run(&["log", "-3", "--format=raw"])
        );
    }
}

#[test]
fn commits_that_are_in_place_are_not_made_again() {
    let server = Server::start();
    let git = two_lines(&server);
    // Both have the same change; the other one has more on it that would conflict.
    git.run(&["checkout", "-q", "-B", "a", "start"]);
    git.write("x", "1\n");
    git.commit("one");
    git.write("x", "2\n");
    git.commit("two");
    git.run(&["checkout", "-q", "-B", "b", "start"]);
    git.write("y", "1\n");
    git.commit("before");
    git.run(&["cherry-pick", "a~1"]);
    git.run(&["push", "-q", &server.url(), "a", "b"]);
    git.run(&["checkout", "-q", "a"]);
    git.run(&["rebase", "--onto", "start", "b"]);
    let body = json!({"branch": "a", "onto": "start", "upstream": "b"});
    let (status, done) = post(&server, "rebase", body);
    assert_eq!((status, &done["head"]), (200, &json!(git.id("HEAD"))));
}

#[test]
fn a_conflict_is_told_and_changes_nothing() {
    let server = Server::start();
    let git = two_lines(&server);
    git.run(&["checkout", "-q", "-b", "rival", "start"]);
    git.write("file", "all else\n");
    git.commit("rival");
    git.run(&["push", "-q", &server.url(), "rival"]);
    let before = server.ref_at("refs/heads/topic");
    let seq = server.repository.snapshot().seq;
    let (status, problem) = post(&server, "merge", json!({"from": "rival", "to": "topic"}));
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("MERGE_CONFLICT"))
    );
    let conflict = &problem["conflicts"][0];
    assert_eq!(
        (conflict["path"].as_str(), conflict["kind"].as_str()),
        (Some("file"), Some("content"))
    );
    git.run(&["checkout", "-q", "topic"]);
    git.try_run(&["merge", "rival"]);
    let marked = std::fs::read_to_string(git.at.join("file")).unwrap();
    assert_eq!(conflict["merged"]["content"], *marked);
    assert_eq!(server.ref_at("refs/heads/topic"), before);
    assert_eq!(server.repository.snapshot().seq, seq);
    let (status, problem) = post(
        &server,
        "merge",
        json!({"from": "rival", "to": "topic", "strategy": "ff_only"}),
    );
    assert_eq!(
        (status, problem["code"].as_str()),
        (422, Some("NOT_FAST_FORWARD"))
    );
    let old = git.id("start");
    let (status, problem) = post(
        &server,
        "merge",
        json!({"from": "main", "to": "topic", "expected_head": old}),
    );
    assert_eq!((status, problem["code"].as_str()), (409, Some("REF_MOVED")));
    let (status, _) = post(&server, "merge", json!({"from": "nothing", "to": "topic"}));
    assert_eq!(status, 404);
}

#[test]
fn eight_clients_push_at_once_and_all_of_them_succeed() {
    for strategy in ["merge", "rebase"] {
        let server = Server::start();
        let git = server.working("w");
        git.write("shared", "shared\n");
        git.commit("first");
        git.run(&["push", "-q", &server.url(), "main"]);
        let clones: Vec<Git> = (0..8)
            .map(|n| server.clone_to(&format!("c{n}"), &[]))
            .collect();
        for (n, clone) in clones.iter().enumerate() {
            clone.write(&format!("file{n}"), format!("of client {n}\n"));
            clone.commit(&format!("client {n}"));
        }
        let option = format!("on-conflict={strategy}");
        let said: Vec<(bool, String, String)> = std::thread::scope(|scope| {
            let push = |clone| {
                let option = &option;
                scope.spawn(move || {
                    let clone: &Git = clone;
                    clone.try_run(&["push", "-o", option, "origin", "HEAD:refs/for/main"])
                })
            };
            let all: Vec<_> = clones.iter().map(push).collect();
            all.into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for (fine, _, said) in &said {
            assert!(fine, "{said}");
        }
        assert!(
            said.iter().any(|(_, _, said)| said.contains("git pull")),
            "{said:?}"
        );
        assert_eq!(server.ref_at("refs/for/main"), "", "it is never stored");
        let all = server.clone_to("all", &[]);
        all.run(&["fsck", "--strict"]);
        for n in 0..8 {
            assert!(all.at.join(format!("file{n}")).exists(), "{n}");
        }
        let merges = all.run(&["rev-list", "--count", "--merges", "HEAD"]);
        match strategy {
            "rebase" => assert_eq!(merges.trim(), "0"),
            _ => assert_eq!(merges.trim(), "7"),
        }
        // Whoever pulls has it.
        clones[0].run(&["pull", "-q", "--rebase=false", "--no-edit"]);
        assert!(clones[0].at.join("file7").exists());
        assert_eq!(
            server.repository.snapshot().seq,
            9,
            "one change for each push"
        );
    }
}

#[test]
fn a_push_that_conflicts_is_refused_with_its_paths() {
    let server = Server::start();
    let git = two_lines(&server);
    let main = server.ref_at("refs/heads/main");
    git.run(&["checkout", "-q", "-b", "rival", "start~1"]);
    git.write("file", "all else\n");
    git.commit("rival");
    let url = server.url();
    let said = git.fails(&[
        "push",
        "-o",
        "on-conflict=merge",
        &url,
        "HEAD:refs/for/main",
    ]);
    assert!(said.contains("conflict (content) in file"), "{said}");
    assert!(said.contains("[remote rejected]"), "{said}");
    assert_eq!(server.ref_at("refs/heads/main"), main);
    let said = git.fails(&[
        "push",
        "-o",
        "on-conflict=never",
        &url,
        "HEAD:refs/for/main",
    ]);
    assert!(
        said.contains("on-conflict is merge, rebase or fail"),
        "{said}"
    );
    let said = git.fails(&[
        "push",
        "-o",
        "on-conflict=merge",
        &url,
        "HEAD:refs/for/nothing",
    ]);
    assert!(said.contains("refs/heads/nothing"), "{said}");
    // Nothing of it was stored, and nothing of it is seen.
    assert_eq!(server.ref_at("refs/for/main"), "");
    server.clone_to("c", &[]).run(&["fsck", "--strict"]);
}

#[test]
fn a_commit_on_what_has_moved_is_merged_if_it_asks() {
    let server = Server::start();
    let git = two_lines(&server);
    let base = git.id("main~1");
    let body = |message: &str, content: &str| {
        json!({
            "branch": "main", "message": message, "expected_head": base, "on_conflict": "merge",
            "actions": [{"op": "put", "path": "file", "content": content}],
        })
    };
    let text: String = (0..20).map(|line| format!("line {line}\n")).collect();
    let (status, commit) = post(
        &server,
        "commits",
        body("top", &text.replace("line 1\n", "one\n")),
    );
    assert_eq!(status, 201, "{commit}");
    assert_eq!(commit["parents"], json!([git.id("main")]));
    assert_eq!(server.ref_at("refs/heads/main"), commit["oid"]);
    // As git picks it.
    git.run(&["checkout", "-q", "-b", "aside", &base]);
    git.write("file", text.replace("line 1\n", "one\n"));
    git.commit("top");
    git.run(&["checkout", "-q", "main"]);
    git.run(&["cherry-pick", "aside"]);
    assert_eq!(commit["oid"], *git.id("HEAD"));
    let seq = server.repository.snapshot().seq;
    let (status, problem) = post(&server, "commits", body("all", "all else\n"));
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("MERGE_CONFLICT"))
    );
    assert_eq!(server.repository.snapshot().seq, seq);
    let clone = server.clone_to("c", &[]);
    clone.run(&["fsck", "--strict"]);
    assert!(
        std::fs::read_to_string(clone.at.join("file"))
            .unwrap()
            .contains("one\n")
    );
}
