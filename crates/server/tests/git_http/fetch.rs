//! Clones and fetches.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use govc_git::ObjectFormat;
use govc_server::Config;

use crate::kit::{Git, Server, cause, request};

/// All refs of a repository and what they reach, counted by git.
fn holdings(git: &Git) -> (String, String) {
    let refs = git.run(&[
        "for-each-ref",
        "--format=%(objectname) %(refname:lstrip=-1)",
    ]);
    (
        refs,
        git.run(&["rev-list", "--all", "--objects", "--count"]),
    )
}

#[test]
fn a_clone_is_what_was_pushed() {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let server = Server::with(format, Config::default());
        let git = server.working_in("w", &["--object-format", &format.to_string()]);
        git.fill(300);
        git.run(&["tag", "-a", "-m", "one", "v1", "main~10"]);
        git.run(&["tag", "light", "main~20"]);
        git.run(&["branch", "side", "main~30"]);
        git.run(&["push", "-q", "--all", &server.url()]);
        git.run(&["push", "-q", "--tags", &server.url()]);
        let bare = server.clone_to("bare", &["--mirror"]);
        assert_eq!(holdings(&bare), holdings(&git));
        assert_eq!(bare.run(&["fsck", "--strict", "--no-dangling"]), "");
        let checked_out = server.clone_to("checked-out", &[]);
        assert_eq!(checked_out.run(&["status", "--porcelain"]), "");
        assert_eq!(checked_out.id("HEAD"), git.id("main"));
    }
}

#[test]
fn a_fetch_brings_what_is_new_and_the_tags_on_it() {
    let server = Server::start();
    let git = server.working("w");
    git.fill(120);
    git.run(&["push", "-q", &server.url(), "main"]);
    let copy = server.clone_to("copy", &[]);
    git.run(&["checkout", "-q", "-b", "topic", "main~3"]);
    git.write("dir1/new", "new\n");
    git.commit("new on topic");
    git.run(&["checkout", "-q", "main"]);
    git.write("dir2/other", "other\n");
    git.commit("new on main");
    git.run(&["tag", "-a", "-m", "two", "v2"]);
    git.run(&["push", "-q", &server.url(), "main", "topic", "v2"]);
    copy.write("mine", "mine\n");
    copy.commit("something that the server does not have");
    copy.run(&["fetch", "-q"]);
    assert_eq!(copy.id("origin/main"), git.id("main"));
    assert_eq!(copy.id("origin/topic"), git.id("topic"));
    assert_eq!(copy.id("v2"), git.id("v2"), "include-tag");
    assert_eq!(copy.run(&["fsck", "--strict", "--no-dangling"]), "");
    // Nothing is new any more.
    copy.run(&["fetch", "-q"]);
}

#[test]
fn the_older_versions_clone_and_fetch_the_same() {
    let server = Server::start();
    let git = server.working("w");
    git.fill(60);
    git.run(&["tag", "-a", "-m", "one", "v1", "main~10"]);
    git.run(&["push", "-q", "--follow-tags", &server.url(), "main"]);
    let (url, own) = (server.url(), git.at.display().to_string());
    for version in ["0", "1"] {
        let protocol = format!("protocol.version={version}");
        let list = |from: &str| git.run(&["-c", &protocol, "ls-remote", "--symref", from]);
        assert_eq!(list(&url), list(&own));
        let copy = server.clone_to(version, &["-c", &protocol]);
        assert_eq!(holdings(&copy).1, holdings(&git).1);
        for n in 0..70 {
            copy.write("mine", format!("{n}\n"));
            copy.commit("mine");
        }
        git.write("new", version);
        git.commit("new");
        git.run(&["tag", "-a", "-m", "new", &format!("new-{version}")]);
        git.run(&["push", "-q", "--follow-tags", &url, "main"]);
        copy.run(&["fetch", "-q"]);
        assert_eq!(copy.id("origin/main"), git.id("main"));
        assert_eq!(
            copy.id(&format!("new-{version}")),
            git.id(&format!("new-{version}"))
        );
        assert_eq!(copy.run(&["fsck", "--strict", "--no-dangling"]), "");
        let refused = copy.fails(&["fetch", "-q", &url, &"12".repeat(20)]);
        assert!(refused.contains("not our ref"), "{refused}");
        let empty = server.working(&format!("empty-{version}"));
        empty.run(&["-c", &protocol, "fetch", "-q", &url, "main"]);
    }
}

