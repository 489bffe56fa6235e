//! The past as paths, and ways back to it.

use axum::extract::State;
use axum::response::Response;
use govc_api::time_travel::{Rewind, Undo};
use http::{Method, StatusCode};

use super::{files, refs};
use crate::app::App;
use crate::app::refs::Updates;
use crate::http::ask::Ask;
use crate::http::json::Json;
use crate::http::problem::ApiError;
use crate::http::reply::written;

/// `GET /api/v1/repos/{repo}/time-travel/{at}`
pub async fn show(state: State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    ask.take_moment()?;
    refs::list(state, ask).await
}

/// `GET /api/v1/repos/{repo}/time-travel/{at}/read/{path}`
pub async fn read(state: State<App>, method: Method, mut ask: Ask) -> Result<Response, ApiError> {
    ask.take_moment()?;
    files::read(state, method, ask).await
}

/// `GET /api/v1/repos/{repo}/time-travel/{at}/tree/{path}`
pub async fn tree(state: State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    ask.take_moment()?;
    files::tree(state, ask).await
}

/// `POST /api/v1/repos/{repo}/undo`
pub async fn undo(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<Undo>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let (updates, seq) = app.undo(&ask.caller, &repo, body.seq, &terms).await?;
    let body = Updates {
        ref_updates: &updates,
    };
    Ok(written(StatusCode::OK, &body, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/rewind`
pub async fn rewind(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<Rewind>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let to = body.to()?;
    let (updates, seq) = app.rewind(&ask.caller, &repo, to, &terms).await?;
    let body = Updates {
        ref_updates: &updates,
    };
    Ok(written(StatusCode::OK, &body, seq, &terms))
}
