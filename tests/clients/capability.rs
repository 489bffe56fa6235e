//! What a client may be able to do, and how git is asked whether it was done.

use std::collections::BTreeSet;

use crate::fixture::MANY;
use crate::story::{Story, same};

macro_rules! capabilities {
    ($($name:ident: $words:literal, $story:ident;)*) => {
        /// What a client may be able to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Capability {
            $($name,)*
        }

        impl Capability {
            /// All, as the table lists them.
            pub const ALL: &[Capability] = &[$(Capability::$name,)*];

            /// What the table calls it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Capability::$name => $words,)*
                }
            }

            /// Lets the client do it.
            ///
            /// # Panics
            /// When something is otherwise than git has it.
            pub fn play(self, story: &Story<'_>) {
                match self {
                    $(Capability::$name => $story(story),)*
                }
            }
        }
    };
}

capabilities! {
    LsRemote: "ls-remote", ls_remote;
    Clone: "clone", clone;
    Shallow: "clone shallow", shallow;
    Partial: "clone partial", partial;
    SingleBranch: "single branch", single_branch;
    Fetch: "fetch", fetch;
    Deepen: "deepen", deepen;
    PushNew: "push new", push_new;
    FastForward: "push forward", fast_forward;
    Forced: "push forced", forced;
    Deleted: "push deleted", deleted;
    Tags: "push tags", tags;
    Atomic: "push atomic", atomic;
    PushOptions: "push options", push_options;
    ManyRefs: "push 2,000 refs", many_refs;
    Chunked: "push in chunks", chunked;
    Empty: "empty repository", empty;
    Sha256Clone: "SHA-256 clone", sha256_clone;
    Sha256Push: "SHA-256 push", sha256_push;
    Odd: "odd names, modes", odd;
}

const MAIN: (&str, &str) = ("refs/heads/main", "refs/heads/main");
const OLD_AS_MAIN: &str = "refs/heads/old:refs/heads/main";
const MAIN_AS_MAIN: &str = "refs/heads/main:refs/heads/main";

fn ls_remote(story: &Story<'_>) {
    let url = story.server.git_url("plain");
    let printed = story.step(&["ls-remote", &url]);
    let found: BTreeSet<String> = printed
        .lines()
        .map(|line| line.replace('\t', " "))
        .filter(|line| line.contains(" refs/") && !line.ends_with("^{}"))
        .collect();
    let expected = story.fixture.ask("plain", "show-ref");
    let expected: BTreeSet<String> = expected.lines().map(str::to_owned).collect();
    same(&found, &expected, "refs");
}

fn clone(story: &Story<'_>) {
    story.step(&["clone", &story.server.git_url("plain"), "c"]);
    story.is_whole("c", "plain");
}

/// What git itself has of `main` at this depth.
fn cut_by_git(story: &Story<'_>, depth: &str) -> BTreeSet<String> {
    let from = story.fixture.path("plain");
    let from = from.display();
    let name = format!("depth-{depth}");
    let line = format!("clone -q --bare --depth {depth} --no-tags file://{from} {name}");
    story.git.run(&line);
    story.objects(&name, "refs/heads/main")
}

fn shallow(story: &Story<'_>) {
    let url = story.server.git_url("plain");
    story.step(&["clone-depth", &url, "c", "3"]);
    story.git.fsck("c");
    let found = story.objects("c", "refs/remotes/origin/main");
    same(&found, &cut_by_git(story, "3"), "depth 3");
    assert!(story.is_cut("c"));
}

fn deepen(story: &Story<'_>) {
    let url = story.server.git_url("plain");
    story.step(&["clone-depth", &url, "c", "1"]);
    let main = "refs/remotes/origin/main";
    same(
        &story.objects("c", main),
        &cut_by_git(story, "1"),
        "depth 1",
    );
    story.step(&["deepen", "c", "4"]);
    story.git.fsck("c");
    same(
        &story.objects("c", main),
        &cut_by_git(story, "4"),
        "depth 4",
    );
    story.step(&["unshallow", "c"]);
    story.git.fsck("c");
    let whole = story.fixture.objects("plain", "main");
    same(&story.objects("c", main), &whole, "no longer shallow");
}

