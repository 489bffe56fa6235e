//! Hooks that are programs, as git's own: they see what a push brings, say something to whoever
//! pushes, and refuse.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use govc_tests::{Git, Options, TestServer};
use serde_json::json;
use tempfile::TempDir;

/// A hook that shows what comes, and refuses what is bad.
const PRE_RECEIVE: &str = r#"
while read old new name; do
    echo "$name: $(git log --format=%s -1 $new)"
    case $old in
        *[!0]*) git diff --stat $old $new ;;
        *) git ls-tree --name-only $new ;;
    esac
    test "$(git rev-parse -q --verify $name)" = "${old#0000000000000000000000000000000000000000}" || echo moved
    test -d "$GIT_QUARANTINE_PATH" && test "$GIT_QUARANTINE_PATH" = "$GIT_OBJECT_DIRECTORY" || echo no quarantine
    if git cat-file -e $new:bad 2>/dev/null; then echo "bad is bad" >&2; exit 1; fi
done
i=0
while test $i -lt ${GIT_PUSH_OPTION_COUNT:-0}; do
    eval "echo option \$GIT_PUSH_OPTION_$i"
    i=$((i + 1))
done
env | grep -q '^SECRET=' && echo leaked
exit 0
"#;

pub(crate) fn program(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, format!("#!/bin/sh\n{text}")).expect("a program");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("it may be run");
}

/// A server with programs in a folder, and a clone of its repository `hello` called `tree`.
fn begin(storage: &str, settings: &str) -> (TestServer, TempDir, Git) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display();
    let server = TestServer::with(Options {
        config: Some(format!("hooks:\n  path: {path}\n{settings}")),
        arguments: vec!["--storage".to_owned(), storage.to_owned()],
    });
    server.create("hello");
    let git = Git::new();
    git.run("init -q tree");
    let url = server.git_url("hello");
    git.run(&format!("-C tree remote add origin {url}"));
    (server, folder, git)
}

fn lines(said: &str) -> Vec<&str> {
    let remote = said
        .lines()
        .filter_map(|line| line.strip_prefix("remote: "));
    remote.map(str::trim_end).collect()
}

fn story(storage: &str) {
    let (server, folder, git) = begin(storage, "");
    program(folder.path(), "pre-receive", PRE_RECEIVE);
    let after = "while read old new name; do\n\
                 test $(git rev-parse $name) = $new && echo $name is there\ndone";
    program(folder.path(), "post-receive", after);
    git.commit("tree", "a", "a\n");
    let pushed = git.attempt("-C tree push origin main");
    assert!(pushed.status.success(), "{pushed}");
    let said = lines(&pushed.stderr);
    assert!(said[0].starts_with("refs/heads/main: "), "{said:?}");
    assert_eq!(said[1..], ["a", "refs/heads/main is there"]);

    git.commit("tree", "b", "b\nb\n");
    let pushed = git.attempt("-C tree push -o one -o two=2 origin main");
    assert!(pushed.status.success(), "{pushed}");
    let said = lines(&pushed.stderr);
    let wanted = [
        "b | 2 ++",
        "1 file changed, 2 insertions(+)",
        "option one",
        "option two=2",
        "refs/heads/main is there",
    ];
    let trimmed: Vec<&str> = said[1..].iter().map(|line| line.trim()).collect();
    assert_eq!(trimmed, wanted);

    let head = git.run("-C tree rev-parse HEAD");
    git.commit("tree", "bad", "bad\n");
    let refused = git.refused("-C tree push origin main");
    assert!(lines(&refused).contains(&"bad is bad"), "{refused}");
    assert!(
        refused.contains("[remote rejected] main -> main (pre-receive hook declined)"),
        "{refused}"
    );
    let api = server.api();
    let branch = || api.get("/repos/hello/branches/main").expect(200).json();
    assert_eq!(branch()["oid"], head);

    // The API passes through the same.
    let commit = |path: &str| {
        let body = json!({
            "branch": "main",
            "message": "by the API",
            "actions": [{ "op": "put", "path": path, "content": "x" }],
        });
        api.post("/repos/hello/commits", &body)
    };
    let refused = commit("bad").expect(422).json();
    assert_eq!(refused["code"], "HOOK_REFUSED");
    assert_eq!(refused["hook"], "pre-receive");
    let detail = refused["detail"].as_str().expect("text");
    assert!(
        detail.contains("bad | 1 +") && detail.contains("bad is bad"),
        "{detail}"
    );
    commit("good").expect(201);
    // A hook sees what came by the API in its repository.
    git.run("-C tree fetch -q origin");
    git.run("-C tree reset -q --hard origin/main");
    git.commit("tree", "c", "c\n");
    let pushed = git.attempt("-C tree push origin main");
    assert!(pushed.stderr.contains("c | 1 +"), "{pushed}");
    // A large push is a pack of its own.
    let large: String = (0..200_000)
        .map(|n| format!("{}\n", n * 7919 % 1_000_003))
        .collect();
    for number in 0..4 {
        git.commit(
            "tree",
            &format!("large-{number}"),
            format!("{number}{large}"),
        );
    }
    git.run("-C tree push -q origin main");
    git.commit("tree", "bad", &large);
    git.refused("-C tree push origin main");
}

