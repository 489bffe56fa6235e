//! Shallow clones: whatever is done with one ends as it does with git's own server.

use std::collections::BTreeSet;

use govc_tests::{Dice, Git, History, TestServer};

/// What a clone has in the end.
#[derive(Debug, PartialEq, Eq)]
struct End {
    refs: String,
    shallow: BTreeSet<String>,
    objects: BTreeSet<String>,
    failed: Vec<bool>,
}

/// Runs the commands, `$URL` being the remote; the first one makes the repository `c`.
fn play(git: &Git, url: &str, commands: &[&str], later: &mut dyn FnMut()) -> End {
    let _ = std::fs::remove_dir_all(git.path("c"));
    let mut failed = Vec::new();
    for command in commands {
        if *command == "later" {
            later();
            continue;
        }
        let ran = git.attempt(&command.replace("$URL", url));
        failed.push(!ran.status.success());
    }
    if !git.path("c").exists() {
        return End {
            refs: String::new(),
            shallow: BTreeSet::new(),
            objects: BTreeSet::new(),
            failed,
        };
    }
    git.fsck("c");
    let file = ["c/.git/shallow", "c/shallow"]
        .iter()
        .find_map(|name| std::fs::read_to_string(git.path(name)).ok());
    let lines = |text: &str| -> BTreeSet<String> {
        text.lines()
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    };
    End {
        refs: git.run("-C c for-each-ref"),
        shallow: lines(&file.unwrap_or_default()),
        objects: lines(&git.run("-C c rev-list --objects --all")),
        failed,
    }
}

#[test]
fn each_way_to_cut_a_history_ends_as_with_git() {
    let server = TestServer::with_repo("hello");
    let url = server.git_url("hello");
    let source = Git::new();
    History::of(70, 23).make(&source, "full");
    source.run("clone -q --no-tags --mirror full theirs");
    source.run("-C theirs config uploadpack.allowAnySHA1InWant true");
    // What both servers have to begin with.
    let newer = source.run("-C full rev-parse main");
    let older = source.run("-C full rev-parse main~3");
    let theirs = format!("file://{}", source.path("theirs").display());
    source.run(&format!("-C full push -q --mirror {url}"));
    let dates = source.run("-C full log --format=%ct --first-parent main");
    let dates: Vec<&str> = dates.lines().collect();
    let (since, before) = (dates[dates.len() / 3], dates[dates.len() / 2]);
    let middle = source.run("-C full rev-parse main~5");

    let since_clone = format!("clone -q --no-tags --shallow-since={since} $URL c");
    let since_fetch = format!("-C c fetch -q --shallow-since={before}");
    let by_id = format!("-C c fetch -q --depth 2 $URL {middle}:refs/heads/x");
    // Tags that follow are left out: over HTTP git asks for them before it sees what came.
    let stories: &[&[&str]] = &[
        &[
            "clone -q --no-tags --depth 1 $URL c",
            "-C c fetch -q --deepen 2",
            "-C c fetch -q --unshallow",
        ],
        &[
            "clone -q --no-tags --depth 3 --no-single-branch $URL c",
            "-C c fetch -q --depth 1",
            "-C c fetch -q --depth 5 --tags",
        ],
        &[&since_clone, &since_fetch, "-C c fetch -q --deepen 1"],
        &[
            "clone -q --no-tags --shallow-exclude=v0 $URL c",
            "-C c fetch -q --shallow-exclude=light-1 --shallow-exclude=v2",
            "-C c fetch -q --unshallow",
        ],
        &["clone -q --no-tags --shallow-exclude=nowhere $URL c"],
        &["clone -q --no-tags --shallow-since=2100-01-01 $URL c"],
        &[
            "clone -q --no-tags --depth 2 --branch topic/1 $URL c",
            "-C c fetch -q origin main:refs/heads/x",
            "-C c fetch -q --depth 1 origin main:refs/heads/y",
        ],
        &[
            "clone -q --no-tags --depth 1 $URL c",
            "-C c fetch -q --tags",
        ],
        &[
            "clone -q --no-tags --mirror --depth 2 $URL c",
            "-C c fetch -q --deepen 100",
        ],
        &["init -q c", &by_id, "-C c fetch -q --depth 4 $URL main"],
        &[
            "clone -q --no-tags --depth 2 $URL c",
            "later",
            "-C c fetch -q",
            "-C c fetch -q --unshallow",
        ],
        &[
            "clone -q --no-tags --depth 2 $URL c",
            "later",
            "-C c fetch -q --depth 1",
        ],
        &[
            "clone -q --no-tags $URL c",
            "later",
            "-C c fetch -q --depth 2",
            "-C c fetch -q --unshallow",
        ],
    ];
    for version in [0, 1, 2] {
        let git = Git::speaking(version);
        // Version 1 is 0 with a line in front.
        let some = if version == 1 { 2 } else { stories.len() };
        for story in &stories[..some] {
            let grows = story.contains(&"later");
            let begin = if grows { &older } else { &newer };
            source.run(&format!("-C theirs update-ref refs/heads/main {begin}"));
            source.run(&format!("-C full push -q -f {url} {begin}:refs/heads/main"));
            let expected = play(&git, &theirs, story, &mut || {
                source.run(&format!("-C theirs update-ref refs/heads/main {newer}"));
            });
            let found = play(&git, &url, story, &mut || {
                source.run(&format!("-C full push -q {url} {newer}:refs/heads/main"));
            });
            assert_eq!(found, expected, "protocol {version}: {story:?}");
        }
    }
}

