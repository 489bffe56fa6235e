//! Repositories.

use axum::extract::State;
use axum::response::Response;
use govc_api::repos::{Fork, NewRepository, PatchRepository, Repository, Restore};
use http::StatusCode;

use crate::app::App;
use crate::app::repos::{RepositoryState, location};
use crate::http::ask::Ask;
use crate::http::json::{self, Json, NoBody, OptionalJson};
use crate::http::problem::ApiError;
use crate::http::reply::{as_of, done, located, written};
use crate::http::{etag, page};
use crate::openapi::{Table, reads, reads_node, writes};
use serde_json::json;

/// Repositories.
pub fn routes(table: Table) -> Table {
    let made = "The repository that was made.";
    table
        .get(
            "/api/v1/repos",
            list,
            reads_node("Repositories, by id")
                .text("prefix", "Only ids that begin so.")
                .gives_page::<Repository>("Repositories."),
        )
        .post(
            "/api/v1/repos",
            create,
            writes("Make a repository")
                .fails(&[
                    "REPO_EXISTS",
                    "REPO_ID_RESERVED",
                    "REF_INVALID",
                    "STORAGE_UNAVAILABLE",
                ])
                .takes::<NewRepository>(json!({ "id": "new" }))
                .gives::<Repository>(StatusCode::CREATED, made),
        )
        .get(
            "/api/v1/repos/{repo}",
            show,
            reads("A repository")
                .in_reality()
                .gives::<Repository>(StatusCode::OK, "The repository."),
        )
        .patch(
            "/api/v1/repos/{repo}",
            patch,
            writes("Change a repository's id, description, default branch or settings")
                .fails(&["REPO_EXISTS", "REPO_ID_RESERVED", "REF_INVALID"])
                .takes::<PatchRepository>(json!({ "description": "An example" }))
                .gives::<Repository>(StatusCode::OK, "The repository as it is now."),
        )
        .delete(
            "/api/v1/repos/{repo}",
            remove,
            writes("Delete a repository; it can be restored for a while")
                .path("repo", "The repository's id.", ("repository-id", "deleted"))
                .gives_nothing("It is deleted."),
        )
        .post(
            "/api/v1/repos/{repo}/restore",
            restore,
            writes("Bring a deleted repository back")
                .path("repo", "The id that it had.", ("repository-id", "restored"))
                .fails(&["REPO_EXISTS", "REPO_ID_RESERVED"])
                .may_take::<Restore>()
                .gives::<Repository>(StatusCode::OK, "The repository."),
        )
        .post(
            "/api/v1/repos/{repo}/fork",
            fork,
            writes("Copy a repository, as it is or was: objects are shared")
                .in_reality()
                .at_moment()
                .fails(&["REPO_EXISTS", "REPO_ID_RESERVED"])
                .takes::<Fork>(json!({ "id": "fork" }))
                .gives::<Repository>(StatusCode::CREATED, made),
        )
}

/// `GET /api/v1/repos`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let prefix = ask.query().text("prefix")?.unwrap_or_default();
    let query = ask.page()?;
    ask.finish()?;
    let page = app.repositories(&ask.caller, &prefix, &query).await?;
    let page = page.map(|state| state.body(&ask.origin));
    Ok(page::answer_state(&ask.headers, &ask.uri, &page, None))
}

/// `POST /api/v1/repos`
pub async fn create(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewRepository>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let order = body.try_into()?;
    let (made, seq) = app
        .create_repository(&ask.caller, order, &terms, &ask.origin)
        .await?;
    let response = written(StatusCode::CREATED, &made.body(&ask.origin), seq, &terms);
    Ok(located(response, &location(&made.record.id)))
}

/// `GET /api/v1/repos/{repo}`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_now()?;
    ask.finish()?;
    let state = app
        .show_repository(&ask.caller, &ask.repo()?, &reading)
        .await?;
    let body = state.body(&ask.origin);
    let response = json::answer(StatusCode::OK, &body);
    let tag = tag(&state, &body);
    let response = etag::finish(&ask.headers, response, &tag, state.head);
    Ok(as_of(response, state.seq))
}

fn tag(state: &RepositoryState, body: &Repository) -> etag::ETag {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    etag::ETag::of_state(state.head, &format!("{:016x}", page::digest(&bytes)))
}

/// `PATCH /api/v1/repos/{repo}`
pub async fn patch(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<PatchRepository>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let patch = body.try_into()?;
    let (state, seq) = app
        .patch_repository(&ask.caller, &repo, patch, &terms, &ask.origin)
        .await?;
    Ok(written(
        StatusCode::OK,
        &state.body(&ask.origin),
        seq,
        &terms,
    ))
}

/// `DELETE /api/v1/repos/{repo}`
pub async fn remove(State(app): State<App>, mut ask: Ask, _: NoBody) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let seq = app
        .delete_repository(&ask.caller, &ask.repo()?, &terms)
        .await?;
    Ok(done(seq, &terms))
}

/// `POST /api/v1/repos/{repo}/restore`
pub async fn restore(
    State(app): State<App>,
    mut ask: Ask,
    OptionalJson(body): OptionalJson<Restore>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let id = body.id()?;
    let (state, seq) = app
        .restore_repository(&ask.caller, &repo, id, &terms, &ask.origin)
        .await?;
    Ok(written(
        StatusCode::OK,
        &state.body(&ask.origin),
        seq,
        &terms,
    ))
}

/// `POST /api/v1/repos/{repo}/fork`
pub async fn fork(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<Fork>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let (made, seq) = app
        .fork_repository(&ask.caller, &repo, order, &terms, &ask.origin)
        .await?;
    let response = written(StatusCode::CREATED, &made.body(&ask.origin), seq, &terms);
    Ok(located(response, &location(&made.record.id)))
}