#[test]
fn programs_see_a_push_and_refuse_it() {
    story("hybrid");
}

#[test]
fn programs_see_a_repository_that_is_in_memory() {
    story("memory");
}

#[test]
fn single_refs_are_refused() {
    let (server, folder, git) = begin("hybrid", "");
    let own = folder.path().join("hello");
    program(&own, "update", "echo \"$1\"\ntest \"$1\" != refs/heads/no");
    // That of the repository counts, not that of all.
    program(folder.path(), "update", "exit 1");
    program(folder.path(), "post-update", "echo \"updated $*\"");
    let log = folder.path().join("transactions");
    let text = format!("(echo \"$1\"; cat) >>{}", log.display());
    program(folder.path(), "reference-transaction", &text);
    git.commit("tree", "a", "a\n");
    git.run("-C tree branch no");
    let pushed = git.attempt("-C tree push origin main no");
    assert!(!pushed.status.success(), "{pushed}");
    let said = &pushed.stderr;
    assert!(
        said.contains("[remote rejected] no -> no (hook declined)"),
        "{said}"
    );
    assert!(
        said.contains("remote: error: hook declined to update refs/heads/no"),
        "{said}"
    );
    assert!(said.contains("remote: updated refs/heads/main"), "{said}");
    let refs = git.run(&format!("ls-remote {}", server.git_url("hello")));
    assert!(refs.contains("refs/heads/main") && !refs.contains("refs/heads/no"));
    let head = git.run("-C tree rev-parse HEAD");
    let line = format!("{} {head} refs/heads/main\n", "0".repeat(40));
    let told = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(told, format!("prepared\n{line}committed\n{line}"));
    // One that cannot be started refuses too, and says why.
    program(&own, "pre-receive", "");
    let path = own.join("pre-receive");
    std::fs::write(&path, "#!/no/such/program\n").expect("a file");
    let refused = git.refused("-C tree push origin main:other");
    let why = "cannot run hooks/pre-receive: No such file or directory";
    assert!(refused.contains("(pre-receive hook declined)"), "{refused}");
    assert!(refused.contains(why), "{refused}");
    std::fs::remove_file(&path).expect("a file");
    // All or nothing.
    git.commit("tree", "b", "b\n");
    let refused = git.refused("-C tree push --atomic origin main no");
    assert!(
        refused.contains("main -> main (atomic push failure)")
            && refused.contains("no -> no (hook declined)"),
        "{refused}"
    );
    let refs = git.run(&format!("ls-remote {}", server.git_url("hello")));
    assert!(refs.contains(&head));
}

