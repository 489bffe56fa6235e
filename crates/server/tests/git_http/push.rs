//! Pushes.

use std::io::{Read, Write};

use govc_engine::{FsckSeverity, Settings};
use govc_git::pack::{EntryKind, PackWriter, delta};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use govc_server::Config;

use crate::kit::Server;

#[test]
fn a_branch_is_made_moved_forced_and_deleted() {
    let server = Server::start();
    let git = server.working("w");
    let url = server.url();
    git.write("a/b/c.txt", "one\n");
    let first = git.commit("first");
    git.run(&["push", &url, "main"]);
    assert_eq!(server.ref_at("refs/heads/main"), first);
    assert_eq!(server.ref_at("HEAD"), first);

    git.write("a/b/c.txt", "two\n");
    let second = git.commit("second");
    git.run(&["push", &url, "main", "main:refs/heads/side"]);
    assert_eq!(server.ref_at("refs/heads/main"), second);
    assert_eq!(server.repository.snapshot().seq, 2, "two refs, one change");

    git.run(&["commit", "-q", "--amend", "-m", "other"]);
    assert!(git.fails(&["push", &url, "main"]).contains("rejected"));
    git.run(&["push", "-f", &url, "main"]);
    assert_eq!(server.ref_at("refs/heads/main"), git.id("HEAD"));

    git.run(&["push", &url, ":side"]);
    assert_eq!(server.ref_at("refs/heads/side"), "");
    let refused = git.fails(&["push", &url, ":main"]);
    assert!(
        refused.contains("deletion of the current branch prohibited"),
        "{refused}"
    );
    assert!(
        refused.contains("refusing to delete the current branch: refs/heads/main"),
        "{refused}"
    );
    server.set(|settings| settings.deny_delete_current = false);
    git.run(&["push", &url, ":main"]);
    assert_eq!(server.ref_at("refs/heads/main"), "");
}

#[test]
fn a_symbolic_ref_and_what_it_names_are_pushed_as_one() {
    let server = Server::start();
    let git = server.working("w");
    let url = server.url();
    git.write("f", "one\n");
    git.commit("first");
    git.run(&["push", "-q", &url, "main", "main:foo"]);
    server.symbolic("refs/heads/bar", "refs/heads/foo");
    git.write("f", "two\n");
    let second = git.commit("second");
    git.run(&["push", "-q", &url, "main:foo", "main:bar"]);
    assert_eq!(server.ref_at("refs/heads/foo"), second);
    assert_eq!(server.ref_at("refs/heads/bar"), second);
    git.write("f", "three\n");
    git.commit("third");
    let refused = git.fails(&["push", &url, "main:foo", "main~2:bar", "-f"]);
    let why = "refusing inconsistent update between symref 'refs/heads/bar'";
    assert!(refused.contains(why), "{refused}");
    assert!(refused.contains("inconsistent aliased update"), "{refused}");
    assert_eq!(server.ref_at("refs/heads/foo"), second);
}

#[test]
fn what_is_not_offered_to_pushes_is_not_used() {
    let server = Server::start();
    let git = server.working("w");
    let url = server.url();
    git.write("f", "one\n");
    git.commit("first");
    git.run(&["push", "-q", "--atomic", "-o", "x", &url, "main"]);
    server.set(|settings| {
        settings.atomic_pushes = false;
        settings.push_options = false;
    });
    let refused = git.fails(&["push", "--atomic", &url, "main:a"]);
    assert!(refused.contains("--atomic"), "{refused}");
    let refused = git.fails(&["push", "-o", "x", &url, "main:a"]);
    assert!(refused.contains("push options"), "{refused}");
}

#[test]
fn tags_and_branches_at_what_is_there_come_with_an_empty_pack() {
    let server = Server::start();
    let git = server.working("w");
    let url = server.url();
    git.write("f", "x");
    let head = git.commit("first");
    git.run(&["push", &url, "main"]);
    git.run(&["tag", "light"]);
    git.run(&["tag", "-a", "-m", "heavy", "heavy"]);
    git.run(&["push", &url, "main:refs/heads/again", "light"]);
    git.run(&["push", &url, "heavy"]);
    assert_eq!(server.ref_at("refs/heads/again"), head);
    assert_eq!(server.ref_at("refs/tags/light"), head);
    assert_eq!(server.ref_at("refs/tags/heavy"), git.id("heavy"));
    let refused = git.fails(&["push", &url, "heavy:refs/heads/tagged"]);
    assert!(
        refused.contains("trying to write non-commit object"),
        "{refused}"
    );
    assert!(refused.contains("failed to update ref"), "{refused}");
}

