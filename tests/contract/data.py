"""What is on the server when it is asked: the repositories that the document's examples name."""

import requests

ADA = {"name": "Ada", "email": "ada@example.org", "time": "2024-05-01T10:00:00+02:00"}
BOB = {"name": "Bob", "email": "bob@example.org", "time": "2024-05-02T10:00:00+02:00"}

# Repositories with the same in them. Nothing that destroys one is sent to them, except `rewound`.
HELLO = ("hello", "rewound", "group/hello")
BRANCHES = ("undone", "gone", "gone-too", "gone-three", "picked", "reverted", "rebased")
# How a workspace at `ours` comes to be stopped at a conflict with `theirs`.
STOPPERS = (
    ("merge", lambda theirs: {"from": theirs}),
    ("cherry-pick", lambda theirs: {"commits": [f"{theirs}~1..{theirs}"]}),
    ("revert", lambda theirs: {"commit": f"{theirs}~1"}),
    ("rebase", lambda theirs: {"onto": theirs}),
)


def commit(branch, message, path, content, person=ADA, **more):
    action = {"op": "put", "path": path, "content": content}
    people = {"author": person, "committer": person}
    return {"branch": branch, "message": message, "actions": [action], **people, **more}


class Server:
    """Calls of the data's own, beside those of the tests."""

    def __init__(self, url, headers=None):
        self.url = url + "/api/v1"
        self.session = requests.Session()
        self.session.headers.update(headers or {})
        # Commits that are in each of `HELLO`: the same, as people and dates are.
        self.commits = []

    def call(self, method, path, body=None, fails=False):
        answer = self.session.request(method, self.url + path, json=body)
        if not answer.ok and not fails:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more).json()

    def is_whole(self, repo):
        """Whether `repo` still has what examples need."""
        at = "/repos/" + repo.replace("/", "%2F")
        for path in ("/read/README.md?ref=main", "/branches/dev", "/read/src/main.rs"):
            if not self.call("GET", at + path, fails=True).ok:
                return False
        return self.call("GET", at, fails=True).json()["settings"]["fsck_skip"] == []

    def fill(self):
        for repo in HELLO:
            self.make(repo)
        for repo in ("deleted", "restored"):
            self.post("/repos", {"id": repo})
        self.call("DELETE", "/repos/restored")

    def make(self, repo):
        """Makes `repo` anew: change 1 and 2 are commits, change 3 is a branch."""
        at = "/repos/" + repo.replace("/", "%2F")
        self.call("DELETE", at, fails=True)
        self.post("/repos", {"id": repo})
        first = commit("main", "first", "README.md", "hello\n")
        first["actions"] += [
            {"op": "put", "path": "src/main.rs", "content": "fn main() {}\n"},
            {"op": "put", "path": "src/lib.rs", "content": "//! hello\n"},
            {"op": "put", "path": "logo", "content": "AAECAwQ=", "encoding": "base64"},
        ]
        second = commit("main", "second", "README.md", "hello\nworld\n", BOB)
        self.commits = [self.post(at + "/commits", new)["oid"] for new in (first, second)]
        for name in BRANCHES:
            self.post(at + "/branches", {"name": name})
        self.post(at + "/commits", commit("dev", "dev", "dev.txt", "dev\n", create_from="main~1"))
        more = commit("rebased", "more", "more.txt", "more\n")
        self.post(at + "/commits", more)
        for name in ("ours", "theirs"):
            self.post(at + "/commits", commit(name, name, "README.md", name, create_from="main"))
        self.post(at + "/tags", {"name": "v1", "message": "one", "tagger": ADA})
        self.post(at + "/tags", {"name": "gone"})
        for name in ("old", "dirty"):
            self.post(at + "/workspaces", {"name": name})
        self.stop(at, "", 0, is_solved=False)
        self.post(at + "/add?workspace=dirty", {"path": "README.md", "content": "dirty\n"})
        names = ["open", "other", "promoted", "discarded"]
        self.post(at + "/parallel-realities", {"branches": names})
        for name in names:
            apply = {"message": name, "actions": [{"op": "put", "path": "try", "content": name}]}
            self.post(f"{at}/parallel-realities/{name}/apply", apply)

    def stop(self, at, within, turn, is_solved):
        """Has the workspace `stopped` of the repository at `at` stop at a conflict, once more and
        each time in another way; `within` goes on with a query."""
        self.call("DELETE", f"{at}/workspaces/stopped?{within}", fails=True)
        ours = self.call("GET", f"{at}/refs/heads/ours?{within}", fails=True).json().get("oid")
        update = {"oid": ours}
        self.call("PUT", f"{at}/refs/heads/stopped?{within}", update, fails=True)
        new = {"name": "stopped", "ref": "stopped"}
        self.call("POST", f"{at}/workspaces?{within}", new, fails=True)
        route, body = STOPPERS[turn % len(STOPPERS)]
        body = {**body("theirs"), "keep_conflicts": True}
        self.call("POST", f"{at}/{route}?workspace=stopped{within}", body, fails=True)
        if is_solved:
            file = {"path": "README.md", "content": "solved\n"}
            self.call("POST", f"{at}/add?workspace=stopped{within}", file, fails=True)

    def fresh(self, kind, repo, reality=None):
        """The ids of a new stash, hook, transaction or delivery of `repo`: of the thing, and of
        the delivery."""
        at = "/repos/" + repo.replace("/", "%2F")
        within = f"&reality={reality}" if reality in ("open", "other") else ""
        if kind == "stash":
            name = "stashed"
            self.call("POST", f"{at}/workspaces?{within}", {"name": name}, fails=True)
            file = {"path": "stashed", "content": "stashed\n"}
            self.call("POST", f"{at}/add?workspace={name}{within}", file, fails=True)
            made = self.call("POST", f"{at}/stash?workspace={name}{within}", {}, fails=True)
            return made.json().get("id"), None
        if kind == "transaction":
            made = self.call("POST", f"{at}/transaction?{within}", {}, fails=True).json().get("id")
            file = {"path": "in-transaction", "content": f"{made}\n"}
            self.call("POST", f"{at}/transaction/{made}/add?{within}", file, fails=True)
            return made, None
        hooks = self.call("GET", at + "/hooks?limit=1", fails=True).json().get("items")
        if not hooks:
            new = {"url": "http://127.0.0.1:9/hook", "events": ["push"], "active": False}
            hooks = [self.call("POST", at + "/hooks", new, fails=True).json()]
        hook = hooks[0].get("id")
        if kind == "hook":
            return hook, None
        return hook, self.call("POST", f"{at}/hooks/{hook}/ping", fails=True).json().get("id")
