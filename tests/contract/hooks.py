"""What schemathesis cannot know: values that mean something here, and what the examples name.

Loaded by `schemathesis --config-file schemathesis.toml`, whose environment says where the server
is (`GOVC_URL`) and where to write which operations answered a 2xx (`GOVC_ANSWERED`).
"""

import atexit
import collections
import json
import os
import re
import threading

import schemathesis
from hypothesis import strategies as st
from schemathesis.core import NOT_SET

from data import BRANCHES, HELLO, Server

TOKEN = os.environ.get("GOVC_TOKEN")
SERVER = Server(os.environ["GOVC_URL"], {"Authorization": f"Bearer {TOKEN}"} if TOKEN else None)
IS_STATEFUL = os.environ.get("GOVC_PHASES") == "stateful"
SERVER.fill()

# Formats that are not in JSON Schema's list. What is there is asked for more often than what
# is not; all of it is what the server takes for well-formed.
word = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,9}", fullmatch=True)
oid = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)
revision = st.sampled_from(
    ["main", "dev", "HEAD", "v1", "main~1", "refs/heads/main", "v1^{commit}", "@", "theirs"]
)
path = st.sampled_from(["README.md", "src", "src/main.rs", "src/lib.rs", "logo", "dev.txt"])
moment = st.sampled_from(["1", "2", "5", "2024-05-01", "2199-01-01", "2199-01-01T10:00:00+02:00"])


def mostly(known, other):
    return st.one_of(known, known, known, other)


pairs = st.tuples(revision, revision).map("...".join)
archives = st.tuples(revision, st.sampled_from([".tar.gz", ".zip", ".tar"])).map("".join)
branches = st.sampled_from(["main", "dev", *BRANCHES])
refs = st.one_of(branches.map("heads/{}".format), st.sampled_from(["tags/v1", "tags/gone"]))
FORMATS = {
    "repository-id": mostly(st.just("hello"), word.map("new-{}".format)),
    "revision": mostly(revision, st.one_of(word, oid)),
    "revision-pair": pairs,
    "archive-name": archives,
    "branch-name": mostly(branches, word.map("fresh-{}".format)),
    "ref-name": mostly(refs, word.map("heads/{}".format)),
    "file-path": mostly(path, st.tuples(word, word).map("/".join)),
    "moment": moment,
    "time": st.sampled_from(["2024-05-01", "2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00Z"]),
    "workspace-name": mostly(st.sampled_from(["default", "dirty", "old", "stopped"]), word),
    "reality-name": mostly(st.sampled_from(["open", "other"]), word),
    "object-id": mostly(st.sampled_from(SERVER.commits), oid),
    "full-ref-name": refs.map("refs/{}".format),
    # These stand for something that has to be made first.
    "transaction-id": mostly(st.just("transaction"), word),
    "stash-id": mostly(st.just("stash"), oid),
    "hook-id": mostly(st.just("hook"), word),
    "delivery-id": mostly(st.just("delivery"), word),
    "cursor": st.just("cursor"),
    "entity-tags": st.sampled_from(["*", '"%s"' % ("0" * 40), 'W/"x"', '"a", "b"']),
    "uri": mostly(st.just("http://127.0.0.1:9/hook"), st.just("http://localhost/")),
}
for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)

answered = collections.defaultdict(collections.Counter)
lock = threading.Lock()
calls = 0
lost = False
# Parameters whose example is a word that stands for something that has to be made first.
STANDS_FOR = {"stash": "id", "hook": "id", "transaction": "id", "delivery": "delivery"}


