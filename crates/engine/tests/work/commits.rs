//! Commits by actions: held against a plain map of files, and against git's ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::pool::Pool;
use govc_engine::work::View;
use govc_engine::work::action::{Action, Content, FileMode, TextEdit};
use govc_engine::work::commit::{CommitError, CommitMade, CommitRequest, NewCommitOnBranch, Start};
use govc_engine::{
    Cause, CauseKind, Edit, Expected, NewObject, ObjectBody, RefEdit, RefName, Refs, Target, Time,
    Via,
};
use govc_git::object::{GitTime, Signature};
use govc_git::{ObjectFormat, ObjectId};

use crate::git_repo::{GitRepo, empty_pool};
use crate::stories::Dice;

fn cause() -> Cause {
    Cause {
        kind: CauseKind::Commit,
        actor: "ada".into(),
        via: Via::Rest,
        request_id: "r".into(),
        reason: None,
        idempotency: None,
    }
}

fn ada(seconds: i64) -> Signature {
    let time = GitTime {
        seconds,
        offset_minutes: 120,
        negative_zero: false,
    };
    Signature::new(b"Ada", b"ada@example.org", time).unwrap()
}

/// A repository without a door: what is proposed is done at once.
struct Bench {
    pool: Arc<Pool>,
    refs: Refs,
    /// What the last commit brought.
    brought: Vec<NewObject>,
}

impl Bench {
    fn new(format: ObjectFormat) -> Bench {
        let mut refs = Refs::default();
        refs.set(RefName::head(), Target::Symbolic(RefName::branch("main")));
        Bench {
            pool: empty_pool(format),
            refs,
            brought: Vec::new(),
        }
    }

    fn view(&self) -> View {
        View::of_refs(Arc::clone(&self.pool), self.refs.clone(), 1, Time(0))
    }

    fn commit(&mut self, request: CommitRequest) -> Result<CommitMade, CommitError> {
        let branch = request.branch.clone();
        let mut proposal = NewCommitOnBranch::new(&self.view(), request)?;
        let receipt = proposal.receipt();
        let change = proposal.propose(&self.refs, &self.pool)?;
        let made = receipt.take().expect("a commit was made");
        let Edit::Ref(edit) = &change.edits[0] else {
            panic!("{:?}", change.edits)
        };
        assert_eq!((&edit.name, &edit.target), (&branch, &Target::At(made.id)));
        self.pool.insert(&change.objects.inline).unwrap();
        self.refs.set(branch, Target::At(made.id));
        self.brought = change.objects.inline;
        Ok(made)
    }
}

fn request(message: &str, actions: Vec<Action>) -> CommitRequest {
    CommitRequest {
        branch: RefName::branch("main"),
        start: Start::Existing,
        expected: Expected::Anything,
        actions,
        message: message.into(),
        author: ada(1_700_000_000),
        committer: ada(1_700_000_000),
        allow_empty: false,
        file_bytes_max: 1 << 20,
        cause: cause(),
    }
}

fn put(path: &str, content: &str) -> Action {
    Action::Put {
        path: path.into(),
        content: Content::Bytes(Bytes::copy_from_slice(content.as_bytes())),
        mode: None,
    }
}

fn delete(path: &str) -> Action {
    Action::Delete { path: path.into() }
}

fn rename(from: &str, to: &str) -> Action {
    Action::Move {
        from: from.into(),
        path: to.into(),
    }
}

fn chmod(path: &str, mode: FileMode) -> Action {
    Action::Chmod {
        path: path.into(),
        mode,
    }
}

fn edit(path: &str, old: &str, new: &str, count: u64) -> Action {
    Action::Edit {
        path: path.into(),
        edits: vec![TextEdit {
            old: Bytes::copy_from_slice(old.as_bytes()),
            new: Bytes::copy_from_slice(new.as_bytes()),
            count,
        }],
    }
}

/// What anybody believes of files: a map.
#[derive(Clone, PartialEq, Debug, Default)]
struct Model(BTreeMap<String, (FileMode, Vec<u8>)>);

#[derive(Debug, PartialEq)]
enum Trouble {
    NotFound,
    Conflict,
    Edit,
    Mode,
}

impl Model {
    fn is_folder(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.0.keys().any(|other| other.starts_with(&below))
    }

    fn file_above(&self, path: &str) -> bool {
        self.0
            .keys()
            .any(|other| path.starts_with(&format!("{other}/")))
    }

