//! Tags.

use axum::extract::State;
use axum::response::Response;
use govc_api::refs::{DropRef, NewTag};
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

/// Tags.
pub fn routes(table: Table) -> Table {
    table
        .get(
            "/api/v1/repos/{repo}/tags",
            list,
            reads("Tags, by name")
                .of_moment()
                .text("prefix", "Only names that begin so.")
                .gives_page::<Ref>("Tags."),
        )
        .post(
            "/api/v1/repos/{repo}/tags",
            create,
            writes("Make a tag")
                .in_reality()
                .moves_ref()
                .resolves()
                .fails(&["REF_EXISTS", "COLLISION"])
                .takes::<NewTag>(json!({ "name": "new" }))
                .gives::<Ref>(StatusCode::CREATED, "The tag."),
        )
        .get(
            "/api/v1/repos/{repo}/tags/{*name}",
            show,
            reads("A tag")
                .of_moment()
                .path(
                    "name",
                    "Its name, which may have slashes.",
                    ("branch-name", "v1"),
                )
                .gives::<Ref>(StatusCode::OK, "The tag."),
        )
        .delete(
            "/api/v1/repos/{repo}/tags/{*name}",
            remove,
            writes("Delete a tag")
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

/// `GET /api/v1/repos/{repo}/tags`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let prefix = ask.query().bytes("prefix").unwrap_or_default();
    let prefix = [Namespace::Tags.prefix(), &prefix].concat();
    list_of(app, ask, Namespace::Tags, prefix, false).await
}

/// `POST /api/v1/repos/{repo}/tags`
pub async fn create(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewTag>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let (tag, seq) = app.create_tag(&ask.caller, &repo, order, &terms).await?;
    let place = Namespace::Tags.place(&repo, tag.name.as_bytes());
    Ok(located(
        written(StatusCode::CREATED, &tag, seq, &terms),
        &place,
    ))
}

/// `GET /api/v1/repos/{repo}/tags/{name…}`
pub async fn show(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    one_of(app, ask, Namespace::Tags).await
}

/// `DELETE /api/v1/repos/{repo}/tags/{name…}`
pub async fn remove(
    State(app): State<App>,
    ask: Ask,
    OptionalJson(body): OptionalJson<DropRef>,
) -> Result<Response, ApiError> {
    remove_from(app, ask, Namespace::Tags, body).await
}
