"""The steps of the matrix (../main.rs) with dulwich."""

import os
import sys

from dulwich import porcelain
from dulwich.client import get_transport_and_path
from dulwich.repo import Repo

UNSHALLOW = 2147483647


def ls_remote(url):
    for name, oid in porcelain.ls_remote(url).refs.items():
        if oid is not None:
            print(f"{oid.decode()}\t{name.decode()}")


def fetch_branch(folder, branch, depth=None):
    """What porcelain has no words for: one branch alone, cut or not."""
    ref = b"refs/heads/" + branch.encode()
    repo = Repo(folder)
    url = repo.get_config().get((b"remote", b"origin"), b"url").decode()
    client, path = get_transport_and_path(url)
    result = client.fetch(
        path,
        repo,
        determine_wants=lambda refs, depth=None: [refs[ref]],
        ref_prefix=[ref],
        depth=depth,
    )
    repo.refs[b"refs/remotes/origin/" + branch.encode()] = result.refs[ref]
    repo.refs[ref] = result.refs[ref]
    repo.refs.set_symbolic_ref(b"HEAD", ref)


def clone_branch(url, folder, branch, depth=None):
    os.mkdir(folder)
    repo = Repo.init(folder)
    config = repo.get_config()
    config.set((b"remote", b"origin"), b"url", url.encode())
    config.write_to_path()
    fetch_branch(folder, branch, depth)


def push(folder, url, *words):
    flags = [w for w in words if w.startswith("--")]
    options = [w.removeprefix("--push-option=") for w in flags if "=" in w]
    result = porcelain.push(
        folder,
        url,
        [w for w in words if not w.startswith("--")],
        push_options=options or None,
        atomic="--atomic" in flags,
    )
    refused = {ref: why for ref, why in (result.ref_status or {}).items() if why}
    if refused:
        raise SystemExit(f"refused: {refused}")


step, *words = sys.argv[1:]
match step:
    case "ls-remote":
        ls_remote(*words)
    case "clone":
        porcelain.clone(*words)
    case "clone-branch":
        clone_branch(*words)
    case "clone-depth":
        clone_branch(words[0], words[1], "main", int(words[2]))
    case "clone-filter":
        porcelain.clone(words[0], words[1], filter_spec=words[2], checkout=False)
    case "fetch":
        porcelain.fetch(words[0], "origin", include_tags=True)
    case "deepen":
        fetch_branch(words[0], "main", int(words[1]))
    case "unshallow":
        fetch_branch(words[0], "main", UNSHALLOW)
    case "push":
        push(*words)
    case _:
        raise SystemExit(f"no step {step}")
