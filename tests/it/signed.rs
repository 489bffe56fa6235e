//! Signed pushes: what hooks here are told of a certificate is what they are told under git's own
//! server.

use std::path::Path;
use std::process::Command;
use std::sync::Once;

use govc_tests::{Git, Options, TestServer, packet};

use crate::programs::program;
use crate::ssh::{make_key, options};

/// Keeps what it is told, and the certificate, in a folder beside the others' and by its own name.
fn hook(out: &Path, name: &str) -> String {
    let out = out.join(name);
    let out = out.display();
    format!(
        "cat >/dev/null\nenv | grep ^GIT_PUSH_CERT | sort >{out}.told\n\
         git cat-file blob $GIT_PUSH_CERT >{out}.cert\n"
    )
}

/// GnuPG is there.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if Command::new("gpg").arg("--version").output().is_err() {
            let install = "apt-get update -qq && apt-get install -y -qq gnupg";
            let status = Command::new("sh").args(["-c", install]).status();
            assert!(status.is_ok_and(|status| status.success()), "no gnupg");
        }
    });
}

/// A server that takes signed pushes, git's own beside it, and somebody with keys.
struct Story {
    server: TestServer,
    git: Git,
}

const HOOKS: [&str; 2] = ["pre-receive", "post-receive"];

impl Story {
    fn new(storage: &str) -> Story {
        install();
        let git = Git::new();
        let (home, folder) = (git.path("gnupg"), git.folder().to_owned());
        std::fs::create_dir(&home).expect("a folder");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&home, private).expect("it is ours");
        let made = git
            .command("gpg")
            .env("GNUPGHOME", &home)
            .args(["--batch", "--quiet", "--passphrase", "", "--quick-gen-key"])
            .args(["Bob <bob@example.com>", "ed25519", "sign", "never"])
            .output()
            .expect("gpg runs");
        assert!(made.status.success(), "{made:?}");
        let key = make_key(&folder, "ada", &["ed25519"]);
        git.write("signers", format!("\"bob with a name\" {key}"));
        let path = |name: &str| git.path(name).display().to_string();
        let config = format!(
            "ssh:\n  listen: 127.0.0.1:0\nauth:\n  ssh_keys:\n    - {}\nhooks:\n  path: {}\n\
             receive:\n  cert_nonce_seed: sekrit\n  cert_nonce_slop: 1h\n  allowed_signers: {}\n  \
             gnupg_home: {}\n",
            key.trim(),
            path("hooks"),
            path("signers"),
            path("gnupg"),
        );
        let server = TestServer::with(Options {
            config: Some(config),
            arguments: vec!["--storage".to_owned(), storage.to_owned()],
        });
        server.create("hello");
        git.run("init -q --bare theirs.git");
        for (name, value) in [
            ("receive.certNonceSeed", "sekrit".to_owned()),
            ("receive.certNonceSlop", "3600".to_owned()),
            ("receive.advertisePushOptions", "true".to_owned()),
            ("gpg.ssh.allowedSignersFile", path("signers")),
        ] {
            git.run(&format!("-C theirs.git config {name} {value}"));
        }
        for out in ["ours", "theirs"] {
            std::fs::create_dir(git.path(out)).expect("a folder");
        }
        for name in HOOKS {
            program(&git.path("hooks"), name, &hook(&git.path("ours"), name));
            let theirs = git.path("theirs.git/hooks");
            program(&theirs, name, &hook(&git.path("theirs"), name));
        }
        git.run("init -q tree");
        let ssh = format!("ssh {}", options(&folder, "ada").join(" "));
        let git = git.by_ssh(ssh);
        Story { server, git }
    }

    /// Pushes with a signature, by git with GnuPG's folder.
    fn push(&self, line: &str) {
        let ran = self
            .git
            .command("git")
            .env("GNUPGHOME", self.git.path("gnupg"))
            .args(["-C", "tree", "push", "--signed"])
            .args(line.split(' '))
            .output()
            .expect("git runs");
        assert!(ran.status.success(), "{line}: {ran:?}");
    }

    /// What hooks of `side` were told, without what differs with each push: it is looked at here.
    fn told(&self, side: &str) -> Vec<String> {
        let mut all = Vec::new();
        for name in HOOKS {
            let text = self.git.read(&format!("{side}/{name}.told"));
            let cert = self.git.path(&format!("{side}/{name}.cert"));
            let id = self.git.run(&format!("hash-object {}", cert.display()));
            let cert =
                String::from_utf8_lossy(&std::fs::read(&cert).expect("it was kept")).into_owned();
            let nonce = cert.lines().find_map(|line| line.strip_prefix("nonce "));
            for line in text.lines() {
                let (key, value) = line.split_once('=').expect("a variable");
                let is_ok = text.contains("NONCE_STATUS=OK");
                match key {
                    "GIT_PUSH_CERT" => assert_eq!(value, id),
                    "GIT_PUSH_CERT_NONCE" if is_ok => assert_eq!(Some(value), nonce),
                    "GIT_PUSH_CERT_NONCE" => {}
                    _ => all.push(format!("{name} {line}")),
                }
            }
            for suffix in ["told", "cert"] {
                let path = self.git.path(&format!("{side}/{name}.{suffix}"));
                std::fs::remove_file(path).expect("it is there");
            }
        }
        all
    }

    /// The certificate `text` for a push that deletes `name`, as bytes on the wire.
    fn deletes(&self, name: &str, head: &str, signature: &str) -> Vec<u8> {
        let old = self.git.run("-C tree rev-parse HEAD");
        let mut out = packet(b"push-cert\0 report-status side-band-64k object-format=sha1");
        let text = format!(
            "{head}\n{old} {} refs/heads/{name}\n{signature}",
            "0".repeat(40)
        );
        for line in text.split_inclusive('\n') {
            out.extend(packet(line.as_bytes()));
        }
        out.extend(packet(b"push-cert-end\n"));
        out.extend_from_slice(b"0000");
        out
    }

    /// Sends bytes to both servers; what ours said.
    fn replay(&self, body: Vec<u8>) -> String {
        let line = "receive-pack --stateless-rpc theirs.git";
        let mut theirs = self.git.command("git");
        theirs
            .env("GNUPGHOME", self.git.path("gnupg"))
            .args(line.split(' '))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = theirs.spawn().expect("git runs");
        let mut stdin = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut stdin, &body).expect("it reads");
        drop(stdin);
        child.wait().expect("it ends");
        let http = self.server.http();
        let request = http
            .request("POST", "/hello.git/git-receive-pack")
            .header("content-type", "application/x-git-receive-pack-request")
            .body(body);
        http.send(request).text()
    }
}

