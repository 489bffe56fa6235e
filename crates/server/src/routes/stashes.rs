//! Stashes.

use axum::extract::State;
use axum::response::Response;
use govc_api::stashes::{ApplyStash, NewStash};
use http::StatusCode;

use super::merges::answer;
use crate::app::App;
use crate::app::stashes::place;
use crate::http::ask::Ask;
use crate::http::etag;
use crate::http::json::{NoBody, OptionalJson};
use crate::http::page;
use crate::http::problem::ApiError;
use crate::http::reply::{as_of, done, located, written};
use crate::openapi::{Table, reads, writes};
use govc_api::stashes::Stash;
use govc_api::status::Status;
use govc_api::workspaces::Workspace;

/// What was put aside.
pub fn routes(table: Table) -> Table {
    table
        .get(
            "/api/v1/repos/{repo}/stash",
            list,
            reads("Stashes of a workspace, the newest first")
                .in_workspace()
                .gives_page::<Stash>("Stashes."),
        )
        .post(
            "/api/v1/repos/{repo}/stash",
            create,
            writes("Put what is changed in a workspace aside")
                .stages()
                .fails(&[
                    "NOTHING_TO_STASH",
                    "NO_COMMIT_YET",
                    "OPERATION_IN_PROGRESS",
                    "MERGE_CONFLICT",
                ])
                .in_workspace()
                .may_take::<NewStash>()
                .gives::<Stash>(StatusCode::CREATED, "The stash."),
        )
        .get(
            "/api/v1/repos/{repo}/stash/{id}",
            show,
            reads("A stash")
                .of_stash()
                .in_workspace()
                .gives::<Stash>(StatusCode::OK, "The stash."),
        )
        .delete(
            "/api/v1/repos/{repo}/stash/{id}",
            remove,
            writes("Drop a stash")
                .of_stash()
                .in_workspace()
                .gives_nothing("It is dropped."),
        )
        .post(
            "/api/v1/repos/{repo}/stash/{id}/apply",
            apply,
            writes("Make the changes of a stash in a workspace")
                .of_stash()
                .stages()
                .fails(&[
                    "MERGE_CONFLICT",
                    "OPERATION_IN_PROGRESS",
                    "STASH_ELSEWHERE",
                    "NO_COMMIT_YET",
                ])
                .in_workspace()
                .may_take::<ApplyStash>()
                .gives::<Workspace>(StatusCode::OK, "The workspace as it is now.")
                .gives::<Status>(
                    StatusCode::ACCEPTED,
                    "With conflicts, which are left in the workspace; the stash stays.",
                ),
        )
}

/// `GET /api/v1/repos/{repo}/stash`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let (reading, at) = ask.reading_at()?;
    let query = ask.page()?;
    ask.finish()?;
    let (page, seq) = app.stashes(&ask.caller, &at, &reading, query).await?;
    Ok(as_of(
        page::answer_state(&ask.headers, &ask.uri, &page, None),
        seq,
    ))
}

/// `POST /api/v1/repos/{repo}/stash`
pub async fn create(
    State(app): State<App>,
    mut ask: Ask,
    OptionalJson(body): OptionalJson<NewStash>,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    ask.finish()?;
    let (stash, seq) = app.create_stash(&ask.caller, &at, body, &terms).await?;
    let place = place(&at.repo, &stash.id);
    Ok(located(
        written(StatusCode::CREATED, &stash, seq, &terms),
        &place,
    ))
}

/// `GET /api/v1/repos/{repo}/stash/{id}`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let (reading, _) = ask.reading_in_workspace()?;
    ask.finish()?;
    let id = ask.rest_as_revision()?;
    let (stash, seq) = app
        .show_stash(&ask.caller, &ask.repo()?, id, &reading)
        .await?;
    Ok(as_of(etag::answer(&ask.headers, &stash, None), seq))
}

/// `DELETE /api/v1/repos/{repo}/stash/{id}`
pub async fn remove(State(app): State<App>, mut ask: Ask, _: NoBody) -> Result<Response, ApiError> {
    let (terms, _) = ask.terms_in_workspace()?;
    ask.finish()?;
    let id = ask.rest_as_revision()?;
    let repo = ask.repo()?;
    let dropped = app.drop_stash(&ask.caller, &repo, id, &terms);
    Ok(done(dropped.await?, &terms))
}

/// `POST /api/v1/repos/{repo}/stash/{id}/apply`
pub async fn apply(
    State(app): State<App>,
    mut ask: Ask,
    OptionalJson(body): OptionalJson<ApplyStash>,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    ask.finish()?;
    let rest = ask.rest_as_revision()?;
    let id = rest.strip_suffix("/apply").unwrap_or(rest).to_owned();
    let (came, seq) = app.apply_stash(&ask.caller, &at, &id, body, &terms).await?;
    Ok(answer(&came, seq, &terms))
}
