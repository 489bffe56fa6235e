//! Archives: what `git archive` makes.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use govc_engine::work::View;
use govc_engine::work::archive::{Archive, ArchiveFormat};

use crate::git_repo::GitRepo;
use crate::stories::story;

fn archive(view: &View, repo: &GitRepo, rev: &str, format: ArchiveFormat) -> Vec<u8> {
    let commit = repo.id(&format!("{rev}^{{commit}}"));
    let mut archive = Archive::new(&view.pool, &view.refs, commit, format).unwrap();
    let mut out = Vec::new();
    while let Some(piece) = archive.piece(&view.pool).unwrap() {
        out.extend_from_slice(&piece);
    }
    out
}

/// Files of all kinds, long names, attributes.
fn of_all_kinds() -> Vec<u8> {
    let long = "folder-with-a-name/".repeat(9);
    let files = [
        ("100644", "plain".to_owned(), "text\n".to_owned()),
        ("100755", "bin/run".to_owned(), "#!/bin/sh\n".to_owned()),
        ("120000", "link".to_owned(), "bin/run".to_owned()),
        ("120000", "long link".to_owned(), "x/".repeat(80)),
        ("100644", format!("{long}f"), "deep\n".to_owned()),
        ("100644", format!("{long}{}", "n".repeat(120)), String::new()),
        ("100644", "n".repeat(101), "x".repeat(512)),
        ("100644", "é".to_owned(), "x".repeat(513)),
        ("100644", "secret/a/b".to_owned(), "s".to_owned()),
        ("100644", "only/ignored.tmp".to_owned(), "s".to_owned()),
        ("100644", "kept/x.tmp".to_owned(), "s".to_owned()),
        ("100644", "kept/.gitattributes".to_owned(), "x.tmp -export-ignore\n".to_owned()),
        (
            "100644",
            "version.txt".to_owned(),
            "$Format:%H %T %P|%an <%ae> %at %ai %aI %aD %ad %as|%cn %ct %ci %cs|%s|%b%n%%%x41%q$ $Id$\n$Format:%d|%D|%f|%e|%m|%G?|%Cred|%aN <%cE>$\n$Format:%s".to_owned(),
        ),
        (
            "100644",
            ".gitattributes".to_owned(),
            "# no\n*.tmp export-ignore\nsecret export-ignore\nversion.txt export-subst\n\"pl\\141in\" -export-ignore text\n\
             /secret2/ export-ignore\nbin/* !export-ignore\n"
                .to_owned(),
        ),
        ("100644", "secret2/x".to_owned(), "s".to_owned()),
        ("100644", "eol/.gitattributes".to_owned(), "* text eol=crlf ident\n*.bin binary\n*.auto text=auto\n*.lf eol=lf\n*.no -text\n".to_owned()),
        ("100644", "eol/a.bat".to_owned(), "one\ntwo\r\nthree\r\n\nend".to_owned()),
        ("100644", "eol/b.bin".to_owned(), "one\n".to_owned()),
        ("100644", "eol/c.auto".to_owned(), "one\ntwo\n".to_owned()),
        ("100644", "eol/d.auto".to_owned(), "one\ntwo\r\n".to_owned()),
        ("100644", "eol/e.auto".to_owned(), "one\0\n".to_owned()),
        ("100644", "eol/f.lf".to_owned(), "one\n".to_owned()),
        ("100644", "eol/g.no".to_owned(), "$Id$ $Id: $ $Id:x$ $Id: a b $ $Id: ab $ $Id:\n$ $Idx$ $Id\n".to_owned()),
    ];
    let mut out = "commit refs/heads/main\nauthor A U <a@b> 1700000001 +0530\ncommitter C O <c@d> 1700000002 -0100\n\
        data 24\nsubject\nline\n\nthe body\n\n"
        .as_bytes()
        .to_vec();
    for (mode, path, content) in files {
        let head = format!(
            "M {mode} inline \"{path}\"\ndata {}\n{content}\n",
            content.len()
        );
        out.extend_from_slice(head.as_bytes());
    }
    out.extend_from_slice(b"M 160000 1111111111111111111111111111111111111111 sub/module\n\n");
    for (name, tag) in [
        ("heads/other", ""),
        ("tags/v1", ""),
        ("notes/x", ""),
        ("tags/v2", "two"),
    ] {
        if tag.is_empty() {
            out.extend_from_slice(
                format!("reset refs/{name}\nfrom refs/heads/main\n\n").as_bytes(),
            );
        } else {
            let text = format!(
                "tag v2\nfrom refs/heads/main\ntagger A U <a@b> 1700000001 +0530\ndata 3\n{tag}\n"
            );
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

#[test]
fn tars_are_gits_byte_by_byte() {
    let stories = [
        of_all_kinds(),
        story(3, 30).into_bytes(),
        story(8, 30).into_bytes(),
    ];
    for (number, stream) in stories.iter().enumerate() {
        let repo = GitRepo::imported(stream);
        let view = repo.view();
        for rev in ["main", "main~4"] {
            if repo.ask(&["rev-parse", "-q", "--verify", rev]).is_none() {
                continue;
            }
            let theirs = repo.run(&["archive", "--format=tar", rev], b"").stdout;
            let ours = archive(&view, &repo, rev, ArchiveFormat::Tar);
            let differ = ours.iter().zip(&theirs).position(|(a, b)| a != b);
            let near = |bytes: &[u8]| {
                let at = differ.unwrap_or(0) / 512 * 512;
                String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 1024)]).into_owned()
            };
            assert_eq!(
                near(&ours),
                near(&theirs),
                "story {number}, {rev}, at {differ:?}"
            );
            assert_eq!(ours.len(), theirs.len(), "story {number}, {rev}");
            let packed = archive(&view, &repo, rev, ArchiveFormat::TarGz);
            let mut plain = Vec::new();
            let mut gunzip = Command::new("gzip")
                .arg("-dc")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = gunzip.stdin.take().unwrap();
            let writer = std::thread::spawn(move || stdin.write_all(&packed).unwrap());
            gunzip
                .stdout
                .take()
                .unwrap()
                .read_to_end(&mut plain)
                .unwrap();
            writer.join().unwrap();
            assert!(gunzip.wait().unwrap().success());
            assert!(plain == theirs);
        }
    }
}