#[test]
fn hooks_know_who_signed_a_push() {
    for storage in ["hybrid", "memory"] {
        let story = Story::new(storage);
        let git = &story.git;
        let (url, by_ssh) = (story.server.git_url("hello"), story.server.ssh_url("hello"));
        let theirs = git.path("theirs.git").display().to_string();
        git.commit("tree", "a", "a\n");
        story.push(&format!("-o one -o two {url} main main:gone main:going"));
        story.push(&format!("-o one -o two {theirs} main main:gone main:going"));
        let told = story.told("ours");
        assert_eq!(told, story.told("theirs"));
        for line in [
            "SIGNER=Bob <bob@example.com>",
            "STATUS=G",
            "NONCE_STATUS=OK",
        ] {
            let line = format!("post-receive GIT_PUSH_CERT_{line}");
            assert!(told.contains(&line), "{told:?}");
        }

        git.run("-C tree config gpg.format ssh");
        let key = git.path("ada.pub").display().to_string();
        git.run(&format!("-C tree config user.signingKey {key}"));
        git.commit("tree", "b", "b\n");
        story.push(&format!("{by_ssh} main"));
        story.push(&format!("{theirs} main"));
        let told = story.told("ours");
        assert_eq!(told, story.told("theirs"));
        let line = "pre-receive GIT_PUSH_CERT_SIGNER=bob with a name".to_owned();
        assert!(told.contains(&line), "{told:?}");
    }
}

#[test]
fn certificates_that_are_not_what_they_say_are_told_apart() {
    let story = Story::new("hybrid");
    let git = &story.git;
    git.commit("tree", "a", "a\n");
    let theirs = git.path("theirs.git").display().to_string();
    for url in [&story.server.git_url("hello"), &theirs] {
        story.push(&format!("{url} main main:x1 main:x2 main:x3"));
    }
    assert_eq!(story.told("ours"), story.told("theirs"));
    let head = "certificate version 0.1\npusher Bob <bob@example.com> 1 +0000\n";
    let pgp = "-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n";
    let ssh = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n";
    for (name, nonce, signature, status) in [
        ("x1", "", pgp, "MISSING"),
        ("x2", "nonce rubbish\n", pgp, "BAD"),
        ("x3", "nonce 1700000000-00\n", ssh, "BAD"),
    ] {
        let body = story.deletes(name, &format!("{head}{nonce}"), signature);
        let said = story.replay(body);
        assert!(said.contains(&format!("ok refs/heads/{name}")), "{said}");
        let told = story.told("ours");
        assert_eq!(told, story.told("theirs"), "{name}");
        let status = format!("pre-receive GIT_PUSH_CERT_NONCE_STATUS={status}");
        assert!(told.contains(&status), "{told:?}");
    }
    for (head, signature, why) in [
        (
            head.to_owned(),
            "",
            "malformed push certificate: it is not signed",
        ),
        (
            "\0".to_owned(),
            pgp,
            "malformed push certificate: it holds a NUL",
        ),
        (
            format!("{head}push-option other\n"),
            pgp,
            "ng refs/heads/main inconsistent push options",
        ),
    ] {
        let said = story.replay(story.deletes("main", &head, signature));
        assert!(said.contains(why), "{said}");
    }
    git.run(&format!(
        "ls-remote --exit-code {} main",
        story.server.git_url("hello")
    ));
}

#[test]
fn where_nothing_is_set_nothing_is_signed() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run("init -q tree");
    git.commit("tree", "a", "a\n");
    let refused = git.refused(&format!(
        "-C tree push --signed {} main",
        server.git_url("hello")
    ));
    assert!(
        refused.contains("does not support --signed push"),
        "{refused}"
    );
}
