//! Bundles: a repository as a file, and where such files are.

use govc_git::ObjectFormat;
use govc_server::Config;
use reqwest::blocking::Response;

use crate::kit::{Git, Server, packets, request};

fn bundle_url(server: &Server) -> String {
    format!("http://{}/api/v1/repos/hello/bundle", server.address)
}

fn get(server: &Server, query: &str) -> Response {
    let client = reqwest::blocking::Client::new();
    client
        .get(format!("{}{query}", bundle_url(server)))
        .send()
        .unwrap()
}

/// Puts a bundle into a file; its path.
fn saved(server: &Server, name: &str, query: &str) -> String {
    let answer = get(server, query);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-git-bundle");
    let path = server.folder.path().join(name);
    std::fs::write(&path, answer.bytes().unwrap()).unwrap();
    path.display().to_string()
}

fn served(format: ObjectFormat, config: Config) -> (Server, Git) {
    let server = Server::with(format, config);
    let git = server.working_in("w", &["--object-format", &format.to_string()]);
    git.fill(40);
    git.run(&["branch", "side", "main~5"]);
    git.run(&["tag", "-a", "-m", "one", "v1", "main~7"]);
    git.run(&["push", "-q", &server.url(), "main", "side", "v1"]);
    (server, git)
}

#[test]
fn a_bundle_is_the_repository() {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let (server, git) = served(format, Config::default());
        git.run(&["push", "-q", &server.url(), "main:refs/secret/x"]);
        server.set(|settings| settings.hide_refs = vec!["refs/secret".to_owned()]);
        let file = saved(&server, "all.bundle", "");
        let said = git.run(&["bundle", "verify", &file]);
        assert!(said.contains("complete history"), "{said}");
        let heads = git.run(&["bundle", "list-heads", &file]);
        let listed = git.run(&["ls-remote", &server.url()]);
        let listed = listed.lines().filter(|line| !line.contains("^{}"));
        let listed: String = listed.map(|line| line.replace('\t', " ") + "\n").collect();
        assert_eq!(heads, listed);
        let above = Git::at(server.folder.path());
        above.run(&["clone", "-q", &file, "copy"]);
        let copy = Git::at(&server.folder.path().join("copy"));
        assert_eq!(copy.id("HEAD"), git.id("main"));
        assert_eq!(copy.run(&["status", "--porcelain"]), "");
        copy.run(&["fsck", "--strict", "--no-dangling"]);

        // What is new comes in one that stands on what is there.
        let before = git.id("main");
        git.write("new", "new\n");
        git.commit("new");
        git.run(&["push", "-q", &server.url(), "main"]);
        let query = format!("?ref=main&since={before}");
        let file = saved(&server, "new.bundle", &query);
        assert!(std::fs::metadata(&file).unwrap().len() < 1_500);
        let said = copy.run(&["bundle", "verify", &file]);
        assert!(said.contains(&before), "{said}");
        copy.run(&["fetch", "-q", &file, "main:refs/remotes/origin/main"]);
        assert_eq!(copy.id("origin/main"), git.id("main"));
        copy.run(&["fsck", "--strict", "--no-dangling"]);
        let empty = server.working_in("empty", &["--object-format", &format.to_string()]);
        let said = empty.fails(&["bundle", "verify", &file]);
        assert!(said.contains(&before), "{said}");
        // Nothing new is a bundle, too.
        let now = git.id("main");
        let file = saved(&server, "nothing.bundle", &format!("?since={now}"));
        copy.run(&["bundle", "verify", &file]);
    }
}

#[test]
fn a_bundle_is_of_what_may_be_seen() {
    let (server, git) = served(ObjectFormat::Sha1, Config::default());
    git.run(&["push", "-q", &server.url(), "main~3:refs/secret/x"]);
    server.set(|settings| settings.hide_refs = vec!["refs/secret".to_owned()]);
    for (query, status) in [
        ("?ref=refs/secret/x", 404),
        ("?ref=nowhere", 404),
        ("?ref=v1", 200),
        ("?ref=HEAD", 200),
        ("?since=nowhere", 404),
        ("?since=main:dir1", 422),
        ("?what=1", 400),
    ] {
        assert_eq!(get(&server, query).status(), status, "{query}");
    }
    let answer = get(&server, "?ref=main");
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let client = reqwest::blocking::Client::new();
    let again = || {
        let ask = client.get(format!("{}?ref=main", bundle_url(&server)));
        ask.header("if-none-match", &tag).send().unwrap().status()
    };
    assert_eq!(again(), 304);
    git.run(&["push", "-q", "-f", &server.url(), "main~1:main"]);
    assert_eq!(again(), 200);
    let empty = Server::start();
    assert_eq!(get(&empty, "").status(), 404);
}

#[test]
fn clones_begin_with_a_bundle() {
    let mut config = Config::default();
    config.fetch.own_bundle = true;
    config.fetch.bundle_uris = vec!["https://cdn.example.org/{repo}.bundle".to_owned()];
    let (server, _) = served(ObjectFormat::Sha1, config);
    let (_, answer) = server.post("git-upload-pack", request(&["command=bundle-uri", "."]));
    let lines: Vec<String> = packets(&answer)
        .iter()
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    assert_eq!(
        lines,
        [
            "bundle.version=1\n".to_owned(),
            "bundle.mode=all\n".to_owned(),
            "bundle.elsewhere-1.uri=https://cdn.example.org/hello.bundle\n".to_owned(),
            format!("bundle.whole.uri={}\n", bundle_url(&server)),
            ".".to_owned(),
        ]
    );
    let (plain, git) = served(ObjectFormat::Sha1, Config::default());
    let (_, answer) = plain.post("git-upload-pack", request(&["command=bundle-uri", "."]));
    assert!(answer[4..].starts_with(b"ERR invalid command 'bundle-uri'"));
    // A client that is told where begins there, and fetches the rest.
    git.write("newer", "newer\n");
    git.commit("newer");
    git.run(&["push", "-q", &plain.url(), "main"]);
    let option = format!("--bundle-uri={}?ref=side", bundle_url(&plain));
    let copy = plain.clone_to("copy", &[&option]);
    assert_eq!(copy.id("HEAD"), git.id("main"));
    assert_eq!(copy.id("refs/bundles/side"), git.id("side"));
    copy.run(&["fsck", "--strict", "--no-dangling"]);
}
