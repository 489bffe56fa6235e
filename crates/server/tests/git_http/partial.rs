//! Partial clones: what filters leave out, and how it comes later.

use std::collections::BTreeSet;

use govc_git::ObjectFormat;
use govc_server::Config;

use crate::kit::{Git, Server, packets, request};

const SPARSE: &str = "sparse:oid=main:sparse";

/// A server with a history that has a sparse specification and tags of all kinds.
fn served(format: ObjectFormat, config: Config) -> (Server, Git) {
    let server = Server::with(format, config);
    let git = server.working_in("w", &["--object-format", &format.to_string()]);
    git.fill(60);
    git.write("sparse", "/*\n!/*/\n/dir1/\n!/dir1/*/\n/dir1/sub1/\n*9\n");
    git.write("large", "large\n".repeat(2_000));
    git.write("dir1/deep/deeper/small", "small\n");
    git.commit("more");
    git.run(&["tag", "-a", "-m", "one", "v1", "main~10"]);
    git.run(&["tag", "-a", "-m", "a blob", "of-blob", "main:large"]);
    git.run(&["branch", "side", "main~30"]);
    git.run(&["push", "-q", "--all", &server.url()]);
    git.run(&["push", "-q", "--tags", &server.url()]);
    (server, git)
}

fn lines(text: &str) -> BTreeSet<String> {
    let words = text.lines().map(|line| line.split(' ').next().unwrap());
    words.map(str::to_owned).collect()
}

/// All objects that are in a repository.
fn holds(git: &Git) -> BTreeSet<String> {
    lines(&git.run(&[
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(objectname)",
    ]))
}

fn filtered_by_git(git: &Git, spec: &str) -> BTreeSet<String> {
    let filter = format!("--filter={spec}");
    lines(&git.run(&["rev-list", "--objects", "--all", &filter]))
}

#[test]
fn each_filter_leaves_out_what_git_leaves_out() {
    let (server, git) = served(ObjectFormat::Sha1, Config::default());
    for (version, specs) in [
        (0, &["blob:none", "tree:1"][..]),
        (1, &["blob:limit=1k"]),
        (
            2,
            &[
                "blob:none",
                "blob:limit=1k",
                "tree:0",
                "tree:2",
                SPARSE,
                "object:type=commit",
                "object:type=tree",
                "combine:blob:none+tree:3",
            ],
        ),
    ] {
        let protocol = format!("protocol.version={version}");
        for spec in specs {
            let name = format!("{version}-{spec}").replace([':', '+', '='], "-");
            let filter = format!("--filter={spec}");
            let clone = ["-c", &protocol, "--mirror", &filter];
            let copy = server.clone_to(&name, &clone);
            assert_eq!(
                holds(&copy),
                filtered_by_git(&git, spec),
                "version {version}, {spec}"
            );
            copy.run(&["fsck", "--no-dangling"]);
        }
    }
}

#[test]
fn a_partial_clone_is_checked_out_and_goes_on() {
    for (format, version, specs) in [
        (ObjectFormat::Sha1, "0", &["blob:none"][..]),
        (ObjectFormat::Sha256, "2", &["tree:0", "blob:limit=300"]),
    ] {
        let (server, git) = served(format, Config::default());
        let protocol = format!("protocol.version={version}");
        for spec in specs {
            let name = spec.replace([':', '='], "-");
            let filter = format!("--filter={spec}");
            let copy = server.clone_to(&name, &["-c", &protocol, &filter]);
            assert_eq!(copy.run(&["status", "--porcelain"]), "");
            assert!(holds(&copy).len() < holds(&git).len(), "{spec}");
            git.write("large", format!("{spec}\n").repeat(3_000));
            git.write("dir2/new", spec);
            git.commit("new");
            git.run(&["push", "-q", &server.url(), "main"]);
            copy.run(&["pull", "-q", "--ff-only"]);
            assert_eq!(copy.id("HEAD"), git.id("main"));
            assert_eq!(copy.run(&["status", "--porcelain"]), "");
            // History is looked at, object by object where it must be.
            let log = ["log", "--stat", "--format=%s", "-5"];
            assert_eq!(copy.run(&log), git.run(&log));
            copy.write("mine", "mine\n");
            copy.commit("mine");
            copy.run(&["push", "-q", "-f", "origin", "HEAD:refs/heads/mine"]);
            copy.run(&["fsck", "--no-dangling"]);
            // All of it comes, when that is wanted after all.
            copy.run(&["fetch", "-q", "--refetch", "--no-filter"]);
            let missing = copy.run(&["rev-list", "--objects", "--missing=print", "main"]);
            assert!(!missing.contains('?'), "{spec}");
        }
    }
}

