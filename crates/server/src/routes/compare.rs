//! How one commit stands to another.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::diff::describe_diff;
use super::diff::{diff_query, patch, wants_patch};
use crate::app::App;
use crate::app::error::AppError;
use crate::http::ask::Ask;
use crate::http::etag::{self, ETag};
use crate::http::json;
use crate::http::page::PageQuery;
use crate::http::problem::ApiError;
use crate::http::reply::as_of;
use crate::openapi::{Table, reads};
use govc_api::diff::Comparison;

/// How one commit stands to another.
pub fn routes(table: Table) -> Table {
    table.get(
        "/api/v1/repos/{repo}/compare/{*revs}",
        show,
        describe_diff(reads("How one commit stands to another: commits and files"))
            .path(
                "revs",
                "Two revisions with three dots between them.",
                ("revision-pair", "main...dev"),
            )
            .limit("How many commits at most; 50 without it.")
            .resolves()
            .fails(&["NO_MERGE_BASE"])
            .gives::<Comparison>(StatusCode::OK, "How they stand to each other."),
    )
}

/// `GET /api/v1/repos/{repo}/compare/{a}...{b}`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let query = diff_query(ask.query())?;
    let limit = PageQuery::take_limit(ask.query())?;
    ask.finish()?;
    let repo = ask.repo()?;
    let revisions = ask.rest_as_revision()?;
    let (base, head) = revisions
        .split_once("...")
        .ok_or_else(|| AppError::RefInvalid {
            name: revisions.to_owned(),
            why: "a comparison is two revisions with three dots between them".to_owned(),
        })?;
    // As git has it, a side that is left out is HEAD.
    let or_head = |text: &str| if text.is_empty() { "HEAD" } else { text }.to_owned();
    let (base, head) = (or_head(base), or_head(head));
    let state = app.state(&ask.caller, &repo, &reading, None).await?;
    let seq = state.view.seq;
    let compared = app.offload(move || state.compare(&base, &head, &query, limit));
    let standing = compared.await??;
    let head = standing.head;
    let tag = ETag::of_state(Some(head), &standing.base.to_string());
    let body = if tag.is_known_to(&ask.headers) {
        StatusCode::OK.into_response()
    } else if wants_patch(&ask.headers) {
        patch(&app, standing.compared)
    } else {
        let bytes_max = app.config().limits.diff.as_usize();
        let body = app.offload(move || standing.body(bytes_max)).await??;
        json::answer(StatusCode::OK, &body)
    };
    Ok(as_of(
        etag::finish(&ask.headers, body, &tag, Some(head)),
        seq,
    ))
}