    fn apply(&mut self, action: &Action, submodule: &[u8]) -> Result<(), Trouble> {
        let text = |path: &[u8]| String::from_utf8(path.to_vec()).unwrap();
        match action {
            Action::Put {
                path,
                content,
                mode,
            } => {
                let path = text(path);
                if self.is_folder(&path) || self.file_above(&path) {
                    return Err(Trouble::Conflict);
                }
                let kept = self.0.get(&path).map(|file| file.0);
                let (content, mode) = match content {
                    Content::Bytes(bytes) => {
                        let kept = kept.filter(|mode| *mode != FileMode::Submodule);
                        (bytes.to_vec(), mode.or(kept).unwrap_or(FileMode::File))
                    }
                    Content::Object(_) => (submodule.to_vec(), FileMode::Submodule),
                };
                self.0.insert(path, (mode, content));
            }
            Action::Edit { path, edits } => {
                let path = text(path);
                if self.is_folder(&path) {
                    return Err(Trouble::Conflict);
                }
                let file = self.0.get_mut(&path).ok_or(Trouble::NotFound)?;
                if file.0 == FileMode::Submodule {
                    return Err(Trouble::Mode);
                }
                for edit in edits {
                    let old = std::str::from_utf8(&edit.old).unwrap();
                    let new = std::str::from_utf8(&edit.new).unwrap();
                    let content = text(&file.1);
                    if content.matches(old).count() as u64 != edit.count {
                        return Err(Trouble::Edit);
                    }
                    file.1 = content.replace(old, new).into_bytes();
                }
            }
            Action::Delete { path } => {
                let path = text(path);
                let below = format!("{path}/");
                let before = self.0.len();
                self.0
                    .retain(|other, _| *other != path && !other.starts_with(&below));
                if self.0.len() == before {
                    return Err(Trouble::NotFound);
                }
            }
            Action::Move { from, path: to } => {
                let (from, to) = (text(from), text(to));
                let below = format!("{from}/");
                let is_there =
                    |model: &Model, path: &str| model.0.contains_key(path) || model.is_folder(path);
                if !is_there(self, &from) {
                    return Err(Trouble::NotFound);
                }
                if is_there(self, &to) || self.file_above(&to) || to.starts_with(&below) {
                    return Err(Trouble::Conflict);
                }
                let files = std::mem::take(&mut self.0);
                self.0 = files
                    .into_iter()
                    .map(|(path, file)| match path.strip_prefix(&from) {
                        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                            (format!("{to}{rest}"), file)
                        }
                        _ => (path, file),
                    })
                    .collect();
            }
            Action::Chmod { path, mode } => {
                let path = text(path);
                if self.is_folder(&path) {
                    return Err(Trouble::Conflict);
                }
                let file = self.0.get_mut(&path).ok_or(Trouble::NotFound)?;
                if file.0 == FileMode::Submodule {
                    return Err(Trouble::Mode);
                }
                file.0 = *mode;
            }
        }
        Ok(())
    }
}

const PATHS: &[&str] = &[
    "a", "a/b", "a/b/c", "a/c", "a.x", "a-x", "a0", "d/e", "d/f", "d/g/h", "d/g/i", "d/g", "d",
    "z/y/x/w", "z/y/v", "z", "é",
];

fn made_up_action(dice: &mut Dice, submodule: ObjectId) -> Action {
    let path = dice.pick(PATHS);
    let mode = dice.pick(&[FileMode::File, FileMode::Executable, FileMode::Symlink]);
    match dice.below(20) {
        0..=8 => put(
            path,
            &format!("one {} two {}", dice.below(4), dice.below(4)),
        ),
        9 => Action::Put {
            path: path.into(),
            content: Content::Bytes(Bytes::from(format!("{}", dice.below(3)))),
            mode: Some(mode),
        },
        10 => Action::Put {
            path: path.into(),
            content: Content::Object(submodule),
            mode: Some(FileMode::Submodule),
        },
        11..=13 => delete(path),
        14..=16 => rename(path, dice.pick(PATHS)),
        17 => chmod(path, mode),
        18 => edit(path, "one", "two one", 1),
        _ => edit(path, "two", "2", 1 + dice.below(2) as u64),
    }
}

