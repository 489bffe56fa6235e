//! From what was made to what can be done with it: OpenAPI's links.

use serde_json::{Map, Value, json};

/// What follows: an operation, and its parameters as runtime expressions.
type Next = (&'static str, &'static [(&'static str, &'static str)]);

const REPO: (&str, &str) = ("repo", "$request.path.repo");
const OF_BODY: (&str, &str) = ("repo", "$response.body#/id");
const ID: (&str, &str) = ("id", "$response.body#/id");
const NAME: (&str, &str) = ("name", "$response.body#/name");
const REALITY: (&str, &str) = ("reality", "$response.body#/items/0/name");

/// An operation, and what follows when it was successful.
const LINKS: &[(&str, &[Next])] = &[
    (
        "create_repo",
        &[
            ("get_repo", &[OF_BODY]),
            ("create_commit", &[OF_BODY]),
            ("list_changes", &[OF_BODY]),
            ("delete_repo", &[OF_BODY]),
        ],
    ),
    (
        "fork_repo",
        &[("get_repo", &[OF_BODY]), ("delete_repo", &[OF_BODY])],
    ),
    ("delete_repo", &[("restore_repo", &[REPO])]),
    (
        "create_branch",
        &[
            ("get_branch", &[REPO, NAME]),
            ("delete_branch", &[REPO, NAME]),
        ],
    ),
    (
        "create_tag",
        &[("get_tag", &[REPO, NAME]), ("delete_tag", &[REPO, NAME])],
    ),
    (
        "put_ref",
        &[
            ("get_ref", &[REPO, ("name", "$request.path.name")]),
            ("delete_ref", &[REPO, ("name", "$request.path.name")]),
        ],
    ),
    (
        "create_commit",
        &[("get_commit", &[REPO, ("rev", "$response.body#/oid")])],
    ),
    (
        "create_workspace",
        &[
            ("get_status", &[REPO, ("workspace", "$response.body#/name")]),
            ("add_files", &[REPO, ("workspace", "$response.body#/name")]),
            (
                "commit_staged",
                &[REPO, ("workspace", "$response.body#/name")],
            ),
            ("delete_workspace", &[REPO, NAME]),
        ],
    ),
    (
        "create_stash",
        &[
            ("get_stash", &[REPO, ID]),
            ("apply_stash", &[REPO, ID]),
            ("drop_stash", &[REPO, ID]),
        ],
    ),
    (
        "begin_transaction",
        &[
            ("get_transaction", &[REPO, ID]),
            ("add_files_in_transaction", &[REPO, ID]),
            ("remove_files_in_transaction", &[REPO, ID]),
            ("move_file_in_transaction", &[REPO, ID]),
            ("validate_transaction", &[REPO, ID]),
            ("commit_transaction", &[REPO, ID]),
            ("roll_back_transaction", &[REPO, ID]),
        ],
    ),
    (
        "create_hook",
        &[
            ("get_hook", &[REPO, ID]),
            ("update_hook", &[REPO, ID]),
            ("list_deliveries", &[REPO, ID]),
            ("ping_hook", &[REPO, ID]),
            ("delete_hook", &[REPO, ID]),
        ],
    ),
    (
        "ping_hook",
        &[(
            "redeliver",
            &[
                REPO,
                ("id", "$request.path.id"),
                ("delivery", "$response.body#/id"),
            ],
        )],
    ),
    (
        "create_realities",
        &[
            ("get_reality", &[REPO, REALITY]),
            ("apply_to_reality", &[REPO, REALITY]),
            ("attach_results", &[REPO, REALITY]),
            ("get_benchmark", &[REPO, REALITY]),
            ("promote_reality", &[REPO, REALITY]),
            ("discard_reality", &[REPO, REALITY]),
        ],
    ),
];

/// The links of a successful answer to the operation `id`.
pub(super) fn of(id: &str) -> Option<Value> {
    let (_, next) = LINKS.iter().find(|(from, _)| *from == id)?;
    let links = next.iter().map(|(to, parameters)| {
        let parameters = parameters.iter().map(|(name, expression)| {
            let expression = Value::from(*expression);
            ((*name).to_owned(), expression)
        });
        let parameters: Map<String, Value> = parameters.collect();
        let link = json!({ "operationId": to, "parameters": parameters });
        ((*to).to_owned(), link)
    });
    Some(Value::Object(links.collect()))
}