#[test]
fn what_somebody_else_moved_is_not_overwritten() {
    let server = Server::start();
    let git = server.working("w");
    let url = server.url();
    git.write("f", "x");
    let first = git.commit("first");
    git.run(&["push", &url, "main"]);
    let late = git.run(&["commit-tree", "-m", "late", "-p", "main", "main^{tree}"]);
    git.write("f", "y");
    let second = git.commit("second");
    git.run(&["push", &url, "main"]);
    // Somebody who believes that main is still at the first commit, or not there at all.
    let pack = git.feed_bytes(&["pack-objects", "--stdout", "-q"], late.as_bytes());
    for (believed, said) in [
        (
            first.clone(),
            format!("is at {second} but expected {first}"),
        ),
        ("0".repeat(40), "reference already exists".to_owned()),
    ] {
        let command = (believed, late.trim().to_owned(), "refs/heads/main");
        let (_, answer) = server.post("git-receive-pack", push_of(&[command], &pack));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains(&said), "{answer}");
        assert!(
            answer.contains("ng refs/heads/main failed to update ref"),
            "{answer}"
        );
    }
    assert_eq!(server.ref_at("refs/heads/main"), second);
}

#[test]
fn an_atomic_push_is_all_or_nothing_and_another_one_is_not() {
    let server = Server::start();
    let git = server.working("w");
    let url = server.url();
    git.write("f", "x");
    git.commit("first");
    git.run(&["push", &url, "main", "main:refs/heads/a"]);
    // `a/b` cannot be beside `a`.
    let refs = ["main:refs/heads/a/b", "main:refs/heads/c"];
    let refused = git.fails(&["push", "--atomic", &url, refs[0], refs[1]]);
    assert!(refused.contains("atomic push failure"), "{refused}");
    assert!(
        refused.contains("'refs/heads/a' exists; cannot create 'refs/heads/a/b'"),
        "{refused}"
    );
    assert_eq!(server.ref_at("refs/heads/c"), "");
    let refused = git.fails(&["push", &url, refs[0], refs[1]]);
    assert!(refused.contains("failed to update ref"), "{refused}");
    assert_ne!(server.ref_at("refs/heads/c"), "");
    // Where `a` goes, `a/b` may come.
    git.run(&["push", "--atomic", &url, ":refs/heads/a", refs[0]]);
    assert_ne!(server.ref_at("refs/heads/a/b"), "");
}

#[test]
fn names_that_git_or_the_server_keeps_for_itself_are_refused() {
    let server = Server::start();
    let git = server.working("w");
    let url = server.url();
    git.write("f", "x");
    git.commit("first");
    server.set(|settings| settings.hide_refs = vec!["refs/secret".to_owned()]);
    for (name, why) in [
        ("refs/govc/realities/a", "deny updating a hidden ref"),
        ("refs/secret/a", "deny updating a hidden ref"),
    ] {
        let refspec = format!("main:{name}");
        let refused = git.fails(&["push", &url, &refspec]);
        assert!(refused.contains(why), "{refused}");
        assert_eq!(server.ref_at(name), "");
    }
    // From one service alone.
    server.set(|settings| {
        settings.hide_refs_from_fetches = vec!["refs/heads".to_owned()];
        settings.hide_refs_from_pushes = vec!["!refs/secret".to_owned(), "refs/tags".to_owned()];
    });
    git.run(&["push", "-q", &url, "main", "main:refs/secret/a"]);
    let refused = git.fails(&["push", &url, "main:refs/tags/a"]);
    assert!(refused.contains("deny updating a hidden ref"), "{refused}");
    let shown = git.run(&["ls-remote", &url]);
    assert!(!shown.contains("refs/"), "{shown}");
}

#[test]
fn settings_forbid_what_they_say() {
    let server = Server::start();
    let git = server.working("w");
    let url = server.url();
    git.write("f", "x");
    git.commit("first");
    git.run(&["push", &url, "main", "main:refs/heads/side"]);
    server.set(|settings| {
        settings.deny_non_fast_forwards = true;
        settings.deny_deletes = true;
    });
    let refused = git.fails(&["push", &url, ":side"]);
    assert!(refused.contains("deletion prohibited"), "{refused}");
    git.write("f", "y");
    git.commit("second");
    git.run(&["push", &url, "main"]);
    git.run(&["reset", "-q", "--hard", "HEAD~1"]);
    git.commit("another second");
    let refused = git.fails(&["push", "-f", &url, "main"]);
    assert!(refused.contains("non-fast-forward"), "{refused}");
}

