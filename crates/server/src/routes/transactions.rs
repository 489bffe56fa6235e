//! Transactions.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use govc_api::transactions::{CommitTransaction, ManyOperations, NewTransaction, RemovePaths};
use govc_api::workspaces::{MoveFile, WriteFiles};
use http::StatusCode;

use crate::app::App;
use crate::app::commits;
use crate::app::error::AppError;
use crate::app::transactions::place;
use crate::http::ask::Ask;
use crate::http::etag;
use crate::http::json::{self, Json, NoBody, OptionalJson};
use crate::http::problem::ApiError;
use crate::http::reply::{GOVC_DRY_RUN, as_of, located, written};
use crate::openapi::{Table, reads, writes};
use govc_api::commits::Commit;
use govc_api::transactions::{ManyResults, TransactionShown, Validation};
use govc_api::workspaces::FilesChanged;
use serde_json::json;

/// The id in the path: what is before the verb.
fn id(ask: &Ask) -> Result<Arc<str>, AppError> {
    let rest = ask.rest_as_revision()?;
    Ok(rest.split('/').next().unwrap_or_default().into())
}

/// Transactions.
pub fn routes(table: Table) -> Table {
    let many = json!({ "operations": [{
        "repo": "hello", "branch": "main", "message": "one of many",
        "actions": [{ "op": "put", "path": "many.txt", "content": "many\n" }],
    }] });
    let staged = "What is changed in it now.";
    table
        .post(
            "/api/v1/transactions",
            change_many,
            writes("Change many refs of many repositories, all or nothing")
                .makes_commit()
                .resolves()
                .fails(&["REPO_NOT_FOUND", "DEFAULT_BRANCH", "REF_EXISTS"])
                .takes::<ManyOperations>(many)
                .gives::<ManyResults>(StatusCode::OK, "What became of each."),
        )
        .post(
            "/api/v1/repos/{repo}/transaction",
            begin,
            writes("Begin a transaction on a branch")
                .in_reality()
                .fails(&["REF_INVALID", "REF_NOT_FOUND"])
                .may_take::<NewTransaction>()
                .gives::<TransactionShown>(StatusCode::CREATED, "The transaction."),
        )
        .get(
            "/api/v1/repos/{repo}/transaction/{id}",
            show,
            reads("A transaction, and what it changes")
                .in_reality()
                .of_transaction()
                .gives::<TransactionShown>(StatusCode::OK, "The transaction."),
        )
        .post(
            "/api/v1/repos/{repo}/transaction/{id}/add",
            add,
            writes("Write files in a transaction")
                .in_reality()
                .of_transaction()
                .stages()
                .takes::<WriteFiles>(json!({ "path": "new.txt", "content": "new\n" }))
                .gives::<FilesChanged>(StatusCode::OK, staged),
        )
        .post(
            "/api/v1/repos/{repo}/transaction/{id}/remove",
            remove,
            writes("Remove files in a transaction")
                .in_reality()
                .of_transaction()
                .stages()
                .takes::<RemovePaths>(json!({ "path": "README.md" }))
                .gives::<FilesChanged>(StatusCode::OK, staged),
        )
        .post(
            "/api/v1/repos/{repo}/transaction/{id}/move",
            rename,
            writes("Move a file in a transaction")
                .in_reality()
                .of_transaction()
                .stages()
                .takes::<MoveFile>(json!({ "from": "README.md", "to": "READ.md" }))
                .gives::<FilesChanged>(StatusCode::OK, staged),
        )
        .post(
            "/api/v1/repos/{repo}/transaction/{id}/validate",
            validate,
            writes("Would it be taken now?")
                .in_reality()
                .of_transaction()
                .gives::<Validation>(StatusCode::OK, "Whether, and what is in its way."),
        )
        .post(
            "/api/v1/repos/{repo}/transaction/{id}/commit",
            commit,
            writes("Commit a transaction")
                .in_reality()
                .of_transaction()
                .makes_commit()
                .merges()
                .takes::<CommitTransaction>(json!({ "message": "all of it" }))
                .gives::<Commit>(StatusCode::CREATED, "The commit."),
        )
        .post(
            "/api/v1/repos/{repo}/transaction/{id}/rollback",
            roll_back,
            writes("Give a transaction up")
                .in_reality()
                .of_transaction()
                .gives::<TransactionShown>(StatusCode::OK, "The transaction, which is over."),
        )
}

/// `POST /api/v1/transactions`
pub async fn change_many(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<ManyOperations>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    if terms.if_match.is_some() {
        let detail = "`If-Match` speaks of one ref: say `expected_head` in each operation";
        return Err(AppError::query("If-Match", detail).into());
    }
    let done = app.change_many(&ask.caller, body.read()?, &terms).await?;
    let mut response = json::answer(StatusCode::OK, &done);
    if terms.dry_run {
        let value = http::HeaderValue::from_static("true");
        response.headers_mut().insert(GOVC_DRY_RUN, value);
    }
    Ok(response)
}

/// `POST /api/v1/repos/{repo}/transaction`
pub async fn begin(
    State(app): State<App>,
    mut ask: Ask,
    OptionalJson(body): OptionalJson<NewTransaction>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let begun = app.begin_transaction(&ask.caller, &repo, body, &terms);
    let (begun, seq) = begun.await?;
    let place = place(&repo, &begun.id);
    Ok(located(
        written(StatusCode::CREATED, &begun, seq, &terms),
        &place,
    ))
}

/// `GET /api/v1/repos/{repo}/transaction/{tx}`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_now()?;
    ask.finish()?;
    let at = ask.place(id(&ask)?)?;
    let (shown, seq) = app.show_transaction(&ask.caller, &at, &reading).await?;
    Ok(as_of(etag::answer(&ask.headers, &shown, None), seq))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/add`
pub async fn add(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<WriteFiles>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let at = ask.place(id(&ask)?)?;
    let files = body.read(false)?;
    let (files, seq) = app.transaction_add(&ask.caller, &at, files, &terms).await?;
    Ok(written(StatusCode::OK, &files, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/remove`
pub async fn remove(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<RemovePaths>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let at = ask.place(id(&ask)?)?;
    let removed = app.transaction_remove(&ask.caller, &at, body.read()?, &terms);
    let (files, seq) = removed.await?;
    Ok(written(StatusCode::OK, &files, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/move`
pub async fn rename(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<MoveFile>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let at = ask.place(id(&ask)?)?;
    let (files, seq) = app.transaction_move(&ask.caller, &at, body, &terms).await?;
    Ok(written(StatusCode::OK, &files, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/validate`
pub async fn validate(
    State(app): State<App>,
    mut ask: Ask,
    _: NoBody,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let at = ask.place(id(&ask)?)?;
    let (found, seq) = app.validate_transaction(&ask.caller, &at, &terms).await?;
    Ok(written(StatusCode::OK, &found, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/commit`
pub async fn commit(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<CommitTransaction>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let at = ask.place(id(&ask)?)?;
    let committed = app.commit_transaction(&ask.caller, &at, body, &terms);
    let (commit, seq) = committed.await?;
    let place = commits::place(&at.repo, &commit);
    Ok(located(
        written(StatusCode::CREATED, &commit, seq, &terms),
        &place,
    ))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/rollback`
pub async fn roll_back(
    State(app): State<App>,
    mut ask: Ask,
    _: NoBody,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let at = ask.place(id(&ask)?)?;
    let (shown, seq) = app.roll_back_transaction(&ask.caller, &at, &terms).await?;
    Ok(written(StatusCode::OK, &shown, seq, &terms))
}