#[test]
fn a_shallow_partial_clone_is_what_git_makes_of_it() {
    let (server, git) = served(ObjectFormat::Sha1, Config::default());
    git.run(&["config", "uploadpack.allowFilter", "true"]);
    let own = format!("file://{}", git.at.display());
    let above = Git::at(server.folder.path());
    for (version, spec) in [("0", "blob:none"), ("2", "tree:2"), ("2", SPARSE)] {
        let protocol = format!("protocol.version={version}");
        let filter = format!("--filter={spec}");
        let clone = ["-c", &protocol, "--bare", "--depth=3", &filter];
        let ours = format!("ours-{version}-{}", spec.len());
        let theirs = format!("theirs-{version}-{}", spec.len());
        let copy = server.clone_to(&ours, &clone);
        above.run(&[&["clone", "-q"], &clone[..], &[&own, &theirs]].concat());
        let by_git = Git::at(&server.folder.path().join(&theirs));
        assert_eq!(holds(&copy), holds(&by_git), "version {version}, {spec}");
        copy.run(&["fetch", "-q", "--deepen=4"]);
        copy.run(&["fetch", "-q", "--unshallow"]);
        let count = |of: &Git| of.run(&["rev-list", "--count", "main"]);
        assert_eq!(count(&copy), count(&git));
        copy.run(&["fsck", "--no-dangling"]);
    }
}

/// What the pack in an answer holds, by git.
fn pack_of(git: &Git, answer: &[u8]) -> BTreeSet<String> {
    let mut pack = Vec::new();
    let mut begun = false;
    for line in packets(answer) {
        match line.split_first() {
            _ if line.ends_with(b"packfile\n") => begun = true,
            Some((1, data)) if begun => pack.extend_from_slice(data),
            _ => {}
        }
    }
    let text = String::from_utf8_lossy(answer).into_owned();
    assert!(pack.starts_with(b"PACK"), "{text}");
    git.feed(&["index-pack", "--stdin", "--fix-thin"], &pack);
    holds(git)
}

#[test]
fn what_is_named_is_sent_whatever_the_filter_says() {
    let (server, git) = served(ObjectFormat::Sha1, Config::default());
    let blobs: Vec<String> = ["large", "sparse", "dir1/deep/deeper/small"]
        .map(|path| git.id(&format!("main:{path}")))
        .into();
    let wants: Vec<String> = blobs.iter().map(|id| format!("want {id}")).collect();
    let mut lines = vec!["command=fetch", "--"];
    lines.extend(wants.iter().map(String::as_str));
    lines.extend(["filter blob:none", "no-progress", "done", "."]);
    let (_, answer) = server.post("git-upload-pack", request(&lines));
    let got = pack_of(&server.working("blobs"), &answer);
    assert_eq!(got, BTreeSet::from_iter(blobs));

    let tree = git.id("main:dir1");
    let want = format!("want {tree}");
    let lines = ["command=fetch", "--", &want, "filter tree:1", "done", "."];
    let (_, answer) = server.post("git-upload-pack", request(&lines));
    let got = pack_of(&server.working("tree"), &answer);
    let direct = git.run(&["rev-list", "--objects", &tree, "--filter=tree:1"]);
    assert_eq!(got, self::lines(&direct));
}

/// The first line of the answer to a fetch of main with `filter`.
fn refused(server: &Server, git: &Git, filter: &str) -> String {
    let want = format!("want {}", git.id("main"));
    let filter = format!("filter {filter}");
    let lines = ["command=fetch", "--", &want, &filter, "done", "."];
    let (status, answer) = server.post("git-upload-pack", request(&lines));
    assert_eq!(status, 200);
    let first = packets(&answer).into_iter().next().unwrap_or_default();
    String::from_utf8_lossy(&first).into_owned()
}

#[test]
fn what_is_no_filter_is_refused_in_gits_words() {
    let (server, git) = served(ObjectFormat::Sha1, Config::default());
    let deep = "combine:".repeat(5_000) + "blob:none";
    let wide = "combine:".to_owned() + &"tree:1+".repeat(5_000) + "tree:1";
    let tag = format!("sparse:oid={}", git.id("main"));
    for (filter, said) in [
        ("blob:nothing", "ERR invalid filter-spec 'blob:nothing'"),
        ("tree:x", "ERR expected 'tree:<depth>'"),
        (
            "sparse:oid=main:nowhere",
            "ERR unable to access sparse blob in 'main:nowhere'",
        ),
        (&tag, "ERR unable to parse sparse filter data in"),
        (&deep, "ERR the filter is nested deeper than"),
        (&wide, "ERR the filter has more than"),
    ] {
        let line = refused(&server, &git, filter);
        assert!(line.starts_with(said), "{line}");
    }
    let want = format!("want {}", git.id("main"));
    let lines = [
        "command=fetch",
        "--",
        &want,
        "filter tree:1",
        "filter tree:2",
        "done",
        ".",
    ];
    let (_, answer) = server.post("git-upload-pack", request(&lines));
    assert!(answer[4..].starts_with(b"ERR multiple filter-specs cannot be combined"));
}