#[test]
fn push_options_arrive_and_may_be_an_empty_list() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    git.commit("first");
    git.run(&["push", "-o", "one", "-o", "two=3", &server.url(), "main"]);
    assert_eq!(server.ref_at("refs/heads/main"), git.id("main"));
}

#[test]
fn two_thousand_refs_are_one_change() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    let head = git.commit("first");
    let refs: String = (0..2_000)
        .map(|n| format!("create refs/heads/many/{n} {head}\n"))
        .collect();
    git.feed(&["update-ref", "--stdin"], refs.as_bytes());
    git.run(&["push", "-q", &server.url(), "refs/heads/*:refs/heads/*"]);
    let snapshot = server.repository.snapshot();
    assert_eq!((snapshot.seq, snapshot.refs.len()), (1, 2_002));
}

#[test]
fn a_large_pack_comes_in_chunks_and_a_thin_one_builds_on_it() {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let server = Server::with(format, Config::default());
        let git = server.working_in("w", &["--object-format", &format.to_string()]);
        git.fill(700);
        let noise: Vec<u8> = (0..2_500_000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        git.write("noise", &noise);
        git.commit("noise");
        let url = server.url();
        let small = ["-c", "http.postBuffer=65536"];
        git.run(&[&small[..], &["push", "-q", &url, "main"]].concat());
        assert_eq!(server.ref_at("refs/heads/main"), git.id("main"));
        assert_eq!(server.repository.pool().packs().len(), 1);

        let mut changed = noise;
        for at in (0..changed.len()).step_by(10) {
            changed[at] ^= 0x55;
        }
        git.write("noise", &changed);
        git.commit("more noise");
        git.run(&[&small[..], &["push", "-q", &url, "main"]].concat());
        assert_eq!(server.ref_at("refs/heads/main"), git.id("main"));
        assert_eq!(server.repository.pool().packs().len(), 2);
    }
}

#[test]
fn the_probe_is_answered_with_nothing() {
    let server = Server::start();
    assert_eq!(
        server.post("git-receive-pack", b"0000".to_vec()),
        (200, Vec::new())
    );
}

#[test]
fn malformed_objects_are_refused_in_gits_words_and_leave_nothing() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    git.commit("first");
    let tree = git.id("HEAD^{tree}");
    let text = format!(
        "tree {tree}\nauthor Ada 1700000000 +0100\ncommitter Ada <a@b> 1700000000 +0100\n\nx\n"
    );
    let args = [
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--literally",
        "--stdin",
    ];
    let bad = git.feed(&args, text.as_bytes());
    let refspec = format!("{}:refs/heads/bad", bad.trim());
    let refused = git.fails(&["push", &server.url(), &refspec]);
    let expected = format!("error: object {}: missingEmail: ", bad.trim());
    assert!(refused.contains(&expected), "{refused}");
    assert!(refused.contains("unpacker error"), "{refused}");
    assert_eq!(server.repository.snapshot().seq, 0);
    let id = govc_git::ObjectId::from_hex(bad.trim().as_bytes()).unwrap();
    assert!(!server.repository.pool().contains(&id));
    server.set(|settings| {
        let finding = "missingemail".to_owned();
        settings.fsck_severities.insert(finding, FsckSeverity::Warn);
    });
    let (taken, _, warned) = git.try_run(&["push", &server.url(), &refspec]);
    let expected = format!("warning: object {}: missingEmail: ", bad.trim());
    assert!(taken && warned.contains(&expected), "{warned}");
    git.run(&["push", &server.url(), ":refs/heads/bad"]);
    let skip = |settings: &mut Settings| {
        settings.fsck_severities.clear();
        settings.fsck_skip.insert(id);
    };
    server.set(skip);
    let (taken, _, told) = git.try_run(&["push", &server.url(), &refspec]);
    assert!(taken && !told.contains("missingEmail"), "{told}");
    server.set(|settings| {
        let rules = ["unterminatedheader", "whatever"].map(str::to_owned);
        let rules = rules.map(|finding| (finding, FsckSeverity::Warn));
        settings.fsck_severities.extend(rules);
    });
    let refused = git.fails(&["push", &server.url(), "HEAD:refs/heads/x"]);
    let why = "Cannot demote unterminatedheader to warn";
    assert!(refused.contains(why), "{refused}");
    server.set(|settings| {
        settings.fsck_severities.remove("unterminatedheader");
    });
    let (taken, _, told) = git.try_run(&["push", &server.url(), "HEAD:refs/heads/x"]);
    let why = "skipping unknown msg id 'whatever'";
    assert!(taken && told.contains(why), "{told}");
}