#[test]
fn many_rounds_of_haves_find_what_is_common() {
    let server = Server::start();
    let git = server.working("w");
    git.fill(40);
    git.run(&["push", "-q", &server.url(), "main"]);
    let copy = server.clone_to("copy", &[]);
    for n in 0..200 {
        copy.write("mine", format!("{n}\n"));
        copy.commit("mine");
    }
    git.write("theirs", "x\n");
    git.commit("theirs");
    git.run(&["push", "-q", &server.url(), "main"]);
    copy.run(&["fetch", "-q"]);
    assert_eq!(copy.id("origin/main"), git.id("main"));
}

#[test]
fn an_empty_repository_says_where_its_head_will_be() {
    let server = Server::start();
    let copy = server.clone_to("copy", &[]);
    assert_eq!(
        copy.run(&["symbolic-ref", "HEAD"]).trim(),
        "refs/heads/main"
    );
    let url = server.url();
    let seen = copy.run(&["ls-remote", "--symref", &url]);
    assert_eq!(seen, "");
}

#[test]
fn refs_are_listed_as_git_lists_them() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    git.commit("first");
    git.run(&["tag", "-a", "-m", "one", "v1"]);
    git.run(&["branch", "side"]);
    git.run(&["push", "-q", &server.url(), "main", "side", "v1"]);
    server.set(|settings| settings.hide_refs = vec!["refs/heads/side".to_owned()]);
    let (url, own) = (server.url(), git.at.display().to_string());
    git.run(&["branch", "-q", "-D", "side"]);
    for arguments in [&[][..], &["main"], &["refs/tags/*"], &["nothing"]] {
        let list = |from: &str| git.run(&[&["ls-remote", "--symref", from], arguments].concat());
        assert_eq!(list(&url), list(&own), "{arguments:?}");
    }
}

#[test]
fn any_visible_object_is_given_by_id_and_nothing_else_is() {
    let server = Server::start();
    let git = server.working("w");
    git.fill(12);
    git.run(&["push", "-q", &server.url(), "main"]);
    let fork = server.engine.fork(
        &server.repository,
        govc_engine::RepoId::parse("sibling").unwrap(),
        None,
        cause(),
        false,
    );
    server.runtime.block_on(fork).unwrap();
    git.run(&["checkout", "-q", "-b", "private"]);
    git.write("secret", "private\n");
    let private = git.commit("private");
    let secret = git.id("HEAD:secret");
    git.run(&["push", "-q", &server.url_of("sibling"), "private"]);

    let copy = server.working("copy");
    let (old, blob) = (git.id("main~5"), git.id("main:dir3/sub3/file3"));
    for id in [&old, &blob] {
        copy.run(&["fetch", "-q", &server.url(), id]);
        copy.run(&["cat-file", "-e", id]);
    }
    for id in [&private, &secret] {
        let refused = copy.fails(&["fetch", "-q", &server.url(), id]);
        let expected = format!("upload-pack: not our ref {id}");
        assert!(refused.contains(&expected), "{refused}");
    }
    copy.run(&["fetch", "-q", &server.url_of("sibling"), &private]);
}

#[test]
fn a_deleted_branch_does_not_come_along() {
    let server = Server::start();
    let git = server.working("w");
    git.fill(12);
    git.run(&["push", "-q", &server.url(), "main"]);
    git.run(&["checkout", "-q", "-b", "leak"]);
    git.write("secret", "a secret\n");
    git.commit("leak");
    let secret = git.id("HEAD:secret");
    git.run(&["push", "-q", &server.url(), "leak"]);
    git.run(&["push", "-q", &server.url(), ":leak"]);
    let copy = server.clone_to("copy", &["--mirror"]);
    assert!(!copy.try_run(&["cat-file", "-e", &secret]).0);
    let refused = copy.fails(&["fetch", "-q", &server.url(), &secret]);
    assert!(refused.contains("not our ref"), "{refused}");
}

/// Lines that look random, so that versions of a file are deltas of each other.
fn lines(count: u64) -> String {
    let line = |n: u64| format!("{:016x}\n", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..count).map(line).collect()
}

