//! Shallow histories, beside `git upload-pack` on the same repository.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;

use govc_engine::pool::{Cuts, ObjectFilter, PackOptions};
use govc_engine::work::View;
use govc_engine::work::hidden::HiddenRefs;
use govc_engine::work::upload;
use govc_engine::{RefName, Refs, Settings, Target, Time};
use govc_git::wire::command::{Command, RequestDecoder};
use govc_git::{ObjectFormat, ObjectId, pktline};

use crate::kit::{Dice, Git, random_history};

/// A server's repository, as git has it and as we do.
struct Server {
    git: Git,
    view: View,
    commits: Vec<ObjectId>,
    refs: Vec<String>,
}

impl Server {
    fn new(seed: u64, format: ObjectFormat, commits: u64) -> Server {
        let git = Git::new(format);
        git.import(&random_history(format, seed, commits));
        git.run(&["symbolic-ref", "HEAD", "refs/heads/b0"]);
        git.run(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        let pool = git.pool();
        let listed = git.run(&["for-each-ref", "--format=%(objectname) %(refname)"]);
        let refs = listed.lines().map(|line| {
            let (id, name) = line.split_once(' ').unwrap();
            let id = ObjectId::from_hex(id.as_bytes()).unwrap();
            (RefName::new(name), Target::At(id))
        });
        let head = (
            RefName::head(),
            Target::Symbolic(RefName::new("refs/heads/b0")),
        );
        let view = View::of_refs(pool, Refs::from_entries(refs.chain([head])), 1, Time(0));
        Server {
            commits: git.ids(&["rev-list", "--all"]),
            refs: listed
                .lines()
                .map(|line| line.split_once(' ').unwrap().1.to_owned())
                .collect(),
            git,
            view,
        }
    }

    /// What git says: its lines about shallow commits and how many objects its pack has, or why
    /// there are none.
    fn ask_git(&self, request: &[u8]) -> Result<(BTreeSet<String>, u32), String> {
        let mut child = self
            .git
            .command(&["upload-pack", "--stateless-rpc", "."])
            .env("GIT_PROTOCOL", "version=2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), request).unwrap();
        let output = child.wait_with_output().unwrap();
        if !output.status.success() {
            let said = String::from_utf8(output.stderr).unwrap();
            return Err(said.trim().trim_start_matches("fatal: ").to_owned());
        }
        let (lines, rest) = shallow_info(&output.stdout);
        let at = rest.windows(4).position(|four| four == b"PACK").unwrap();
        let count = u32::from_be_bytes(rest[at + 8..at + 12].try_into().unwrap());
        Ok((lines, count))
    }

    /// What we say, and the pack.
    fn ask_us(&self, request: &[u8]) -> Result<(BTreeSet<String>, u32, Vec<u8>), String> {
        let read = RequestDecoder::new(self.git.format).read(&mut &request[..]);
        let Command::Fetch(mut request) = read.unwrap().unwrap().command else {
            panic!("no fetch")
        };
        let (settings, mut out) = (Settings::default(), Vec::new());
        let plan = upload::answer(
            &self.view,
            HiddenRefs::of(&settings),
            &mut request,
            &mut out,
        );
        let plan = plan.map_err(|error| error.to_string())?.unwrap();
        let (lines, rest) = shallow_info(&out);
        assert_eq!(rest, b"000dpackfile\n");
        let pack = upload::pack(&self.view, &request, &plan).unwrap();
        let count = pack.len();
        let bytes = pack.flat_map(|piece| piece.unwrap().to_vec()).collect();
        Ok((lines, count, bytes))
    }
}

/// The lines of the section, where there is one, and what follows.
fn shallow_info(answer: &[u8]) -> (BTreeSet<String>, &[u8]) {
    let mut rest = answer;
    let mut lines = BTreeSet::new();
    if !answer.starts_with(b"0011shallow-info") {
        return (lines, answer);
    }
    loop {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..4]).unwrap(), 16).unwrap();
        let line = &rest[4..length.max(4)];
        rest = &rest[length.max(4)..];
        if length == 1 {
            return (lines, rest);
        }
        if line != b"shallow-info\n" {
            let line = String::from_utf8(line.to_vec()).unwrap();
            assert!(lines.insert(line), "a line comes twice");
        }
    }
}

/// A client that fetches into a bare repository.
struct Client {
    git: Git,
    shallow: BTreeSet<String>,
    tips: Vec<ObjectId>,
}

impl Client {
    fn new(format: ObjectFormat) -> Client {
        Client {
            git: Git::new(format),
            shallow: BTreeSet::new(),
            tips: Vec::new(),
        }
    }