#[test]
fn programs_are_given_the_commands_of_a_push_in_their_order() {
    let (_server, folder, git) = begin("hybrid", "");
    git.commit("tree", "a", "a\n");
    git.run("-C tree push -q origin main main:b main:d");
    let old = git.run("-C tree rev-parse HEAD");
    git.commit("tree", "b", "b\n");
    let new = git.run("-C tree rev-parse HEAD");
    for name in ["pre-receive", "post-receive"] {
        program(folder.path(), name, &format!("echo {name}; cat"));
    }
    program(folder.path(), "update", "echo update \"$1\"");
    // One that goes between those that stay, and one that is not there.
    let pushed = git.attempt("-C tree push origin main:b :d main :refs/heads/none");
    assert!(pushed.status.success(), "{pushed}");
    let zero = "0".repeat(40);
    let [b, d, main] = ["b", "d", "main"].map(|name| {
        let new = if name == "d" { &zero } else { &new };
        format!("{old} {new} refs/heads/{name}")
    });
    let none = format!("{zero} {zero} refs/heads/none");
    let expected = [
        "pre-receive",
        &b,
        &d,
        &main,
        &none,
        "update refs/heads/b",
        "update refs/heads/d",
        "update refs/heads/main",
        "update refs/heads/none",
        "post-receive",
        &b,
        &d,
        &main,
    ];
    let said = lines(&pushed.stderr);
    let said: Vec<&str> = { said.into_iter() }
        .filter(|line| !line.starts_with("warning"))
        .collect();
    assert_eq!(said, expected);
    // Nothing changes at all: they are asked, and not told.
    let pushed = git.attempt("-C tree push origin :refs/heads/none");
    let said = lines(&pushed.stderr);
    assert!(said.contains(&"update refs/heads/none"), "{pushed}");
    assert!(!said.contains(&"post-receive"), "{pushed}");
    program(folder.path(), "pre-receive", "exit 1");
    let refused = git.refused("-C tree push origin :refs/heads/none");
    assert!(refused.contains("(pre-receive hook declined)"), "{refused}");
}

#[test]
fn a_change_that_was_let_pass_and_not_made_is_told_of() {
    let (server, folder, git) = begin("hybrid", "");
    git.commit("tree", "a", "a\n");
    git.run("-C tree push -q origin main");
    let log = folder.path().join("log");
    let body =
        r#"{"branch":"main","message":"x","actions":[{"op":"put","path":"x","content":"x"}]}"#;
    // Somebody else commits while the push is asked about: the hook itself.
    let url = format!("{}/api/v1/repos/hello/commits", server.url());
    let text = format!(
        "(echo \"$1\"; cut -d' ' -f3) >>{log}\n\
         test \"$1\" = prepared && mkdir {log}.once 2>/dev/null || exit 0\n\
         curl -s -H 'content-type: application/json' -d '{body}' {url} >/dev/null",
        log = log.display(),
    );
    program(folder.path(), "reference-transaction", &text);
    git.commit("tree", "b", "b\n");
    let refused = git.refused("-C tree push origin main");
    assert!(refused.contains("failed to update ref"), "{refused}");
    // The commit is told of beside the push, and nobody waits for that.
    let mut told = String::new();
    for _ in 0..5000 {
        told = std::fs::read_to_string(&log).expect("a log");
        if told.lines().count() >= 8 {
            break;
        }
        let _ = server.api().get("/repos/hello");
    }
    let count = |word: &str| told.lines().filter(|line| *line == word).count();
    let counts = ["prepared", "committed", "aborted", "refs/heads/main"].map(count);
    assert_eq!(counts, [2, 1, 1, 4], "{told}");
}