#[test]
fn a_clone_has_no_byte_of_what_a_deleted_branch_held() {
    let server = Server::start();
    let git = server.working("w");
    // More than stays in memory as single objects: the push is kept as one pack, with both.
    let large: String = lines(160_000);
    git.write("large", &large);
    git.commit("large");
    git.write("settings", lines(400));
    git.commit("settings");
    git.run(&["checkout", "-q", "-b", "leak"]);
    git.write("settings", &(lines(400) + "password = hunter2\n"));
    git.commit("leak");
    let (open, secret) = (git.id("main:settings"), git.id("leak:settings"));
    git.run(&["push", "-q", &server.url(), "main", "leak"]);
    // What stays is a delta of what goes, the larger one of the two.
    let before = server.clone_to("before", &["--mirror"]);
    let verified = before.run(&[
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(objectname) %(deltabase)",
    ]);
    assert!(verified.contains(&format!("{open} {secret}")), "{verified}");
    let leaked: Vec<String> = ["leak", "leak^{tree}", "leak:settings"]
        .map(|rev| git.id(rev))
        .into();

    git.run(&["push", "-q", &server.url(), ":leak"]);
    // The first one that comes, and those that are given what it was.
    for (number, version) in ["2", "2", "1", "0"].into_iter().enumerate() {
        let protocol = format!("protocol.version={version}");
        let copy = server.clone_to(&format!("copy{number}"), &["--mirror", "-c", &protocol]);
        let here = copy.run(&[
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname)",
        ]);
        assert!(leaked.iter().all(|id| !here.contains(id)), "{here}");
        let reached = git.run(&["rev-list", "--objects", "--no-object-names", "main"]);
        assert_eq!(here.lines().count(), reached.lines().count());
        copy.run(&["fsck", "--strict"]);
        for id in &leaked {
            let refused = copy.fails(&["-c", &protocol, "fetch", "-q", &server.url(), id]);
            let words = ["not our ref", "unadvertised object"];
            assert!(
                words.iter().any(|words| refused.contains(words)),
                "{refused}"
            );
        }
    }
    // A later change does not bring it back.
    git.run(&["checkout", "-q", "main"]);
    git.write("later", "x");
    git.commit("later");
    git.run(&["push", "-q", &server.url(), "main"]);
    let copy = server.clone_to("later", &["--mirror"]);
    let here = copy.run(&[
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(objectname)",
    ]);
    assert!(leaked.iter().all(|id| !here.contains(id)), "{here}");
    assert!(here.contains(&git.id("main:later")));
}

#[test]
fn requests_are_read_compressed_and_refused_where_they_are_none() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    git.commit("first");
    git.run(&["push", "-q", &server.url(), "main"]);
    let plain = request(&["command=ls-refs", "--", "ref-prefix refs/heads/", "."]);
    let (_, expected) = server.post("git-upload-pack", plain.clone());
    assert!(String::from_utf8_lossy(&expected).contains("refs/heads/main"));

    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&plain).unwrap();
    let client = reqwest::blocking::Client::new();
    let send = |kind: &str, coding: &str, body: Vec<u8>| {
        let answer = client
            .post(format!("{}/git-upload-pack", server.url()))
            .header("content-type", kind)
            .header("content-encoding", coding)
            .header("git-protocol", "foo=bar:version=2:baz")
            .body(body);
        let answer = answer.send().unwrap();
        (answer.status().as_u16(), answer.bytes().unwrap().to_vec())
    };
    let kind = "application/x-git-upload-pack-request";
    let packed = encoder.finish().unwrap();
    assert_eq!(send(kind, "gzip", packed.clone()), (200, expected));
    assert_eq!(send("text/plain", "gzip", packed.clone()).0, 415);
    assert_eq!(send(kind, "br", packed.clone()).0, 415);
    assert_eq!(send(kind, "gzip", plain).0, 400);
    assert_eq!(
        send(kind, "gzip", packed[..packed.len() - 4].to_vec()).0,
        400
    );

    for (lines, said) in [
        (&["command=evil", "."][..], "ERR invalid command 'evil'"),
        (
            &["command=fetch", "--", "hello", "."],
            "ERR unexpected line: 'hello'",
        ),
        (
            &["command=ls-refs"],
            "ERR protocol error: the request ends in the middle",
        ),
        (
            &["command=ls-refs", "object-format=sha256", "."],
            "ERR mismatched object format",
        ),
    ] {
        let (status, answer) = server.post("git-upload-pack", request(lines));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            status == 200 && answer[4..].starts_with(said),
            "{status} {answer}"
        );
    }
}

