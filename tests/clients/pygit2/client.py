"""The steps of the matrix (../main.rs) with pygit2, that is libgit2."""

import sys

import pygit2

UNSHALLOW = 2147483647


class Report(pygit2.RemoteCallbacks):
    """Turns a refused ref into an error: libgit2 only mentions it."""

    def __init__(self):
        super().__init__()
        self.refused = []

    def push_update_reference(self, refname, message):
        if message is not None:
            self.refused.append(f"{refname}: {message}")


def ls_remote(url):
    remote = pygit2.init_repository(".ls", bare=True).remotes.create_anonymous(url)
    for head in remote.list_heads():
        print(f"{head.oid}\t{head.name}")


def clone_branch(url, folder, branch):
    repo = pygit2.init_repository(folder)
    remote_ref = f"refs/remotes/origin/{branch}"
    spec = f"+refs/heads/{branch}:{remote_ref}"
    repo.remotes.create("origin", url, spec).fetch()
    repo.create_branch(branch, repo[repo.references[remote_ref].target])
    repo.checkout(f"refs/heads/{branch}")


def fetch(folder):
    pygit2.Repository(folder).remotes["origin"].fetch(
        ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
    )


def deepen(folder, depth):
    remote = pygit2.Repository(folder).remotes["origin"]
    remote.fetch(["+refs/heads/main:refs/remotes/origin/main"], depth=depth)


def push(folder, url, *words):
    options = [w.removeprefix("--push-option=") for w in words if w.startswith("--")]
    specs = [w for w in words if not w.startswith("--")]
    repo = pygit2.Repository(folder)
    report = Report()
    remote = repo.remotes.create_anonymous(url)
    remote.push(specs, callbacks=report, push_options=options or None)
    if report.refused:
        raise SystemExit("\n".join(report.refused))


step, *words = sys.argv[1:]
match step:
    case "ls-remote":
        ls_remote(*words)
    case "clone":
        pygit2.clone_repository(*words)
    case "clone-branch":
        clone_branch(*words)
    case "clone-depth":
        pygit2.clone_repository(words[0], words[1], depth=int(words[2]))
    case "fetch":
        fetch(*words)
    case "deepen":
        deepen(words[0], int(words[1]))
    case "unshallow":
        deepen(words[0], UNSHALLOW)
    case "push":
        push(*words)
    case _:
        raise SystemExit(f"no step {step}")