#[test]
fn what_refers_to_nothing_is_refused() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    git.commit("first");
    git.run(&["push", "-q", &server.url(), "main"]);
    let line = format!("100644 blob {}\tgone\n", "12".repeat(20));
    let tree = git.feed(&["mktree", "--missing"], line.as_bytes());
    let commit = git.run(&["commit-tree", "-m", "x", "-p", "main", tree.trim()]);
    // Git itself would look for the blob: so the pack is made by hand.
    let ids = format!("{commit}{tree}");
    let pack = git.feed_bytes(&["pack-objects", "--stdout", "-q"], ids.as_bytes());
    let body = push_of(
        &[("0".repeat(40), commit.trim().to_owned(), "refs/heads/bad")],
        &pack,
    );
    let (_, answer) = server.post("git-receive-pack", body.clone());
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.contains("ng refs/heads/bad unpacker error"),
        "{answer}"
    );
    assert!(
        answer.contains("unpack missing necessary objects"),
        "{answer}"
    );
    // Where objects are not checked it is that ref alone, as with git.
    server.set(|settings| settings.fsck_objects = false);
    let (_, answer) = server.post("git-receive-pack", body);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.contains("ng refs/heads/bad missing necessary objects"),
        "{answer}"
    );
    assert!(answer.contains("unpack ok"), "{answer}");
}

/// A push as it goes over the wire.
pub(crate) fn push_of(commands: &[(String, String, &str)], pack: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (n, (old, new, name)) in commands.iter().enumerate() {
        let list = if n == 0 {
            "\0 report-status side-band-64k"
        } else {
            ""
        };
        let line = format!("{old} {new} {name}{list}");
        govc_git::pktline::write(&mut body, &[line.as_bytes()]);
    }
    body.extend_from_slice(b"0000");
    body.extend_from_slice(pack);
    body
}

#[test]
fn a_siblings_private_object_cannot_be_named() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    git.commit("first");
    git.run(&["push", "-q", &server.url(), "main"]);
    let fork = server.engine.fork(
        &server.repository,
        govc_engine::RepoId::parse("sibling").unwrap(),
        None,
        crate::kit::cause(),
        false,
    );
    server.runtime.block_on(fork).unwrap();
    git.run(&["checkout", "-q", "-b", "private"]);
    git.write("secret", "the private one\n");
    let secret_commit = git.commit("private");
    let blob = git.id("HEAD:secret");
    git.run(&["push", "-q", &server.url_of("sibling"), "private"]);
    let id = govc_git::ObjectId::from_hex(blob.as_bytes()).unwrap();
    assert!(server.repository.pool().contains(&id), "forks share a pool");

    // A tree that names the private blob.
    let line = format!("100644 blob {blob}\tmine\n");
    let tree = git.feed(&["mktree"], line.as_bytes());
    let commit = git.run(&["commit-tree", "-m", "x", "-p", "main", tree.trim()]);
    let ids = format!("{commit}{tree}");
    let pack = git.feed_bytes(&["pack-objects", "--stdout", "-q"], ids.as_bytes());
    let zero = "0".repeat(40);
    let body = push_of(
        &[(zero.clone(), commit.trim().to_owned(), "refs/heads/theft")],
        &pack,
    );
    let (_, answer) = server.post("git-receive-pack", body);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.contains("ng refs/heads/theft unpacker error"),
        "{answer}"
    );

    // The same, vouched for by a second commit of the same push that takes it away again.
    let second = git.run(&["commit-tree", "-m", "y", "-p", commit.trim(), "main^{tree}"]);
    let ids = format!("{commit}{tree}{second}");
    let pack = git.feed_bytes(&["pack-objects", "--stdout", "-q"], ids.as_bytes());
    let body = push_of(
        &[(zero.clone(), second.trim().to_owned(), "refs/heads/theft")],
        &pack,
    );
    let (_, answer) = server.post("git-receive-pack", body);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.contains("ng refs/heads/theft unpacker error"),
        "{answer}"
    );

    // The private commit itself, with an empty pack.
    let pack = git.feed_bytes(&["pack-objects", "--stdout", "-q"], b"");
    let body = push_of(&[(zero, secret_commit, "refs/heads/theft")], &pack);
    let (_, answer) = server.post("git-receive-pack", body);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.contains("ng refs/heads/theft missing necessary objects"),
        "{answer}"
    );
    assert_eq!(server.ref_at("refs/heads/theft"), "");
}

