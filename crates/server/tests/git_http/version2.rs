//! What version 2 has besides refs and packs.

use govc_git::ObjectFormat;
use govc_server::Config;

use crate::kit::{Git, Server, packets, request};

fn served(config: Config) -> (Server, Git) {
    let server = Server::with(ObjectFormat::Sha1, config);
    let git = server.working("w");
    git.fill(20);
    git.run(&["branch", "side", "main~5"]);
    git.run(&["tag", "-a", "-m", "one", "v1", "main~7"]);
    git.run(&["push", "-q", &server.url(), "main", "side", "v1"]);
    (server, git)
}

fn ask(server: &Server, lines: &[&str]) -> Vec<String> {
    let (status, answer) = server.post("git-upload-pack", request(lines));
    assert_eq!(status, 200);
    let lines = packets(&answer).into_iter();
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}

#[test]
fn refs_can_be_wanted_by_name() {
    let (server, git) = served(Config::default());
    let (main, side, v1) = (git.id("main"), git.id("side"), git.id("v1"));
    let id = format!("want-ref {}", git.id("main~3"));
    let answer = ask(
        &server,
        &[
            "command=fetch",
            "--",
            "want-ref refs/heads/main",
            "want-ref refs/tags/v1",
            "want-ref HEAD",
            &id,
            "no-progress",
            "done",
            ".",
        ],
    );
    let expected = [
        "wanted-refs\n".to_owned(),
        format!("{main} refs/heads/main\n"),
        format!("{v1} refs/tags/v1\n"),
        format!("{main} HEAD\n"),
        format!("{0} {0}\n", git.id("main~3")),
        "--".to_owned(),
        "packfile\n".to_owned(),
    ];
    assert_eq!(answer[..expected.len()], expected);

    // After acknowledgments, and only where a pack follows.
    let have = format!("have {side}");
    let answer = ask(
        &server,
        &[
            "command=fetch",
            "--",
            "want-ref refs/heads/main",
            &have,
            "no-progress",
            ".",
        ],
    );
    let expected = [
        "acknowledgments\n".to_owned(),
        format!("ACK {side}\n"),
        "ready\n".to_owned(),
        "--".to_owned(),
        "wanted-refs\n".to_owned(),
        format!("{main} refs/heads/main\n"),
        "--".to_owned(),
        "packfile\n".to_owned(),
    ];
    assert_eq!(answer[..expected.len()], expected);

    server.set(|settings| settings.hide_refs = vec!["refs/heads/side".to_owned()]);
    for name in [
        "refs/heads/side",
        "refs/heads/nowhere",
        "main",
        &"12".repeat(20),
    ] {
        let want = format!("want-ref {name}");
        let answer = ask(&server, &["command=fetch", "--", &want, "done", "."]);
        assert_eq!(answer, [format!("ERR unknown ref {name}")]);
    }
}

