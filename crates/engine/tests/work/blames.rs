//! Who brought which line: what `git blame` says.

use govc_engine::work::blame::{BlameError, BlameQuery, blame};
use govc_git::ObjectId;

use crate::git_repo::GitRepo;
use crate::stories::Dice;

/// A history of one text on two branches that are merged now and then, under changing names.
fn story(seed: u64, commits: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut out = String::new();
    let mut heads: [Option<(usize, Vec<String>, &str)>; 2] = [None, None];
    for mark in 1..=commits {
        let branch = dice.below(2);
        let (other, this) = (heads[1 - branch].clone(), heads[branch].clone());
        let base = this.clone().or(other.clone());
        let (mut lines, mut name) = match &base {
            Some((_, lines, name)) => (lines.clone(), *name),
            None => ((0..40).map(|n| format!("line {n}")).collect(), "a.txt"),
        };
        let old = name;
        out.push_str(&format!("commit refs/heads/b{branch}\nmark :{mark}\n"));
        let time = 1_600_000_000 + mark - dice.below(5);
        out.push_str(&format!("committer A <a@b> {time} +0000\ndata 2\nm\n"));
        if let Some((parent, ..)) = &base {
            out.push_str(&format!("from :{parent}\n"));
        }
        if let (Some(_), Some((parent, theirs, their_name))) = (&this, &other)
            && dice.percent(25)
        {
            // Some lines of each: what a merge by hand looks like.
            out.push_str(&format!("merge :{parent}\n"));
            let at = dice.below(lines.len().min(theirs.len()) + 1);
            lines = [&lines[..at], &theirs[at..]].concat();
            name = their_name;
        }
        for _ in 0..dice.below(4) {
            let at = dice.below(lines.len() + 1);
            match dice.below(4) {
                0 if at < lines.len() => drop(lines.remove(at)),
                1 if at < lines.len() => lines[at] = format!("  {}", lines[at]),
                2 if at < lines.len() => {
                    let copy = lines[at].clone();
                    lines.insert(at, copy);
                }
                _ => lines.insert(at, format!("new {}", dice.below(30))),
            }
        }
        if dice.percent(10) {
            name = dice.pick(&["a.txt", "dir/b", "dir/sub/long name.txt", "name.txt"]);
        }
        if old != name && base.is_some() {
            out.push_str(&format!("D \"{old}\"\n"));
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let text = if dice.percent(90) {
            &text[..]
        } else {
            text.trim_end_matches('\n')
        };
        out.push_str(&format!(
            "M 644 inline \"{name}\"\ndata {}\n{text}\n",
            text.len()
        ));
        out.push_str("M 644 inline long\ndata 1\nx\n");
        heads[branch] = Some((mark, lines, name));
    }
    out.into_bytes()
}

/// Commit, line and path of each line, as `--line-porcelain` has them.
fn theirs(repo: &GitRepo, args: &[&str]) -> Vec<String> {
    let (mut found, mut head) = (Vec::new(), String::new());
    for line in repo.lines(&[&["blame", "--line-porcelain"], args].concat()) {
        let is_id = line.len() > 41 && line.as_bytes()[..40].iter().all(u8::is_ascii_hexdigit);
        if let Some(path) = line.strip_prefix("filename ") {
            found.push(format!("{head} {path}"));
        } else if is_id {
            head = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        }
    }
    found
}

#[test]
fn blames_of_made_up_histories_are_gits() {
    let (mut compared, mut moved) = (0, 0);
    for seed in 0..12 {
        let repo = GitRepo::imported(&story(seed, 60));
        let view = repo.view();
        for branch in ["b0", "b1"] {
            let Some(tip) = repo.ask(&["rev-parse", "-q", "--verify", branch]) else {
                continue;
            };
            let number = view
                .pool
                .graph()
                .number(&tip.parse::<ObjectId>().unwrap())
                .unwrap();
            let path = repo.lines(&["ls-tree", "-r", "--name-only", &tip]);
            let path = path.iter().find(|path| *path != "long").unwrap();
            for (flags, ignore_whitespace, lines) in [
                (&[][..], false, None),
                (&["-w"], true, None),
                (&["-L", "3,9"], false, Some(2..9)),
            ] {
                let query = BlameQuery {
                    path: path.clone().into(),
                    lines,
                    ignore_whitespace,
                };
                let found = blame(&view.pool, number, &query).unwrap();
                let mut ours = Vec::new();
                for piece in &found.blamed {
                    let name = String::from_utf8_lossy(&piece.path);
                    moved += usize::from(*name != **path);
                    ours.extend((0..piece.lines.len()).map(|at| {
                        format!("{} {} {name}", piece.commit, piece.origin_line + at + 1)
                    }));
                }
                let args = [flags, &[&tip, "--", path]].concat();
                assert_eq!(ours, theirs(&repo, &args), "seed {seed} {branch} {flags:?}");
                compared += ours.len();
            }
        }
    }
    assert!(compared > 1500, "only {compared} lines were compared");
    assert!(moved > 50, "only {moved} pieces came from another path");
}

#[test]
fn what_is_no_file_has_no_blame() {
    let stream =
        b"commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 0\nM 644 inline d/f\ndata 2\nx\n\
        M 160000 1111111111111111111111111111111111111111 s\n";
    let repo = GitRepo::imported(stream);
    let view = repo.view();
    let tip = view.pool.graph().number(&repo.id("main")).unwrap();
    let ask = |path: &str, lines| {
        let query = BlameQuery {
            path: path.into(),
            lines,
            ..BlameQuery::default()
        };
        blame(&view.pool, tip, &query)
    };
    for path in ["d", "d/g", "d/f/g", "s", "nothing here"] {
        assert!(
            matches!(ask(path, None), Err(BlameError::NotFound { .. })),
            "{path}"
        );
    }
    assert!(matches!(
        ask("d/f", Some(0..2)),
        Err(BlameError::NoSuchLines { count: 1 })
    ));
    assert_eq!(ask("d/f", Some(1..1)).unwrap().blamed, []);
    assert_eq!(ask("d/f", None).unwrap().blamed.len(), 1);
}