fn partial(story: &Story<'_>) {
    let url = story.server.git_url("plain");
    story.step(&["clone-filter", &url, "c", "blob:none"]);
    let kinds = "cat-file --batch-all-objects --batch-check=%(objecttype)";
    let count = |kinds: &str, kind: &str| kinds.lines().filter(|line| *line == kind).count();
    let found = story.git.run(&format!("-C c {kinds}"));
    let whole = story.fixture.ask("plain", kinds);
    assert_eq!(count(&found, "blob"), 0, "blobs");
    assert_eq!(count(&found, "commit"), count(&whole, "commit"), "commits");
    assert_eq!(count(&found, "tree"), count(&whole, "tree"), "trees");
    // What is missing can be had later: by git, whoever made the clone.
    story.git.run("-C c config remote.origin.promisor true");
    story
        .git
        .run("-C c config remote.origin.partialclonefilter blob:none");
    story.git.run("-C c config core.repositoryformatversion 1");
    story.git.run("-C c config extensions.partialclone origin");
    let read = story
        .git
        .run("-C c show refs/remotes/origin/main:README.md");
    assert_eq!(read, "# Version 23");
}

fn single_branch(story: &Story<'_>) {
    let url = story.server.git_url("plain");
    story.step(&["clone-branch", &url, "c", "topic/one"]);
    story.git.fsck("c");
    let mut expected = story.branches("plain");
    expected.retain(|line| line.ends_with(" topic/one"));
    same(&story.remote_branches("c"), &expected, "branches");
    let here = story.objects("c", "refs/remotes/origin/topic/one");
    same(
        &here,
        &story.fixture.objects("plain", "topic/one"),
        "objects",
    );
    let main = story.fixture.ask("plain", "rev-parse main");
    let other = story.git.attempt(&format!("-C c cat-file -e {main}"));
    assert!(!other.status.success(), "main came along");
}

fn fetch(story: &Story<'_>) {
    let url = story.empty();
    story.fixture.push("plain", &url, OLD_AS_MAIN);
    story.step(&["clone", &url, "c"]);
    let words = "refs/heads/*:refs/heads/* refs/tags/*:refs/tags/*";
    story.fixture.push("plain", &url, words);
    story.step(&["fetch", "c"]);
    story.git.fsck("c");
    same(
        &story.remote_branches("c"),
        &story.branches("plain"),
        "branches",
    );
    let tags = "for-each-ref --format='%(objectname) %(refname)' refs/tags";
    assert_eq!(
        story.git.run(&format!("-C c {tags}")),
        story.fixture.ask("plain", tags)
    );
    let found = story.objects("c", "--remotes --tags");
    same(&found, &story.fixture.objects("plain", "--all"), "objects");
    // And nothing is new.
    story.step(&["fetch", "c"]);
}

fn push_new(story: &Story<'_>) {
    let url = story.empty();
    story.source("plain");
    let topic = ("refs/heads/topic/one", "refs/heads/new/name");
    let spec = format!("{}:{}", topic.0, topic.1);
    story.step(&["push", "src", &url, MAIN_AS_MAIN, &spec]);
    story.is_there(&url, &[MAIN, topic]);
}

fn fast_forward(story: &Story<'_>) {
    let url = story.empty();
    story.source("plain");
    story.step(&["push", "src", &url, OLD_AS_MAIN]);
    story.is_there(&url, &[("refs/heads/old", "refs/heads/main")]);
    story.step(&["push", "src", &url, MAIN_AS_MAIN]);
    story.is_there(&url, &[MAIN]);
    // And nothing is new.
    story.step(&["push", "src", &url, MAIN_AS_MAIN]);
    story.is_there(&url, &[MAIN]);
}

fn forced(story: &Story<'_>) {
    let url = story.empty();
    story.source("plain");
    story.step(&["push", "src", &url, MAIN_AS_MAIN]);
    story.refused(&["push", "src", &url, "refs/heads/aside:refs/heads/main"]);
    story.is_there(&url, &[MAIN]);
    story.step(&["push", "src", &url, "+refs/heads/aside:refs/heads/main"]);
    story.is_there(&url, &[("refs/heads/aside", "refs/heads/main")]);
}

