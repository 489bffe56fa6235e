//! All files of a commit in one file.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use govc_engine::work::archive::ArchiveFormat;
use http::{HeaderValue, header};

use crate::app::App;
use crate::app::error::AppError;
use crate::http::ask::Ask;
use crate::http::etag::{self, ETag};
use crate::http::problem::ApiError;
use crate::http::reply::as_of;
use crate::openapi::{Table, reads};

/// What names end in, the format that it means, and its media type.
const FORMATS: [(&str, ArchiveFormat, &str); 4] = [
    (".tar.gz", ArchiveFormat::TarGz, "application/gzip"),
    (".tgz", ArchiveFormat::TarGz, "application/gzip"),
    (".tar", ArchiveFormat::Tar, "application/x-tar"),
    (".zip", ArchiveFormat::Zip, "application/zip"),
];

/// All files of a commit in one file.
pub fn routes(table: Table) -> Table {
    table.get(
        "/api/v1/repos/{repo}/archive/{*name}",
        show,
        reads("All files of a commit in one file, as `git archive` makes it")
            .of_moment()
            .path(
                "name",
                "A revision and then .tar.gz, .tgz, .tar or .zip.",
                ("archive-name", "main.tar.gz"),
            )
            .resolves()
            .fails(&["TREE_TOO_LARGE"])
            .gives_bytes("application/gzip", "The archive.")
            .gives_bytes("application/x-tar", "The archive.")
            .gives_bytes("application/zip", "The archive."),
    )
}

/// `GET /api/v1/repos/{repo}/archive/{ref}.{tar.gz,zip}`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let name = ask.rest_as_revision()?;
    let found = FORMATS.iter().find_map(|(end, format, kind)| {
        let reference = name.strip_suffix(end).filter(|name| !name.is_empty())?;
        Some((reference, end, *format, kind))
    });
    let (reference, end, format, kind) = found.ok_or_else(|| AppError::RefInvalid {
        name: name.to_owned(),
        why: "an archive is a revision and then .tar.gz, .tar or .zip".to_owned(),
    })?;
    let state = app.state(&ask.caller, &repo, &reading, None).await?;
    let seq = state.view.seq;
    let wanted = reference.to_owned();
    let archive = app
        .offload(move || state.archive(&wanted, format))
        .await??;
    let commit = archive.commit;
    let tag = ETag::of_state(Some(commit), end.trim_start_matches('.'));
    let body = match tag.is_known_to(&ask.headers) {
        true => Body::empty(),
        false => Body::from_stream(archive.into_stream(&app)),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // Which also says that it is not worth compressing: most are.
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let short: String = reference
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    let repo = repo.as_str().rsplit('/').next().unwrap_or_default();
    if let Ok(value) = format!("attachment; filename=\"{repo}-{short}{end}\"").parse() {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    let response = etag::finish(&ask.headers, response, &tag, Some(commit));
    Ok(as_of(response, seq))
}