#[test]
fn a_person_is_told_why_nothing_is_left() {
    let server = TestServer::with_repo("hello");
    let url = server.git_url("hello");
    let git = Git::new();
    git.run("init -q ada");
    git.commit("ada", "a", "1\n");
    git.run(&format!("-C ada push -q {url} main"));
    for version in [0, 2] {
        let git = Git::speaking(version);
        let said = git.refused(&format!("clone --shallow-since=2100-01-01 {url} c"));
        assert!(
            said.contains("no commits selected for shallow requests"),
            "{said}"
        );
        let said = git.refused(&format!("clone --shallow-exclude=v9 {url} c"));
        assert!(
            said.contains("ambiguous deepen-not: deepen-not v9"),
            "{said}"
        );
    }
}

#[test]
fn what_is_pushed_from_a_shallow_clone_rests_on_what_the_server_has() {
    let server = TestServer::with_repo("hello");
    server.create("other");
    let (url, other) = (server.git_url("hello"), server.git_url("other"));
    let source = Git::new();
    History::of(40, 3).make(&source, "source");
    source.run(&format!("-C source push -q --mirror {url}"));
    let git = Git::new();
    git.run(&format!("clone -q --no-tags --depth 1 {url} ada"));
    git.commit("ada", "small", "small\n");
    git.run("-C ada push -q origin main HEAD:refs/heads/new");
    // Large enough to be kept as a pack.
    git.commit("ada", "large", Dice(1).bytes(3 << 20));
    git.run("-C ada tag -a -m tag v9");
    git.run("-C ada push -q origin main v9");
    git.run("-C ada fetch -q --deepen 3");
    git.commit("ada", "more", "more\n");
    git.run("-C ada push -q origin main");
    // What git's server says to one that would make it shallow.
    git.run("init -q --bare theirs");
    let theirs = format!("file://{}", git.path("theirs").display());
    for empty in [&other, &theirs] {
        let said = git.refused(&format!("-C ada push {empty} main v9"));
        assert!(
            said.contains("[remote rejected] main -> main (shallow update not allowed)"),
            "{said}"
        );
        assert!(
            said.contains("[remote rejected] v9 -> v9 (shallow update not allowed)"),
            "{said}"
        );
    }
    assert_eq!(git.run(&format!("ls-remote {other}")), "");
    // Of several refs those are taken that need nothing beyond the cut.
    git.run("-C ada checkout -q --orphan root");
    git.commit("ada", "root", "root\n");
    let said = git.refused(&format!("-C ada push {other} root main"));
    assert!(said.contains("[new branch]      root -> root"), "{said}");
    assert!(
        said.contains("main -> main (shallow update not allowed)"),
        "{said}"
    );
    git.run(&format!("clone -q --no-tags --mirror {url} whole"));
    git.fsck("whole");
    assert_eq!(
        git.run("-C whole rev-parse main"),
        git.run("-C ada rev-parse main")
    );
    git.run(&format!("clone -q --no-tags --mirror {other} root.git"));
    git.fsck("root.git");
}

