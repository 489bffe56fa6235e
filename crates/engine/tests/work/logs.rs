//! `git log`: order and selection.

use govc_engine::work::View;
use govc_engine::work::log::{Log, LogQuery};

use crate::git_repo::GitRepo;
use crate::stories::{Dice, PATHS, story};

fn ours(view: &View, query: LogQuery) -> Vec<String> {
    let graph = view.pool.graph();
    let log = Log::new(view, query);
    log.map(|commit| graph.id(commit.unwrap()).to_string())
        .collect()
}

#[test]
fn logs_of_made_up_histories_are_gits() {
    let mut shown = 0;
    for seed in 0..12 {
        let repo = GitRepo::imported(story(seed, 80).as_bytes());
        let view = repo.view();
        let mut dice = Dice::new(seed + 1000);
        for _ in 0..25 {
            let mut args = vec!["log".to_owned(), "--format=%H".to_owned()];
            let mut query = LogQuery::default();
            if dice.percent(30) {
                args.push("--all".to_owned());
                query.tips = LogQuery::all_tips(&view).unwrap();
            } else {
                let rev = dice.pick(&["main", "topic/one", "side", "v1", "old", "main~5"]);
                let Some(id) =
                    repo.ask(&["rev-parse", "-q", "--verify", &format!("{rev}^{{commit}}")])
                else {
                    continue;
                };
                query.tips = vec![id.parse().unwrap()];
                args.push(id);
            }
            if dice.percent(20) {
                args.push("--first-parent".to_owned());
                query.first_parent = true;
            }
            if dice.percent(25) {
                let since = 1_600_000_000 + dice.below(300) as i64 - 50;
                args.push(format!("--since=@{since} +0000"));
                query.since = Some(since);
            }
            if dice.percent(25) {
                let until = 1_600_000_000 + dice.below(400) as i64;
                args.push(format!("--until=@{until} +0000"));
                query.until = Some(until);
            }
            if dice.percent(25) {
                let author = dice.pick(&["ada", "EXAMPLE.ORG>", "b <b", "nobody", ".", "ČENĚK"]);
                args.extend([
                    "-i".to_owned(),
                    "-F".to_owned(),
                    format!("--author={author}"),
                ]);
                query.author = Some(author.to_owned());
            }
            if dice.percent(60) {
                let path = dice.pick(&[PATHS, &["dir", "dir/sub", "z", "z/z", "nothing"]].concat());
                args.extend(["--".to_owned(), format!(":(literal){path}")]);
                query.path = Some(path.into());
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let expected = repo.lines(&args);
            shown += expected.len();
            assert_eq!(ours(&view, query), expected, "seed {seed}: git {args:?}");
        }
    }
    assert!(shown > 1000, "only {shown} commits were compared");
}

#[test]
fn a_log_goes_on_where_a_page_ended() {
    let repo = GitRepo::imported(story(77, 60).as_bytes());
    let view = repo.view();
    let tips = LogQuery::all_tips(&view).unwrap();
    let query = LogQuery {
        tips,
        path: Some(b"dir".to_vec()),
        ..LogQuery::default()
    };
    let whole = ours(&view, query.clone());
    assert!(whole.len() > 5);
    for start in 0..=whole.len() + 1 {
        let mut log = Log::new(&view, query.clone());
        log.skip_commits(start as u64).unwrap();
        let page: Vec<String> = log
            .take(3)
            .map(|commit| view.pool.graph().id(commit.unwrap()).to_string())
            .collect();
        let expected: Vec<String> = whole.iter().skip(start).take(3).cloned().collect();
        assert_eq!(page, expected, "from {start}");
    }
}
