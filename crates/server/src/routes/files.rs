//! Files and folders.

use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use govc_engine::Seq;
use govc_git::ObjectId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::app::App;
use crate::app::content::Content;
use crate::app::error::AppError;
use crate::app::files::{FileFound, TreeQuery};
use crate::http::accept;
use crate::http::ask::Ask;
use crate::http::etag::{self, ETag};
use crate::http::problem::ApiError;
use crate::http::reply::as_of;
use crate::http::{json, page, range};
use crate::openapi::{Table, reads};
use axum::routing::get;
use govc_api::files::{File, TreeEntry};

/// What names the content of a raw answer.
const GOVC_OID: HeaderName = HeaderName::from_static("govc-oid");

/// Files and folders.
pub fn routes(table: Table) -> Table {
    let folder = |summary| {
        reads(summary)
            .of_revision()
            .flag("recursive", "All below it, too.")
            .flag(
                "last_commit",
                "With the newest commit that touched each entry.",
            )
            .fails(&["PATH_INVALID", "PATH_NOT_FOUND", "TREE_TOO_LARGE"])
            .gives_page::<TreeEntry>("Entries, in git's order.")
    };
    table
        .get(
            "/api/v1/repos/{repo}/read/{*path}",
            read,
            describe_read(reads("A file")).of_revision(),
        )
        .get("/api/v1/repos/{repo}/tree", tree, folder("The root folder"))
        .also("/api/v1/repos/{repo}/tree/", get(tree))
        .get(
            "/api/v1/repos/{repo}/tree/{*path}",
            tree,
            folder("A folder").path("path", "The folder's path.", ("file-path", "src")),
        )
}

/// What is answered to a read of a file, whichever way the moment is said.
pub(super) fn describe_read(operation: crate::openapi::Operation) -> crate::openapi::Operation {
    operation
        .path("path", "The file's path.", ("file-path", "README.md"))
        .gives::<File>(StatusCode::OK, "The file.")
        .gives_bytes("application/octet-stream", "The file.")
        .gives_ranges()
}

/// `GET /api/v1/repos/{repo}/read/{path}`
pub async fn read(
    State(app): State<App>,
    method: Method,
    mut ask: Ask,
) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let reference = ask.query().text("ref")?;
    ask.finish()?;
    let repo = ask.repo()?;
    let state = app.state(&ask.caller, &repo, &reading, None).await?;
    let path = ask.rest().to_vec();
    let raw = accept::prefers(&ask.headers, "application/octet-stream");
    let named_by_id = reference.as_deref().is_some_and(is_full_id);
    let headers = ask.headers.clone();
    let reader = app.clone();
    let answer = app.offload(move || -> Result<Response, AppError> {
        let file = state.file(reference.as_deref(), &path)?;
        let seq = state.view.seq;
        if !raw {
            let tag = ETag::of_state(file.commit, &file.id.to_string());
            let body = if tag.is_known_to(&headers) {
                StatusCode::OK.into_response()
            } else {
                json::answer(StatusCode::OK, &state.file_body(&file)?)
            };
            let response = etag::finish(&headers, body, &tag, file.commit);
            return Ok(as_of(response, seq));
        }
        let no_content = || AppError::PathOfOtherKind {
            path: String::from_utf8_lossy(&file.path).into_owned(),
            found: "a submodule: it has no bytes here",
        };
        let size = state.size(&file)?.ok_or_else(no_content)?;
        let content = |range: Range<u64>| -> Result<Body, AppError> {
            if method == Method::HEAD {
                return Ok(Body::empty());
            }
            let content = Content::of(&reader, &state.view.pool, file.id, size, range)?;
            Ok(content.into_body(&reader))
        };
        raw_answer(&headers, &file, named_by_id, size, seq, content)
    });
    Ok(answer.await??)
}

/// The bytes of a file, or the range of them that is asked for.
fn raw_answer(
    request: &HeaderMap,
    file: &FileFound,
    named_by_id: bool,
    size: u64,
    seq: Seq,
    content: impl Fn(Range<u64>) -> Result<Body, AppError>,
) -> Result<Response, AppError> {
    let tag = if named_by_id {
        ETag::Strong(file.id.to_string())
    } else {
        ETag::of_state(file.commit, &file.id.to_string())
    };
    let range = if tag.allows_range(request) && !tag.is_known_to(request) {
        range::wanted(request, size)?
    } else {
        None
    };
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    if named_by_id {
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=31536000, immutable"),
        );
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(value) = HeaderValue::from_str(&file.id.to_string()) {
        headers.insert(GOVC_OID, value);
    }
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let status = match &range {
        Some(range) => {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            headers.insert(
                header::CONTENT_RANGE,
                HeaderValue::from_str(&text).map_err(AppError::internal)?,
            );
            StatusCode::PARTIAL_CONTENT
        }
        None => StatusCode::OK,
    };
    let body = if tag.is_known_to(request) {
        Body::empty()
    } else {
        content(range.unwrap_or(0..size))?
    };
    let mut response = (status, body).into_response();
    response.headers_mut().extend(headers);
    let response = etag::finish(request, response, &tag, file.commit);
    Ok(as_of(response, seq))
}

/// Whether `text` is an object's full id, which names the same for ever.
fn is_full_id(text: &str) -> bool {
    ObjectId::from_hex(text.as_bytes()).is_ok()
}

/// `GET /api/v1/repos/{repo}/tree/{path}`
pub async fn tree(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let reference = ask.query().text("ref")?;
    let recursive = ask.query().flag("recursive")?;
    let last_commit = ask.query().flag("last_commit")?;
    let page = ask.page()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let state = app
        .state(&ask.caller, &repo, &reading, page.cursor.as_ref())
        .await?;
    let query = TreeQuery {
        path: ask.rest().to_vec(),
        recursive,
        last_commit,
        page,
    };
    let seq = state.view.seq;
    let (page, from) = app
        .offload(move || state.tree(reference.as_deref(), query))
        .await??;
    let (head, tree) = from.unzip();
    let head = head.flatten();
    let tag = ETag::of_state(head, &tree.map_or_else(String::new, |id| id.to_string()));
    let response = page::answer(&ask.uri, &page);
    Ok(as_of(etag::finish(&ask.headers, response, &tag, head), seq))
}
