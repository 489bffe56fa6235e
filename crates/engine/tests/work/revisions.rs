//! Revisions, held against `git rev-parse --verify`.

use govc_engine::work::View;
use govc_engine::work::revision::{self, RevisionError};

use crate::git_repo::GitRepo;
use crate::stories::{Dice, story};

fn ours(view: &View, text: &str) -> Option<String> {
    revision::resolve(view, text).ok().map(|id| id.to_string())
}

fn gits(repo: &GitRepo, text: &str) -> Option<String> {
    repo.ask(&["rev-parse", "-q", "--verify", "--end-of-options", text])
        .filter(|answer| !answer.starts_with('^'))
        // It answers full ids without looking whether there is such an object.
        .filter(|answer| repo.ask(&["cat-file", "-e", answer]).is_some() || text.contains(':'))
}

fn repo(seed: u64) -> GitRepo {
    let repo = GitRepo::imported(story(seed, 120).as_bytes());
    // Names that stand for several things.
    repo.git(&["update-ref", "refs/remotes/origin/main", "main~3"]);
    repo.git(&[
        "symbolic-ref",
        "refs/remotes/origin/HEAD",
        "refs/remotes/origin/main",
    ]);
    repo.git(&["update-ref", "refs/heads/v1", "main~2"]);
    repo.git(&["update-ref", "refs/heads/heads/main", "main~1"]);
    repo.git(&["update-ref", "refs/notes/x", "main~4"]);
    repo.git(&["update-ref", "refs/tags/a-tree", "main^{tree}"]);
    repo.git(&["update-ref", "refs/tags/a-blob", &repo.id_of_some_blob()]);
    repo.git(&["update-ref", "refs/heads/abcd", "main~6"]);
    let tagger = ["-c", "user.name=T", "-c", "user.email=t@x"];
    let tag = |name: &str, of: &str| {
        repo.git(&[&tagger[..], &["tag", "-a", "-m", "a tag", name, of]].concat());
    };
    tag("nested", "v2.0");
    tag("of-a-tree", "main^{tree}");
    tag("deep", "nested");
    repo
}

impl GitRepo {
    fn id_of_some_blob(&self) -> String {
        let listed = self.git(&["ls-tree", "-r", "main"]);
        listed.split_whitespace().nth(2).unwrap().to_owned()
    }
}

const TABLE: &[&str] = &[
    "HEAD",
    "@",
    "@~",
    "@^0",
    "@{-1}",
    "@{u}",
    "main",
    "main@{1}",
    "main@{upstream}",
    "heads/main",
    "refs/heads/main",
    "tags/main",
    "refs/tags/main",
    "origin",
    "origin/main",
    "remotes/origin",
    "notes/x",
    "v1",
    "heads/v1",
    "v2.0",
    "v2.0^{}",
    "v2.0^{tag}",
    "nested^{tag}",
    "nested^{}",
    "deep^{commit}",
    "deep~2",
    "of-a-tree^{tree}",
    "of-a-tree^{commit}",
    "of-a-tree~1",
    "of-a-tree:a",
    "a-tree:dir",
    "a-tree~",
    "a-blob",
    "a-blob^{blob}",
    "a-blob^{}",
    "a-blob^{tree}",
    "a-blob:x",
    "main^{blob}",
    "main^{object}",
    "main^{tree}",
    "main^{tree}^{tree}",
    "main^{tree}~1",
    "main^{tree}^0",
    "main~0",
    "main^0",
    "main^1",
    "main^2",
    "main^3",
    "main^99",
    "main~99999",
    "main~4294967297",
    "main~99999999999999999999",
    "main^99999999999999999999",
    "main~~~",
    "main^^^",
    "main~1^2~1",
    "main~01",
    "main^{",
    "main^}",
    "main^{}x",
    "main^{nonsense}",
    "main^{commit}x}",
    "^{}",
    "^{commit}",
    "~",
    "~1",
    "main^{/fix}",
    "main^{/fix 1}",
    "main^{/}",
    "main^{/add.*5$}",
    "main^{/!-fix}",
    "main^{/!!fix}",
    "main^{/!x}",
    "main^{/no such text}",
    "main^{/body 3}~1",
    "main^{/(fix|drop) 1}",
    "main^{/[}",
    ":/fix",
    ":/no such text",
    ":/",
    ":/!-add",
    ":/add",
    ":/^drop",
    ":",
    ":a",
    ":0:a",
    ":./a",
    "main:",
    "main:a",
    "main:dir",
    "main:dir/",
    "main:dir/a",
    "main:dir/sub/x",
    "main:a/",
    "main:/a",
    "main://",
    "main:dir//a",
    "main:nothing",
    "main:c d",
    "main^{tree}:dir",
    "main^{/fix}:a",
    "main:dir:a",
    "nothing",
    "nothing:a",
    "",
    " ",
    "main ",
    " main",
    "main/",
    "/main",
    "main.lock",
    "..",
    "main..side",
    "main...side",
    "main^@",
    "main^!",
    "main^-",
    "main..",
    "a b",
    "refs/heads/",
    "refs",
    "heads",
    "abcd",
    "ma*n",
    "main\\",
    "m?",
    "[main]",
    "@@",
    "@main",
    "main@",
    "HEAD@",
    "FETCH_HEAD",
    "refs/heads/../heads/main",
    "./main",
    "-",
    "-main",
    "@{",
    "@{}",
    "{}",
    "main^{tree",
    "x-g",
    "-g",
    "v1-3-gzzzz",
    "main:^{tree}",
];