#[test]
fn patterns_that_would_take_for_ever_do_not() {
    let server = Server::start();
    let git = server.working("w");
    git.fill(30);
    git.write(
        "evil",
        "*a*a*a*a*a*a*a*a*a*a*a*a*b\n**/**/**/**/**/x\n".repeat(200),
    );
    // The same folder in itself, many times over: its paths are 9^6.
    let mut tree = git.feed(
        &["mktree"],
        format!(
            "100644 blob {}\tf\n",
            git.feed(&["hash-object", "-w", "--stdin"], b"x").trim()
        )
        .as_bytes(),
    );
    for _ in 0..6 {
        let entries: String = (0..9)
            .map(|n| format!("040000 tree {}\ta{n}\n", tree.trim()))
            .collect();
        tree = git.feed(&["mktree"], entries.as_bytes());
    }
    git.run(&["read-tree", "--prefix=bomb/", tree.trim()]);
    git.run(&["add", "evil"]);
    git.run(&["commit", "-q", "-m", "bomb"]);
    git.run(&["push", "-q", &server.url(), "main"]);
    let want = format!("want {}", git.id("main"));
    let lines = [
        "command=fetch",
        "--",
        &want,
        "filter sparse:oid=main:evil",
        "done",
        ".",
    ];
    let (_, answer) = server.post("git-upload-pack", request(&lines));
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("the filter takes too long"), "{text}");
    // Filters without patterns do not care.
    let depth = server.clone_to("depth", &["--mirror", "--filter=tree:5"]);
    assert_eq!(holds(&depth), filtered_by_git(&git, "tree:5"));
}

#[test]
fn filters_can_be_refused_by_the_operator() {
    let mut config = Config::default();
    config.fetch.refused_filters = vec!["sparse:oid".to_owned()];
    config.fetch.tree_filter_depth = 1;
    let (server, git) = served(ObjectFormat::Sha1, config);
    for (filter, said) in [
        (SPARSE, "ERR filter 'sparse:oid' not supported"),
        (
            "combine:blob:none+tree:2",
            "ERR tree filter allows max depth 1, but got 2",
        ),
        ("tree:1", "packfile\n"),
    ] {
        assert_eq!(refused(&server, &git, filter), said);
    }
    let mut config = Config::default();
    config.fetch.filter = false;
    let (server, git) = served(ObjectFormat::Sha1, config);
    let line = refused(&server, &git, "blob:none");
    assert_eq!(line, "ERR unexpected line: 'filter blob:none'");
    // Clients then clone as a whole, and say so.
    let (fine, _, said) = git.try_run(&["clone", "--filter=blob:none", &server.url(), "whole"]);
    assert!(fine && said.contains("filtering not recognized"), "{said}");
    let (fine, _, said) = git.try_run(&[
        "-c",
        "protocol.version=0",
        "clone",
        "--filter=blob:none",
        &server.url(),
        "whole-0",
    ]);
    assert!(fine && said.contains("filtering not recognized"), "{said}");
}

#[test]
fn filters_can_be_refused_by_the_owner() {
    let (server, git) = served(ObjectFormat::Sha1, Config::default());
    server.set(|settings| {
        settings.fetch.other_filters = Some(false);
        settings.fetch.filters.insert("tree".to_owned(), true);
        settings.fetch.tree_filter_depth = Some(1);
    });
    assert!(refused(&server, &git, "blob:none").contains("filter 'blob:none' not supported"));
    let deep = refused(&server, &git, "tree:2");
    assert!(
        deep.contains("tree filter allows max depth 1, but got 2"),
        "{deep}"
    );
    server.clone_to("shallow-trees", &["--bare", "--filter=tree:1"]);
    server.set(|settings| settings.fetch.filter = Some(false));
    let (_, _, told) = git.try_run(&[
        "clone",
        "--bare",
        "--filter=tree:1",
        &server.url(),
        "../unfiltered",
    ]);
    assert!(
        told.contains("filtering not recognized by server"),
        "{told}"
    );
}