    /// A fetch of `wants`, the history cut as `lines` say.
    fn request(&self, wants: &[ObjectId], lines: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut line = |text: String| pktline::write(&mut out, &[text.as_bytes()]);
        line("command=fetch".into());
        line(format!("object-format={}", self.git.format));
        let delimiter = out.len();
        let mut line = |text: String| pktline::write(&mut out, &[text.as_bytes()]);
        for text in ["thin-pack", "ofs-delta", "no-progress"] {
            line(text.into());
        }
        wants.iter().for_each(|want| line(format!("want {want}\n")));
        self.shallow
            .iter()
            .for_each(|id| line(format!("shallow {id}")));
        lines.iter().for_each(|text| line(text.clone()));
        self.tips.iter().for_each(|id| line(format!("have {id}\n")));
        line("done\n".into());
        out.splice(delimiter..delimiter, pktline::DELIMITER.iter().copied());
        out.extend_from_slice(pktline::FLUSH);
        out
    }

    fn take(&mut self, wants: &[ObjectId], lines: &BTreeSet<String>, pack: &[u8]) {
        self.git
            .run_with(&["index-pack", "--stdin", "--fix-thin"], pack);
        for line in lines {
            match line.split_once(' ').unwrap() {
                ("shallow", id) => assert!(self.shallow.insert(id.to_owned())),
                (_, id) => assert!(self.shallow.remove(id)),
            }
        }
        let mut text: String = self.shallow.iter().map(|id| format!("{id}\n")).collect();
        let file = self.git.path().join("shallow");
        if self.shallow.is_empty() {
            let _ = std::fs::remove_file(file);
        } else {
            std::fs::write(file, std::mem::take(&mut text)).unwrap();
        }
        for want in wants {
            self.git
                .run(&["update-ref", &format!("refs/x/{want}"), &want.to_string()]);
        }
        self.tips = self.git.ref_targets();
        self.git.run(&["fsck", "--no-dangling", "--no-progress"]);
    }
}

/// How a history is to be cut: one of all the ways there are.
fn random_lines(dice: &mut Dice, server: &Server) -> Vec<String> {
    let refs = |dice: &mut Dice| {
        let name = &server.refs[dice.roll(server.refs.len() as u64) as usize];
        match dice.roll(3) {
            0 => name.clone(),
            1 => name.trim_start_matches("refs/").to_owned(),
            _ => name.rsplit('/').next().unwrap().to_owned(),
        }
    };
    let since = |dice: &mut Dice| {
        let commit = server.commits[dice.roll(server.commits.len() as u64) as usize];
        let time = server
            .git
            .run(&["show", "-s", "--format=%ct", &commit.to_string()]);
        format!("deepen-since {}", time.trim())
    };
    match dice.roll(10) {
        0 => vec!["deepen 1".into()],
        1 | 2 => vec![format!("deepen {}", 2 + dice.roll(6))],
        3 => vec![format!("deepen {}", 1 + dice.roll(40))],
        4 => vec![
            "deepen-relative".into(),
            format!("deepen {}", 1 + dice.roll(5)),
        ],
        5 => vec![since(dice)],
        6 => vec![format!("deepen-not {}", refs(dice))],
        7 => vec![
            format!("deepen-not {}", refs(dice)),
            format!("deepen-not {}", refs(dice)),
        ],
        8 => vec![since(dice), format!("deepen-not {}", refs(dice))],
        _ if dice.roll(4) == 0 => vec!["deepen 2147483647".into()],
        _ => vec![],
    }
}

#[test]
fn whatever_is_asked_for_is_what_git_answers() {
    let (mut refused, mut cut) = (0, 0);
    for (seed, format) in [
        (31, ObjectFormat::Sha1),
        (32, ObjectFormat::Sha1),
        (33, ObjectFormat::Sha256),
        (35, ObjectFormat::Sha1),
    ] {
        let server = Server::new(seed, format, 90);
        let mut dice = Dice(seed);
        let branches = server.git.ref_targets();
        // Where dates go back git does not find all that a commit reaches.
        let is_exact = seed % 2 == 1;
        for _ in 0..4 {
            let mut client = Client::new(format);
            for _ in 0..6 {
                let wants: Vec<ObjectId> = (0..1 + dice.roll(2))
                    .map(|_| match dice.roll(3) {
                        0 => server.commits[dice.roll(server.commits.len() as u64) as usize],
                        _ => branches[dice.roll(branches.len() as u64) as usize],
                    })
                    .collect();
                let lines = random_lines(&mut dice, &server);
                let request = client.request(&wants, &lines);
                let told = format!("seed {seed}: {}", String::from_utf8_lossy(&request));
                match (server.ask_git(&request), server.ask_us(&request)) {
                    (Ok((expected, count)), Ok((found, sent, pack))) => {
                        if is_exact {
                            assert_eq!(found, expected, "{told}");
                            // What git takes for had, since it told of it, may not be.
                            let most = 2 * count + 8;
                            assert!(sent <= most, "{sent} for {count}: {told}");
                        }
                        client.take(&wants, &found, &pack);
                        cut += usize::from(!client.shallow.is_empty());
                    }
                    (Err(expected), Err(found)) => {
                        assert_eq!(found, expected, "{told}");
                        refused += 1;
                    }
                    _ if !is_exact => {}
                    (git, us) => panic!("git {git:?}, we {:?}: {told}", us.map(|us| us.0)),
                }
            }
        }
    }
    assert!(refused > 2 && cut > 20, "{refused} refused, {cut} cut");
}

