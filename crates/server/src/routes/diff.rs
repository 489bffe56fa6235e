//! What differs between two commits.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use govc_engine::work::diff::PatchOptions;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::app::App;
use crate::app::diff::{Compared, DiffQuery, Ends};
use crate::app::error::AppError;
use crate::http::accept;
use crate::http::ask::Ask;
use crate::http::etag::{self, ETag};
use crate::http::json;
use crate::http::problem::ApiError;
use crate::http::query::Query;
use crate::http::reply::as_of;
use crate::openapi::{Table, reads};
use govc_api::diff::Diff;

/// The media type of patches.
const PATCH: &str = "text/x-diff";

/// What differs between two commits.
pub fn routes(table: Table) -> Table {
    let diff = reads("What differs between two commits, or what a workspace changed")
        .revision("from", "The old side; the other's first parent without it.")
        .revision("to", "The new side; HEAD without it.")
        .flag("merge_base", "From the merge base of both.")
        .fails(&["NO_MERGE_BASE"]);
    table.get(
        "/api/v1/repos/{repo}/diff",
        show,
        describe_diff(diff).gives::<Diff>(StatusCode::OK, "The files that differ."),
    )
}

/// What says how two commits are compared, and that a patch may be asked for.
pub(super) fn describe_diff(operation: crate::openapi::Operation) -> crate::openapi::Operation {
    operation
        .of_moment()
        .text_as("path", "Only below this path.", "file-path")
        .lines("context", "Lines around each change; 3 without it.")
        .flag("renames", "Find renames; it does without it.")
        .flag("copies", "Find copies, too.")
        .flag("ignore_whitespace", "As `git diff -w`.")
        .gives_bytes(PATCH, "The patch, as `git diff` writes it.")
}

/// `GET /api/v1/repos/{repo}/diff`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let ends = Ends {
        from: ask.query().text("from")?,
        to: ask.query().text("to")?,
        merge_base: ask.query().flag("merge_base")?,
    };
    let query = diff_query(ask.query())?;
    ask.finish()?;
    let repo = ask.repo()?;
    let state = app.state(&ask.caller, &repo, &reading, None).await?;
    let seq = state.view.seq;
    let compared = app.offload(move || state.diff(&ends, &query)).await??;
    let to = compared.to;
    let tag = ETag::of_state(to, &compared.digest());
    let body = if tag.is_known_to(&ask.headers) {
        StatusCode::OK.into_response()
    } else if wants_patch(&ask.headers) {
        patch(&app, compared)
    } else {
        let bytes_max = app.config().limits.diff.as_usize();
        let diff = app.offload(move || compared.body(bytes_max)).await??;
        json::answer(StatusCode::OK, &diff)
    };
    Ok(as_of(etag::finish(&ask.headers, body, &tag, to), seq))
}

/// Takes what says how two commits are compared.
///
/// # Errors
/// [`AppError::Query`].
pub fn diff_query(query: &mut Query) -> Result<DiffQuery, AppError> {
    let lines = PatchOptions::default();
    Ok(DiffQuery {
        path: query.bytes("path").unwrap_or_default(),
        renames: query.flag_unless_false("renames")?,
        copies: query.flag("copies")?,
        lines: PatchOptions {
            context: query.number("context")?.unwrap_or(lines.context),
            ignore_whitespace: query.flag("ignore_whitespace")?,
        },
    })
}

/// Whether the client would rather have a patch than JSON.
pub fn wants_patch(headers: &HeaderMap) -> bool {
    accept::prefers(headers, PATCH)
}

/// The answer that is a patch.
pub fn patch(app: &App, compared: Compared) -> Response {
    let mut response = Body::from_stream(compared.into_stream(app)).into_response();
    let kind = HeaderValue::from_static(PATCH);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
