//! The codes of problems: which statuses each has, and what it says.

/// Code, statuses, what happened.
type Code = (&'static str, &'static [u16], &'static str);

/// All that described operations answer with.
const CODES: &[Code] = &[
    (
        "NOTHING_IN_PROGRESS",
        &[409],
        "there is nothing to continue or to abort",
    ),
    (
        "AUTOSQUASH_NOT_KEPT",
        &[422],
        "`autosquash` does not go with `keep_conflicts`",
    ),
    (
        "WORKSPACE_ELSEWHERE",
        &[422],
        "the workspace has another branch",
    ),
    ("BODY_INVALID", &[400], "the body is not what this takes"),
    (
        "QUERY_INVALID",
        &[400],
        "a parameter or header is not what this takes",
    ),
    ("PATH_INVALID", &[400], "no tree may hold such a path"),
    (
        "REF_INVALID",
        &[400],
        "that is no name of a ref, or no revision",
    ),
    ("UNAUTHENTICATED", &[401], "the server wants a token"),
    ("REPO_NOT_FOUND", &[404], "there is no such repository"),
    (
        "REF_NOT_FOUND",
        &[404],
        "the revision or name names nothing",
    ),
    ("PATH_NOT_FOUND", &[404], "there is nothing at this path"),
    (
        "SEQ_NOT_FOUND",
        &[404],
        "the repository has no state at that moment",
    ),
    ("WORKSPACE_NOT_FOUND", &[404], "there is no such workspace"),
    (
        "TRANSACTION_NOT_FOUND",
        &[404],
        "there is no such transaction",
    ),
    ("REALITY_NOT_FOUND", &[404], "there is no such reality"),
    ("STASH_NOT_FOUND", &[404], "there is no such stash"),
    ("HOOK_NOT_FOUND", &[404], "there is no such hook"),
    (
        "DELIVERY_NOT_FOUND",
        &[404],
        "there is no such delivery, or not any more",
    ),
    ("TIMED_OUT", &[408], "the request did not arrive"),
    ("REPO_EXISTS", &[409], "the id is taken"),
    ("REF_EXISTS", &[409], "the ref exists already"),
    (
        "REF_MOVED",
        &[409, 412],
        "the ref is not where it was believed to be",
    ),
    ("REF_CONFLICT", &[409], "another ref's name is in the way"),
    ("MERGE_CONFLICT", &[409], "both sides changed the same"),
    ("WORKSPACE_EXISTS", &[409], "the name is taken"),
    (
        "WORKSPACE_DIRTY",
        &[409],
        "uncommitted changes would be lost",
    ),
    (
        "OPERATION_IN_PROGRESS",
        &[409],
        "something is to be continued or aborted first",
    ),
    (
        "TRANSACTION_OVER",
        &[409],
        "it was committed or rolled back",
    ),
    ("REALITY_EXISTS", &[409], "the name is taken"),
    ("REALITY_CLOSED", &[409], "it was promoted"),
    ("REALITY_DISCARDED", &[409], "it was discarded"),
    ("HISTORY_EXPIRED", &[410], "what was then is no longer kept"),
    ("TRANSACTION_EXPIRED", &[410], "its time is over"),
    ("TOO_LARGE", &[413], "something is over a limit"),
    ("MEDIA_TYPE_UNSUPPORTED", &[415], "the body is not JSON"),
    ("RANGE_NOT_SATISFIABLE", &[416], "there are no such bytes"),
    (
        "HOST_NOT_SERVED",
        &[421],
        "the `Host` is no name of this server",
    ),
    ("BRANCH_UNBORN", &[422], "the branch has no commit yet"),
    ("COLLISION", &[422], "the content has the id of another one"),
    ("DEFAULT_BRANCH", &[422], "the default branch stays"),
    ("DEFAULT_WORKSPACE", &[422], "the default workspace stays"),
    (
        "DELETE_DENIED",
        &[422],
        "the repository's settings do not allow it",
    ),
    (
        "EDIT_NOT_FOUND",
        &[422],
        "the text to replace does not occur so often",
    ),
    (
        "FILE_REFUSED",
        &[422],
        "no tree may hold this content at this path",
    ),
    ("HOOK_ADDRESS_REFUSED", &[422], "hooks are not sent there"),
    ("HOOK_REFUSED", &[422], "a hook refused the change"),
    (
        "IDEMPOTENCY_KEY_REUSED",
        &[422],
        "the key was used with another body",
    ),
    (
        "MAINLINE_INVALID",
        &[422],
        "the commit has no such parent, or needs one to be named",
    ),
    ("MERGE_IMPOSSIBLE", &[422], "this cannot be merged at all"),
    (
        "MERGE_TOO_EXPENSIVE",
        &[422],
        "merging takes more than a limit allows",
    ),
    (
        "MODE_INVALID",
        &[422],
        "what is there cannot have this mode",
    ),
    ("NOTHING_TO_COMMIT", &[422], "nothing would change"),
    ("NOTHING_TO_PROMOTE", &[422], "the reality has no commit"),
    ("NOTHING_TO_STASH", &[422], "nothing is changed"),
    ("NOTHING_TO_UNDO", &[422], "the change moved no ref"),
    ("NOT_FAST_FORWARD", &[422], "the branch would lose commits"),
    ("NO_COMMIT_YET", &[422], "there is no commit yet"),
    (
        "NO_MERGE_BASE",
        &[422],
        "the commits have no common ancestor",
    ),
    (
        "OBJECT_NOT_FOUND",
        &[422],
        "there is no such object, or none that may be seen here",
    ),
    (
        "PATH_CONFLICT",
        &[422],
        "a file is where a folder is needed, or the reverse",
    ),
    (
        "PATH_IGNORED",
        &[422],
        "the path is ignored; `force` takes it",
    ),
    ("QUOTA_EXCEEDED", &[422], "the repository is at a quota"),
    (
        "REF_AMBIGUOUS",
        &[422],
        "the abbreviation fits several objects",
    ),
    (
        "REF_WRONG_KIND",
        &[422],
        "the revision names something else than is needed",
    ),
    (
        "REPO_ID_RESERVED",
        &[422],
        "a word of the id is the server's own",
    ),
    ("STASH_ELSEWHERE", &[422], "the stash is of another commit"),
    (
        "STORAGE_UNAVAILABLE",
        &[422],
        "this server has no such storage",
    ),
    ("TOO_EXPENSIVE", &[422], "it takes more than a limit allows"),
    (
        "TOO_MANY_COMMITS",
        &[422],
        "there are more commits than a limit allows",
    ),
    (
        "TOO_MANY_REALITIES",
        &[422],
        "there are more realities than a limit allows",
    ),
    (
        "TREE_TOO_LARGE",
        &[422],
        "the tree has more entries than a limit allows",
    ),
    (
        "UNRELATED_HISTORIES",
        &[422],
        "the commits have no common ancestor",
    ),
    ("WORKSPACE_REQUIRED", &[422], "this needs `workspace`"),
    (
        "HEAD_TOO_LARGE",
        &[431],
        "the request's line and headers are too large",
    ),
    (
        "HOOK_UNREACHABLE",
        &[503],
        "a hook that may refuse could not be asked",
    ),
    ("OUTCOME_UNKNOWN", &[503], "it may have happened or not"),
    (
        "SEQ_NOT_REACHED",
        &[503],
        "the number that was waited for is not there yet",
    ),
    (
        "UNAVAILABLE",
        &[503],
        "the server is starting or stopping, or cannot write now",
    ),
    (
        "OUT_OF_SPACE",
        &[507],
        "there is no room in memory or on the disk",
    ),
];

/// Whether the table has `code`.
pub(super) fn is_known(code: &str) -> bool {
    CODES.iter().any(|(known, ..)| *known == code)
}

/// The statuses that problems of `codes` have, each with those codes that have it, and what they
/// say.
pub(super) fn by_status(codes: &[&'static str]) -> Vec<(u16, Vec<(&'static str, &'static str)>)> {
    let mut found: Vec<(u16, Vec<(&'static str, &'static str)>)> = Vec::new();
    for (code, statuses, says) in CODES {
        if !codes.contains(code) {
            continue;
        }
        for status in *statuses {
            match found.iter_mut().find(|(known, _)| known == status) {
                Some((_, same)) => same.push((code, says)),
                None => found.push((*status, vec![(code, says)])),
            }
        }
    }
    found.sort_by_key(|(status, _)| *status);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_problems_are_in_the_table() {
        // What no described operation answers: no such route, no such method, our own faults.
        const OTHERS: &[&str] = &["NOT_FOUND", "METHOD_NOT_ALLOWED", "INTERNAL"];
        let source = include_str!("../http/problem.rs");
        let words = source.split('"').skip(1).step_by(2);
        let is_code = |word: &&str| {
            word.len() > 4 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        };
        let codes: Vec<&str> = words.filter(is_code).collect();
        assert!(codes.len() > 50, "{codes:?}");
        for code in codes {
            assert!(is_known(code) || OTHERS.contains(&code), "{code}");
        }
    }

    #[test]
    fn a_code_may_have_two_statuses() {
        let moved = by_status(&["REF_MOVED", "REF_EXISTS"]);
        let codes =
            |at: usize| -> Vec<&str> { moved[at].1.iter().map(|(code, _)| *code).collect() };
        assert_eq!(moved.len(), 2);
        assert_eq!(
            (moved[0].0, codes(0)),
            (409, vec!["REF_EXISTS", "REF_MOVED"])
        );
        assert_eq!((moved[1].0, codes(1)), (412, vec!["REF_MOVED"]));
    }
}
