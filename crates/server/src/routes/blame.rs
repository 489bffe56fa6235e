//! Who brought which line.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::app::blame::Lines;
use crate::app::error::AppError;
use crate::http::ask::Ask;
use crate::http::etag::{self, ETag};
use crate::http::json;
use crate::http::problem::ApiError;
use crate::http::reply::as_of;
use crate::openapi::{Table, reads};
use govc_api::blame::BlameAnswer;

/// Who brought which line.
pub fn routes(table: Table) -> Table {
    table.get(
        "/api/v1/repos/{repo}/blame/{*path}",
        show,
        reads("Which commit brought each line of a file")
            .of_revision()
            .path("path", "The file's path.", ("file-path", "README.md"))
            .number_from_1("start", "The first line, from 1.")
            .number_from_1(
                "end",
                "The last line; that of the file, where it has fewer.",
            )
            .flag("ignore_whitespace", "As `git blame -w`.")
            .fails(&["TOO_EXPENSIVE"])
            .gives::<BlameAnswer>(StatusCode::OK, "Its lines."),
    )
}

/// `GET /api/v1/repos/{repo}/blame/{path}`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let reference = ask.query().text("ref")?;
    let lines = Lines {
        start: ask.query().number("start")?,
        end: ask.query().number("end")?,
    };
    let ignore_whitespace = ask.query().flag("ignore_whitespace")?;
    ask.finish()?;
    let repo = ask.repo()?;
    let state = app.state(&ask.caller, &repo, &reading, None).await?;
    let seq = state.view.seq;
    let path = ask.rest().to_vec();
    let work = move || {
        let blame = state.blame(reference.as_deref(), path, lines, ignore_whitespace)?;
        Ok::<_, AppError>((blame.commit, blame.id(), blame.body()?))
    };
    let (commit, id, body) = app.offload(work).await??;
    let tag = ETag::of_state(Some(commit), &id.to_string());
    let response = json::answer(StatusCode::OK, &body);
    let response = etag::finish(&ask.headers, response, &tag, Some(commit));
    Ok(as_of(response, seq))
}