#[test]
fn what_cannot_be_is_refused_as_git_does() {
    let server = Server::new(35, ObjectFormat::Sha1, 20);
    server.git.run(&["tag", "b0", "b0~1"]);
    let mut refs = server
        .view
        .refs
        .iter()
        .map(|(name, target)| (name.clone(), target.clone()))
        .collect::<Vec<_>>();
    refs.push((
        RefName::new("refs/tags/b0"),
        Target::At(server.git.id("b0~1")),
    ));
    let view = View::of_refs(
        Arc::clone(&server.view.pool),
        Refs::from_entries(refs),
        2,
        Time(0),
    );
    let server = Server { view, ..server };
    let (client, want) = (
        Client::new(ObjectFormat::Sha1),
        server.git.id("refs/heads/b0"),
    );
    let blob = server.git.id("refs/heads/b0^{tree}");
    for (lines, expected) in [
        (
            vec!["deepen-not b0".to_owned()],
            Some("git upload-pack: ambiguous deepen-not: deepen-not b0"),
        ),
        (
            vec!["deepen-not nowhere".into()],
            Some("git upload-pack: ambiguous deepen-not: deepen-not nowhere"),
        ),
        (
            vec!["deepen-not heads/b0".into()],
            Some("no commits selected for shallow requests"),
        ),
        (
            vec!["deepen-since 4000000000".into()],
            Some("no commits selected for shallow requests"),
        ),
        (
            vec!["deepen 1".into(), "deepen-since 1".into()],
            Some(
                "git upload-pack: deepen and deepen-since (or deepen-not) cannot be used together",
            ),
        ),
        (
            vec![format!("shallow {blob}")],
            Some(&*format!("invalid shallow object {blob}")),
        ),
        (vec![format!("shallow {}", "1".repeat(40))], None),
        (vec!["deepen-since 0".into()], None),
        (
            vec!["deepen-not HEAD".into()],
            Some("no commits selected for shallow requests"),
        ),
    ] {
        let request = client.request(&[want], &lines);
        let git = server.ask_git(&request).map(|git| git.0);
        let us = server.ask_us(&request).map(|us| us.0);
        assert_eq!(us, git, "{lines:?}");
        assert_eq!(us.err().as_deref(), expected, "{lines:?}");
    }
}

#[test]
fn a_boundary_brings_its_whole_tree_though_a_child_brings_a_part_of_it() {
    // What `w` introduces, `d` as it was in `b`, is in the set before `b` is looked at; the file
    // in it came earlier and is only in `b`'s tree.
    let git = Git::new(ObjectFormat::Sha1);
    let mut stream = String::new();
    for (mark, files) in [
        (
            1,
            "M 644 inline d/old\ndata 3\nold\nM 644 inline d/x\ndata 1\n1\n",
        ),
        (2, "M 644 inline d/x\ndata 1\n2\n"),
        (3, "M 644 inline d/x\ndata 1\n3\n"),
        (4, "M 644 inline d/x\ndata 1\n2\n"),
    ] {
        let from = if mark > 1 {
            format!("from :{}\n", mark - 1)
        } else {
            String::new()
        };
        stream += &format!(
            "commit refs/heads/m\nmark :{mark}\ncommitter C <c@example.com> {mark} +0000\n\
             data 1\nm\n{from}{files}\n"
        );
    }
    git.import(&stream);
    let pool = git.pool();
    let number = |rev: &str| pool.graph().number(&git.id(rev)).unwrap();
    let cuts = Cuts {
        at: [number("m~2")].into_iter().collect(),
        opened: Vec::new(),
    };
    let set = pool
        .closure_in_cut(&[git.id("m")], &[], &cuts, &ObjectFilter::default())
        .unwrap();
    assert!(set.contains(&git.id("m:d/old")));
    // 3 commits, 2 roots (the last is as the first), 2 folders, 3 files.
    assert_eq!(set.len(), 10);
    let options = PackOptions {
        thin: false,
        ofs_delta: true,
    };
    let pack: Vec<u8> = pool
        .pack_stream(set, options)
        .unwrap()
        .flat_map(|piece| piece.unwrap().to_vec())
        .collect();
    let mut client = Client::new(ObjectFormat::Sha1);
    let told = BTreeSet::from([format!("shallow {}", git.id("m~2"))]);
    client.take(&[git.id("m")], &told, &pack);
}
