//! The log of changes.

use axum::extract::State;
use axum::response::Response;

use crate::app::App;
use crate::http::ask::Ask;
use crate::http::page;
use crate::http::problem::ApiError;
use crate::http::reply::as_of;
use crate::openapi::{Table, reads};
use govc_api::history::Change;

/// The log of changes.
pub fn routes(table: Table) -> Table {
    table.get(
        "/api/v1/repos/{repo}/history",
        list,
        reads("Changes, the newest first")
            .of_moment()
            .gives_page::<Change>("Changes."),
    )
}

/// `GET /api/v1/repos/{repo}/history`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let query = ask.page()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let (page, seq) = app.history(&ask.caller, &repo, &reading, query).await?;
    Ok(as_of(
        page::answer_state(&ask.headers, &ask.uri, &page, None),
        seq,
    ))
}