@schemathesis.hook
def before_call(context, case, kwargs):
    global calls, lost
    with lock:
        calls += 1
        parameters = case.path_parameters or {}
        repo = parameters.get("repo")
        # Ids of repositories with nothing in them are learned from answers; all but what is about
        # such ones is more telling in `hello`.
        about_itself = case.operation.path.endswith(("/{repo}", "/restore"))
        if repo in ("deleted", "restored", "new", "fork") and not IS_STATEFUL and not about_itself:
            repo = parameters["repo"] = "hello"
        if repo in HELLO and not IS_STATEFUL and (lost or calls % 250 == 0):
            lost = False
            if not SERVER.is_whole(repo):
                SERVER.make(repo)
        spare(case, parameters, repo)
        for kind, name in STANDS_FOR.items():
            if repo in HELLO and parameters.get(name) == kind:
                first, second = SERVER.fresh(kind, repo, (case.query or {}).get("reality"))
                if first is not None:
                    parameters["id"] = first
                if second is not None:
                    parameters["delivery"] = second
        choose(case, repo)
        if case.operation.path.endswith(("/continue", "/abort")) and repo in HELLO:
            stop(case, repo)


def stop(case, repo):
    """What goes on with an operation mostly finds one that stopped."""
    query = case.query or {}
    if query.get("workspace", "default") not in ("default", "stopped"):
        return
    within = f"&reality={query['reality']}" if query.get("reality") in ("open", "other") else ""
    query["workspace"] = "stopped"
    SERVER.stop("/repos/" + repo.replace("/", "%2F"), within, calls, is_solved=calls % 3 > 0)


def spare(case, parameters, repo):
    """Keeps what examples name from what would have all that follows find nothing."""
    label = case.operation.label
    if label == "DELETE /api/v1/repos/{repo}" and repo in HELLO:
        parameters["repo"] = "deleted"
    if label == "PATCH /api/v1/repos/{repo}" and repo in HELLO and type(case.body) is dict:
        if isinstance(case.body.get("id"), str):
            case.body["id"] = repo
        if isinstance(case.body.get("settings"), dict):
            case.body["settings"].pop("quotas", None)


def choose(case, repo):
    """Of what does not go together leaves one, as `at` inside of a transaction; OpenAPI has no
    words for that. A number that nothing will reach soon is waited for for 10 s: once is enough,
    and a test of ours does it."""
    query = case.query or {}
    if IS_STATEFUL:
        # What was made or deleted in a rehearsal or in a reality was not so for who asks without.
        query.pop("dry_run", None)
        query.pop("reality", None)
    if query.get("cursor") == "cursor":
        del query["cursor"]
    if query.get("transaction") == "transaction":
        made = SERVER.fresh("transaction", repo, query.get("reality"))[0] if repo in HELLO else None
        if made is not None:
            query["transaction"] = made
        if "workspace" in query or "at" in query:
            del query["transaction"]
    if "workspace" in query and "at" in query:
        del query["workspace" if calls % 2 else "at"]
    if type(case.body) is dict:
        believe(case.body)
    headers = case.headers or {}
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[ -~]{1,200}", key):
        headers["Idempotency-Key"] = f"{key}-{calls}"
    least = headers.get("Govc-Min-Seq")
    if least is not None and str(least).isascii() and str(least).isdigit():
        headers["Govc-Min-Seq"] = "0"


def believe(body):
    """Of refs that are deleted or moved, some are what they are believed to be."""
    if "expected" in body and "expected_head" in body:
        del body["expected" if calls % 3 else "expected_head"]
    updates = body.get("updates")
    parts = [body, *(updates if isinstance(updates, list) else [])]
    for part in parts:
        if type(part) is not dict or calls % 4 == 0:
            continue
        for name in ("expected", "expected_head"):
            if name in part and part[name] is None:
                del part[name]
        if isinstance(part.get("new"), str) and re.fullmatch("[0-9a-f]{40}", part["new"]):
            part["new"] = SERVER.commits[0]