fn commits_agree(format: ObjectFormat, seed: u64, commits: usize) -> [usize; 2] {
    let mut dice = Dice::new(seed);
    let mut bench = Bench::new(format);
    let submodule = ObjectId::from_hex(&vec![b'5'; format.len_in_hex()]).unwrap();
    let mut model = Model::default();
    let mut stream = String::new();
    let mut made = Vec::new();
    let mut counts = [0, 0];
    for number in 0..commits {
        let actions: Vec<Action> = match dice.below(10) {
            // Many at once: another way through the trees.
            0 => (0..30)
                .map(|n| {
                    put(
                        &format!("{}/{n}", dice.pick(&["many", "many/more", "a"])),
                        "x",
                    )
                })
                .collect(),
            _ => (0..1 + dice.below(4))
                .map(|_| made_up_action(&mut dice, submodule))
                .collect(),
        };
        let mut after = model.clone();
        let expected = actions
            .iter()
            .try_for_each(|action| after.apply(action, submodule.to_string().as_bytes()));
        let message = format!("commit {number}\n");
        let answer = bench.commit(request(&message, actions.clone()));
        let trouble = match &answer {
            Ok(_) => None,
            Err(CommitError::NothingToCommit) => {
                assert_eq!(after, model, "seed {seed}: {actions:?}");
                None
            }
            Err(CommitError::PathNotFound { .. }) => Some(Trouble::NotFound),
            Err(CommitError::PathConflict { .. }) => Some(Trouble::Conflict),
            Err(CommitError::EditNotFound { .. }) => Some(Trouble::Edit),
            Err(CommitError::ModeInvalid { .. }) => Some(Trouble::Mode),
            Err(error) => panic!("seed {seed}: {actions:?}: {error}"),
        };
        assert_eq!(
            expected.err(),
            trouble,
            "seed {seed}: {actions:?} on {model:?}"
        );
        counts[usize::from(answer.is_ok())] += 1;
        let Ok(commit) = answer else { continue };
        assert_ne!(after, model, "seed {seed}: {actions:?}");
        model = after;
        made.push(commit.id);
        stream.push_str(&format!(
            "commit refs/heads/main\nauthor Ada <ada@example.org> 1700000000 +0200\n\
             committer Ada <ada@example.org> 1700000000 +0200\ndata {}\n{message}deleteall\n",
            message.len()
        ));
        for (path, (mode, content)) in &model.0 {
            let content = std::str::from_utf8(content).unwrap();
            let mode_bits = mode.bits();
            if *mode == FileMode::Submodule {
                stream.push_str(&format!("M {mode_bits:o} {content} {path}\n"));
            } else {
                let length = content.len();
                stream.push_str(&format!(
                    "M {mode_bits:o} inline {path}\ndata {length}\n{content}\n"
                ));
            }
        }
        stream.push('\n');
    }
    let repo = GitRepo::new(format);
    repo.import(stream.as_bytes());
    let expected = repo.lines(&["rev-list", "--reverse", "main"]);
    let made: Vec<String> = made.iter().map(ToString::to_string).collect();
    assert_eq!(made, expected, "seed {seed}");
    counts
}

#[test]
fn commits_are_gits_and_a_plain_maps() {
    let mut counts = [0, 0];
    for seed in 0..24 {
        let format = match seed % 4 {
            0 => ObjectFormat::Sha256,
            _ => ObjectFormat::Sha1,
        };
        let more = commits_agree(format, seed, 60);
        counts = [counts[0] + more[0], counts[1] + more[1]];
    }
    assert!(
        counts[0] > 200 && counts[1] > 200,
        "refused, made: {counts:?}"
    );
}

#[test]
fn a_large_folder_is_edited_by_small_deltas() {
    let mut bench = Bench::new(ObjectFormat::Sha1);
    let files = (0..2000).map(|n| put(&format!("flat/{n}"), "0")).collect();
    bench.commit(request("many", files)).unwrap();
    let mut bytes = 0;
    for n in 0..200 {
        let path = format!("flat/{}", n * 7);
        bench
            .commit(request("one", vec![put(&path, &format!("{n} x"))]))
            .unwrap();
        bytes += bench
            .brought
            .iter()
            .map(|object| match &object.body {
                ObjectBody::Whole(data) => data.len(),
                ObjectBody::Delta { delta, .. } => delta.len(),
                ObjectBody::Elsewhere => 0,
            })
            .sum::<usize>();
    }
    assert!(bytes / 200 < 500, "{} bytes a commit", bytes / 200);
}

