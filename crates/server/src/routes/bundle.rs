//! Bundles.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use crate::app::App;
use crate::http::ask::Ask;
use crate::http::etag::{self, ETag};
use crate::http::problem::ApiError;
use crate::http::reply::as_of;
use crate::openapi::{Table, reads};

/// All of it in one file.
pub fn routes(table: Table) -> Table {
    table.get(
        "/api/v1/repos/{repo}/bundle",
        show,
        reads("A bundle, as `git bundle` makes it")
            .of_revision()
            .revision("since", "Without what this commit reaches.")
            .gives_bytes("application/x-git-bundle", "The bundle."),
    )
}

/// `GET /api/v1/repos/{repo}/bundle`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let name = ask.query().text("ref")?;
    let since = ask.query().text("since")?;
    ask.finish()?;
    let repo = ask.repo()?;
    let bundle = app
        .bundle(&ask.caller, &repo, &reading, name, since)
        .await?;
    let tag = ETag::of_state(bundle.head, &bundle.digest.to_string());
    let (head, seq) = (bundle.head, bundle.state.view.seq);
    let body = match tag.is_known_to(&ask.headers) {
        true => Body::empty(),
        false => Body::from_stream(bundle.into_stream(&app).await?),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/x-git-bundle");
    headers.insert(header::CONTENT_TYPE, kind);
    // Which also says that it is not worth compressing: it is.
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    let name = repo.as_str().rsplit('/').next().unwrap_or_default();
    if let Ok(value) = format!("attachment; filename=\"{name}.bundle\"").parse() {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    let response = etag::finish(&ask.headers, response, &tag, head);
    Ok(as_of(response, seq))
}
