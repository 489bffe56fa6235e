//! What operations are called. Clients are made from the document: each name becomes a function
//! of theirs (`ListBranches`, `listBranches`, `list_branches`), and stays what it is.

use http::Method;

/// Method, path below `/api/v1` or from the root, name.
const NAMES: &[(Method, &str, &str)] = &[
    (Method::GET, "/health", "get_health"),
    (Method::GET, "/health/live", "get_liveness"),
    (Method::GET, "/health/ready", "get_readiness"),
    (Method::GET, "/version", "get_version"),
    (Method::GET, "/events", "stream_all_events"),
    (Method::POST, "/transactions", "change_many_repos"),
    (Method::GET, "/repos", "list_repos"),
    (Method::POST, "/repos", "create_repo"),
    (Method::GET, "/repos/{repo}", "get_repo"),
    (Method::PATCH, "/repos/{repo}", "update_repo"),
    (Method::DELETE, "/repos/{repo}", "delete_repo"),
    (Method::POST, "/repos/{repo}/restore", "restore_repo"),
    (Method::POST, "/repos/{repo}/fork", "fork_repo"),
    (Method::GET, "/repos/{repo}/read/{path}", "read_file"),
    (Method::GET, "/repos/{repo}/tree", "list_root_tree"),
    (Method::GET, "/repos/{repo}/tree/{path}", "list_tree"),
    (Method::GET, "/repos/{repo}/diff", "diff"),
    (Method::GET, "/repos/{repo}/blame/{path}", "blame_file"),
    (Method::GET, "/repos/{repo}/archive/{name}", "get_archive"),
    (Method::GET, "/repos/{repo}/bundle", "get_bundle"),
    (Method::GET, "/repos/{repo}/workspaces", "list_workspaces"),
    (Method::POST, "/repos/{repo}/workspaces", "create_workspace"),
    (
        Method::DELETE,
        "/repos/{repo}/workspaces/{name}",
        "delete_workspace",
    ),
    (Method::GET, "/repos/{repo}/status", "get_status"),
    (Method::POST, "/repos/{repo}/add", "add_files"),
    (Method::POST, "/repos/{repo}/write", "write_files"),
    (Method::DELETE, "/repos/{repo}/remove/{path}", "remove_file"),
    (Method::POST, "/repos/{repo}/move", "move_file"),
    (Method::POST, "/repos/{repo}/checkout", "checkout"),
    (Method::POST, "/repos/{repo}/reset", "reset"),
    (Method::POST, "/repos/{repo}/commit", "commit_staged"),
    (Method::POST, "/repos/{repo}/continue", "continue_operation"),
    (Method::POST, "/repos/{repo}/abort", "abort_operation"),
    (Method::GET, "/repos/{repo}/stash", "list_stashes"),
    (Method::POST, "/repos/{repo}/stash", "create_stash"),
    (Method::GET, "/repos/{repo}/stash/{id}", "get_stash"),
    (Method::DELETE, "/repos/{repo}/stash/{id}", "drop_stash"),
    (
        Method::POST,
        "/repos/{repo}/stash/{id}/apply",
        "apply_stash",
    ),
    (
        Method::POST,
        "/repos/{repo}/transaction",
        "begin_transaction",
    ),
    (
        Method::GET,
        "/repos/{repo}/transaction/{id}",
        "get_transaction",
    ),
    (
        Method::POST,
        "/repos/{repo}/transaction/{id}/add",
        "add_files_in_transaction",
    ),
    (
        Method::POST,
        "/repos/{repo}/transaction/{id}/remove",
        "remove_files_in_transaction",
    ),
    (
        Method::POST,
        "/repos/{repo}/transaction/{id}/move",
        "move_file_in_transaction",
    ),
    (
        Method::POST,
        "/repos/{repo}/transaction/{id}/validate",
        "validate_transaction",
    ),
    (
        Method::POST,
        "/repos/{repo}/transaction/{id}/commit",
        "commit_transaction",
    ),
    (
        Method::POST,
        "/repos/{repo}/transaction/{id}/rollback",
        "roll_back_transaction",
    ),
    (Method::POST, "/repos/{repo}/commits", "create_commit"),
    (Method::GET, "/repos/{repo}/commits/{rev}", "get_commit"),
    (Method::GET, "/repos/{repo}/log", "list_commits"),
    (
        Method::GET,
        "/repos/{repo}/compare/{revs}",
        "compare_commits",
    ),
    (Method::POST, "/repos/{repo}/merge", "merge"),
    (Method::GET, "/repos/{repo}/merge-base", "get_merge_base"),
    (Method::POST, "/repos/{repo}/cherry-pick", "cherry_pick"),
    (Method::POST, "/repos/{repo}/revert", "revert"),
    (Method::POST, "/repos/{repo}/rebase", "rebase"),
    (Method::GET, "/repos/{repo}/branches", "list_branches"),
    (Method::POST, "/repos/{repo}/branches", "create_branch"),
    (Method::GET, "/repos/{repo}/branches/{name}", "get_branch"),
    (
        Method::DELETE,
        "/repos/{repo}/branches/{name}",
        "delete_branch",
    ),
    (Method::GET, "/repos/{repo}/tags", "list_tags"),
    (Method::POST, "/repos/{repo}/tags", "create_tag"),
    (Method::GET, "/repos/{repo}/tags/{name}", "get_tag"),
    (Method::DELETE, "/repos/{repo}/tags/{name}", "delete_tag"),
    (Method::GET, "/repos/{repo}/refs", "list_refs"),
    (Method::POST, "/repos/{repo}/refs", "update_refs"),
    (Method::GET, "/repos/{repo}/refs/{name}", "get_ref"),
    (Method::PUT, "/repos/{repo}/refs/{name}", "put_ref"),
    (Method::DELETE, "/repos/{repo}/refs/{name}", "delete_ref"),
    (
        Method::GET,
        "/repos/{repo}/search/commits",
        "search_commits",
    ),
    (
        Method::GET,
        "/repos/{repo}/search/content",
        "search_content",
    ),
    (Method::GET, "/repos/{repo}/search/files", "search_files"),
    (Method::POST, "/repos/{repo}/grep", "grep"),
    (
        Method::POST,
        "/repos/{repo}/parallel-realities",
        "create_realities",
    ),
    (
        Method::GET,
        "/repos/{repo}/parallel-realities",
        "list_realities",
    ),
    (
        Method::POST,
        "/repos/{repo}/parallel-realities/compare",
        "compare_realities",
    ),
    (
        Method::GET,
        "/repos/{repo}/parallel-realities/conflicts",
        "list_reality_conflicts",
    ),
    (
        Method::GET,
        "/repos/{repo}/parallel-realities/{reality}",
        "get_reality",
    ),
    (
        Method::DELETE,
        "/repos/{repo}/parallel-realities/{reality}",
        "discard_reality",
    ),
    (
        Method::POST,
        "/repos/{repo}/parallel-realities/{reality}/apply",
        "apply_to_reality",
    ),
    (
        Method::POST,
        "/repos/{repo}/parallel-realities/{reality}/results",
        "attach_results",
    ),
    (
        Method::GET,
        "/repos/{repo}/parallel-realities/{reality}/benchmark",
        "get_benchmark",
    ),
    (
        Method::POST,
        "/repos/{repo}/parallel-realities/{reality}/promote",
        "promote_reality",
    ),
    (Method::GET, "/repos/{repo}/history", "list_changes"),
    (
        Method::GET,
        "/repos/{repo}/time-travel/{at}",
        "list_refs_at",
    ),
    (
        Method::GET,
        "/repos/{repo}/time-travel/{at}/read/{path}",
        "read_file_at",
    ),
    (
        Method::GET,
        "/repos/{repo}/time-travel/{at}/tree",
        "list_root_tree_at",
    ),
    (
        Method::GET,
        "/repos/{repo}/time-travel/{at}/tree/{path}",
        "list_tree_at",
    ),
    (Method::POST, "/repos/{repo}/undo", "undo"),
    (Method::POST, "/repos/{repo}/rewind", "rewind"),
    (Method::GET, "/repos/{repo}/hooks", "list_hooks"),
    (Method::POST, "/repos/{repo}/hooks", "create_hook"),
    (Method::GET, "/repos/{repo}/hooks/{id}", "get_hook"),
    (Method::PATCH, "/repos/{repo}/hooks/{id}", "update_hook"),
    (Method::DELETE, "/repos/{repo}/hooks/{id}", "delete_hook"),
    (
        Method::GET,
        "/repos/{repo}/hooks/{id}/deliveries",
        "list_deliveries",
    ),
    (
        Method::POST,
        "/repos/{repo}/hooks/{id}/deliveries/{delivery}/redeliver",
        "redeliver",
    ),
    (Method::POST, "/repos/{repo}/hooks/{id}/ping", "ping_hook"),
    (Method::GET, "/repos/{repo}/events", "stream_events"),
];

/// The name of `method path`. One that is not in the table is made of both, and a test says so.
pub(super) fn operation_id(method: &Method, path: &str) -> String {
    let below = path.strip_prefix("/api/v1").unwrap_or(path);
    let known = NAMES
        .iter()
        .find(|(known, of, _)| known == method && *of == below);
    if let Some((.., name)) = known {
        return (*name).to_owned();
    }
    let words = below
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut id = method.as_str().to_ascii_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_of_its_own_is_called_by_method_and_path() {
        let id = |path| operation_id(&Method::PUT, path);
        assert_eq!(id("/api/v1/repos/{repo}/refs/{name}"), "put_ref");
        assert_eq!(id("/api/v1/repos/{repo}/no-such"), "put_repos_repo_no_such");
    }
}