/// The answer to a push as text.
fn answer_to(server: &Server, commands: &[(String, String, &str)], pack: &[u8]) -> String {
    let (status, answer) = server.post("git-receive-pack", push_of(commands, pack));
    assert_eq!(status, 200);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn commits_of_one_push_cannot_vouch_for_each_other() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    git.commit("first");
    git.run(&["push", "-q", &server.url(), "main"]);
    let fork = server.engine.fork(
        &server.repository,
        govc_engine::RepoId::parse("sibling").unwrap(),
        None,
        crate::kit::cause(),
        false,
    );
    server.runtime.block_on(fork).unwrap();
    git.run(&["checkout", "-q", "-b", "private"]);
    git.write("secret", "the private one\n");
    git.commit("private");
    let secret = git.id("HEAD:secret");
    git.run(&["push", "-q", &server.url_of("sibling"), "private"]);

    // Two folders that both hold the private blob, taking turns at one path: whoever looks at
    // each of them once, beside its parent's, never looks at the blob.
    let other = git.id("main:f");
    let make = |entries: &str| git.feed(&["mktree"], entries.as_bytes()).trim().to_owned();
    let one = make(&format!("100644 blob {secret}\tmine\n"));
    let two = make(&format!(
        "100644 blob {secret}\tmine\n100644 blob {other}\tmore\n"
    ));
    let roots = [&one, &two, &one].map(|folder| make(&format!("040000 tree {folder}\tdir\n")));
    let mut tip = String::new();
    let mut ids = format!("{one}\n{two}\n");
    for root in &roots {
        let parent = if tip.is_empty() { "main" } else { &tip };
        let made = git.run(&["commit-tree", "-m", "x", "-p", parent, root]);
        tip = made.trim().to_owned();
        ids.push_str(&format!("{root}\n{tip}\n"));
    }
    let pack = git.feed_bytes(&["pack-objects", "--stdout", "-q"], ids.as_bytes());
    let command = ("0".repeat(40), tip, "refs/heads/theft");
    let answer = answer_to(&server, &[command], &pack);
    assert!(
        answer.contains("ng refs/heads/theft unpacker error"),
        "{answer}"
    );
}

#[test]
fn a_delta_on_a_siblings_private_object_is_refused() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    git.commit("first");
    git.run(&["push", "-q", &server.url(), "main"]);
    let fork = server.engine.fork(
        &server.repository,
        govc_engine::RepoId::parse("sibling").unwrap(),
        None,
        crate::kit::cause(),
        false,
    );
    server.runtime.block_on(fork).unwrap();
    let text: String = (0..500).map(|n| format!("private line {n}\n")).collect();
    git.run(&["checkout", "-q", "-b", "private"]);
    git.write("secret", &text);
    git.commit("private");
    git.run(&["push", "-q", &server.url_of("sibling"), "private"]);
    git.run(&["checkout", "-q", "main"]);
    git.write("mine", format!("{text}one more\n"));
    let mine = git.commit("mine");
    let id = |revision: &str| ObjectId::from_hex(git.id(revision).as_bytes()).unwrap();
    let raw = |kind: &str, revision: &str| git.feed_bytes(&["cat-file", kind, revision], b"");
    let mut pack = PackWriter::new(Vec::new(), ObjectFormat::Sha1, 3).unwrap();
    let base = EntryKind::RefDelta {
        base: id("private:secret"),
    };
    let difference = delta::between(&raw("blob", "private:secret"), &raw("blob", "main:mine"));
    pack.whole(&id("main"), ObjectKind::Commit, &raw("commit", "main"), 1)
        .unwrap();
    pack.whole(
        &id("main^{tree}"),
        ObjectKind::Tree,
        &raw("tree", "main^{tree}"),
        1,
    )
    .unwrap();
    pack.delta(&id("main:mine"), &base, &difference, 1).unwrap();
    let pack = pack.finish().unwrap().out;
    let old = git.id("main~1");
    let answer = answer_to(&server, &[(old, mine, "refs/heads/main")], &pack);
    assert!(answer.contains("unpack unresolved deltas"), "{answer}");
    assert!(
        answer.contains("ng refs/heads/main unpacker error"),
        "{answer}"
    );
}