#[test]
fn what_is_not_there_or_not_allowed_is_told_by_status() {
    let server = Server::start();
    let git = server.working("w");
    let nowhere = server.url_of("nowhere");
    let refused = git.fails(&["clone", &nowhere]);
    assert!(refused.contains("not found"), "{refused}");
    let client = reqwest::blocking::Client::new();
    let get = |path: &str| {
        client
            .get(format!("{}/{path}", server.url()))
            .send()
            .unwrap()
    };
    assert_eq!(get("info/refs").status(), 403);
    assert_eq!(get("info/refs?service=git-evil").status(), 403);
    let answer = get("git-upload-pack");
    let allowed = answer.headers()["allow"].to_str().unwrap();
    assert!(
        answer.status() == 405 && allowed.starts_with("POST"),
        "{allowed}"
    );
    let answer = get("info/refs?service=git-receive-pack");
    assert_eq!(
        answer.headers()["content-type"],
        "application/x-git-receive-pack-advertisement"
    );
    assert_eq!(
        answer.headers()["cache-control"],
        "no-cache, max-age=0, must-revalidate"
    );

    let mut config = Config::default();
    config.auth.token = "s3cret".into();
    let server = Server::with(ObjectFormat::Sha1, config);
    let refused = git.fails(&["ls-remote", &server.url()]);
    assert!(
        refused.contains("could not read Username") || refused.contains("Authentication failed"),
        "{refused}"
    );
    let with_token = server.url().replace("http://", "http://x:s3cret@");
    git.run(&["ls-remote", &with_token]);
}

#[test]
fn what_older_versions_may_want_is_the_owners_to_say() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "one\n");
    let first = git.commit("first");
    git.write("f", "two\n");
    git.commit("second");
    git.run(&["push", "-q", &server.url(), "main"]);
    let other = server.working("other");
    let url = server.url();
    let fetch = ["-c", "protocol.version=0", "fetch", "-q", &url, &first];
    other.run(&fetch);
    server.set(|settings| {
        settings.fetch.tip_wants = Some(false);
        settings.fetch.reachable_wants = Some(false);
    });
    let another = server.working("another");
    let refused = another.fails(&fetch);
    assert!(refused.contains("unadvertised object"), "{refused}");
}

#[test]
fn an_unborn_head_is_told_unless_the_owner_says_no() {
    let server = Server::start();
    let git = server.working("w");
    let clone = |name: &str| {
        let (url, at) = (server.url(), format!("../{name}"));
        git.run(&["-c", "init.defaultBranch=mine", "clone", "-q", &url, &at]);
        Git::at(&server.folder.path().join(name)).run(&["symbolic-ref", "HEAD"])
    };
    assert_eq!(clone("told"), "refs/heads/main\n");
    server.set(|settings| settings.fetch.unborn_head = Some(false));
    assert_eq!(clone("not-told"), "refs/heads/mine\n");
}

#[test]
fn large_files_are_read_in_pieces_and_ranges() {
    let server = Server::start();
    let git = server.working("w");
    let noise: Vec<u8> = (0..3_000_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut other = noise.clone();
    other[1_500_000] ^= 1;
    git.write("whole", &noise);
    git.write("delta", &other);
    git.commit("large");
    git.run(&["repack", "-adfq"]);
    git.run(&["push", "-q", &server.url(), "main"]);
    let pool = server.repository.pool();
    let id = |name: &str| {
        let id = git.id(&format!("main:{name}"));
        govc_git::ObjectId::from_hex(id.as_bytes()).unwrap()
    };
    let streamed = ["whole", "delta"].map(|name| pool.streamed(&id(name)).unwrap().is_some());
    assert_ne!(streamed[0], streamed[1], "one is a delta of the other");
    let client = reqwest::blocking::Client::new();
    for (name, content) in [("whole", &noise), ("delta", &other)] {
        let url = format!("http://{}/api/v1/repos/hello/read/{name}", server.address);
        let get = || {
            client
                .get(&url)
                .header("accept", "application/octet-stream")
        };
        let whole = get().send().unwrap();
        assert_eq!(whole.headers()["content-length"], "3000000");
        assert!(whole.bytes().unwrap()[..] == content[..]);
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=65535-200000", 65_535..200_001),
            ("bytes=-5", 2_999_995..3_000_000),
            ("bytes=1000000-", 1_000_000..3_000_000),
        ] {
            let part = get().header("range", range).send().unwrap();
            assert_eq!(part.status(), 206);
            let part = part.bytes().unwrap();
            assert!(part[..] == content[expected], "{range}");
        }
    }
}
