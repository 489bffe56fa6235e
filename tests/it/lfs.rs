//! Git LFS with the real client: large files pushed, cloned and checked, locks between two people.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Once;

use govc_tests::{Answer, Dice, Git, Options, TestServer};
use serde_json::{Value, json};

use crate::ssh::{make_key, options};

const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";

/// Git with its LFS, which is installed where it is not there.
fn git() -> Git {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let is_there = || {
            let version = Command::new("git-lfs").arg("version").output();
            version.is_ok_and(|output| output.status.success())
        };
        if !is_there() {
            let install = "apt-get update -qq && apt-get install -y -qq git-lfs";
            let _ = Command::new("sh").args(["-c", install]).status();
        }
        assert!(is_there(), "git-lfs is needed: apt-get install git-lfs");
    });
    let git = Git::new();
    git.run("lfs install --skip-repo");
    // What is refused is refused: trying again for a minute changes nothing.
    git.run("config --global lfs.transfer.maxretries 1");
    // Its advice to turn lock checks on is for people.
    git.run("config --global lfs.locksverify true");
    git
}

/// A repository called `tree` whose `.bin` files are large.
fn begin(git: &Git, tree: &str, url: &str) {
    git.run(&format!("init -q {tree}"));
    git.run(&format!("-C {tree} remote add origin {url}"));
    git.write(
        &format!("{tree}/.gitattributes"),
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
}

fn sha256(git: &Git, content: &[u8]) -> String {
    git.write("to-hash", content);
    let output = git.command("sha256sum").arg("to-hash").output();
    let output = String::from_utf8(output.expect("it runs").stdout).expect("text");
    output[..64].to_owned()
}

/// Asks Git LFS of the repository `id`.
fn ask(server: &TestServer, id: &str, path: &str, body: &Value) -> Answer {
    let http = server.http();
    let path = format!("/{id}.git/info/lfs/{path}");
    let request = http.request("POST", &path);
    let request = request.header("content-type", MEDIA_TYPE);
    let request = request.header("accept", MEDIA_TYPE);
    http.send(request.body(body.to_string()))
}

fn batch(server: &TestServer, id: &str, operation: &str, oid: &str, size: usize) -> Value {
    let body = json!({"operation": operation, "objects": [{"oid": oid, "size": size}]});
    let answer = ask(server, id, "objects/batch", &body).expect(200).json();
    answer["objects"][0].clone()
}

fn files_kept(server: &TestServer) -> usize {
    let mut find = Command::new("find");
    find.arg(server.data().join(".govc/lfs"))
        .args(["-type", "f"]);
    let output = find.output().expect("find runs").stdout;
    output.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn large_files_are_pushed_cloned_and_there_after_kill_9() {
    let mut server = TestServer::with_repo("hello");
    let git = git();
    let url = server.git_url("hello");
    begin(&git, "ada", &url);
    let mut dice = Dice(1);
    let large = dice.bytes(50 << 20);
    git.write("ada/large.bin", &large);
    git.write("ada/small.bin", "small\n");
    git.commit("ada", "odd name é.bin", dice.bytes(100_000));
    git.run("-C ada push -q origin main");
    // One change, however many large files came with it.
    let history = server.api().get("/repos/hello/history").expect(200).json();
    let kinds = |history: &Value| -> Vec<String> {
        let items = history["items"].as_array().expect("a list");
        items.iter().map(|item| item["type"].to_string()).collect()
    };
    assert_eq!(kinds(&history), [r#""push""#, r#""repo.created""#]);

    server.kill_and_start_again();
    git.run(&format!("clone -q {url} bob"));
    assert!(std::fs::read(git.path("bob/large.bin")).expect("a file") == large);
    assert_eq!(git.read("bob/small.bin"), "small\n");
    git.run("-C bob lfs fsck");

    // Changed by one, fetched and pulled by the other.
    git.commit("ada", "small.bin", "other\n");
    git.run("-C ada push -q origin main");
    git.run("-C bob fetch -q origin");
    git.run("-C bob lfs fetch origin main");
    git.run("-C bob pull -q origin main");
    assert_eq!(git.read("bob/small.bin"), "other\n");
    git.run("-C bob lfs fsck");
    assert_eq!(files_kept(&server), 4);

    // A checkpoint has it too, and what git reads is whole.
    server.stop_well();
    git.fsck(&server.bare("hello").to_string_lossy());
    server.start_again();
    git.run(&format!("clone -q {url} carol"));
    git.run("-C carol lfs fsck");
    assert_eq!(git.read("carol/small.bin"), "other\n");
}

#[test]
fn only_a_repository_that_references_a_file_gives_it_out() {
    let server = TestServer::with_repo("secret");
    server.create("other");
    let git = git();
    begin(&git, "ada", &server.git_url("secret"));
    git.commit("ada", "file.bin", "very secret\n");
    git.run("-C ada push -q origin main");
    let oid = sha256(&git, b"very secret\n");
    let path = |id: &str| format!("/{id}.git/info/lfs/objects/{oid}");
    let http = server.http();
    assert_eq!(
        http.get(&path("secret")).expect(200).text(),
        "very secret\n"
    );
    // The server has it. That is nobody's business in another repository.
    http.get(&path("other")).expect(404);
    assert_eq!(
        batch(&server, "other", "download", &oid, 12)["error"]["code"],
        404
    );
    // Who names it there must bring it, and the very bytes.
    let upload = batch(&server, "other", "upload", &oid, 12);
    assert!(upload["actions"]["upload"]["href"].is_string(), "{upload}");
    let put = |body: &'static str| http.send(http.request("PUT", &path("other")).body(body));
    put("guessed").expect(422);
    http.get(&path("other")).expect(404);
    put("very secret\n").expect(200);
    http.get(&path("other")).expect(200);
    assert_eq!(files_kept(&server), 1);
    // Here it is known, and need not be brought again.
    let again = batch(&server, "secret", "upload", &oid, 12);
    assert_eq!(again.get("actions").or(again.get("error")), None, "{again}");

    // A fork has what its parent had.
    let fork = json!({"id": "fork"});
    server.api().post("/repos/secret/fork", &fork).expect(201);
    git.run(&format!("clone -q {} fork", server.git_url("fork")));
    assert_eq!(git.read("fork/file.bin"), "very secret\n");
    // And keeps it when the parent goes.
    server.api().delete("/repos/secret").expect(204);
    http.get(&path("secret")).expect(404);
    http.get(&path("fork")).expect(200);
    git.commit("ada", "late.bin", "late\n");
    let said = git.refused("-C ada push origin main");
    assert!(said.contains("not found"), "{said}");
    server
        .api()
        .post("/repos/secret/restore", &json!({}))
        .expect(200);
    http.get(&path("secret")).expect(200);
    git.run("-C ada push -q origin main");
    // What came later is not the fork's.
    let late = sha256(&git, b"late\n");
    assert_eq!(
        batch(&server, "fork", "download", &late, 5)["error"]["code"],
        404
    );
}

#[test]
fn two_people_lock_and_unlock() {
    let server = TestServer::with(Options {
        config: Some("auth:\n  token: s3cret\n".to_owned()),
        ..Options::default()
    });
    let http = server.http();
    let made = http.request("POST", "/api/v1/repos").bearer_auth("s3cret");
    http.send(made.json(&json!({"id": "hello"}))).expect(201);
    let url = |who: &str| {
        let address = server.git_url("hello");
        address.replace("http://", &format!("http://{who}:s3cret@"))
    };
    let git = git();
    begin(&git, "ada", &url("ada"));
    git.commit("ada", "art.bin", "one\n");
    git.run("-C ada push -q origin main");
    git.run(&format!("clone -q {} bob", url("bob")));
    assert_eq!(git.read("bob/art.bin"), "one\n");

    git.run("-C bob lfs lock art.bin");
    let locks = git.run("-C ada lfs locks");
    assert!(
        locks.contains("art.bin") && locks.contains("bob"),
        "{locks}"
    );
    let said = git.refused("-C ada lfs lock art.bin");
    assert!(said.contains("locked by bob"), "{said}");
    let said = git.refused("-C ada lfs unlock art.bin");
    assert!(said.contains("locked by bob"), "{said}");
    git.commit("ada", "art.bin", "two\n");
    let said = git.refused("-C ada push origin main");
    assert!(said.contains("locked files"), "{said}");
    // Bob may change it.
    git.commit("bob", "art.bin", "of bob\n");
    git.run("-C bob push -q origin main");
    git.run("-C bob lfs unlock art.bin");
    assert_eq!(git.run("-C ada lfs locks"), "");
    // By force too, for whoever administers.
    git.run("-C bob lfs lock art.bin");
    git.run("-C ada lfs unlock --force art.bin");
    git.run("-C ada lfs lock art.bin");
    assert!(git.run("-C bob lfs locks").contains("ada"));

    let history = http
        .request("GET", "/api/v1/repos/hello/history")
        .bearer_auth("s3cret");
    let history = http.send(history).expect(200).text();
    assert_eq!(history.matches("\"lfs.locked\"").count(), 3);
    assert_eq!(history.matches("\"lfs.unlocked\"").count(), 2);

    // A stranger is asked for a password, and told nothing.
    let path = "/hello.git/info/lfs/locks";
    let answer = http.get(path).expect(401);
    assert_eq!(
        answer.header("lfs-authenticate").map(|v| &v[..5]),
        Some("Basic")
    );
    assert!(answer.json()["message"].is_string());
    let wrong = http.request("GET", path).basic_auth("ada", Some("guess"));
    http.send(wrong).expect(401);
}

/// A download that broke off is gone on with, and ends as the same file.
#[test]
fn a_download_is_resumed() {
    let server = TestServer::with_repo("hello");
    let git = git();
    begin(&git, "ada", &server.git_url("hello"));
    let content = Dice(3).bytes(3_000_000);
    let oid = sha256(&git, &content);
    git.commit("ada", "file.bin", &content);
    git.run("-C ada push -q origin main");
    // What git-lfs leaves when it is cut off.
    let mut clone = git.command("git");
    clone.args(["clone", "-q", &server.git_url("hello"), "bob"]);
    clone.env("GIT_LFS_SKIP_SMUDGE", "1");
    assert!(clone.status().expect("git runs").success());
    git.write(
        &format!("bob/.git/lfs/incomplete/{oid}.part"),
        &content[..1_000_000],
    );
    let mut pull = git.command("git");
    pull.args(["-C", "bob", "lfs", "pull"])
        .env("GIT_TRACE", "1");
    let pulled = pull.output().expect("git runs");
    let said = String::from_utf8_lossy(&pulled.stderr);
    assert!(pulled.status.success(), "{said}");
    assert!(said.contains("resume"), "{said}");
    assert!(std::fs::read(git.path("bob/file.bin")).expect("a file") == content);

    let path = format!("/hello.git/info/lfs/objects/{oid}");
    let http = server.http();
    let range = |range: &str| http.send(http.request("GET", &path).header("range", range));
    let part = range("bytes=2999990-").expect(206);
    assert_eq!(part.body, &content[2_999_990..]);
    assert_eq!(
        part.header("content-range"),
        Some("bytes 2999990-2999999/3000000")
    );
    assert!(range("bytes=999999-2000000").expect(206).body == content[999_999..=2_000_000]);
    range("bytes=3000000-").expect(416);
    let head = http.send(http.request("HEAD", &path)).expect(200);
    assert_eq!(head.header("content-length"), Some("3000000"));
}

/// However far an upload is when the server dies, it is whole afterwards or not there.
#[test]
fn an_upload_is_whole_or_not_there_after_kill_9() {
    let mut server = TestServer::with_repo("hello");
    let git = git();
    let mut dice = Dice(4);
    for round in 0..6 {
        let content = dice.bytes(2_000_000);
        let oid = sha256(&git, &content);
        let address = server.url().replace("http://", "");
        let mut stream = TcpStream::connect(&address).expect("it connects");
        let head = format!(
            "PUT /hello.git/info/lfs/objects/{oid} HTTP/1.1\r\nHost: {address}\r\n\
             Content-Length: {}\r\n\r\n",
            content.len()
        );
        stream.write_all(head.as_bytes()).expect("it is sent");
        let sent = match round % 3 {
            // In the middle; when all was sent; when it has its name.
            0 => 1_500_000,
            _ => content.len(),
        };
        stream.write_all(&content[..sent]).expect("it is sent");
        let file = server.data().join(format!(".govc/lfs/{}/{oid}", &oid[..2]));
        if round % 3 == 2 {
            while !file.exists() {
                std::hint::spin_loop();
            }
        }
        server.kill();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answered = answer.starts_with(b"HTTP/1.1 200");
        server.start_again();
        let path = format!("/hello.git/info/lfs/objects/{oid}");
        let found = server.http().get(&path);
        match found.status {
            200 => assert!(found.body == content, "round {round}"),
            404 => assert!(!answered, "round {round}: it was answered"),
            other => panic!("round {round}: {other}"),
        }
        assert!(sent == content.len() || found.status == 404);
        // It is brought again, or need not be.
        let http = server.http();
        let put = http.request("PUT", &path).body(content.clone());
        http.send(put).expect(200);
        assert!(http.get(&path).expect(200).body == content);
    }
    assert_eq!(files_kept(&server), 6);
}

/// What nobody references goes at the next start; what a deleted repository references stays.
#[test]
fn contents_stay_for_as_long_as_somebody_references_them() {
    let mut server = TestServer::with_repo("hello");
    let git = git();
    begin(&git, "ada", &server.git_url("hello"));
    git.commit("ada", "file.bin", "kept\n");
    git.run("-C ada push -q origin main");
    let oid = sha256(&git, b"kept\n");
    server.api().delete("/repos/hello").expect(204);
    server.kill();
    let path_of = |oid: &str| server.data().join(format!(".govc/lfs/{}/{oid}", &oid[..2]));
    let orphan = path_of(&sha256(&git, b"orphan\n"));
    let arriving = server.data().join(".govc/lfs/arriving/0");
    std::fs::write(&orphan, "orphan\n").expect("a file");
    std::fs::write(&arriving, "half").expect("a file");
    let kept = path_of(&oid);
    server.start_again();
    assert!(!arriving.exists());
    let patience = 10_000;
    let looks = (0..patience).take_while(|_| {
        server.http().get("/health").expect(200);
        orphan.exists()
    });
    assert!(looks.count() < patience, "it stays");
    assert!(kept.exists());
    server
        .api()
        .post("/repos/hello/restore", &json!({}))
        .expect(200);
    let path = format!("/hello.git/info/lfs/objects/{oid}");
    assert_eq!(server.http().get(&path).expect(200).text(), "kept\n");
    // Lost all the same, it is told and can be brought again.
    std::fs::remove_file(&kept).expect("it is removed");
    server.http().get(&path).expect(410);
    let lost = batch(&server, "hello", "download", &oid, 5);
    assert_eq!(lost["error"]["code"], 410, "{lost}");
    let upload = batch(&server, "hello", "upload", &oid, 5);
    assert!(upload["actions"]["upload"].is_object(), "{upload}");
    git.run("-C ada lfs push --all origin");
    server.http().get(&path).expect(200);
}

#[test]
fn a_server_in_memory_keeps_large_files_in_memory() {
    let server = TestServer::with_storage("memory");
    server.create("hello");
    let git = git();
    let url = server.git_url("hello");
    begin(&git, "ada", &url);
    git.commit("ada", "file.bin", Dice(5).bytes(2_500_000));
    git.run("-C ada push -q origin main");
    git.run(&format!("clone -q {url} bob"));
    git.run("-C bob lfs fsck");
    let content = std::fs::read(git.path("bob/file.bin")).expect("a file");
    assert!(content == Dice(5).bytes(2_500_000));
    assert_eq!(files_kept(&server), 0);
}

/// What is over the budget is refused, and what was there stays.
#[test]
fn a_full_server_in_memory_says_so() {
    let server = TestServer::with(Options {
        config: Some("storage:\n  memory_budget: 96MiB\n".to_owned()),
        arguments: vec!["--storage".to_owned(), "memory".to_owned()],
    });
    server.create("hello");
    let git = git();
    begin(&git, "ada", &server.git_url("hello"));
    git.commit("ada", "small.bin", "small\n");
    git.run("-C ada push -q origin main");
    git.commit("ada", "large.bin", Dice(6).bytes(160 << 20));
    let said = git.refused("-C ada push origin main");
    assert!(said.contains("memory_budget"), "{said}");
    git.run(&format!("clone -q {} bob", server.git_url("hello")));
    assert_eq!(git.read("bob/small.bin"), "small\n");
}

/// Who came by SSH is told where to go on, and shown in.
#[test]
fn large_files_go_by_http_for_who_came_by_ssh() {
    let git = git();
    let line = make_key(git.folder(), "key", &["ed25519"]);
    let config = format!(
        "ssh:\n  listen: 127.0.0.1:0\nauth:\n  token: s3cret\n  ssh_keys:\n    - {}\n",
        line.trim()
    );
    let server = TestServer::with(Options {
        config: Some(config),
        ..Options::default()
    });
    let http = server.http();
    for id in ["hello", "other"] {
        let made = http.request("POST", "/api/v1/repos").bearer_auth("s3cret");
        http.send(made.json(&json!({ "id": id }))).expect(201);
    }
    let ssh = format!("ssh {}", options(git.folder(), "key").join(" "));
    let git = git.by_ssh(ssh.clone());
    let url = server.ssh_url("hello");
    begin(&git, "ada", &url);
    git.commit("ada", "file.bin", Dice(7).bytes(2_000_000));
    git.run("-C ada push -q origin main");
    git.run(&format!("clone -q {url} bob"));
    git.run("-C bob lfs fsck");
    assert!(std::fs::read(git.path("bob/file.bin")).expect("a file") == Dice(7).bytes(2_000_000));
    git.run("-C ada lfs lock file.bin");
    assert!(git.run("-C bob lfs locks").contains("file.bin"));
    git.run("-C ada lfs unlock file.bin");

    // A pass is good for what it was given for.
    let (host, port) = server.ssh_address();
    let mut command = git.command("sh");
    let line = format!("{ssh} -p {port} git@{host} git-lfs-authenticate hello.git download");
    let output = command.args(["-c", &line]).output().expect("it runs");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let pass = told["header"]["Authorization"].as_str().expect("a pass");
    assert_eq!(
        told["href"],
        format!("{}/info/lfs", server.git_url("hello"))
    );
    let batch = |id: &str, operation: &str, pass: &str| {
        let body = json!({"operation": operation, "objects": []});
        let path = format!("/{id}.git/info/lfs/objects/batch");
        let request = http.request("POST", &path).header("authorization", pass);
        let request = request.header("content-type", MEDIA_TYPE);
        http.send(request.body(body.to_string())).status
    };
    assert_eq!(batch("hello", "download", pass), 200);
    assert_eq!(batch("hello", "upload", pass), 403);
    assert_eq!(batch("other", "download", pass), 401);
    assert_eq!(batch("hello", "download", "RemoteAuth guess"), 401);
    let api = http
        .request("GET", "/api/v1/repos")
        .header("authorization", pass);
    http.send(api).expect(401);
    let info = "/hello.git/info/refs?service=git-upload-pack";
    let info = http.request("GET", info).header("authorization", pass);
    http.send(info).expect(401);
}

#[test]
fn large_files_of_a_reality_are_its_repositorys() {
    let mut server = TestServer::with_repo("hello");
    let git = git();
    let url = server.git_url("hello");
    begin(&git, "ada", &url);
    git.commit("ada", "first.bin", "first\n");
    git.run("-C ada push -q origin main");
    let order = json!({"branches": ["x", "y"]});
    let realities = "/repos/hello/parallel-realities";
    server.api().post(realities, &order).expect(201);

    let of_reality = server.git_url("hello/realities/x");
    git.run(&format!("clone -q {of_reality} x"));
    assert_eq!(git.read("x/first.bin"), "first\n");
    let large = Dice(7).bytes(3 << 20);
    git.commit("x", "large.bin", &large);
    git.run("-C x push -q origin main");
    server.kill_and_start_again();
    git.run(&format!("clone -q {of_reality} again"));
    assert!(std::fs::read(git.path("again/large.bin")).expect("a file") == large);
    git.run("-C again lfs fsck");

    // What is promoted has all that it names.
    let promote = format!("{realities}/x/promote");
    let promoted = json!({"discard_siblings": true});
    server.api().post(&promote, &promoted).expect(200);
    git.run(&format!("clone -q {url} bob"));
    assert!(std::fs::read(git.path("bob/large.bin")).expect("a file") == large);
    git.run("-C bob lfs fsck");
    let body = json!({"operation": "download", "objects": []});
    let gone = ask(&server, "hello/realities/y", "objects/batch", &body);
    assert_eq!(gone.status, 404);
}
