//! Trees: listed, looked into, and who touched what last.

use govc_engine::work::tree::{self, Depth, ListQuery};
use govc_git::ObjectId;

use crate::git_repo::GitRepo;
use crate::stories::story;

/// As `git ls-tree -l` prints it.
fn show(listed: &[tree::Listed]) -> Vec<String> {
    let line = |entry: &tree::Listed| {
        let kind = match entry.mode {
            0o040_000 => "tree",
            0o160_000 => "commit",
            _ => "blob",
        };
        let size = entry.size.map_or("-".to_owned(), |size| size.to_string());
        let path = String::from_utf8_lossy(&entry.path);
        format!("{:06o} {kind} {} {size:>7}\t{path}", entry.mode, entry.id)
    };
    listed.iter().map(line).collect()
}

#[test]
fn listings_are_gits_and_pages_make_up_the_whole() {
    let repo = GitRepo::imported(story(5, 40).as_bytes());
    let view = repo.view();
    let mut entries = 0;
    for rev in repo.lines(&["rev-list", "--all"]) {
        let root = repo.id(&format!("{rev}^{{tree}}"));
        for (path, depth, args) in [
            ("", Depth::One, &["-l"][..]),
            ("", Depth::Files, &["-l", "-r"]),
            ("", Depth::FilesAndFolders, &["-l", "-r", "-t"]),
            ("dir", Depth::FilesAndFolders, &["-l", "-r", "-t"]),
            ("dir", Depth::One, &["-l"]),
        ] {
            let mut git = [&["ls-tree", "--full-name"], args, &[rev.as_str()]].concat();
            if !path.is_empty() {
                git.push("dir/");
            }
            let expected: Vec<String> = repo
                .lines(&git)
                .into_iter()
                .filter(|line| path.is_empty() || !line.ends_with("\tdir"))
                .collect();
            let mut query = ListQuery {
                path: path.into(),
                depth,
                after: None,
                limit: usize::MAX,
            };
            let whole = match tree::list(&view.pool, &root, &query) {
                Ok((whole, more)) => {
                    assert!(!more);
                    whole
                }
                Err(tree::ListError::NotFound { .. } | tree::ListError::NotAFolder { .. }) => {
                    assert!(expected.is_empty());
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            entries += whole.len();
            assert_eq!(show(&whole), expected, "{rev} {path} {depth:?}");
            for entry in &whole {
                let found = tree::lookup(&view.pool, &root, &entry.path)
                    .unwrap()
                    .unwrap();
                assert_eq!((found.mode, found.id), (entry.mode, entry.id));
            }
            for limit in [1, 2, 3] {
                query.limit = limit;
                query.after = None;
                let mut pages = Vec::new();
                loop {
                    let (page, more) = tree::list(&view.pool, &root, &query).unwrap();
                    query.after = page.last().map(|entry| entry.path.clone());
                    pages.extend(page);
                    if !more {
                        break;
                    }
                }
                assert_eq!(pages, whole, "{rev} {path} {depth:?} by {limit}");
            }
        }
    }
    assert!(entries > 500, "only {entries} entries were compared");
}

#[test]
fn who_touched_a_file_last_is_what_git_log_says() {
    for seed in [3, 4, 7, 11] {
        let repo = GitRepo::imported(story(seed, 60).as_bytes());
        let view = repo.view();
        let graph = view.pool.graph();
        for rev in ["heads/main", "heads/side", "heads/topic/one"] {
            let Some(tip) = repo.ask(&["rev-parse", "-q", "--verify", rev]) else {
                continue;
            };
            let number = graph.number(&tip.parse::<ObjectId>().unwrap()).unwrap();
            for folder in ["", "dir", "z/z"] {
                let query = ListQuery {
                    path: folder.into(),
                    limit: usize::MAX,
                    ..ListQuery::default()
                };
                let Ok((listed, _)) = tree::list(&view.pool, &graph.tree(number), &query) else {
                    continue;
                };
                let mut names: Vec<&[u8]> = listed
                    .iter()
                    .map(|entry| entry.path.rsplit(|byte| *byte == b'/').next().unwrap())
                    .collect();
                names.push(b"not there");
                let last =
                    tree::last_commits(&view.pool, number, folder.as_bytes(), &names).unwrap();
                assert_eq!(last.len(), names.len());
                assert_eq!(last[names.len() - 1], None);
                for (entry, last) in listed.iter().zip(last) {
                    let path = format!(":(literal){}", String::from_utf8_lossy(&entry.path));
                    let expected = repo.ask(&["log", "-1", "--format=%H", &tip, "--", &path]);
                    assert_eq!(
                        last.map(|id| id.to_string()),
                        expected,
                        "seed {seed} {rev} {path}"
                    );
                }
            }
        }
    }
}

#[test]
fn changed_files_are_counted_as_git_does() {
    let repo = GitRepo::imported(story(9, 50).as_bytes());
    let view = repo.view();
    let commits = repo.lines(&["rev-list", "--all"]);
    for pair in commits.windows(2) {
        let trees = [&pair[0], &pair[1]].map(|rev| repo.id(&format!("{rev}^{{tree}}")));
        let expected = repo.lines(&[
            "diff-tree",
            "-r",
            "--no-renames",
            "--name-only",
            &pair[0],
            &pair[1],
        ]);
        let read = |id: &govc_git::oid| Ok(view.pool.get(id)?.data);
        let count =
            |old, new| tree::count_changed_files(view.pool.format(), &read, old, new).unwrap();
        assert_eq!(
            count(Some(trees[0]), Some(trees[1])),
            expected.len() as u64,
            "{pair:?}"
        );
        let files = repo.lines(&["ls-tree", "-r", "--name-only", &pair[0]]);
        assert_eq!(count(None, Some(trees[0])), files.len() as u64);
    }
}
