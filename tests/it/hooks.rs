//! Webhooks, with a receiver that listens: what they are told, what they may refuse, and where the
//! server does not call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use govc_tests::{Git, Http, Options, TestServer};
use serde_json::{Value, json};

/// Something that has not come after so long does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tests do not wait for retries.
const CONFIG: &str = "hooks:\n  allow_networks: [127.0.0.1]\n  first_retry: 10ms\n  \
                      last_retry: 50ms\n  attempts: 1000\n";

/// What arrived: headers with names in lower case, and the body.
#[derive(Debug)]
struct Arrived {
    headers: Vec<(String, String)>,
    body: String,
}

impl Arrived {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Somebody who listens on a port of loopback, and answers as the test says.
struct Listening {
    port: u16,
    arrived: Receiver<Arrived>,
    /// One for each request; without any more it is 200 and nothing.
    answers: Sender<String>,
}

impl Listening {
    fn start() -> Listening {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (tell, arrived) = channel();
        let (answers, to_say) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                if serve(stream, &tell, &to_say).is_none() {
                    return;
                }
            }
        });
        Listening {
            port,
            arrived,
            answers,
        }
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/here?to=you", self.port)
    }

    fn answer(&self, status: &str, body: &str) {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        self.answers.send(text).expect("it listens");
    }

    /// A request that is never answered.
    fn say_nothing(&self) {
        self.answers.send(String::new()).expect("it listens");
    }

    fn next(&self) -> Arrived {
        self.arrived.recv_timeout(PATIENCE).expect("a request")
    }

    fn is_quiet(&self) -> bool {
        let next = self.arrived.try_recv();
        next.is_err()
    }
}

fn serve(stream: TcpStream, tell: &Sender<Arrived>, to_say: &Receiver<String>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    if line.is_empty() {
        return Some(());
    }
    assert!(line.starts_with("POST /here?to=you HTTP/1.1"), "{line:?}");
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let nothing = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned();
    let answer = to_say.try_recv().unwrap_or(nothing);
    if answer.is_empty() {
        // Whoever is waiting stays connected, on a thread that reads for ever.
        std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
    } else {
        // A server that was killed does not hear this.
        let _ = (&stream).write_all(answer.as_bytes());
    }
    tell.send(Arrived { headers, body }).ok()
}

fn server_with(config: &str) -> TestServer {
    let server = TestServer::with(Options {
        config: Some(config.to_owned()),
        ..Options::default()
    });
    server.create("hello");
    server
}

fn commit(api: &Http, number: u32) -> u64 {
    let body = json!({
        "branch": "main",
        "message": format!("change {number}"),
        "actions": [{ "op": "put", "path": "a", "content": number.to_string() }],
    });
    let answer = api.post("/repos/hello/commits", &body).expect(201);
    let seq = answer.headers.iter().find(|(name, _)| name == "govc-seq");
    seq.and_then(|(_, value)| value.parse().ok())
        .expect("a number")
}

fn hook(api: &Http, url: &str, events: &[&str], kind: &str) -> String {
    let body = json!({ "url": url, "events": events, "kind": kind, "secret": "s3cret" });
    let made = api.post("/repos/hello/hooks", &body).expect(201);
    assert!(!made.text().contains("s3cret"), "{}", made.text());
    made.json()["id"].as_str().expect("an id").to_owned()
}