#[test]
fn a_table_of_revisions_is_read_as_git_does() {
    let repo = repo(1);
    let view = repo.view();
    let mut both = [0, 0];
    for text in TABLE {
        // Reflogs and upstreams are not ours to have; the repository has neither.
        let expected = gits(&repo, text);
        both[usize::from(expected.is_some())] += 1;
        assert_eq!(
            ours(&view, text),
            expected,
            "{text:?}: {:?}",
            revision::resolve(&view, text)
        );
    }
    assert!(both[0] > 50 && both[1] > 50, "{both:?}");
}

#[test]
fn made_up_revisions_are_read_as_git_does() {
    let mut both = [0, 0];
    for seed in 20..23 {
        let repo = repo(seed);
        let view = repo.view();
        let objects = repo.lines(&[
            "cat-file",
            "--batch-check=%(objectname)",
            "--batch-all-objects",
        ]);
        let mut dice = Dice::new(seed);
        for _ in 0..300 {
            let mut text = match dice.below(10) {
                0..=4 => (dice.pick(&[
                    "main",
                    "HEAD",
                    "@",
                    "v1",
                    "v2.0",
                    "nested",
                    "deep",
                    "side",
                    "topic/one",
                    "of-a-tree",
                    "a-tree",
                    "a-blob",
                    "heads/main",
                    "origin",
                    "old",
                ]))
                .to_owned(),
                5..=7 => {
                    let length = dice.pick(&[1, 3, 4, 4, 4, 5, 6, 8, 40]);
                    let mut id = dice.pick_ref(&objects)[..length].to_owned();
                    if dice.percent(20) {
                        id = id.to_uppercase();
                    }
                    id
                }
                8 => {
                    let (length, id) = (4 + dice.below(5), dice.pick_ref(&objects));
                    format!(
                        "{}-{}-g{}",
                        dice.pick(&["v1", "x/y", "a:b", ""]),
                        dice.below(9),
                        &id[..length]
                    )
                }
                _ => format!(
                    ":/{}",
                    dice.pick(&["fix", "add 1", "body 2", "^drop", "x{2"])
                ),
            };
            for _ in 0..dice.below(4) {
                text.push_str(dice.pick(&[
                    "~",
                    "^",
                    "~2",
                    "^2",
                    "^0",
                    "~0",
                    "^{}",
                    "^{commit}",
                    "^{tree}",
                    "^{blob}",
                    "^{tag}",
                    "^{object}",
                    "^{/fix}",
                    "^{/body 1}",
                    ":dir",
                    ":a",
                    ":",
                    ":dir/sub",
                    "^{/!-add}",
                    "~10",
                ]));
            }
            if dice.percent(15) {
                let at = dice.below(text.len() + 1);
                if text.is_char_boundary(at) {
                    text.insert_str(
                        at,
                        dice.pick(&["^", "~", "{", "}", ":", "@", "/", ".", "-g", "3"]),
                    );
                }
            }
            if text.starts_with(['^', '-']) || text.contains("@{") {
                continue;
            }
            let expected = gits(&repo, &text);
            both[usize::from(expected.is_some())] += 1;
            assert_eq!(
                ours(&view, &text),
                expected,
                "seed {seed} {text:?}: {:?}",
                revision::resolve(&view, &text)
            );
        }
    }
    assert!(both[0] > 100 && both[1] > 100, "{both:?}");
}