#[test]
fn what_a_killed_server_left_of_a_quarantine_is_removed() {
    let (mut server, folder, git) = begin("hybrid", "");
    git.commit("tree", "a", "a\n");
    git.run("-C tree push -q origin main");
    let marker = folder.path().join("marker");
    let text = format!("touch {}; sleep 1000", marker.display());
    program(folder.path(), "pre-receive", &text);
    git.commit("tree", "b", "b\n");
    let objects = server.bare("hello").join("objects");
    let left = || {
        let names = std::fs::read_dir(&objects).expect("a folder");
        let names = names.map(|name| name.expect("a name").file_name().into_string());
        let names = names.map(|name| name.expect("a name"));
        names.filter(|name| name.starts_with("tmp_objdir")).count()
    };
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| git.attempt("-C tree push origin main"));
        while !marker.exists() {
            std::thread::yield_now();
        }
        server.kill();
        assert!(!pushing.join().expect("it ends").status.success());
    });
    assert_eq!(left(), 1);
    server.start_again();
    let gone = (0..5000).any(|_| {
        let _ = server.api().get("/repos/hello");
        left() == 0
    });
    assert!(gone, "it is still there");
}

#[test]
fn each_program_has_its_time() {
    let (server, folder, git) = begin("hybrid", "  run_timeout: 300ms\n");
    program(folder.path(), "pre-push", "echo \"$1\"; cat");
    program(folder.path(), "pre-commit", "echo not by the API; exit 1");
    git.commit("tree", "a", "a\n");
    let head = git.run("-C tree rev-parse HEAD");
    let pushed = git.attempt("-C tree push origin main");
    let zero = "0".repeat(40);
    let line = format!("refs/heads/main {head} refs/heads/main {zero}");
    assert_eq!(lines(&pushed.stderr), ["origin", &line]);
    let api = server.api();
    let body = json!({
        "branch": "main",
        "message": "x",
        "actions": [{ "op": "put", "path": "x", "content": "x" }],
    });
    let refused = api.post("/repos/hello/commits", &body).expect(422).json();
    assert_eq!(
        refused["detail"],
        "pre-commit hook declined\nnot by the API"
    );
    // Who takes too long refuses, and its children go too.
    let forever = "echo begun\nsleep 1000 &\nwait";
    program(folder.path(), "pre-push", forever);
    git.commit("tree", "b", "b\n");
    let refused = git.refused("-C tree push origin main");
    assert!(lines(&refused).contains(&"begun"), "{refused}");
    assert!(refused.contains("(pre-push hook declined)"), "{refused}");
    std::fs::remove_file(folder.path().join("pre-push")).expect("it is there");
    std::fs::remove_file(folder.path().join("pre-commit")).expect("it is there");
    let marker = folder.path().join("marker");
    let text = format!("echo \"$GOVC_REPO $GOVC_VIA\" >{}", marker.display());
    program(
        folder.path(),
        "post-commit",
        &format!("{text}.new\nmv {0}.new {0}", marker.display()),
    );
    api.post("/repos/hello/commits", &body).expect(201);
    // It is told behind the answer; a stop waits for nobody.
    let told = (0..2000).find_map(|_| {
        std::thread::yield_now();
        let _ = api.get("/repos/hello");
        std::fs::read_to_string(&marker).ok()
    });
    assert_eq!(told.as_deref(), Some("hello rest\n"));
}

#[test]
fn programs_of_an_adopted_repository_run_where_they_may() {
    let mut server = TestServer::with(Options {
        config: Some("hooks:\n  from_repositories: true\n".to_owned()),
        ..Options::default()
    });
    server.create("hello");
    server.stop_well();
    program(
        &server.bare("hello"),
        "hooks/pre-receive",
        "echo here; exit 1",
    );
    server.start_again();
    let git = Git::new();
    git.run("init -q tree");
    git.commit("tree", "a", "a\n");
    let refused = git.refused(&format!("-C tree push {} main", server.git_url("hello")));
    assert!(lines(&refused).contains(&"here"), "{refused}");
}