/// HMAC-SHA256 as openssl has it, in hex.
fn hmac(key: &str, message: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(message.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends").stdout;
    let text = String::from_utf8(output).expect("text");
    let digits = text.trim().rsplit(' ').next().expect("digits");
    digits.to_owned()
}

#[test]
fn changes_are_told_signed_and_looked_up() {
    let receiver = Listening::start();
    let mut server = server_with(CONFIG);
    let api = server.api();
    let id = hook(
        &api,
        &receiver.url("127.0.0.1"),
        &["commit", "push"],
        "notify",
    );
    let seq = commit(&api, 1);
    let told = receiver.next();
    assert_eq!(told.header("webhook-id"), format!("msg_{id}_{seq}"));
    assert_eq!(told.header("x-govc-event"), "commit");
    assert_eq!(told.header("content-type"), "application/json");
    let hub = format!("sha256={}", hmac("s3cret", &told.body));
    assert_eq!(told.header("x-hub-signature-256"), hub);
    let stamp = told.header("webhook-timestamp");
    let signed = format!("{}.{stamp}.{}", told.header("webhook-id"), told.body);
    let digest = hmac("s3cret", &signed);
    let mut base64 = Command::new("sh")
        .args(["-c", &format!("echo {digest} | xxd -r -p | base64")])
        .output()
        .ok()
        .filter(|output| output.status.success() && !output.stdout.is_empty());
    if let Some(output) = base64.take() {
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(
            told.header("webhook-signature"),
            format!("v1,{}", text.trim())
        );
    }
    // The body is the event, as streams and history have it.
    let history = api.get("/repos/hello/history").expect(200).json();
    let mut event = told.json();
    assert_eq!(event["repo"], "hello");
    event.as_object_mut().expect("an object").remove("repo");
    assert_eq!(event, history["items"][0]);

    let git = Git::new();
    git.run(&format!("clone -q {} tree", server.git_url("hello")));
    git.write("tree/b", "b\n");
    git.run("-C tree add b");
    git.run("-C tree commit -q -m second");
    git.run("-C tree push -q origin main");
    let pushed = receiver.next();
    assert_eq!(pushed.json()["type"], "push");
    assert_eq!(pushed.json()["ref_updates"][0]["ref"], "refs/heads/main");

    let pinged = api
        .post(&format!("/repos/hello/hooks/{id}/ping"), &json!({}))
        .expect(200)
        .json();
    assert_eq!(pinged["state"], "delivered");
    assert_eq!(receiver.next().json()["type"], "ping");
    let deliveries = format!("/repos/hello/hooks/{id}/deliveries");
    let listed = api.get(&deliveries).expect(200).json();
    let types: Vec<&str> = listed["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|item| item["type"].as_str())
        .collect();
    assert_eq!(types, ["ping", "push", "commit"]);
    let first = listed["items"][2]["id"].as_str().expect("an id");
    let again = format!("{deliveries}/{first}/redeliver");
    let again = api.post(&again, &json!({})).expect(200).json();
    assert_eq!(again["webhook_id"], format!("msg_{id}_{seq}"));
    let redelivered = receiver.next();
    assert_eq!(redelivered.body, told.body);
    assert_eq!(redelivered.header("webhook-id"), told.header("webhook-id"));

    // After a stop nothing is told twice, and nobody finds the secret.
    server.stop_well();
    server.start_again();
    let last = commit(&api, 2);
    assert_eq!(receiver.next().json()["seq"], last);
    assert!(!server.log().contains("s3cret"));
    let history = api.get("/repos/hello/history").expect(200);
    assert!(!history.text().contains("s3cret"));
    api.delete(&format!("/repos/hello/hooks/{id}")).expect(204);
    api.get(&deliveries).expect(404);
    commit(&api, 3);
    assert!(receiver.is_quiet());
}

#[test]
fn a_killed_server_and_a_failing_receiver_lose_nothing() {
    let (receiver, other) = (Listening::start(), Listening::start());
    let mut server = server_with(CONFIG);
    let api = server.api();
    // It never answers the first time; the other one hears all the same.
    receiver.say_nothing();
    let id = hook(&api, &receiver.url("127.0.0.1"), &["commit"], "notify");
    hook(&api, &other.url("127.0.0.1"), &["*"], "notify");
    let first = commit(&api, 1);
    assert_eq!(receiver.next().json()["seq"], first);
    assert_eq!(other.next().json()["seq"], first);
    let second = commit(&api, 2);
    assert_eq!(other.next().json()["seq"], second);

    server.kill();
    receiver.answer("500 Oops", "");
    receiver.answer("503 Oops", "");
    server.start_again();
    for _ in 0..3 {
        let told = receiver.next();
        assert_eq!(told.header("webhook-id"), format!("msg_{id}_{first}"));
    }
    assert_eq!(receiver.next().json()["seq"], second);
    // In order, and what was told before may come again.
    let third = commit(&api, 3);
    assert_eq!(receiver.next().json()["seq"], third);
    loop {
        let seq = other.next().json()["seq"].as_u64().expect("a number");
        assert!(seq == first || seq == second || seq == third);
        if seq == third {
            break;
        }
    }
    let deliveries = format!("/repos/hello/hooks/{id}/deliveries");
    let listed = api.get(&deliveries).expect(200).json();
    let tried: Vec<_> = listed["items"].as_array().expect("a list").iter().collect();
    let retried = tried.iter().find(|item| item["seq"] == first);
    assert_eq!(retried.expect("it is listed")["attempts"], 3, "{listed}");
}

#[test]
fn nobody_is_called_inside() {
    let receiver = Listening::start();
    let server = server_with("hooks:\n  attempts: 1\n");
    let api = server.api();
    let port = receiver.port;
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "１２７.0.0.1",
    ] {
        let url = format!("http://{host}:{port}/here?to=you");
        let body = json!({ "url": url, "events": ["*"] });
        let refused = api.post("/repos/hello/hooks", &body).expect(422).json();
        assert_eq!(refused["code"], "HOOK_ADDRESS_REFUSED", "{host}");
    }
    for url in [
        "ftp://example.org/",
        "http://",
        "x",
        "http://a:b@example.org/",
    ] {
        let body = json!({ "url": url, "events": ["*"] });
        api.post("/repos/hello/hooks", &body).expect(400);
    }
    // A name is found out when it is called.
    for host in ["localhost", "localhost."] {
        let id = hook(&api, &receiver.url(host), &["commit"], "notify");
        let ping = format!("/repos/hello/hooks/{id}/ping");
        let pinged = api.post(&ping, &json!({})).expect(200).json();
        assert_eq!(pinged["state"], "failed");
        let why = pinged["error"].as_str().expect("a reason");
        assert!(
            why.contains("is not a public address") || why.contains("resolve"),
            "{why}"
        );
    }
    assert!(receiver.is_quiet());
}

#[test]
fn redirects_are_not_followed() {
    let (receiver, inside) = (Listening::start(), Listening::start());
    let server = server_with(CONFIG);
    let api = server.api();
    let id = hook(&api, &receiver.url("127.0.0.1"), &["commit"], "notify");
    let location = format!("302 Found\r\nLocation: {}", inside.url("127.0.0.1"));
    receiver.answer(&location, "");
    let ping = format!("/repos/hello/hooks/{id}/ping");
    let pinged = api.post(&ping, &json!({})).expect(200).json();
    assert_eq!(pinged["status"], 302);
    assert_eq!(pinged["state"], "failed");
    assert!(inside.is_quiet());
}

#[test]
fn a_policy_hook_refuses_pushes_and_commits() {
    let receiver = Listening::start();
    let server = server_with(CONFIG);
    let api = server.api();
    let asked = ["pre-push", "pre-commit"];
    let id = hook(&api, &receiver.url("127.0.0.1"), &asked, "policy");
    let seq = commit(&api, 1);
    let question = receiver.next().json();
    assert_eq!(question["type"], "commit");
    assert_eq!(question["seq"], seq);
    // Asked about is what then is there.
    let head = api.get("/repos/hello/branches/main").expect(200).json();
    assert_eq!(question["ref_updates"][0]["new"], head["oid"], "{head}");

    receiver.answer("403 Forbidden", r#"{"message":"no commits\non Fridays"}"#);
    let body = json!({
        "branch": "main",
        "message": "x",
        "actions": [{ "op": "put", "path": "b", "content": "b" }],
    });
    let refused = api.post("/repos/hello/commits", &body).expect(422).json();
    assert_eq!(refused["code"], "HOOK_REFUSED");
    assert_eq!(refused["detail"], "no commits\non Fridays");
    receiver.next();

    // Nor do they get in beside those of another repository, which stay out then too.
    server.create("other");
    let mut elsewhere = body.clone();
    elsewhere["repo"] = "other".into();
    let mut here = body.clone();
    here["repo"] = "hello".into();
    let both = json!({ "operations": [elsewhere, here] });
    receiver.answer("403 Forbidden", r#"{"message":"not on Fridays"}"#);
    let refused = api.post("/transactions", &both).expect(422).json();
    assert_eq!(refused["code"], "HOOK_REFUSED");
    assert_eq!(receiver.next().json()["type"], "transaction");
    assert_eq!(api.get("/repos/other").json()["head"], Value::Null);
    api.post("/transactions", &both).expect(200);
    let question = receiver.next().json();
    let head = api.get("/repos/hello/branches/main").expect(200).json();
    assert_eq!(question["ref_updates"][0]["new"], head["oid"], "{head}");
    assert!(api.get("/repos/other").json()["head"].is_string());

    // A transaction hears of it before it is committed.
    let begun = api.post("/repos/hello/transaction", &json!({})).expect(201);
    let tx = begun.json()["id"].as_str().expect("an id").to_owned();
    let tx = format!("/repos/hello/transaction/{tx}");
    let file = json!({ "path": "c", "content": "c" });
    api.post(&format!("{tx}/add"), &file).expect(200);
    receiver.answer("403 Forbidden", r#"{"message":"not on Fridays"}"#);
    let valid = api.post(&format!("{tx}/validate"), &json!({})).expect(200);
    assert_eq!(valid.json()["valid"], false);
    assert_eq!(valid.json()["problems"], json!(["not on Fridays"]));
    receiver.next();
    let valid = api.post(&format!("{tx}/validate"), &json!({})).expect(200);
    assert_eq!(valid.json()["valid"], true, "{valid:?}");
    receiver.next();
    api.post(&format!("{tx}/rollback"), &json!({})).expect(200);

    let git = Git::new();
    git.run(&format!("clone -q {} tree", server.git_url("hello")));
    git.write("tree/b", "b\n");
    git.run("-C tree add b");
    git.run("-C tree commit -q -m second");
    receiver.answer(
        "200 OK",
        r#"{"allow":false,"message":"no pushes\non Fridays"}"#,
    );
    let pushed = git.attempt("-C tree push origin main");
    assert!(
        pushed.stderr.contains("remote: error: no pushes"),
        "{}",
        pushed.stderr
    );
    assert!(
        pushed.stderr.contains("remote: error: on Fridays"),
        "{}",
        pushed.stderr
    );
    assert!(
        pushed
            .stderr
            .contains("[remote rejected] main -> main (no pushes)")
    );
    let question = receiver.next().json();
    let wanted = git.run("-C tree rev-parse HEAD");
    assert_eq!(question["ref_updates"][0]["new"], wanted.trim());
    assert_eq!(
        api.get("/repos/hello/branches/main").json()["oid"],
        head["oid"]
    );
    // Nobody is asked about what moves no branch; and the next time it may pass.
    git.run("-C tree push -q origin main");
    assert_eq!(receiver.next().json()["type"], "push");

    // Who cannot be asked refuses.
    let nobody = json!({ "url": "http://127.0.0.1:9/here?to=you" });
    let patched = format!("/repos/hello/hooks/{id}");
    api.patch(&patched, &nobody).expect(200);
    let refused = api.post("/repos/hello/commits", &body).expect(503).json();
    assert_eq!(refused["code"], "HOOK_UNREACHABLE");
    api.patch(&patched, &json!({ "active": false })).expect(200);
    api.post("/repos/hello/commits", &body).expect(201);
    assert!(receiver.is_quiet());
}
