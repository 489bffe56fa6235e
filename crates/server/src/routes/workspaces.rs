//! Workspaces, and what is done in them.

use axum::extract::State;
use axum::response::Response;
use govc_api::workspaces::{Checkout, CommitStaged, MoveFile, NewWorkspace, Reset, WriteFiles};
use http::StatusCode;

use crate::app::App;
use crate::app::commits::place;
use crate::app::repos::location;
use crate::http::ask::Ask;
use crate::http::etag;
use crate::http::json::{Json, NoBody};
use crate::http::page;
use crate::http::path::encode;
use crate::http::problem::ApiError;
use crate::http::reply::{as_of, done, located, written};
use crate::openapi::{Table, reads, writes};
use govc_api::commits::Commit;
use govc_api::status::Status;
use govc_api::workspaces::{FilesChanged, Workspace};
use serde_json::json;

/// Workspaces, and the files in them.
pub fn routes(table: Table) -> Table {
    let within = |operation: crate::openapi::Operation| operation.in_workspace();
    let file = json!({ "path": "new.txt", "content": "new\n" });
    let changed = "What is staged now.";
    table
        .get(
            "/api/v1/repos/{repo}/workspaces",
            list,
            reads("Workspaces")
                .in_reality()
                .gives_page::<Workspace>("Workspaces, by name."),
        )
        .post(
            "/api/v1/repos/{repo}/workspaces",
            create,
            writes("Make a workspace")
                .in_reality()
                .resolves()
                .fails(&["WORKSPACE_EXISTS"])
                .takes::<NewWorkspace>(json!({ "name": "mine" }))
                .gives::<Workspace>(StatusCode::CREATED, "The workspace."),
        )
        .delete(
            "/api/v1/repos/{repo}/workspaces/{name}",
            remove,
            writes("Delete a workspace, and what was not committed in it")
                .in_reality()
                .path("name", "Its name.", ("workspace-name", "old"))
                .fails(&["WORKSPACE_NOT_FOUND", "DEFAULT_WORKSPACE"])
                .gives_nothing("It is deleted."),
        )
        .get(
            "/api/v1/repos/{repo}/status",
            status,
            within(reads("What is changed in a workspace"))
                .gives::<Status>(StatusCode::OK, "As `git status` tells it."),
        )
        .post(
            "/api/v1/repos/{repo}/add",
            add,
            within(writes("Write files and stage them"))
                .stages()
                .takes::<WriteFiles>(file.clone())
                .gives::<FilesChanged>(StatusCode::OK, changed),
        )
        .post(
            "/api/v1/repos/{repo}/write",
            write,
            within(writes("Write files"))
                .stages()
                .takes::<WriteFiles>(file)
                .gives::<FilesChanged>(StatusCode::OK, "What was written."),
        )
        .delete(
            "/api/v1/repos/{repo}/remove/{*path}",
            remove_file,
            within(writes("Remove a file or a folder, staged"))
                .stages()
                .path("path", "Its path.", ("file-path", "src"))
                .flag("force", "Even where changes get lost.")
                .gives_nothing("It is removed."),
        )
        .post(
            "/api/v1/repos/{repo}/move",
            move_file,
            within(writes("Move a file or a folder, staged"))
                .stages()
                .takes::<MoveFile>(json!({ "from": "README.md", "to": "READ.md" }))
                .gives::<FilesChanged>(StatusCode::OK, changed),
        )
        .post(
            "/api/v1/repos/{repo}/checkout",
            checkout,
            within(writes("Go to another branch or commit"))
                .resolves()
                .fails(&[
                    "WORKSPACE_DIRTY",
                    "REF_EXISTS",
                    "OPERATION_IN_PROGRESS",
                    "MERGE_CONFLICT",
                ])
                .fails(&["NO_COMMIT_YET"])
                .takes::<Checkout>(json!({ "ref": "main" }))
                .gives::<Workspace>(StatusCode::OK, "The workspace as it is now."),
        )
        .post(
            "/api/v1/repos/{repo}/reset",
            reset,
            within(writes("Reset a workspace's branch, its index, its files"))
                .moves_ref()
                .resolves()
                .fails(&["NO_COMMIT_YET", "MERGE_CONFLICT", "OPERATION_IN_PROGRESS"])
                .takes::<Reset>(json!({ "target": "HEAD", "mode": "mixed" }))
                .gives::<Workspace>(StatusCode::OK, "The workspace as it is now."),
        )
        .post(
            "/api/v1/repos/{repo}/commit",
            commit,
            within(writes("Commit what is staged"))
                .moves_ref()
                .makes_commit()
                .fails(&["OPERATION_IN_PROGRESS", "NO_COMMIT_YET"])
                .takes::<CommitStaged>(json!({ "message": "new", "allow_empty": true }))
                .gives::<Commit>(StatusCode::CREATED, "The commit."),
        )
}

