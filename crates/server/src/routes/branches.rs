//! Branches.

use axum::extract::State;
use axum::response::Response;
use govc_api::refs::{DropRef, NewBranch};
use http::StatusCode;

use super::refs::{list_of, one_of, remove_from};
use crate::app::App;
use crate::app::refs::Namespace;
use crate::http::ask::Ask;
use crate::http::json::{Json, OptionalJson};
use crate::http::problem::ApiError;
use crate::http::reply::{located, written};
use crate::openapi::{Table, reads, writes};
use govc_api::refs::Ref;
use serde_json::json;

/// Branches.
pub fn routes(table: Table) -> Table {
    table
        .get(
            "/api/v1/repos/{repo}/branches",
            list,
            reads("Branches, by name")
                .of_moment()
                .text("prefix", "Only names that begin so.")
                .gives_page::<Ref>("Branches."),
        )
        .post(
            "/api/v1/repos/{repo}/branches",
            create,
            writes("Make a branch")
                .in_reality()
                .moves_ref()
                .resolves()
                .fails(&["REF_EXISTS"])
                .takes::<NewBranch>(json!({ "name": "new" }))
                .gives::<Ref>(StatusCode::CREATED, "The branch."),
        )
        .get(
            "/api/v1/repos/{repo}/branches/{*name}",
            show,
            reads("A branch")
                .of_moment()
                .path(
                    "name",
                    "Its name, which may have slashes.",
                    ("branch-name", "dev"),
                )
                .gives::<Ref>(StatusCode::OK, "The branch."),
        )
        .delete(
            "/api/v1/repos/{repo}/branches/{*name}",
            remove,
            writes("Delete a branch")
                .fails(&["DEFAULT_BRANCH"])
                .path(
                    "name",
                    "Its name, which may have slashes.",
                    ("branch-name", "gone"),
                )
                .in_reality()
                .moves_ref()
                .text_as(
                    "expected_head",
                    "What it is believed to point at.",
                    "object-id",
                )
                .text_as("expected", "The same.", "object-id")
                .may_take::<DropRef>()
                .gives_nothing("It is deleted."),
        )
}

/// `GET /api/v1/repos/{repo}/branches`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let prefix = ask.query().bytes("prefix").unwrap_or_default();
    let prefix = [Namespace::Branches.prefix(), &prefix].concat();
    list_of(app, ask, Namespace::Branches, prefix, false).await
}

/// `POST /api/v1/repos/{repo}/branches`
pub async fn create(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewBranch>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let (branch, seq) = app.create_branch(&ask.caller, &repo, order, &terms).await?;
    let place = Namespace::Branches.place(&repo, branch.name.as_bytes());
    Ok(located(
        written(StatusCode::CREATED, &branch, seq, &terms),
        &place,
    ))
}

/// `GET /api/v1/repos/{repo}/branches/{name…}`
pub async fn show(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    one_of(app, ask, Namespace::Branches).await
}

/// `DELETE /api/v1/repos/{repo}/branches/{name…}`
pub async fn remove(
    State(app): State<App>,
    ask: Ask,
    OptionalJson(body): OptionalJson<DropRef>,
) -> Result<Response, ApiError> {
    remove_from(app, ask, Namespace::Branches, body).await
}
