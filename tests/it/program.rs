//! The program itself: how it starts, complains and ends.

use std::process::Command;

use govc_tests::{Options, TestServer, ends_before_it_listens, program};

#[test]
fn it_says_where_it_listens_and_ends_well_when_told_to() {
    let mut server = TestServer::start();
    assert!(server.url().starts_with("http://127."));
    server.http().get("/health").expect(200);
    server.http().get("/health/live").expect(200);
    server.http().get("/health/ready").expect(200);
    assert!(server.http().get("/version").expect(200).json().is_object());
    server.stop_well();
}

/// From its first line on, a stop is a graceful one.
#[test]
fn told_to_stop_as_soon_as_it_listens_it_ends_well() {
    let mut server = TestServer::start();
    for _ in 0..20 {
        server.stop_well();
        server.start_again();
    }
}

#[test]
fn a_browser_is_told_what_runs_here() {
    let server = TestServer::start();
    let request = server
        .http()
        .request("GET", "/")
        .header("accept", "text/html");
    let page = server.http().send(request).expect(200);
    assert!(
        page.header("content-type")
            .is_some_and(|t| t.starts_with("text/html"))
    );
    assert!(page.text().contains("govc"));
}

#[test]
fn a_bad_configuration_ends_it_with_2_and_the_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("govc.yaml");
    std::fs::write(&config, "server:\n  prot: 8080\n").expect("a configuration");
    let mut command = Command::new(program());
    command.arg("serve").arg("--config").arg(&config);
    let ran = ends_before_it_listens(&mut command);
    assert_eq!(ran.status.code(), Some(2));
    let said = ran.stderr;
    assert!(said.contains("prot") && said.contains("port"), "{said}");
    assert!(said.contains(":2:"), "no line and column in {said}");
}

#[test]
fn beyond_loopback_it_wants_a_token_or_to_be_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(program());
    command
        .args(["serve", "--listen", "0.0.0.0:0"])
        .current_dir(folder.path());
    let ran = ends_before_it_listens(&mut command);
    assert_eq!(ran.status.code(), Some(2));
    let said = ran.stderr;
    assert!(said.contains("--insecure-no-auth"), "{said}");
}

#[test]
fn one_data_folder_has_one_server() {
    let server = TestServer::start();
    let mut command = Command::new(program());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data());
    let ran = ends_before_it_listens(&mut command);
    assert!(!ran.status.success(), "{ran}");
}

#[test]
fn with_a_token_nobody_else_gets_in() {
    let server = TestServer::with(Options {
        config: Some("auth:\n  token: let-me-in-please-1234567890\n".to_owned()),
        ..Options::default()
    });
    let answer = server.api().get("/repos").expect(401);
    assert!(answer.header("www-authenticate").is_some());
    let request = server
        .api()
        .request("POST", "/repos")
        .bearer_auth("let-me-in-please-1234567890")
        .json(&serde_json::json!({"id": "hello"}));
    server.api().send(request).expect(201);
    server.http().get("/health").expect(200);

    let git = govc_tests::Git::new();
    let said = git.refused(&format!("ls-remote {}", server.git_url("hello")));
    assert!(
        said.contains("Authentication failed") || said.contains("could not read"),
        "{said}"
    );
    let url = server
        .git_url("hello")
        .replace("http://", "http://x:let-me-in-please-1234567890@");
    assert_eq!(git.run(&format!("ls-remote {url}")), "");
}