#[test]
fn a_file_that_would_be_filled_in_with_too_much_stays_as_it_is() {
    let message = "m".repeat(1 << 20);
    let formats = format!("$Format:%s$ $Format:{}$", "%B".repeat(80));
    let mut stream = format!(
        "commit refs/heads/main\ncommitter C O <c@d> 1700000002 +0000\ndata {}\n{message}\n",
        message.len()
    );
    for (path, content) in [(".gitattributes", "f export-subst\n"), ("f", &formats)] {
        let head = format!("M 100644 inline {path}\ndata {}\n", content.len());
        stream.push_str(&[&head, content, "\n"].concat());
    }
    let repo = GitRepo::imported(stream.as_bytes());
    let tar = archive(&repo.view(), &repo, "main", ArchiveFormat::Tar);
    assert!(tar.len() < 1 << 20);
    assert!(
        tar.windows(formats.len())
            .any(|part| part == formats.as_bytes())
    );
}

#[test]
fn zips_have_what_git_archives_have() {
    const UNPACK: &str = "import sys, io, zipfile
z = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))
assert z.testzip() is None
for i in z.infolist():
    kind = (i.external_attr >> 28) & 0xf
    run = bool((i.external_attr >> 16) & 0o100) and kind == 8
    print(ascii(i.filename), kind, run, i.file_size, i.CRC)
print(z.comment.decode())
";
    let repo = GitRepo::imported(&of_all_kinds());
    let view = repo.view();
    let unpack = |bytes: Vec<u8>| {
        let mut python = Command::new("python3")
            .args(["-c", UNPACK])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = python.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
        let output = python.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let theirs = unpack(repo.run(&["archive", "--format=zip", "main"], b"").stdout);
    let ours = unpack(archive(&view, &repo, "main", ArchiveFormat::Zip));
    // git leaves it to the reader what kind of thing an ordinary file or a folder is.
    let plain = |text: String| {
        text.replace(" 8 False", " 0 False")
            .replace(" 4 False", " 0 False")
    };
    assert_eq!(plain(ours), plain(theirs));
}