fn deleted(story: &Story<'_>) {
    let url = story.empty();
    story.source("plain");
    story.fixture.push("plain", &url, "main topic/one light");
    story.step(&[
        "push",
        "src",
        &url,
        ":refs/heads/topic/one",
        ":refs/tags/light",
    ]);
    story.is_there(&url, &[MAIN]);
}

fn tags(story: &Story<'_>) {
    let url = story.empty();
    story.source("plain");
    let names = ["refs/tags/light", "refs/tags/annotated"];
    let specs = names.map(|name| format!("{name}:{name}"));
    story.step(&["push", "src", &url, &specs[0], &specs[1]]);
    story.is_there(&url, &names.map(|name| (name, name)));
}

fn atomic(story: &Story<'_>) {
    let url = story.empty();
    story.source("plain");
    // A name below another's cannot be: the server refuses it, and the other one with it.
    let good = "refs/heads/aside:refs/heads/good";
    let below = "refs/heads/aside:refs/heads/main/below";
    story.step(&["push", "src", &url, "--atomic", MAIN_AS_MAIN]);
    story.refused(&["push", "src", &url, "--atomic", good, below]);
    story.is_there(&url, &[MAIN]);
    // Not atomic, the good one stays.
    story.refused(&["push", "src", &url, good, below]);
    story.is_there(&url, &[MAIN, ("refs/heads/aside", "refs/heads/good")]);
}

fn push_options(story: &Story<'_>) {
    let url = story.empty();
    story.source("plain");
    let options = "--push-option=reviewer=ada";
    story.step(&["push", "src", &url, options, MAIN_AS_MAIN]);
    story.is_there(&url, &[MAIN]);
}

fn many_refs(story: &Story<'_>) {
    let url = story.empty();
    story.source("many");
    let names: Vec<String> = (0..MANY).map(|n| format!("refs/heads/many/{n}")).collect();
    let specs: Vec<String> = names.iter().map(|name| format!("{name}:{name}")).collect();
    let mut words = vec!["push", "src", &url];
    words.extend(specs.iter().map(String::as_str));
    story.step(&words);
    let head = story.fixture.ask("plain", "rev-parse main");
    let expected: BTreeSet<String> = names.iter().map(|name| format!("{head} {name}")).collect();
    same(&story.refs_at(&url), &expected, "refs on the server");
    let listed = story.step(&["ls-remote", &url]);
    assert_eq!(listed.matches("\trefs/heads/many/").count(), MANY);
}

fn chunked(story: &Story<'_>) {
    let url = story.empty();
    story.source("large");
    story.step(&["push", "src", &url, MAIN_AS_MAIN]);
    story.is_there(&url, &[MAIN]);
}

fn empty(story: &Story<'_>) {
    let url = story.empty_on("trunk");
    assert_eq!(story.step(&["ls-remote", &url]), "");
    story.step(&["clone", &url, "c"]);
    assert_eq!(story.git.run("-C c for-each-ref"), "");
    if story.client.asks_for_unborn {
        assert_eq!(story.git.run("-C c symbolic-ref HEAD"), "refs/heads/trunk");
    }
}

fn sha256_clone(story: &Story<'_>) {
    let name = "plain-sha256";
    story.step(&["clone", &story.server.git_url(name), "c"]);
    story.is_whole("c", name);
}

fn sha256_push(story: &Story<'_>) {
    let url = story.empty_in("sha256");
    story.source("plain-sha256");
    story.step(&["push", "src", &url, MAIN_AS_MAIN]);
    story.is_there(&url, &[MAIN]);
}

fn odd(story: &Story<'_>) {
    let name = story.client.odd;
    story.step(&["clone", &story.server.git_url(name), "c"]);
    story.is_whole("c", name);
    if !story.client.pushes {
        return;
    }
    let url = story.empty();
    story.source(name);
    let refs = story.fixture.ask(name, "for-each-ref --format=%(refname)");
    let specs: Vec<String> = refs.lines().map(|name| format!("{name}:{name}")).collect();
    let mut words = vec!["push", "src", &url];
    words.extend(specs.iter().map(String::as_str));
    story.step(&words);
    let refs: Vec<(&str, &str)> = refs.lines().map(|name| (name, name)).collect();
    story.is_there(&url, &refs);
}