/// What git's own tests of shallow fetches look at on the server's side (t5500, t5537, t5539).
#[test]
fn corners_that_git_met_are_met_here() {
    let server = TestServer::with_repo("hello");
    let url = server.git_url("hello");
    let git = Git::new();
    git.run(&format!("clone -q {url} ada"));
    for number in ["1", "2", "3", "4"] {
        git.commit("ada", &format!("{number}.t"), format!("{number}\n"));
    }
    git.run("-C ada push -q origin main");
    git.run(&format!("clone -q {url} whole"));
    for version in [0, 2] {
        let old = Git::speaking(version);

        // A content that lies beyond the client's cut, and comes back, is sent again.
        old.run(&format!("clone -q --depth 2 {url} back"));
        let blob = git.run("-C ada rev-parse HEAD:1.t");
        old.run("-C back checkout -q --orphan none");
        git.run("-C ada rm -q 1.t");
        git.run("-C ada commit -q -m Remove");
        git.run("-C ada push -q origin main");
        old.run("-C back fetch -q origin +main:refs/remotes/top/main");
        git.commit("ada", "1.t", "1\n");
        git.run("-C ada push -q origin main");
        old.run("-C back fetch -q origin +main:refs/remotes/top/main");
        old.fsck("back");
        old.run(&format!("-C back cat-file -e {blob}"));

        // A new root whose tree the client has costs one object.
        git.run("-C whole fetch -q");
        git.run("-C ada commit -q --allow-empty -m Empty");
        git.run("-C ada push -q origin main");
        git.run("-C whole config protocol.version 2");
        let said = git.attempt("-C whole fetch --depth=1 --progress");
        assert!(said.status.success(), "{said}");
        assert!(
            said.stderr.contains("Enumerating objects: 1, done"),
            "{said}"
        );
        assert!(said.stderr.contains("Total 1 ("), "{said}");
        git.run("-C whole fetch -q --unshallow");

        // A cut that the server does not know any more is nobody's concern.
        git.run("-C ada checkout -q -b gone");
        git.commit("ada", "gone", "gone\n");
        git.commit("ada", "gone", "again\n");
        git.run("-C ada push -q origin gone");
        old.run(&format!("clone -q --depth 1 -b gone {url} cut"));
        git.run("-C ada push -q origin :gone");
        git.run("-C ada checkout -q main");
        git.run("-C ada branch -q -D gone");
        old.run("-C cut fetch -q --depth 2 origin main:refs/heads/main");
        old.fsck("cut");
        assert_eq!(old.run("-C cut rev-list --count main"), "2");

        // So is one that is repeated for a commit which the client has dropped since.
        old.run("-C cut update-ref -d refs/remotes/origin/gone");
        old.run("-C cut fetch -q --depth 3 origin main:refs/heads/main");
        old.fsck("cut");
        assert_eq!(old.run("-C cut rev-list --count main"), "3");

        // A commit of the client's that is old and has no part in it ends the rounds.
        old.run(&format!("clone -q --depth 2 {url} rounds"));
        old.run("-C rounds checkout -q --orphan none");
        old.commit("rounds", "mine", "mine\n");
        git.commit("ada", "next", format!("{version}\n"));
        git.run("-C ada push -q origin main");
        old.run("-C rounds fetch -q --depth=2");
        old.fsck("rounds");
        assert_eq!(old.run("-C rounds rev-list --count origin/main"), "2");
    }
}