#[test]
fn hostile_packs_are_refused_and_leave_nothing() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    let commit = git.commit("first");
    let ids = git.run(&["rev-list", "--objects", "--no-object-names", "main"]);
    let pack = git.feed_bytes(&["pack-objects", "--stdout", "-q"], ids.as_bytes());
    let mut flipped = pack.clone();
    flipped[20] ^= 0x40;
    let mut miscounted = pack.clone();
    miscounted[11] = 200;
    let mut huge = pack.clone();
    huge[8..12].copy_from_slice(&[0xff; 4]);
    for (what, bad) in [
        ("nothing", Vec::new()),
        ("no pack", b"hello, this is not a pack at all".to_vec()),
        ("cut off", pack[..pack.len() - 7].to_vec()),
        ("flipped", flipped),
        ("miscounted", miscounted),
        ("huge count", huge),
        ("more behind it", [&pack[..], b"more"].concat()),
    ] {
        let command = ("0".repeat(40), commit.clone(), "refs/heads/main");
        let answer = answer_to(&server, &[command], &bad);
        assert!(!answer.contains("unpack ok"), "{what}: {answer}");
        assert!(
            answer.contains("ng refs/heads/main unpacker error"),
            "{what}: {answer}"
        );
    }
    assert_eq!(server.repository.snapshot().seq, 0);
    let command = ("0".repeat(40), commit, "refs/heads/main");
    let answer = answer_to(&server, &[command], &pack);
    assert!(answer.contains("ok refs/heads/main"), "{answer}");
}

#[test]
fn a_client_that_goes_away_leaves_nothing() {
    let server = Server::start();
    let git = server.working("w");
    git.write("f", "x");
    let commit = git.commit("first");
    let mut body = push_of(&[("0".repeat(40), commit, "refs/heads/main")], b"PACK");
    body.resize(3 << 20, 7);
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "POST /hello.git/git-receive-pack HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/x-git-receive-pack-request\r\ncontent-length: {}\r\n\r\n",
        body.len() + 1
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // The server hangs up, or says that the body is not whole.
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(!answer.contains("200 OK"), "{answer}");
    assert_eq!(server.repository.snapshot().seq, 0);
    assert!(server.repository.pool().packs().is_empty());
    git.run(&["push", "-q", &server.url(), "main"]);
}

#[test]
fn a_pack_over_the_limit_is_told_in_the_report() {
    let server = Server::start();
    let git = server.working("w");
    git.write(
        "noise",
        (0..300_000u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect::<Vec<u8>>(),
    );
    git.commit("first");
    server.set(|settings| settings.quotas.push_bytes = Some(100_000));
    let refused = git.fails(&["push", &server.url(), "main"]);
    assert!(
        refused.contains("the pack exceeds the maximum allowed size of 100000 bytes"),
        "{refused}"
    );
    assert_eq!(server.ref_at("refs/heads/main"), "");
}

#[test]
fn a_small_pack_over_the_limit_is_refused_too() {
    let server = Server::start();
    let git = server.working("w");
    git.write("small", b"small\n");
    git.commit("first");
    server.set(|settings| settings.quotas.push_bytes = Some(10));
    let refused = git.fails(&["push", &server.url(), "main"]);
    assert!(
        refused.contains("the pack exceeds the maximum allowed size of 10 bytes"),
        "{refused}"
    );
    assert_eq!(server.ref_at("refs/heads/main"), "");
}

#[test]
fn a_push_that_finds_no_memory_is_told_so() {
    let mut config = Config::default();
    config.storage.memory_budget.0 = 1;
    let server = Server::with(ObjectFormat::Sha1, config);
    let git = server.working("w");
    git.write("file", b"x\n");
    git.commit("first");
    let refused = git.fails(&["push", &server.url(), "main"]);
    assert!(refused.contains("(storage.memory_budget)"), "{refused}");
    assert_eq!(server.ref_at("refs/heads/main"), "");
}