# What is well-formed by the document's schemas, and refused: what only its words say. Codes, and
# what the problem's detail begins with.
SAID_IN_WORDS = [
    # Names and paths are as git has them.
    ("REF_INVALID", ""),
    ("PATH_INVALID", ""),
    ("BODY_INVALID", r".*oid`: names nothing"),
    # One or the other, or one with the other.
    ("BODY_INVALID", r".*: (either |is missing|is `expected`|only an annotated tag)"),
    ("BODY_INVALID", r".*goes with `(oid|path)`"),
    ("QUERY_INVALID", r"(either |`expected_head` is `expected`)"),
    ("BODY_INVALID", r".*(does not go with|contradicts|is there twice|is in the batch twice)"),
    ("BODY_INVALID", r"`operations\[\d+\]`: missing field"),
    # Formats of our own.
    ("QUERY_INVALID", r"(is said in the body|`If-Match` is|`at` is|`cursor` is|`since`|`until`)"),
    ("BODY_INVALID", r"`(at|to)`: the number of a change"),
    ("BODY_INVALID", r"`(name|branches[^`]*|id|as)`: .*(letter|segment)"),
    ("BODY_INVALID", r"`settings\.(hide_refs|fsck_)"),
    ("BODY_INVALID", r"`settings\.fetch\.filters"),
    ("BODY_INVALID", r"`url`: it is not"),
    # Git's people and times: not before 1970, not without a name, no angle brackets.
    ("BODY_INVALID", r"`(author|committer|tagger)\.(name|email|time)`"),
    ("BODY_INVALID", r"(`message`: )?(.*is empty|a message has no NUL|.*only white)"),
    ("BODY_INVALID", r"`message`: what is left out"),
    ("BODY_INVALID", r"`on_conflict`: several repositories"),
    ("BODY_INVALID", r"`to` is missing"),
    # Lines that the file has; patterns that mean something.
    ("QUERY_INVALID", r"`start` and `end` are lines"),
    ("QUERY_INVALID", r"`(query|path)`: "),
    ("BODY_INVALID", r"`(pattern|paths)`: "),
    # Not base64, though it says so.
    ("BODY_INVALID", r"`[^`]*content`: not base64"),
    # 1.0 is an integer for JSON Schema, and no more than that.
    ("BODY_INVALID", r".*invalid type: floating point"),
]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if response.headers.get("idempotency-replayed"):
        return False
    if type(failure).__name__ == "EnsureResourceAvailability":
        # Not what was made, but what the body names beside it.
        return response.json().get("code") != "REALITY_NOT_FOUND" or case.body is NOT_SET
    if type(failure).__name__ == "AcceptedNegativeData":
        # The name of a flag alone is true.
        flags = (flag for flag, value in (case.query or {}).items() if value == "")
        if any(f"`{flag}`" in failure.message for flag in flags):
            return False
        # In a chain of requests what was meant to be right is sometimes held for wrong.
        if "Invalid component: positive test case" in failure.message:
            return False
        # Unknown headers are ignored, as HTTP has it.
        return "in header - object with unexpected" not in failure.message
    if type(failure).__name__ == "RejectedPositiveData":
        problem = response.json()
        said = [words for code, words in SAID_IN_WORDS if code == problem.get("code")]
        return not any(re.match(words, problem["detail"]) for words in said)
    return True


@schemathesis.hook
def after_call(context, case, response):
    global lost
    with lock:
        answered[case.operation.label][response.status_code] += 1
        if response.status_code == 404 and (case.path_parameters or {}).get("repo") in HELLO:
            lost = True


@schemathesis.check
def documented_codes(ctx, response, case):
    """A problem's code is one of those that the operation documents for the status."""
    if not response.headers.get("content-type", [""])[0].startswith("application/problem+json"):
        return
    responses = case.operation.definition.raw.get("responses", {})
    described = responses.get(str(response.status_code))
    if described is None:
        return  # status_code_conformance says so
    problem = response.json()
    assert problem["status"] == response.status_code, f"the problem says {problem['status']}"
    if problem["code"] not in described.get("x-codes", []):
        raise AssertionError(f"{problem['code']} is not documented for {response.status_code}")


@schemathesis.check
def nobody_is_told_nothing(ctx, response, case):
    """A problem is no stack trace, and says which request it happened to."""
    if response.headers.get("content-type", [""])[0].startswith("application/problem+json"):
        problem = response.json()
        for field in ("type", "title", "status", "detail", "instance", "code", "request_id"):
            assert field in problem, f"the problem has no {field}"
        assert "panicked" not in problem["detail"] and "src/" not in problem["title"]


@atexit.register
def write_answered():
    with open(os.environ["GOVC_ANSWERED"], "w", encoding="utf-8") as file:
        json.dump({label: dict(counts) for label, counts in answered.items()}, file, indent=1)