#[test]
fn ambiguous_abbreviations_are_told_apart_as_git_does() {
    let repo = GitRepo::imported(story(8, 900).as_bytes());
    let view = repo.view();
    let mut objects = repo.lines(&[
        "cat-file",
        "--batch-check=%(objectname)",
        "--batch-all-objects",
    ]);
    objects.sort();
    let mut shared: Vec<&str> = objects
        .windows(2)
        .filter(|pair| pair[0][..4] == pair[1][..4])
        .map(|pair| &pair[0][..4])
        .collect();
    shared.dedup();
    assert!(
        shared.len() >= 5,
        "only {} abbreviations are shared",
        shared.len()
    );
    let mut ambiguous = 0;
    for digits in shared {
        for operator in [
            "",
            "^{commit}",
            "^{tree}",
            "^{blob}",
            "^0",
            "~1",
            "^{}",
            ":",
            ":dir",
            "^{object}",
        ] {
            let text = format!("{digits}{operator}");
            let answer = revision::resolve(&view, &text);
            if let Err(RevisionError::Ambiguous { candidates, .. }) = &answer {
                ambiguous += 1;
                assert!(candidates.len() > 1);
                assert!(
                    candidates
                        .iter()
                        .all(|id| id.to_string().starts_with(digits))
                );
            }
            let answer = answer.ok().map(|id| id.to_string());
            assert_eq!(answer, gits(&repo, &text), "{text}");
        }
        let described = format!("v1-7-g{digits}");
        assert_eq!(
            ours(&view, &described),
            gits(&repo, &described),
            "{described}"
        );
        // `git log` prefers commits.
        let expected = repo.ask(&["log", "-1", "--format=%H", digits]);
        let answer = revision::resolve_commit(&view, digits)
            .ok()
            .map(|id| id.to_string());
        assert_eq!(answer, expected, "{digits} as a commit");
    }
    assert!(ambiguous > 5, "only {ambiguous} were ambiguous");
}

#[test]
fn what_no_ref_reaches_has_no_name() {
    let repo = GitRepo::imported(story(2, 20).as_bytes());
    let hidden = repo.run(&["hash-object", "-w", "--stdin"], b"a secret");
    let hidden = String::from_utf8(hidden.stdout).unwrap().trim().to_owned();
    let view = repo.view();
    assert!(
        view.pool
            .contains(&hidden.parse::<govc_git::ObjectId>().unwrap())
    );
    for text in [
        hidden.as_str(),
        &hidden[..12],
        &format!("{hidden}^{{blob}}"),
    ] {
        assert!(
            matches!(
                revision::resolve(&view, text),
                Err(RevisionError::NotFound { .. })
            ),
            "{text}"
        );
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let repo = repo(1);
    let view = repo.view();
    let check = |text: &str, expected: &str| {
        let error = revision::resolve(&view, text).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("nothing", "nothing is called \"nothing\"");
    check("main~99999^2", "nothing is called \"main~99999\"");
    check("main:nothing", "there is no \"nothing\" in \"main\"");
    check("a-blob^{commit}", "\"a-blob\" is a blob, not a commit");
    check(
        "main..side",
        "\"main..side\" is not a revision: it is a range",
    );
    check(
        "main@{1}",
        "\"main@{1}\" is not a revision: there are no reflogs and no upstreams",
    );
    check(
        "main^{x}",
        "\"main^{x}\" is not a revision: ^{…} has no such kind of object",
    );
    let long = "^0".repeat(1001);
    let error = revision::resolve(&view, format!("main{long}"))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("it has more than 1000 operators"),
        "{error}"
    );
    let many = format!("main{}", &long[2..]);
    assert_eq!(ours(&view, &many), gits(&repo, &many));
    let error = revision::resolve(&view, "x".repeat(4097))
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("it has more than 4096 bytes"), "{error}");
}