#[test]
fn git_fetches_refs_by_name() {
    let (server, git) = served(Config::default());
    let copy = server.working("copy");
    let trace = server.folder.path().join("trace");
    let trace = trace.to_str().unwrap();
    let (fine, _, said) = copy.try_run_with(
        &[
            "fetch",
            &server.url(),
            "refs/heads/*:refs/heads/x/*",
            "refs/tags/v1:refs/tags/v1",
        ],
        &[("GIT_TRACE_PACKET", trace)],
    );
    assert!(fine, "{said}");
    let seen = std::fs::read_to_string(trace).unwrap();
    assert!(seen.contains("want-ref refs/heads/main"));
    assert!(seen.contains("wanted-refs"));
    for (ours, theirs) in [("x/main", "main"), ("x/side", "side"), ("v1", "v1")] {
        assert_eq!(copy.id(ours), git.id(theirs));
    }
    copy.run(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn all_of_an_answer_can_be_in_bands() {
    let (server, git) = served(Config::default());
    let want = format!("want {}", git.id("main"));
    let have = format!("have {}", git.id("side"));
    let answer = ask(
        &server,
        &[
            "command=fetch",
            "--",
            "sideband-all",
            &want,
            &have,
            "no-progress",
            ".",
        ],
    );
    assert_eq!(answer[0], "\u{1}acknowledgments\n");
    assert_eq!(answer[1], format!("\u{1}ACK {}\n", git.id("side")));
    assert_eq!(
        answer[2..5],
        ["\u{1}ready\n", "--", "\u{1}packfile\n"].map(str::to_owned)
    );
    assert!(answer[5].starts_with("\u{1}PACK"));
    let nobody = format!("want {}", "12".repeat(20));
    let lines = ["command=fetch", "--", "sideband-all", &nobody, "done", "."];
    assert_eq!(
        ask(&server, &lines),
        [format!("\u{3}upload-pack: not our ref {}", "12".repeat(20))]
    );
    // Real clients ask for it where it is offered and they are told to.
    let copy = server.working("copy");
    let (fine, _, said) = copy.try_run_with(
        &["fetch", &server.url(), "main"],
        &[("GIT_TEST_SIDEBAND_ALL", "1")],
    );
    assert!(fine, "{said}");
    copy.run(&["fsck", "--no-dangling"]);
}

#[test]
fn a_client_can_ask_what_is_common_and_nothing_else() {
    let (server, git) = served(Config::default());
    let copy = server.clone_to("copy", &[]);
    for n in 0..40 {
        copy.write("mine", format!("{n}\n"));
        copy.commit("mine");
    }
    let negotiate = [
        "fetch",
        "--no-tags",
        "--negotiate-only",
        "--negotiation-tip=HEAD",
        "origin",
    ];
    let common = copy.run(&negotiate);
    assert!(common.contains(&git.id("main")), "{common}");
    // A lone flush asks for nothing, and gets it.
    let (status, answer) = server.post("git-upload-pack", request(&["."]));
    assert_eq!((status, answer.len()), (200, 0));
}

#[test]
fn sizes_are_told_of_what_may_be_seen() {
    let (server, git) = served(Config::default());
    let blobs = git.run(&["ls-tree", "-r", "--format=%(objectname)", "main"]);
    let blob = blobs.lines().next().unwrap();
    let size = git.run(&["cat-file", "-s", blob]);
    git.write("secret", "secret\n");
    git.commit("secret");
    let secret = git.id("HEAD:secret");
    git.run(&["push", "-q", &server.url(), "main:refs/heads/secret"]);
    git.run(&["push", "-q", &server.url(), ":secret"]);
    let (a, b) = (format!("oid {blob}"), format!("oid {secret}"));
    let lines = ["command=object-info", "--", "size", &a, &b, "."];
    assert_eq!(
        ask(&server, &lines),
        [
            "size".to_owned(),
            format!("{blob} {}", size.trim()),
            format!("{secret} "),
            ".".to_owned()
        ]
    );
    assert_eq!(
        ask(&server, &["command=object-info", "--", "size", "."]),
        ["."]
    );
    assert_eq!(
        ask(&server, &["command=object-info", "--", "type", "."]),
        ["ERR object-info: unexpected line: 'type'"]
    );
}

#[test]
fn a_client_is_told_what_its_request_is_called_where_the_operator_wants_that() {
    let (server, _) = served(Config::default());
    let about = |server: &Server| {
        let url = format!("{}/info/refs?service=git-upload-pack", server.url());
        let client = reqwest::blocking::Client::new();
        let ask = |version: &str| {
            let asked = client.get(&url).header("git-protocol", version).send();
            asked.unwrap().text().unwrap()
        };
        ask("version=2") + &ask("version=0")
    };
    assert!(!about(&server).contains("session-id"));
    // Who tells its own name is heard, asked or not.
    let lines = ["command=ls-refs", "session-id=me", "server-option=x", "."];
    assert!(ask(&server, &lines).len() > 1);
    let mut config = Config::default();
    config.fetch.session_id = true;
    let (server, git) = served(config);
    assert_eq!(about(&server).matches("session-id=").count(), 2);
    git.run(&[
        "-c",
        "transfer.advertiseSID=true",
        "ls-remote",
        "-o",
        "x",
        &server.url(),
    ]);
}