#[test]
fn a_branch_begins_where_it_may() {
    let mut bench = Bench::new(ObjectFormat::Sha1);
    let branch = |name: &str, start: Start, message: &str| CommitRequest {
        branch: RefName::branch(name),
        start,
        ..request(message, vec![put(message, message)])
    };
    // Any branch of an empty repository, not only the default one.
    let other = bench.commit(branch("other", Start::Existing, "1")).unwrap();
    assert_eq!(other.parent, None);
    // The default branch is still unborn.
    let main = bench.commit(branch("main", Start::Existing, "2")).unwrap();
    assert_eq!(main.parent, None);
    let error = bench
        .commit(branch("third", Start::Existing, "3"))
        .unwrap_err();
    assert_eq!(error.to_string(), "there is no branch refs/heads/third");
    let third = bench
        .commit(branch("third", Start::At(main.id), "4"))
        .unwrap();
    assert_eq!(third.parent, Some(main.id));
    let error = bench
        .commit(branch("third", Start::At(main.id), "5"))
        .unwrap_err();
    assert_eq!(error.to_string(), "refs/heads/third exists");
    let error = bench
        .commit(branch("third", Start::Unrelated, "5"))
        .unwrap_err();
    assert_eq!(error.to_string(), "refs/heads/third exists");
    let island = bench
        .commit(branch("island", Start::Unrelated, "6"))
        .unwrap();
    assert_eq!((island.parent, island.parent_tree), (None, None));
}

#[test]
fn a_belief_that_does_not_hold_goes_to_the_door() {
    let mut bench = Bench::new(ObjectFormat::Sha1);
    let first = bench.commit(request("1", vec![put("a", "1")])).unwrap();
    let other = ObjectId::null(ObjectFormat::Sha1);
    for expected in [Expected::At(other), Expected::Absent] {
        let request = CommitRequest {
            expected,
            ..request("2", vec![put("a", "2")])
        };
        let mut proposal = NewCommitOnBranch::new(&bench.view(), request).unwrap();
        let receipt = proposal.receipt();
        let change = proposal.propose(&bench.refs, &bench.pool).unwrap();
        assert!(change.objects.inline.is_empty());
        assert!(receipt.take().is_none());
        let [
            Edit::Ref(RefEdit {
                expected: stated, ..
            }),
        ] = &change.edits[..]
        else {
            panic!("{:?}", change.edits)
        };
        assert_eq!(*stated, expected);
    }
    let held = CommitRequest {
        expected: Expected::At(first.id),
        ..request("2", vec![put("a", "2")])
    };
    assert_eq!(bench.commit(held).unwrap().parent, Some(first.id));
}

#[test]
fn nothing_is_committed_only_when_asked_for() {
    let mut bench = Bench::new(ObjectFormat::Sha1);
    let empty = |actions| CommitRequest {
        allow_empty: true,
        ..request("empty", actions)
    };
    assert!(matches!(
        bench.commit(request("none", vec![])),
        Err(CommitError::NothingToCommit)
    ));
    let root = bench.commit(empty(vec![])).unwrap();
    assert_eq!(root.tree, ObjectId::empty_tree(ObjectFormat::Sha1));
    assert!(bench.pool.contains(&root.tree));
    bench.commit(request("a", vec![put("d/a", "1")])).unwrap();
    let same = bench.commit(request("same", vec![put("d/a", "1")]));
    assert!(matches!(same, Err(CommitError::NothingToCommit)));
    let back = bench.commit(request("back", vec![put("d/a", "2"), put("d/a", "1")]));
    assert!(matches!(back, Err(CommitError::NothingToCommit)));
    let again = bench.commit(empty(vec![])).unwrap();
    assert_eq!(Some(again.tree), again.parent_tree);
    let bare = bench
        .commit(request("all gone", vec![delete("d")]))
        .unwrap();
    assert_eq!(bare.tree, ObjectId::empty_tree(ObjectFormat::Sha1));
}

