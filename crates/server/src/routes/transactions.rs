//! Transactions.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use govc_api::transactions::{CommitTransaction, ManyOperations, NewTransaction, RemovePaths};
use govc_api::workspaces::{MoveFile, WriteFiles};
use http::StatusCode;

use crate::app::App;
use crate::app::commits;
use crate::app::error::AppError;
use crate::app::transactions::{Place, place};
use crate::http::ask::Ask;
use crate::http::json::{self, Json, OptionalJson};
use crate::http::problem::ApiError;
use crate::http::reply::{GOVC_DRY_RUN, as_of, located, written};

/// The id in the path: what is before the verb.
fn id(ask: &Ask) -> Result<Arc<str>, AppError> {
    let rest = ask.rest_as_revision()?;
    Ok(rest.split('/').next().unwrap_or_default().into())
}

/// `POST /api/v1/transactions`
pub async fn change_many(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<ManyOperations>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    if terms.if_match.is_some() {
        let detail = "`If-Match` speaks of one ref: say `expected_head` in each operation";
        return Err(AppError::query("If-Match", detail).into());
    }
    let done = app.change_many(&ask.caller, body.read()?, &terms).await?;
    let mut response = json::answer(StatusCode::OK, &done);
    if terms.dry_run {
        let value = http::HeaderValue::from_static("true");
        response.headers_mut().insert(GOVC_DRY_RUN, value);
    }
    Ok(response)
}

/// `POST /api/v1/repos/{repo}/transaction`
pub async fn begin(
    State(app): State<App>,
    mut ask: Ask,
    OptionalJson(body): OptionalJson<NewTransaction>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let begun = app.begin_transaction(&ask.caller, &repo, body, &terms);
    let (begun, seq) = begun.await?;
    let place = place(&repo, &begun.id);
    Ok(located(
        written(StatusCode::CREATED, &begun, seq, &terms),
        &place,
    ))
}

/// `GET /api/v1/repos/{repo}/transaction/{tx}`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_now()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, id(&ask)?);
    let at = Place {
        repo: &repo,
        id: &id,
    };
    let (shown, seq) = app.show_transaction(&ask.caller, at, &reading).await?;
    Ok(as_of(json::answer(StatusCode::OK, &shown), seq))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/add`
pub async fn add(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<WriteFiles>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, id(&ask)?);
    let at = Place {
        repo: &repo,
        id: &id,
    };
    let files = body.read(false)?;
    let (files, seq) = app.transaction_add(&ask.caller, at, files, &terms).await?;
    Ok(written(StatusCode::OK, &files, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/remove`
pub async fn remove(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<RemovePaths>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, id(&ask)?);
    let at = Place {
        repo: &repo,
        id: &id,
    };
    let removed = app.transaction_remove(&ask.caller, at, body.read()?, &terms);
    let (files, seq) = removed.await?;
    Ok(written(StatusCode::OK, &files, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/move`
pub async fn rename(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<MoveFile>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, id(&ask)?);
    let at = Place {
        repo: &repo,
        id: &id,
    };
    let (files, seq) = app.transaction_move(&ask.caller, at, body, &terms).await?;
    Ok(written(StatusCode::OK, &files, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/validate`
pub async fn validate(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, id(&ask)?);
    let at = Place {
        repo: &repo,
        id: &id,
    };
    let (found, seq) = app.validate_transaction(&ask.caller, at, &terms).await?;
    Ok(written(StatusCode::OK, &found, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/commit`
pub async fn commit(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<CommitTransaction>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, id(&ask)?);
    let at = Place {
        repo: &repo,
        id: &id,
    };
    let committed = app.commit_transaction(&ask.caller, at, body, &terms);
    let (commit, seq) = committed.await?;
    let place = commits::place(&repo, &commit);
    Ok(located(
        written(StatusCode::CREATED, &commit, seq, &terms),
        &place,
    ))
}

/// `POST /api/v1/repos/{repo}/transaction/{tx}/rollback`
pub async fn roll_back(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, id(&ask)?);
    let at = Place {
        repo: &repo,
        id: &id,
    };
    let (shown, seq) = app.roll_back_transaction(&ask.caller, at, &terms).await?;
    Ok(written(StatusCode::OK, &shown, seq, &terms))
}