/// `GET /api/v1/repos/{repo}/workspaces`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_now()?;
    let query = ask.page()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let (page, seq) = app.workspaces(&ask.caller, &repo, &reading, query).await?;
    Ok(as_of(
        page::answer_state(&ask.headers, &ask.uri, &page, None),
        seq,
    ))
}

/// `POST /api/v1/repos/{repo}/workspaces`
pub async fn create(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewWorkspace>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let made = app.create_workspace(&ask.caller, &repo, body, &terms);
    let (made, seq) = made.await?;
    let name = encode(made.name.as_bytes(), false);
    let place = format!("{}/workspaces/{name}", location(&repo));
    Ok(located(
        written(StatusCode::CREATED, &made, seq, &terms),
        &place,
    ))
}

/// `DELETE /api/v1/repos/{repo}/workspaces/{name}`
pub async fn remove(State(app): State<App>, mut ask: Ask, _: NoBody) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let name = ask.rest_as_revision()?.into();
    let deleted = app.delete_workspace(&ask.caller, &repo, &name, &terms);
    Ok(done(deleted.await?, &terms))
}

/// `GET /api/v1/repos/{repo}/status`
pub async fn status(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let (reading, at) = ask.reading_at()?;
    ask.finish()?;
    let (status, seq) = app.workspace_status(&ask.caller, &at, &reading).await?;
    Ok(as_of(etag::answer(&ask.headers, &status, None), seq))
}

/// `POST /api/v1/repos/{repo}/add`
pub async fn add(app: State<App>, ask: Ask, body: Json<WriteFiles>) -> Result<Response, ApiError> {
    write_files(app, ask, body, true).await
}

/// `POST /api/v1/repos/{repo}/write`
pub async fn write(
    app: State<App>,
    ask: Ask,
    body: Json<WriteFiles>,
) -> Result<Response, ApiError> {
    write_files(app, ask, body, false).await
}

async fn write_files(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<WriteFiles>,
    stage: bool,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    ask.finish()?;
    let files = body.read(stage)?;
    let (files, seq) = app
        .write_files(&ask.caller, &at, files, stage, &terms)
        .await?;
    Ok(written(StatusCode::OK, &files, seq, &terms))
}

/// `DELETE /api/v1/repos/{repo}/remove/{path}`
pub async fn remove_file(
    State(app): State<App>,
    mut ask: Ask,
    _: NoBody,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    let force = ask.query().flag("force")?;
    ask.finish()?;
    let path = ask.rest().to_vec();
    let removed = app.remove_file(&ask.caller, &at, path, force, &terms);
    Ok(done(removed.await?, &terms))
}

/// `POST /api/v1/repos/{repo}/move`
pub async fn move_file(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<MoveFile>,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    ask.finish()?;
    let (files, seq) = app.move_file(&ask.caller, &at, body, &terms).await?;
    Ok(written(StatusCode::OK, &files, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/checkout`
pub async fn checkout(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<Checkout>,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    ask.finish()?;
    let order = body.try_into()?;
    let (workspace, seq) = app.checkout(&ask.caller, &at, order, &terms).await?;
    Ok(written(StatusCode::OK, &workspace, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/reset`
pub async fn reset(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<Reset>,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    ask.finish()?;
    let mode = body.mode();
    let (workspace, seq) = app
        .reset(&ask.caller, &at, (body.target, mode), &terms)
        .await?;
    Ok(written(StatusCode::OK, &workspace, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/commit`
pub async fn commit(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<CommitStaged>,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    ask.finish()?;
    let order = body.try_into()?;
    let (commit, seq) = app.commit_staged(&ask.caller, &at, order, &terms).await?;
    let place = place(&at.repo, &commit);
    Ok(located(
        written(StatusCode::CREATED, &commit, seq, &terms),
        &place,
    ))
}