#[test]
fn what_the_same_request_took_away_is_not_brought() {
    let mut bench = Bench::new(ObjectFormat::Sha1);
    bench
        .commit(request(
            "1",
            vec![
                put("a", "secret"),
                put("a", "public"),
                put("b", "gone"),
                delete("b"),
                put("c", "moved"),
                rename("c", "d/e"),
            ],
        ))
        .unwrap();
    let blobs: Vec<_> = bench
        .brought
        .iter()
        .filter(|object| object.kind == govc_git::ObjectKind::Blob)
        .map(|object| object.body.clone())
        .collect();
    let whole = |text: &'static str| ObjectBody::Whole(Bytes::from_static(text.as_bytes()));
    assert_eq!(blobs, [whole("public"), whole("moved")]);
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let mut bench = Bench::new(ObjectFormat::Sha1);
    bench
        .commit(request("1", vec![put("a", "aaaa"), put("d/e", "1")]))
        .unwrap();
    let unknown = ObjectId::null(ObjectFormat::Sha1);
    let object = |path: &str, mode| Action::Put {
        path: path.into(),
        content: Content::Object(unknown),
        mode,
    };
    let mut check = |actions: Vec<Action>, expected: &str| {
        let error = bench.commit(request("2", actions)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let no_blob = "there is no blob 0000000000000000000000000000000000000000";
    check(vec![object("x", Some(FileMode::File))], no_blob);
    check(vec![object("x", None)], no_blob);
    check(
        vec![Action::Put {
            path: b"x".to_vec(),
            content: Content::Bytes(Bytes::new()),
            mode: Some(FileMode::Submodule),
        }],
        "\"x\" cannot have mode 160000: a submodule is a commit's id, not content",
    );
    check(
        vec![edit("a", "", "x", 1)],
        "edit 0 of \"a\" looks for an empty text",
    );
    check(
        vec![edit("a", "a", "b", 3)],
        "edit 0 of \"a\" found its text 4 times, not 3",
    );
    check(
        vec![edit("a", "a", &"b".repeat(1 << 19), 4)],
        "\"a\" would have 2097152 bytes, of at most 1048576",
    );
    check(vec![put("a/b", "x")], "\"a\" is in the way of \"a/b\"");
    check(vec![put("d", "x")], "\"d\" is in the way of \"d\"");
    check(vec![rename("d", "d/f")], "\"d\" is in the way of \"d/f\"");
    check(vec![delete("x")], "there is nothing at \"x\"");
    for path in [
        "",
        "/a",
        "a//b",
        "a/",
        "../a",
        "a/.",
        ".git/x",
        "x/.GIT",
        "git~1",
        ".g\u{200c}it",
    ] {
        let error = bench
            .commit(request("2", vec![put(path, "x")]))
            .unwrap_err();
        assert!(
            matches!(error, CommitError::PathInvalid { .. }),
            "{path}: {error}"
        );
    }
    let error = bench
        .commit(request("\n \n", vec![put("a", "x")]))
        .unwrap_err();
    assert!(matches!(error, CommitError::MessageEmpty));
}

#[test]
fn what_git_fsck_refuses_is_not_committed() {
    let mut bench = Bench::new(ObjectFormat::Sha1);
    let bad = "[submodule \"../x\"]\n\turl = https://example.org/x\n";
    let link = |path: &str| Action::Put {
        path: path.into(),
        content: Content::Bytes(Bytes::from_static(b"elsewhere")),
        mode: Some(FileMode::Symlink),
    };
    bench
        .commit(request(
            "1",
            vec![put("fine", bad), put(".gitmodules", "# fine\n")],
        ))
        .unwrap();
    let name = "gitmodulesName: disallowed submodule name: ../x";
    let symlink = "gitmodulesSymlink: .gitmodules is a symbolic link";
    for (actions, expected) in [
        (
            vec![put("d/.gitmodules", bad)],
            format!("\".gitmodules\" is refused: {name}"),
        ),
        (
            vec![put("GITMOD~1", bad)],
            format!("\"GITMOD~1\" is refused: {name}"),
        ),
        (
            vec![rename("fine", "d/.GitModules")],
            format!("\".GitModules\" is refused: {name}"),
        ),
        (
            vec![edit(".gitmodules", "# fine\n", bad, 1)],
            format!("\".gitmodules\" is refused: {name}"),
        ),
        (
            vec![link(".gitmodules")],
            format!("\".gitmodules\" is refused: {symlink}"),
        ),
        (
            vec![chmod(".gitmodules", FileMode::Symlink)],
            format!("\".gitmodules\" is refused: {symlink}"),
        ),
    ] {
        let error = bench.commit(request("2", actions)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    bench
        .commit(request("2", vec![put(".gitignore", "x"), link("link")]))
        .unwrap();
}

#[test]
fn a_blob_that_is_known_is_put_by_its_id() {
    let mut bench = Bench::new(ObjectFormat::Sha1);
    bench.commit(request("1", vec![put("a", "1")])).unwrap();
    let blob = bench.brought[0].id;
    let put_known = |path: &str, mode| Action::Put {
        path: path.into(),
        content: Content::Object(blob),
        mode,
    };
    bench
        .commit(request(
            "2",
            vec![
                put_known("b", None),
                put_known("c", Some(FileMode::Symlink)),
            ],
        ))
        .unwrap();
    // What a deleted branch had is not known any more.
    let other = CommitRequest {
        branch: RefName::branch("other"),
        start: Start::Unrelated,
        ..request("3", vec![put("x", "secret")])
    };
    bench.commit(other).unwrap();
    let secret = bench.brought[0].id;
    bench.refs.set(RefName::branch("other"), Target::Gone);
    let steal = Action::Put {
        path: b"stolen".to_vec(),
        content: Content::Object(secret),
        mode: None,
    };
    let error = bench.commit(request("4", vec![steal])).unwrap_err();
    assert!(matches!(error, CommitError::BlobNotFound { id } if id == secret));
}
